"""Induction heads: "A B ... A" and the model says "B". Which heads do that, measured on sequences that repeat.

A sequence is P tokens, then the same P again; nothing but the first half can tell what comes next in the second. For a
query t there and the place just after its token's earlier occurrence, s = t - P + 1 (Olsson et al. 2022,
arXiv:2209.11895, "In-context Learning and Induction Heads"):

    prefix matching  mean of pattern[t,s]                                                 does it look there
    copying          mean of sum(s: pattern[t,s] * up(t, token_s)) / sum(s: pattern[t,s])   does it say what it sees
      up(t, w)       how the head's own output (z W_O, through norm and unembedding, at t) moves the logit of w among all
                     tokens: 1 above all others, 0 in the middle, -1 below all. Sums leave out the mark of the beginning.

Both are measured on the run, not read off the weights. The control is the same with a second half of other tokens: a
head that always looks P - 1 back scores there too. The rule, `is_induction`: prefix matching at least `ENOUGH_MATCHING`
above its control, and copying at least `ENOUGH_COPYING`.

Random tokens (each at most once in a half, as far as there are enough) leave nothing but induction to go by; pieces of
a real text are what the model knows better, and its training's n-grams help it there. Look at the loss by position: it
falls at the seam if the model has such heads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from cutaway.base.errors import UsageError
from cutaway.base.seed import torch_generator
from cutaway.lens.activations import read
from cutaway.models.decoder import Decoder
from cutaway.nn.attention import Attention
from cutaway.nn.norm import LayerNorm, RMSNorm
from cutaway.notebook import Figure, Shown
from cutaway.text.tokenizer import Tokenizer

ENOUGH_MATCHING = 0.3
"""A third of the attention goes there, near enough; by chance it is one part in as many as were read."""
ENOUGH_COPYING = 0.25
"""Clearly above chance: what the head sees elsewhere counts too, and keeps the score of a real one away from 1."""
LONGEST = 64
"""Tokens in a half unless told otherwise."""
COMPARED = 1000
"""With how many tokens of the vocabulary a token is compared at most, drawn once for all heads."""


@dataclass(frozen=True)
class Sequences:
    """Halves that repeat, and as a control the same first halves with others behind."""

    repeated_BT: Int[Tensor, "B T"]
    other_BT: Int[Tensor, "B T"]
    length: int
    """Tokens in a half, P."""
    n_before: int
    """1 where a mark of the beginning stands first, else 0."""
    source: str
    """`random tokens` or `pieces of a text`."""
    seed: int


@dataclass(frozen=True)
class InductionScan(Shown):
    """All heads of a model on the same sequences."""

    sequences: Sequences
    prefix_LH: Float[Tensor, "L H"]
    """Prefix matching, 0 to 1."""
    control_LH: Float[Tensor, "L H"]
    """The same share of attention where the second half repeats nothing."""
    copying_LH: Float[Tensor, "L H"]
    """-1 to 1; 0: chance."""
    raised_LH: Float[Tensor, "L H"]
    """By how much the head raises the logits of what it looks at above the mean of all tokens, in nats."""
    loss_T: Float[Tensor, " T"]
    """Mean loss in nats of the token at each position; NaN at 0, which nothing precedes."""
    control_loss_T: Float[Tensor, " T"]

    def show(self) -> Figure:
        """Return all heads as a figure, and the loss by position."""
        from cutaway.lens.induction_figure import induction_figure

        return induction_figure(self).show()

    def is_induction(self, layer: int, head: int) -> bool:
        """Whether a head does what induction heads do, by the rule above."""
        gain = float(self.prefix_LH[layer, head] - self.control_LH[layer, head])
        return gain >= ENOUGH_MATCHING and float(self.copying_LH[layer, head]) >= ENOUGH_COPYING

    @property
    def heads(self) -> list[str]:
        """The induction heads, `LAYER.HEAD`, the best at matching first."""
        n_layers, n_heads = self.prefix_LH.shape
        found = [(i, h) for i in range(n_layers) for h in range(n_heads) if self.is_induction(i, h)]
        return [f"{i}.{h}" for i, h in sorted(found, key=lambda pair: -float(self.prefix_LH[pair]))]

    @property
    def first_half_nats(self) -> float:
        """Mean loss over the first half, its first token left out."""
        start = self.sequences.n_before + 1
        return float(self.loss_T[start : start + self.sequences.length - 1].mean())

    @property
    def second_half_nats(self) -> float:
        """Mean loss over the second half, its first token left out, which nobody can know."""
        return self._second(self.loss_T)

    @property
    def control_second_half_nats(self) -> float:
        """The same where the second half repeats nothing."""
        return self._second(self.control_loss_T)

    def _second(self, loss_T: Tensor) -> float:
        return float(loss_T[self.sequences.n_before + self.sequences.length + 1 :].mean())


def induction(
    model: Decoder,
    tokenizer: Tokenizer,
    text: str | None = None,
    length: int | None = None,
    n_sequences: int = 16,
    seed: int = 0,
) -> InductionScan:
    """Return every head's scores, and the loss by position.

    Args:
        text: take the halves from it; left out: random tokens.
        length: tokens in a half; left out: 64, or what fits the model.

    Raises:
        UsageError: the halves do not fit the model or the text.
    """
    sequences = draw(model, tokenizer, text, length, n_sequences, seed)
    candidates_V = torch.tensor(spoken(model, tokenizer))
    generator = torch_generator(seed, "compared")
    compared_V = candidates_V[torch.randperm(len(candidates_V), generator=generator)[:COMPARED]]
    prefix_LH, copying_LH, raised_LH, loss_T = _measure(model, sequences, sequences.repeated_BT, compared_V)
    control_LH, _, _, control_loss_T = _measure(model, sequences, sequences.other_BT, None)
    return InductionScan(sequences, prefix_LH, control_LH, copying_LH, raised_LH, loss_T, control_loss_T)


def spoken(model: Decoder, tokenizer: Tokenizer) -> list[int]:
    """Return the tokens that stand for some text by themselves: no marks, no unknown, no single bytes of a character."""
    marks = {tokenizer.bos_id, tokenizer.eos_id, tokenizer.unknown_id}
    n = min(tokenizer.vocab_size, model.lm_head.out_features)
    return [i for i in range(n) if i not in marks and (text := tokenizer.decode([i])) and "\ufffd" not in text]


def draw(
    model: Decoder, tokenizer: Tokenizer, text: str | None, length: int | None, n_sequences: int, seed: int
) -> Sequences:
    """Return the sequences of one seed.

    Raises:
        UsageError: they do not fit the model or the text.
    """
    start = tokenizer.prompt_ids("") if tokenizer.bos_id is not None else []
    room = (model.config.context_length - len(start)) // 2
    if length is not None and not 2 <= length <= room:
        raise UsageError(f"halves of {length} tokens do not fit; expected 2 to {room}, half the model's context")
    if n_sequences < 1:
        raise UsageError(f"{n_sequences} sequences say nothing; expected 1 or more")
    generator = torch_generator(seed, "induction")
    if text is None:
        pool_N = torch.tensor(spoken(model, tokenizer))
        length = length or min(LONGEST, room, len(pool_N))
        halves = [_some(pool_N, length, generator) for _ in range(2 * n_sequences)]
    else:
        ids_N = torch.tensor(tokenizer.encode(text))
        length = length or min(LONGEST, room, len(ids_N) // 2)
        if length < 2 or len(ids_N) < 2 * length:
            raise UsageError(f"the text has {len(ids_N)} tokens; expected at least {max(4, 2 * length)}, two halves")
        places = torch.randint(len(ids_N) - length + 1, (2 * n_sequences,), generator=generator).tolist()
        halves = [ids_N[place : place + length] for place in places]
    before = torch.tensor(start, dtype=torch.int64)
    pairs = list(zip(halves[::2], halves[1::2], strict=True))
    return Sequences(
        torch.stack([torch.cat([before, one, one]) for one, _ in pairs]),
        torch.stack([torch.cat([before, one, other]) for one, other in pairs]),
        length,
        len(start),
        "random tokens" if text is None else "pieces of a text",
        seed,
    )


def _some(pool_N: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return n tokens of the pool in random order, none twice before all were taken."""
    rounds = [pool_N[torch.randperm(len(pool_N), generator=generator)] for _ in range(math.ceil(n / len(pool_N)))]
    return torch.cat(rounds)[:n]


