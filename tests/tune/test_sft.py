"""The loss is on the answers alone: by hand, by law, and as `transformers` computes it."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from tune.small import make_base, pairs

from cutaway.base.errors import DataError
from cutaway.base.objective import Objective
from cutaway.interop.folder_files import LAYOUTS
from cutaway.interop.hub_folder import load_folder, stored_tensors
from cutaway.models.decoder import Decoder
from cutaway.tune.chat_form import chat_form
from cutaway.tune.examples import Example, make_examples
from cutaway.tune.packing import pack, parted
from cutaway.tune.sft import Answering, surprisals

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # theirs
FAMILIES = ("gpt2", "llama")
Base = tuple[Path, Decoder, list[Example]]


@pytest.fixture(scope="module", params=FAMILIES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = make_base(tmp_path_factory.mktemp("base") / "base", request.param, "bpe")
    return opened(folder)


def opened(folder: Path) -> Base:
    model, tokenizer = load_folder(folder)
    assert tokenizer is not None
    form = chat_form(folder, tokenizer)
    return folder, model, make_examples(pairs(5), form, model.config.context_length).kept


def objective(base: Base, batch_size: int = 3) -> Answering:
    _, model, examples = base
    return Answering(copy.deepcopy(model), examples[:4], examples[4:], batch_size, seed=3)


def gradients(task: Answering, batch: Any) -> dict[str, torch.Tensor]:
    task.model.zero_grad()
    task.loss(task.model, batch).backward()
    return {name: p.grad.clone() for name, p in task.model.named_parameters() if p.grad is not None}


def test_it_is_an_objective(base: Base) -> None:
    assert isinstance(objective(base), Objective)


def test_the_loss_by_hand(base: Base) -> None:
    task = objective(base, 2)
    examples = task.chosen(0, 2)
    total, count = 0.0, 0
    with torch.no_grad():
        for one in examples:
            log_p = task.model(torch.from_numpy(one.tokens)[None])[0].double().log_softmax(-1)
            for t in range(1, len(one.tokens)):
                if one.is_learned[t]:
                    total, count = total - float(log_p[t - 1, one.tokens[t]]), count + 1
    assert task.loss(task.model, task.batch(0, 2)).item() == pytest.approx(total / count, rel=1e-6)


def test_loss_and_gradients_are_those_of_transformers(base: Base) -> None:
    folder, ours, _ = base
    task = objective(base, 3)
    theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").float()
    examples = task.chosen(0, 3)
    longest = max(len(one.tokens) for one in examples)
    ids = torch.zeros(3, longest, dtype=torch.long)
    labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
    for row, one in enumerate(examples):
        n = len(one.tokens)
        ids[row, :n], mask[row, :n] = torch.from_numpy(one.tokens), 1
        labels[row, :n] = torch.from_numpy(np.where(one.is_learned, one.tokens, -100))
    loss = theirs(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    assert task.loss(task.model, task.batch(0, 3)).item() == pytest.approx(loss.item(), rel=1e-5)
    found = gradients(task, task.batch(0, 3))
    held = copy.deepcopy(ours)
    with torch.no_grad():
        for name, parameter in held.named_parameters():
            parameter.copy_(found[name])
    layout = LAYOUTS["gpt2" if "wpe.weight" in dict(theirs.base_model.named_parameters()) else "llama"]
    of_ours = stored_tensors(held, layout, ours.config)
    compared = 0
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(
            of_ours[name], parameter.grad, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )
        compared += 1
    assert compared == len(of_ours)


def test_the_prompts_labels_give_no_gradient(base: Base) -> None:
    """What follows a position of the prompt can be anything: loss and gradients stay the same, bit for bit."""
    task = objective(base, 2)
    before = gradients(task, task.batch(0, 2))
    packed, divisor = task.batch(0, 2)
    is_wanted = torch.zeros(packed.tokens.shape[1], dtype=torch.bool)
    is_wanted[packed.wanted] = True
    labels = torch.roll(packed.tokens[0], -1)
    labels[packed.wanted] = packed.targets
    labels[~is_wanted] = torch.randint(task.vocab_size, (int((~is_wanted).sum()),))  # other labels for the prompt
    changed = type(packed)(packed.tokens, packed.lengths, packed.wanted, labels[packed.wanted], packed.counts)
    after = gradients(task, (changed, divisor))
    assert all(torch.equal(before[name], after[name]) for name in before)
    labels[packed.wanted[0]] = (labels[packed.wanted[0]] + 1) % task.vocab_size  # and one of the answer does matter
    changed = type(packed)(packed.tokens, packed.lengths, packed.wanted, labels[packed.wanted], packed.counts)
    assert any(not torch.equal(before[name], grad) for name, grad in gradients(task, (changed, divisor)).items())


def test_no_gradient_enters_at_the_prompt(base: Base) -> None:
    """The gradient of the logits is zero, or rather not there, wherever the next token is the prompt's."""
    task = objective(base, 2)
    packed, divisor = task.batch(0, 2)
    seen: list[torch.Tensor] = []
    model = task.model
    hook = model.final_norm.register_full_backward_hook(lambda m, i, o: seen.append(o[0]))  # type: ignore[union-attr]
    task.loss(model, (packed, divisor)).backward()
    hook.remove()
    touched = seen[0][0].abs().sum(dim=1) > 0
    assert touched.nonzero()[:, 0].tolist() == packed.wanted.tolist()
    examples = task.chosen(0, 2)
    assert int(touched.sum()) == sum(one.n_learned for one in examples)


