"""Shared by all tests: one thread, shapes checked at every call, a cache and a runs folder of their own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import shapecheck  # noqa: F401
from jaxtyping import install_import_hook

_hook = install_import_hook(
    [
        "cutaway.nn",
        "cutaway.models",
        "cutaway.text",
        "cutaway.generate",
        "cutaway.train",
        "cutaway.tune",
        "cutaway.diffusion",
    ],
    "shapecheck.checked",
)

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)
for _device in (torch.cuda, torch.xpu, torch.mtia):
    if not _device.is_available():  # `torch.manual_seed` writes down the whole stack for each, in case it comes
        _device.manual_seed_all = lambda seed: None


@pytest.hookimpl(trylast=True)  # when the folders' own have said what is slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try a slow test once more that hung, or whose browser did not answer in time: two cores are shared with all else.

    Only these: being ready to try again costs a test 40 ms (the plugin's workers wait for a delayed acknowledgement).
    """
    for item in items:
        is_web = "web" in item.path.parts
        late = r"|Timeout \d+ms exceeded" if is_web and not float(os.environ.get("CUTAWAY_LATE", "0")) else ""
        if is_web or item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=rf"Timeout \(>{late}"))


@pytest.fixture(autouse=True)
def own_folders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test's cache and runs away from the user's: in its `tmp_path`, or where nothing is until it is written."""
    if "tmp_path" in request.fixturenames:
        folder = request.getfixturevalue("tmp_path")
    else:
        base = request.getfixturevalue("tmp_path_factory").getbasetemp()
        folder = base / "own" / hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    monkeypatch.setenv("CUTAWAY_CACHE", str(folder / "cache"))
    monkeypatch.setenv("CUTAWAY_RUNS", str(folder / "runs"))
    torch.set_num_threads(1)
    torch.set_flush_denormal(False)  # training sets it for the whole process


@pytest.fixture(scope="session", autouse=True)
def drawings_in_float32() -> Iterator[None]:
    """Ask every machine for the same; `test_quick_products.py` turns bfloat16 on."""
    from cutaway.diffusion import quick_products

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quick_products, "has_quick_bfloat16", lambda device: False)
        yield


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny run of every phase of paint, each on the ones before; not to be changed."""
    from paint_runs import train_all

    home = tmp_path_factory.mktemp("painters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUTAWAY_RUNS", str(home))
        patch.setenv("CUTAWAY_CACHE", str(home / "cache"))
        train_all(home)
    return home


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real texts beside the project; tests that need it are skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real texts in {folder}")
    return folder
