"""A local CLIP folder: what transformers computes, frozen; a wrong folder in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cutaway.base.errors import ModelFormatError
from cutaway.diffusion.clip_folder import load_clip_folder
from cutaway.diffusion.text_conditioner import TextConditioner

pytestmark = pytest.mark.filterwarnings("ignore")

SIZES = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
PIECES = ["a</w>", "c", "a", "t", "t</w>", "ca", "cat</w>", "red</w>", "<|startoftext|>", "<|endoftext|>"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("clip") / "text"
    torch.manual_seed(0)
    config = transformers.CLIPTextConfig(
        vocab_size=len(PIECES), max_position_embeddings=9, bos_token_id=8, eos_token_id=9, pad_token_id=9, **SIZES
    )
    transformers.CLIPTextModel(config).save_pretrained(path)
    (path / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(PIECES)}))
    (path / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n")
    transformers.CLIPTokenizer(str(path / "vocab.json"), str(path / "merges.txt")).save_pretrained(path)
    return path


def test_it_is_transformers_encoder(folder: Path) -> None:
    from transformers import AutoTokenizer, CLIPTextModel

    encoder, tokenizer = load_clip_folder(folder)
    tokens_BT, mask_BT = tokenizer.encode(["a cat", "", "a red cat a cat a cat a cat"])
    assert tokens_BT.shape == (3, 9)
    read = encoder(tokens_BT, mask_BT)
    theirs = CLIPTextModel.from_pretrained(folder)
    inputs = AutoTokenizer.from_pretrained(folder)(["a cat"], return_tensors="pt")
    with torch.no_grad():
        out = theirs(**inputs)
    n_pieces = inputs["input_ids"].shape[1]
    assert mask_BT.sum(dim=1).tolist()[0] == n_pieces
    assert torch.allclose(read.words_BTD[0, :n_pieces], out.last_hidden_state[0], atol=1e-5)
    assert torch.allclose(read.pooled_BE[0], out.pooler_output[0], atol=1e-5)
    assert all(not weight.requires_grad for weight in encoder.parameters())
    assert (encoder.d_words, encoder.d_pooled) == (24, 24)


def test_it_conditions(folder: Path) -> None:
    conditioner = TextConditioner(*load_clip_folder(folder))
    asked = conditioner(["a cat", "red"])
    assert asked.words_BTD is not None
    assert asked.words_BTD.shape == (2, 9, 24)
    assert conditioner.tokenizer.words("a cat")[1:3] == ["a", "cat"]
    assert conditioner.tokenizer.unknown_words("a zebra") == []


def test_wrong_folders_are_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"no config\.json and no model\.safetensors"):
        load_clip_folder(tmp_path / "nowhere")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"no weights")
    (broken / "config.json").write_text("[")
    with pytest.raises(ModelFormatError, match="not a model's config"):
        load_clip_folder(broken)
    (broken / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ModelFormatError, match="of kind 'gpt2'"):
        load_clip_folder(broken)
    (broken / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ModelFormatError, match="cannot be read as a CLIP text encoder"):
        load_clip_folder(broken)
