"""A model written for other programs, and read back before it is left there.

    hf       a folder transformers loads; corrections (LoRA) are added to the weights
    adapter  a folder peft loads beside the base
    gguf     one file for llama.cpp, Ollama, LM Studio: f32, f16 or q8_0

Everything is written aside, read back and compared (`round_trip.py`); only then does it take its place. Beside the weights
lie the tokenizer's own files as they were, the chat template the model was tuned with, and a card (`model_card.py`).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cutaway.base.errors import UsageError, suggest
from cutaway.base.files import replacing_file, replacing_folder
from cutaway.interop.adapter_folder import chain, find_adapter_base, is_adapter
from cutaway.interop.chat_template import TEMPLATE, read_template
from cutaway.interop.folder_files import ADAPTER_CONFIG, TOKENIZER_FILES, read_json
from cutaway.interop.gguf_file import TYPES, read_gguf, write_gguf
from cutaway.interop.gguf_kinds import architecture
from cutaway.interop.gguf_layout import wavelength_factors
from cutaway.interop.hub_folder import choose_layout, load_folder, save_folder
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer
from cutaway.voice.model_card import MADE_BY, Facts, model_card
from cutaway.voice.round_trip import RoundTrip, compare

FORMS = ("hf", "adapter", "gguf")
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
BOUNDS = {"f16": 0.01, "bf16": 0.05, "q8_0": 0.05}
"""Largest difference of logits that is accepted, as a share of their spread; else none."""
STRETCHED_BOUND = 1e-5
"""In f32 with Llama 3's stretched wavelengths, which GGUF keeps as a factor rounded to 32 bits."""
BESIDE = (*TOKENIZER_FILES, "tokenizer_config.json", "special_tokens_map.json", TEMPLATE)
CARD = "README.md"


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares."""

    path: Path
    """The folder, or the one file."""
    weights: Path
    """The file that holds the weights."""
    form: str
    type: str
    size_bytes: int
    """Of the weights."""
    round_trip: RoundTrip
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        paths = {"path": str(self.path), "weights": str(self.weights)}
        return vars(self) | paths | {"round_trip": self.round_trip.as_dict(), "notes": list(self.notes)}


def export(
    source: Path, out: Path, form: str, type: str = "", facts: Facts | None = None, *, force: bool = False
) -> Exported:
    """Write a model folder (or an adapter's) in another form, whole or not at all.

    Args:
        out: a folder that is not there yet; for gguf also a file whose name ends in .gguf.
        type: of the numbers; left out: as they are, for gguf f16.
        force: replace what an earlier export left there.

    Raises:
        UsageError: it cannot be said in this form, or the place is taken.
        RoundTripError: what was written differs more than accepted; nothing is left.
    """
    if form not in FORMS:
        raise UsageError(f"there is no form {form!r}{suggest(form, FORMS)}; there is {', '.join(FORMS)}")
    type = check_type(form, type)
    check_free(out, force)
    facts = facts or Facts(source.parent.name if source.name == "model" else source.name)
    if form == "adapter":
        done = write_adapter(source, out, facts)
    else:
        model, tokenizer = load_folder(source)
        write = write_hf if form == "hf" else write_gguf_file
        done = write(source, model, tokenizer, out, type, facts)
    for file in [done.path, *done.path.glob("*")]:
        file.chmod(0o755 if file.is_dir() else 0o644)  # it is to be given away
    return done


def check_type(form: str, type: str) -> str:
    """Return the type of numbers to write.

    Raises:
        UsageError: this form has no such type.
    """
    known = {"gguf": tuple(TYPES), "hf": tuple(DTYPES), "adapter": ()}[form]
    if type and type not in known:
        said = f"there is {', '.join(known)}" if known else "an adapter keeps the numbers it has; leave --type out"
        raise UsageError(f"{form} has no type {type!r}{suggest(type, known)}; {said}")
    return type or ("f16" if form == "gguf" else "")


def check_free(out: Path, force: bool) -> None:
    """Refuse a place that is taken by what is not an earlier export, or, unless forced, by one.

    Raises:
        UsageError: it is taken.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    card = out / CARD
    is_ours = (
        out.suffix == ".gguf" if out.is_file() else card.is_file() and MADE_BY in card.read_text("utf-8", "replace")
    )
    if not is_ours:
        raise UsageError(f"{out} is there already and is no export; take another --out")
    if not force:
        raise UsageError(f"{out} is there already; take another --out, or replace it with --force")


def write_hf(source: Path, model: Decoder, tokenizer: Tokenizer | None, out: Path, type: str, facts: Facts) -> Exported:
    """Write a folder of transformers, or of our own kind where it has no class for the parts."""
    before = model.dtype
    wanted = DTYPES.get(type, before)
    notes = []
    if choose_layout(model.config, None).model_type == "cutaway":
        notes.append("transformers has no class with the parts of this model: the folder opens in Cutaway only.")
    with replacing_folder(out) as folder:
        save_folder(folder, model.to(wanted), tokenizer)
        copy_beside(source, folder)
        if wanted != before:
            model, _ = load_folder(source)
        again, words = load_folder(folder, before)
        bound = 0.0 if wanted == before or wanted is torch.float32 else BOUNDS[type]
        found = compare(model, again, tokenizer, words, bound)
        kept = type or str(before).removeprefix("torch.")
        example = "" if notes else HF_EXAMPLE.format(path=out.name)
        (folder / CARD).write_text(model_card(facts, "hf", kept, [*notes, found.sentence()], example), encoding="utf-8")
    weights = out / "model.safetensors"
    return Exported(out, weights, "hf", kept, weights.stat().st_size, found, tuple(notes))


def write_adapter(source: Path, out: Path, facts: Facts) -> Exported:
    """Write the corrections alone, to lie beside the base."""
    if not is_adapter(source):
        raise UsageError(
            f"{facts.name} is not an adapter: all its weights learned; export it to hf or gguf, or tune with --method lora"
        )
    base = find_adapter_base(source)
    if len(chain(source)) > 2:
        raise UsageError(f"the base of {facts.name} is an adapter too, which peft cannot stack here; export it to hf")
    notes = []
    settings = read_json(source / ADAPTER_CONFIG)
    if facts.base.startswith("hf:"):
        settings["base_model_name_or_path"] = facts.base.removeprefix("hf:")
    else:
        settings["base_model_name_or_path"] = str(base.absolute())
        notes.append(f"Its base is the folder {base.absolute()}; give that along, or export to hf.")
    if read_json(base / "config.json").get("model_type") == "cutaway":
        notes.append("transformers has no class with the parts of its base: the adapter opens in Cutaway only.")
    model, tokenizer = load_folder(source)
    with replacing_folder(out) as folder:
        shutil.copyfile(source / "adapter_model.safetensors", folder / "adapter_model.safetensors")
        (folder / ADAPTER_CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        copy_beside(source, folder)
        again, words = load_folder(folder)
        found = compare(model, again, tokenizer, words)
        example = ADAPTER_EXAMPLE.format(base=settings["base_model_name_or_path"], path=out.name)
        card = model_card(facts, "adapter", "they were learned", [*notes, found.sentence()], example)
        (folder / CARD).write_text(card, encoding="utf-8")
    weights = out / "adapter_model.safetensors"
    return Exported(out, weights, "adapter", "", weights.stat().st_size, found, tuple(notes))


def write_gguf_file(
    source: Path, model: Decoder, tokenizer: Tokenizer | None, out: Path, type: str, facts: Facts
) -> Exported:
    """Write one file, in a folder with a card unless the file itself was named."""
    architecture(model.config)  # refuse before the work
    template, _ = read_template(source)
    about = {"description": f"Tuned from {facts.base} with Cutaway." if facts.base else "Trained with Cutaway."}
    bound = BOUNDS.get(type, STRETCHED_BOUND if wavelength_factors(model.config) is not None else 0.0)

    def write(file: Path) -> RoundTrip:
        write_gguf(file, model, tokenizer, type, name=facts.name, chat_template=template, about=about)
        again, words = read_gguf(file)
        return compare(model.float(), again, tokenizer, words, bound)

    if out.suffix == ".gguf":
        with replacing_file(out) as aside:
            found = write(aside)
        return Exported(out, out, "gguf", type, out.stat().st_size, found, ())
    name = f"{facts.name}.{type}.gguf"
    with replacing_folder(out) as folder:
        found = write(folder / name)
        example = GGUF_EXAMPLE.format(name=name)
        card = model_card(facts, "gguf", type, [found.sentence()], example)
        (folder / CARD).write_text(card, encoding="utf-8")
    return Exported(out, out / name, "gguf", type, (out / name).stat().st_size, found, ())


def copy_beside(source: Path, folder: Path) -> None:
    """Copy tokenizer and chat template as they are, of an adapter those of its base where it has none."""
    for one in reversed(chain(source)):
        names = [name for name in BESIDE if (one / name).is_file()]
        if set(names) & set(TOKENIZER_FILES):  # a whole set of its own: none of another's beside it
            for name in BESIDE:
                (folder / name).unlink(missing_ok=True)
        for name in names:
            shutil.copyfile(one / name, folder / name)


HF_EXAMPLE = """python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{path}")
tokenizer = AutoTokenizer.from_pretrained("{path}")"""
ADAPTER_EXAMPLE = """python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("{base}")
model = PeftModel.from_pretrained(base, "{path}")"""
GGUF_EXAMPLE = """sh
llama-cli -m {name}"""
