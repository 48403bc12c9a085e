"""The card of an exported model: what it is made from, how much writing, how well, and what it memorised.

A README.md with the header Hugging Face reads. Every figure comes from the run's own files: settings from recipe.toml,
sizes from the pairs, losses and memorisation from report/report.json once `cutaway voice report` has made one. What was
not measured is said to be so, never left out: a model that recites its training text can give away whose it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cutaway.base.errors import CutawayError
from cutaway.base.runs import RunFolder
from cutaway.interop.conversations import read_conversations
from cutaway.voice.tuned_run import read_recipe

REPORT = Path("report") / "report.json"
METHODS = {
    "full": "full fine-tuning (every weight learned)",
    "lora": "LoRA (a correction of low rank beside each matrix)",
    "lora4": "LoRA beside a base kept in 4 bits",
}
MEMORISED = ("memorization", "extraction", "membership", "exposure")
"""What report.json holds of it, each with its sentence."""
MADE_BY = "Exported by [Cutaway]"


@dataclass(frozen=True)
class Facts:
    """What a card states. What is not known is empty or None."""

    name: str
    base: str = ""
    """The model it began with."""
    method: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    pieces: int | None = None
    """Of the writing that trained it."""
    pairs: int | None = None
    held_out_pairs: int | None = None
    words: int | None = None
    """In the answers it learned."""
    held_out_loss: float | None = None
    """Nats a token, of the weights that were kept."""
    base_loss: float | None = None
    """The same of the base, read in the same form."""
    report: Mapping[str, Any] | None = None
    source: str = ""
    """Where the pairs are."""


def run_facts(run: RunFolder) -> Facts:
    """Return what a run's folder says of itself."""
    try:
        recipe = read_recipe(run)
    except CutawayError:
        return Facts(run.name)
    tune, data = recipe.get("tune", {}), recipe.get("data", {})
    tune = tune if isinstance(tune, dict) else {}
    method = str(tune.get("method", "")) if tune else ""
    names = ("rank", "alpha", "projections", "lora_dropout") if method.startswith("lora") else ()
    settings = {name: tune[name] for name in names if tune.get(name)}
    settings |= {name: recipe["train"][name] for name in ("learning_rate", "steps") if name in recipe.get("train", {})}
    source = str(data.get("source", ""))
    counted = count_pairs(Path(source)) if tune else (None, None, None)
    held = count_pairs(Path(str(data["held_out"]))) if data.get("held_out") else (None, None, None)
    summary = run.summary() or {}
    loss, before = summary.get("validation_loss"), find(find(summary.get("before"), "held_out"), "loss")
    return Facts(
        name=run.name,
        base=base_name(str(tune.get("base", ""))),
        method=method,
        settings=settings,
        pieces=counted[0],
        pairs=counted[1],
        words=counted[2],
        held_out_pairs=held[1],
        held_out_loss=loss if isinstance(loss, float) else None,
        base_loss=before if isinstance(before, float) else None,
        report=read_report(run.path),
        source=source,
    )


def base_name(base: str) -> str:
    """Return what a base is called: an id of the Hub as it is, a folder without where it lies."""
    if base.startswith("hf:"):
        return base
    path = Path(base)
    return path.parent.name if path.name == "model" and path.parent.name else path.name


def count_pairs(path: Path) -> tuple[int | None, int | None, int | None]:
    """Return pieces, pairs and words of the answers of a file of pairs; None where it cannot be read any more."""
    try:
        found = read_conversations(path)
    except CutawayError:
        return None, None, None
    sources = {str(one.about["source"]) for one in found if one.about.get("source")}
    words = sum(len(m.content.split()) for one in found for m in one.messages if m.role == "assistant")
    return len(sources) or None, len(found), words


def read_report(folder: Path) -> Mapping[str, Any] | None:
    """Return a run's report, or None where there is none."""
    try:
        found = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None


def model_card(facts: Facts, form: str, type: str, notes: Sequence[str] = (), example: str = "") -> str:
    """Return README.md.

    Args:
        form: hf, adapter or gguf.
        notes: lines of what to know about this file.
        example: how to open it, as a block of code with its language in the first line.
    """
    lines = [
        *header(facts, form, bool(example)),
        "",
        f"# {facts.name}",
        "",
        about(facts),
        "",
        "## Data",
        "",
        *data(facts),
    ]
    lines += ["", "## How well", "", *losses(facts), "", "## What it memorised", "", *memorised(facts)]
    lines += ["", "## This file", "", f"Format {form}, numbers kept as {type}.", *notes]
    if example:
        lines += ["", f"```{example}", "```"]
    return "\n".join([*lines, "", f"{MADE_BY}: `cutaway voice export {facts.name} --to {form}`.", ""])


