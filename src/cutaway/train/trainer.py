"""The one training loop: every model in Cutaway is trained here.

    for each step:  batch -> loss -> backward -> clip -> optimizer step (-> average of the weights)
    now and then:   validation loss, a sample, a checkpoint

The loop sees only an objective (`base/objective.py`). All state is the weights, their average, the
optimizer's memory and a step number: batches and random numbers are pure functions of the seed and the step, so a
resumed run and an uninterrupted one give the same numbers.
"""

from __future__ import annotations

import dataclasses
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from cutaway.base.errors import ConfigError, NonFiniteError
from cutaway.base.memory import resident_bytes
from cutaway.base.objective import Objective, Validation
from cutaway.base.runs import JsonLines, RunFolder
from cutaway.base.seed import derive
from cutaway.train.checkpoint import (
    Tensors,
    TrainState,
    list_checkpoints,
    load_average,
    load_checkpoint,
    model_tensors,
    optimizer_tensors,
    prune,
    restore,
    save_checkpoint,
)
from cutaway.train.config import TrainConfig
from cutaway.train.distributed import World, check_batch, gradients_synced, whole, wrap
from cutaway.train.ema import Average
from cutaway.train.nonfinite import first_nonfinite
from cutaway.train.optimizers import build_optimizers, rates, set_rates
from cutaway.train.samples import Samples
from cutaway.train.snapshots import Snapshots, by_layer
from cutaway.train.watch import StepEvent, Watcher

