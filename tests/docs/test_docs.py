"""The pages are true: code runs, trees match, generated pages are up to date."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest

from cutaway.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])
UNMEASURED = "Not measured yet."
"""Stands on a page whose numbers and pictures come from runs that nobody made yet."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def runs(page: Path) -> list[tuple[str, str | None]]:
    """Return each block of Python and the output shown right below it, if any."""
    found = re.findall(
        r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", page.read_text(encoding="utf-8"), re.M | re.S
    )
    return [(code, output or None) for code, output in found]


def test_generated_pages_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, page in module.PAGES.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == page(), f"docs/{name} is old: run `make docs`"


RUNNING = [page for page in PAGES if blocks(page, "python") and page.name != "voice.md"]  # that one: test_voice_page.py


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.name)
@pytest.mark.slow
def test_python_on_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "fox.txt").write_text("the quick brown fox jumps over the lazy dog; def x " * 90)
    names: dict[str, Any] = {}
    for block, output in runs(page):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(block, page.name, "exec"), names)
        if output is not None:
            assert said.getvalue() == output, f"{page.name}: the block beginning {block.splitlines()[0]!r} prints this"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=lambda page: page.name)
def test_commands_on_a_page_are_understood(page: Path) -> None:
    """Every `cutaway` command on a page names a verb and settings that exist (its help knows every flag)."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if not words or words[0] != "cutaway" or len(words) == 1:  # alone it opens the lab
                continue
            flags = [word.split("=")[0] for word in words[2:] if word.startswith("--")]
            assert_known(words[1], words[2:], flags)


def assert_known(verb: str, rest: list[str], flags: list[str]) -> None:
    said = io.StringIO()
    target = rest[:1]
    has_kinds = verb in ("train", "lens", "voice")  # their settings depend on what comes next
    arguments = [verb, *target, "--help"] if has_kinds and target and target[0][0] != "-" else [verb, "--help"]
    if verb == "paint" and target:  # of a phase, or of any words
        arguments = [verb, *(rest[:2] if target == ["train"] else ["words"]), "--help"]
    if verb == "train" and target and "/" in target[0]:
        arguments = [verb, "--help"]
    with contextlib.redirect_stdout(said):
        try:
            code: Any = main(arguments)
        except SystemExit as stop:
            code = stop.code
    assert not code, f"there is no `cutaway {verb}`"
    for flag in flags:
        assert flag in said.getvalue(), f"{verb} knows no {flag}"


def test_the_tree_in_the_readme_is_the_tree() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for folder in (ROOT / "src" / "cutaway").iterdir():
        if folder.is_dir() and (folder / "__init__.py").exists():
            assert f"  {folder.name}/" in readme, f"the README's tree does not have {folder.name}/"
    for name in re.findall(r"^  (\w+)/ ", readme, re.M):
        assert (ROOT / "src" / "cutaway" / name).is_dir(), f"the README's tree has {name}/, which is not there"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            is_awaited = "images/" in target and UNMEASURED in page.read_text(encoding="utf-8")
            if "://" not in target and not is_awaited:
                assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize("example", sorted((ROOT / "docs" / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example_runs(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(example), run_name="__main__")
    said = capsys.readouterr().out
    assert "agrees" in said
    assert "every number agrees" in said