def header(facts: Facts, form: str, is_known: bool) -> list[str]:
    """Return the YAML header; only what is an id of the Hub is named as its base there.

    Args:
        is_known: whether another library opens it.
    """
    tags = ["cutaway", *(["lora"] if facts.method.startswith("lora") else []), *(["gguf"] if form == "gguf" else [])]
    lines = ["---", "pipeline_tag: text-generation"]
    if form != "gguf" and is_known:
        lines.append(f"library_name: {'peft' if form == 'adapter' else 'transformers'}")
    if facts.base.startswith("hf:"):
        lines.append(f"base_model: {json.dumps(facts.base.removeprefix('hf:'))}")
        lines.append(f"base_model_relation: {'adapter' if form == 'adapter' else 'finetune'}")
    return [*lines, "tags:", *(f"- {tag}" for tag in tags), "---"]


def about(facts: Facts) -> str:
    """Return in words what the model was made from."""
    if not facts.base:
        return "Trained from random weights with Cutaway; not tuned from another model."
    set_to = ", ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in facts.settings.items())
    method = METHODS.get(facts.method, facts.method)
    return (
        f"Tuned from `{facts.base}` by {method}{': ' + set_to if set_to else ''}. The base's license holds for it too."
    )


def shown(value: Any) -> str:
    """Return a setting as people write it."""
    if isinstance(value, list | tuple):
        return " and ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def data(facts: Facts) -> list[str]:
    """Return how much writing it learned."""
    if not facts.base and facts.source:
        return [f"The text `{facts.source}`."]
    if facts.pairs is None:
        said = f"its pairs ({facts.source}) are not there any more" if facts.source else "nothing says what it learned"
        return [f"Not known: {said}."]
    pieces = f"{facts.pieces:,} pieces, " if facts.pieces else ""
    n_held = facts.held_out_pairs
    held = f" {n_held:,} {'pair was' if n_held == 1 else 'pairs were'} held out." if n_held else ""
    return [f"{pieces}{facts.pairs:,} pairs, {facts.words:,} words in the answers it learned.{held}"]


def losses(facts: Facts) -> list[str]:
    """Return held-out losses of base and tuned model, with intervals where a report has them."""
    found = find(facts.report, "losses")
    rows = []
    for who in ("base", "tuned"):
        for key, unit in (("nats", "nats a token"), ("bits_per_byte", "bits a byte")):
            if interval := find(find(found, who), key):
                rows.append(f"| {who} | {unit} | {between(interval)} |")
    if rows:
        return ["| model | unit | held-out loss (90 % interval) |", "| --- | --- | --- |", *rows]
    if facts.held_out_loss is None:
        return [no_report(facts)]
    beside = "" if facts.base_loss is None else f" (the base: {facts.base_loss:.3f})"
    return [f"Held-out loss {facts.held_out_loss:.3f} nats a token{beside}, without an interval. {no_report(facts)}"]


def memorised(facts: Facts) -> list[str]:
    """Return the report's figures of memorisation, each with its sentence."""
    said = [find(find(facts.report, name), "sentence") for name in (*MEMORISED, "verdict")]
    lines = [f"- {line}" for line in said[:-1] if isinstance(line, str)]
    verdict = [f"\nVerdict: {said[-1]}"] if isinstance(said[-1], str) else []
    return lines + verdict or [no_report(facts)]


def no_report(facts: Facts) -> str:
    """Return that nothing was measured, and how it would be."""
    return f"Not measured: no report was made (`cutaway voice report {facts.name}` makes one)."


def find(found: Any, key: str) -> Any:
    """Return an entry of a report, or None."""
    return found.get(key) if isinstance(found, Mapping) else None


def between(interval: Mapping[str, Any]) -> str:
    """Return `3.22 (2.98 to 3.47, 12 documents)`."""
    value, low, high = (interval.get(name) for name in ("value", "low", "high"))
    if value is None:
        return "not computed"
    if low is None or high is None:
        return f"{value:.3f} (no interval: {interval.get('how', '')})"
    return f"{value:.3f} ({low:.3f} to {high:.3f}, {interval.get('n', '?')} documents)"
