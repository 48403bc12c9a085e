"""The text encoder: PyTorch's own transformer encoder, padding that counts for nothing, captions remembered."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cutaway.base.errors import ConfigError, ShapeError
from cutaway.diffusion.config import TextEncoderConfig
from cutaway.diffusion.text_conditioner import TextConditioner
from cutaway.diffusion.text_encoder import ReadText, TextEncoder
from cutaway.diffusion.word_tokenizer import WordTokenizer

CONFIG = TextEncoderConfig(vocab_size=31, context_length=8, d_model=24, n_layers=3, n_heads=4, d_shared=10)


def encoder(config: TextEncoderConfig = CONFIG) -> TextEncoder:
    torch.manual_seed(0)
    model = TextEncoder(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return model


def captions() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens_BT = torch.randint(31, (3, 7), generator=generator)
    return tokens_BT, torch.arange(7) < torch.tensor([7, 2, 4])[:, None]


def pytorch_encoder(ours: TextEncoder) -> nn.TransformerEncoder:
    """Return PyTorch's encoder with our weights."""
    layer = nn.TransformerEncoderLayer(24, 4, 96, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    theirs = nn.TransformerEncoder(layer, 3, norm=nn.LayerNorm(24), enable_nested_tensor=False)
    mine = ours.state_dict()
    pairs = {
        "self_attn.in_proj_": "attn.qkv_proj.",
        "self_attn.out_proj.": "attn.o_proj.",
        "linear1.": "mlp.up_proj.",
        "linear2.": "mlp.down_proj.",
        "norm1.": "attn_norm.",
        "norm2.": "mlp_norm.",
    }
    carried = {f"norm.{kind}": mine[f"final_norm.{kind}"] for kind in ("weight", "bias")}
    for i in range(3):
        for name, source in pairs.items():
            for kind in ("weight", "bias"):
                carried[f"layers.{i}.{name}{kind}"] = mine[f"blocks.{i}.{source}{kind}"]
    theirs.load_state_dict(carried)
    return theirs.train()  # evaluating, it takes a fused path of its own; there is no dropout


def test_it_is_pytorchs_encoder() -> None:
    ours, (tokens_BT, mask_BT) = encoder(), captions()
    read = ours(tokens_BT, mask_BT)
    x_BTD = ours.word_embedding(tokens_BT) + ours.positions_TD[:7]
    theirs = pytorch_encoder(ours)(x_BTD, src_key_padding_mask=~mask_BT)
    said = torch.nn.functional.layer_norm(x_BTD, (x_BTD.shape[-1],), eps=1e-5)
    assert torch.allclose(read.words_BTD[mask_BT], (theirs + said)[mask_BT], atol=1e-5)
    ends = torch.stack([theirs[0, 6], theirs[1, 1], theirs[2, 3]])
    assert torch.allclose(read.pooled_BE, ends @ ours.pooled_proj.weight.T, atol=1e-5)
    assert read.pooled_BE.shape == (3, 10)


def test_what_stands_behind_a_caption_counts_for_nothing() -> None:
    model, (tokens_BT, mask_BT) = encoder(), captions()
    other_BT = torch.where(mask_BT, tokens_BT, 5)
    assert torch.allclose(model(tokens_BT, mask_BT).pooled_BE, model(other_BT, mask_BT).pooled_BE, atol=1e-6)
    assert not torch.allclose(model(tokens_BT, mask_BT).pooled_BE, model(tokens_BT + 0, ~mask_BT | True).pooled_BE)


def test_words_look_both_ways() -> None:
    model, (tokens_BT, mask_BT) = encoder(), captions()
    changed_BT = tokens_BT.clone()
    changed_BT[0, 6] = (changed_BT[0, 6] + 1) % 31
    before, after = (model(tokens, mask_BT).words_BTD for tokens in (tokens_BT, changed_BT))
    assert not torch.allclose(before[0, 0], after[0, 0])
    assert torch.equal(before[1:], after[1:])


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ConfigError, match=r"text\.vocab_size"):
        TextEncoder(TextEncoderConfig())
    with pytest.raises(ShapeError, match="9 places"):
        encoder()(torch.zeros(1, 9, dtype=torch.int64), torch.ones(1, 9, dtype=torch.bool))


class Counting(nn.Module):
    """An encoder that counts the captions it reads."""

    def __init__(self, inner: TextEncoder) -> None:
        super().__init__()
        self.inner, self.n_read = inner, 0

    def forward(self, tokens: Tensor, mask: Tensor) -> ReadText:
        self.n_read += len(tokens)
        return self.inner(tokens, mask)


def test_captions_are_read_once() -> None:
    tokenizer = WordTokenizer.learn(["a red cat", "a blue dog"], 8)
    counting = Counting(encoder())
    conditioner = TextConditioner(counting, tokenizer)
    asked = conditioner(["a red cat", "a blue dog", "a red cat"], torch.tensor([0, 1, 0]))
    assert counting.n_read == 2
    assert asked.label_B is None
    assert asked.words_BTD is not None
    assert asked.pooled_BE is not None
    assert torch.equal(asked.words_BTD[0], asked.words_BTD[2])
    assert not torch.equal(asked.words_BTD[0], asked.words_BTD[1])
    read = counting.inner(*tokenizer.encode(["a blue dog"]))
    assert torch.allclose(asked.pooled_BE[1], read.pooled_BE[0], atol=1e-6)
    assert not asked.words_BTD.requires_grad
    assert all(not weight.requires_grad for weight in counting.parameters())
    nothing = conditioner.nothing()
    assert nothing.mask_BT is not None
    assert nothing.mask_BT.sum() == 2
    assert len(asked.beside(nothing).parts[1]) == 6
    conditioner.nothing()
    assert counting.n_read == 3


def test_it_forgets_what_was_asked_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutaway.diffusion.text_conditioner.REMEMBERED", 2)
    counting = Counting(encoder())
    conditioner = TextConditioner(counting, WordTokenizer.learn(["a b c d"], 8))
    for caption in ("a", "b", "a", "c", "a"):
        conditioner([caption])
    assert counting.n_read == 3
    asked = conditioner(["a", "b", "c", "d"])  # more than it remembers
    assert asked.words_BTD is not None
    assert len(asked.words_BTD) == 4
