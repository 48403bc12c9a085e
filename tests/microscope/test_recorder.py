"""Recording changes nothing, sees everything, and can be run again."""

from __future__ import annotations

import copy

import pytest
import torch
from microscope.zoo import OPTIMIZERS, ZOO, Specimen, specimen
from torch import nn

from cutaway.base.errors import TraceError, UsageError
from cutaway.microscope.diff import diff
from cutaway.microscope.record import is_empty
from cutaway.microscope.trace import Trace
from cutaway.microscope.tracing import call, recording, trace


def step(one: Specimen, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    torch.manual_seed(1)
    loss = one.loss(call(one.model, one.inputs))
    loss.backward()
    optimizer.step()
    return loss.detach()


@pytest.mark.parametrize("name", ZOO)
def test_a_recorded_step_is_the_step(name: str) -> None:
    """Loss, gradients, new weights and optimizer state: bit for bit, or to rounding where attention was opened."""
    plain = specimen(name)
    recorded = copy.deepcopy(plain)
    optimizers = [torch.optim.AdamW(one.model.parameters(), lr=0.01) for one in (plain, recorded)]
    loss = step(plain, optimizers[0])
    torch.manual_seed(1)
    found = trace(recorded.model, recorded.inputs, recorded.loss, optimizers[1])
    tolerance = 0.0 if plain.is_exact else 2e-4
    torch.testing.assert_close(found["loss"], loss, rtol=tolerance, atol=tolerance)
    for (path, mine), his in zip(plain.model.named_parameters(), recorded.model.parameters(), strict=True):
        torch.testing.assert_close(
            his, mine, rtol=tolerance, atol=2e-2 if tolerance else 0
        )  # Adam's first step is a sign
        if mine.grad is not None:
            torch.testing.assert_close(his.grad, mine.grad, rtol=tolerance, atol=tolerance)
            torch.testing.assert_close(found[f"{path}:grad"].reshape(mine.shape), his.grad, rtol=0, atol=0)
            torch.testing.assert_close(found[f"{path}:new"], his, rtol=0, atol=0)


def recorded(name: str, optimizer: str = "AdamW") -> tuple[Specimen, Trace]:
    one = specimen(name)
    torch.manual_seed(1)
    return one, trace(one.model, one.inputs, one.loss, OPTIMIZERS[optimizer](one.model.parameters()))


@pytest.mark.parametrize("name", ZOO)
def test_running_the_recording_again_gives_every_number_again(name: str) -> None:
    _, found = recorded(name)
    again = found.replay(everything=True)
    assert diff(found, again) == []
    assert len(again.addresses()) == len(found.addresses()) > 20


@pytest.mark.parametrize("name", ZOO)
def test_addresses_are_the_same_in_every_run_and_every_result_has_one(name: str) -> None:
    first, second = recorded(name)[1], recorded(name)[1]
    assert first.addresses() == second.addresses()
    computing = [o for o in first.operations if not o.is_view and not is_empty(o.name)]
    results = {(operation.number, which) for operation in computing for which, _ in operation.outputs()}
    assert set(first.names.results) == results
    assert len(set(first.names.results.values())) == len(results)
    for address in first:
        torch.testing.assert_close(first[address], second[address], rtol=0, atol=0, equal_nan=True)


def test_addresses_people_would_guess() -> None:
    _, found = recorded("gpt2")
    shapes = {address: found.place(address).shape for address in found}
    assert shapes["transformer.h.0.attn.c_attn.weight:grad"] == (24, 72)
    assert shapes["transformer.h.0.attn.c_attn:out"] == (3, 7, 72)
    assert shapes["transformer.h.1:out"] == shapes["transformer.h.1:out:grad"] == (3, 7, 24)
    assert shapes["lm_head:out"] == (3, 7, 31)
    assert shapes["transformer.h.0.ln_1.weight:exp_avg"] == (24,)
    assert {"loss", "loss:grad", "input.input_ids", "transformer.wte.weight:new", "lm_head.weight"} <= set(shapes)


def test_our_models_say_what_they_call_things() -> None:
    _, found = recorded("our_gpt")
    assert found.place("blocks.0.attn.scores").shape == (3, 4, 7, 7)
    assert found.place("blocks.1.attn.pattern").shape == (3, 4, 7, 7)
    assert "blocks.0.attn.pattern:grad" in found


def test_phases_modules_lines_and_what_is_differentiated() -> None:
    _, found = recorded("mlp")
    forward = [o for o in found.operations if o.phase == "forward" and o.name == "addmm"]
    assert [o.module for o in forward] == ["0", "2"]
    assert all("test_recorder.py" in o.source or "tracing.py" in o.source or "zoo" in o.source for o in forward)
    products = [o for o in found.operations if o.phase == "backward" and o.name == "mm"]
    assert [found.operations[o.forward].module for o in products if o.forward is not None] == ["2", "2", "0"]
    assert {o.phase for o in found.operations} == {"forward", "backward", "optimizer"}


def test_a_tied_weight_is_one_tensor_with_two_names() -> None:
    _, found = recorded("gpt2")
    assert found.place("lm_head.weight") == found.place("transformer.wte.weight")


class InPlace(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        y.add_(1)
        y[0] = 7.0
        z = y.view(-1)
        z.mul_(3)
        return y + z.view_as(y)


def test_every_version_of_what_is_overwritten_can_be_read() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    found = trace(InPlace(), x.clone())
    torch.testing.assert_close(found["mul"], x * 2)
    torch.testing.assert_close(found["add"], x * 2 + 1)
    third = (x * 2 + 1).index_fill(0, torch.tensor([0]), 7.0)
    torch.testing.assert_close(found["mul#2"].view(2, 3), third * 3)
    torch.testing.assert_close(found["output"], third * 6)
    operation, which, index = found.memory.maker(found.place("mul#2"), (4,)) or (0, 0, ())
    assert (found.operations[operation].name, which, index) == ("mul_.Tensor", 0, (4,))
    assert diff(found, found.replay(everything=True)) == []


def test_inputs_and_weights_may_change_after_the_recording() -> None:
    x, model = torch.ones(2, 4), nn.Linear(4, 3)
    weight = model.weight.detach().clone()
    found = trace(model, x)
    output = found["output"]
    x.zero_()
    with torch.no_grad():
        model.weight.zero_()
    torch.testing.assert_close(found["input.input"], torch.ones(2, 4), rtol=0, atol=0)
    torch.testing.assert_close(found["weight"], weight, rtol=0, atol=0)
    torch.testing.assert_close(found.replay(everything=True)["output"], output, rtol=0, atol=0)


def test_several_steps_in_a_row() -> None:
    one = specimen("mlp")
    optimizer = torch.optim.Adam(one.model.parameters(), lr=0.01)
    with recording(one.model, optimizer) as found:
        for _ in range(3):
            optimizer.zero_grad()
            one.loss(one.model(one.inputs)).backward()
            optimizer.step()
    assert {"0.weight", "0.weight:new", "0.weight:new#2", "0.weight:new#3", "0:out", "0:out#3"} <= set(found)
    torch.testing.assert_close(found["0.weight:new#3"], one.model[0].weight.detach(), rtol=0, atol=0)  # type: ignore[index]
    assert diff(found, found.replay(everything=True)) == []


def test_generating_with_a_cache() -> None:
    one = specimen("gpt2")
    one.model.eval()
    expected = one.model.generate(one.inputs["input_ids"], max_new_tokens=4, do_sample=False)  # type: ignore[operator]
    with recording(one.model) as found:
        written = one.model.generate(one.inputs["input_ids"], max_new_tokens=4, do_sample=False)  # type: ignore[operator]
    assert torch.equal(written, expected)
    assert {"lm_head:out", "lm_head:out#4"} <= set(found)
    assert found.place("lm_head:out#4").shape == (3, 1, 31)
    assert diff(found, found.replay(everything=True)) == []


def test_forward_only_and_without_gradients() -> None:
    one = specimen("our_llama")
    with torch.no_grad():
        expected = one.model(one.inputs)
        found = trace(one.model, one.inputs)
    torch.testing.assert_close(found["output"], expected, rtol=1e-5, atol=1e-6)
    assert {o.phase for o in found.operations} == {"forward"}


class Breaks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) @ torch.ones(5, 5)


def test_a_model_that_fails_keeps_what_it_computed_and_says_where() -> None:
    with pytest.raises(
        TraceError, match=r"RuntimeError: .*\(after \d+ operations, the last .* in the model \(.*test_recorder.py"
    ) as failed:
        trace(Breaks(), torch.ones(2, 4))
    kept = failed.value.trace
    assert isinstance(kept, Trace)
    assert kept["inner:out"].shape == (2, 3)
    assert "FAILED" in repr(kept)


def test_recording_never_hides_the_users_own_error_and_leaves_nothing_behind() -> None:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
    with pytest.raises(ZeroDivisionError), recording(model, optimizer) as found:
        model(torch.ones(2, 4))
        1 / 0  # noqa: B018
    assert found.failure is not None
    assert optimizer.param_groups[0]["foreach"] is True
    assert not model._forward_hooks
    assert not model._forward_pre_hooks
    assert not optimizer._optimizer_step_pre_hooks
    before = len(found.operations)
    model(torch.ones(2, 4)).sum().backward()
    assert len(found.operations) == before


def test_what_cannot_be_asked_is_said_in_one_line() -> None:
    model = nn.Linear(4, 3)
    with pytest.raises(UsageError, match="an optimizer needs a loss"):
        trace(model, torch.ones(2, 4), optimizer=torch.optim.SGD(model.parameters()))
    with pytest.raises(
        UsageError, match=r"one number, a tensor with one element; it returned a tensor of shape \(2, 3\)"
    ):
        trace(model, torch.ones(2, 4), loss=lambda y: y)
    found = trace(model, torch.ones(2, 4))
    with pytest.raises(UsageError, match=r"no 'wieght' \(did you mean weight\?\)"):
        found["wieght"]
    with pytest.raises(UsageError, match=r"weight has shape \[3, 4\]; there is no number at \[3, 0\]"):
        found.check_index("weight", (3, 0))
    with pytest.raises(UsageError, match=r"weight has shape \[3, 4\]; there is no number at \[1\]"):
        found.check_index("weight", 1)


def test_a_sparse_tensor_is_named_not_opened() -> None:
    class Sparse(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sparse.mm(x.to_sparse(), torch.ones(4, 2)) + 1

    found = trace(Sparse(), torch.eye(4))
    torch.testing.assert_close(found["output"], torch.full((4, 2), 2.0))


def test_an_edit_moves_what_is_downstream_and_nothing_else() -> None:
    _, found = recorded("our_gpt")
    changed = found.replay({("blocks.0:out", (1, 3, 5)): 2.0})
    moved = {each.address for each in diff(found, changed)}
    assert {"loss", "blocks.1:out", "blocks.1.attn.o_proj.weight:grad", "token_embedding.weight:new"} <= moved
    assert not any(address.startswith("blocks.0.attn") and ":" not in address for address in moved)
    logits = changed["output"] - found["output"]
    assert not logits[0].any()
    assert not logits[1, :3].any()  # nor the past of the same text
    assert logits[1, 3:].abs().max() > 0


def test_an_edited_weight_gives_what_the_model_with_that_weight_gives() -> None:
    one = specimen("mlp")
    plain = copy.deepcopy(one)
    found = trace(one.model, one.inputs, one.loss, torch.optim.SGD(one.model.parameters(), lr=0.1))
    changed = found.replay({("0.weight", (2, 1)): 0.75, "2.bias": torch.tensor([0.5])})
    with torch.no_grad():
        plain.model[0].weight[2, 1] = 0.75  # type: ignore[index]
        plain.model[2].bias[0] = 0.5  # type: ignore[index]
    expected = trace(plain.model, plain.inputs, plain.loss, torch.optim.SGD(plain.model.parameters(), lr=0.1))
    for address in expected:
        torch.testing.assert_close(changed[address], expected[address], rtol=0, atol=0)


def test_a_whole_axis_is_edited() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    found = trace(model, torch.randn(5, 4), lambda out: out.sum(), keep=True)
    silenced = found.replay({("0:out", (None, 1)): 0.0})
    hidden = found["0:out"]
    hidden[:, 1] = 0
    assert torch.equal(silenced["0:out"], hidden)
    assert torch.equal(silenced["1:out"], found.replay({"0:out": hidden})["1:out"])
    assert torch.equal(found.replay({("1.weight", (-1, None)): 0.0})["1.weight"][1], torch.zeros(3))
    # the gradient of a sum is one number that stands for all
    doubled = found.replay({"1:out:grad": 2.0})
    assert torch.equal(doubled["1:out:grad"], torch.full((5, 2), 2.0))
    assert torch.allclose(doubled["0.weight:grad"], 2 * found["0.weight:grad"])
    with pytest.raises(UsageError, match=r"there is no number at \[all, 7\]"):
        found.replay({("0:out", (None, 7)): 0.0})


def test_edits_that_do_not_fit() -> None:
    _, found = recorded("mlp")
    with pytest.raises(UsageError, match=r"0.weight has shape \[4, 2\]; the edit has shape \[2\]"):
        found.replay({"0.weight": torch.zeros(2)})
    with pytest.raises(UsageError, match="there is no number at"):
        found.replay({("0.weight", (4, 0)): 0.0})


def test_a_large_model_is_guarded_instead_of_copied() -> None:
    x, model = torch.ones(2, 4), nn.Linear(4, 3)
    found = trace(model, x, keep=False)
    torch.testing.assert_close(found["weight"], model.weight.detach(), rtol=0, atol=0)
    with torch.no_grad():
        model.weight.add_(1)
    with pytest.raises(TraceError, match=r"changed after the recording.*keep=True"):
        found["weight"]
    torch.testing.assert_close(found["input.input"], x, rtol=0, atol=0)  # the rest can still be read


def test_replaying_leaves_the_recording_alone() -> None:
    """Batch norm writes to its running statistics although its schema does not say so."""
    _, found = recorded("cnn")
    before = found["1.running_mean"]
    assert before.eq(0).all()
    found.replay(everything=True)
    assert torch.equal(found["1.running_mean"], before)


class Detour(nn.Module):
    """After the layer comes an operation that needs no gradient, and so has no node in autograd's graph."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        x.sum()
        return y


def test_a_gradient_belongs_to_the_operation_it_differentiates() -> None:
    found = trace(Detour(), torch.ones(2, 4), lambda y: y.square().mean())
    (product,) = [o for o in found.operations if o.phase == "backward" and o.name == "mm"]
    assert product.forward is not None
    assert found.operations[product.forward].name == "addmm"


def test_a_weight_changed_between_two_steps_is_kept_as_it_was() -> None:
    model, x = nn.Linear(4, 3, bias=False), torch.ones(2, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    halved = []
    with recording(model, optimizer) as found:
        for _ in range(2):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
            with torch.no_grad():
                model.weight.mul_(0.5)
            halved.append(model.weight.detach().numpy().copy())
    halvings = [o for o in found.operations if o.phase == "forward" and o.name == "mul_.Tensor"]
    for operation, expected in zip(halvings, halved, strict=True):
        (place,) = [place for _, place in operation.outputs()]
        assert (found.memory.read(place).numpy() == expected).all()


def wide_step() -> tuple[nn.Linear, torch.optim.Optimizer, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Linear(150, 130)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, foreach=False)
    x = torch.randn(4, 150)
    model(x).square().mean().backward()
    optimizer.step()
    return model, optimizer, x


def test_what_an_optimizer_overwrites_is_kept_without_a_copy_and_nothing_else_changes() -> None:
    """Large weights and averages get fresh memory while recorded; training goes on with the same bits."""
    (mine, my_optimizer, x), (plain, its_optimizer, _) = wide_step(), wide_step()
    before = {"weight": mine.weight.detach().clone(), **clones(my_optimizer.state[mine.weight])}
    weight, average = mine.weight.data_ptr(), my_optimizer.state[mine.weight]["exp_avg"]
    at = average.data_ptr()
    with recording(mine, my_optimizer) as found:
        for _ in range(2):
            mine(x).square().mean().backward()
            my_optimizer.step()
    assert (mine.weight.data_ptr(), average.data_ptr()) != (weight, at), "nothing was moved: this test tests nothing"
    assert my_optimizer.state[mine.weight]["exp_avg"] is average
    for _ in range(2):
        plain(x).square().mean().backward()
        its_optimizer.step()
    torch.testing.assert_close(found["weight"], before["weight"], rtol=0, atol=0)
    torch.testing.assert_close(found["weight:exp_avg:before"], before["exp_avg"], rtol=0, atol=0)
    torch.testing.assert_close(found["weight:exp_avg_sq:before"], before["exp_avg_sq"], rtol=0, atol=0)
    torch.testing.assert_close(found["weight:new#2"], plain.weight.detach(), rtol=0, atol=0)
    assert diff(found, found.replay(everything=True)) == []
    for model, optimizer in ((mine, my_optimizer), (plain, its_optimizer)):
        model(x).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(mine.weight, plain.weight, rtol=0, atol=0)
    torch.testing.assert_close(average, its_optimizer.state[plain.weight]["exp_avg"], rtol=0, atol=0)
    torch.testing.assert_close(found["weight"], before["weight"], rtol=0, atol=0)


def clones(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in state.items()}


def test_memory_that_somebody_else_looks_at_stays_where_it_is() -> None:
    model, optimizer, x = wide_step()
    average = optimizer.state[model.weight]["exp_avg"]
    seen_weight, seen_average = model.weight.detach().numpy(), average.numpy()
    found = trace(model, x, lambda y: y.square().mean(), optimizer)
    assert (seen_weight == model.weight.detach().numpy()).all()
    assert (seen_average == average.numpy()).all()
    assert not torch.equal(found["weight"], model.weight)
    shared, optimizer, x = wide_step()
    at = shared.share_memory().weight.data_ptr()
    trace(shared, x, lambda y: y.square().mean(), optimizer)
    assert shared.weight.data_ptr() == at


def test_large_moved_weights_are_guarded_too() -> None:
    model, optimizer, x = wide_step()
    found = trace(model, x, lambda y: y.square().mean(), optimizer, keep=False)
    torch.testing.assert_close(found["weight:new"], model.weight.detach(), rtol=0, atol=0)
    model(x).square().mean().backward()
    optimizer.step()
    with pytest.raises(TraceError, match="changed after the recording"):
        found["weight:new"]
