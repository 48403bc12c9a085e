"""A folder that holds an adapter, and where the model it belongs to lies. Importing this loads nothing heavy.

adapter_config.json names its base as it was found when the adapter was made: an id of the Hub, or a folder. A folder of
runs may have been moved since, the tuned run and its base together, so a base that was a run's is also looked for beside
the run the adapter is in. A model of the Hub is taken from what was fetched before: nothing is downloaded that the user
did not name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cutaway.base.errors import ModelFormatError
from cutaway.interop.fetch import find_cached
from cutaway.interop.folder_files import ADAPTER_CONFIG, TOKENIZER_FILES, read_json

HASHED_BYTES = 1 << 20
DEEPEST = 8
"""Most adapters upon each other."""


def holds_model(folder: Path) -> bool:
    """Whether a folder says it holds a model, or an adapter that makes one of another."""
    return (folder / "config.json").is_file() or (folder / ADAPTER_CONFIG).is_file()


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and not a model."""
    return (folder / ADAPTER_CONFIG).is_file() and not (folder / "model.safetensors").is_file()


def find_adapter_base(folder: Path) -> Path:
    """Return the folder of the model an adapter is for, fetched from the Hub where it is one's there.

    Raises:
        ModelFormatError: it is not said, or not there any more.
    """
    named = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise ModelFormatError(
            f"{folder / ADAPTER_CONFIG} does not say which model it is for (base_model_name_or_path); "
            f"write its folder there"
        )
    written = Path(named).expanduser()
    if written.is_dir():
        return written
    moved = folder.absolute().parents[1] / written.parent.name / written.name
    if written.name == "model" and moved.is_dir():
        return moved
    if cached := find_cached(named):
        return cached
    hub = "" if written.is_absolute() else f"fetch it (`cutaway generate hf:{named}`), "
    raise ModelFormatError(
        f"{folder} is an adapter for the model {named!r}, which is not on this machine; "
        f"put it back, {hub}or write where it is into {ADAPTER_CONFIG}"
    )


def tokenizer_folder(folder: Path) -> Path | None:
    """Return the folder of the tokenizer: the adapter's own, or the nearest below it that has one."""
    return next((one for one in chain(folder) if any((one / name).is_file() for name in TOKENIZER_FILES)), None)


def chain(folder: Path) -> list[Path]:
    """Return an adapter's folder, its base if that is an adapter too, and so on to the folder that holds a model.

    Raises:
        ModelFormatError: one of them is not there.
    """
    found = [folder]
    while is_adapter(found[-1]):
        if len(found) == DEEPEST:
            raise ModelFormatError(f"{folder} is an adapter upon {DEEPEST - 1} others; bake some of them in")
        found.append(find_adapter_base(found[-1]))
    return found


def hash_base(folder: Path) -> str:
    """Return a hash that changes when the model does: of its files' sizes, beginnings and ends, so that large ones are
    not read twice."""
    digest = hashlib.sha256()
    for one in chain(folder):
        for path in sorted(path for path in one.iterdir() if path.suffix in (".json", ".safetensors", ".txt")):
            size = path.stat().st_size
            digest.update(f"{path.name} {size}\n".encode())
            with path.open("rb") as file:
                digest.update(file.read(HASHED_BYTES))
                if size > HASHED_BYTES:
                    file.seek(max(HASHED_BYTES, size - HASHED_BYTES))
                    digest.update(file.read())
    return digest.hexdigest()[:16]
