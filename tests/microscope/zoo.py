"""Small models of many kinds with a step's inputs and loss: what the microscope must open without knowing them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Specimen:
    """A model and what one step of it needs."""

    model: nn.Module
    inputs: Any
    loss: Callable[[Any], Tensor]
    is_exact: bool = True
    """Whether recording runs the very kernels that run without (nothing fused to open)."""


def tokens(vocab: int = 31, batch: int = 3, length: int = 7) -> Tensor:
    return torch.randint(vocab, (batch, length))


def mean_square(output: Any) -> Tensor:
    return output.square().mean()


def gpt2() -> Specimen:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=31, n_positions=16, n_embd=24, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
    ids = tokens()
    return Specimen(GPT2LMHeadModel(config), {"input_ids": ids, "labels": ids}, lambda output: output.loss, False)


def llama() -> Specimen:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=31, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=16, bos_token_id=0, eos_token_id=0, pad_token_id=None,
    )  # fmt: skip
    ids = tokens()
    return Specimen(LlamaForCausalLM(config), {"input_ids": ids, "labels": ids}, lambda output: output.loss, False)


def bert() -> Specimen:
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=31, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40,
        max_position_embeddings=16,
    )  # fmt: skip
    ids = tokens()
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": ids}
    return Specimen(BertForMaskedLM(config), inputs, lambda output: output.loss, False)


def t5() -> Specimen:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=31, d_model=24, d_kv=6, d_ff=40, num_layers=2, num_heads=4, decoder_start_token_id=0, pad_token_id=0
    )
    return Specimen(
        T5ForConditionalGeneration(config),
        {"input_ids": tokens(), "labels": tokens(length=5)},
        lambda output: output.loss,
    )


def vit() -> Specimen:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40, image_size=16, patch_size=4,
        num_labels=5,
    )  # fmt: skip
    return Specimen(
        ViTForImageClassification(config),
        {"pixel_values": torch.randn(3, 3, 16, 16)},
        lambda output: F.cross_entropy(output.logits, torch.tensor([0, 3, 1])),
        False,
    )


def cnn() -> Specimen:
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2),
        nn.Conv2d(6, 8, 3, stride=2, groups=2), nn.GroupNorm(2, 8), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 5),
    )  # fmt: skip
    return Specimen(model, torch.randn(3, 3, 12, 12), lambda y: F.cross_entropy(y, torch.tensor([0, 3, 1])))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(6, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = c = torch.zeros(x.shape[0], 8)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        return self.head(h)


def lstm_cell() -> Specimen:
    return Specimen(Recurrent(), torch.randn(3, 4, 6), mean_square)


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Transformer(24, 4, 1, 1, 40, dropout=0.1, batch_first=True)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.inner(source, target, tgt_mask=nn.Transformer.generate_square_subsequent_mask(target.shape[1]))


def transformer() -> Specimen:
    return Specimen(Transformer(), (torch.randn(3, 7, 24), torch.randn(3, 5, 24)), mean_square, False)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm, self.middle = nn.GroupNorm(4, 8), nn.Conv2d(8, 8, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(8, 6, 2, stride=2), nn.Conv2d(9, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.norm(self.down(x)))
        h = self.middle(F.interpolate(F.avg_pool2d(h, 2), scale_factor=2, mode="nearest")) + h
        return self.out(torch.cat([self.up(h), x], dim=1))


def unet() -> Specimen:
    return Specimen(UNet(), torch.randn(2, 3, 8, 8), mean_square)


def mlp() -> Specimen:
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    return Specimen(model, torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), mean_square)


def our_gpt() -> Specimen:
    from cutaway.models.build import build
    from cutaway.models.config import GPTConfig

    return ours(build(GPTConfig(vocab_size=31, d_model=24, n_layers=2, n_heads=4, context_length=16)))


def our_llama() -> Specimen:
    from cutaway.models.build import build
    from cutaway.models.config import LlamaConfig

    shape = {"vocab_size": 31, "d_model": 24, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "d_ff": 40}
    return ours(build(LlamaConfig(**shape, context_length=16)))


def ours(model: nn.Module) -> Specimen:
    ids = tokens()
    return Specimen(
        model, ids, lambda logits: F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()), False
    )


def our_ngrams() -> Specimen:
    import dataclasses

    from cutaway.models.build import build
    from cutaway.models.presets import characters

    config = dataclasses.replace(characters(), vocab_size=31, d_model=24, n_layers=2, n_heads=2, context_length=16)
    return ours(build(config))


ZOO: dict[str, Callable[[], Specimen]] = {
    make.__name__: make
    for make in (mlp, our_gpt, our_llama, our_ngrams, gpt2, llama, bert, t5, vit, cnn, unet, lstm_cell, transformer)
}

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
}


def specimen(name: str) -> Specimen:
    """Return a specimen, the same every time."""
    torch.manual_seed(0)
    return ZOO[name]()
