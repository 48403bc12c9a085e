"""The same training on one process or many.

`torchrun --nproc-per-node 2 -m cutaway train ...` starts the same program several times; each learns from its
environment which rank it is, works through its share of every batch, and the ranks average their gradients. DDP (Li et
al. 2020, arXiv:2006.15704) keeps all weights on every rank; FSDP2 (Zhao et al. 2023, arXiv:2304.11277) keeps a slice
of each on every rank and gathers it when needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from cutaway.base.errors import ConfigError, RunError


@dataclass(frozen=True)
class World:
    """Which of how many processes this is, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this rank writes files and speaks."""
        return self.rank == 0

    def mean(self, *values: float) -> list[float]:
        """Return the averages of the values over all ranks."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return (total / self.size).tolist()

    def tell(self, value: Any) -> Any:
        """Return the first rank's value on every rank."""
        if self.size == 1:
            return value
        told = [value]
        dist.broadcast_object_list(told, src=0)
        return told[0]

    def wait(self) -> None:
        """Wait until every rank is here."""
        if self.size > 1:
            dist.barrier()


def pick_device(name: str) -> torch.device:
    """Return the device of that name, or the best there is for `auto`.

    Raises:
        ConfigError: this machine or this build of PyTorch has no such device.
    """
    there = ["cpu"]
    if torch.cuda.is_available():
        there.insert(0, "cuda")
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if name == "auto":
        return torch.device(there[0])
    if name.split(":")[0] not in there:
        raise ConfigError(f"train.device is {name!r}; expected one this machine has: {', '.join(there)}")
    return torch.device(name)


@contextmanager
def joined(device_name: str) -> Iterator[World]:
    """Join the group torchrun has started, or be alone.

    Raises:
        RunError: another rank stopped; the message says how to go on.
    """
    device = pick_device(device_name)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, device)
        return
    rank = int(os.environ["RANK"])
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(rank, size, device)
    except (dist.DistBackendError, dist.DistNetworkError, RuntimeError) as error:
        if _is_lost_peer(error):
            raise RunError(
                f"rank {rank} of {size} lost another rank, so the job stops; "
                f"the run continues from its last checkpoint when the same command names its folder"
            ) from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _is_lost_peer(error: Exception) -> bool:
    signs = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "timed out", "Timed out")
    return isinstance(error, (dist.DistBackendError, dist.DistNetworkError)) or any(s in str(error) for s in signs)


def wrap(model: nn.Module, sharding: str, world: World) -> nn.Module:
    """Return the model ready for this world: itself when alone, else under DDP or FSDP2."""
    if world.size == 1:
        return model
    if sharding == "ddp":
        return nn.parallel.DistributedDataParallel(
            model, device_ids=[world.device] if world.device.type == "cuda" else None
        )
    mesh = init_device_mesh(world.device.type, (world.size,))
    for block in getattr(model, "blocks", []):
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)
    return model


@contextmanager
def gradients_synced(model: nn.Module, enabled: bool) -> Iterator[None]:
    """Average gradients over the ranks in this backward pass, or leave that to a later micro-step."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        if enabled:
            yield
        else:
            with model.no_sync():
                yield
        return
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(enabled)
    yield


def whole(tensor: Tensor) -> Tensor:
    """Return the full tensor of one that may be spread over ranks (every rank must ask)."""
    return tensor.full_tensor().clone() if isinstance(tensor, DTensor) else tensor  # the copy waits for the gathering


def like(full: Tensor, pattern: Tensor) -> Tensor:
    """Return a full tensor spread over ranks as `pattern` is."""
    if isinstance(pattern, DTensor):
        full = full.to(pattern.device)
        return distribute_tensor(full, pattern.device_mesh, pattern.placements)
    return full.to(pattern.device)


def check_batch(batch_size: int, accumulate: int, size: int) -> None:
    """Refuse a batch that the ranks and micro-steps cannot share equally."""
    if batch_size % (accumulate * size):
        raise ConfigError(
            f"train.batch_size {batch_size} cannot be shared by {size} processes x {accumulate} micro-steps; "
            f"expected a multiple of {accumulate * size}"
        )
