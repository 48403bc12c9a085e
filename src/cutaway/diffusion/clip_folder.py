"""Somebody else's text encoder: a local folder of a CLIP model, as `transformers` saves it, read only.

The folder holds config.json, model.safetensors and a tokenizer; the text half of a whole CLIP is taken out of it.
`transformers` computes, so what comes out is what it computes; nothing is looked up on the network. CLIP cuts words it
never saw into pieces, so it knows no unknown words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from cutaway.base.errors import ModelFormatError, UsageError
from cutaway.diffusion.text_encoder import ReadText

KINDS = ("clip", "clip_text_model")
FILES = ("config.json", "model.safetensors")


class ClipTextEncoder(nn.Module):
    """CLIP's text half, frozen."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.eval().requires_grad_(False)

    @property
    def d_words(self) -> int:
        """Width of a word's vector."""
        return self.inner.config.hidden_size  # type: ignore[union-attr, return-value]

    @property
    def d_pooled(self) -> int:
        """Width of a caption's vector."""
        return self.d_words

    def forward(self, tokens: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> ReadText:
        """Return the captions, read: the last layer's vectors, and the end's as the whole."""
        out = self.inner(input_ids=tokens, attention_mask=mask.long())
        return ReadText(out.last_hidden_state, mask, out.pooler_output)


class ClipTokenizer:
    """CLIP's own pieces of words."""

    def __init__(self, inner: Any, context_length: int) -> None:
        self.inner, self.context_length = inner, context_length

    def encode(self, captions: Sequence[str]) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Return the pieces' numbers, and where there are pieces."""
        found = self.inner(
            list(captions),
            padding="max_length",
            truncation=True,
            max_length=self.context_length,
            return_tensors="pt",
        )
        return found["input_ids"], found["attention_mask"].bool()

    def words(self, caption: str) -> list[str]:
        """Return the piece at each place."""
        ids = self.inner(caption, truncation=True, max_length=self.context_length)["input_ids"]
        return [piece.removesuffix("</w>") for piece in self.inner.convert_ids_to_tokens(ids)]

    def unknown_words(self, text: str) -> list[str]:
        """Return nothing: any word can be cut into pieces."""
        return []

    def lost_words(self, text: str) -> list[str]:
        """Return the pieces at the end for which there is no place."""
        ids = self.inner(text, add_special_tokens=False, verbose=False)["input_ids"]
        kept = self.context_length - 2  # begin and end have places too
        return [piece.removesuffix("</w>") for piece in self.inner.convert_ids_to_tokens(ids[kept:])]


def load_clip_folder(folder: Path) -> tuple[ClipTextEncoder, ClipTokenizer]:
    """Return the encoder and the tokenizer of a folder.

    Raises:
        UsageError: `transformers` is not installed.
        ModelFormatError: the folder is missing, incomplete, broken or of another kind of model.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelFormatError(
            f"{folder} has no {' and no '.join(missing)}; expected a folder of a CLIP model, as transformers saves it"
        )
    try:
        kind = json.loads((folder / "config.json").read_text()).get("model_type")
    except (ValueError, AttributeError) as error:
        raise ModelFormatError(f"{folder / 'config.json'} is not a model's config: {error}") from error
    if kind not in KINDS:
        raise ModelFormatError(f"{folder} holds a model of kind {kind!r}; expected CLIP ({' or '.join(KINDS)})")
    try:
        from transformers import AutoTokenizer, CLIPTextModel
    except ImportError as error:
        raise UsageError("a CLIP folder is read by transformers; pip install transformers") from error
    try:
        model = CLIPTextModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers and its parsers raise many kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelFormatError(f"{folder} cannot be read as a CLIP text encoder: {reason}") from error
    return ClipTextEncoder(model), ClipTokenizer(tokenizer, model.config.max_position_embeddings)
