"""The same weights in our model and in transformer_lens, which reads transformers' models through a bridge.

transformer_lens takes seconds to import and warns while it does, so it is imported by those who ask, warnings off.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from cutaway.interop.hub_folder import load_model
from cutaway.lens.prompt import Prompt
from cutaway.models.decoder import Decoder
from cutaway.text.characters import CharacterTokenizer

V = 31
TOKENIZER = CharacterTokenizer([chr(97 + i) for i in range(V)])


def prompt(ids: list[int]) -> Prompt:
    """Return ids as a prompt of our side."""
    return Prompt(tuple(ids), tuple(TOKENIZER.token_text(i) for i in ids))


def both_sides(kind: str, **settings: bool) -> tuple[Decoder, Any]:
    """Return our model and transformer_lens' bridge of the same random GPT-2 or Llama, gains and biases drawn too.

    Args:
        settings: of `enable_compatibility_mode`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bridges = pytest.importorskip("transformer_lens.model_bridge", reason="transformer_lens is not installed")
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.manual_seed(0)
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    if kind == "gpt2":
        theirs: Any = GPT2LMHeadModel(GPT2Config(vocab_size=V, n_positions=32, n_embd=24, n_layer=3, n_head=4, **ends))
    else:
        sizes = {"hidden_size": 24, "intermediate_size": 40, "max_position_embeddings": 32, "num_hidden_layers": 3}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
        theirs = LlamaForCausalLM(LlamaConfig(vocab_size=V, **sizes, **heads, **ends))
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    words = Tokenizer(WordLevel({str(i): i for i in range(V)}, unk_token="0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="0", bos_token="0", pad_token="0")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        ours = load_model(Path(folder))
        bridge = bridges.TransformerBridge.boot_transformers(folder, hf_model=theirs, device="cpu")
        bridge.enable_compatibility_mode(disable_warnings=True, **settings)
    return ours, bridge
