"""One decoding step with nothing around it: the same arithmetic as `Decoder`, laid out flat for one new
position.

At one position a small model computes for 0.2 ms, and calling its hundred modules takes longer than that.
So the parts are taken out of the model once, and a step runs them in a row: queries, keys and values (gate
and up too) come from one merged product, norms and rotations are shared by queries and keys, and weights
are stored the way the matrix product for this many texts reads them fastest. A part this page does not
know is called as it is. The cache is the model's own, so longer reads (the prompt) go through the model
and steps go on from there.

Equal to the model to rounding: tests/generate/test_flat.py.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.models.decoder import Decoder
from cutaway.nn.attention import Attention
from cutaway.nn.block import Block
from cutaway.nn.embedding import LearnedPositions
from cutaway.nn.kv_cache import KVCache, LayerCache
from cutaway.nn.mlp import MLP, GatedMLP
from cutaway.nn.norm import LayerNorm, NoNorm, RMSNorm
from cutaway.nn.position import NoRotation, Rotary
from cutaway.nn.quantized import Int8Linear

Part = Callable[[Tensor], Tensor]
_FEW_STEPS = 32
_MOST_COPIED_BYTES = 1 << 30


class FlatDecoder:
    """A decoder taken apart for steps of one position in every text of the cache.

    Args:
        n_steps: how many steps are expected; weights are only copied into a faster order when that pays.
    """

    def __init__(self, model: Decoder, cache: KVCache, n_steps: int) -> None:
        self.model, self.cache = model, cache
        fit = _fit(model, cache.tokens.shape[0], n_steps)
        self.embed_norm = _norm(model.embedding_norm)
        self.blocks = [
            _flat_block(block, layer, fit)
            for block, layer in zip(model.blocks, cache.layers, strict=True)
            if isinstance(block, Block)
        ]
        self.final_norm = _norm(model.final_norm)
        self.head = fit.linear([model.lm_head])

    @staticmethod
    def fits(model: nn.Module) -> bool:
        """Return whether the model is built as known here, and no hook waits on a module not called."""
        return type(model) is Decoder and all(
            not module._forward_hooks
            and not module._forward_pre_hooks
            and (not isinstance(module, Block) or _is_plain(module))
            for module in model.modules()
        )

    def step(self, tokens: Int[Tensor, "B 1"]) -> Float[Tensor, "B V"]:
        """Read one more token of each text; return the logits of the next."""
        model = self.model
        seen_BS = self.cache.see(tokens)
        position = seen_BS.shape[1] - 1
        x_BC = model.token_embedding.weight.index_select(0, tokens[:, 0])
        for embedding in model.added_embeddings.values():
            if type(embedding) is LearnedPositions:
                x_BC = x_BC + embedding.weight[position]
            else:
                x_BC = x_BC + embedding(seen_BS, 1)[:, 0]
        if self.embed_norm is not None:
            x_BC = self.embed_norm(x_BC)
        for block in self.blocks:
            x_BC = block(x_BC, position)
        if self.final_norm is not None:
            x_BC = self.final_norm(x_BC)
        return self.head(x_BC)


def _is_plain(block: Block) -> bool:
    return type(block) is Block and type(block.attn) is Attention


def _flat_block(block: Block, layer: LayerCache, fit: _Fit) -> Callable[[Tensor, int], Tensor]:
    attn_norm, mlp_norm = _norm(block.attn_norm) or _same, _norm(block.mlp_norm) or _same
    attend, mlp = _flat_attention(block.attn, layer, fit), _flat_mlp(block.mlp, fit)

    def step(x_BC: Tensor, position: int) -> Tensor:
        x_BC = x_BC + attend(attn_norm(x_BC), position)
        return x_BC + mlp(mlp_norm(x_BC))

    return step


def _flat_attention(attn: nn.Module, layer: LayerCache, fit: _Fit) -> Callable[[Tensor, int], Tensor]:
    assert isinstance(attn, Attention)
    H, G, D, scale = attn.n_heads, attn.n_kv_heads, attn.d_head, attn.scale
    qkv_proj, o_proj = fit.linear([attn.q_proj, attn.k_proj, attn.v_proj]), fit.linear([attn.o_proj])
    qk_norm, rotate = _norm(attn.qk_norm), _rotation(attn.rotary)
    keys_BNGD, values_BNGD = layer.keys, layer.values
    keys_BGND, values_BGND = keys_BNGD.transpose(1, 2), values_BNGD.transpose(1, 2)
    sdpa, is_grouped = F.scaled_dot_product_attention, H != G
    qk_v, q_k = [H + G, G], [H, G]

    def attend(x_BC: Tensor, position: int) -> Tensor:
        qkv_BND = qkv_proj(x_BC).view(-1, H + 2 * G, D)
        qk_BND, v_BGD = qkv_BND.split_with_sizes(qk_v, 1)
        if qk_norm is not None:
            qk_BND = qk_norm(qk_BND)
        if rotate is not None:
            qk_BND = rotate(qk_BND, position)
        q_BHD, k_BGD = qk_BND.split_with_sizes(q_k, 1)
        keys_BNGD.select(1, position).copy_(k_BGD)
        values_BNGD.select(1, position).copy_(v_BGD)
        S = layer.length = position + 1
        keys_BGSD, values_BGSD = keys_BGND.narrow(2, 0, S), values_BGND.narrow(2, 0, S)
        z_BHTD = sdpa(q_BHD.unsqueeze(2), keys_BGSD, values_BGSD, scale=scale, enable_gqa=is_grouped)
        return o_proj(z_BHTD.view(-1, H * D))

    return attend


def _flat_mlp(mlp: nn.Module, fit: _Fit) -> Part:
    if type(mlp) is MLP:
        up, activation, down = fit.linear([mlp.up_proj]), mlp.activation, fit.linear([mlp.down_proj])
        return lambda x: down(activation(up(x)))
    if type(mlp) is GatedMLP:
        gate_up, down = fit.linear([mlp.gate_proj, mlp.up_proj]), fit.linear([mlp.down_proj])

        def gated(x_BC: Tensor) -> Tensor:
            gate_BF, up_BF = gate_up(x_BC).chunk(2, dim=-1)
            return down(F.silu(gate_BF) * up_BF)

        return gated
    return _called(mlp)


def _norm(norm: nn.Module) -> Part | None:
    if type(norm) is NoNorm:
        return None
    if type(norm) is LayerNorm:
        shape, weight, bias, eps = (norm.width,), norm.weight, norm.bias, norm.eps
        return lambda x: torch.layer_norm(x, shape, weight, bias, eps)
    if type(norm) is RMSNorm:
        rms_shape, rms_weight, rms_eps = (norm.width,), norm.weight, norm.eps
        exact = (torch.float32, torch.float64)
        return lambda x: torch.rms_norm(x, rms_shape, rms_weight, rms_eps) if x.dtype in exact else norm(x)
    return norm


def _rotation(rotary: nn.Module) -> Callable[[Tensor, int], Tensor] | None:
    if type(rotary) is NoRotation:
        return None
    if type(rotary) is Rotary:
        half = rotary.d_head // 2
        swap_D = torch.arange(rotary.d_head, device=rotary.cos_ND.device).roll(half)
        cos_ND, sin_ND = rotary.cos_ND, rotary.sin_ND

        def rotate(x_BND: Tensor, position: int) -> Tensor:
            cos_D, sin_D = cos_ND[position].to(x_BND.dtype), sin_ND[position].to(x_BND.dtype)
            return torch.addcmul(x_BND * cos_D, x_BND.index_select(-1, swap_D), sin_D)

        return rotate

    def call(x_BND: Tensor, position: int) -> Tensor:
        rotated, _ = rotary(x_BND[:, None], x_BND[:, None], position)
        return rotated[:, 0]

    return call


def _called(part: nn.Module) -> Part:
    """Return a part this page does not know as the model calls it, with an axis of positions."""
    return lambda x: part(x[:, None])[:, 0]


def _same(x: Tensor) -> Tensor:
    return x


class _Fit:
    """Chooses, for the number of texts side by side, how a matrix product reads its weights fastest."""

    def __init__(self, n_texts: int, may_copy: bool) -> None:
        self.n_texts, self.may_copy = n_texts, may_copy
        self.made: dict[tuple[int, ...], Part] = {}

    def linear(self, layers: list[nn.Module]) -> Part:
        """Return linear layers with the same input as one product, their outputs side by side."""
        key = tuple(id(layer) for layer in layers)
        if key not in self.made:
            self.made[key] = self._make(layers)
        return self.made[key]

    def _make(self, layers: list[nn.Module]) -> Part:
        rounded = [layer for layer in layers if type(layer) is Int8Linear]
        if len(rounded) == len(layers):
            return rounded[0] if len(rounded) == 1 else Int8Linear.merge(rounded)
        linears = [layer for layer in layers if type(layer) is nn.Linear]
        if self.may_copy and len(linears) == len(layers):
            weights: list[Tensor] = [layer.weight for layer in linears]
            biases: list[Tensor] = [layer.bias for layer in linears if layer.bias is not None]
            return self._copy(torch.cat(weights), torch.cat(biases) if biases else None)
        parts = [layer if type(layer) in (nn.Linear, Int8Linear) else _called(layer) for layer in layers]
        return parts[0] if len(parts) == 1 else lambda x: torch.cat([part(x) for part in parts], dim=-1)

    def _copy(self, weight: Tensor, bias: Tensor | None) -> Part:
        if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float64):
            return lambda x: F.linear(x, weight, bias)
        is_large = weight.numel() >= 1 << 18
        if self.n_texts > 1 and is_large and weight.dtype is torch.float32:
            packed = _reorder(weight, self.n_texts)
            if packed is not None:
                linear = torch.ops.mkldnn._linear_pointwise
                return lambda x: linear(x, packed, bias, "none", [], "")
        weight_IO = weight.t().contiguous()
        if self.n_texts == 1:
            weight_OI = weight_IO.t()
            if bias is None:
                return lambda x: torch.mv(weight_OI, x[0])[None]
            return lambda x: torch.addmv(bias, weight_OI, x[0])[None]
        if bias is None:
            return lambda x: torch.mm(x, weight_IO)
        return lambda x: torch.addmm(bias, x, weight_IO)


_kept: WeakKeyDictionary[Decoder, tuple[list[tuple[int, float]], _Fit]] = WeakKeyDictionary()


def _fit(model: Decoder, n_texts: int, n_steps: int) -> _Fit:
    """Return the copies made of this model's weights before, if still the same, or room for new ones.

    Copying takes as long as twenty steps and as much memory as the weights, so short texts and very large
    models go without. A model in training changes before it writes again: its copies are not kept.
    """
    weights = list(model.parameters())
    n_bytes = sum(weight.numel() * weight.element_size() for weight in weights)
    if n_bytes > _MOST_COPIED_BYTES or any(weight.is_inference() for weight in weights):
        return _Fit(n_texts, may_copy=False)
    state = [(weight._version, _fingerprint(weight)) for weight in weights]
    kept_state, fit = _kept.get(model, (None, None))
    if fit is not None and kept_state == state and fit.n_texts == n_texts:
        return fit
    fit = _Fit(n_texts, may_copy=n_steps >= _FEW_STEPS)
    if fit.may_copy and not model.training:
        _kept[model] = (state, fit)
    return fit


def _fingerprint(weight: Tensor) -> float:
    """Return a number that changes when a few of the weights do: edits through `.data` count no version."""
    return float(weight.detach().flatten()[:: max(1, weight.numel() // 64)].sum())


def _reorder(weight: Tensor, n_texts: int) -> Tensor | None:
    """Return the weights in oneDNN's order for products with this many rows, where this PyTorch has it."""
    try:
        return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), n_texts)
    except (AttributeError, RuntimeError):
        return None
