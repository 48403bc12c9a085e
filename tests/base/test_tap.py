"""Taps change nothing until somebody listens, and a listener may put another value in place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from cutaway.base.seed import derive
from cutaway.base.tap import is_listening, listening, tap


def test_taps() -> None:
    heard = []

    def listen(name: str, value: int) -> int | None:
        heard.append((name, value))
        return 7 if name == "b" else None

    assert tap("a", 1) == 1
    with listening(listen):
        assert tap("a", 2) == 2
        assert tap("b", 3) == 7
    assert tap("b", 4) == 4
    assert heard == [("a", 2), ("b", 3)]


def test_nobody_hears_another_thread() -> None:
    heard: list[str] = []
    with listening(lambda name, value: heard.append(name)):
        assert is_listening()
        with ThreadPoolExecutor() as pool:
            assert not pool.submit(is_listening).result()
            assert pool.submit(tap, "there", 1).result() == 1
        tap("here", 2)
    assert heard == ["here"]
    assert not is_listening()


def test_streams_of_random_numbers_are_told_apart_by_name() -> None:
    assert derive(0, "step", 1, 0) == derive(0, "step", 1, 0)
    assert len({derive(0, "step", 1), derive(0, "step", 10), derive(1, "step", 1), derive(0, "data", 1)}) == 4