MEASUREMENTS = 15
"""How often a run is measured, unless its recipe says otherwise."""
EARLY_STEPS = (1, 6, 20)
"""Steps measured besides, when the model learns fastest: one wants to see noise turn into words."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    state: TrainState
    is_finished: bool
    validation: Validation | None
    """The loss of the best weights; None when somebody stopped the run."""
    ran_out_of_patience: bool = False
    """Whether it ended because the held-out loss fell no more."""


class Trainer:
    """Trains one objective's model in one run folder.

    Args:
        config: fully settled: steps, precision, compile and threads are set.
        export: called with the model whenever it is the best so far; writes it for others to load.
        rebuild: makes a model of gathered weights; needed when they are spread over devices (FSDP).
    """

    def __init__(
        self,
        objective: Objective,
        config: TrainConfig,
        run: RunFolder,
        world: World,
        watcher: Watcher | None = None,
        export: Callable[[nn.Module], None] | None = None,
        rebuild: Callable[[Tensors], nn.Module] | None = None,
    ) -> None:
        if config.steps is None:
            raise ConfigError("the trainer needs train.steps; a budget in minutes, epochs or tokens is settled before")
        check_batch(config.batch_size, config.accumulate, world.size)
        self.objective, self.config, self.run, self.world = objective, config, run, world
        self.watcher = watcher or Watcher()
        self.export = export or (lambda model: None)
        self.rebuild = rebuild
        self.state = TrainState()
        self.snapshots: Snapshots | None = None
        self._looked_at_memory = 0.0
        self.total_steps = config.steps
        self.validate_every = config.validate_every or max(1, round(self.total_steps / MEASUREMENTS))
        self.checkpoint_every = config.checkpoint_every or self.validate_every
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        objective.model.to(world.device)
        self.model = wrap(objective.model, config.sharding, world)
        self.optimizers = build_optimizers(objective.model, config)
        self.average = Average(objective.model, config.ema) if config.ema else None
        if config.compile == "on":
            self.model.compile()

    def resume(self) -> None:
        """Go to the last checkpoint, if there is one."""
        checkpoints = list_checkpoints(self.run.checkpoints_folder)
        if checkpoints:
            self.state = self._restore(checkpoints[-1])

    def _restore(self, checkpoint: Path) -> TrainState:
        state, weights, memories = load_checkpoint(checkpoint)
        restore(self.objective.model, self.optimizers, weights, memories)
        if self.average:
            self.average.load(load_average(checkpoint))
        return state

    def export_best(self) -> None:
        """Write the best weights so far for others to load (every rank must ask)."""
        self._restore(self.run.checkpoints_folder / str(self.state.best_step))
        with self.averaged():
            self._export()
        self._restore(self.run.checkpoints_folder / str(self.state.step))

    def _export(self) -> None:
        model = self.whole_model()
        if self.world.is_first:
            self.export(model)

    def averaged(self) -> AbstractContextManager[None]:
        """Within the `with` block, the model has the average of its weights, if one is kept."""
        return self.average.in_place() if self.average else nullcontext()

    def train(self) -> Outcome:
        """Run the loop to its end, or until somebody asks it to stop.

        Raises:
            NonFiniteError: the loss or gradient stopped being a number.
        """
        first = self.world.is_first
        metrics = JsonLines(self.run.path / "metrics.jsonl", self.state.step) if first else None
        samples = Samples(self.run, self.state.step) if first else None
        probe = self.objective.probe
        self.snapshots = Snapshots(self.run.path / "snapshots", probe, self.state.step, first)
        started = time.perf_counter() - self.state.seconds
        recent: deque[tuple[float, int]] = deque([(time.perf_counter(), self.state.tokens)], maxlen=30)
        try:
            if self.state.step == 0:
                self.look_inside()
            with stop_signals() as wants_stop:
                while self.state.step < self.total_steps and not self.is_out_of_patience():
                    share, loss, norm, layers = self.update(self.is_measured(self.state.step + 1))
                    stop, loss = self.world.mean(float(wants_stop()), loss)
                    self.state.seconds = time.perf_counter() - started
                    recent.append((time.perf_counter(), self.state.tokens))
                    event = self._event(share, loss, norm, recent)
                    line: dict[str, Any] = {
                        "step": self.state.step,
                        "loss": loss,
                        "tokens": self.state.tokens,
                        "seconds": round(self.state.seconds, 3),
                        "tokens_per_second": round(event.tokens_per_second, 1),
                        "rate": share,
                        "learning_rates": rates(self.optimizers),
                        "grad_norm": norm,
                        **self._memory(),
                        **layers,
                    }
                    self.watcher.step(event)
                    is_measured = self.is_measured(self.state.step)
                    if is_measured:
                        validation, is_best = self.validate()
                        line |= measured(validation)
                        self.watcher.validated(self.state.step, validation, is_best)
                        self.look_inside()
                    if metrics:
                        metrics.append(line)
                    if self.wants_sample(is_measured):
                        self.sample(samples)
                    if self.state.step % self.checkpoint_every == 0 or is_measured or stop:
                        self.checkpoint()
                    if stop:
                        break
            gave_up = self.is_out_of_patience() and self.state.step < self.total_steps
            is_finished = self.state.step >= self.total_steps or gave_up
            if gave_up:
                self.watcher.say(
                    f"stopped early: the last {self.state.since_best} measurements were no better than "
                    f"step {self.state.best_step}, which is kept"
                )
            return Outcome(self.state, is_finished, self.measure_best() if is_finished else None, gave_up)
        finally:
            self.snapshots.close()
            if metrics and samples:
                metrics.close()
                samples.close()

    def is_out_of_patience(self) -> bool:
        """Whether the held-out loss has not fallen for as many measurements as the recipe waits."""
        return 0 < self.config.patience <= self.state.since_best

    def is_measured(self, step: int) -> bool:
        """Whether, after this step, the held-out loss is measured and the model's inside recorded."""
        is_early = self.config.validate_every is None and step in EARLY_STEPS
        return is_early or step % self.validate_every == 0 or step == self.total_steps

    def _memory(self) -> dict[str, int]:
        """Return how much memory the process takes, about once a second."""
        now = time.monotonic()
        if now - self._looked_at_memory < 1:
            return {}
        self._looked_at_memory = now
        return {"memory_bytes": resident_bytes()}

    def wants_sample(self, is_measured: bool) -> bool:
        """Whether the model writes a sample after this step."""
        every = self.config.sample_every
        if every is None:
            return is_measured
        return every > 0 and (self.state.step % every == 0 or self.state.step == self.total_steps)

    def update(self, wants_layers: bool) -> tuple[float, float, float, dict[str, Any]]:
        """Make one optimizer update; return the rate's share, loss, gradient norm, and norms by layer when asked.

        Raises:
            NonFiniteError: the loss or gradient is not a finite number; the weights are those before the step.
        """
        config, world, step = self.config, self.world, self.state.step
        torch.manual_seed(derive(config.seed, "step", step, world.rank))
        share = config.batch_size // (world.size * config.accumulate)
        first = step * config.batch_size + world.rank * share * config.accumulate
        loss_sum = 0.0
        self.model.train()
        for micro_step in range(config.accumulate):
            batch = self.objective.batch(first + micro_step * share, share)
            is_last = micro_step == config.accumulate - 1
            with gradients_synced(self.model, is_last), autocast(config.precision, world.device):
                loss = self.objective.loss(self.model, batch)
            with gradients_synced(self.model, is_last):
                (loss / config.accumulate).backward()
            loss_sum += loss.item()
        parameters = [p for p in self.objective.model.parameters() if p.grad is not None]
        grads = [gradient_values(p) for p in parameters]
        norm = float(whole(nn.utils.get_total_norm(grads)))
        mean_loss = loss_sum / config.accumulate
        if not all(map(_is_number, world.mean(mean_loss, norm))):
            self._stop_nonfinite(batch)
        layers: dict[str, Any] = {}
        if wants_layers:
            layers["layer_grad_norms"] = self._record("gradients", grads, parameters)
        if config.clip_norm and norm > config.clip_norm:
            torch._foreach_mul_(grads, config.clip_norm / norm)
        del grads  # else the gradients would stay beside the copies below
        rows = [touched_rows(p) for p in parameters] if wants_layers else []
        before = [values_at(p, at).clone() for p, at in zip(parameters, rows, strict=False)]
        scale = set_rates(self.optimizers, step, self.total_steps, config)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if wants_layers:
            moved = [
                torch.sub(values_at(p, at), old, out=old) for p, at, old in zip(parameters, rows, before, strict=True)
            ]
            layers["layer_update_norms"] = self._record("updates", moved, parameters)
        self.state.step += 1
        if self.average:
            self.average.update(self.state.step)
        self.state.tokens += config.batch_size * self.objective.tokens_per_sequence
        return scale, mean_loss, norm, layers

    def _record(self, kind: str, tensors: list[Any], parameters: list[nn.Parameter]) -> dict[str, float]:
        """Record how the step's gradients or updates are spread; return their length, by layer."""
        layers = by_layer(self.objective.model, tensors, parameters)
        if self.snapshots:
            self.snapshots.spread(self.state.step + 1, kind, layers)
        return {layer: float(whole(nn.utils.get_total_norm(group))) for layer, group in layers.items()}

    def look_inside(self) -> None:
        """Record how the weights are spread, and what they make of the probe."""
        if not self.snapshots:
            return
        parameters = list(self.objective.model.parameters())
        layers = by_layer(self.objective.model, parameters, parameters)
        self.snapshots.spread(self.state.step, "weights", layers)
        self.snapshots.look(self.state.step, self.whole_model())

    def _stop_nonfinite(self, batch: Any) -> None:
        culprit = first_nonfinite(self.objective, batch)
        checkpoints = list_checkpoints(self.run.checkpoints_folder)
        good = f"the last good checkpoint is {checkpoints[-1]}" if checkpoints else "no checkpoint was written yet"
        raise NonFiniteError(
            f"step {self.state.step + 1}: the loss or its gradient is not a finite number; "
            f"first to go wrong: {culprit}; "
            f"{good}; a lower train.learning-rate or train.muon-learning-rate often helps"
        )

    def validate(self) -> tuple[Validation, bool]:
        """Measure the held-out loss on the way; return it and whether it is the best so far."""
        validation = self.measure(self.config.validation_tokens)
        is_best = validation.loss_nats < self.state.best_loss
        self.state.since_best = 0 if is_best else self.state.since_best + 1
        if is_best:
            self.state.best_loss, self.state.best_step = validation.loss_nats, self.state.step
            with self.averaged():
                self._export()
        return validation, is_best

    def measure(self, max_tokens: int | None = None) -> Validation:
        """Measure on all the held-out data, or on about so many tokens of it: the average of the weights where one is kept,
        with the loss of the weights themselves beside it."""
        if self.average is None:
            return self._measure(max_tokens)
        own = self._measure(max_tokens)
        with self.averaged():
            found = self._measure(max_tokens)
        return dataclasses.replace(found, more=found.more | {"loss_without_ema": own.loss_nats})

    def measure_best(self) -> Validation:
        """Measure the best weights thoroughly and leave them in place (their average, where one is kept)."""
        if self.state.best_step != self.state.step:
            self._restore(self.run.checkpoints_folder / str(self.state.best_step))
        validation = self.measure(self.config.final_validation_tokens or None)
        if self.average:
            self.average.exchange()
        return validation

    def _measure(self, max_tokens: int | None) -> Validation:
        self.model.eval()
        with torch.no_grad(), autocast(self.config.precision, self.world.device):
            return self.objective.validate(self.model, max_tokens)

    def sample(self, samples: Samples | None) -> None:
        """Let the model write or paint, for the watcher and for the record."""
        with self.averaged(), torch.no_grad():
            model = self.whole_model().eval()
            if samples is None:
                return
            sample = self.objective.sample(model, self.state.step)
        self.watcher.sampled(self.state.step, sample.text, samples.append(self.state.step, sample))

    def whole_model(self) -> nn.Module:
        """Return the model with all its weights in one place (every rank must ask)."""
        if self.world.size == 1 or self.config.sharding == "ddp":
            return self.objective.model
        if self.rebuild is None:
            raise ConfigError("sharding `fsdp` needs a way to rebuild the model; use train.sharding `ddp`")
        return self.rebuild(model_tensors(self.objective.model))

    def checkpoint(self) -> None:
        """Save where the run is; keep the last checkpoint and the best."""
        weights = model_tensors(self.objective.model)
        memories = optimizer_tensors(self.objective.model, self.optimizers)
        average = self.average.tensors() if self.average else None
        if self.world.is_first:
            folder = self.run.checkpoints_folder
            save_checkpoint(folder, self.state, weights, memories, average)
            if self.config.keep_checkpoints == "few":
                prune(folder, {self.state.step, self.state.best_step})
        self.world.wait()

    def _event(self, share: float, loss: float, norm: float, recent: deque[tuple[float, int]]) -> StepEvent:
        (t0, n0), (t1, n1) = recent[0], recent[-1]
        speed = (n1 - n0) / max(t1 - t0, 1e-9)
        state = self.state
        return StepEvent(state.step, self.total_steps, loss, state.tokens, state.seconds, speed, share, norm)


