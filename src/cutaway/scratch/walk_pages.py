"""What to say about each stage of the small transformer: one page for the way there, one for the way back.

The stages themselves are in walk_model.py. A page has a title, the reason in one or two sentences, and the formulas, in
the names of the arrays (they are calculated, entry by entry, by the tests) and in LaTeX, where a bar means the gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cutaway.scratch.walk_formula import Formula
from cutaway.scratch.walk_model import SENTENCE, TARGETS, TOKENS, VOCABULARY, WEIGHTS


@dataclass(frozen=True)
class Page:
    """What to say about a stage in one direction."""

    title: str
    why: str
    formulas: tuple[Formula, ...]
    example: Mapping[str, str] = field(default_factory=dict)
    """What stands for a placeholder of the formulas in the worked entries."""

    @property
    def worked(self) -> list[Formula]:
        """The formulas of which an entry is calculated."""
        worked = [formula for formula in self.formulas if formula.is_worked]
        for placeholder, name in self.example.items():
            worked = [replace(formula, plain=formula.plain.replace(placeholder, name)) for formula in worked]
        return worked


@dataclass(frozen=True)
class Pages:
    """What to say about a stage."""

    forward: Page
    backward: Page


# --- stages that come more than once ---------------------------------------------------------------------------------


def norm(name: str, title: str, why: str, source: str, x: str, past: str = "", y: str = "") -> Pages:
    """Return the pages of a norm.

    Args:
        past: what else was made from the source: a share of its gradient comes past the norm.
        x: the source in LaTeX; y: `past` in LaTeX.
    """
    mean, deviation, standard, out = (f"{name}_{x}" for x in ("mean_T", "deviation_T", "standard_TC", "TC"))
    gain, offset = f"{name}.weight", f"{name}.bias"
    beside, beside_latex = (f" + d {past}[t,c]", rf" + \bar {y}_{{tc}}") if past else ("", "")
    return Pages(
        Page(title, why, (
            Formula(f"{mean}[t] = sum(c: {source}[t,c]) / C", rf"\mu_t = \frac{{1}}{{C}} \sum_c {x}_{{tc}}"),
            Formula(
                f"{deviation}[t] = sqrt(sum(c: ({source}[t,c] - {mean}[t])^2) / C + 0.00001)",
                rf"\sigma_t = \sqrt{{\frac{{1}}{{C}} \sum_c ({x}_{{tc}} - \mu_t)^2 + 10^{{-5}}}}",
            ),
            Formula(
                f"{standard}[t,c] = ({source}[t,c] - {mean}[t]) / {deviation}[t]",
                rf"s_{{tc}} = \frac{{{x}_{{tc}} - \mu_t}}{{\sigma_t}}",
            ),
            Formula(
                f"{out}[t,c] = {standard}[t,c] * {gain}[c] + {offset}[c]", r"n_{tc} = \gamma_c s_{tc} + \beta_c",
            ),
        )),
        Page(
            f"{title}, backwards",
            "To move all numbers of a row alike, or to stretch them alike, changes nothing behind the norm: those two "
            "parts of the gradient are taken out."
            + (f" {source} was also added to the stream further on: that share comes past the norm." if past else ""),
            (
                Formula(
                    f"d {gain}[c] = sum(t: d {out}[t,c] * {standard}[t,c])",
                    r"\bar\gamma_c = \sum_t \bar n_{tc} s_{tc}",
                ),
                Formula(f"d {offset}[c] = sum(t: d {out}[t,c])", r"\bar\beta_c = \sum_t \bar n_{tc}"),
                Formula(f"d {standard}[t,c] = d {out}[t,c] * {gain}[c]", r"\bar s_{tc} = \bar n_{tc} \gamma_c"),
                Formula(
                    f"d {source}[t,c] = (d {standard}[t,c] - sum(i: d {standard}[t,i]) / C"
                    f" - {standard}[t,c] * sum(i: d {standard}[t,i] * {standard}[t,i]) / C) / {deviation}[t]{beside}",
                    rf"\bar {x}_{{tc}} = \frac{{1}}{{\sigma_t}} \Big( \bar s_{{tc}} - \frac{{1}}{{C}} \sum_i"
                    rf" \bar s_{{ti}} - s_{{tc}} \frac{{1}}{{C}} \sum_i \bar s_{{ti}} s_{{ti}} \Big){beside_latex}",
                ),
            ),
        ),
    )  # fmt: skip


def linear(title: str, why: str, why_back: str, name: str, source: str, out: str, letters: str) -> Pages:
    """Return the pages of a linear layer; letters: source, weights and result in LaTeX."""
    x, m, y = tuple(letters)
    return Pages(
        Page(title, why, (linear_formula(name, source, out, x, m, y),)),
        Page(f"{title}, backwards", why_back, (
            *linear_gradients(name, source, out, x, m, y),
            Formula(
                f"d {source}[t,i] = sum(o: d {out}[t,o] * {name}.weight[o,i])",
                rf"\bar {x}_{{ti}} = \sum_o \bar {y}_{{to}} {m}_{{oi}}",
            ),
        )),
    )  # fmt: skip


def linear_formula(name: str, source: str, out: str, x: str, m: str, y: str, is_worked: bool = True) -> Formula:
    """Return the formula of a linear layer, with the bias where there is one."""
    bias, bias_latex = (f" + {name}.bias[o]", f" + b^{{{m[-1]}}}_o") if f"{name}.bias" in WEIGHTS else ("", "")
    return Formula(
        f"{out}[t,o] = sum(i: {source}[t,i] * {name}.weight[o,i]){bias}",
        rf"{y}_{{to}} = \sum_i {x}_{{ti}} {m}_{{oi}}{bias_latex}",
        is_worked=is_worked,
    )


def linear_gradients(name: str, source: str, out: str, x: str, m: str, y: str) -> list[Formula]:
    """Return the formulas of the gradients of a linear layer's weights."""
    formulas = [
        Formula(
            f"d {name}.weight[o,i] = sum(t: d {out}[t,o] * {source}[t,i])",
            rf"\bar {m}_{{oi}} = \sum_t \bar {y}_{{to}} {x}_{{ti}}",
        )
    ]
    if f"{name}.bias" in WEIGHTS:
        formulas.append(
            Formula(
                f"d {name}.bias[o] = sum(t: d {out}[t,o])",
                rf"\bar b^{{{m[-1]}}}_o = \sum_t \bar {y}_{{to}}",
            )
        )
    return formulas


