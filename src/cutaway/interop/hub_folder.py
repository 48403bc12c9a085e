"""Model folders as Hugging Face tools keep them, both ways: config.json, model.safetensors, tokenizer.json.

`load_folder` reads GPT-2, Llama and our own models; `save_folder` writes what `transformers` loads, or our
own kind where a part has no place in theirs. Weights are safetensors only: nothing is ever unpickled.
Anything this code does not know is refused, since a setting that is skipped gives wrong numbers without a
word.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cutaway.base.errors import ConfigError, ModelFormatError, UsageError, suggest
from cutaway.base.files import replacing_folder
from cutaway.base.tensor_file import save_tensors
from cutaway.interop.adapter_folder import is_adapter, tokenizer_folder
from cutaway.interop.fetch import find_folder
from cutaway.interop.folder_files import LAYOUTS, find_layout, read_headers, read_json
from cutaway.interop.layout import Layout, Piece
from cutaway.interop.safetensors_file import DTYPES, StoredTensor
from cutaway.models.build import assemble
from cutaway.models.config import ModelConfig
from cutaway.models.decoder import Decoder
from cutaway.nn.init import allocate
from cutaway.text.tokenizer import Tokenizer, load_tokenizer

Rounding = Callable[[nn.Linear], nn.Module]
"""From a linear layer to the layer that stands for it, in fewer bits."""


def load_folder(
    path_or_id: str | Path, dtype: torch.dtype | None = None, rounding: Rounding | None = None
) -> tuple[Decoder, Tokenizer | None]:
    """Return the model, ready to use, and its tokenizer, None if the folder has none.

    Args:
        path_or_id: a folder, or a model on the Hugging Face Hub: `owner/name`, or `hf:` and any id.
        dtype: precision of the weights in memory; left out, as they are stored.
        rounding: what becomes of the blocks' linear layers, each as soon as it is read.

    Raises:
        ModelFormatError: there is nothing to load, or it cannot be loaded faithfully.
    """
    folder = find_folder(path_or_id)
    try:
        model = load_model(folder, dtype, rounding)
    except ConfigError as error:
        raise ModelFormatError(f"{folder / 'config.json'} describes a model that cannot be: {error}") from error
    except ModelFormatError as error:
        if str(folder) in str(error):
            raise
        raise ModelFormatError(f"cannot load {folder}: {error}") from error
    except (OSError, MemoryError, RuntimeError) as error:
        raise ModelFormatError(f"cannot read {folder}: {error}") from error
    home = tokenizer_folder(folder)
    return model, load_tokenizer(home) if home is not None else None


def load_model(folder: Path, dtype: torch.dtype | None = None, rounding: Rounding | None = None) -> Decoder:
    """Return the folder's model in evaluation mode, reading one piece of one tensor at a time.

    What is held is the model and one piece; with rounding, the rounded model and one whole stored tensor. An adapter's
    folder gives the model it is for, with the corrections added to its weights (before they are rounded).
    """
    if is_adapter(folder):
        from cutaway.interop.baked_folder import load_baked

        return load_baked(folder, dtype, rounding)
    settings = read_json(folder / "config.json")
    layout = find_layout(settings)
    config = layout.read_settings(settings)
    stored = read_headers(folder)
    model = assemble(config)
    sources = match(model, layout, config, stored)
    dtype = dtype or stored_dtype(sources)
    later = {x.weight for x in model.blocks.modules() if type(x) is nn.Linear} if rounding else set()
    allocate(model, dtype, later=later)
    fill(model, sources, dtype, rounding)
    return model.eval()


def match(
    model: Decoder, layout: Layout, config: ModelConfig, stored: dict[str, StoredTensor]
) -> list[tuple[StoredTensor, list[Piece]]]:
    """Return for each stored tensor the parameters it fills, after checking that all is there and fits."""
    is_bare = not any(name.startswith(layout.prefix) for name in stored)
    wanted: dict[str, list[Piece]] = {}
    for piece in layout.pieces(config):
        name = piece.stored.removeprefix(layout.prefix) if is_bare else piece.stored
        wanted.setdefault(name, []).append(piece)
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise ModelFormatError(f"the weights lack {_some(missing)}, which config.json asks for")
    extra = [name for name in stored if name not in wanted and not layout.ignored.fullmatch(name)]
    if config.tied and "lm_head.weight" in extra:
        extra.remove("lm_head.weight")
        table = next(name for name, pieces in wanted.items() if pieces[0].ours == "token_embedding.weight")
        _check_same(stored["lm_head.weight"], stored[table])
    if extra:
        raise ModelFormatError(f"the weights have {_some(extra)}, for which config.json has no place")
    parameters = dict(model.named_parameters())
    for name, pieces in wanted.items():
        if stored[name].dtype not in DTYPES:
            raise ModelFormatError(f"tensor {name} is stored as {stored[name].dtype}; expected one of {sorted(DTYPES)}")
        expected = expected_shape(pieces, parameters)
        if stored[name].shape != expected:
            raise ModelFormatError(f"tensor {name} has shape {stored[name].shape}, but config.json makes it {expected}")
    sources = [(stored[name], pieces) for name, pieces in wanted.items()]
    return sorted(sources, key=lambda source: (source[0].file, source[0].first_byte))


def stored_dtype(sources: list[tuple[StoredTensor, list[Piece]]]) -> torch.dtype:
    """Return the precision of the stored token embedding, which stands for all."""
    return next(getattr(torch, DTYPES[t.dtype]) for t, pieces in sources if pieces[0].ours == "token_embedding.weight")


def expected_shape(pieces: list[Piece], parameters: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the shape of a stored tensor from those of our parameters that make it up, side by side."""
    shapes = [
        tuple(reversed(parameters[piece.ours].shape)) if piece.transposed else tuple(parameters[piece.ours].shape)
        for piece in pieces
    ]
    if len(shapes) == 1:
        return shapes[0]
    return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))