def _measure(
    model: Decoder, sequences: Sequences, tokens_BT: Tensor, compared_V: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return prefix matching, copying and raised logits of every head, and the loss by position."""
    layers = range(len(model.blocks))
    last = f"blocks.{layers[-1]}.resid_post"
    wanted = {f"blocks.{i}.attn.pattern" for i in layers}
    if compared_V is not None:
        wanted |= {last} | {f"blocks.{i}.attn.z" for i in layers}
    found = read(model, tokens_BT, wanted)
    nats = [  # one sequence at a time: a large vocabulary takes much room
        F.cross_entropy(logits_TV[:-1].float(), ids_T[1:].to(logits_TV.device), reduction="none").cpu()
        for logits_TV, ids_T in zip(found["logits"], tokens_BT, strict=True)
    ]
    loss_T = torch.cat([torch.tensor([math.nan]), torch.stack(nats).mean(0)])

    P, start = sequences.length, sequences.n_before
    t = torch.arange(start + P, start + 2 * P)
    prefix, copying, raised = [], [], []
    for i in layers:
        pattern_BHTS = found[f"blocks.{i}.attn.pattern"].float().cpu()
        prefix.append(pattern_BHTS[:, :, t, t - P + 1].mean((0, 2)))
        if compared_V is not None:
            z_BTHD = found[f"blocks.{i}.attn.z"][:, t].float().cpu()
            block = model.blocks[i].attn
            assert isinstance(block, Attention)
            scores = _copying(
                model, block, z_BTHD, pattern_BHTS[:, :, t], found[last][:, t], tokens_BT, compared_V, start
            )
            copying.append(scores[0])
            raised.append(scores[1])
    prefix_LH = torch.stack(prefix)
    nothing = torch.full_like(prefix_LH, math.nan)
    return (
        prefix_LH,
        torch.stack(copying) if copying else nothing,
        torch.stack(raised) if raised else nothing,
        loss_T,
    )


@torch.no_grad()
def _copying(
    model: Decoder,
    attn: Attention,
    z_BTHD: Tensor,
    pattern_BHTS: Tensor,
    stream_BTC: Tensor,
    tokens_BT: Tensor,
    compared_V: Tensor,
    start: int,
) -> tuple[Tensor, Tensor]:
    """Return for each head of one block how it moves the logits of what it looks at: by rank, and by how much."""
    seen_BS = tokens_BT[:, start:]
    seen_BSC, compared_VC = read_out(model, seen_BS), read_out(model, compared_V)
    is_compared_BS = torch.isin(seen_BS, compared_V)
    size_BT1 = norm_size(model, stream_BTC)
    scores, amounts = [], []
    for head in range(attn.n_heads):
        columns = slice(head * attn.d_head, (head + 1) * attn.d_head)
        out_BTC = z_BTHD[:, :, head] @ attn.o_proj.weight[:, columns].float().cpu().T
        own_BTS = out_BTC @ seen_BSC.transpose(1, 2)
        all_BTV, _ = (out_BTC @ compared_VC.T).sort(-1)
        n = all_BTV.shape[-1]
        below_BTS = torch.searchsorted(all_BTV, own_BTS)
        not_above_BTS = torch.searchsorted(all_BTV, own_BTS, right=True)
        # a token is not compared with itself: as a tie it adds nothing above and is left out below
        up_BTS = (below_BTS + not_above_BTS - n) / (n - is_compared_BS[:, None].float()).clamp(min=1)
        amount_BTS = (own_BTS - all_BTV.mean(-1, keepdim=True)) / size_BT1
        share_BTS = pattern_BHTS[:, head, :, start:]
        share_BTS = share_BTS / share_BTS.sum(-1, keepdim=True).clamp(min=1e-9)
        scores.append((share_BTS * up_BTS).sum(-1).mean())
        amounts.append((share_BTS * amount_BTS).sum(-1).mean())
    return torch.stack(scores), torch.stack(amounts)


def read_out(model: Decoder, tokens: Int[Tensor, "*N"]) -> Float[Tensor, "*N C"]:
    """Return the directions in the stream that raise the tokens' logits: rows of the head behind the norm's gain and
    centring."""
    rows = model.lm_head.weight.detach()[tokens.to(model.device)].float().cpu()
    gain = getattr(model.final_norm, "weight", None)
    rows = rows if gain is None else rows * gain.detach().float().cpu()
    return rows - rows.mean(-1, keepdim=True) if isinstance(model.final_norm, LayerNorm) else rows


def norm_size(model: Decoder, stream_BTC: Tensor) -> Float[Tensor, "B T 1"]:
    """Return what the final norm divided by at each position."""
    x = stream_BTC.float().cpu()
    norm = model.final_norm
    if not isinstance(norm, (LayerNorm, RMSNorm)):
        return torch.ones_like(x[..., :1])
    if isinstance(norm, LayerNorm):
        x = x - x.mean(-1, keepdim=True)
    return (x.square().mean(-1, keepdim=True) + norm.eps).sqrt()
