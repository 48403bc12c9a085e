"""What paints, how a prompt is read, and pictures as they are painted: equal to those of the Python API."""

from __future__ import annotations

import dataclasses
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from server.paint_lab import PROMPT, QUICK, client, make_home, packed, paint, pixels
from server.serving import serving_lab, wait_until

import cutaway.diffusion.paint as painting
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.inpaint import inpaint
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.painter_folder import save_painter
from cutaway.diffusion.redraw import redraw
from cutaway.server.lab import Lab
from cutaway.server.painters import SHIPPED, OpenPainters
from diffusion.painters import label_painter, latent_painter, plain_painter, word_painter

CONFIG = PaintSamplingConfig(**QUICK)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def asker(home: Path) -> Iterator[TestClient]:
    with client(home) as started:
        yield started


def test_what_paints(asker: TestClient) -> None:
    told = {one["name"]: one for one in asker.get("/api/paint/painters").json()["painters"]}
    assert list(told)[-1] == SHIPPED, "the one that came along stands last"
    del told[SHIPPED]
    assert list(told) == ["models/labels", "models/latents", "models/plain", "models/vae", "models/words"]
    kinds = {name: (one["paints"], one["told"], one["has_vae"], one["size"]) for name, one in told.items()}
    assert kinds == {
        "models/words": (True, "words", False, 8),
        "models/labels": (True, "labels", False, 8),
        "models/latents": (True, "words", True, 16),
        "models/plain": (True, "nothing", False, 8),
        "models/vae": (False, "nothing", True, 16),
    }
    assert told["models/labels"]["labels"] == ["cat", "dog", "owl"]
    painter = word_painter()
    assert painter.text is not None
    assert painter.reader is not None
    parts = (painter.denoiser, painter.text.encoder, painter.reader)
    parameters = sum(one.numel() for part in parts for one in part.parameters())
    assert [name for name, one in told.items() if one["can_choose"]] == ["models/latents", "models/words"]
    assert told["models/words"]["parameters"] == parameters


def test_runs_come_first_and_a_broken_one_says_why(tmp_path: Path) -> None:
    for run in ("phase1-1", "phase1-2"):
        save_painter(tmp_path / run / "model", plain_painter())
        (tmp_path / run / "recipe.toml").write_text("")
    (tmp_path / "phase1-2" / "model" / "painter.json").write_text("{}")
    save_painter(tmp_path / "shipped", label_painter())
    painters = OpenPainters(tmp_path, tmp_path / "shipped")
    told = {one.name: one for one in painters.list()}
    assert set(told) == {"phase1-1", "phase1-2", SHIPPED}
    assert "not a painter's description" in str(told["phase1-2"].problem)
    assert painters.open(SHIPPED).painter.names == ("cat", "dog", "owl")
    first = painters.open("phase1-1")
    assert painters.open("phase1-1") is first
    save_painter(tmp_path / "phase1-1" / "model", label_painter())  # a better one was saved
    assert painters.open("phase1-1").painter.names == ("cat", "dog", "owl")


def test_the_one_not_used_for_longest_is_closed(tmp_path: Path) -> None:
    for i in range(5):
        save_painter(tmp_path / "models" / f"p{i}", plain_painter())
    painters = OpenPainters(tmp_path, tmp_path / "none")
    opened = [painters.open(f"models/p{i}") for i in range(4)]
    assert painters.open("models/p0") is opened[0]
    painters.open("models/p4")
    assert [painters.open(f"models/p{i}") is opened[i] for i in (0, 2, 3)] == [True] * 3
    assert painters.open("models/p1") is not opened[1]


