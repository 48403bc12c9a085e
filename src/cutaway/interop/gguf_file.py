"""GGUF, the one file llama.cpp, Ollama and LM Studio run: written whole or not at all, and read back.

Settings and tokenizer as named values, then the tensors. In `f16` and `q8_0` matrices are rounded, norms, biases and the
table of positions stay in 32 bits, and where a row does not divide into blocks of 32 numbers it stays in 16 bits: all as
llama.cpp's own converter does. q8_0 keeps a block as 32 whole numbers from -127 to 127 and one scale in 16 bits, 8.5 bits a
weight. The `gguf` package writes the format; which tensor is what stands in `gguf_layout.py`.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cutaway.base.errors import CutawayError, ModelFormatError, NonFiniteError, UsageError, suggest
from cutaway.base.files import replacing_file
from cutaway.interop.gguf_kinds import architecture
from cutaway.interop.gguf_layout import (
    ROPE_FREQS,
    Place,
    halves,
    interleaved,
    places,
    read_config,
    settings,
    stretched_tables,
    wavelength_factors,
)
from cutaway.interop.gguf_tokenizer import Vocabulary, tokenizer_of, vocabulary, vocabulary_of
from cutaway.models.build import build_empty
from cutaway.models.decoder import Decoder
from cutaway.nn.attention import Attention
from cutaway.nn.position import Rotary
from cutaway.text.bpe import BPETokenizer
from cutaway.text.tokenizer import Tokenizer

TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0"}
"""Names of llama.cpp's file types by ours."""
BLOCK = 32


def library() -> Any:
    """Return the `gguf` package.

    Raises:
        CutawayError: it is not installed; the line says how.
    """
    try:
        return importlib.import_module("gguf")
    except ModuleNotFoundError as error:
        raise CutawayError(f"GGUF needs {error.name}: pip install 'cutaway[export]'") from error


