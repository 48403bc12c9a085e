"""Guidance, word maps, what lies between, latents, the field in the plane, a step in the microscope: equal to the API's."""

from __future__ import annotations

import http.client
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from server.answers import arrays as arrays_of
from server.paint_lab import PROMPT, QUICK, client, make_home, packed, pixels
from server.serving import serving_lab, wait_until

from cutaway.diffusion.between import between_latents, between_noises, between_prompts
from cutaway.diffusion.config import PaintSamplingConfig
from cutaway.diffusion.guidance import Guided
from cutaway.diffusion.paint import paint
from cutaway.diffusion.picture_files import from_uint8, gif_bytes, to_uint8
from cutaway.diffusion.word_maps import paint_with_word_maps
from cutaway.server.lab import Lab
from diffusion.painters import latent_painter, plain_painter, word_painter

ASKED = {"model": "models/words", "prompt": PROMPT, "settings": QUICK}
CONFIG = PaintSamplingConfig(**QUICK)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client(make_home(tmp_path_factory.mktemp("home"))) as started:
        yield started


def ask(asker: TestClient, what: str, **more: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    answer = asker.post(f"/api/paint/{what}", json={**ASKED, **more})
    assert answer.status_code == 200, answer.text
    return arrays_of(answer)


@pytest.mark.parametrize("model", ["models/words", "models/latents"])
def test_guidance_at_every_step(asker: TestClient, model: str) -> None:
    meta, found = ask(asker, "guidance", model=model, index=1)
    painter = word_painter() if model == "models/words" else latent_painter()
    told, x_SCYX, parts = painter.told([PROMPT]), [painter.noise([6])], []
    config = PaintSamplingConfig(**{**QUICK, "n": 1, "seed": 6})  # type: ignore[arg-type]
    paint(painter, [PROMPT], config, on_step=lambda _, step: x_SCYX.append(step.x), listen=parts.append)
    assert meta["times"] == [0, 0.25, 0.5, 0.75]
    for i, part in enumerate(parts):
        t = torch.tensor(meta["times"][i])
        np.testing.assert_array_equal(found["now"][i], painter.to_pictures(x_SCYX[i])[0])
        for name in ("conditional", "unconditional", "guided"):
            picture = painter.path.read(getattr(part, name), x_SCYX[i], t).picture
            close(found[name][i], painter.to_pictures(picture)[0])
        with torch.no_grad():
            alone = painter.denoiser(x_SCYX[i], t[None], told.nothing)
        close(found["unconditional"][i], painter.to_pictures(painter.path.read(alone, x_SCYX[i], t).picture)[0])


def close(shown: np.ndarray, expected: np.ndarray) -> None:
    """Rows of another batch round differently: by one of 255 at most."""
    assert np.abs(shown.astype(int) - expected).max() <= 1


def test_what_is_told_nothing_cannot_be_guided(asker: TestClient) -> None:
    answer = asker.post("/api/paint/guidance", json={**ASKED, "model": "models/plain", "prompt": ""})
    assert answer.status_code == 400
    assert "told nothing" in answer.json()["error"]


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_word_maps(asker: TestClient, sampler: str) -> None:
    settings = {**QUICK, "sampler": sampler}
    _, maps = paint_with_word_maps(
        word_painter(), PROMPT, PaintSamplingConfig(**{**settings, "seed": 7, "n": 1})  # type: ignore[arg-type]
    )  # fmt: skip
    meta, found = ask(asker, "word-maps", settings=settings, index=2, step=3, layer=1, head=2)
    assert (meta["tokens"], meta["n_layers"], meta["n_heads"]) == (["<begin>", "a", "red", "cat", "<end>"], 2, 4)
    np.testing.assert_allclose(found["maps"], maps.layers[1][6 if sampler == "heun" else 3, 2], rtol=1e-4)
    _, found = ask(asker, "word-maps", settings=settings, index=2)
    np.testing.assert_allclose(found["maps"], maps.mean().mean(dim=0), rtol=1e-4)
    np.testing.assert_allclose(found["maps"].sum(axis=0), 1, rtol=1e-4)
    answer = asker.post("/api/paint/word-maps", json={**ASKED, "layer": 2})
    assert (answer.status_code, answer.json()["error"]) == (400, "there is no layer 2; there are 2, from 0")
    answer = asker.post("/api/paint/word-maps", json={**ASKED, "model": "models/plain"})
    assert "reads no words" in answer.json()["error"]


def test_between(asker: TestClient) -> None:
    shares = [0, 0.5, 1]
    meta, found = ask(asker, "between", through="prompts", other_prompt="two dogs on a beach", count=3, index=1)
    config = PaintSamplingConfig(**{**QUICK, "seed": 6, "n": 3})  # type: ignore[arg-type]
    expected = between_prompts(word_painter(), PROMPT, "two dogs on a beach", shares, config)
    assert meta == {"shares": shares, "unknown": []}
    np.testing.assert_array_equal(found["pictures"], expected.pictures)
    _, found = ask(asker, "between", through="noise", other_seed=9, count=3)
    expected = between_noises(word_painter(), PROMPT, 5, 9, shares, CONFIG)
    np.testing.assert_array_equal(found["pictures"], expected.pictures)
    _, found = ask(asker, "between", model="models/latents", through="latents", other_seed=9, count=3)
    painter = latent_painter()
    ends = paint(painter, [PROMPT, PROMPT], CONFIG, seeds=[5, 9]).pictures
    np.testing.assert_array_equal(found["pictures"], between_latents(painter, ends[0], ends[1], shares))
    answer = asker.post("/api/paint/between", json={**ASKED, "through": "latents"})
    assert "paints pixels and has no latents" in answer.json()["error"]


@pytest.mark.parametrize(
    ("model", "prompt"), [("models/words", PROMPT), ("models/plain", ""), ("models/latents", PROMPT)]
)
def test_a_film(asker: TestClient, model: str, prompt: str) -> None:
    answer = asker.post("/api/paint/gif", json={**ASKED, "model": model, "prompt": prompt, "index": 2})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/gif"
    name = "a-red-cat" if prompt else "painting"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}-seed-7.gif"'
    painter = {"models/words": word_painter, "models/plain": plain_painter, "models/latents": latent_painter}[model]()
    frames = paint(painter, [prompt], CONFIG, seeds=[7], keep_frames=True).frames
    assert answer.content == gif_bytes(frames)
    with Image.open(io.BytesIO(answer.content)) as film:
        assert getattr(film, "n_frames", 1) == QUICK["steps"] + 1  # type: ignore[operator]


