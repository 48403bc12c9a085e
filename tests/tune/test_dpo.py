"""DPO: equation 7 by other means, to the last digits; it learns to prefer; answers are cut alike."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM
from tune.small import ANSWERS, make_base

from cutaway.base.errors import ConfigError, DataError
from cutaway.base.objective import Objective
from cutaway.interop.conversations import Message
from cutaway.interop.hub_folder import load_folder, save_folder
from cutaway.models.decoder import Decoder
from cutaway.tune.chat_form import ChatForm, chat_form
from cutaway.tune.dpo import Preferring
from cutaway.tune.lora import LoRAConfig, add_lora
from cutaway.tune.preferences import (
    Preference,
    PreferenceExample,
    make_preference,
    read_preferences,
    write_preferences,
)


@dataclass
class Base:
    folder: Path
    model: Decoder
    form: ChatForm

    def pairs(self, n: int = 6, first: int = 0) -> list[PreferenceExample]:
        return [make_preference(one, self.form, 30) for one in preferences(n, first)]


def preferences(n: int = 6, first: int = 0) -> list[Preference]:
    return [
        Preference(
            (Message("user", f"Write about {i}."),), ANSWERS[i % 5], ANSWERS[(i + 2) % 5][::-1], {"source": f"{i}"}
        )
        for i in range(first, first + n)
    ]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = make_base(tmp_path_factory.mktemp("base") / "base", request.param, "bpe")
    model, tokenizer = load_folder(folder)
    assert tokenizer is not None
    return Base(folder, model, chat_form(folder, tokenizer))


def moved(model: Decoder) -> Decoder:
    """Return a copy that has left the reference."""
    copied, generator = copy.deepcopy(model), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return copied


def test_it_is_an_objective(base: Base) -> None:
    task = Preferring(copy.deepcopy(base.model), base.pairs(), base.pairs(2, 6))
    assert isinstance(task, Objective)
    assert (task.sequences_per_epoch, len(task.batch(4, 3)[1])) == (6, 3)
    assert torch.equal(task.batch(2, 2)[1], task.batch(0, 4)[1][2:])


def test_loss_and_gradients_are_equation_7_on_other_models(base: Base) -> None:
    """Padded rows through `transformers` in float64, the reference as a second model, sigmoid written out."""
    beta, pairs = 0.3, base.pairs(3)
    task = Preferring(copy.deepcopy(base.model).double(), pairs, pairs, beta)
    changed = moved(base.model)
    task.model.load_state_dict(changed.state_dict())
    save_folder(base.folder.parent / "moved", changed)
    reference, theirs = (
        AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").double()
        for folder in (base.folder, base.folder.parent / "moved")
    )

    def logprob(model: torch.nn.Module, side: str) -> torch.Tensor:
        examples = [getattr(one, side) for one in pairs]
        longest = max(len(one.tokens) for one in examples)
        ids, mask = torch.zeros(3, longest, dtype=torch.long), torch.zeros(3, longest, dtype=torch.long)
        learned = torch.zeros(3, longest, dtype=torch.bool)
        for row, one in enumerate(examples):
            ids[row, : len(one.tokens)] = torch.from_numpy(one.tokens)
            mask[row, : len(one.tokens)] = 1
            learned[row, : len(one.tokens)] = torch.from_numpy(one.is_learned)
        log_p = model(input_ids=ids, attention_mask=mask).logits[:, :-1].log_softmax(-1)
        own = log_p.gather(2, ids[:, 1:, None])[..., 0]
        return (own * learned[:, 1:]).sum(1)

    with torch.no_grad():
        before = logprob(reference, "chosen") - logprob(reference, "rejected")
    ratio = logprob(theirs, "chosen") - logprob(theirs, "rejected") - before
    expected = -(1 / (1 + torch.exp(-beta * ratio))).log().mean()
    loss = task.loss(task.model, task.batch(0, 3))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-7)
    assert abs(loss.item() - 0.6931) > 1e-3
    expected.backward()
    loss.backward()
    ours = task.model.get_submodule("lm_head").weight.grad
    assert ours is not None
    assert (ours - theirs.lm_head.weight.grad).abs().max() < 1e-6 * theirs.lm_head.weight.grad.abs().max()
    ours_norm = torch.nn.utils.get_total_norm([p.grad for p in task.model.parameters() if p.grad is not None])
    their_norm = torch.nn.utils.get_total_norm([p.grad for p in theirs.parameters() if p.grad is not None])
    assert ours_norm.item() == pytest.approx(their_norm.item(), rel=1e-6)
    found = task.margins(task.model)
    assert found.loss == pytest.approx(loss.item(), abs=1e-9)
    assert found.margin == pytest.approx(beta * ratio.mean().item(), abs=1e-6)
    assert found.chosen_reward - found.rejected_reward == pytest.approx(found.margin, abs=1e-9)
    assert found.accuracy == (ratio > 0).double().mean().item()


def test_at_the_start_the_loss_is_log_2_with_adapters_too(base: Base) -> None:
    adapted = add_lora(copy.deepcopy(base.model), LoRAConfig(rank=2))
    for model in (copy.deepcopy(base.model), adapted):
        task = Preferring(model, base.pairs(), base.pairs(2, 6))
        assert task.loss(task.model, task.batch(0, 3)).item() == pytest.approx(0.693147, abs=1e-5)
        found = task.margins(task.model)
        assert abs(found.margin) < 1e-6


def test_it_learns_to_prefer(base: Base) -> None:
    model = add_lora(copy.deepcopy(base.model), LoRAConfig(rank=4))
    task = Preferring(model, base.pairs(5), base.pairs(3, 5))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 5e-3)
    before = task.validate(model)
    for step in range(15):
        loss = task.loss(model, task.batch(5 * step, 5))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after, found = task.validate(model), task.margins(model)
    assert after.loss_nats < 0.7 * before.loss_nats
    assert found.margin > 0.4
    assert found.accuracy == 1
    assert after.n_targets == sum(one.chosen.n_learned for one in task.held_out)


def test_answers_are_cut_alike_and_only_real_ends_are_learned(base: Base) -> None:
    asked = (Message("user", "Write about 1."),)
    one = Preference(asked, ANSWERS[0], ANSWERS[1])
    whole = make_preference(one, base.form, 1000)
    for side, answer in ((whole.chosen, ANSWERS[0]), (whole.rejected, ANSWERS[1])):
        learned = side.tokens[side.is_learned]
        assert learned[-1] == base.form.stop_id
        assert base.form.tokenizer.decode(learned[:-1].tolist()) == answer
    short = make_preference(one, base.form, 5)
    assert (short.chosen.n_learned, short.rejected.n_learned) == (5, 5)
    assert list(short.chosen.tokens) == list(whole.chosen.tokens[: len(short.chosen.tokens)])
    unfinished = make_preference(Preference(asked, ANSWERS[0], ANSWERS[1], {"cut": ["rejected"]}), base.form)
    assert base.form.stop_id not in unfinished.rejected.tokens[unfinished.rejected.is_learned]
    assert unfinished.chosen.n_learned == whole.chosen.n_learned
    talk = (*asked, Message("assistant", "Before."), Message("user", "Write about 2."))
    later = make_preference(Preference(talk, ANSWERS[0], ANSWERS[1]), base.form, 1000)
    assert later.chosen.n_learned == whole.chosen.n_learned


def test_preferences_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "preferences.jsonl"
    write_preferences(path, preferences(3))
    assert read_preferences(path) == preferences(3)
    path.write_text(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c", "from": "x"}))
    assert read_preferences(path) == [Preference((Message("user", "a"),), "b", "c", {"from": "x"})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no conversations"),
        ('{"prompt": "a", "rejected": "c"}', "chosen is missing"),
        ('{"prompt": "a", "chosen": "b", "rejected": "c"}\n{oops', "line 2"),
        ('{"prompt": [], "chosen": "b", "rejected": "c"}', "expected a prompt"),
        ('{"prompt": "a", "chosen": " ", "rejected": "c"}', "the response is empty"),
        ('{"prompt": "a", "chosen": "b", "rejected": 3}', "`rejected` is not one answer"),
        ('{"prompt": "a", "completion": "b"}', "`rejected` is not one answer"),
        ("[1]", "expected"),
    ],
)
def test_broken_preferences_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "preferences.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_preferences(path)


def test_what_cannot_be_learned_is_refused(base: Base, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="both answers are the same"):
        make_preference(Preference((Message("user", "a"),), "b", "b "), base.form, name="pair 3")
    with pytest.raises(DataError, match="no pairs"):
        Preferring(base.model, [], [])
    with pytest.raises(ConfigError, match="beta is 0"):
        Preferring(base.model, base.pairs(1), [], beta=0)
    task = Preferring(base.model, base.pairs(1), [])
    for measure in (task.validate, task.margins):
        with pytest.raises(DataError, match="no held-out pairs"):
            measure(base.model)
    with pytest.raises(DataError, match="cannot read"):
        read_preferences(tmp_path / "none.jsonl")