@pytest.mark.parametrize("name", ["../home", "models/..", "models/none", "elsewhere/words", "none", ""])
def test_no_such_painter(asker: TestClient, name: str) -> None:
    answer = asker.post("/api/paint/read", json={"model": name, "prompt": "a"})
    assert answer.status_code in (400, 404)
    assert "\n" not in answer.json()["error"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    save_painter(tmp_path / "elsewhere", plain_painter())
    (tmp_path / "home" / "models").mkdir(parents=True)
    (tmp_path / "home" / "models" / "link").symlink_to(tmp_path / "elsewhere")
    with client(tmp_path / "home") as asker:
        assert [one["name"] for one in asker.get("/api/paint/painters").json()["painters"]] == [SHIPPED]
        assert asker.post("/api/paint/read", json={"model": "models/link", "prompt": ""}).status_code == 404


def test_a_prompt_is_read(asker: TestClient) -> None:
    asked = {"model": "models/words", "prompt": "a  red zebra, wearing a tiny hat on two dogs on hats"}
    read = asker.post("/api/paint/read", json=asked).json()
    assert [one["text"] for one in read["words"]] == asked["prompt"].split()
    assert read["unknown"] == ["zebra", ",", "hats"]
    assert [one["text"] for one in read["words"] if not one["is_known"]] == ["zebra,", "hats"]
    assert [one["text"] for one in read["words"] if one["is_lost"]] == ["hat", "on", "two", "dogs", "on", "hats"]
    read = asker.post("/api/paint/read", json={"model": "models/labels", "prompt": "horse"}).json()
    assert read["unknown"] == ["horse"]
    words = asker.get("/api/paint/words", params={"model": "models/words"}).json()
    assert "owl" in words["known"]
    assert {"name": "creature", "words": ["cat", "owl"]} in words["groups"]


@pytest.mark.parametrize(
    ("model", "prompt", "make"),
    [
        ("models/words", PROMPT, word_painter),
        ("models/latents", PROMPT, latent_painter),
        ("models/labels", "owl", label_painter),
        ("models/plain", "", plain_painter),
    ],
)
def test_the_pictures_are_the_apis(asker: TestClient, model: str, prompt: str, make: Any) -> None:
    start, *frames, end = paint(asker, model, prompt)
    painter = make()
    expected: list[np.ndarray] = []
    found = painting.paint(
        painter, [prompt], CONFIG, keep_frames=True,
        on_step=lambda number, step: expected.append(painter.to_pictures(step.picture)),
    )  # fmt: skip
    assert end["event"] == "end"
    assert (start["seeds"], start["size"], start["channels"]) == ([5, 6, 7], painter.size, painter.channels)
    assert [one["step"] for one in frames] == [0, 1, 2, 3, 4, 4]
    assert [one["t"] for one in frames] == pytest.approx([max(0, painter.path.first), 0.25, 0.5, 0.75, 1, 1], abs=0.01)
    shape = (3, painter.size, painter.size, painter.channels)
    for frame, kept in zip(frames, [*found.frames, found.pictures], strict=True):
        np.testing.assert_array_equal(pixels(frame["pictures"], *shape), kept)
    for frame, picture in zip(frames[1:], expected, strict=False):
        np.testing.assert_array_equal(pixels(frame["expected"], *shape), picture)


def test_the_best_of_several(asker: TestClient) -> None:
    told = paint(asker, best_of=4)
    assert [one["step"] for one in told if one["event"] == "drafts"] == [1, 2, 3, 4]
    start, *frames, end = [one for one in told if one["event"] != "drafts"]
    found = painting.paint(word_painter(), [PROMPT], dataclasses.replace(CONFIG, best_of=4), keep_frames=True)
    assert (start["seeds"], end["event"]) == (list(found.seeds), "end")
    assert start["seeds"] != [5, 6, 7]
    for frame, kept in zip(frames, [*found.frames, found.pictures], strict=True):
        np.testing.assert_array_equal(pixels(frame["pictures"], 3, 8, 8, 3), kept)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"model": "models/labels", "prompt": "cat"}, "no reader to choose drafts by"),
        ({"picture": packed(np.zeros((8, 8, 3)))}, "chosen among pictures from noise"),
    ],
)
def test_what_cannot_be_chosen(asker: TestClient, more: dict[str, Any], said: str) -> None:
    (told,) = paint(asker, best_of=2, **more)
    assert told["event"] == "trouble"
    assert said in told["error"]
    body = {"model": "models/words", "prompt": PROMPT, "settings": QUICK}
    assert asker.post("/api/paint/pictures", json=body | {"best_of": 17}).status_code == 400


