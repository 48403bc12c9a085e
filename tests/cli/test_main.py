"""The front door: help and wrong words come at once, in one line, without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cutaway.cli.main import VERBS, main

WRONG = [
    (["--help"], 0, ""),
    (["trian"], 2, "there is no verb 'trian' (did you mean train"),
    (["train", "stdlob"], 2, "there is no preset, recipe file or run 'stdlob' (did you mean stdlib"),
    (["train", "/usr"], 2, "to train on its text: cutaway train stdlib --data.source /usr"),
    (["train", "none.toml"], 2, "there is no recipe file 'none.toml'"),
    (["train", "stdlib", "--model.d-modl", "3"], 2, "--model.d-modl"),
    (["train", "stdlib", "--model.d-model", "wide"], 2, "--model.d-model"),
    (["train", "stdlib", "--model.n-heads", "7"], 2, "cannot be split among model.n_heads 7"),
    (["train", "stdlib", "--train.steps", "-3"], 2, "train.steps is -3; expected more than 0"),
    (["train", "stdlib", "--train.steps", "3", "--train.epochs", "2"], 2, "are both set; expected one budget"),
    (["train", "stdlib", "--train.batch-size", "7", "--train.accumulate", "2"], 2, "equal parts"),
    (["train", "stdlib", "--generate.temperature", "__import__('os')"], 2, "temperature formula"),
    (["generate"], 2, "cutaway generate"),
    (["generate", "nothing"], 2, "there is no run 'nothing'"),
    (["lens"], 2, "lens what? ask one of attention, layers"),
    (["lens", "atention"], 2, "there is no `cutaway lens atention` (did you mean attention"),
    (["lens", "attention"], 2, "cutaway lens attention --help"),
    (["lens", "attention", "nothing", "a"], 2, "there is no run 'nothing'"),
    (["lens", "attention", "nothing@7", "a"], 2, "there is no run 'nothing'"),
    (["runs", "shew"], 2, "did you mean show"),
    (["runs", "show"], 2, "needs a run"),
    (["runs", "show", "nothing"], 1, "there is no run 'nothing'"),
    (["lab", "nowhere"], 2, "there is no folder 'nowhere'"),
    (["lab", "--host", "0.0.0.0", "--password-file", "nowhere"], 2, "the password file 'nowhere' cannot be read"),
    (["lab", "--port", "http"], 2, "--port"),
    (["bench", "lunch"], 2, "lunch"),
    (["scratch"], 2, "scratch what? there is `cutaway scratch names`"),
    (["scratch", "nmes"], 2, "there is no `cutaway scratch nmes` (did you mean names?)"),
    (["scratch", "step", "names.txt"], 2, "`cutaway scratch step` takes no file"),
    (["scratch", "names", "--engine", "vlue"], 2, "vlue"),
    (["scratch", "names", "--steps", "0"], 2, "--steps must be 1 or more, not 0"),
    (["plan", "--minutes", "-1"], 2, "minutes is -1"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "line"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_one_clear_line(arguments: list[str], code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    said = capsys.readouterr().err
    if code:
        assert line in said
        assert said.count("\n") == 1
        assert "Traceback" not in said
    else:
        assert said == ""


def test_help_and_wrong_words_need_no_torch() -> None:
    program = "import sys; from cutaway.cli.main import main\n"
    for arguments, *_ in WRONG:
        program += f"main({arguments!r})\n"
    for verb in VERBS:
        program += f"try: main([{verb!r}, '--help'])\nexcept SystemExit as stop: assert not stop.code\n"
    program += "heavy = {'torch', 'numpy', 'transformers', 'safetensors'} & set(sys.modules); assert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([verb, "--help"])
    except SystemExit as stop:
        code = stop.code
    assert not code
    said = capsys.readouterr().out
    assert "example:" in said
    assert "--json" in said
