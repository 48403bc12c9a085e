"""Any number of any specimen: its terms add up, and lead to where they came from."""

from __future__ import annotations

import random

import pytest
import torch
from microscope.zoo import OPTIMIZERS, ZOO, specimen

from cutaway.base.errors import UsageError
from cutaway.microscope.trace import Trace
from cutaway.microscope.tracing import trace


def step(name: str) -> Trace:
    one = specimen(name)
    torch.manual_seed(1)
    return trace(one.model, one.inputs, one.loss, OPTIMIZERS["AdamW"](one.model.parameters()))


def somewhere(found: Trace, address: str, generator: random.Random) -> tuple[int, ...]:
    return tuple(generator.randrange(size) for size in found.place(address).shape)


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.slow
def test_any_number_can_be_asked(name: str) -> None:
    found, generator = step(name), random.Random(0)
    kinds = set()
    for address in found:
        if not found.place(address).numel:
            continue
        index = somewhere(found, address, generator)
        told = found.explain(address, index)
        kinds.add(told.kind)
        value = found[address][index].item()
        assert told.value == value or value != value
        assert told.verdict in ("agrees", "nothing to recompute")
        assert (told.verdict == "agrees") == (told.kind == "computed")
        for term in told.terms[:3]:
            there = found[term.address][term.index].item()  # where it points there is a number
            if told.operation in ("mm", "bmm") and there == there:
                assert term.value == pytest.approx(term.weight * there, rel=1e-6, abs=1e-30)
    assert {"computed", "parameter", "input"} <= kinds
    assert "opaque" not in kinds


def test_a_weight_gradient_down_to_the_batch() -> None:
    found = step("mlp")
    told = found.explain("0.weight:grad", (2, 1))
    assert told.operation == "mm"
    assert told.phase == "backward"
    assert sum(term.value for term in told.terms) == pytest.approx(told.value, rel=1e-5)
    assert "sum" in told.formula
    assert {term.address for term in told.terms} & {"input.input", "1:out:backward.mul", "0:out:grad"}
    text = str(told)
    assert "0.weight:grad[2, 1]" in text
    assert "agrees" in text
    plain = told.as_dict()
    assert plain["verdict"] == "agrees"
    assert plain["terms"][0]["address"] == told.terms[0].address


def test_terms_come_largest_first_and_name_the_batch() -> None:
    found = step("gpt2")
    told = found.explain("transformer.h.0.mlp.c_fc.weight:grad", (3, 5))
    sizes = [abs(term.value) for term in told.terms]
    assert sizes == sorted(sizes, reverse=True)
    assert told.module == "transformer.h.0.mlp.c_fc"


def test_a_view_is_walked_through() -> None:
    found = step("gpt2")
    query = found.explain("transformer.h.0.attn.bmm", (1, 2, 1))
    assert query.verdict == "agrees"
    assert {term.address.rpartition(".")[0] for term in query.terms} <= {
        "transformer.h.0.attn",
        "transformer.h.0.attn.c_attn",
    }


def test_a_parameter_and_an_input_are_what_they_are() -> None:
    found = step("gpt2")
    told = found.explain("lm_head.weight", (0, 0))
    assert (told.kind, told.terms, told.verdict) == ("parameter", [], "nothing to recompute")
    assert found.explain("input.input_ids", (0, 0)).kind == "input"


def test_why_follows_the_largest_contributions() -> None:
    found = step("gpt2")
    reason = found.why("loss", (), depth=4, most=2)
    assert reason.share == 1.0

    def check(node: object, depth: int) -> int:
        deepest = depth
        if node.parts:  # type: ignore[attr-defined]
            shares = [part.share for part in node.parts]  # type: ignore[attr-defined]
            assert len(shares) <= 2
            assert sum(shares) + node.left_out == pytest.approx(1.0)  # type: ignore[attr-defined]
        for part in node.parts:  # type: ignore[attr-defined]
            deepest = max(deepest, check(part, depth + 1))
        return deepest

    assert check(reason, 0) == 4
    assert str(reason).splitlines()[0].startswith("100.0%  loss[]")


def test_the_gradient_path_begins_at_the_loss() -> None:
    found = step("mlp")
    path = found.gradient_path("0.weight:grad", (2, 1))
    assert path[0].address == "loss:grad"
    assert path[0].value == 1.0
    assert (path[-1].address, path[-1].index) == ("0.weight:grad", (2, 1))
    assert len(path) >= 5


def test_what_cannot_be_asked() -> None:
    found = step("mlp")
    with pytest.raises(UsageError, match=r"did you mean 0.weight:grad"):
        found.explain("0.weigth:grad", (0, 0))
    with pytest.raises(UsageError, match=r"0.weight has shape \[4, 2\]"):
        found.explain("0.weight", (4, 0))


def test_what_is_not_listed_is_told() -> None:
    found = step("gpt2")
    whole = found.explain("transformer.h.0.mlp.c_fc.weight:grad", (3, 5))
    part = found.explain("transformer.h.0.mlp.c_fc.weight:grad", (3, 5), most=2)
    assert part.terms == whole.terms[:2]
    assert part.n_terms == whole.n_terms == len(whole.terms) > 10
    assert part.rest == pytest.approx(sum(term.value for term in whole.terms[2:]), rel=1e-9)
    assert whole.rest == pytest.approx(0.0, abs=1e-15)
    assert part.size == whole.size == pytest.approx(sum(abs(term.value) for term in whole.terms))
