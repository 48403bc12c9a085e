"""Every number of every specimen follows from its formula, and a tampered trace does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from microscope.zoo import OPTIMIZERS, ZOO, specimen

from cutaway.base.errors import UsageError
from cutaway.microscope import formula, verify
from cutaway.microscope.record import Operation, Place
from cutaway.microscope.trace import Trace
from cutaway.microscope.tracing import trace


def step(name: str, optimizer: str = "AdamW", dtype: torch.dtype = torch.float32) -> Trace:
    one = specimen(name)
    torch.manual_seed(1)
    model = one.model.to(dtype)
    inputs = one.inputs
    if dtype is not torch.float32:
        inputs = torch.utils._pytree.tree_map_only(
            torch.Tensor, lambda x: x.to(dtype) if x.is_floating_point() else x, inputs
        )
    return trace(model, inputs, one.loss, OPTIMIZERS[optimizer](model.parameters()))


@pytest.mark.parametrize("name", ZOO)
def test_every_operation_is_explained_and_every_number_agrees(name: str) -> None:
    report = step(name).verify()
    assert report.opaque == []
    assert report.wrong == []
    assert report.ok
    assert report.explained == report.operations > 50
    assert report.values_checked > 200
    assert report.worst_error <= verify.SAFETY


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(optimizer: str) -> None:
    report = step("our_gpt", optimizer).verify()
    assert (report.opaque, report.wrong) == ([], [])
    assert any(address.endswith(":new") or ":" in address for address in [report.worst_address])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.float16])
@pytest.mark.parametrize("name", ["our_gpt", "our_llama", "gpt2", "mlp"])
def test_every_precision(name: str, dtype: torch.dtype) -> None:
    report = step(name, dtype=dtype).verify()
    assert (report.opaque, report.wrong) == ([], [])


def find(found: Trace, name: str) -> Operation:
    return next(o for o in found.operations if o.name == name and o.phase == "backward")


@pytest.mark.parametrize("phase", ["forward", "backward", "optimizer"])
def test_one_changed_value_is_caught(phase: str) -> None:
    found = step("mlp")
    operation = next(o for o in reversed(found.operations) if o.phase == phase and not o.is_view and o.results)
    _, place = next(operation.outputs())
    number = found.memory.read(place).flatten()
    number[0] = number[0] * 1.001 + 1e-3
    report = found.verify()
    assert not report.ok
    assert found.names.results[operation.number, 0] in report.wrong
    assert "NUMBERS DIFFER" in str(report)


def test_a_swapped_operand_is_caught() -> None:
    found = step("our_gpt")
    operation, other, *_ = [o for o in found.operations if o.name in ("addmm", "mm") and o.phase == "forward"]
    assert operation.args["mat2"].shape == other.args["mat2"].shape
    operation.args["mat2"] = other.args["mat2"]
    report = found.verify()
    assert found.names.results[operation.number, 0] in report.wrong


def test_a_wrong_formula_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    found = step("our_gpt")
    wrong = formula.parse("out[i,j] = sum(k: self[i,k] * mat2[k,j]) + 0.001")
    monkeypatch.setattr(verify, "lookup", lambda name: wrong if name == "mm" else formula.lookup(name))
    report = found.verify()
    assert not report.ok
    assert report.kinds["mm"].worst_error > verify.SAFETY
    assert all(kind.worst_error <= verify.SAFETY for name, kind in report.kinds.items() if name != "mm")


def test_an_operation_without_a_formula_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = step("mlp")
    monkeypatch.setattr(verify, "lookup", lambda name: None if name == "tanh" else formula.lookup(name))
    report = found.verify()
    assert report.opaque == ["tanh"]
    assert report.explained == report.operations - 1
    assert "no formula for tanh" in str(report)


def test_a_report_is_plain_data() -> None:
    plain: dict[str, Any] = step("mlp").verify().as_dict()
    assert plain["ok"] is True
    assert plain["kinds"]["addmm"]["operations"] == 2
    assert not any(isinstance(value, Place) for value in plain.values())


@pytest.mark.parametrize("name", ["mlp", "our_gpt", "gpt2", "cnn", "lstm_cell"])
def test_gradients_agree_with_central_differences_of_the_replay(name: str) -> None:
    report = step(name).verify(gradients=6)
    assert len(report.gradients) == 6
    assert report.ok, str(report)
    assert len({(gradient.address, gradient.index) for gradient in report.gradients}) > 2


def test_a_wrong_gradient_is_caught_by_central_differences() -> None:
    found = step("our_gpt")
    for name in found.names.parameters():
        if f"{name}:grad" in found:
            found.memory.read(found.place(f"{name}:grad")).mul_(1.1)
    assert not all(gradient.ok for gradient in verify.check_gradients(found, 6))


def test_a_forward_pass_has_no_gradients_to_check() -> None:
    one = specimen("mlp")
    with pytest.raises(UsageError, match="no loss and no backward pass"):
        trace(one.model, one.inputs).verify(gradients=1)
