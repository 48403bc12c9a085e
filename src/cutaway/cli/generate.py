"""`cutaway generate`: let a run or a model folder write."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cutaway.base.errors import RunError, UsageError
from cutaway.base.runs import open_run
from cutaway.cli.console import answer, answer_json, parse, screen
from cutaway.generate.config import SamplingConfig
from cutaway.interop.adapter_folder import holds_model
from cutaway.run_facts import check_writes, writing_recipe

if TYPE_CHECKING:
    from cutaway.generate.decode import Completion
    from cutaway.generate.steps import Step
    from cutaway.models.decoder import Decoder
    from cutaway.text.tokenizer import Tokenizer

EXAMPLE = "cutaway generate stdlib-1 --prompt 'def ' --temperature '0.2+1.6*t/200' --samples 3"


@dataclass(frozen=True)
class GenerateArguments:
    """Continue a text with a trained model, token by token as it is written."""

    model: Annotated[str, tyro.conf.Positional]
    """A run's name or folder (NAME@STEP: a checkpoint of it), a model folder (Hugging Face layout), or hf:owner/name to
    fetch one from the Hub."""
    sampling: Annotated[SamplingConfig, tyro.conf.arg(name="")]
    prompt: str = ""
    """The text to continue; `-` reads it from standard input."""
    samples: int = 1
    """How many continuations; each draws its own random numbers."""
    force: tuple[str, ...] = ()
    """Tokens chosen by hand: the number of the new token, from 0, and an id: `3:65`."""
    steps: bool = False
    """Say of each token how it was chosen: its probability and the entropy before and after all settings."""
    cache: Annotated[bool, tyro.conf.FlagCreatePairsOff] = True
    """Keep keys and values of what was read; `--no-cache` reads everything again at each token (slow, same text)."""
    int8: bool = False
    """Store the weights in 8 bits: a large model answers about three times as fast, its loss changes by less than 0.01."""
    logprobs: int = 5
    """With --json: how many of the likeliest tokens to list at each position."""
    threads: int | None = None
    """Processor threads; left out: one for small models, all for large ones."""
    json: bool = False
    """Print one JSON object with text, tokens and log-probabilities."""


def main(argv: list[str]) -> int:
    """Write to standard output as the tokens come."""
    arguments = parse(GenerateArguments, argv, "generate", EXAMPLE, _defaults(argv))
    check_exists(arguments.model)
    prompt = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt

    import torch

    from cutaway import workbench
    from cutaway.generate.decode import generate, prompt_ids

    model, tokenizer = workbench.load(arguments.model)
    if arguments.int8:
        from cutaway.nn.quantized import quantize_int8

        model = quantize_int8(model)
    is_small = sum(p.numel() for p in model.parameters()) < 20_000_000
    torch.set_num_threads(arguments.threads or (1 if is_small else torch.get_num_threads()))
    forced = parse_forced(arguments.force)
    console = screen()
    for note in [
        *cut_notes(prompt_ids(tokenizer, prompt, model), model),
        *arguments.sampling.notes(tokenizer.vocab_size),
    ]:
        console.print(f"note: {note}", style="dim", markup=False, soft_wrap=True)
    streams = not arguments.json and arguments.samples == 1
    steps: list[list[Step]] = [[] for _ in range(arguments.samples)]
    if streams:
        answer(prompt, end="")
    completions = generate(
        model,
        tokenizer,
        prompt,
        arguments.sampling,
        n_samples=arguments.samples,
        on_token=(lambda sample, piece: answer(piece, end="")) if streams else None,
        use_cache=arguments.cache,
        logprobs=arguments.logprobs if arguments.json else None,
        on_step=(lambda sample, step: steps[sample].append(step)) if arguments.steps else None,
        forced=forced,
    )
    if arguments.json:
        samples = [completion_json(*pair, tokenizer) for pair in zip(completions, steps, strict=True)]
        answer_json({"model": arguments.model, "prompt": prompt, "samples": samples})
    elif streams:
        answer("")
    else:
        for i, completion in enumerate(completions):
            answer(f"--- {i + 1}\n{prompt}{completion.text}")
    if arguments.steps and not arguments.json:
        for taken in steps:
            answer("\n" + step_table(taken, tokenizer))
    return 0


def parse_forced(words: tuple[str, ...]) -> dict[int, int]:
    """Return tokens by the number of the new token, from `NUMBER:ID`.

    Raises:
        UsageError: one of them cannot be read.
    """
    forced = {}
    for word in words:
        number, _, token = word.partition(":")
        if not (number.isdecimal() and token.isdecimal()):
            raise UsageError(f"--force {word!r}; expected the number of a new token, from 0, and an id, such as 3:65")
        forced[int(number)] = int(token)
    return forced


def cut_notes(ids: list[int], model: Decoder) -> list[str]:
    """Return a line that says what of a prompt the model cannot see, if anything."""
    from cutaway.generate.decode import first_visible

    context = model.config.context_length
    cut = first_visible(len(ids), context)
    if not cut:
        return []
    return [f"the prompt has {len(ids)} tokens and the model sees {context} at once; the first {cut} are not read"]


def step_table(steps: list[Step], tokenizer: Tokenizer) -> str:
    """Return a line a token: what it is, how likely it was, how undecided the model was, what each stage left."""
    rows = []
    for step in steps:
        kept = "  ".join(
            f"{stage.name} {stage.n_kept}" for stage in step.stages if stage.name not in ("raw", "temperature")
        )
        raw, last = step.stages[0], step.stages[-1]
        others = " ".join(
            f"{tokenizer.token_text(one.id)!r} {one.probabilities[0]:.2f}"
            for one in step.candidates[:4]
            if one.id != step.chosen.id
        )
        rows.append(
            f"{step.t:>4}  {tokenizer.token_text(step.chosen.id)!r:<12} "
            f"{step.chosen.probabilities[0]:.3f} -> {step.probability:.3f}  rank {step.chosen.rank:<4} "
            f"{raw.entropy_bits:.2f} -> {last.entropy_bits:.2f} bits  T {step.temperature:.2f}  {kept}"
            f"{'  forced' if step.is_forced else ''}  else {others}"
        )
    return "\n".join(rows)


def check_exists(model: str) -> None:
    """Refuse a model that is not there, before anything heavy is loaded.

    Raises:
        UsageError: it is neither a run nor a folder nor marked as a Hub id.
    """
    if model.startswith("hf:") or holds_model(Path(model)):
        return
    name, _, step = model.rpartition("@")
    try:
        run = open_run(name if name and step.isdecimal() else model)
    except RunError as error:
        if Path(model).is_dir():
            raise UsageError(
                f"folder {model!r} holds neither a model (no config.json) nor a run (no recipe.toml)"
            ) from None
        raise UsageError(f"{error}; a model folder or hf:owner/name works too") from None
    check_writes(run)


def completion_json(completion: Completion, steps: list[Step], tokenizer: Tokenizer) -> dict[str, Any]:
    """Return one sample with every token's text and log-probability, and how it was chosen where that was asked for."""
    tokens: list[dict[str, Any]] = []
    for i, token in enumerate(completion.tokens):
        entry: dict[str, Any] = {"id": token, "text": tokenizer.token_text(token)}
        if completion.logprobs is not None and completion.top_logprobs is not None:
            entry["logprob"] = completion.logprobs[i]
            entry["top"] = [
                {"id": other, "text": tokenizer.token_text(other), "logprob": value}
                for other, value in completion.top_logprobs[i]
            ]
        if steps:
            entry["step"] = steps[i].as_dict(tokenizer.token_text)
        tokens.append(entry)
    said = {"text": completion.text, "stop_reason": completion.stop_reason, "prompt_cut": completion.prompt_cut}
    return {**said, "tokens": tokens}


def _defaults(argv: list[str]) -> GenerateArguments | None:
    """Return the defaults: how the run's own samples were drawn."""
    if not argv or argv[0].startswith("-"):
        return None
    try:
        recipe = writing_recipe(open_run(argv[0]))
    except (RunError, UsageError):
        return None
    return GenerateArguments(model=argv[0], sampling=dataclasses.replace(recipe.generate), prompt="")
