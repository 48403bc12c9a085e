"""A block: attention moves information between positions, then the MLP works on each; both add to the stream.

    mid  = pre + attn(norm(pre))
    post = mid + mlp(norm(mid))

The residual stream (He et al. 2015, arXiv:1512.03385; norms first: Xiong et al. 2020, arXiv:2002.04745) runs
unbroken from embedding to head; each part reads it through a norm and adds to it. Look at `resid_pre_BTC` of
one block after another: the same vector, slowly edited.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.tap import tap
from cutaway.nn.attention import Lengths
from cutaway.nn.kv_cache import LayerCache


def rounded_once(x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
    """Return what several products read, in autocast's precision where that is on: each would round it for itself."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


class Block(nn.Module):
    """Attention, then MLP, each behind its norm and around its shortcut."""

    def __init__(
        self, attn_norm: nn.Module, attn: nn.Module, mlp_norm: nn.Module, mlp: nn.Module, dropout: float
    ) -> None:
        super().__init__()
        self.attn_norm, self.attn = attn_norm, attn
        self.mlp_norm, self.mlp = mlp_norm, mlp
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(
        self, x: Float[Tensor, "B T C"], cache: LayerCache | None = None, lengths: Lengths | None = None
    ) -> Float[Tensor, "B T C"]:
        """Return the residual stream after this block.

        Args:
            lengths: of texts that lie end to end in a row.
        """
        pre_BTC = tap("resid_pre_BTC", x)
        normed_BTC = rounded_once(self.attn_norm(pre_BTC))
        attn_out_BTC = tap("attn_out_BTC", self.dropout(self.attn(normed_BTC, cache, lengths)))
        mid_BTC = tap("resid_mid_BTC", pre_BTC + attn_out_BTC)
        mlp_out_BTC = tap("mlp_out_BTC", self.dropout(self.mlp(rounded_once(self.mlp_norm(mid_BTC)))))
        return tap("resid_post_BTC", mid_BTC + mlp_out_BTC)
