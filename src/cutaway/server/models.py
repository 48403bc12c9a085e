"""The models of a lab: which there are, and those that are open.

What there is to say about a model is read from its files; PyTorch is imported when the first one is opened. Before a model
is loaded its memory is estimated, and those not used for longest make room for it. A run that trains writes better models
over the old: who opens it again gets the new one.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from cutaway.base.errors import CutawayError, ModelFormatError, RunError
from cutaway.server.model_places import Identity, ModelFacts, Place, find_place, list_names, named_folders, needed_bytes
from cutaway.server.turns import Turns

if TYPE_CHECKING:
    from cutaway.models.decoder import Decoder
    from cutaway.text.tokenizer import Tokenizer

SHARE_OF_MEMORY = 0.5
"""Of the machine's memory, for all open models together."""
ATTEMPTS = 3
SWAP_SECONDS = 0.02
"""So long a folder may be missing while another takes its place."""
FEW_PARAMETERS = 20_000_000
"""Up to here one thread is the fastest."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A model in memory."""

    name: str
    model: Decoder
    """In evaluation mode; read it only while holding `lock`."""
    tokenizer: Tokenizer
    lock: Turns
    """`with opened.lock:` around every forward pass. It is fair; long work calls `lock.give_way()` between its steps."""
    facts: ModelFacts
    folder: Path
    """Of its settings and tokenizer."""
    identity: Identity
    """Of the files it was read from."""
    needed_bytes: int
    """Estimated: weights, their copies for writing, a full cache."""


class OpenModels:
    """The models of a home folder, and those that are open.

    Args:
        given: model folders elsewhere on this machine.
        budget_bytes: most memory for open models; left out, half of the machine's.
    """

    def __init__(self, home: Path, given: Sequence[Path] = (), budget_bytes: int | None = None) -> None:
        self.home = home
        self.given = named_folders(home, given)
        self.budget_bytes = budget_bytes or int(psutil.virtual_memory().total * SHARE_OF_MEMORY)
        self._open: OrderedDict[str, Opened] = OrderedDict()
        self._facts: dict[str, tuple[Identity, ModelFacts]] = {}
        self._guard = threading.Lock()
        self._loading = threading.Lock()

    def list(self) -> list[ModelFacts]:
        """Return the facts of all models: runs with their checkpoints, newest first, then folders."""
        found = []
        for name in list_names(self.home, self.given):
            try:
                found.append(self.facts(name))
            except (CutawayError, OSError):
                continue  # deleted meanwhile, or a name that cannot be asked for
        return found

    def facts(self, name: str) -> ModelFacts:
        """Return what there is to say about a model; one that cannot be opened says why.

        Raises:
            UsageError: the name cannot be a model's.
            RunError: there is no such model.
        """
        place = self._place(name)
        name, identity = place.name, place.identity()
        kept = self._facts.get(name)
        if kept is None or kept[0] != identity:
            kept = self._facts[name] = (identity, place.facts())
        return kept[1]

    def open(self, name: str) -> Opened:
        """Return a model, loading it if it is not open or has changed on disk.

        Raises:
            UsageError: the name cannot be a model's.
            RunError: there is no such model.
            ModelFormatError: it cannot be loaded faithfully.
            CutawayError: it does not fit into memory.
        """
        place = self._place(name)
        name = place.name
        current = self._current(name, place.identity())
        if current is not None:
            return current
        with self._loading:
            identity = place.identity()
            current = self._current(name, identity)
            if current is not None:
                return current  # loaded while we waited
            facts = self.facts(name)
            if facts.problem:
                raise ModelFormatError(facts.problem)
            needed = needed_bytes(place.stored())
            self._make_room(name, facts, needed)
            opened = self._load_whole(place, needed)
            with self._guard:
                self._open[name] = opened
            return opened

    def open_names(self) -> Sequence[str]:
        """Return the names of the models in memory, the one used last at the end."""
        with self._guard:
            return list(self._open)

    def _current(self, name: str, identity: Identity) -> Opened | None:
        with self._guard:
            opened = self._open.get(name)
            if opened is None or opened.identity != identity:
                return None
            self._open.move_to_end(name)
            return opened

    def _load_whole(self, place: Place, needed: int) -> Opened:
        """Load a model, once more if another was written over it while we read."""
        for attempt in range(ATTEMPTS):
            identity = place.identity()
            try:
                opened = self._load(place, needed, identity)
            except CutawayError:
                if attempt == ATTEMPTS - 1 or place.identity() == identity:
                    raise
                continue
            if place.identity() == identity:
                break
        return opened

    def _place(self, name: str) -> Place:
        try:
            return find_place(name, self.home, self.given)
        except RunError:
            time.sleep(SWAP_SECONDS)  # a better model may be taking the place of the old just now
            return find_place(name, self.home, self.given)

    def _load(self, place: Place, needed: int, identity: Identity) -> Opened:
        import torch

        from cutaway.workbench import Run, load

        if place.run is not None:
            model, tokenizer = Run(place.run.path).load(place.step)
        else:
            model, tokenizer = load(place.folder)
        model.eval().requires_grad_(False)
        facts = self.facts(place.name)
        cores = psutil.cpu_count(logical=False) or 1
        threads = 1 if facts.parameters < FEW_PARAMETERS else max(1, min(cores, torch.get_num_threads()))
        return Opened(place.name, model, tokenizer, Turns(threads), facts, place.folder, identity, needed)

    def _make_room(self, name: str, facts: ModelFacts, needed: int) -> None:
        """Let go of models not used for longest until this one fits.

        Raises:
            CutawayError: it does not fit even alone.
        """
        if needed > self.budget_bytes:
            raise CutawayError(
                f"model {name!r} needs about {in_words(needed)} ({facts.parameters:,} parameters in {facts.dtype}), more "
                f"than the {in_words(self.budget_bytes)} this lab keeps for models; take a smaller one"
            )
        with self._guard:
            self._open.pop(name, None)  # what it was before it changed
            while sum(opened.needed_bytes for opened in self._open.values()) + needed > self.budget_bytes:
                self._open.popitem(last=False)
        available = psutil.virtual_memory().available
        if needed > available:
            raise CutawayError(
                f"model {name!r} needs about {in_words(needed)}, but only {in_words(available)} of memory are free now; "
                f"close something, or take a smaller one"
            )


def in_words(n_bytes: float) -> str:
    """Return a number of bytes as people say it."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