def addition(title: str, why: str, stream: str, added: str, out: str, letters: str) -> Pages:
    """Return the pages of an addition to the residual stream; letters: stream, what is added and result in LaTeX."""
    x, a, y = tuple(letters)
    return Pages(
        Page(title, why, (
            Formula(
                f"{out}[t,c] = {stream}[t,c] + {added}[t,c]", f"{y}_{{tc}} = {x}_{{tc}} + {a}_{{tc}}",
            ),
        )),
        Page(
            f"{title}, backwards",
            f"A sum hands its gradient to both sides unchanged. The share of {stream} has to wait: the norm before "
            "read it too, and what comes from there is still missing.",
            (Formula(f"d {added}[t,c] = d {out}[t,c]", rf"\bar {a}_{{tc}} = \bar {y}_{{tc}}"),),
        ),
    )  # fmt: skip


def softmax(title: str, why: str, why_back: str, source: str, out: str, row: str, i: str, letters: str) -> Pages:
    """Return the pages of a softmax.

    Args:
        row: the places of all axes but the last; i: that of the last.
        letters: source and result in LaTeX.
    """
    x, p = tuple(letters)
    return Pages(
        Page(title, why, (
            Formula(
                f"{out}[{row},{i}] = exp({source}[{row},{i}]) / sum(j: exp({source}[{row},j]))",
                rf"{p}_{i} = \frac{{e^{{{x}_{i}}}}}{{\sum_j e^{{{x}_j}}}}",
            ),
        )),
        Page(f"{title}, backwards", why_back, (
            Formula(
                f"d {source}[{row},{i}] = {out}[{row},{i}] * (d {out}[{row},{i}]"
                f" - sum(j: d {out}[{row},j] * {out}[{row},j]))",
                rf"\bar {x}_{i} = {p}_{i} \Big( \bar {p}_{i} - \sum_j \bar {p}_j {p}_j \Big)",
            ),
        )),
    )  # fmt: skip


