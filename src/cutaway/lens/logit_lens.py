"""What every layer would say: the head reads the residual stream early, after the final norm, as if no block followed.

    logits[n,t] = head(final_norm(stream[n,t]))        n: after the embedding, after each block

nostalgebraist 2020, "interpreting GPT: the logit lens". The final norm is the model's own, applied to each place's
stream with that stream's own mean and scale, so the last place is the model's output itself. Where a model has no final
norm the head reads the stream as it is.

    KL[n,t] = sum(v: p_final[v] * (ln p_final[v] - ln p_n[v]))     nats: what is lost by stopping there
    rank    = 1 + how many tokens are likelier                      1: the layer would say it

An early layer need not speak the head's language yet: a poor guess there is not proof that the layer knows nothing
(Belrose et al. 2023, arXiv:2303.08112). Look at the place from which on the answer stays on rank 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cutaway.lens.activations import read
from cutaway.lens.prompt import Prompt, read_prompt
from cutaway.models.decoder import Decoder, evaluating
from cutaway.notebook import Figure, Shown
from cutaway.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class LogitLens(Shown):
    """What each place in the model (N) would say next at each position (T)."""

    prompt: Prompt
    places: tuple[str, ...]
    """`embed`, then `blocks.0.resid_post` and so on (`resid_mid` between, where asked for): the microscope's names."""
    top_ids_NTK: Int[Tensor, "N T K"]
    """The likeliest tokens, likeliest first."""
    top_pieces: tuple[tuple[tuple[str, ...], ...], ...]
    """The same as text."""
    top_probability_NTK: Float[Tensor, "N T K"]
    final_ids_T: Int[Tensor, " T"]
    """What the whole model finds likeliest: the final answer."""
    final_pieces: tuple[str, ...]
    final_probability_NT: Float[Tensor, "N T"]
    """The final answer's probability at each place."""
    final_rank_NT: Int[Tensor, "N T"]
    """Its rank, from 1."""
    next_probability_NT: Float[Tensor, "N T"]
    """The probability of the token that really follows; NaN at the last position, where nobody knows it."""
    next_rank_NT: Int[Tensor, "N T"]
    """Its rank, from 1; -1 at the last position."""
    kl_NT: Float[Tensor, "N T"]
    """KL(final || place) in nats; 0 at the last place."""
    entropy_NT: Float[Tensor, "N T"]
    """Of each place's probabilities, in nats."""
    vocab_size: int
    """How many tokens there are: the last rank."""

    @property
    def settled_T(self) -> list[int]:
        """At each position the first place from which on the final answer stays on rank 1, by its number."""
        on_top_NT = self.final_rank_NT == 1
        since_NT = on_top_NT.flip(0).cumprod(0).flip(0)
        return (len(self.places) - since_NT.sum(0)).clamp(max=len(self.places) - 1).tolist()

    def show(self) -> Figure:
        """Return what each layer would say as a figure."""
        from cutaway.lens.logit_lens_figure import logit_lens_figure

        return logit_lens_figure(self).show()


def logit_lens(
    model: Decoder, tokenizer: Tokenizer, text: str | Prompt, top: int = 5, include_mid: bool = False
) -> LogitLens:
    """Return what each layer would say.

    Args:
        top: how many of the likeliest tokens to keep.
        include_mid: also between attention and MLP of each block.

    Raises:
        TokenizerError: the text does not become tokens.
    """
    prompt = text if isinstance(text, Prompt) else read_prompt(model, tokenizer, text)
    places = ["embed"]
    for layer in range(len(model.blocks)):
        places += [f"blocks.{layer}.resid_mid"] * include_mid + [f"blocks.{layer}.resid_post"]
    found = read(model, prompt.tokens, places)
    final_TV = found["logits"][0].float().log_softmax(-1)
    final_ids_T = final_TV.argmax(-1)
    next_ids_T = torch.cat([prompt.tokens[0, 1:], prompt.tokens[0, -1:]]).to(final_TV.device)
    rows = []
    for place in places:  # one place at a time: T x V numbers are enough to hold
        log_TV = say(model, found[place][0]).log_softmax(-1)
        rows.append(_row(log_TV, final_TV, final_ids_T, next_ids_T, min(top, log_TV.shape[-1])))
    top_probability, top_ids, final_p, final_rank, next_p, next_rank, kl, entropy = (
        torch.stack(column).cpu() for column in zip(*rows, strict=True)
    )
    next_p[:, -1], next_rank[:, -1] = torch.nan, -1
    text_of = {int(i): tokenizer.token_text(int(i)) for i in torch.cat([top_ids.flatten(), final_ids_T.cpu()]).unique()}
    return LogitLens(
        prompt,
        tuple(places),
        top_ids,
        tuple(tuple(tuple(text_of[i] for i in ids) for ids in row) for row in top_ids.tolist()),
        top_probability,
        final_ids_T.cpu(),
        tuple(text_of[i] for i in final_ids_T.tolist()),
        final_p,
        final_rank,
        next_p,
        next_rank,
        kl,
        entropy,
        final_TV.shape[-1],
    )


@torch.no_grad()
def say(model: Decoder, stream: Float[Tensor, "*N C"]) -> Float[Tensor, "*N V"]:
    """Return the logits the model would give if its residual stream ended as this, in float32."""
    with evaluating(model):
        return model.lm_head(model.final_norm(stream)).float()


def _row(log_TV: Tensor, final_TV: Tensor, final_ids_T: Tensor, next_ids_T: Tensor, top: int) -> tuple[Tensor, ...]:
    """Return everything said of one place."""
    top_log, top_ids = log_TV.topk(top, dim=-1)
    final_p, final_rank = _of(log_TV, final_ids_T)
    next_p, next_rank = _of(log_TV, next_ids_T)
    share_TV = final_TV.exp()
    # 0 * -inf would be no number: a token the model rules out costs nothing
    kl = torch.where(share_TV > 0, share_TV * (final_TV - log_TV), 0).sum(-1)
    return top_log.exp(), top_ids, final_p, final_rank, next_p, next_rank, kl, torch.special.entr(log_TV.exp()).sum(-1)


def _of(log_TV: Tensor, ids_T: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probability and rank of one token at each position."""
    own_T1 = log_TV.gather(-1, ids_T[:, None])
    return own_T1[:, 0].exp(), 1 + (log_TV > own_T1).sum(-1)
