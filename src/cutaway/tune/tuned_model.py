"""The model of a tuned run: its base with what may change made ready, and the way back to disk.

Of full tuning a folder in Hugging Face layout is kept, of corrections an adapter that `peft` loads; both with the base's
own tokenizer files and the form conversations were read in.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from cutaway.base.errors import TokenizerError
from cutaway.base.files import replacing_folder
from cutaway.interop.adapter_folder import chain, hash_base, tokenizer_folder
from cutaway.interop.chat_template import CONFIG, TEMPLATE
from cutaway.interop.folder_facts import folder_facts
from cutaway.interop.folder_files import TOKENIZER_FILES
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.models.decoder import Decoder
from cutaway.text.tokenizer import Tokenizer
from cutaway.tune.chat_form import ChatForm, chat_form
from cutaway.tune.checkpointing import checkpoint_blocks
from cutaway.tune.config import TuneConfig
from cutaway.tune.examples import check_vocabulary
from cutaway.tune.find_base import find_base
from cutaway.tune.lora import LoRAConfig, add_lora, save_adapter
from cutaway.tune.quantize import load_quantized

COPIED = (*TOKENIZER_FILES, CONFIG, "special_tokens_map.json")
ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}


@dataclass(frozen=True)
class TunedModel:
    """A model in tuning, and what belongs to it."""

    model: Decoder
    """With corrections, where these learn; what rests has `requires_grad` off."""
    tokenizer: Tokenizer
    form: ChatForm
    folder: Path
    """The base's."""
    base_hash: str
    config: TuneConfig

    def save(self, path: Path, model: Decoder) -> None:
        """Write what was learned as others load it, whole or not at all."""
        with replacing_folder(path) as aside:
            inner = aside / "written"
            if self.config.has_adapters:
                named = self.config.base.removeprefix("hf:") if self.config.base.startswith("hf:") else None
                save_adapter(inner, model, named or str(self.folder.absolute()), self.base_hash)
                shutil.copyfile(chain(self.folder)[-1] / "config.json", aside / "config.json")
            else:
                save_folder(inner, model, self.tokenizer)
            for file in inner.iterdir():
                file.rename(aside / file.name)
            inner.rmdir()
            self._copy_beside(aside)

    def _copy_beside(self, folder: Path) -> None:
        """Put the base's own tokenizer and the form beside the weights, so that everybody asks as it was trained."""
        home = tokenizer_folder(self.folder) or self.folder
        for name in COPIED:
            if (home / name).is_file():
                shutil.copyfile(home / name, folder / name)
        if not (folder / CONFIG).is_file():
            marks = {name: text for name, text in self.form.marks.items() if text}
            (folder / CONFIG).write_text(json.dumps(marks, indent=1) + "\n", encoding="utf-8")
        (folder / TEMPLATE).write_text(self.form.template, encoding="utf-8")


def open_base(config: TuneConfig, seed: int = 0, runs: Path | None = None) -> TunedModel:
    """Return the model to tune, made ready.

    Args:
        seed: of the corrections' first numbers.
        runs: the folder that holds the runs.

    Raises:
        CutawayError: there is no such model, it cannot be loaded faithfully, or its tokenizer is not its own.
    """
    folder = find_base(config.base, runs)
    stored = folder_facts(folder).dtype
    # corrections are kept in 32 bits whatever the base is in; float16 is too narrow to train through
    dtype = torch.float32 if config.method == "full" or stored == "float16" else None
    opened = load_quantized(folder, dtype) if config.method == "lora4" else load_folder(folder, dtype)
    model, tokenizer = opened
    if tokenizer is None:
        raise TokenizerError(f"{folder} has no tokenizer.json, so text cannot become tokens; copy the model's into it")
    check_vocabulary(tokenizer.vocab_size, model.config.known_vocab_size)
    form = chat_form(tokenizer_folder(folder) or folder, tokenizer)
    if config.has_adapters:
        lora = LoRAConfig(config.rank, config.alpha, config.projections, config.lora_dropout)
        add_lora(model, lora, seed)
    if config.checkpointing:
        checkpoint_blocks(model)
    return TunedModel(model, tokenizer, form, folder, hash_base(folder), config)


def is_attention_only(config: TuneConfig) -> bool:
    """Whether corrections are asked for in attention alone, which is known to learn worse (Schulman and Thinking
    Machines 2025; QLoRA, arXiv:2305.14314, figure 2)."""
    return config.has_adapters and bool(config.projections) and set(config.projections) <= ATTENTION