# --- stages that come once -------------------------------------------------------------------------------------------

TOKENIZATION = Page(
    "Tokenization",
    f"The sentence '{SENTENCE}' is cut at the spaces and each word gets its number in the vocabulary: "
    + ", ".join(f"{word} {i}" for i, word in enumerate(VOCABULARY))
    + ". The model reads from <bos> on, and at each position has to say the next word; after the last one, <eos>.",
    (
        Formula(
            "tokens_T[t] = the place of word t in the vocabulary",
            r"w_t = \text{place of word } t \text{ in the vocabulary}",
            is_worked=False,
        ),
        Formula("targets_T[t] = tokens_T[t + 1]", r"y_t = w_{t+1}"),
    ),
)

EMBEDDINGS = Pages(
    Page(
        "Token and position embeddings",
        "The number of a word picks its row of one table, its place in the sentence a row of another. Their sum starts "
        "the residual stream: at each position a row of 16 numbers, which every later part reads and adds to.",
        (
            Formula("token_rows_TC[t,c] = token_embedding.weight[tokens_T[t],c]", r"e_{tc} = E_{w_t c}"),
            Formula("position_rows_TC[t,c] = position_embedding.weight[t,c]", r"p_{tc} = P_{tc}"),
            Formula("resid_pre_TC[t,c] = token_rows_TC[t,c] + position_rows_TC[t,c]", r"x_{tc} = e_{tc} + p_{tc}"),
        ),
    ),
    Page(
        "Token and position embeddings, backwards",
        "The gradient arrives at the rows that were read. The rows of words that were not read get 0: this sentence "
        "teaches nothing about them.",
        (
            Formula("d token_rows_TC[t,c] = d resid_pre_TC[t,c]", r"\bar e_{tc} = \bar x_{tc}"),
            Formula("d position_rows_TC[t,c] = d resid_pre_TC[t,c]", r"\bar p_{tc} = \bar x_{tc}"),
            Formula(
                "d token_embedding.weight[v,c] = sum(t: d token_rows_TC[t,c] if tokens_T[t] == v else 0)",
                r"\bar E_{vc} = \sum_{t : w_t = v} \bar e_{tc}",
                {"v": TOKENS[1]},
            ),
            Formula("d position_embedding.weight[t,c] = d position_rows_TC[t,c]", r"\bar P_{tc} = \bar p_{tc}"),
        ),
    ),
)

QKV = Pages(
    Page(
        "Queries, keys and values",
        "Each position makes three rows of itself: the query (what it looks for), the key (what it is found by) and "
        "the value (what it hands over).",
        tuple(linear_formula(f"{x}_proj", "attn_norm_TC", f"{x}_TC", "n", f"W^{x.upper()}", x) for x in "qkv"),
    ),
    Page(
        "Queries, keys and values, backwards",
        "Three readers of the same row: their shares add up. The gradient of k_proj.bias is 0 but for rounding: the "
        "same row added to all keys moves all scores of a query alike, and softmax does not see that.",
        (
            *(
                gradient
                for x in "qkv"
                for gradient in linear_gradients(f"{x}_proj", "attn_norm_TC", f"{x}_TC", "n", f"W^{x.upper()}", x)
            ),
            Formula(
                "d attn_norm_TC[t,i] = " + " + ".join(f"sum(o: d {x}_TC[t,o] * {x}_proj.weight[o,i])" for x in "qkv"),
                r"\bar n_{ti} = \sum_o \big( \bar q_{to} W^Q_{oi} + \bar k_{to} W^K_{oi} + \bar v_{to} W^V_{oi} \big)",
            ),
        ),
    ),
)

PARTS = (("q", "T"), ("k", "S"), ("v", "S"))

