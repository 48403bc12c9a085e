"""The painters of a lab: which there are, and those that are open.

    creatures-4          a run that paints
    models/NAME          a folder in `models` beside the runs
    shipped/creatures    the painter that comes with the package

What there is to say about one is read from its painter.json and the heads of its weights; PyTorch is imported when the
first one is opened. A run that trains writes better weights over the old: who opens it again gets the new ones.
"""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil
from pydantic import BaseModel

from cutaway.base.errors import CutawayError, ModelFormatError, RunError, UsageError, suggest
from cutaway.base.files import check_name
from cutaway.base.runs import RunFolder, list_runs
from cutaway.interop.safetensors_file import read_header
from cutaway.presets_paint import SHIPPED as SHIPPED_FOLDER
from cutaway.server.turns import Turns

if TYPE_CHECKING:
    from cutaway.diffusion.painter import Painter
    from cutaway.diffusion.vae import VAE

PAINTER = "painter.json"
FOLDER = "models"
SHIPPED = "shipped/creatures"
MOST_OPEN = 4
"""Painters are small; one more closes the one not used for longest."""
FEW_PARAMETERS = 1_000_000
"""Up to here one thread is the fastest; on a busy machine, by a factor of a hundred."""

Identity = tuple[tuple[str, int, int], ...]


class PainterFacts(BaseModel):
    """What there is to say about a painter without opening it."""

    name: str
    """By which it is opened."""
    kind: Literal["run", "folder", "shipped"]
    paints: bool = False
    """false: a VAE or a text encoder alone."""
    denoiser: str = ""
    """`unet` or `dit`."""
    told: Literal["words", "labels", "nothing"] = "nothing"
    """What it can be told."""
    labels: list[str] = []
    """Of one that is told labels: what each is called."""
    has_word_maps: bool = False
    """Whether its denoiser looks at single words, so that each word's attention can be drawn."""
    can_choose: bool = False
    """Whether it has a reader, so that the best of several drafts can be chosen."""
    has_vae: bool = False
    """Whether there are latents."""
    path: str = ""
    """`flow` or `ddpm`."""
    size: int = 0
    """Edge of its pictures."""
    channels: int = 0
    latent_size: int = 0
    """Edge of what is denoised, where that is latents."""
    latent_channels: int = 0
    parameters: int = 0
    """Of all parts."""
    size_bytes: int = 0
    changed: float = 0.0
    """When it was written, in seconds since 1970."""
    problem: str | None = None
    """Why it cannot be opened."""


@dataclass(frozen=True, eq=False)
class OpenPainter:
    """A painter in memory."""

    name: str
    facts: PainterFacts
    lock: Turns
    """`with opened.lock:` around every call of the model. It is fair; long work gives way between its steps."""
    identity: Identity
    any_painter: Painter | None
    any_vae: VAE | None

    @property
    def painter(self) -> Painter:
        """The painter.

        Raises:
            UsageError: a part alone.
        """
        if self.any_painter is None:
            raise UsageError(f"{self.name} is a part of a painter and paints nothing by itself; choose another model")
        return self.any_painter

    @property
    def vae(self) -> VAE:
        """The VAE.

        Raises:
            UsageError: there is none.
        """
        if self.any_vae is None:
            raise UsageError(f"{self.name} paints pixels and has no latents; choose a model with a VAE")
        return self.any_vae


