"""Exports: what transformers and peft load says the same, what cannot be kept is refused, the card is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar
from voice.tuned_runs import make_base, make_tuned, make_writing

from cutaway.base.errors import UsageError
from cutaway.base.runs import RunFolder
from cutaway.cli.main import main
from cutaway.interop.chat_template import PLAIN_TEMPLATE
from cutaway.interop.conversations import conversation, write_conversations
from cutaway.interop.gguf_file import read_gguf
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.models.build import build
from cutaway.models.config import GPTConfig, LlamaConfig
from cutaway.text.bpe import BPETokenizer
from cutaway.voice import export as exports
from cutaway.voice.export import export
from cutaway.voice.model_card import Facts, model_card, run_facts
from cutaway.voice.round_trip import RoundTripError, compare, neutral_text

disable_progress_bar()
LLAMA = LlamaConfig(vocab_size=300, context_length=64, d_model=32, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=48)
TEXT = "A plain sentence, then another one."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose tokenizer has another mark at the end than at the beginning, and a chat template."""
    folder = tmp_path_factory.mktemp("base") / "llama"
    words = BPETokenizer.train([neutral_text(), TEXT], 298)
    words.inner.add_special_tokens(["<end>"])
    save_folder(folder, build(LLAMA, seed=3), words)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<end>"}))
    (folder / "chat_template.jinja").write_text(PLAIN_TEMPLATE)
    return folder


def test_a_folder_opens_in_transformers_with_tokenizer_and_template(folder: Path, tmp_path: Path) -> None:
    done = export(folder, tmp_path / "out", "hf")
    assert done.round_trip.is_exact
    assert done.round_trip.same_greedy == done.round_trip.n_greedy == 32
    model, words = load_folder(folder)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    their_words = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert words is not None
    ids = words.encode(TEXT)
    assert their_words.encode(TEXT, add_special_tokens=False) == ids
    with torch.no_grad():
        torch.testing.assert_close(theirs(torch.tensor([ids])).logits, model(torch.tensor([ids])))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()
    asked = [{"role": "user", "content": "why?"}]
    assert their_words.apply_chat_template(asked, tokenize=False, add_generation_prompt=True).endswith("Response:\n")
    half = export(folder, tmp_path / "half", "hf", "bf16")
    assert 0 < half.round_trip.off < half.round_trip.bound
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "half").dtype is torch.bfloat16


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
@pytest.mark.slow
def test_an_adapter_opens_in_peft_and_merged_in_transformers(tmp_path: Path) -> None:
    run = make_tuned(tmp_path / "runs", "me-1", make_base(tmp_path / "base"), make_writing(tmp_path / "writing"))
    done = export(run.model_folder, tmp_path / "adapter", "adapter", facts=run_facts(run))
    assert done.round_trip.is_exact
    assert str(tmp_path / "base") in done.notes[0]
    model, words = load_folder(run.model_folder)
    assert words is not None
    ids = torch.tensor([words.encode(TEXT)])
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
    export(run.model_folder, tmp_path / "merged", "hf")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    file = export(run.model_folder, tmp_path / "one.gguf", "gguf", "f32").weights
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, model(ids), atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(merged(ids).logits, model(ids), atol=2e-6, rtol=1e-5)
        assert torch.equal(read_gguf(file)[0](ids), model(ids))
    for name in ("merged", "adapter"):
        assert (tmp_path / name / "chat_template.jinja").is_file()
        card = (tmp_path / name / "README.md").read_text()
        assert "Tuned from `base` by LoRA" in card or name == "merged"
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(tmp_path / "base")


@pytest.mark.parametrize("type", ["f32", "q8_0"])
def test_a_gguf_file_with_its_card(folder: Path, tmp_path: Path, type: str) -> None:
    done = export(folder, tmp_path / "out", "gguf", type, Facts("mine", base="hf:owner/base"))
    assert done.weights == tmp_path / "out" / f"mine.{type}.gguf"
    assert done.round_trip.is_exact == (type == "f32")
    assert "llama-cli -m mine." in (tmp_path / "out" / "README.md").read_text()
    _, words = read_gguf(done.weights)
    assert words.token_text(words.eos_id or 0) == "<end>"
    single = export(folder, tmp_path / "one.gguf", "gguf", type)
    assert single.path == single.weights
    assert {path.name for path in tmp_path.iterdir()} == {"out", "one.gguf"}


def test_a_file_that_is_not_the_model_is_not_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = exports.read_gguf

    def spoiled(path: Path) -> Any:
        model, words = read(path)
        with torch.no_grad():
            model.lm_head.weight[5, 0] += 1e-3
        return model, words

    monkeypatch.setattr(exports, "read_gguf", spoiled)
    with pytest.raises(RoundTripError, match="nothing was written"):
        export(folder, tmp_path / "out", "gguf", "f32")
    monkeypatch.setitem(exports.BOUNDS, "q8_0", 1e-5)
    with pytest.raises(RoundTripError, match="take a type with more digits"):
        export(folder, tmp_path / "out", "gguf", "q8_0")
    assert list(tmp_path.iterdir()) == []