SPLIT = Pages(
    Page(
        "Split into heads",
        "Each of the two heads gets half of the width, 8 numbers, and works by itself from here on. The numbers stay "
        "the same, they only get other places. Keys and values are what is read: their position is called s.",
        tuple(
            Formula(
                f"{x}_H{axis}D[h,{axis.lower()},d] = {x}_TC[{axis.lower()}, h * D + d]",
                rf"{x}^h_{{{axis.lower()}d}} = {x}_{{{axis.lower()}, hD+d}}",
                {"h": 1, "s": 1},
            )
            for x, axis in PARTS
        ),
    ),
    Page(
        "Split into heads, backwards",
        "The gradients go back to the places the numbers came from.",
        tuple(
            Formula(
                f"d {x}_TC[{axis.lower()}, h * D + d] = d {x}_H{axis}D[h,{axis.lower()},d]",
                rf"\bar {x}_{{{axis.lower()}, hD+d}} = \bar {x}^h_{{{axis.lower()}d}}",
                {"h": 1, "s": 1},
            )
            for x, axis in PARTS
        ),
    ),
)

SCORES = Pages(
    Page(
        "Scores",
        "How well does the key of position s fit the query of position t? Multiply number by number, add, and divide "
        "by the root of how many there are, so that wider heads do not make larger scores.",
        (
            Formula(
                "scores_HTS[h,t,s] = sum(d: q_HTD[h,t,d] * k_HSD[h,s,d]) / sqrt(D)",
                r"S^h_{ts} = \frac{1}{\sqrt{D}} \sum_d q^h_{td} k^h_{sd}",
            ),
        ),
    ),
    Page(
        "Scores, backwards",
        "A product hands each side the gradient times the other side: a query hears from all keys it was compared "
        "with, a key from all queries.",
        (
            Formula(
                "d q_HTD[h,t,d] = sum(s: d scores_HTS[h,t,s] * k_HSD[h,s,d]) / sqrt(D)",
                r"\bar q^h_{td} = \frac{1}{\sqrt{D}} \sum_s \bar S^h_{ts} k^h_{sd}",
            ),
            Formula(
                "d k_HSD[h,s,d] = sum(t: d scores_HTS[h,t,s] * q_HTD[h,t,d]) / sqrt(D)",
                r"\bar k^h_{sd} = \frac{1}{\sqrt{D}} \sum_t \bar S^h_{ts} q^h_{td}",
            ),
        ),
    ),
)

MASK = Pages(
    Page(
        "Mask",
        "A position may read itself and what came before. The scores of what comes later become minus infinity, which "
        "the softmax turns into a share of 0: otherwise the model could read off the answer.",
        (
            Formula(
                "masked_HTS[h,t,s] = scores_HTS[h,t,s] if s <= t else -inf",
                r"M^h_{ts} = S^h_{ts} \text{ if } s \le t \text{ else } -\infty",
            ),
        ),
    ),
    Page(
        "Mask, backwards",
        "What was not read has no influence: its gradient is 0.",
        (
            Formula(
                "d scores_HTS[h,t,s] = d masked_HTS[h,t,s] if s <= t else 0",
                r"\bar S^h_{ts} = \bar M^h_{ts} \text{ if } s \le t \text{ else } 0",
            ),
        ),
    ),
)

MIXTURE = Pages(
    Page(
        "Mixture of values",
        "Each position receives the values of the positions it reads, in the shares just computed.",
        (Formula("z_HTD[h,t,d] = sum(s: pattern_HTS[h,t,s] * v_HSD[h,s,d])", r"z^h_{td} = \sum_s A^h_{ts} v^h_{sd}"),),
    ),
    Page(
        "Mixture of values, backwards",
        "The gradient of a share tells how far its value points along the gradient of the mixture. A value gets the "
        "gradients of all positions that read it, by their shares.",
        (
            Formula(
                "d pattern_HTS[h,t,s] = sum(d: d z_HTD[h,t,d] * v_HSD[h,s,d])",
                r"\bar A^h_{ts} = \sum_d \bar z^h_{td} v^h_{sd}",
            ),
            Formula(
                "d v_HSD[h,s,d] = sum(t: pattern_HTS[h,t,s] * d z_HTD[h,t,d])",
                r"\bar v^h_{sd} = \sum_t A^h_{ts} \bar z^h_{td}",
            ),
        ),
    ),
)

