"""What the model says without some of its parts, as figures."""

from __future__ import annotations

import numpy as np

from cutaway.lens.ablate import Ablation, Measured, Scan
from cutaway.lens.figure_words import STILL_ROWS, note, on_text
from cutaway.notebook.figure import Figure
from cutaway.notebook.still import Still, short

BY = {"zero": "set to zero", "mean": "set to their mean"}


def ablation_figure(found: Ablation) -> Figure:
    """Return what taking the parts out did."""
    pairs = [
        (str(found.answer), found.before.logit, found.after.logit),
        (f"probability of {found.answer.piece!r}", found.before.probability, found.after.probability),
    ]
    if found.before.loss_nats is not None and found.after.loss_nats is not None:
        pairs.append(("loss over the text, nats a token", found.before.loss_nats, found.after.loss_nats))
    parts = ", ".join(map(str, found.parts))
    about = (
        f"{parts} {BY[found.by]}{where(found.at)}; {on_text(found.prompt)}. What it says moved by "
        f"{short(found.kl_nats)} nats (KL); it now holds {found.guess_piece!r} likeliest."
    )
    rows = [[name, short(before, 6), short(after, 6), f"{after - before:+.4g}"] for name, before, after in pairs]
    data = {
        "pairs": [{"name": name, "before": before, "after": after} for name, before, after in pairs],
    }
    return Figure("ablation", data, Still(f"Without {parts}", ["", "before", "without", "change"], rows, about))


def scan_figure(found: Scan) -> Figure:
    """Return how the answer changes without each head and each MLP."""
    strongest = found.strongest(len(found.heads_logit_LH.flatten()) + len(found.mlps_logit_L))
    rows = [[str(part), f"{change:+.4f}"] for part, change in strongest]
    what = {
        "logit": str(found.answer),
        "probability": f"probability of {found.answer.piece!r}",
        "loss": "loss, nats a token",
    }
    before = {"logit": found.before.logit, "probability": found.before.probability, "loss": loss(found.before)}
    heads = {"logit": found.heads_logit_LH, "probability": found.heads_probability_LH, "loss": found.heads_loss_LH}
    mlps = {"logit": found.mlps_logit_L, "probability": found.mlps_probability_L, "loss": found.mlps_loss_L}
    changes = {
        f"{name}_change": np.concatenate([heads[name].numpy(), mlps[name].numpy()[:, None]], axis=1) - before[name]
        for name in what
        if before[name] == before[name]
    }
    about = (
        f"Each head and each MLP {BY[found.by].replace('their', 'its')}, one at a time{where(found.at)}: how the "
        f"{found.answer} changes from {short(found.before.logit, 5)}; {on_text(found.prompt)}."
    )
    data = {"what": what, "before": before, "layers": len(mlps["logit"]), **changes}
    said = note("the strongest first", rows, "parts")
    still = Still("Without each part", ["without", "change of the logit"], rows[:STILL_ROWS], about, said)
    return Figure("scan", data, still)


def where(at: tuple[int, ...] | None) -> str:
    """Return at which positions, where not at all."""
    return "" if at is None else f" at position {', '.join(map(str, at))}"


def loss(measured: Measured) -> float:
    """Return the loss, NaN where a text of one token has none."""
    return float("nan") if measured.loss_nats is None else measured.loss_nats
