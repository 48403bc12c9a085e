"""A painter as a folder: what a run's model/ holds.

    painter.json          path, names of labels, and of every part its kind, config, file and the file's SHA-256
    denoiser.safetensors  vae.safetensors  text.safetensors  tokenizer.json  reader.safetensors

The folder of a run that trains a VAE has that part alone, that of one that trains a text encoder the encoder and the reader
of pictures that learned with it. Files are checked before a number of them is
used: one that was altered, cut off or exchanged is said, not loaded. Somebody else's CLIP folder stays where it is; its
place and hash are written down. Nothing is unpickled.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import nn

from cutaway.base.config import from_table
from cutaway.base.errors import ConfigError, CutawayError, ModelFormatError
from cutaway.base.files import file_hash, replacing_folder, write_text
from cutaway.base.tensor_file import save_tensors
from cutaway.diffusion.clip_folder import load_clip_folder
from cutaway.diffusion.config import ContrastiveConfig, DiTConfig, PathConfig, TextEncoderConfig, UNetConfig, VAEConfig
from cutaway.diffusion.contrastive import PictureEncoder
from cutaway.diffusion.dit import DiT
from cutaway.diffusion.painter import Painter
from cutaway.diffusion.text_conditioner import TextConditioner
from cutaway.diffusion.text_encoder import TextEncoder
from cutaway.diffusion.unet import UNet
from cutaway.diffusion.vae import VAE
from cutaway.diffusion.word_tokenizer import FILE as TOKENIZER_FILE
from cutaway.diffusion.word_tokenizer import WordTokenizer

FILE = "painter.json"
CLIP_WEIGHTS = "model.safetensors"
KINDS: dict[str, tuple[Any, type[nn.Module]]] = {
    "unet": (UNetConfig, UNet),
    "dit": (DiTConfig, DiT),
    "vae": (VAEConfig, VAE),
    "text": (TextEncoderConfig, TextEncoder),
    "reader": (ContrastiveConfig, PictureEncoder),
}
Precision = Literal["float32", "float16"]


def save_painter(folder: Path, painter: Painter, precision: Precision = "float32") -> None:
    """Write a painter's folder, whole or not at all.

    Args:
        precision: of the weights in the files; float16 is half as large. The reader, which only compares, is then in
            float8 (e4m3, Micikevicius et al. 2022, arXiv:2209.05433).
    """
    parts: dict[str, nn.Module] = {"denoiser": painter.denoiser}
    if painter.vae is not None:
        parts["vae"] = painter.vae
    if painter.reader is not None:
        parts["reader"] = painter.reader
    facts: dict[str, Any] = {"path": dataclasses.asdict(painter.path_config), "names": list(painter.names)}
    if painter.clip_folder is not None:
        clip = painter.clip_folder.resolve()
        facts["clip"] = {"folder": str(clip), "sha256": file_hash(clip / CLIP_WEIGHTS)}
        _save(folder, parts, facts, None, precision)
    else:
        _save(folder, parts, facts, painter.text, precision)


def save_vae(folder: Path, vae: VAE, precision: Precision = "float32") -> None:
    """Write the folder of a VAE alone."""
    _save(folder, {"vae": vae}, {}, None, precision)


def save_text(
    folder: Path, text: TextConditioner, reader: PictureEncoder | None = None, precision: Precision = "float32"
) -> None:
    """Write the folder of a text encoder, with its words, and of the reader of pictures that learned with it."""
    _save(folder, {} if reader is None else {"reader": reader}, {}, text, precision)


def load_painter(folder: Path) -> Painter:
    """Return the painter of a folder, in float32.

    Raises:
        ModelFormatError: a file is missing, broken, altered or of something else.
    """
    told = _read(folder)
    if "denoiser" not in told["parts"]:
        raise ModelFormatError(f"{folder} has no denoiser but {', '.join(told['parts'])}: it paints nothing by itself")
    denoiser = _load_part(folder, told, "denoiser")
    vae = _load_part(folder, told, "vae") if "vae" in told["parts"] else None
    clip_folder = Path(told["clip"]["folder"]) if "clip" in told else None
    text = None
    if clip_folder is not None:
        _check_hash(clip_folder / CLIP_WEIGHTS, told["clip"]["sha256"], "is not the text encoder this was trained with")
        text = TextConditioner(*load_clip_folder(clip_folder))
    elif "text" in told["parts"]:
        text = load_text(folder)
    try:
        path_config = from_table(PathConfig, told.get("path", {}))
        names = tuple(told.get("names", ()))
        return Painter(denoiser, path_config, text, names, vae, clip_folder, load_reader(folder))  # type: ignore[arg-type]
    except ConfigError as error:
        raise ModelFormatError(f"{folder / FILE}: {error}") from None


def load_vae(folder: Path) -> VAE:
    """Return the VAE of a folder, alone there or a painter's.

    Raises:
        ModelFormatError: there is none, or it is broken.
    """
    vae = _load_part(folder, _read(folder), "vae")
    assert isinstance(vae, VAE)
    return vae


def load_text(folder: Path) -> TextConditioner:
    """Return the text encoder of a folder with its words, alone there or a painter's.

    Raises:
        ModelFormatError: there is none, or it is broken.
    """
    told = _read(folder)
    encoder = _load_part(folder, told, "text")
    _check_hash(folder / TOKENIZER_FILE, told.get("tokenizer_sha256", ""), "was altered since it was written")
    return TextConditioner(encoder, WordTokenizer.load(folder))


def load_reader(folder: Path) -> PictureEncoder | None:
    """Return the reader of pictures of a folder; None: it has none, as those written before there were readers.

    Raises:
        ModelFormatError: it is broken.
    """
    told = _read(folder)
    reader = _load_part(folder, told, "reader") if "reader" in told["parts"] else None
    assert reader is None or isinstance(reader, PictureEncoder)
    return reader


def _save(
    folder: Path,
    parts: Mapping[str, nn.Module],
    facts: dict[str, Any],
    text: TextConditioner | None,
    precision: Precision,
) -> None:
    modules = dict(parts) | ({"text": text.encoder} if text else {})
    with replacing_folder(folder) as aside:
        entries = {}
        for name, module in modules.items():
            config = module.config
            kind = next(kind for kind, (known, _) in KINDS.items() if isinstance(config, known))
            file = aside / f"{name}.safetensors"
            is_small = name == "reader" and precision == "float16"
            dtype = torch.float8_e4m3fn if is_small else getattr(torch, precision)
            save_tensors({key: value.detach().to("cpu", dtype) for key, value in module.state_dict().items()}, file)
            entries[name] = {
                "kind": kind,
                "config": dataclasses.asdict(config),  # type: ignore[call-overload]
                "file": file.name,
                "sha256": file_hash(file),
            }
        if text:
            assert isinstance(text.tokenizer, WordTokenizer)
            text.tokenizer.save(aside)
            facts = facts | {"tokenizer_sha256": file_hash(aside / TOKENIZER_FILE)}
        write_text(aside / FILE, json.dumps({"format": "cutaway painter", **facts, "parts": entries}, indent=2) + "\n")


def _read(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != "cutaway painter" or not isinstance(told["parts"], dict):
            raise ValueError("it is something else")
    except FileNotFoundError:
        raise ModelFormatError(f"{folder} is no painter's folder: it has no {FILE}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFormatError(f"{path} is not a painter's description: {error}") from None
    return told


def _load_part(folder: Path, told: dict[str, Any], name: str) -> nn.Module:
    try:
        entry = told["parts"][name]
        kind, fields, file, expected = entry["kind"], entry["config"], folder / entry["file"], entry["sha256"]
        config_class, module_class = KINDS[kind]
    except (KeyError, TypeError):
        known = ", ".join(told["parts"]) or "nothing"
        raise ModelFormatError(f"{folder / FILE} describes no {name} that can be read; it has {known}") from None
    why = "is not the VAE that this was trained with" if name == "vae" else "was altered since it was written"
    _check_hash(file, expected, why)
    try:
        module = module_class(from_table(config_class, fields))
        tensors = load_file(file)
    except CutawayError as error:
        raise ModelFormatError(f"{folder / FILE}, {name}: {error}") from None
    except Exception as error:  # safetensors raises a class of its own for each trouble
        raise ModelFormatError(f"{file} cannot be read: {error}") from None
    targets = module.state_dict()
    if odd := sorted(targets.keys() ^ tensors.keys()):
        raise ModelFormatError(f"{file} does not fit the config in {FILE}: {odd[0]!r} is in only one of the two")
    for key, target in targets.items():
        if target.shape != tensors[key].shape:
            raise ModelFormatError(
                f"{file} does not fit the config in {FILE}: {key!r} has shape {list(tensors[key].shape)}, expected "
                f"{list(target.shape)}"
            )
        target.copy_(tensors[key])
    return module.eval()


def _check_hash(file: Path, expected: str, why: str) -> None:
    if not file.is_file():
        raise ModelFormatError(f"{file} is missing; copy the whole folder again")
    if (found := file_hash(file)) != expected:
        raise ModelFormatError(f"{file} {why}: its SHA-256 begins with {found[:8]}, expected {expected[:8] or 'one'}")
