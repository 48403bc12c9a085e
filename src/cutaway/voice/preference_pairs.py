"""Own text against model text: pairs of answers for DPO (tune/dpo.py).

For every prompt of the training pairs the model answers as well. One's own answer is the one chosen, the model's is
rejected; where the model says the same, there is nothing to prefer. What is learned then is what a reader could tell the
model by, in its own words: the discriminator's work, without a discriminator. Held-out pairs make held-out
preferences in the same way, so that learning can stop where it stops to generalise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cutaway.base.seed import derive
from cutaway.generate.config import SamplingConfig
from cutaway.generate.decode import generate
from cutaway.interop.conversations import Conversation
from cutaway.models.decoder import Decoder
from cutaway.tune.chat_form import ChatForm
from cutaway.tune.preferences import CUT, MOST_TOKENS, Preference


@dataclass(frozen=True)
class PreferencePairs:
    """What came of asking the model."""

    pairs: list[Preference]
    same: int
    """Prompts to which the model said nothing else, or nothing."""
    unfinished: int
    """Answers of the model that were cut off."""

    def sentence(self) -> str:
        """Say it in words."""
        left = f"; {self.same} left out, where the model said the same or nothing" if self.same else ""
        without_end = f"{self.unfinished} of the model's without an end"
        return f"{len(self.pairs)} pairs of your answer and the model's, {without_end}{left}."


def preference_pairs(
    model: Decoder,
    form: ChatForm,
    conversations: Sequence[Conversation],
    most_tokens: int = MOST_TOKENS,
    temperature: float = 1.0,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PreferencePairs:
    """Let the model answer what was answered, and return both answers of each.

    Args:
        form: in which the model is asked.
        most_tokens: of an answer of the model.
        temperature: 1 is the model as it is.
        progress: called with how many are done and how many there are.
    """
    pairs, same, unfinished = [], 0, 0
    for number, one in enumerate(conversations):
        last = max(i for i, message in enumerate(one.messages) if message.role == "assistant")
        prompt, own = one.messages[:last], one.messages[last].content
        ids = form.prompt_ids([{"role": message.role, "content": message.content} for message in prompt])
        config = SamplingConfig(most_tokens, temperature, seed=derive(seed, "rejected", number) % 2**31)
        written = generate(model, form.tokenizer, ids, config)[0]
        answer = written.text.replace(form.stop_text, "").strip()
        if not answer or answer == own.strip():
            same += 1
        else:
            is_cut = written.stop_reason != "end"
            unfinished += is_cut
            about = {key: what for key, what in one.about.items() if key not in ("rejected", CUT)}
            pairs.append(Preference(prompt, own, answer, about | ({CUT: ["rejected"]} if is_cut else {})))
        progress(number + 1, len(conversations))
    return PreferencePairs(pairs, same, unfinished)
