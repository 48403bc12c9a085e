"""Activation patching: run a corrupted prompt, paste one activation of a clean one into it: does the clean answer return?

    effect = (patched - corrupted) / (clean - corrupted)        of a logit difference: 0 nothing, 1 all of it

Where the effect is large, the activation carries what tells the two prompts apart (Meng et al. 2022, arXiv:2202.05262;
Wang et al. 2022, arXiv:2211.00593; how to: Heimersheim and Nanda 2024, arXiv:2404.15255). Every place is patched alone:

    resid_pre, attn_out, mlp_out    each block x each position
    z                               each block x each head: what the head read, at all positions or at some

Prompts of one length are patched position by position. Of prompts of different length, the tokens that both begin
with and both end with are, the latter counted from the end; what stands between has no partner and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.base.errors import UsageError, suggest
from cutaway.lens.answer import Answer, Token, as_prompt, choose_answer, find_position
from cutaway.lens.onward import Change, Course, OnDone, answer_logits, follow, read_course
from cutaway.lens.prompt import Prompt
from cutaway.models.decoder import Decoder, evaluating
from cutaway.nn.attention import Attention
from cutaway.nn.block import Block
from cutaway.notebook import Figure, Shown
from cutaway.text.tokenizer import Tokenizer

WHAT = {
    "resid_pre": "the residual stream before a block",
    "attn_out": "what a block's heads wrote together",
    "mlp_out": "what a block's MLP wrote",
    "z": "what one head read",
}


@dataclass(frozen=True)
class Patching(Shown):
    """What pasting each activation of the clean prompt into the corrupted one does to the answer."""

    clean: Prompt
    corrupted: Prompt
    what: str
    """A key of `WHAT`."""
    answer: Answer
    """With its position in the corrupted prompt."""
    clean_logit: float
    """The logit, or the difference of two, in nats, without a patch."""
    corrupted_logit: float
    patched_LX: Float[Tensor, "L X"]
    """The same with each patch, blocks x positions of the corrupted prompt (`z`: x heads); NaN where none can be."""
    partners: tuple[int | None, ...]
    """For each position of the corrupted prompt the one of the clean prompt it gets its numbers from."""
    at: tuple[int, ...] | None
    """The positions at which heads were patched; None: at all that have a partner."""

    @property
    def effect_LX(self) -> Float[Tensor, "L X"]:
        """The share of the clean prompt's answer each patch brings back: 0 as corrupted, 1 as clean."""
        return (self.patched_LX - self.corrupted_logit) / (self.clean_logit - self.corrupted_logit)

    @property
    def note(self) -> str:
        """How the prompts were laid side by side, in a sentence."""
        n, m = len(self.clean.ids), len(self.corrupted.ids)
        if n == m:
            return f"Both prompts have {n} tokens and are patched position by position."
        paired = [p for p in self.partners if p is not None]
        ahead = sum(i == p for i, p in enumerate(self.partners))
        return (
            f"The clean prompt has {n} tokens, the corrupted one {m}: they are laid side by side on the first {ahead} and "
            f"the last {len(paired) - ahead}; what stands between is not patched."
        )

    def show(self) -> Figure:
        """Return the effect of every place as a figure."""
        from cutaway.lens.patch_figure import patch_figure

        return patch_figure(self).show()

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain facts; null where there is no partner."""

        def rows(table: Tensor) -> list[list[float | None]]:
            return [[None if value != value else value for value in row] for row in table.tolist()]

        return {
            "clean": {"pieces": list(self.clean.pieces), "cut": self.clean.cut},
            "corrupted": {"pieces": list(self.corrupted.pieces), "cut": self.corrupted.cut},
            "what": self.what,
            "columns": "heads" if self.what == "z" else "positions",
            "answer": self.answer.as_dict(),
            "clean_logit": self.clean_logit,
            "corrupted_logit": self.corrupted_logit,
            "patched": rows(self.patched_LX),
            "effect": rows(self.effect_LX),
            "partners": list(self.partners),
            "at": None if self.at is None else list(self.at),
            "note": self.note,
        }


def patch(
    model: Decoder,
    tokenizer: Tokenizer,
    clean: str | Prompt,
    corrupted: str | Prompt,
    answer: Token | None = None,
    other: Token | None = None,
    what: str = "resid_pre",
    position: int = -1,
    at: Sequence[int] | None = None,
    on_done: OnDone | None = None,
) -> Patching:
    """Paste each activation of the clean prompt into the corrupted one, alone, and measure the answer.

    Args:
        answer: a token, as text or id; left out, with `other`: what the model says to the clean prompt.
        other: what it is measured against; left out, with `answer`: what the model says to the corrupted prompt.
        what: a key of `WHAT`.
        position: after which token of the corrupted prompt the answer comes; negative ones count from the end.
        at: for `z`, the positions of the corrupted prompt at which to patch; left out: all.
        on_done: told how many patches are done, and of how many.

    Raises:
        UsageError: the prompts cannot be laid side by side, or their answers do not differ.
    """
    if what not in WHAT:
        raise UsageError(f"{what!r} cannot be patched{suggest(what, WHAT)}; there is {', '.join(WHAT)}")
    if at is not None and what != "z":
        raise UsageError(f"positions are chosen for heads only; {what} is patched at every position")
    clean, corrupted = as_prompt(model, tokenizer, clean), as_prompt(model, tokenizer, corrupted)
    partners = lay_side_by_side(clean, corrupted)
    where = find_position(position, len(corrupted.ids))
    source = partners[where]
    if source is None:
        raise UsageError(
            f"position {where} of the corrupted prompt stands at no position of the clean one; choose another"
        )
    chosen = None if at is None else tuple(find_position(place, len(corrupted.ids)) for place in at)

    part = {"resid_pre": "resid_pre", "z": "attn.z"}.get(what, what)
    theirs, ours = (read_course(model, prompt.tokens, {part, "resid_mid"}) for prompt in (clean, corrupted))
    asked = ask(tokenizer, theirs.logits_TV[source], ours.logits_TV[where], answer, other, where)
    clean_logit, corrupted_logit = (
        float(asked.of(course.logits_TV[place].float())) for course, place in ((theirs, source), (ours, where))
    )
    if clean_logit == corrupted_logit:
        raise UsageError(f"{asked} is {clean_logit:.4g} after both prompts, so there is nothing to bring back")

    pairs = [(i, p) for i, p in enumerate(partners) if p is not None and i <= where and (chosen is None or i in chosen)]
    ours = ours.until(where + 1)
    places, changes = [], []
    for layer in range(len(model.blocks)):
        found = changes_of(model, theirs, ours, what, layer, pairs)
        for column, change in found:
            places.append((layer, column))
            changes.append(change)
    patched_LX = torch.full(
        (len(model.blocks), n_columns(model, what, corrupted)), corrupted_logit, dtype=torch.float64
    )
    if what != "z":
        patched_LX[:, [i for i, p in enumerate(partners) if p is None]] = torch.nan

    def read_out(stream_NTC: Tensor, first: int) -> Tensor:
        return answer_logits(model, stream_NTC[:, where - first], asked)

    for (layer, column), value in zip(places, follow(model, ours, changes, read_out, on_done), strict=True):
        patched_LX[layer, column] = float(value)
    return Patching(clean, corrupted, what, asked, clean_logit, corrupted_logit, patched_LX, partners, chosen)


def n_columns(model: Decoder, what: str, corrupted: Prompt) -> int:
    """Return how many places of each block are patched."""
    return model.config.n_heads if what == "z" else len(corrupted.ids)


@torch.no_grad()
def changes_of(
    model: Decoder, theirs: Course, ours: Course, what: str, layer: int, pairs: list[tuple[int, int]]
) -> list[tuple[int, Change]]:
    """Return what every patch in one block changes in the residual stream, by column.

    A patch of the same numbers changes nothing and is left out.
    """
    if not pairs:
        return []
    block = model.blocks[layer]
    assert isinstance(block, Block)
    attn = block.attn
    assert isinstance(attn, Attention)
    to, source = (list(side) for side in zip(*pairs, strict=True))
    part = f"blocks.{layer}.{'attn.z' if what == 'z' else what}"
    new, old = theirs.found[part][0, source], ours.found[part][0, to]
    differs = [not torch.equal(a, b) for a, b in zip(new, old, strict=True)]
    if what == "resid_pre":
        return [(t, Change(layer, t, x_C[None])) for t, x_C, is_new in zip(to, new, differs, strict=True) if is_new]
    pre_TC, mid_TC = ours.streams[layer], ours.found[f"blocks.{layer}.resid_mid"][0]
    with evaluating(model):
        if what == "z":
            z_HTHD = ours.found[part].repeat(new.shape[1], 1, 1, 1)
            for head, z_THD in enumerate(z_HTHD):
                z_THD[to, head] = new[:, head]
            first = to[0]
            post_HTC = after_attention(block, pre_TC[None, first:], attn.o_proj(z_HTHD[:, first:].flatten(2)))
            heads = [head for head in range(new.shape[1]) if not torch.equal(new[:, head], old[:, head])]
            return [(head, Change(layer + 1, first, post_HTC[head])) for head in heads]
        post_TC = after_attention(block, pre_TC[None, to], new[None])[0] if what == "attn_out" else mid_TC[to] + new
    return [(t, Change(layer + 1, t, x_C[None])) for t, x_C, is_new in zip(to, post_TC, differs, strict=True) if is_new]


def after_attention(
    block: Block, pre: Float[Tensor, "#B T C"], attn_out: Float[Tensor, "B T C"]
) -> Float[Tensor, "B T C"]:
    """Return the stream after a block, from what its attention wrote."""
    mid = pre + attn_out
    return mid + block.mlp(block.mlp_norm(mid))


def ask(
    tokenizer: Tokenizer,
    clean_V: Float[Tensor, " V"],
    corrupted_V: Float[Tensor, " V"],
    answer: Token | None,
    other: Token | None,
    where: int,
) -> Answer:
    """Return what is measured; left out altogether: what the model says to one prompt against what it says to the other.

    Raises:
        UsageError: it says the same to both.
    """
    if answer is None and other is None:
        answer, other = int(clean_V.argmax()), int(corrupted_V.argmax())
        if answer == other:
            raise UsageError(
                f"the model says {tokenizer.token_text(answer)!r} to both prompts; "
                f"name the token you expect after the clean one, and the one after the other"
            )
    chosen = choose_answer(tokenizer, clean_V[None], answer, other, 0)
    return Answer(where, chosen.token, chosen.piece, chosen.other, chosen.other_piece)


def lay_side_by_side(clean: Prompt, corrupted: Prompt) -> tuple[int | None, ...]:
    """Return for each position of the corrupted prompt the one of the clean prompt that stands there.

    Raises:
        UsageError: of different length, and they do not end with the same token.
    """
    n, m = len(clean.ids), len(corrupted.ids)
    if n == m:
        return tuple(range(n))
    ahead, behind = 0, 0
    while ahead < min(n, m) - 1 and clean.ids[ahead] == corrupted.ids[ahead]:
        ahead += 1
    while behind < min(n, m) - ahead and clean.ids[-1 - behind] == corrupted.ids[-1 - behind]:
        behind += 1
    if not behind:
        raise UsageError(
            f"the clean prompt has {n} tokens and the corrupted one {m}, and they do not end alike, so their positions "
            f"cannot be laid side by side; give prompts of one length, or with the same last token"
        )
    return tuple(i if i < ahead else i + n - m if i >= m - behind else None for i in range(m))
