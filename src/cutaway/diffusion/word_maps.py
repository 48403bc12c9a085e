"""Where each word was read: the cross-attention of patches to words, drawn back onto the picture.

    map[step, word, y, x] = mean over layers and heads of cross.weights[layer, head, patch (y, x), word]

Hertz et al. 2022, arXiv:2208.01626; Tang et al. 2022, arXiv:2210.04885. Layers of a U-Net have different edges; coarse
ones are scaled up to the finest. Of a guided prediction only the conditional half is kept. A word's map tells where it was
read, not what it did there: the marks of begin and end take what no word is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.base.tap import listening
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.paint import OnStep, Painted, paint
from cutaway.diffusion.painter import Painter

TAP = "cross.weights_BHPT"


@dataclass(frozen=True)
class WordMaps:
    """Where the words of one picture were read."""

    tokens: tuple[str, ...]
    """What stands at each place, marks of begin and end included."""
    layers: tuple[Float[Tensor, "S H T _ _"], ...]
    """Of each layer: by call of the model, head and word; every layer has its own edge."""

    def mean(self) -> Float[Tensor, "S T Y X"]:
        """Return the mean over layers and heads, by call of the model and word, at the finest edge."""
        edge = max(layer.shape[-1] for layer in self.layers)
        means = [F.interpolate(layer_SHTYX.mean(dim=1), size=(edge, edge)) for layer_SHTYX in self.layers]
        return torch.stack(means).mean(dim=0)


def paint_with_word_maps(
    painter: Painter, prompt: str, config: PaintSamplingConfig, on_step: OnStep | None = None
) -> tuple[Painted, WordMaps]:
    """Paint one picture, and return beside it where its words were read.

    Raises:
        UsageError: a painter that reads no words, or as `paint`.
    """
    if painter.text is None:
        raise UsageError("this painter reads no words, so there is no attention to them to be drawn")
    heard: list[Tensor] = []
    calls: list[list[Tensor]] = []

    def hear(name: str, value: Tensor) -> None:
        if name == TAP:
            heard.append(value[0].detach().float().cpu())

    def end_call(_: object) -> None:
        calls.append(heard.copy())
        heard.clear()

    with listening(hear):
        painted = paint(painter, [prompt], config, seeds=[config.seed], on_step=on_step, listen=end_call)
    if not calls[0]:
        raise UsageError("this painter's denoiser reads words nowhere in the picture: it has no cross-attention")
    tokens = tuple(painter.text.tokenizer.words(painter.known_words(prompt)))
    layers = []
    for weights in zip(*calls, strict=True):
        weights_SHTP = torch.stack(weights).transpose(2, 3)[:, :, : len(tokens)]
        edge = math.isqrt(weights_SHTP.shape[-1])
        layers.append(weights_SHTP.unflatten(-1, (edge, edge)))
    return painted, WordMaps(tokens, tuple(layers))
