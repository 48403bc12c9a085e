"""A run that learns to prefer one's own answers to the model's (DPO): its pairs of answers, and its margins.

Everything else is that of a tuned run: base, corrections, checkpoints, what is written for others. Its base is the model
whose answers were rejected, which is also the reference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cutaway.base.errors import DataError
from cutaway.base.runs import RunFolder
from cutaway.interop.conversations import Conversation
from cutaway.session_tuned import TunedSession
from cutaway.train.trainer import Outcome, Trainer
from cutaway.tune.dpo import Preferring
from cutaway.tune.preferences import PreferenceExample, make_preference, preference_of


class PreferredSession(TunedSession):
    """Pairs of answers, a base and a recipe, ready to tune."""

    def make_objective(self) -> Preferring:
        """Return the task; the base's own log-probabilities of all answers are computed here, once."""
        data = self.recipe.data
        pairs = self._pairs(self.writing.train, data.source)
        held_out = self._pairs(self.writing.held_out, data.held_out or data.source)
        self.watcher.say(f"{len(pairs):,} pairs of answers, {len(held_out):,} held out; reading them with the base ...")
        probe = self.probe_of(self.held_out[0].tokens.tolist())
        self.model.to(self.world.device)
        return Preferring(
            self.model, pairs, held_out, self.tuned.config.beta, self.recipe.train.seed, self.write, probe
        )

    def look_after(self, run: RunFolder, trainer: Trainer, outcome: Outcome) -> dict[str, Any]:
        """Return the losses of the chosen answers before and after, and how the model prefers held-out ones."""
        more = super().look_after(run, trainer, outcome)
        if outcome.is_finished and isinstance(self.objective, Preferring):
            trainer.model.eval()
            more["preference"] = dataclasses.asdict(self.objective.margins(trainer.model))
        return more

    def _pairs(self, conversations: Sequence[Conversation], file: str) -> list[PreferenceExample]:
        """Return both answers of each, those left out that do not fit the context."""
        found = []
        for number, one in enumerate(conversations, 1):
            name = f"pair {number} of {Path(file).name}"
            made = make_preference(preference_of(one, name), self.form, self.tuned.config.answer_tokens, name)
            if max(len(made.chosen.tokens), len(made.rejected.tokens)) - 1 <= self.context:
                found.append(made)
        if not found:
            raise DataError(f"{file}: no pair of answers fits the context of {self.context} tokens")
        return found
