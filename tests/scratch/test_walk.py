"""The walk beside PyTorch, number by number; its formulas calculated; faults planted where its checks must see them."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cutaway.base.errors import UsageError
from cutaway.scratch import optimizers, walk_text
from cutaway.scratch.array import Array
from cutaway.scratch.gradcheck import TOLERANCE, Check
from cutaway.scratch.ops import OPERATIONS, Operation
from cutaway.scratch.walk import ADAMW_PARTS, Config, Walk, complete_at, step, walk
from cutaway.scratch.walk_check import adamw_check, gradient_check, stage_check, words_check
from cutaway.scratch.walk_formula import Formula, bind, calculate, write
from cutaway.scratch.walk_model import (
    SIZES,
    STAGES,
    TARGETS,
    TOKENS,
    WEIGHTS,
    Numbers,
    axes,
    draw_weights,
    run,
    tokenize,
)

T, C, H, D = (SIZES[axis] for axis in "TCHD")
ROUNDING_ONLY = "k_proj.bias"
"""Its gradient is zero, so what is there is rounding, another one in PyTorch."""


@pytest.fixture(scope="module")
def walked() -> Walk:
    return walk(seed=0)


@pytest.fixture(scope="module")
def arrays(walked: Walk) -> dict[str, np.ndarray]:
    """Every array of every section; one that is shown twice must be the same."""
    found: dict[str, np.ndarray] = {}
    for section in walked.sections:
        for name, values in section.arrays.items():
            np.testing.assert_array_equal(found.setdefault(name, values), values)
    return found


@pytest.fixture(scope="module")
def reference(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The same step in PyTorch."""
    w = {name: torch.tensor(arrays[name], requires_grad=True) for name in WEIGHTS}
    n: dict[str, torch.Tensor] = {"tokens_T": torch.tensor(TOKENS), "targets_T": torch.tensor(TARGETS)}

    def norm(name: str, x: torch.Tensor) -> None:
        n[f"{name}_mean_T"], n[f"{name}_deviation_T"] = x.mean(-1), (x.var(-1, correction=0) + 1e-5).sqrt()
        n[f"{name}_standard_TC"] = F.layer_norm(x, (C,))
        n[f"{name}_TC"] = n[f"{name}_standard_TC"] * w[f"{name}.weight"] + w[f"{name}.bias"]
        whole = F.layer_norm(x, (C,), w[f"{name}.weight"], w[f"{name}.bias"])
        torch.testing.assert_close(n[f"{name}_TC"], whole, rtol=1e-12, atol=1e-14)

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    n["token_rows_TC"] = F.embedding(n["tokens_T"], w["token_embedding.weight"])
    n["position_rows_TC"] = w["position_embedding.weight"] * 1
    n["resid_pre_TC"] = n["token_rows_TC"] + n["position_rows_TC"]
    norm("attn_norm", n["resid_pre_TC"])
    for x, parts in (("q", "q_HTD"), ("k", "k_HSD"), ("v", "v_HSD")):
        n[f"{x}_TC"] = linear(f"{x}_proj", n["attn_norm_TC"])
        n[parts] = torch.stack(n[f"{x}_TC"].chunk(H, dim=-1))
    n["scores_HTS"] = torch.einsum("htd,hsd->hts", n["q_HTD"], n["k_HSD"]) / D**0.5
    n["masked_HTS"] = n["scores_HTS"].masked_fill(torch.ones(T, T).triu(1).bool(), -torch.inf)
    n["pattern_HTS"] = n["masked_HTS"].softmax(-1)
    n["z_HTD"] = n["pattern_HTS"] @ n["v_HSD"]
    n["z_TC"] = torch.cat(list(n["z_HTD"]), dim=-1)
    whole = F.scaled_dot_product_attention(n["q_HTD"], n["k_HSD"], n["v_HSD"], is_causal=True)
    torch.testing.assert_close(n["z_HTD"], whole, rtol=1e-12, atol=1e-14)
    n["attn_out_TC"] = linear("o_proj", n["z_TC"])
    n["resid_mid_TC"] = n["resid_pre_TC"] + n["attn_out_TC"]
    norm("mlp_norm", n["resid_mid_TC"])
    n["mlp_pre_TF"] = linear("up_proj", n["mlp_norm_TC"])
    n["mlp_post_TF"] = F.gelu(n["mlp_pre_TF"])
    n["mlp_out_TC"] = linear("down_proj", n["mlp_post_TF"])
    n["resid_post_TC"] = n["resid_mid_TC"] + n["mlp_out_TC"]
    norm("final_norm", n["resid_post_TC"])
    n["logits_TV"] = linear("lm_head", n["final_norm_TC"])
    n["probabilities_TV"] = n["logits_TV"].softmax(-1)
    n["picked_T"] = n["probabilities_TV"].gather(1, n["targets_T"][:, None])[:, 0]
    n["losses_T"] = -n["picked_T"].log()
    n["loss"] = n["losses_T"].mean()
    torch.testing.assert_close(n["loss"], F.cross_entropy(n["logits_TV"], n["targets_T"]), rtol=1e-12, atol=0)
    for x in n.values():
        if x.requires_grad:
            x.retain_grad()
    optimizer = torch.optim.AdamW(w.values(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    n["loss"].backward()
    optimizer.step()
    n |= {f"d {name}": x.grad for name, x in {**n, **w}.items() if x.grad is not None}
    for name, x in w.items():
        state = optimizer.state[x]
        n[name] = torch.tensor(arrays[name])
        n[f"new {name}"] = x.detach()
        n[f"update {name}"] = x.detach() - n[name]
        n[f"decay {name}"] = 1e-3 * 0.01 * n[name]
        n[f"m {name}"], n[f"v {name}"] = state["exp_avg"], state["exp_avg_sq"]
        n[f"m_hat {name}"], n[f"v_hat {name}"] = state["exp_avg"] / (1 - 0.9), state["exp_avg_sq"] / (1 - 0.999)
    return n


def scale(values: np.ndarray) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def test_every_number_is_pytorchs(arrays: dict[str, np.ndarray], reference: dict[str, torch.Tensor]) -> None:
    assert arrays.keys() == reference.keys()  # nothing shown that is not compared, nothing made that is not shown
    for name, values in arrays.items():
        theirs = reference[name].detach().numpy()
        assert values.shape == theirs.shape, name
        least = 1e-15 if name.startswith(("d ", "m ", "m_hat ", "update ")) else 0.0
        if name.endswith(ROUNDING_ONLY):
            least = 1e-11 if name.startswith(("update ", "new ")) else 1e-15  # rate * 1e-16 / eps: processors differ
        np.testing.assert_allclose(values, theirs, rtol=0, atol=max(1e-12 * scale(theirs), least), err_msg=name)


def test_the_loss_after_the_step_is_pytorchs(walked: Walk, reference: dict[str, torch.Tensor]) -> None:
    assert walked.loss_before == pytest.approx(float(reference["loss"].detach()), rel=1e-12)
    moved = Numbers({name: Array(reference[f"new {name}"].numpy()) for name in WEIGHTS})
    assert walked.loss_after == pytest.approx(float(run(moved).data), rel=1e-12)
    assert walked.loss_after < walked.loss_before
    change = walked.loss_after - walked.loss_before
    assert walked.predicted_change == pytest.approx(change, rel=0.1)  # first order


def test_the_sections_are_a_step_in_order(walked: Walk) -> None:
    assert [section.number for section in walked.sections] == list(range(1, len(walked.sections) + 1))
    titles = [section.title for section in walked.sections]
    n = len(STAGES)
    assert titles[0] == "Tokenization"
    assert titles[n + 1 : 2 * n + 1] == [f"{title}, backwards" for title in reversed(titles[1 : n + 1])]
    assert titles[-1] == "AdamW on every weight"
    assert len(titles) == 2 * n + 2
    for section in walked.sections:
        assert section.why
        assert section.formulas
        assert section.worked
        assert section.check.rows
        assert section.check.ok
        assert section.check.tolerance == TOLERANCE
    gradients = {name for section in walked.sections for name in section.arrays if name.startswith("d ")}
    assert {f"d {name}" for name in WEIGHTS} < gradients
    assert {"d loss", "d logits_TV", "d masked_HTS", "d k_HSD", "d resid_pre_TC"} < gradients
    assert {f"{part} {name}" for part in ADAMW_PARTS for name in WEIGHTS} < set(walked.sections[-1].arrays)
    assert walked.ok


@pytest.mark.slow
def test_formulas_are_what_was_computed(walked: Walk, arrays: dict[str, np.ndarray]) -> None:
    """Each formula at drawn entries of the array it is of."""
    generator = np.random.default_rng(3)
    compared = 0
    for section in walked.sections[1:-1]:
        for formula in section.formulas:
            if not formula.is_worked:
                continue
            shape = arrays[formula.name].shape
            letters = {place: size for place, size in zip(formula.index, shape, strict=True) if place.isalpha()}
            letters |= {"h": H, "d": D} if "h * D + d" in formula.index else {}
            for _ in range(8):
                at = {letter: int(generator.integers(size)) for letter, size in letters.items()}
                worked = dataclasses.replace(formula, entry=at).work(arrays.__getitem__, SIZES)
                assert worked.value == arrays[worked.name][worked.index]
                near = pytest.approx(worked.value, rel=0, abs=max(1e-13 * scale(arrays[worked.name]), 1e-16))
                assert calculate(worked.exact) == near, formula.plain
                compared += 1
    assert compared > 500


def test_worked_entries_recompute(walked: Walk, arrays: dict[str, np.ndarray]) -> None:
    for section in walked.sections:
        for worked in section.worked:
            size = 0.01 if worked.name == f"d {ROUNDING_ONLY}" else scale(arrays[worked.name])
            assert calculate(worked.exact) == pytest.approx(worked.value, rel=0, abs=1e-12 * size)
            for printed in (worked.arithmetic, worked.all_terms):  # five digits of each number
                assert calculate(printed) == pytest.approx(worked.value, rel=0, abs=1e-4 * size), worked.name


@pytest.mark.parametrize("seed", [5, 42])
@pytest.mark.slow
def test_other_seeds_agree_with_their_checks(seed: int) -> None:
    again = walk(seed)
    assert again.ok
    assert again.config.seed == seed
    for section in again.sections:
        for worked in section.worked:
            assert calculate(worked.exact) == pytest.approx(worked.value, rel=1e-9, abs=1e-15)


def test_the_seed_decides(walked: Walk) -> None:
    weights = draw_weights(np.random.default_rng(0))
    for name in ("token_embedding.weight", "position_embedding.weight"):
        np.testing.assert_array_equal(weights[name].data, walked.sections[1].arrays[name])
    other = draw_weights(np.random.default_rng(1))
    assert (weights["lm_head.weight"].data != other["lm_head.weight"].data).all()
    with pytest.raises(UsageError, match="a seed is 0 or more, not -1"):
        walk(-1)


def test_words_that_are_not_in_the_vocabulary() -> None:
    assert tokenize("I like ducks") == [0, 3, 4, 2, 1]


# --- the checks see what is wrong ------------------------------------------------------------------------------------


def numbers() -> Numbers:
    n = Numbers(draw_weights(np.random.default_rng(0)))
    run(n).backward()
    return n


def checks_of(name: str, n: Numbers) -> tuple[Check, Check]:
    """Return the forward and the backward check of a stage, the latter of what it reads."""
    place = next(i for i, stage in enumerate(STAGES) if stage.name == name)
    reads = [x for x in complete_at(place, [], n) if n(x).size <= 256]
    assert reads
    return (
        Check(stage_check(STAGES[place], n, np.random.default_rng(1))),
        Check(gradient_check(place, reads, n)),
    )


def test_wrong_tokens_are_caught() -> None:
    right = {"tokens_T": Array(TOKENS), "targets_T": Array(TARGETS)}
    assert Check(words_check(Numbers(right))).ok
    assert not Check(words_check(Numbers({**right, "targets_T": Array([3, 4, 2, 1])}))).ok


FAULTS = {
    "add": "resid_mid",
    "embedding": "embeddings",
    "layer_norm": "final_norm",
    "multiply": "mlp_norm",
    "matmul": "mixture",
    "transpose": "split",
    "reshape": "merge",
    "divide": "scores",
    "where": "mask",
    "softmax": "pattern",
    "gelu": "gelu",
    "index": "loss",
    "log": "loss",
    "negative": "loss",
    "mean": "loss",
}


@pytest.mark.parametrize("operation", FAULTS)
def test_a_derivative_wrong_by_a_thousandth_is_caught(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = OPERATIONS[operation]
    stage = FAULTS[operation]
    assert all(check.ok for check in checks_of(stage, numbers()))

    def wrong(*arguments: Any, **settings: Any) -> tuple[np.ndarray, ...]:
        return tuple(share * 1.001 for share in right.backward(*arguments, **settings))

    monkeypatch.setitem(OPERATIONS, operation, dataclasses.replace(right, backward=wrong))
    forward, backward = checks_of(stage, numbers())
    assert not forward.ok
    assert not backward.ok


@pytest.mark.parametrize("forgotten", ["mean", "scale"])
def test_a_forgotten_term_of_the_norm_is_caught(forgotten: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(g: np.ndarray, out: np.ndarray, x: np.ndarray, eps: float) -> tuple[np.ndarray, ...]:
        deviation = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
        mean = g.mean(axis=-1, keepdims=True) if forgotten != "mean" else 0
        stretch = out * (g * out).mean(axis=-1, keepdims=True) if forgotten != "scale" else 0
        return ((g - mean - stretch) / deviation,)

    right = OPERATIONS["layer_norm"]
    monkeypatch.setitem(OPERATIONS, "layer_norm", dataclasses.replace(right, backward=wrong))
    assert not any(check.ok for check in checks_of("attn_norm", numbers()))


@pytest.mark.slow
def test_a_walk_with_a_fault_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    right = OPERATIONS["gelu"]

    def wrong(g: np.ndarray, *rest: Any, **settings: Any) -> tuple[np.ndarray, ...]:
        return (g * (rest[1] > 0),)  # the slope of ReLU

    monkeypatch.setitem(OPERATIONS, "gelu", dataclasses.replace(right, backward=wrong))
    wrong_walk = walk(0)
    assert not wrong_walk.ok
    failed = [section.number for section in wrong_walk.sections if not section.check.ok]
    places = {section.title: section.number for section in wrong_walk.sections}
    assert places["MLP: GELU"] == failed[0]
    assert places["MLP: GELU, backwards"] == failed[1]  # all gradients behind it are right
    assert places["MLP: down, backwards"] not in failed
    text = wrong_walk.as_text()
    assert f"DIFFER from their check: {', '.join(map(str, failed))}." in " ".join(text.split())
    assert re.search(
        r"they DIFFER, by \S+ \(allowed: 1e-06\); most at (d )?mlp_pre_TF\[\d,\d+\]", " ".join(text.split())
    )
    assert "DIFFER" in wrong_walk.as_markdown()
    assert wrong_walk.as_dict()["ok"] is False


CONSTANTS = {"rate": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}


@pytest.mark.parametrize(
    "wrong",
    [{}, {"rate": 1.001e-3}, {"betas": (0.91, 0.999)}, {"betas": (0.9, 0.998)}, {"eps": 1e-7}, {"weight_decay": 0.02}],
)
def test_a_wrong_constant_of_adamw_is_caught(wrong: dict[str, Any]) -> None:
    n = numbers()
    step(Config(**wrong), n)
    assert Check(adamw_check(n, **CONSTANTS)).ok is not bool(wrong)


FAULTY_STEPS = {
    "no correction": lambda s: s._replace(m_hat=s.m, v_hat=s.v, update=-1e-3 * s.m / (s.v**0.5 + 1e-8) - s.decay),
    "decay added": lambda s: s._replace(update=s.update + 2 * s.decay),
    "uphill": lambda s: s._replace(update=-s.update),
    "said, not applied": lambda s: s._replace(decay=0 * s.decay),
}


@pytest.mark.parametrize("fault", FAULTY_STEPS)
def test_a_wrong_adamw_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = optimizers.adam_step
    monkeypatch.setattr(optimizers, "adam_step", lambda *a, **k: FAULTY_STEPS[fault](right(*a, **k)))
    n = numbers()
    step(Config(), n)
    assert not Check(adamw_check(n, **CONSTANTS)).ok


def test_an_update_that_goes_elsewhere_than_the_loss_says_is_caught() -> None:
    """The slope row alone: the loss moves as the gradients say only if they are those of this loss."""
    n = numbers()
    step(Config(), n)
    assert adamw_check(n, **CONSTANTS)[-1].difference < TOLERANCE
    gradient = n["lm_head.weight"].grad
    assert gradient is not None
    n["lm_head.weight"].grad = gradient * 1.01
    assert adamw_check(n, **CONSTANTS)[-1].difference > TOLERANCE


# --- formulas --------------------------------------------------------------------------------------------------------

GRIDS = {
    "x_TC": np.array([[1.0, -2.0], [0.5, 4.0]]),
    "d x_TC": np.array([[3.0, 5.0], [7.0, 1e-17]]),
    "w.weight": np.arange(12.0),
    "tokens_T": np.array([1, 0]),
}


@pytest.mark.parametrize(
    ("expression", "bound", "written", "value"),
    [
        ("x_TC[t,c] + 2 * T", "x_TC[0,1] + 2 * T", "(-2) + 2 * 4", 6),
        ("x_TC[tokens_T[t],c]", "x_TC[1,1]", "4", 4),
        ("d x_TC[t, t * 1 + c]^2", "d x_TC[0,1]^2", "5^2", 25),
        ("sum(i: x_TC[t,i] * d x_TC[t,i]) / C", "sum(i: x_TC[0,i] * d x_TC[0,i]) / C", "(1 * 3 + (-2) * 5) / 2", -3.5),
        ("exp(x_TC[t,c]) if t <= c else -inf", "exp(x_TC[0,1]) if 0 <= 1 else -inf",
         "exp(-2) if 0 <= 1 else -inf", np.exp(-2)),
        ("d x_TC[1,c]", "d x_TC[1,1]", "0", 0),
        ("sum(j: w.weight[j])", "sum(j: w.weight[j])", "0 + 1 + 2 + 63 [the 9 others]", 66),
    ],
)  # fmt: skip
def test_a_formula_is_bound_written_and_calculated(expression: str, bound: str, written: str, value: float) -> None:
    at = {"t": 0, "c": 1, "T": 4, "C": 2}
    assert bind(expression, at, GRIDS.__getitem__) == bound
    assert write(expression, at, GRIDS.__getitem__) == written
    assert calculate(written) == pytest.approx(value)
    exact = write(expression, at, GRIDS.__getitem__, in_full=True, number=repr)
    assert calculate(exact) == pytest.approx(value, abs=1e-16)


def test_a_letter_that_is_no_place_is_refused() -> None:
    with pytest.raises(ValueError, match="k is no place"):
        write("sum(k: x_TC[t,c])", {"t": 0, "c": 0}, GRIDS.__getitem__)
    with pytest.raises(ValueError, match="a bracket is not closed"):
        write("sum(k: x_TC[t,k]", {"t": 0}, GRIDS.__getitem__)


def test_an_entry_keeps_its_place() -> None:
    formula = Formula("d x_TC[t,c] = x_TC[t,c] * 1", "", {"t": 0, "c": 1})
    worked = formula.work(GRIDS.__getitem__, {})
    assert (worked.name, worked.index, worked.symbols, worked.value) == ("d x_TC", (0, 1), "x_TC[0,1] * 1", 5)


# --- text, Markdown, JSON --------------------------------------------------------------------------------------------


def test_json_keeps_every_digit(walked: Walk) -> None:
    document = walked.as_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == json.loads(json.dumps(document))
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again["config"]["sentence"] == "I like transformers"
    for section, read in zip(walked.sections, again["sections"], strict=True):
        assert (read["number"], read["title"]) == (section.number, section.title)
        for (name, values), array in zip(section.arrays.items(), read["arrays"], strict=True):
            assert array["name"] == name
            assert array["axes"] == list(axes(name))
            assert array["shape"] == list(values.shape)
            np.testing.assert_array_equal(np.array(array["values"], dtype=float), values)  # "-inf" reads as -inf
        for worked, line in zip(section.worked, read["worked"], strict=True):
            assert calculate(line["arithmetic"]) == pytest.approx(worked.value, rel=1e-9, abs=1e-15)
    assert again["sections"][7]["arrays"][0]["name"] == "pattern_HTS"
    assert "-inf" in json.dumps(again["sections"][6]["arrays"])


@pytest.mark.parametrize("full", [False, True])
def test_text_fits_a_terminal_and_says_everything(walked: Walk, full: bool) -> None:
    text = walked.as_text(full)
    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii()
    assert "\x00" not in text
    words = " ".join(text.split())
    for section in walked.sections:
        assert f"{section.number}. {section.title}" in text
        assert " ".join(section.why.split()) in words
        for formula in section.formulas:
            assert formula.plain.replace(" ", "") in text.replace("\n", "").replace(" ", "")
    assert text.count("By hand:") == text.count("Check: ") == len(walked.sections)
    assert words.endswith("All 40 sections agree with their checks.")
    assert ("[the " in text) is not full


def read_table(lines: list[str], columns: int) -> np.ndarray:
    """Return the numbers of a table printed in full, put together from its pieces."""
    rows: dict[str, list[float]] = {}
    for line in lines:
        label, *cells = [line[:12].strip(), *line[12:].split()]
        if cells and label:
            rows.setdefault(label, []).extend(map(float, cells))
    assert all(len(row) == columns for row in rows.values())
    return np.array(list(rows.values()))


@pytest.mark.parametrize("name", ["resid_pre_TC", "attn_norm_TC", "d mlp_pre_TF", "d logits_TV", "masked_HTS", "z_HTD"])
def test_printed_arrays_are_the_arrays(name: str, arrays: dict[str, np.ndarray]) -> None:
    values = arrays[name]
    lines = walk_text.block(name, values, full=True)
    assert lines[0] == f"{name}  ({', '.join(f'{axis} {n}' for axis, n in zip(axes(name), values.shape, strict=True))})"
    heads = [values] if values.ndim == 2 else list(values)
    size = (len(lines) - 1) // len(heads)
    for i, head in enumerate(heads):
        part = lines[1 + i * size : 1 + (i + 1) * size]
        np.testing.assert_allclose(read_table(part, head.shape[-1]), head, rtol=0, atol=0.5001e-4)


def test_excerpts_show_the_right_columns(arrays: dict[str, np.ndarray]) -> None:
    lines = walk_text.block("down_proj.weight", arrays["down_proj.weight"], full=False)
    assert lines[1].split() == ["0", "1", "2", "3", "4", "5", "..", "63"]
    assert [line.split()[0] for line in lines[2:]] == ["0", "1", "..", "15"]
    shown = [float(cell) for cell in lines[-1].split()[1:] if cell != ".."]
    expected = arrays["down_proj.weight"][15, [0, 1, 2, 3, 4, 5, 63]]
    np.testing.assert_allclose(shown, expected, rtol=0, atol=0.5001e-4)


def test_what_rounding_left_of_zero_is_shown_as_zero(arrays: dict[str, np.ndarray]) -> None:
    assert 0 < scale(arrays["d k_proj.bias"]) < 1e-15
    assert set(walk_text.block("d k_proj.bias", arrays["d k_proj.bias"], full=False)[2].split()) == {"0"}
    small = arrays["v q_proj.weight"]
    assert 0 < small.min() < 1e-14  # small, and not rounding: it is a square
    assert walk_text.Writer("v q_proj.weight", small).write(float(small.min())) == f"{small.min():.3e}"
    assert walk_text.Writer("x", np.array([1.0, -1e-5])).write(-1e-5) == "0.0000"


@pytest.mark.slow
def test_the_page_is_the_same_where_numbers_are_rounded_otherwise(
    walked: Walk, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine adds in another order: each operation's results end in another digit."""
    generator = np.random.default_rng(4)

    def otherwise(x: np.ndarray) -> np.ndarray:
        return x * (1 + generator.integers(-2, 3, size=np.shape(x)) * np.finfo(np.float64).eps)

    for name, right in OPERATIONS.items():

        def forward(*operands: Any, right: Operation = right, **settings: Any) -> np.ndarray:
            return otherwise(right.forward(*operands, **settings))

        def backward(*arguments: Any, right: Operation = right, **settings: Any) -> tuple[np.ndarray, ...]:
            return tuple(otherwise(share) for share in right.backward(*arguments, **settings))

        monkeypatch.setitem(OPERATIONS, name, dataclasses.replace(right, forward=forward, backward=backward))
    other = walk(0)
    assert (other.sections[3].arrays["q_TC"] != arrays["q_TC"]).mean() > 0.5
    assert other.as_markdown() == walked.as_markdown()


def test_the_page_is_markdown(walked: Walk) -> None:
    page = walked.as_markdown()
    assert page.count("```text\n") == 2 * len(walked.sections)
    assert "worst difference" not in page
    for text in re.findall(r"^\$\$\n(.*?)\n\$\$$", page, re.M | re.S):
        assert text.count("{") == text.count("}")
        assert "\n" not in text
        assert not re.search(r"\\[,;!_%]", text)  # Markdown would take the backslash away
    prose = re.sub(r"^```.*?^```$|^\$\$.*?^\$\$$|`[^`]*`", "", page, flags=re.M | re.S)
    assert "<" not in prose  # a word like <bos> outside of code is a tag
    assert "](" not in prose