def test_what_is_left_out_is_said(asker: TestClient) -> None:
    start, *frames, _ = paint(asker, prompt="a red zebra cat")
    assert start["unknown"] == ["zebra"]
    assert frames[-1]["pictures"] == paint(asker)[-2]["pictures"]


def test_painting_around_and_from_a_drawing(asker: TestClient) -> None:
    painter = word_painter()
    drawing = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    keep = np.zeros((8, 8), bool)
    keep[:, :5] = True
    _, *frames, _ = paint(asker, picture=packed(drawing), keep=packed(keep))
    found = inpaint(painter, drawing, keep, [PROMPT], CONFIG)
    np.testing.assert_array_equal(pixels(frames[-1]["pictures"], 3, 8, 8, 3), found.pictures)
    np.testing.assert_array_equal(pixels(frames[-1]["pictures"], 3, 8, 8, 3)[:, :, :5], np.stack([drawing[:, :5]] * 3))
    _, *frames, _ = paint(asker, picture=packed(drawing), level=0.5)
    found = redraw(painter, drawing, 0.5, [PROMPT], CONFIG)
    assert [one["t"] for one in frames] == [0.5, 0.75, 1, 1]
    np.testing.assert_array_equal(pixels(frames[-1]["pictures"], 3, 8, 8, 3), found.pictures)
    noised = painter.path.noised(painter.from_pictures(drawing[None]), painter.noise([5, 6, 7]), torch.tensor(0.5))
    np.testing.assert_array_equal(pixels(frames[0]["pictures"], 3, 8, 8, 3), painter.to_pictures(noised))
    _, *frames, _ = paint(asker, picture=packed(drawing), level=0)
    np.testing.assert_array_equal(pixels(frames[-1]["pictures"], 3, 8, 8, 3)[1], drawing)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"prompt": " "}, "the prompt is empty"),
        ({"prompt": "zebra"}, "not one word"),
        ({"model": "models/labels", "prompt": "oul"}, "did you mean owl"),
        ({"model": "models/plain", "prompt": "a cat"}, "without labels and words"),
        ({"model": "models/vae"}, "paints nothing by itself"),
        ({"model": "models/none"}, "there is no painter 'models/none'"),
        ({"picture": "?"}, "picture is not base64"),
        ({"picture": packed(np.zeros((9, 8, 3)))}, "expected 8 x 8 x 3"),
        ({"keep": packed(np.zeros((8, 8)))}, "without its picture"),
    ],
)
def test_trouble_is_one_line(asker: TestClient, more: dict[str, Any], said: str) -> None:
    *_, last = paint(asker, **more)
    assert last["event"] == "trouble"
    assert said in last["error"]
    assert "\n" not in last["error"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"guidance": 1000}, "expected 0 to 100"),
        ({"steps": 0}, "settings.steps"),
        ({"sampler": "x"}, "sampler"),
    ],
)
def test_absurd_settings(asker: TestClient, settings: dict[str, Any], said: str) -> None:
    answer = asker.post("/api/paint/pictures", json={"model": "models/words", "prompt": PROMPT, "settings": settings})
    assert said in answer.text
    assert "Traceback" not in answer.text


def test_it_stops_when_the_client_leaves(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, shown = Lab(home), Painter.to_pictures
    calls: list[None] = []

    def slowly(self: Painter, x: torch.Tensor) -> np.ndarray:
        calls.append(time.sleep(0.01))  # type: ignore[func-returns-value]
        return shown(self, x)

    monkeypatch.setattr(Painter, "to_pictures", slowly)
    with serving_lab(lab) as port:
        line = http.client.HTTPConnection("127.0.0.1", port)
        asked = {"model": "models/words", "prompt": PROMPT, "settings": {**QUICK, "steps": 250}}
        line.request("POST", "/api/paint/pictures", json.dumps(asked), {"Content-Type": "application/json"})
        answer = line.getresponse()
        assert answer.readline().startswith(b"data:")
        answer.close()
        line.close()
        wait_until(lambda: lab.streams.n_running == 0)
    assert 0 < len(calls) < 400  # two a step
