"""diffusers' diffusion transformer with our weights: the same function, computed by somebody else's code.

Theirs embeds time and label anew in every block, so our one embedding goes into each; q, k and v are three matrices;
a patch's numbers leave row by row with the channels innermost, ours channel by channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from cutaway.base.errors import UsageError
from cutaway.diffusion.dit import DiT
from cutaway.diffusion.modulation import EPS

if TYPE_CHECKING:
    from torch import nn


def diffusers_dit(ours: DiT, activation: str = "gelu") -> nn.Module:
    """Return a `DiTTransformer2DModel` that computes what ours does: t in thousandths, a label for every picture.

    Args:
        activation: theirs; "gelu" is what our weights mean, "gelu-approximate" what theirs comes with.

    Raises:
        UsageError: `diffusers` is not installed, or the model has what theirs has not.
    """
    config = ours.config
    if (
        not config.n_labels
        or config.d_words
        or config.d_pooled
        or config.modulation != "blocks"
        or config.mlp_ratio != 4
    ):
        raise UsageError("diffusers' DiT has labels, an MLP four times as wide, no words, and a modulation a block")
    try:
        from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
    except ImportError as error:
        raise UsageError("diffusers is not installed; pip install 'cutaway[bench]'") from error

    theirs = DiTTransformer2DModel(
        num_attention_heads=config.n_heads,
        attention_head_dim=config.d_model // config.n_heads,
        in_channels=config.channels,
        num_layers=config.n_layers,
        sample_size=config.size,
        patch_size=config.patch,
        num_embeds_ada_norm=config.n_labels,
        activation_fn=activation,
        norm_eps=EPS,
    )
    theirs.load_state_dict(carried_over(ours), strict=False)
    return theirs


def carried_over(ours: DiT) -> dict[str, torch.Tensor]:
    """Return our weights under diffusers' names."""
    config, mine = ours.config, {name: value.detach() for name, value in ours.state_dict().items()}
    names: dict[str, torch.Tensor] = {}

    def put(theirs: str, source: str) -> None:
        for kind in ("weight", "bias"):
            names[f"{theirs}.{kind}"] = mine[f"{source}.{kind}"]

    edge, d_model = config.patch, config.d_model
    names["pos_embed.proj.weight"] = mine["patch_embedding.weight"].view(d_model, config.channels, edge, edge)
    names["pos_embed.proj.bias"] = mine["patch_embedding.bias"]
    for i in range(config.n_layers):
        block, source = f"transformer_blocks.{i}", f"blocks.{i}"
        put(f"{block}.norm1.emb.timestep_embedder.linear_1", "time_embedding.up_proj")
        put(f"{block}.norm1.emb.timestep_embedder.linear_2", "time_embedding.down_proj")
        names[f"{block}.norm1.emb.class_embedder.embedding_table.weight"] = mine["label_embedding.weight"]
        put(f"{block}.norm1.linear", f"modulations.projections.{i}")
        for kind in ("weight", "bias"):
            for name, part in zip("qkv", mine[f"{source}.attn.qkv_proj.{kind}"].chunk(3), strict=True):
                names[f"{block}.attn1.to_{name}.{kind}"] = part
        put(f"{block}.attn1.to_out.0", f"{source}.attn.o_proj")
        put(f"{block}.ff.net.0.proj", f"{source}.mlp.up_proj")
        put(f"{block}.ff.net.2", f"{source}.mlp.down_proj")
    put("proj_out_1", "modulations.output")
    for kind in ("weight", "bias"):
        numbers = mine[f"output_proj.{kind}"].unflatten(0, (config.channels, edge, edge))
        names[f"proj_out_2.{kind}"] = numbers.movedim(0, 2).flatten(0, 2)
    return names
