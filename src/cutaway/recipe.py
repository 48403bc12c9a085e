"""A recipe: one complete description of a run. Importing this loads nothing heavy.

Two runs of one recipe on the same machine give the same numbers. What a recipe leaves open (steps for a budget in
minutes, precision, threads, the size of the vocabulary) is settled when the run starts and written into the run's own
recipe.toml.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cutaway.base.errors import ConfigError
from cutaway.base.objective import ObjectiveConfig
from cutaway.generate.config import SamplingConfig
from cutaway.models.config import GPTConfig, LlamaConfig
from cutaway.text.config import DataConfig
from cutaway.train.config import TrainConfig
from cutaway.tune.config import TuneConfig


@dataclass(frozen=True)
class StartConfig:
    """With which weights a run begins."""

    run: str = ""
    """Begin with a checkpoint of this run (a name or a folder) and its optimizer's memory; empty: random weights."""
    step: int = 0
    """The step of that checkpoint; steps are counted on from there."""


@dataclass(frozen=True)
class Recipe:
    """Data, model, objective, training and generation: all there is to say about a run."""

    name: str
    """What runs of this recipe are called, with a number behind."""
    data: DataConfig = field(default_factory=DataConfig)
    """Which text."""
    model: GPTConfig | LlamaConfig = field(default_factory=GPTConfig)
    """Which model."""
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """What the model is asked to do."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How the weights are found."""
    generate: SamplingConfig = field(default_factory=SamplingConfig)
    """How samples are drawn."""
    start: StartConfig = field(default_factory=StartConfig)
    """With which weights it begins."""
    tune: TuneConfig | None = None
    """Of a tuned run: the model it begins with and what of that may change; left out: a model from nothing."""
    fit: bool = False
    """Whether size, context and batch are chosen for a budget in minutes on this machine when the run starts."""
    prompt: str = ""
    """What samples begin with; empty: the start of a document (of a tuned run: what is asked)."""

    def __post_init__(self) -> None:
        is_tuned, has_pairs = self.tune is not None, self.data.documents == "conversation"
        if has_pairs and not is_tuned:
            raise ConfigError(
                "data.documents is 'conversation', but nothing is tuned; expected 'file' or 'line', "
                "or start with `cutaway voice tune`"
            )
        if is_tuned and not has_pairs:
            raise ConfigError(f"data.documents is {self.data.documents!r}; expected 'conversation' to tune a model on")
        if self.data.held_out and not has_pairs:
            raise ConfigError("data.held_out is for conversations; of other text data.validation_fraction is held out")
