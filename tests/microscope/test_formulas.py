"""Every line of formulas.toml against PyTorch, whole and number by number; a wrong line must be caught."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from microscope.operands import LEFT_OUT, LINES, Draw, call, draws, n, to_numpy, u, w

from cutaway.microscope.formula import UNCOMPUTED, Formula, load_formulas, lookup
from cutaway.microscope.formula_tree import Call, Name, Number, Statement
from cutaway.microscope.recorder import describe
from cutaway.microscope.tracing import recording
from cutaway.microscope.verify import verify

ALLOWED = 8.0
"""How many times the rounding expected a kernel may be off: it may add up in another order."""

NO_RESULT = {"_local_scalar_dense", "equal"}
"""These return no tensor: a line, so that they are explained, but nothing to compare."""
LONG = {
    "_unsafe_index_put", "convolution", "convolution_backward", "index_put", "native_batch_norm_backward",
    "scatter_reduce.two", "upsample_bicubic2d", "upsample_bicubic2d_backward", "upsample_bilinear2d_backward",
    "upsample_trilinear3d", "upsample_trilinear3d_backward",
}  # fmt: skip
"""Those whose every number, one by one, takes a third of a second or more."""

SINGLE = {"hardsigmoid_backward"}
"""PyTorch itself computes these with a float32 constant (1/6), also in float64."""

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def bind(draw: Draw, formula: Formula, results: list[Any]) -> Any:
    arguments = {name: None if value is LEFT_OUT else to_numpy(value) for name, value in draw.arguments.items()}
    floats = [r.dtype for r in results if r is not None and r.is_floating_point()]
    return formula.bind(
        arguments, [None if r is None else to_numpy(r) for r in results], torch.finfo(floats[0]).eps if floats else None
    )


def error(formula: Formula, draw: Draw, results: list[Any], k: int) -> float:
    """Return how far result k is from its formula, in units of the rounding expected; infinite if wrong altogether."""
    bound = bind(draw, formula, results)
    whole = bound.whole(k)
    if whole is None:
        assert bound.kind(k) in UNCOMPUTED, f"{draw}: no statement for result {k}"
        return 0.0
    values, rounding = whole
    recorded = to_numpy(results[k])
    assert values.shape == recorded.shape == rounding.shape, f"{draw}: result {k}"
    if not results[k].is_floating_point():
        return 0.0 if np.array_equal(recorded, values) else np.inf
    finfo = torch.finfo(results[k].dtype)
    with np.errstate(all="ignore"):
        off = np.abs(recorded - values) / (finfo.eps * rounding + finfo.tiny)
    off = np.where((recorded == values) | (np.isnan(recorded) & np.isnan(values)), 0.0, off)
    return float(np.nan_to_num(off, nan=np.inf).max(initial=0.0))


def compared(results: list[Any]) -> list[int]:
    """Return the results that hold numbers."""
    return [k for k, result in enumerate(results) if result is not None and result.numel()]


def worst(key: str, formula: Formula, dtype: torch.dtype) -> tuple[float, str]:
    """Return the worst error of a line over all its draws, and where it was."""
    found = (0.0, "")
    for draw in draws(key):
        draw = draw.cast(dtype)
        try:
            results = draw.run()
        except (RuntimeError, NotImplementedError):
            assert dtype == torch.bfloat16, f"{draw} does not run"
            continue
        for k in compared(results):
            found = max(found, (error(formula, draw, results, k), f"{draw}: result {k}"))
    return found


@pytest.mark.parametrize("key", LINES)
def test_a_line_says_what_the_operation_computes(key: str) -> None:
    assert draws(key) or key in NO_RESULT, "a line without a draw: see operands.py"
    for dtype in DTYPES:
        if key in SINGLE and dtype == torch.float64:
            continue
        off, where = worst(key, load_formulas()[key], dtype)
        assert off <= ALLOWED, f"{where} is {off:.3g} times the rounding expected off"


@pytest.mark.parametrize("key", LINES)
def test_draws_are_of_the_line(key: str) -> None:
    for draw in draws(key):
        assert lookup(draw.name) is load_formulas()[key]


@pytest.mark.parametrize("key", [pytest.param(key, marks=pytest.mark.slow) if key in LONG else key for key in LINES])
def test_one_number_is_that_of_the_whole(key: str) -> None:
    choice = random.Random(0)
    for draw in draws(key):
        results = draw.run()
        bound = bind(draw, load_formulas()[key], results)
        for k in compared(results):
            whole = bound.whole(k)
            places = list(np.ndindex(tuple(results[k].shape)))
            for index in choice.sample(places, min(len(places), 20)):
                at = bound.at(k, index)
                if whole is None:
                    assert at.value is None
                    assert at.kind in UNCOMPUTED
                    continue
                value, rounding = whole[0][index], whole[1][index]
                allowed = ALLOWED * 2.0**-52 * rounding + 1e-300
                same = at.value == value or (np.isnan(value) and np.isnan(at.value))
                assert same or abs(at.value - value) <= allowed, f"{draw}: result {k} at {index}"
                assert at.numbers
                check_terms(at, operands(draw, results), allowed, f"{draw}: result {k} at {index}")


def operands(draw: Draw, results: list[Any]) -> dict[str, Any]:
    """Return every array a term may point at, by the name it has there."""
    found = {f"out{k or ''}": to_numpy(result) for k, result in enumerate(results)}
    for name, value in draw.arguments.items():
        lists = {f"{name}.{i}": one for i, one in enumerate(value)} if isinstance(value, list) else {name: value}
        found |= {one: to_numpy(given) for one, given in lists.items() if isinstance(given, torch.Tensor)}
    return found


def check_terms(at: Any, arrays: dict[str, Any], allowed: float, where: str) -> None:
    """Terms point at elements that are there, are weight times element, and in a sum add up to the value."""
    for term in at.terms:
        if np.ndim(arrays.get(term.operand)):
            element = arrays[term.operand][term.index]
            expected = term.weight * float(element)
            same = expected == term.value or not np.isfinite(expected)
            assert same or abs(expected - term.value) <= allowed + 1e-12 * abs(expected), f"{where}: {term}"
    if at.kind == "sum of products" and np.isfinite(at.value):
        total = sum(term.value for term in at.terms) + at.constant + at.rest
        size = sum(abs(term.value) for term in at.terms) + abs(at.constant)
        assert abs(total - at.value) <= allowed + 1e-12 * size, where


def spoil(statement: Statement, results: list[Any], k: int) -> Statement:
    """Return the statement with its value a little wrong: 1.001 times as large and a bit, one more, or the opposite."""
    value = statement.value
    if results[k].dtype == torch.bool:
        wrong = Call("==", (value, Number(0)))
    elif results[k].is_floating_point():
        wrong = Call("+", (Call("*", (value, Number(1.001))), Number(0.001)))
    else:
        wrong = Call("+", (value, Number(1)))
    return replace(statement, value=wrong)


@pytest.mark.parametrize("key", [key for key in LINES if key not in NO_RESULT])
def test_a_wrong_line_is_caught(key: str) -> None:
    formula = load_formulas()[key]
    numbers = {"out": 0, **{f"out{k}": k for k in range(6)}}
    caught, planted = set(), set()
    for draw in draws(key):
        results = draw.run()
        for which, statement in enumerate(formula.statements):
            k = numbers.get(statement.target, -1)
            is_drawn = isinstance(statement.value, Name) and statement.value.name in (*UNCOMPUTED, "given")
            if k not in compared(results) or is_drawn or which in caught:
                continue
            planted.add(which)
            statements = list(formula.statements)
            statements[which] = spoil(statement, results, k)
            if error(Formula(tuple(statements)), draw, results, k) > ALLOWED:
                caught.add(which)
    assert caught == planted, f"not caught: {[formula.statements[which].target for which in planted - caught]}"
    n_drawn = sum(isinstance(s.value, Name) and s.value.name in (*UNCOMPUTED, "given") for s in formula.statements)
    is_result = [s.target in numbers for s in formula.statements]
    assert len(planted) + n_drawn == sum(is_result), "a result no draw makes"


LEFT_TO_DECOMPOSITION: dict[str, Callable[[], Draw]] = {
    "affine_grid_generator": lambda: call("affine_grid_generator", n(2, 2, 3), [2, 3, 4, 5], False),
    "block_diag": lambda: call("block_diag", [n(2, 3), n(1, 2)]),
    "col2im": lambda: call("col2im", n(2, 12, 9), [4, 4], [2, 2], [1, 1], [0, 0], [1, 1]),
    "deg2rad": lambda: call("deg2rad", n(3)),
    "dist": lambda: call("dist", n(3, 4), n(3, 4)),
    "grid_sampler_2d": lambda: call("grid_sampler_2d", n(2, 3, 4, 5), n(2, 3, 3, 2).clamp(-1, 1), 0, 0, False),
    "im2col": lambda: call("im2col", n(2, 3, 5, 4), [2, 2], [1, 1], [1, 1], [2, 1]),
    "max_unpool2d": lambda: call("max_unpool2d", n(1, 2, 2, 2), w(4, 1, 2, 2, 2), [4, 4]),
    "multilabel_margin_loss_forward": lambda: call("multilabel_margin_loss_forward", n(2, 4), w(4, 2, 4), 1),
    "nan_to_num": lambda: call("nan_to_num", n(3)),
    "rad2deg": lambda: call("rad2deg", n(3)),
    "renorm": lambda: call("renorm", n(3, 4), 2, 0, 1.0),
    "rot90": lambda: call("rot90", n(3, 4), 1, [0, 1]),
    "special_entr": lambda: call("special_entr", u(3)),
    "unsafe_split.Tensor": lambda: call("unsafe_split.Tensor", n(3, 6), 2, 1),
}
"""Operations that PyTorch opens into others which have lines."""

OPAQUE = frozenset({
    # linear algebra, Fourier and complex numbers
    "_fft_c2c", "_fft_r2c", "_linalg_det", "_linalg_eigh", "_linalg_slogdet", "_linalg_solve_ex", "_linalg_svd",
    "linalg_cholesky_ex", "linalg_inv_ex", "linalg_lu_solve", "linalg_matrix_exp", "linalg_qr", "linalg_solve_triangular",
    # dynamic programming
    "_ctc_loss", "_ctc_loss_backward", "mkldnn_rnn_layer", "mkldnn_rnn_layer_backward",
    # rare
    "_dirichlet_grad", "_efficientzerotensor", "_pdist_backward", "_pdist_forward", "_trilinear", "_upsample_bilinear2d_aa",
    "_upsample_bilinear2d_aa_backward", "grid_sampler_2d_backward", "index_reduce", "multilabel_margin_loss_backward",
    "polygamma",
})  # fmt: skip
"""Operations seen in models that have neither a line nor a decomposition: a report names them."""


def has_formula(name: str) -> bool:
    return lookup(name) is not None


@pytest.mark.parametrize("name", LEFT_TO_DECOMPOSITION)
def test_what_has_no_line_is_opened_into_what_has(name: str) -> None:
    draw = LEFT_TO_DECOMPOSITION[name]()
    assert draw.name == name
    assert not has_formula(name)
    with recording(torch.nn.Identity()) as found:
        draw.run()
    report = verify(found)
    assert report.explained or report.views
    assert report.ok
    assert report.opaque == []


@pytest.mark.parametrize("name", sorted(OPAQUE))
def test_opaque_operations_are_known(name: str) -> None:
    assert describe(getattr(torch.ops.aten, name).default, has_formula).decompose is None
    assert not has_formula(name)