MERGE = Pages(
    Page(
        "Merge the heads, output projection",
        "The heads are laid side by side again, and a linear layer mixes what they found.",
        (
            Formula("z_TC[t, h * D + d] = z_HTD[h,t,d]", r"z_{t, hD+d} = z^h_{td}", {"h": 1}),
            linear_formula("o_proj", "z_TC", "attn_out_TC", "z", "W^O", "a"),
        ),
    ),
    Page(
        "Merge the heads, output projection, backwards",
        "As in every linear layer: the gradient of a weight is its input times the gradient of its output, added up "
        "over the positions.",
        (
            *linear_gradients("o_proj", "z_TC", "attn_out_TC", "z", "W^O", "a"),
            Formula(
                "d z_TC[t,i] = sum(o: d attn_out_TC[t,o] * o_proj.weight[o,i])",
                r"\bar z_{ti} = \sum_o \bar a_{to} W^O_{oi}",
            ),
            Formula("d z_HTD[h,t,d] = d z_TC[t, h * D + d]", r"\bar z^h_{td} = \bar z_{t, hD+d}", {"h": 1}),
        ),
    ),
)

GELU = Pages(
    Page(
        "MLP: GELU",
        "Large numbers pass, negative ones are held back, smoothly. Without a bend between them two linear layers "
        "would be no more than one.",
        (
            Formula(
                "mlp_post_TF[t,f] = mlp_pre_TF[t,f] * (1 + erf(mlp_pre_TF[t,f] / sqrt(2))) / 2",
                r"h_{tf} = \frac{u_{tf}}{2} \Big( 1 + \mathrm{erf} \frac{u_{tf}}{\sqrt{2}} \Big)",
            ),
        ),
    ),
    Page(
        "MLP: GELU, backwards",
        "The gradient times the slope of the curve at the number that went in.",
        (
            Formula(
                "d mlp_pre_TF[t,f] = d mlp_post_TF[t,f] * ((1 + erf(mlp_pre_TF[t,f] / sqrt(2))) / 2"
                " + mlp_pre_TF[t,f] * exp(-(mlp_pre_TF[t,f]^2) / 2) / sqrt(2 * pi))",
                r"\bar u_{tf} = \bar h_{tf} \Big( \frac{1}{2} + \frac{1}{2} \mathrm{erf} \frac{u_{tf}}{\sqrt{2}}"
                r" + u_{tf} \frac{e^{-u_{tf}^2 / 2}}{\sqrt{2 \pi}} \Big)",
            ),
        ),
    ),
)

LOSS = Pages(
    Page(
        "Loss",
        "How surprised was the model by the word that came? Minus the logarithm of the probability it gave to it, "
        "averaged over the positions. To guess blindly among 6 words costs log(6) = 1.7918.",
        (
            Formula("picked_T[t] = probabilities_TV[t,targets_T[t]]", r"c_t = p_{t y_t}"),
            Formula("losses_T[t] = -log(picked_T[t])", r"l_t = -\log c_t"),
            Formula("loss = sum(t: losses_T[t]) / T", r"L = \frac{1}{T} \sum_t l_t"),
        ),
    ),
    Page(
        "Loss, backwards",
        "The way back begins with a 1: when the loss grows by 1, the loss grows by 1. Only the probabilities of the "
        "words that came count, and the smaller they were, the more.",
        (
            Formula("d loss = 1", r"\bar L = 1", is_worked=False),
            Formula("d losses_T[t] = 1 / T", r"\bar l_t = \frac{1}{T}"),
            Formula("d picked_T[t] = -d losses_T[t] / picked_T[t]", r"\bar c_t = -\frac{\bar l_t}{c_t}"),
            Formula(
                "d probabilities_TV[t,v] = d picked_T[t] if v == targets_T[t] else 0",
                r"\bar p_{tv} = \bar c_t \text{ if } v = y_t \text{ else } 0",
                {"v": TARGETS[1]},
            ),
        ),
    ),
)