def measured(validation: Validation) -> dict[str, float]:
    """Return what was measured on held-out data, by the names it has in metrics.jsonl; bits a byte only where there are
    bytes."""
    bits = {} if validation.bits_per_byte is None else {"bits_per_byte": validation.bits_per_byte}
    return {"validation_loss": validation.loss_nats, **bits, **validation.more}


def _is_number(value: float) -> bool:
    return value == value and abs(value) != float("inf")


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which matrix products run in bfloat16, when that is the precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def gradient_values(parameter: nn.Parameter) -> Tensor:
    """Return the numbers of a parameter's gradient; of a sparse one, those of the rows it has."""
    assert parameter.grad is not None
    if parameter.grad.is_sparse:
        parameter.grad = parameter.grad.coalesce()
        return parameter.grad._values()
    return parameter.grad


def touched_rows(parameter: nn.Parameter) -> Tensor | None:
    """Return the rows that a step can move, where the gradient is sparse: those it has. None: all."""
    assert parameter.grad is not None
    return parameter.grad._indices()[0].clone() if parameter.grad.is_sparse else None


def values_at(parameter: nn.Parameter, rows: Tensor | None) -> Tensor:
    """Return a parameter's numbers, or those of some of its rows."""
    return parameter.detach() if rows is None else parameter.detach()[rows]


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or a polite request to end) into a wish that the loop grants after its step.

    A second Ctrl-C stops at once. Outside the main thread signals belong to somebody else, and nothing is caught.
    """
    wish = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal wish
        wish = True
        if number in before:
            signal.signal(number, before[number])

    before: dict[int, Any] = {}
    try:
        for wanted in (signal.SIGINT, signal.SIGTERM):
            before[wanted] = signal.signal(wanted, note)
    except ValueError:
        pass
    try:
        yield lambda: wish
    except BaseException:
        if torch.distributed.is_initialized():
            before.clear()  # the launcher ends us too when a rank is lost: first say why
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
