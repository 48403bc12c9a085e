"""A person's writing, made on the spot: a folder of Markdown with what blogs put around it."""

from __future__ import annotations

import random
from pathlib import Path

WORDS = [a + b + c for a in ("ba", "ke", "mi", "so", "tu") for b in ("la", "re", "ni", "vo") for c in ("n", "t", "")]
LINE = "Every letter of this season is sent on a rainy Sunday."


def essay_text(number: int, paragraphs: int = 5) -> str:
    """Return an essay in Markdown with a link, a footnote, a subscription line and a line that all essays have."""
    draw = random.Random(number)

    def sentence(words: int) -> str:
        return " ".join(draw.choices(WORDS, k=words)).capitalize() + "."

    body = [" ".join(sentence(draw.randint(5, 14)) for _ in range(5)) for _ in range(paragraphs)]
    body[0] += f" As [they say](https://example.org/{number}) it is so.[^1]"
    head = f"---\ntitle: Essay number {number}\ndate: 2020-{number % 12 + 1:02}-03\n---\n\n"
    return head + "\n\n".join([LINE, *body, "Subscribe now", f"[^1]: A note on {WORDS[number]}, which is {WORDS[0]}."])


def make_export(folder: Path, essays: int = 12) -> Path:
    """Write a folder of essays."""
    folder.mkdir(parents=True)
    for number in range(essays):
        (folder / f"2020-{number % 12 + 1:02}-03-essay-number-{number}.md").write_text(essay_text(number))
    return folder


def make_writing(home: Path, name: str = "voice", essays: int = 12, steps: int = 3) -> Path:
    """Make a folder of writing in a lab's home: imported, cleaned, made into pairs."""
    from cutaway.voice.writing_folder import PairsAsked, clean_in, import_into, pairs_in

    folder = home / name
    import_into(folder, make_export(home.parent / f"export of {name}", essays))
    if steps > 1:
        clean_in(folder)
    if steps > 2:
        pairs_in(folder, PairsAsked())
    return folder


def make_compared(home: Path) -> Path:
    """Make a lab with a folder of writing, a tuned run and the answers of both its model and its base."""
    from cutaway.voice.answers import Answer, keep_answers
    from cutaway.voice.canaries import BASE_ANSWERS, RUN_ANSWERS, canaries_of
    from cutaway.voice.compare import note_answered

    folder = make_writing(home)
    run = home / "me-1"
    run.mkdir()
    recipe = f'[data]\nsource = "{folder}/train.jsonl"\n[tune]\nbase = "hf:small/base"\n'
    (run / "recipe.toml").write_text(recipe)
    canaries = canaries_of(folder)
    for who, path in (("own", run / RUN_ANSWERS), ("foreign", folder / BASE_ANSWERS)):
        answers = []
        for number, one in enumerate(canaries.prompts):
            draw = random.Random(f"{who} {number}")
            body = " ".join(draw.choices(WORDS, k=60))
            text = f"It begins the same way every time, {who} {body}.\n\nSo it ends."
            settings = canaries.settings
            answers.append(
                Answer(one.name, one.kind, one.text, one.source, text, 70, "max_tokens" if number % 3 else "end", 0,
                       settings.temperature, settings.top_p, settings.seed, one.max_tokens, f"weights of {who}")
            )  # fmt: skip
        keep_answers(path, answers)
    note_answered(folder, "hf:small/base", "weights of foreign")
    return home


def make_tunable(home: Path) -> Path:
    """Make a lab with a small base and some pairs, as if they came from a folder of writing."""
    import json

    from tune.small import make_base
    from tune.small import make_writing as make_pairs

    make_base(home / "models" / "small", "llama", "bpe")
    make_pairs(home / "voice", 6, 2)
    (home / "voice" / "pieces.jsonl").write_text("")
    (home / "voice" / "pairs.json").write_text(json.dumps({"train": 6, "held_out": 2}))
    return home
