"""A painter: all that is needed to go from words, or a label, to a picture.

    asked  -> condition                 the text encoder, or the list of labels
    seed   -> noise                     one generator a picture: a picture does not depend on its neighbours
    noise  -> what is denoised          the denoiser along its path (`paint.py`)
           -> picture                   the VAE's decoder, where the denoiser works on latents

Nothing here takes a step: the ways to paint are functions beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from cutaway.base.errors import ConfigError, ShapeError, UsageError, suggest
from cutaway.base.seed import torch_generator
from cutaway.diffusion.condition import Condition
from cutaway.diffusion.config import DiTConfig, PathConfig, UNetConfig
from cutaway.diffusion.contrastive import PictureEncoder
from cutaway.diffusion.paths import Path, build_path
from cutaway.diffusion.picture_files import from_uint8, to_uint8
from cutaway.diffusion.text_conditioner import TextConditioner
from cutaway.diffusion.vae import VAE
from cutaway.diffusion.word_tokenizer import MARKS

Asked = Sequence[str] | Sequence[int]
"""What is to be painted, one a picture: prompts, or numbers of labels (names of labels are prompts too)."""

AT_ONCE = 64
"""Pictures that go through the models together; more of them take memory and hardly less time each."""


@dataclass(frozen=True)
class Told:
    """What was asked for, as the denoiser reads it."""

    condition: Condition
    """A row a picture."""
    nothing: Condition
    """What guidance leads away from: one row."""
    unknown: tuple[tuple[str, ...], ...]
    """Of each picture: the words that the text encoder never saw; they are left out."""
    lost: tuple[tuple[str, ...], ...]
    """Of each picture: the words at the end for which the text encoder has no place."""

    def rows(self, chosen: slice) -> Told:
        """Return what was asked for of some of the pictures."""
        return Told(self.condition.rows(chosen), self.nothing, self.unknown[chosen], self.lost[chosen])


@dataclass(frozen=True)
class Painter:
    """Denoiser, path and what stands before and behind them."""

    denoiser: nn.Module
    """A U-Net or a diffusion transformer."""
    path_config: PathConfig = field(default_factory=PathConfig)
    text: TextConditioner | None = None
    """Of a painter that is told words."""
    names: tuple[str, ...] = ()
    """Of a painter that is told labels: what each is called."""
    vae: VAE | None = None
    """Of a painter of latents."""
    clip_folder: FilePath | None = None
    """Where the text encoder is somebody else's: its folder."""
    reader: PictureEncoder | None = None
    """Of a painter that is told words: puts pictures into the space of the text encoder's captions, to choose by."""

    def __post_init__(self) -> None:
        config = self.config
        if self.vae is not None:
            made = (self.vae.config.latent_channels, self.vae.config.latent_size)
            if made != (config.channels, config.size):
                raise ConfigError(
                    f"this is the wrong VAE: its latents have {made[0]} channels and an edge of {made[1]}, the denoiser "
                    f"paints {config.channels} channels and an edge of {config.size}"
                )
        if config.d_words and self.text is None:
            raise ConfigError("the denoiser reads words; expected the text encoder it was trained with")
        if config.n_labels and len(self.names) != config.n_labels:
            raise ConfigError(f"the denoiser knows {config.n_labels} labels, but {len(self.names)} names were given")

    @property
    def config(self) -> UNetConfig | DiTConfig:
        """The denoiser's."""
        config = self.denoiser.config
        assert isinstance(config, UNetConfig | DiTConfig)
        return config

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        return next(self.denoiser.parameters()).device

    @property
    def path(self) -> Path:
        """The path from noise to picture."""
        return build_path(self.path_config)

    @property
    def size(self) -> int:
        """Edge of the pictures."""
        return self.vae.config.size if self.vae else self.config.size

    @property
    def channels(self) -> int:
        """Channels of the pictures."""
        return self.vae.config.channels if self.vae else self.config.channels

    def noise(self, seeds: Sequence[int]) -> Float[Tensor, "B C Y X"]:
        """Return what drawing begins with; row i depends on seed i alone."""
        shape = (self.config.channels, self.config.size, self.config.size)
        rows = [torch.randn(shape, generator=torch_generator(seed, "paint")) for seed in seeds]
        return torch.stack(rows).to(self.device)

    @torch.no_grad()
    def to_pictures(self, x: Float[Tensor, "B C Y X"]) -> UInt8[np.ndarray, "B Y2 X2 C2"]:
        """Return what is denoised as pictures."""
        if self.vae is None:
            return to_uint8(x)
        return np.concatenate([to_uint8(self.vae.decode(part)) for part in x.split(AT_ONCE)])

    @torch.no_grad()
    def from_pictures(self, pictures_BYXC: UInt8[np.ndarray, "B Y X C"]) -> Float[Tensor, "B C2 Y2 X2"]:
        """Return pictures as what is denoised.

        Raises:
            ShapeError: pictures of another size.
        """
        expected = (self.size, self.size, self.channels)
        if pictures_BYXC.shape[1:] != expected:
            raise ShapeError(f"a picture of shape {pictures_BYXC.shape[1:]} was given; this painter paints {expected}")
        x_BCYX = from_uint8(pictures_BYXC).to(self.device)
        if self.vae is None:
            return x_BCYX
        return torch.cat([self.vae.encode(part) for part in x_BCYX.split(AT_ONCE)])

    @torch.no_grad()
    def told(self, asked: Asked, negative: str = "", allow_empty: bool = False) -> Told:
        """Return what was asked for as the denoiser reads it.

        Args:
            negative: what guidance leads away from; empty: the empty prompt, or no label.
            allow_empty: whether an empty prompt may stand for "anything".

        Raises:
            UsageError: a prompt is empty, or nothing of it is known.
        """
        is_told = self.text is not None or bool(self.names)
        if is_told and not allow_empty and any(isinstance(one, str) and not one.strip() for one in asked):
            raise UsageError("the prompt is empty; say what is to be painted")
        if self.text is not None:
            return self._told_words(self.text, [str(prompt) for prompt in asked], negative)
        none = ((),) * len(asked)
        if self.names:
            labels = torch.tensor([self._label(one) for one in asked], device=self.device)
            led_away = torch.tensor([self._label(negative)], device=self.device)
            return Told(Condition(label_B=labels), Condition(label_B=led_away), none, none)
        if any(str(one).strip() for one in (*asked, negative)):
            raise UsageError("this painter was trained without labels and words; ask it for '' (anything)")
        return Told(Condition(), Condition(), none, none)

    def known_words(self, prompt: str) -> str:
        """Return a prompt without the words that the text encoder never saw.

        Raises:
            UsageError: it saw none of them.
        """
        assert self.text is not None
        tokenizer = self.text.tokenizer
        unknown = set(tokenizer.unknown_words(prompt))
        if not unknown:
            return prompt
        with_place = [word for word in tokenizer.words(prompt) if word not in MARKS]
        known = with_place + [word for word in tokenizer.lost_words(prompt) if word not in unknown]
        if not known:
            raise UsageError(f"not one word of {prompt!r} is known to the text encoder; ask for what it has seen")
        return " ".join(known)

    def _told_words(self, text: TextConditioner, prompts: list[str], negative: str) -> Told:
        unknown = tuple(tuple(text.tokenizer.unknown_words(prompt)) for prompt in prompts)
        known = [self.known_words(prompt) for prompt in prompts]
        lost = tuple(tuple(text.tokenizer.lost_words(prompt)) for prompt in known)
        return Told(text(known), text([self.known_words(negative)]), unknown, lost)

    def _label(self, asked: str | int) -> int:
        """Return the number of a label, given as such or by its name; '' is the number of "no label"."""
        if isinstance(asked, str) and asked in self.names:
            return self.names.index(asked)
        if isinstance(asked, str) and not asked.strip():
            return len(self.names)
        if isinstance(asked, int) or asked.isdecimal():
            if not 0 <= int(asked) < len(self.names):
                raise UsageError(f"label {asked} is not there; expected 0 to {len(self.names) - 1}")
            return int(asked)
        raise UsageError(f"no label {asked!r}; expected one of {', '.join(self.names)}{suggest(asked, self.names)}")