def test_no_film_of_what_is_not_known(asker: TestClient) -> None:
    answer = asker.post("/api/paint/gif", json={**ASKED, "prompt": "zebra"})
    assert answer.status_code == 400
    assert "not one word of 'zebra' is known" in answer.json()["error"]


@pytest.mark.parametrize(
    ("what", "more"),
    [*(("between", {"through": through}) for through in ("prompts", "noise", "latents")), ("gif", {})],
    ids=["prompts", "noise", "latents", "gif"],
)
@pytest.mark.slow
def test_it_stops_when_the_client_leaves(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, what: str, more: dict[str, str]
) -> None:
    lab, ask_model = Lab(make_home(tmp_path_factory.mktemp("home"))), Guided.__call__
    calls: list[Any] = []

    def slowly(self: Guided, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        time.sleep(0.02)
        calls.append(x)
        return ask_model(self, x, t)

    monkeypatch.setattr(Guided, "__call__", slowly)
    with serving_lab(lab) as port:
        line = http.client.HTTPConnection("127.0.0.1", port)
        asked = {**ASKED, "model": "models/latents", "settings": {**QUICK, "steps": 250}, **more}
        line.request("POST", f"/api/paint/{what}", json.dumps(asked), {"Content-Type": "application/json"})
        wait_until(lambda: len(calls) > 2)
        line.close()
        wait_until(lambda: lab.streams.n_running == 0)
    assert len(calls) < 200


@pytest.mark.parametrize("model", ["models/latents", "models/vae"])
def test_through_a_vae(asker: TestClient, model: str) -> None:
    drawing = asker.get("/api/paint/drawing", params={"size": 16, "number": 3}).json()
    picture = pixels(drawing["picture"], 16, 16, 3)
    assert drawing["caption"]
    answer = asker.post("/api/paint/latent", json={"model": model, "picture": drawing["picture"]})
    meta, found = arrays_of(answer)
    vae = latent_painter().vae
    assert vae is not None
    with torch.no_grad():
        latents = vae.encode(from_uint8(picture[None].copy()))
        decoded = to_uint8(vae.decode(latents))[0]
    np.testing.assert_array_equal(found["decoded"], decoded)
    np.testing.assert_array_equal(found["latents"], latents[0])
    np.testing.assert_array_equal(found["difference"], decoded.astype(np.float32) - picture)
    rms = np.sqrt(((decoded.astype(float) - picture) ** 2).mean())
    assert meta["rms"] == pytest.approx(rms)
    assert meta["psnr_db"] == pytest.approx(20 * np.log10(255 / rms))
    assert (meta["n_pixels"], meta["n_latents"]) == (768, 80)
    wrong = asker.post("/api/paint/latent", json={"model": model, "picture": packed(np.zeros((8, 8, 3)))})
    assert "expected 16 x 16 x 3" in wrong.json()["error"]


@pytest.mark.slow
def test_the_field(asker: TestClient) -> None:
    meta, found = arrays_of(asker.get("/api/paint/field", params={"shape": "ring"}))
    steps = meta["steps"]
    assert found["exact_ways"].shape == (steps + 1, 240, 2)
    # at t = 0 all arrows of the exact field point from their place to the middle of the shape
    np.testing.assert_allclose(found["exact_arrows"][0], found["shape"].mean(axis=0) - found["places"], atol=1e-5)
    radius = np.linalg.norm(found["exact_ways"][-1], axis=1)
    assert np.abs(radius - 1.6).max() < 0.35
    assert np.median(np.abs(np.linalg.norm(found["learned_ways"][-1], axis=1) - 1.6)) < 0.2
    assert asker.get("/api/paint/field", params={"shape": "cube"}).status_code == 400


def test_a_step_in_the_microscope(asker: TestClient) -> None:
    made = asker.post("/api/paint/trace", json={**ASKED, "index": 1, "step": 2})
    assert made.status_code == 200, made.text
    name = made.json()["trace"]
    listed = {one["name"]: one for one in asker.get("/api/traces").json()}
    assert listed[name]["model"] == "words"
    assert not listed[name]["problem"]
    from cutaway.microscope.store import load_trace

    lab = asker.app.state.lab  # type: ignore[attr-defined]
    trace = load_trace(lab.home / name)
    assert trace.verify().ok
    painter, x = word_painter(), []
    paint(painter, [PROMPT], PaintSamplingConfig(**{**QUICK, "seed": 6, "n": 1}), on_step=lambda _, s: x.append(s.x))  # type: ignore[arg-type]
    with torch.no_grad():
        expected = painter.denoiser(x[1], torch.tensor([0.5]), painter.told([PROMPT]).condition)
    found = [trace[one] for one in trace.addresses()]
    assert any(one.shape == expected.shape and torch.allclose(one, expected, atol=1e-5) for one in found)
    again = asker.post("/api/paint/trace", json={**ASKED, "index": 1, "step": 2}).json()["trace"]
    assert again == f"{name}-2"
    wrong = asker.post("/api/paint/trace", json={**ASKED, "step": 4})
    assert "expected 0 to 3" in wrong.json()["error"]
