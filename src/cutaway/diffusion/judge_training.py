"""The judge's training: fresh drawings of all combinations, a short schedule, and an examination at the end.

A share of the drawings is blurred and made noisy, so that what a model paints is not foreign; the examination is on
clean drawings of other seeds, half of them of held-out combinations. A judge is kept in the cache folder under
everything that made it and is examined before it is kept, so its accuracy is always the measured one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional
from jaxtyping import Float, UInt8
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cutaway.base.errors import ModelFormatError
from cutaway.base.files import cache_folder, content_hash, file_hash, replacing_folder
from cutaway.base.seed import derive, torch_generator
from cutaway.base.tensor_file import save_tensors
from cutaway.diffusion.counted import uniforms
from cutaway.diffusion.draw import N_CHANCES, draw
from cutaway.diffusion.judge import QUESTIONS, SIZE, Judge, JudgeNetwork, answers_of
from cutaway.diffusion.picture_files import from_uint8
from cutaway.diffusion.pictures import DRAWINGS
from cutaway.diffusion.scene import Scene
from cutaway.diffusion.scene_stream import held_out_scenes, training_scenes


@dataclass(frozen=True)
class JudgeConfig:
    """How a judge is trained."""

    drawings: int = 200_000
    """Fresh drawings it sees, each once."""
    batch: int = 64
    """Drawings a step."""
    lr: float = 3e-3
    """Highest learning rate (AdamW; up over the first tenth of the steps or so, then down to nothing)."""
    width: int = 32
    """Channels of the finest level."""
    examined: int = 4000
    """Fresh drawings of the examination."""
    seed: int = 0
    """First weights and drawings follow from it."""


def drawings(seed: int, first: int, count: int, share_held_out: float) -> tuple[UInt8[ndarray, "B Y X C"], list[Scene]]:
    """Return fresh drawings of the judge's own seeds and what they show."""
    n_held_out = round(count * share_held_out)
    scenes = training_scenes(derive(seed, "judge"), first, count - n_held_out)
    scenes += held_out_scenes(derive(seed, "judge"), first, n_held_out)
    chances = uniforms(derive(seed, "judge drawing"), range(first, first + count), N_CHANCES)
    return draw(scenes, SIZE, chances), scenes


def _worn_down(x_BCYX: Float[Tensor, "B C Y X"], random: torch.Generator) -> Float[Tensor, "B C Y X"]:
    """Return the pictures, a third of them blurred and noisy by chance, as a model might paint them."""
    shape = (len(x_BCYX), 1, 1, 1)
    is_worn = torch.rand(shape, generator=random) < 0.33
    blur = torch.rand(shape, generator=random) * 0.6 * is_worn
    noise = torch.rand(shape, generator=random) * 0.1 * is_worn
    smooth = functional.avg_pool2d(functional.pad(x_BCYX, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return x_BCYX + blur * (smooth - x_BCYX) + noise * torch.randn(x_BCYX.shape, generator=random)


def train_judge(config: JudgeConfig, on_step: Callable[[int, int, float], None] | None = None) -> Judge:
    """Train and examine a judge.

    Args:
        on_step: called with the step, the number of steps and the loss (nats, summed over the questions).
    """
    random = torch_generator(config.seed, "judge")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.seed, "judge network"))
        network = JudgeNetwork(config.width).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    n_steps = max(1, config.drawings // config.batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=0.02, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((10 * step + 1) / n_steps, 1 - step / n_steps)
    )
    for step in range(n_steps):
        picture_BYXC, scenes = drawings(config.seed, step * config.batch, config.batch, 0.2)
        x_BCYX = _worn_down(from_uint8(picture_BYXC), random).contiguous(memory_format=torch.channels_last)
        answers = answers_of(scenes)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x_BCYX)
        losses = [
            functional.cross_entropy(logits[name].float(), answers[name], reduction="sum") / config.batch
            for name in QUESTIONS
        ]
        loss = torch.stack(losses).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step + 1, n_steps, loss.item())
    network.eval()
    return Judge(network, examine(network, config.examined, derive(config.seed, "examination")), "")


@torch.inference_mode()
def examine(network: JudgeNetwork, count: int, seed: int) -> dict[str, float]:
    """Return the share of right answers on clean fresh drawings, half of them of held-out combinations."""
    right, asked = dict.fromkeys(QUESTIONS, 0), dict.fromkeys(QUESTIONS, 0)
    for first in range(0, count, 500):
        picture_BYXC, scenes = drawings(seed, first, min(500, count - first), 0.5)
        logits, answers = network.ask(from_uint8(picture_BYXC)), answers_of(scenes)
        for name, answer_B in answers.items():
            arises_B = answer_B >= 0
            right[name] += int(((logits[name].argmax(1) == answer_B) & arises_B).sum())
            asked[name] += int(arises_B.sum())
    return {name: right[name] / max(1, asked[name]) for name in QUESTIONS}


def save_judge(judge: Judge, folder: Path, config: JudgeConfig) -> None:
    """Write the weights (safetensors) and the facts (judge.json)."""
    with replacing_folder(folder) as aside:
        save_tensors(judge.network.state_dict(), aside / "judge.safetensors")
        facts = {
            "config": asdict(config),
            "accuracy": judge.accuracy,
            "sha256": file_hash(aside / "judge.safetensors"),
        }
        (aside / "judge.json").write_text(json.dumps(facts, indent=2) + "\n")


def load_judge(folder: Path) -> Judge:
    """Read a judge.

    Raises:
        ModelFormatError: a file is missing or altered.
    """
    try:
        facts = json.loads((folder / "judge.json").read_text())
        network = JudgeNetwork(int(facts["config"]["width"]))
        if facts["sha256"] != file_hash(folder / "judge.safetensors"):
            raise ModelFormatError(f"{folder}/judge.safetensors is not the file that judge.json was written for")
        network.load_state_dict(load_file(folder / "judge.safetensors"))
        return Judge(network.eval(), dict(facts["accuracy"]), str(facts["sha256"])[:16])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelFormatError(f"could not read the judge in {folder}: {error}; delete the folder") from error


def open_judge(config: JudgeConfig = JudgeConfig(), on_step: Callable[[int, int, float], None] | None = None) -> Judge:
    """Return the judge of the cache, trained first where there is none."""
    folder = cache_folder() / "judges" / content_hash(["judge 2", DRAWINGS, json.dumps(asdict(config))])
    if not folder.is_dir():
        save_judge(train_judge(config, on_step), folder, config)
    return load_judge(folder)