PAGES = {
    "embeddings": EMBEDDINGS,
    "attn_norm": norm(
        "attn_norm", "Norm before attention",
        "Each row is centred and scaled to a variance of one, so that what follows sees numbers of the same size; then "
        "comes a learned gain and offset for each of the 16 columns.",
        "resid_pre_TC", "x", "resid_mid_TC", "y",
    ),
    "qkv": QKV,
    "split": SPLIT,
    "scores": SCORES,
    "mask": MASK,
    "pattern": softmax(
        "Softmax", "Scores become shares: none negative, larger for larger scores, 1 in each row.",
        "The shares of a row compete: what counts is how far the gradient of a share is from the row's average.",
        "masked_HTS", "pattern_HTS", "h,t", "s", "MA",
    ),
    "mixture": MIXTURE,
    "merge": MERGE,
    "resid_mid": addition(
        "Residual", "Attention does not replace the row, it adds to it: what was there is kept.",
        "resid_pre_TC", "attn_out_TC", "resid_mid_TC", "xay",
    ),
    "mlp_norm": norm(
        "mlp_norm", "Norm before the MLP", "The same as before attention, with a gain and an offset of its own.",
        "resid_mid_TC", "y", "resid_post_TC", "r",
    ),
    "up_proj": linear(
        "MLP: up", "Each position by itself: 64 questions to its 16 numbers.",
        "The gradient of a weight is its input times the gradient of its output, added up over the positions.",
        "up_proj", "mlp_norm_TC", "mlp_pre_TF", "nUu",
    ),
    "gelu": GELU,
    "down_proj": linear(
        "MLP: down", "The 64 answers become 16 numbers again.",
        "The gradient of a weight is its input times the gradient of its output, added up over the positions.",
        "down_proj", "mlp_post_TF", "mlp_out_TC", "hBm",
    ),
    "resid_post": addition(
        "Residual", "The MLP adds to the row, too.", "resid_mid_TC", "mlp_out_TC", "resid_post_TC", "ymr",
    ),
    "final_norm": norm(
        "final_norm", "Final norm", "The finished row, brought to the same size once more.", "resid_post_TC", "r",
    ),
    "lm_head": linear(
        "Logits", "One number for each word of the vocabulary: how well it would fit as the next word.",
        "A step against this gradient pulls the row of a word that came towards the position's row, and pushes the "
        "rows of the others away from it.",
        "lm_head", "final_norm_TC", "logits_TV", "nGl",
    ),
    "probabilities": softmax(
        "Softmax of the logits", "Logits become probabilities: none negative, 1 in each row.",
        "The same derivative as in attention. Together with that of the loss it becomes very short: (the probability, "
        "less 1 for the word that came) / T.",
        "logits_TV", "probabilities_TV", "t", "v", "lp",
    ),
    "loss": LOSS,
}  # fmt: skip
"""The pages of each stage by its name."""


def adamw(rate: float, betas: Sequence[float], eps: float, weight_decay: float) -> Page:
    """Return the page of the update; W stands for any weight."""
    beta1, beta2 = betas
    return Page(
        "AdamW on every weight",
        "m is a running mean of the gradients and v of their squares. Both began at 0, so both are corrected for how "
        "young they are. m over the root of v is near 1 or -1 at the first step, however large the gradient: each "
        "weight moves by about the rate, downhill. And each shrinks a little towards 0 (decay).",
        (
            Formula(f"m W[o,i] = {beta1} * 0 + (1 - {beta1}) * d W[o,i]", r"m = \beta_1 m_0 + (1 - \beta_1) \bar W"),
            Formula(
                f"v W[o,i] = {beta2} * 0 + (1 - {beta2}) * d W[o,i]^2", r"v = \beta_2 v_0 + (1 - \beta_2) \bar W^2"
            ),
            Formula(f"m_hat W[o,i] = m W[o,i] / (1 - {beta1}^1)", r"\hat m = \frac{m}{1 - \beta_1^1}"),
            Formula(f"v_hat W[o,i] = v W[o,i] / (1 - {beta2}^1)", r"\hat v = \frac{v}{1 - \beta_2^1}"),
            Formula(f"decay W[o,i] = {rate} * {weight_decay} * W[o,i]", r"\delta = \eta \lambda W"),
            Formula(
                f"update W[o,i] = -{rate} * m_hat W[o,i] / (sqrt(v_hat W[o,i]) + {eps}) - decay W[o,i]",
                r"\Delta = -\eta \frac{\hat m}{\sqrt{\hat v} + \epsilon} - \delta",
            ),
            Formula("new W[o,i] = W[o,i] + update W[o,i]", r"W^{\text{new}} = W + \Delta"),
        ),
        {" W[": " q_proj.weight["},
    )
