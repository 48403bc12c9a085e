"""Find a model folder: on this disk, or, when its owner and name are given, on the Hugging Face Hub.

A path with a slip of the pen must not become a download, so the network is asked only for `owner/name` where
no folder `owner` is here, or for what is marked as an id: `hf:gpt2`, `hf:owner/name`.
"""

from __future__ import annotations

import re
from pathlib import Path

from cutaway.base.errors import ModelFormatError, suggest

FILES = [
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "adapter_config.json",
    "adapter_model.safetensors",
]
"""All that is ever fetched: JSON, text and safetensors, nothing that can run code."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def find_folder(path_or_id: str | Path) -> Path:
    """Return the folder on this disk, after fetching it if a Hub id was given.

    Raises:
        ModelFormatError: there is no such folder, or the Hub does not give it.
    """
    path = Path(path_or_id).expanduser()
    if path.is_dir():
        return path
    text = str(path_or_id)
    if path.exists():
        raise ModelFormatError(f"{text} is a file; expected the folder that holds config.json and model.safetensors")
    if isinstance(path_or_id, str):
        if text.startswith("hf:"):
            return fetch(text.removeprefix("hf:"))
        if HUB_ID.fullmatch(text) and not path.parent.is_dir():
            return fetch(text)
    parent = path.parent if path.parent.is_dir() else Path(".")
    near = suggest(path.name, [folder.name for folder in parent.iterdir() if folder.is_dir()])
    raise ModelFormatError(f"there is no folder {path.absolute()}{near}; a model of the Hub is owner/name or hf:name")


def find_cached(hub_id: str) -> Path | None:
    """Return the folder of a Hub model that was fetched before; the network is not asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=FILES, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError, ValueError):
        return None


def fetch(hub_id: str) -> Path:
    """Return the folder of a Hub model in the local cache, downloading what is missing."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=FILES))
    except GatedRepoError as error:
        raise ModelFormatError(
            f"the model {hub_id!r} is given only to those who agreed to its terms: agree on "
            f"https://huggingface.co/{hub_id}, then log in with `hf auth login` or set HF_TOKEN"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelFormatError(
            f"could not fetch {hub_id!r} from the Hugging Face Hub: {reason} "
            f"(looked there because there is no folder {hub_id!r} here)"
        ) from error