class OpenPainters:
    """The painters of a home folder, and those that are open.

    Args:
        shipped: the folder of the painter that comes with the package, which may be absent.
    """

    def __init__(self, home: Path, shipped: Path = SHIPPED_FOLDER) -> None:
        self.home, self.shipped = home, shipped
        self._open: OrderedDict[str, OpenPainter] = OrderedDict()
        self._guard = threading.Lock()
        self._loading = threading.Lock()

    def list(self) -> list[PainterFacts]:
        """Return the facts of all painters: runs, newest first, then folders, then the one that is shipped."""
        return [read_facts(name, folder) for name, folder in self._places()]

    def open(self, name: str) -> OpenPainter:
        """Return a painter, loading it if it is not open or has changed on disk.

        Raises:
            UsageError: the name cannot be a painter's.
            RunError: there is no such painter.
            ModelFormatError: it cannot be read.
        """
        folder = self._find(name)
        with self._loading:
            identity = identity_of(folder)
            with self._guard:
                opened = self._open.get(name)
                if opened is not None and opened.identity == identity:
                    self._open.move_to_end(name)
                    return opened
            opened = _load(name, folder, identity)
            with self._guard:
                self._open[name] = opened
                while len(self._open) > MOST_OPEN:
                    self._open.popitem(last=False)
            return opened

    def _places(self) -> Iterator[tuple[str, Path]]:
        for run in reversed(list_runs(self.home)):
            if not run.path.is_symlink() and (run.model_folder / PAINTER).is_file():
                yield run.name, run.model_folder
        if (self.home / FOLDER).is_dir():
            for path in sorted((self.home / FOLDER).iterdir()):
                if (path / PAINTER).is_file() and not path.is_symlink():
                    yield f"{FOLDER}/{path.name}", path
        if (self.shipped / PAINTER).is_file():
            yield SHIPPED, self.shipped

    def _find(self, name: str) -> Path:
        if name == SHIPPED:
            folder = self.shipped
        else:
            head, slash, rest = name.rpartition("/")
            if slash and head != FOLDER:
                raise self._none(name)
            folder = (
                self.home / FOLDER / check_name(rest, "model name")
                if slash
                else RunFolder(self.home / check_name(name, "run name")).model_folder
            )
            if folder.is_symlink() or folder.parent.is_symlink():
                raise RunError(f"model {name!r} is a link out of {self.home}; the lab does not follow it")
        if not (folder / PAINTER).is_file():
            raise self._none(name)
        return folder

    def _none(self, name: str) -> RunError:
        return RunError(f"there is no painter {name!r} here{suggest(name, [known for known, _ in self._places()])}")


def identity_of(folder: Path) -> Identity:
    """Return what changes when another painter is written there."""
    files = [folder / PAINTER, folder / "tokenizer.json", *sorted(folder.glob("*.safetensors"))]
    found = []
    for file in files:
        try:
            state = file.stat()
        except OSError:
            continue
        found.append((file.name, state.st_mtime_ns, state.st_size))
    return tuple(found)


def read_facts(name: str, folder: Path) -> PainterFacts:
    """Return what there is to say; a painter that cannot be opened says why."""
    kind: Literal["run", "folder", "shipped"] = (
        "shipped" if name == SHIPPED else "folder" if name.startswith(f"{FOLDER}/") else "run"
    )
    facts = PainterFacts(name=name, kind=kind)
    try:
        told = json.loads((folder / PAINTER).read_text(encoding="utf-8"))
        headers = [read_header(file) for file in sorted(folder.glob("*.safetensors"))]
        return facts.model_copy(
            update={
                **_facts_of_parts(told),
                "parameters": sum(math.prod(one.shape) for header in headers for one in header.values()),
                "size_bytes": sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
                "changed": (folder / PAINTER).stat().st_mtime,
            }
        )
    except (CutawayError, OSError) as error:
        return facts.model_copy(update={"problem": " ".join(str(error).split())})
    except (ValueError, KeyError, TypeError, AttributeError):
        return facts.model_copy(update={"problem": f"{folder / PAINTER} is not a painter's description"})


def _facts_of_parts(told: dict[str, Any]) -> dict[str, Any]:
    parts = told["parts"]
    vae = parts["vae"]["config"] if "vae" in parts else None
    found: dict[str, Any] = {"has_vae": vae is not None, "path": told.get("path", {}).get("path", "")}
    if vae is not None:
        found |= {"size": vae["size"], "channels": vae["channels"], "latent_channels": vae["latent_channels"]}
    if "denoiser" not in parts:
        return found
    config = parts["denoiser"]["config"]
    labels = list(told.get("names", ()))
    found |= {"paints": True, "denoiser": parts["denoiser"]["kind"], "labels": labels}
    found |= {"told": "words" if "text" in parts or "clip" in told else "labels" if labels else "nothing"}
    found |= {"has_word_maps": config.get("d_words", 0) > 0, "can_choose": "reader" in parts}
    if vae is not None:
        return found | {"latent_size": config["size"]}
    return found | {"size": config["size"], "channels": config["channels"]}


def _load(name: str, folder: Path, identity: Identity) -> OpenPainter:
    import torch

    from cutaway.diffusion.painter_folder import load_painter, load_vae

    facts = read_facts(name, folder)
    if facts.problem:
        raise ModelFormatError(facts.problem)
    painter = load_painter(folder) if facts.paints else None
    if painter is not None:
        painter.denoiser.requires_grad_(False)
        vae = painter.vae
    else:
        vae = load_vae(folder) if facts.has_vae else None
    cores = psutil.cpu_count(logical=False) or 1
    threads = 1 if facts.parameters < FEW_PARAMETERS else max(1, min(cores, torch.get_num_threads()))
    return OpenPainter(name, facts, Turns(threads), identity, painter, vae)
