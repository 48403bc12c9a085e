"""Direct attribution: a logit as a sum over the parts of the model that wrote to the residual stream.

    logit[a] = W[a] . norm(x) + b[a]        x = embeddings + sum(l: sum(h: z[l,h] W_O[l,h]) + b_O[l] + mlp[l])

The stream is a sum, and the head is linear; only the last norm stands between. It divides by one number, the size of
x. Held at the value recorded here (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; nostalgebraist
2020), norm and head together are one vector u, and every part's share of the logit is its output . u: exact for this
text, and the shares add up to the logit. It is a statement about this sum and no more: without a part, the size of x, and
what later parts read, would have been different (`ablate.py` measures that).

The shares of one head split further, by the position it read from: pattern[t,s] * v[s] W_O . u; those of an MLP by
its hidden units. Look at a head whose share comes from one earlier position: it moved the answer here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cutaway.base.errors import UsageError
from cutaway.lens.activations import read
from cutaway.lens.answer import Answer, Token, as_prompt, choose_answer
from cutaway.lens.prompt import Prompt
from cutaway.models.decoder import Decoder, evaluating
from cutaway.nn.attention import Attention
from cutaway.nn.block import Block
from cutaway.nn.mlp import MLP, GatedMLP
from cutaway.nn.norm import LayerNorm, NoNorm, RMSNorm
from cutaway.notebook import Figure, Shown
from cutaway.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Term:
    """One summand of a logit."""

    name: str
    """`token`, `position`, `2-grams`, `2.0` (block 2, head 0), `mlp 2`, or where a bias stands: `attn 2 bias`."""
    kind: str
    """`embedding`, `head`, `mlp` or `bias`."""
    layer: int | None
    """The block it stands in."""
    value: float
    """What it adds to the logit, in nats."""


@dataclass(frozen=True)
class Attribution(Shown):
    """A logit, or the difference of two, as a sum."""

    prompt: Prompt
    answer: Answer
    logit: float
    """What the model computed: the sum, in nats."""
    terms: tuple[Term, ...]
    """In the order of the model."""
    rest: float
    """The logit less the sum of the terms: rounding."""
    norm_size: float | None
    """What the last norm divided by here, held fixed; None where the model has no last norm."""
    heads_LH: Float[Tensor, "L H"]
    mlps_L: Float[Tensor, " L"]
    """Without the bias, which is a term of its own."""
    sources_LHS: Float[Tensor, "L H S"]
    """Each head's share, by the position it moved it from."""
    neurons_LF: Float[Tensor, "L F"]
    """Each MLP's share, by hidden unit."""

    @property
    def reading(self) -> str:
        """What the numbers mean, in a sentence."""
        said = "The model has no norm before its head: the parts add up as they are."
        if self.norm_size is not None:
            said = (
                f"The last norm divided by {self.norm_size:.4g} at this position; that number is held fixed, so a part's "
                f"share is what it adds here, not what would be missing without it."
            )
        if self.answer.other is None:
            said += " Logits have no zero of their own: beside a second token one sees what made the first likelier."
        return said

    def show(self) -> Figure:
        """Return the sum as a figure."""
        from cutaway.lens.attribution_figure import attribution_figure

        return attribution_figure(self).show()

    def largest(self, n: int) -> list[Term]:
        """Return the n terms of the largest size, the largest first."""
        return sorted(self.terms, key=lambda term: -abs(term.value))[:n]

    def top_neurons(self, layer: int, n: int = 10) -> list[tuple[int, float]]:
        """Return an MLP's hidden units of the largest shares: (unit, share), the largest first.

        Raises:
            UsageError: there is no such block.
        """
        if not 0 <= layer < len(self.neurons_LF):
            raise UsageError(f"there is no mlp {layer}; the model has mlp 0 to {len(self.neurons_LF) - 1}")
        shares = self.neurons_LF[layer]
        order = shares.abs().topk(min(n, len(shares))).indices.tolist()
        return [(unit, float(shares[unit])) for unit in order]

    def as_dict(self, n_neurons: int = 10) -> dict[str, Any]:
        """Return it as plain facts."""
        return {
            "pieces": list(self.prompt.pieces),
            "cut": self.prompt.cut,
            "answer": self.answer.as_dict(),
            "what": str(self.answer),
            "logit": self.logit,
            "terms": [{"name": t.name, "kind": t.kind, "layer": t.layer, "value": t.value} for t in self.terms],
            "rest": self.rest,
            "norm_size": self.norm_size,
            "reading": self.reading,
            "heads": self.heads_LH.tolist(),
            "mlps": self.mlps_L.tolist(),
            "sources": self.sources_LHS.tolist(),
            "neurons": [
                [{"unit": unit, "value": value} for unit, value in self.top_neurons(layer, n_neurons)]
                for layer in range(len(self.neurons_LF))
            ],
        }