def write_gguf(
    path: Path,
    model: Decoder,
    tokenizer: Tokenizer | None,
    type: str = "f16",
    *,
    name: str = "",
    chat_template: str | None = None,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a model, whole or not at all.

    Args:
        type: `f32`, `f16` or `q8_0`.
        name: what the model is called; left out: the file's name.
        about: further `general.` entries, as description or license.

    Raises:
        UsageError: llama.cpp has no such model, tokenizer or type.
        NonFiniteError: a weight is not finite, or too large for 16 bits.
    """
    gguf = library()
    if type not in TYPES:
        raise UsageError(f"there is no type {type!r}{suggest(type, TYPES)}; there is {', '.join(TYPES)}")
    if tokenizer is None:
        raise UsageError("the model has no tokenizer, which a GGUF file must hold; copy tokenizer.json into its folder")
    config = dataclasses.replace(model.config, vocab_size=model.config.known_vocab_size)
    words = vocabulary(tokenizer, config.known_vocab_size, chat_template)
    kept = [(place.name, storage(place.name, shape_of(model, place), type)) for place in places(config)]
    factors = wavelength_factors(config)
    with replacing_file(path) as aside:
        writer = gguf.GGUFWriter(None, architecture(config))
        _write_general(writer, gguf, name or path.stem, model, type, about or {})
        for key, value in settings(config).items():
            (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(key, value)
        _write_vocabulary(writer, words)
        for place, (_, kind) in zip(places(config), kept, strict=True):
            shape = shape_of(model, place)
            size = n_bytes(shape, kind)
            raw = getattr(gguf.GGMLQuantizationType, kind)
            bytes_shape = (*shape[:-1], size // math.prod(shape[:-1])) if kind == "Q8_0" else shape
            dtype = {"F32": np.float32, "F16": np.float16, "Q8_0": np.uint8}[kind]
            writer.add_tensor_info(place.name, bytes_shape, np.dtype(dtype), size, raw_dtype=raw)
        if factors is not None:
            writer.add_tensor_info(ROPE_FREQS, tuple(factors.shape), np.dtype(np.float32), 4 * len(factors))
        writer.write_header_to_file(path=aside)
        try:
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for place, (_, kind) in zip(places(config), kept, strict=True):  # one at a time in memory
                numbers = np.ascontiguousarray(gather(model, place).numpy())
                check_finite(place.name, numbers, kind)
                writer.write_tensor_data(gguf.quants.quantize(numbers, getattr(gguf.GGMLQuantizationType, kind)))
            if factors is not None:
                writer.write_tensor_data(factors.numpy())
        finally:
            writer.close()


def _write_general(writer: Any, gguf: Any, name: str, model: Decoder, type: str, about: Mapping[str, str]) -> None:
    n_parameters = sum(p.numel() for p in model.parameters())
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_size_label(gguf.size_label(n_parameters, 0, 0, 0))
    for key, value in about.items():
        writer.add_string(f"general.{key}", value)
    writer.add_file_type(getattr(gguf.LlamaFileType, TYPES[type]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _write_vocabulary(writer: Any, words: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    if words.merges:
        writer.add_token_merges(words.merges)
    if words.bos_id is not None:
        writer.add_bos_token_id(words.bos_id)
    if words.eos_id is not None:
        writer.add_eos_token_id(words.eos_id)
    writer.add_add_bos_token(words.add_bos)
    if words.chat_template is not None:
        writer.add_chat_template(words.chat_template)


def gather(model: Decoder, place: Place) -> Tensor:
    """Return what one tensor of the file holds, in 32 bits and the file's order of rows."""
    parameters = dict(model.named_parameters())
    parts = [parameters[name].detach().float().cpu() for name in place.ours]
    whole = torch.cat(parts) if len(parts) > 1 else parts[0]
    return whole if place.n_heads is None else interleaved(whole, place.n_heads)


def shape_of(model: Decoder, place: Place) -> tuple[int, ...]:
    """Return the shape of one tensor of the file, rows first."""
    shapes = [tuple(model.get_parameter(name).shape) for name in place.ours]
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def storage(name: str, shape: tuple[int, ...], type: str) -> str:
    """Return how a tensor is kept in a file of this type."""
    if type == "f32" or len(shape) < 2 or name.endswith("_norm.weight") or name == "position_embd.weight":
        return "F32"
    return "Q8_0" if type == "q8_0" and shape[-1] % BLOCK == 0 else "F16"


def n_bytes(shape: tuple[int, ...], kind: str) -> int:
    """Return how many bytes a tensor takes in the file."""
    count = math.prod(shape)
    return {"F32": 4 * count, "F16": 2 * count, "Q8_0": count // BLOCK * (BLOCK + 2)}[kind]


def check_finite(name: str, numbers: np.ndarray, kind: str) -> None:
    """Refuse numbers a file cannot keep.

    Raises:
        NonFiniteError: there are some.
    """
    largest = float(np.abs(numbers).max()) if numbers.size else 0.0
    if not math.isfinite(largest):
        raise NonFiniteError(f"{name} has numbers that are not finite; go back to a checkpoint before that")
    limit = {"F32": math.inf, "F16": 65504.0, "Q8_0": 127 * 65504.0}[kind]
    if largest > limit:
        raise NonFiniteError(f"{name} has the number {largest:.3g}, too large for {kind}; export as f32")


def read_gguf(path: Path) -> tuple[Decoder, BPETokenizer]:
    """Return the model of a file in 32 bits, rounded as the file has it, and its tokenizer.

    Stretched wavelengths are read into the model's tables; its config does not show them.

    Raises:
        ModelFormatError: it is not a GGUF file, or not one of a model and tokenizer we have.
    """
    gguf = library()
    try:
        reader = gguf.GGUFReader(path)
    except (OSError, ValueError, IndexError) as error:
        raise ModelFormatError(f"{path} is not a whole GGUF file ({error}); copy or export it again") from error
    values = {key: field.contents() for key, field in reader.fields.items()}
    stored = {tensor.name: tensor for tensor in reader.tensors}
    if "token_embd.weight" not in stored:
        raise ModelFormatError(f"{path} has no token_embd.weight, so it is not a language model")
    config = read_config(values, set(stored), int(stored["token_embd.weight"].shape[1]))
    wanted = {place.name: place for place in places(config)}
    if missing := sorted(set(wanted) - set(stored)):
        raise ModelFormatError(f"{path} lacks {', '.join(missing[:4])}; export it again")
    if extra := sorted(set(stored) - set(wanted) - {ROPE_FREQS}):
        raise ModelFormatError(f"{path} has {', '.join(extra[:4])}, for which the model has no place")
    model = build_empty(config)
    with torch.no_grad():
        for name, place in wanted.items():
            tensor = stored[name]
            whole = torch.from_numpy(np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type)))
            if place.n_heads is not None:
                whole = halves(whole, place.n_heads)
            targets = [model.get_parameter(ours) for ours in place.ours]
            if sum(len(target) for target in targets) != len(whole) or targets[0].shape[1:] != whole.shape[1:]:
                raise ModelFormatError(f"{name} of {path} has shape {tuple(whole.shape)}, which the settings deny")
            for target, part in zip(targets, whole.split([len(target) for target in targets]), strict=True):
                target.copy_(part)
    if ROPE_FREQS in stored:
        _stretch(model, torch.from_numpy(np.array(stored[ROPE_FREQS].data, dtype=np.float32)))
    return model.eval(), tokenizer_of(vocabulary_of(values))


def _stretch(model: Decoder, factors: Tensor) -> None:
    attn = model.blocks[0].attn
    assert isinstance(attn, Attention)
    rotary = attn.rotary
    assert isinstance(rotary, Rotary)
    cos, sin = stretched_tables(factors, model.config.rotary_base, model.config.context_length)
    rotary.cos_ND.copy_(cos)
    rotary.sin_ND.copy_(sin)
