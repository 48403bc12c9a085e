"""Painters of random weights, small and of every kind."""

from __future__ import annotations

import torch
from torch import nn

from cutaway.diffusion.config import (
    ContrastiveConfig,
    DiTConfig,
    PaintSamplingConfig,
    PathConfig,
    TextEncoderConfig,
    UNetConfig,
    VAEConfig,
)
from cutaway.diffusion.contrastive import PictureEncoder
from cutaway.diffusion.dit import DiT
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.text_conditioner import TextConditioner
from cutaway.diffusion.text_encoder import TextEncoder
from cutaway.diffusion.unet import UNet
from cutaway.diffusion.vae import VAE
from cutaway.diffusion.word_tokenizer import WordTokenizer

CAPTIONS = ["a red cat", "a tiny blue owl wearing a hat", "two dogs on a beach"]
QUICK = PaintSamplingConfig(steps=3, sampler="euler", guidance=2.0, n=2, seed=5)


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give weights that start at zero something to say."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=random) / parameter[0].numel() ** 0.5)
    return module.eval()


def text_reader() -> TextConditioner:
    torch.manual_seed(0)
    tokenizer = WordTokenizer.learn(CAPTIONS, context_length=9)
    encoder = TextEncoder(TextEncoderConfig(tokenizer.vocab_size, 9, d_model=12, n_layers=1, n_heads=3, d_shared=10))
    return TextConditioner(randomised(encoder), tokenizer)


def picture_reader() -> PictureEncoder:
    """Of pictures of 8 x 8, for the captions of `text_reader`."""
    torch.manual_seed(0)
    config = ContrastiveConfig(size=8, width=4, n_levels=2, text=TextEncoderConfig(vocab_size=20, d_shared=10))
    reader = PictureEncoder(config)
    randomised(reader, seed=2)
    return reader


def word_painter(path: PathConfig | None = None) -> Painter:
    """A transformer on pixels, told words."""
    torch.manual_seed(0)
    text = text_reader()
    config = DiTConfig(size=8, patch=2, d_model=24, n_layers=2, n_heads=4, d_words=12, d_pooled=10)
    return Painter(randomised(DiT(config)), path or PathConfig(), text, reader=picture_reader())


def latent_painter() -> Painter:
    """A transformer on latents, told words."""
    torch.manual_seed(0)
    vae = VAE(VAEConfig(size=16, latent_channels=5, patch=2, width=6, multipliers=(1, 2)))
    randomised(vae, seed=1)
    vae.measure_scale(torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    config = DiTConfig(size=4, channels=5, patch=1, d_model=24, n_layers=1, n_heads=4, d_words=12)
    return Painter(randomised(DiT(config)), PathConfig(), text_reader(), vae=vae, reader=picture_reader())


def label_painter() -> Painter:
    """A U-Net on pixels, told labels."""
    torch.manual_seed(0)
    config = UNetConfig(size=8, channels=1, width=16, multipliers=(1, 2), attention_from=4, n_heads=2, n_labels=3)
    return Painter(randomised(UNet(config)), PathConfig(), names=("cat", "dog", "owl"))


def plain_painter() -> Painter:
    """A U-Net on pixels, told nothing."""
    torch.manual_seed(0)
    config = UNetConfig(size=8, width=16, multipliers=(1, 2), attention_from=0, n_heads=2)
    return Painter(randomised(UNet(config)), PathConfig(path="ddpm"))
