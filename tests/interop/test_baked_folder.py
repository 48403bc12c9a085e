"""An adapter's folder opens as a plain model that says what `peft` says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from tune.small import make_base, tokenizer_of

from cutaway.base.errors import ModelFormatError
from cutaway.interop.folder_facts import folder_facts
from cutaway.interop.hub_folder import load_folder
from cutaway.tune.lora import LoRAConfig, add_lora, lora_layers, save_adapter

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # theirs


def make_adapter(folder: Path, base: Path, seed: int = 0, projections: tuple[str, ...] = ()) -> Path:
    model, _ = load_folder(base)
    add_lora(model, LoRAConfig(rank=3, projections=projections), seed)
    for _, layer in lora_layers(model):
        layer.adapter.B.data.normal_(std=0.1, generator=torch.Generator().manual_seed(seed + 1))
    save_adapter(folder, model, str(base))
    return folder


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_it_says_what_peft_says(family: str, tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", family, "bpe")
    adapter = make_adapter(tmp_path / "adapter", base)
    ours, tokenizer = load_folder(adapter)
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    tokens = torch.randint(300, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens), theirs(tokens).logits, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(ours(tokens), load_folder(base)[0](tokens), atol=1e-2)
    assert tokenizer is not None
    assert tokenizer.hash == tokenizer_of("bpe").hash, "an adapter without a tokenizer reads with its base's"
    assert not list(lora_layers(ours))


def test_adapters_upon_adapters_add_up(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    first = make_adapter(tmp_path / "first", base, 1, ("q_proj",))
    second = make_adapter(tmp_path / "second", first, 2, ("q_proj", "up_proj"))
    weights = [load_folder(folder)[0].blocks[0].attn.q_proj.weight for folder in (base, first, second)]
    assert len({float(weight.detach().sum()) for weight in weights}) == 3
    facts = folder_facts(second)
    assert facts.config == folder_facts(base).config
    assert facts.tokenizer == "characters"
    assert facts.size_bytes > folder_facts(first).size_bytes > folder_facts(base).size_bytes


def test_an_adapter_of_another_model_or_in_a_pickle_is_refused(tmp_path: Path) -> None:
    base, other = make_base(tmp_path / "base", "llama", "bpe"), make_base(tmp_path / "other", "gpt2", "bpe")
    adapter = make_adapter(tmp_path / "adapter", base)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(other)}))
    with pytest.raises(ModelFormatError, match="no place"):
        load_folder(adapter)
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelFormatError, match="pickle"):
        load_folder(adapter)