def test_a_step_in_parts_is_the_step_at_once(base: Base) -> None:
    task = objective(base, 4)
    whole = gradients(task, task.batch(4, 4))
    loss = task.loss(task.model, task.batch(4, 4)).item()
    parts = [task.batch(first, 1) for first in range(4, 8)]
    assert np.mean([task.loss(task.model, part).item() for part in parts]) == pytest.approx(loss, rel=1e-6)
    summed: dict[str, torch.Tensor] = {}
    for part in parts:
        for name, grad in gradients(task, part).items():
            summed[name] = summed.get(name, torch.zeros_like(grad)) + grad / 4
    for name, grad in whole.items():
        torch.testing.assert_close(summed[name], grad, rtol=1e-4, atol=1e-6)


def test_batches_are_a_function_of_their_place_and_each_epoch_has_every_conversation_once(base: Base) -> None:
    task = objective(base, 3)
    names = [[one.name for one in task.chosen(first, 4)] for first in (0, 4, 8)]
    assert all(sorted(epoch) == sorted(names[0]) for epoch in names)
    assert len(set(map(tuple, names))) > 1
    assert [one.name for one in task.chosen(2, 4)] == names[0][2:] + names[1][:2]
    assert [one.name for one in objective(base, 1).chosen(0, 4)] == names[0]


def test_held_out_loss_in_nats_and_bits_a_byte(base: Base) -> None:
    _, model, examples = base
    task = Answering(model, examples[:3], examples[3:], 2)
    each = surprisals(model, examples[3:])
    assert [len(one) for one in each] == [one.n_learned for one in examples[3:]]
    got = task.validate(model.eval())
    total = sum(float(one.sum()) for one in each)
    assert got.n_targets == sum(map(len, each))
    assert got.loss_nats == pytest.approx(total / got.n_targets, rel=1e-6)
    assert got.bits_per_byte == pytest.approx(total / math.log(2) / sum(one.n_bytes for one in examples[3:]), rel=1e-6)
    assert task.validate(model, max_tokens=got.n_targets // 2).n_targets == examples[3].n_learned
    with pytest.raises(DataError, match="no held-out"):
        Answering(model, examples, [], 2).validate(model)


def test_groups_hold_all_and_no_more_logits_than_fit(base: Base) -> None:
    _, _, examples = base
    groups = list(parted(examples, (1 << 26) // (2 * examples[0].n_learned)))
    assert [one.name for group in groups for one in group] == [one.name for one in examples]
    assert len(groups) > 1
    assert pack(examples[:1]).wanted.tolist() == (np.flatnonzero(examples[0].is_learned) - 1).tolist()