def attribute(
    model: Decoder,
    tokenizer: Tokenizer,
    text: str | Prompt,
    answer: Token | None = None,
    other: Token | None = None,
    position: int = -1,
) -> Attribution:
    """Split a logit into what each part of the model added to it. Sums are taken in float64.

    Args:
        answer: a token, as text or id; left out: the model's own first guess.
        other: the token it is compared with, in which case the difference of the logits is split; left out: the logit.
        position: after which token the answer comes; negative ones count from the end.
    """
    prompt = as_prompt(model, tokenizer, text)
    layers = range(len(model.blocks))
    last = f"blocks.{layers[-1]}.resid_post"
    wanted = {last} | {f"blocks.{i}.{part}" for i in layers for part in ("attn.z", "attn.v", "attn.pattern")}
    found = read(model, prompt.tokens, wanted | {f"blocks.{i}.mlp.mlp_post" for i in layers})
    logits_TV = found["logits"][0]
    asked = choose_answer(tokenizer, logits_TV, answer, other, position)
    at = asked.position

    terms: list[Term] = []
    stream_C = precise(found[last][0, at])
    direction_C, head_bias = read_out(model.lm_head, asked)
    u_C, offset = through_norm(model.final_norm, stream_C, direction_C)
    embeddings, embedding_offset = embedding_terms(model, prompt, at, u_C)
    terms += embeddings
    heads, sources, mlps, neurons = [], [], [], []
    for i in layers:
        attn, mlp = parts(model, i)
        write_HD = (u_C @ precise(attn.o_proj.weight)).view(attn.n_heads, attn.d_head)
        heads.append((precise(found[f"blocks.{i}.attn.z"][0, at]) * write_HD).sum(1))
        v_SHD = precise(found[f"blocks.{i}.attn.v"][0]).repeat_interleave(attn.n_heads // attn.n_kv_heads, dim=1)
        pattern_HS = precise(found[f"blocks.{i}.attn.pattern"][0, :, at])
        sources.append(pattern_HS * torch.einsum("shd,hd->hs", v_SHD, write_HD))
        neurons.append(precise(found[f"blocks.{i}.mlp.mlp_post"][0, at]) * (u_C @ precise(mlp.down_proj.weight)))
        mlps.append(neurons[-1].sum())
        terms += [Term(f"{i}.{h}", "head", i, float(share)) for h, share in enumerate(heads[-1])]
        terms += bias_term(f"attn {i} bias", i, attn.o_proj, u_C)
        terms.append(Term(f"mlp {i}", "mlp", i, float(mlps[-1])))
        terms += bias_term(f"mlp {i} bias", i, mlp.down_proj, u_C)
    constants = {"embedding norm bias": embedding_offset, "last norm bias": offset, "head bias": head_bias}
    terms += [Term(name, "bias", None, value) for name, value in constants.items() if value is not None]
    logit = float(asked.of(precise(logits_TV[at])))
    return Attribution(
        prompt=prompt,
        answer=asked,
        logit=logit,
        terms=tuple(terms),
        rest=logit - sum(term.value for term in terms),
        norm_size=norm_size(model.final_norm, stream_C),
        heads_LH=torch.stack(heads),
        mlps_L=torch.stack(mlps),
        sources_LHS=torch.stack(sources),
        neurons_LF=torch.stack(neurons),
    )


def embedding_terms(model: Decoder, prompt: Prompt, at: int, u_C: Tensor) -> tuple[list[Term], float | None]:
    """Return the share of each table of embeddings, and of the offset of the norm behind them.

    That norm is folded in as the last one is: at the size recorded for this position.
    """
    tokens = prompt.tokens.to(model.device)
    rows = {"token": precise(model.token_embedding.weight[tokens[0, at]])}
    with evaluating(model):
        for name, table in model.added_embeddings.items():
            plain = "position" if name == "positions" else name.replace("ngrams_", "") + "-grams"
            rows[plain] = precise(table(tokens, tokens.shape[1])[0, at])
    total_C = torch.stack(list(rows.values())).sum(0)
    before_C, offset = through_norm(model.embedding_norm, total_C, u_C)
    return [Term(name, "embedding", None, float(row_C @ before_C)) for name, row_C in rows.items()], offset


def parts(model: Decoder, layer: int) -> tuple[Attention, MLP | GatedMLP]:
    """Return a block's attention and MLP."""
    block = model.blocks[layer]
    assert isinstance(block, Block)
    assert isinstance(block.attn, Attention)
    assert isinstance(block.mlp, (MLP, GatedMLP))
    return block.attn, block.mlp


def read_out(lm_head: nn.Linear, asked: Answer) -> tuple[Float[Tensor, " C"], float | None]:
    """Return the vector the head multiplies by what it reads, for the answer, and its bias."""
    weight, bias = lm_head.weight, lm_head.bias
    direction_C = precise(weight[asked.token])
    if asked.other is not None:
        direction_C = direction_C - precise(weight[asked.other])
    return direction_C, None if bias is None else float(asked.of(precise(bias)))


def through_norm(
    norm: nn.Module, x_C: Float[Tensor, " C"], direction_C: Float[Tensor, " C"]
) -> tuple[Float[Tensor, " C"], float | None]:
    """Return u and c with norm(x) . direction = x . u + c, and c None where the norm has no offset.

    The norm's size stays what it is at x, so that the same holds, added up, for any parts of x.
    """
    size = norm_size(norm, x_C)
    if size is None:
        return direction_C, None
    assert isinstance(norm, (LayerNorm, RMSNorm))
    u_C = direction_C / size if norm.weight is None else direction_C * precise(norm.weight) / size
    if isinstance(norm, LayerNorm):
        offset = None if norm.bias is None else float(direction_C @ precise(norm.bias))
        return u_C - u_C.mean(), offset  # centring x or centring u is the same
    return u_C, None


def norm_size(norm: nn.Module, x_C: Float[Tensor, " C"]) -> float | None:
    """Return what a norm divides x by.

    Raises:
        UsageError: a norm of another kind.
    """
    if isinstance(norm, NoNorm):
        return None
    if isinstance(norm, LayerNorm):
        return float((x_C.var(correction=0) + norm.eps).sqrt())
    if isinstance(norm, RMSNorm):
        return float((x_C.square().mean() + norm.eps).sqrt())
    raise UsageError(f"{type(norm).__name__} is no norm this can be read through; expected LayerNorm, RMSNorm or none")


def bias_term(name: str, layer: int, linear: nn.Linear, u_C: Float[Tensor, " C"]) -> list[Term]:
    """Return what a layer's bias adds, where it has one."""
    return [] if linear.bias is None else [Term(name, "bias", layer, float(u_C @ precise(linear.bias)))]


def precise(x: Tensor) -> Tensor:
    """Return numbers as float64 on the CPU, away from any graph."""
    return x.detach().cpu().double()
