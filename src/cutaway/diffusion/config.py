"""The shape of what paints, as settings. Importing this loads nothing heavy.

Pictures are float32 in [-1, 1] inside, `x_BCYX`; `size` is the edge of a square one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from cutaway.base.errors import ConfigError


@dataclass(frozen=True)
class PicturesConfig:
    """Which pictures."""

    source: str = "creatures"
    """`creatures` for our own captioned drawings, or a file or folder of pictures (IDX as MNIST has it, pictures with
    captions beside them, a JSONL, the `imagefolder` layout)."""
    size: int = 32
    """Edge of the square pictures, in pixels; others are scaled and cut to it."""
    held_out: int = 1024
    """Pictures held out, on which the loss is measured."""
    shift: int = 0
    """Pictures of files are moved by up to so many pixels, up or down and left or right, another way each time they are
    shown: fewer are learned by heart."""
    shift_epochs: int | None = None
    """Passes over the pictures in which they are moved; later they are shown as they are. Left out: always moved."""
    repeats: int = 1
    """How often each drawing of `creatures` is shown before it is thrown away, in other words, with other noise: drawing
    takes time too."""
    pictures_hash: str | None = None
    """Hash of the pictures, filled in when the run starts; a run only goes on with the same pictures."""
    share_of_pairs: float = 1 / 6
    """Share of the drawings of `creatures` that show two of them side by side; of those held out always a sixth."""

    def __post_init__(self) -> None:
        if not 0 <= self.share_of_pairs <= 1:
            raise ConfigError(f"pictures.share_of_pairs is {self.share_of_pairs}; expected 0 to 1")
        if not 8 <= self.size <= 512 or self.size % 4:
            raise ConfigError(f"pictures.size is {self.size}; expected a multiple of 4 from 8 to 512")
        if self.held_out < 1:
            raise ConfigError(f"pictures.held_out is {self.held_out}; expected 1 or more")
        if self.repeats < 1:
            raise ConfigError(f"pictures.repeats is {self.repeats}; expected 1 or more")
        if self.repeats > 1 and self.source != "creatures":
            raise ConfigError("pictures.repeats is for `creatures`; pictures of files come again anyway; expected 1")
        if not 0 <= self.shift < self.size:
            raise ConfigError(f"pictures.shift is {self.shift}; expected 0 up to, but not, pictures.size {self.size}")
        if self.shift and self.source == "creatures":
            raise ConfigError(
                "pictures.shift is for pictures of files; `creatures` are drawn anew each time; expected 0"
            )
        if self.shift_epochs is not None and (self.shift_epochs < 1 or not self.shift):
            raise ConfigError(
                f"pictures.shift_epochs is {self.shift_epochs}; expected 1 or more, with a pictures.shift, or nothing"
            )


@dataclass(frozen=True)
class UNetConfig:
    """A small U-Net: convolutions on the way down and up, with bridges between equal sizes."""

    toml_kind: ClassVar[str] = "unet"

    size: int = 32
    """Edge of what it denoises (pixels, or places of a latent)."""
    channels: int = 3
    """Channels of what it denoises."""
    patch: int = 1
    """Edge of the squares of pixels that it reads as one place with more channels. 2: a quarter of the work."""
    ends: bool = False
    """Read beside each pixel the noise it would have if the picture were black there, and if it were white (for pixels,
    on the path `flow`): near the picture the noise is too faint to be seen in the pixel itself."""
    width: int = 48
    """Channels of the finest level."""
    multipliers: tuple[int, ...] = (1, 2, 2)
    """Channels of each level, finest first, in units of `width`; every level has half the edge of the one before."""
    n_blocks: int = 1
    """Residual blocks on each level, down and up."""
    attention_from: int = 8
    """Levels with an edge of this or less have self-attention (and read words, if there are any). 0: none."""
    n_heads: int = 4
    """Heads of each attention."""
    n_labels: int = 0
    """Classes it can be told; 0: none."""
    d_words: int = 0
    """Width of the words it can be told; 0: none."""
    dropout: float = 0.0
    """Share of activations zeroed at random while training."""

    def __post_init__(self) -> None:
        if self.patch < 1 or self.size % (self.patch * 2 ** (len(self.multipliers) - 1)):
            raise ConfigError(
                f"model.size {self.size}, in patches of {self.patch}, cannot be halved {len(self.multipliers) - 1} times; "
                "give model.multipliers fewer levels, or another size or patch"
            )
        looking = [m for m, edge in zip(self.multipliers, self.edges, strict=True) if edge <= self.attention_from]
        if any(self.width * multiplier % self.n_heads for multiplier in looking):
            raise ConfigError(f"model.n_heads {self.n_heads} does not divide the channels of a level with attention")
        if self.d_words and not looking:
            raise ConfigError(
                f"words are read with attention, and no level has an edge of {self.attention_from} or less; "
                f"give model.attention_from {self.edges[-1]} or more"
            )

    @property
    def edges(self) -> tuple[int, ...]:
        """Edge of each level, in places, finest first."""
        return tuple(self.size // self.patch // 2**i for i in range(len(self.multipliers)))


@dataclass(frozen=True)
class DiTConfig:
    """A diffusion transformer (Peebles and Xie 2023): patches as tokens, time and label through adaLN-zero."""

    toml_kind: ClassVar[str] = "dit"

    size: int = 32
    """Edge of what it denoises (pixels, or places of a latent)."""
    channels: int = 3
    """Channels of what it denoises."""
    patch: int = 4
    """Edge of a patch, which becomes one token."""
    d_model: int = 192
    """Channels of the residual stream."""
    n_layers: int = 6
    """Number of blocks."""
    n_heads: int = 6
    """Heads of each attention."""
    mlp_ratio: float = 4.0
    """Width of the MLP, in units of d_model."""
    modulation: Literal["blocks", "shared"] = "blocks"
    """adaLN: every block has its own projection of the condition (as published), or one projection is `shared` and each
    block adds a table of its own (PixArt's adaLN-single, far fewer weights)."""
    n_labels: int = 0
    """Classes it can be told; 0: none."""
    d_words: int = 0
    """Width of the words it can be told, read by cross-attention in every block; 0: none."""
    d_pooled: int = 0
    """Width of the whole sentence's vector, added to the time; 0: none."""

    def __post_init__(self) -> None:
        if self.size % self.patch:
            raise ConfigError(f"model.patch {self.patch} does not divide model.size {self.size}")
        if self.d_model % self.n_heads or self.d_model % 4:
            raise ConfigError(
                f"model.d_model {self.d_model} must be a multiple of 4 and of model.n_heads {self.n_heads}"
            )


@dataclass(frozen=True)
class TextEncoderConfig:
    """A small transformer that reads a caption in both directions: a vector a word, and one for the whole."""

    vocab_size: int | None = None
    """Words it knows; left out: as many as the tokenizer has."""
    context_length: int = 24
    """Most tokens of a caption, its marks of begin and end included."""
    d_model: int = 128
    """Channels of the residual stream, and width of the words it hands on."""
    n_layers: int = 3
    """Number of blocks."""
    n_heads: int = 4
    """Heads of each attention."""
    d_shared: int = 64
    """Width of the space that captions and pictures share."""


@dataclass(frozen=True)
class ContrastiveConfig:
    """A small CLIP (Radford et al. 2021): a text encoder and a picture encoder that find each other's pair."""

    toml_kind: ClassVar[str] = "contrastive"

    size: int = 32
    """Edge of the pictures."""
    channels: int = 3
    """Channels of the pictures."""
    width: int = 32
    """Channels of the picture encoder's first level; each level doubles them."""
    n_levels: int = 3
    """Levels of the picture encoder, each half the edge of the one before."""
    text: TextEncoderConfig = TextEncoderConfig()
    """The text encoder."""
    foresight_weight: float = 12.0
    """Weight of the error with which words alone foresee what the picture encoder makes of each place. 0: they do not."""

    def __post_init__(self) -> None:
        if not 0 <= self.foresight_weight < float("inf"):
            raise ConfigError(f"model.foresight_weight is {self.foresight_weight}; expected 0 or more")


@dataclass(frozen=True)
class VAEConfig:
    """A variational autoencoder of pictures: a small map of latents in place of many pixels."""

    toml_kind: ClassVar[str] = "vae"

    size: int = 64
    """Edge of the pictures."""
    channels: int = 3
    """Channels of the pictures."""
    latent_channels: int = 8
    """Channels of the latent map."""
    patch: int = 2
    """Edge of the squares of pixels that are read, and written, as one place of the finest level."""
    width: int = 64
    """Channels of the finest level."""
    multipliers: tuple[int, ...] = (1, 2)
    """Channels of each level, finest first, in units of `width`; every level but the first halves the edge."""
    n_blocks: int = 1
    """Residual blocks on each level."""
    kl_weight: float = 1e-3
    """Weight of the KL divergence (nats a latent number) beside the reconstruction."""
    edge_weight: float = 0.5
    """Weight of the edge-aware loss: differences of neighbouring pixels."""
    coarse_weight: float = 0.0
    """Weight of the squared error of the pictures halved once, twice and three times: colour and size of small things."""

    def __post_init__(self) -> None:
        if self.size % self.factor:
            raise ConfigError(
                f"model.size {self.size} is no multiple of {self.factor}, the pixels that become one place of the latent "
                f"(model.patch {self.patch}, halved {len(self.multipliers) - 1} times)"
            )
        for name in ("kl_weight", "edge_weight", "coarse_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"model.{name} is {getattr(self, name)}; expected 0 or more")

    @property
    def factor(self) -> int:
        """Pixels along an edge that become one place of the latent map."""
        return self.patch * 2 ** (len(self.multipliers) - 1)

    @property
    def latent_size(self) -> int:
        """Edge of the latent map."""
        return self.size // self.factor


@dataclass(frozen=True)
class PathConfig:
    """How a picture is turned into noise, and what is predicted."""

    path: Literal["flow", "ddpm"] = "flow"
    """`flow`: straight lines x_t = (1-t) x_0 + t x_1 from noise to picture, the velocity x_1 - x_0 is predicted
    (Lipman et al. 2023, Liu et al. 2023); `ddpm`: a cosine schedule (Nichol and Dhariwal 2021), the noise is predicted."""
    times: Literal["uniform", "logit_normal"] = "uniform"
    """How often each t is trained: all alike, or some more often (Esser et al. 2024): log(t / (1 - t)) is normal."""
    times_mean: float = 0.0
    """Of the logit-normal times: 0: the middle (t = 0.5) most often; less than 0: earlier ones, where noise hides the
    picture and words alone say what it will be."""
    times_deviation: float = 1.0
    """Of the logit-normal times: the less, the more often the middle of them."""
    drop_condition: float = 0.1
    """Share of pictures trained without their label or caption, which guidance needs (Ho and Salimans 2022)."""
    detail_weight: float = 0.0
    """How much more than elsewhere an error weighs where the picture has detail, in training: small things are few pixels.
    0: everywhere the same; 1: half of the loss goes by the contrast around a pixel."""

    def __post_init__(self) -> None:
        if not (-4 <= self.times_mean <= 4 and 0.2 <= self.times_deviation <= 4):
            raise ConfigError(
                f"path.times_mean is {self.times_mean:g} and path.times_deviation {self.times_deviation:g}; "
                "expected -4 to 4 and 0.2 to 4"
            )
        if not 0 <= self.detail_weight < float("inf"):
            raise ConfigError(f"path.detail_weight is {self.detail_weight}; expected 0 or more")


@dataclass(frozen=True)
class PaintSamplingConfig:
    """How a picture is drawn from noise."""

    steps: int = 30
    """Steps from noise to picture."""
    sampler: Literal["euler", "heun", "dpm++"] = "heun"
    """`euler` asks the model once a step, `heun` twice, `dpm++` (second order, multistep) once."""
    guidance: float = 4.0
    """How far beyond the conditional prediction, away from the unconditional one; 1: the conditional one itself."""
    guidance_from: float = 0.0
    """Guidance begins at this time (0: noise)."""
    guidance_to: float = 1.0
    """Guidance ends at this time (1: picture)."""
    negative: str = ""
    """What it is led away from; empty: the empty prompt."""
    n: int = 8
    """Pictures."""
    best_of: int = 1
    """Drafts of each picture from noise; the reader says which is most like the words, and that one is painted."""
    seed: int = 0
    """The same seed, model and settings give the same pictures; picture i of many begins with the noise of seed + i."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the model's matrix products. `bfloat16` takes half the time on processors with units for it, where
    `auto` chooses it; pictures differ by a few shades, then also with how many are drawn together."""

    def __post_init__(self) -> None:
        checks = (
            ("steps", 1 <= self.steps <= 1000, "1 to 1000"),
            ("n", 1 <= self.n <= 1000, "1 to 1000"),
            ("best_of", 1 <= self.best_of <= 64, "1 (no choice) to 64"),
            ("guidance", 0 <= self.guidance <= 100, "0 to 100 (1: no guidance; 2 to 7 is usual)"),
            ("guidance_from", 0 <= self.guidance_from <= self.guidance_to, "0 up to guidance_to"),
            ("guidance_to", self.guidance_from <= self.guidance_to <= 1, "guidance_from up to 1"),
        )
        for name, is_right, expected in checks:
            if not is_right:
                raise ConfigError(f"sampling.{name} is {getattr(self, name)}; expected {expected}")