@torch.no_grad()
def fill(
    model: Decoder,
    sources: list[tuple[StoredTensor, list[Piece]]],
    dtype: torch.dtype | None = None,
    rounding: Rounding | None = None,
) -> None:
    """Copy the stored numbers into the parameters, a few rows at a time.

    A weight that has no memory yet gets it, in `dtype`, until its layer is rounded.
    """
    parameters = dict(model.named_parameters())
    for tensor, pieces in sources:
        passing = [piece.ours for piece in pieces if parameters[piece.ours].is_meta]
        for name in passing:
            parameters[name] = _give_memory(model, name, dtype)
        _copy(tensor, pieces, parameters)
        for name in passing:
            assert rounding is not None
            del parameters[name]
            _round(model, name, rounding)


def _give_memory(model: Decoder, name: str, dtype: torch.dtype | None) -> nn.Parameter:
    layer = model.get_submodule(name.removesuffix(".weight"))
    assert isinstance(layer, nn.Linear)
    layer.weight = nn.Parameter(torch.empty(layer.weight.shape, dtype=dtype), requires_grad=False)
    return layer.weight


def _round(model: Decoder, name: str, rounding: Rounding) -> None:
    parent, _, child = name.removesuffix(".weight").rpartition(".")
    layer = model.get_submodule(f"{parent}.{child}")
    assert isinstance(layer, nn.Linear)
    setattr(model.get_submodule(parent), child, rounding(layer))


def _copy(tensor: StoredTensor, pieces: list[Piece], parameters: Mapping[str, Tensor]) -> None:
    for first, rows in tensor.pieces():
        for piece in pieces:
            target = parameters[piece.ours]
            part = rows if piece.columns is None else rows[..., piece.columns]
            if piece.transposed:
                target[:, first : first + len(rows)] = part.T
            elif rows.dim() == 1:
                target.copy_(part)
            else:
                target[first : first + len(rows)] = part


def save_folder(
    path: str | Path, model: Decoder, tokenizer: Tokenizer | None = None, model_type: str | None = None
) -> None:
    """Write a folder that `transformers` loads, or of our own type where it has no class for the parts.

    Args:
        model_type: `gpt2`, `llama` or `cutaway`; left out, the first of them that has a place for every part.

    Raises:
        UsageError: the type asked for has no place for some part.
    """
    config = dataclasses.replace(model.config, vocab_size=model.config.known_vocab_size)
    layout = choose_layout(config, model_type)
    ends = None if tokenizer is None else tokenizer.eos_id
    settings = {
        "architectures": [layout.architecture],
        "model_type": layout.model_type,
        "dtype": str(model.dtype).removeprefix("torch."),
        **layout.write_settings(config),
        "bos_token_id": None if tokenizer is None else tokenizer.bos_id,
        "eos_token_id": ends,
        "pad_token_id": None,
    }
    with replacing_folder(Path(path)) as folder:
        (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        save_tensors(stored_tensors(model, layout, config), folder / "model.safetensors", {"format": "pt"})
        if tokenizer is not None:
            tokenizer.save(folder)


def choose_layout(config: ModelConfig, model_type: str | None) -> Layout:
    """Return the layout asked for, or the first with a place for every part."""
    if model_type is None:
        return next(layout for layout in LAYOUTS.values() if not layout.parts_without_place(config))
    if model_type not in LAYOUTS:
        raise UsageError(
            f"no model type {model_type!r}{suggest(model_type, LAYOUTS)}; expected one of {sorted(LAYOUTS)}"
        )
    layout = LAYOUTS[model_type]
    if parts := layout.parts_without_place(config):
        raise UsageError(
            f"a model of type {model_type!r} has no place for {_some(parts)}; save it as 'cutaway', "
            f"or train one without"
        )
    return layout


def stored_tensors(model: Decoder, layout: Layout, config: ModelConfig) -> dict[str, Tensor]:
    """Return the tensors a folder of this layout holds."""
    parameters = dict(model.named_parameters())
    pieces = layout.pieces(config)
    if extra := sorted(set(parameters) - {piece.ours for piece in pieces}):
        raise UsageError(
            f"a model folder has no place for {_some(extra)}; merge adapters for good (bake) before saving"
        )
    parts: dict[str, list[Tensor]] = {}
    for piece in pieces:
        parameter = parameters[piece.ours].detach()
        parts.setdefault(piece.stored, []).append(parameter.T if piece.transposed else parameter)
    return {
        name: torch.cat(found, dim=-1) if len(found) > 1 else found[0].contiguous() for name, found in parts.items()
    }


def _check_same(head: StoredTensor, table: StoredTensor) -> None:
    same = head.shape == table.shape and head.dtype == table.dtype and head.dtype in DTYPES
    if not same or any(not torch.equal(a, b) for (_, a), (_, b) in zip(head.pieces(), table.pieces(), strict=True)):
        raise ModelFormatError(
            "config.json says the head shares the embedding's table (tie_word_embeddings), but the weights "
            "have two different ones"
        )


def _some(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
