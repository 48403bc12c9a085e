from __future__ import annotations

import math
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.base.errors import ConfigError
from cutaway.generate.config import SamplingConfig
from cutaway.generate.temperature import parse_formula, temperatures


def test_a_number_is_the_same_at_every_position() -> None:
    assert temperatures(0.8, 3) == [0.8, 0.8, 0.8]


def test_a_formula_follows_the_position() -> None:
    assert temperatures("0.2+1.6*t/200", 201)[::100] == pytest.approx([0.2, 1.0, 1.8])
    assert temperatures("1 if t < 2 else 0.5", 4) == [1, 1, 0.5, 0.5]
    assert temperatures("t/n", 4) == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("2**3 - 1", 7.0),
        ("-(-t)", 5.0),
        ("+t % 3", 2.0),
        ("min(t, 2) + max(1, 2, 3)", 5.0),
        ("abs(0-t)*sqrt(4)", 10.0),
        ("exp(log(n))", 10.0),
        ("floor(7.9)", 7.0),
        ("sin(pi/2) + cos(0)", 2.0),
        ("(1 if t >= 5 else 2) + (1 if t != 5 else 2)", 3.0),
        ("(t == 5) + (t > 5) + (t <= 5)", 2.0),
        (" 1e-3 ", 0.001),
    ],
)
def test_arithmetic(formula: str, expected: float) -> None:
    assert parse_formula(formula)(5.0, 10.0) == pytest.approx(expected)


@given(
    a=st.floats(0.1, 5),
    b=st.floats(0.1, 5),
    operator=st.sampled_from("+-*/"),
    t=st.integers(0, 9),
    deep=st.integers(0, 9),
)
def test_formulas_agree_with_python(a: float, b: float, operator: str, t: int, deep: int) -> None:
    formula = "(" * deep + f"{a!r} {operator} {b!r} * t" + ")" * deep
    assert parse_formula(formula)(t, 1) == pytest.approx(eval(formula, {"t": t}))


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("0.5 + foo", "0.5 + >>>foo"),
        ("__import__('os').system('true')", 'is not allowed: ">>>__import__'),
        ("t.real", ">>>t.real"),
        ("(lambda: 1)()", "is not allowed"),
        ("[1][0]", "is not allowed"),
        ("'a'", "is not allowed"),
        ("True", "is not allowed"),
        ("1j", "is not allowed"),
        ("t := 3", "cannot be read"),
        ("min(1)", "gives min 1 numbers"),
        ("sin(1, 2)", "gives sin 2 numbers"),
        ("min(1, *[1, 2])", "is not allowed"),
        ("1 if t else 2", "is not allowed"),
        ("t @ t", "is not allowed"),
        ("1 +", "cannot be read"),
        ("", "cannot be read"),
        ("\0", "cannot be read"),
        ("1" * 201, "201 characters"),
        ("(" * 150 + "1" + ")" * 40, "cannot be read"),
    ],
)
def test_what_is_no_formula_is_refused_and_shown_where(formula: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_formula(formula)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("1 - t", "is -1 at t = 2"),
        ("1/(3 - t)", "has no value at t = 3: float division by zero"),
        ("10.0**(t*200)", "at t = 2"),
        ("9**9**9**9", "at t = 0"),
        ("log(t)", "at t = 0"),
        ("(0-2)**0.5", "at t = 0"),
        ("1e999", "is inf at t = 0"),
        ("1e308*10 - 1e308*10", "is nan at t = 0"),
    ],
)
def test_every_position_needs_a_temperature(formula: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        temperatures(formula, 10)
    assert said in str(caught.value)


@pytest.mark.parametrize("number", [-0.1, math.inf, math.nan])
def test_a_number_must_be_a_temperature(number: float) -> None:
    with pytest.raises(ConfigError, match="expected a number from 0 up"):
        SamplingConfig(temperature=number)


def test_a_formula_cannot_take_long() -> None:
    started = time.perf_counter()
    with pytest.raises(ConfigError):
        temperatures("**".join(["9"] * 50), 1)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"repetition_penalty": 0.0},
        {"stop": ("a", "")},
        {"temperature": "2 +"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SamplingConfig(**wrong)


def test_points_of_a_curve() -> None:
    assert temperatures("2:1 4:2, 5:0.5", 8) == pytest.approx([1, 1, 1, 1.5, 2, 0.5, 0.5, 0.5])
    assert temperatures("4:2 2:1", 5) == pytest.approx([1, 1, 1, 1.5, 2])


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("0:1 0:2", "two points at t = 0"),
        ("0:1 x:2", "has 'x:2'; expected points such as"),
        ("0:1 3:", "has '3:'; expected points such as"),
        ("0:inf", "has '0:inf'"),
        (":", "has ':'"),
        ("0:1 9:-1", "at t = 5; expected 0 or more everywhere"),
        (" ".join(f"{i}:1" for i in range(201)), "201 points; at most 200"),
    ],
)
def test_points_that_make_no_curve(points: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        temperatures(points, 10)