def test_another_tokenizer_is_noticed(folder: Path) -> None:
    model, words = load_folder(folder)
    other = BPETokenizer.train(["zzz"], 290)
    with pytest.raises(RoundTripError, match="other tokens"):
        compare(model, model, words, other)
    assert compare(model, model, words, words).is_exact


def test_a_place_that_is_taken_is_not_touched(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "diary.txt").write_text("dear")
    for force in (False, True):
        with pytest.raises(UsageError, match="is no export"):
            export(folder, mine, "hf", force=force)
    out = tmp_path / "out"
    export(folder, out, "hf")
    with pytest.raises(UsageError, match="--force"):
        export(folder, out, "gguf")
    export(folder, out, "gguf", force=True)
    assert not (out / "config.json").exists()
    assert (mine / "diary.txt").read_text() == "dear"


def test_what_cannot_be_said_names_the_way_out(folder: Path, tmp_path: Path) -> None:
    save_folder(tmp_path / "own", build(GPTConfig(vocab_size=300, d_model=16, n_layers=1), seed=0))
    with pytest.raises(UsageError, match="export to hf"):
        export(tmp_path / "own", tmp_path / "out", "gguf")
    assert "Cutaway only" in export(tmp_path / "own", tmp_path / "own-hf", "hf").notes[0]
    with pytest.raises(UsageError, match="is not an adapter"):
        export(folder, tmp_path / "out", "adapter")
    with pytest.raises(UsageError, match="did you mean gguf"):
        export(folder, tmp_path / "out", "ggul")
    with pytest.raises(UsageError, match="leave --type out"):
        export(folder, tmp_path / "out", "adapter", "f16")
    assert not (tmp_path / "out").exists()


REPORT = {
    "losses": {
        "base": {"nats": {"value": 3.0, "low": 2.9, "high": 3.1, "n": 7, "how": "BCa"}},
        "tuned": {"nats": {"value": 2.5, "low": None, "high": None, "n": 1, "how": "one document has no spread"}},
    },
    "memorization": {"sentence": "The longest copy is 9 words.", "longest": 9},
    "membership": {"sentence": "AUC 0.51."},
    "verdict": {"name": "learned", "sentence": "It learned the voice."},
}


def test_a_card_says_data_losses_and_memorisation_or_that_they_were_not_measured(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "me-1")
    run.path.mkdir()
    pairs = [conversation("a", "one two three", source=name) for name in ("x", "x", "y")]
    write_conversations(tmp_path / "train.jsonl", pairs)
    write_conversations(tmp_path / "held_out.jsonl", pairs[:1])
    run.recipe_file.write_text(
        f'[data]\nsource = "{tmp_path}/train.jsonl"\nheld_out = "{tmp_path}/held_out.jsonl"\n'
        '[train]\nlearning_rate = 0.002\n[tune]\nbase = "hf:owner/base"\nmethod = "lora"\nrank = 8\n'
    )
    run.write_summary({"status": "finished", "validation_loss": 2.25, "before": {"held_out": {"loss": 3.5}}})
    card = model_card(run_facts(run), "adapter", "f32", example="python\n1")
    header = yaml.safe_load(card.split("---")[1])
    assert header == {
        "pipeline_tag": "text-generation",
        "library_name": "peft",
        "base_model": "owner/base",
        "base_model_relation": "adapter",
        "tags": ["cutaway", "lora"],
    }
    assert "2 pieces, 3 pairs, 9 words in the answers it learned. 1 pair was held out." in card
    assert "rank 8, learning rate 0.002" in card
    assert "Held-out loss 2.250 nats a token (the base: 3.500), without an interval" in card
    assert card.count("cutaway voice report me-1") == 2
    (run.path / "report").mkdir()
    (run.path / "report" / "report.json").write_text(json.dumps(REPORT))
    card = model_card(run_facts(run), "gguf", "q8_0")
    assert "| base | nats a token | 3.000 (2.900 to 3.100, 7 documents) |" in card
    assert "| tuned | nats a token | 2.500 (no interval: one document has no spread) |" in card
    assert "- The longest copy is 9 words.\n- AUC 0.51." in card
    assert "Verdict: It learned the voice." in card
    assert "Not measured" not in card


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["voice", "export", str(folder), "--to", "gguf", "--type", "q8_0", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["form"] == "gguf"
    assert told["type"] == "q8_0"
    assert told["weights"] == str(out / "llama.q8_0.gguf")
    assert told["round_trip"]["off"] <= told["round_trip"]["bound"] == 0.05
    assert main(["voice", "export", str(folder), "--to", "hf", "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["voice", "export", "me-1@200", "--to", "hf"]) == 2
    assert "leave @200 out" in capsys.readouterr().err
    assert main(["voice", "export", str(folder), "--out", str(out), "--force"]) == 0
    assert "logits equal, greedy text equal" in capsys.readouterr().out
