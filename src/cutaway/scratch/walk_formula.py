"""Formulas that can be read, bound to one entry, written with its numbers, and calculated.

    z_HTD[h,t,d] = sum(s: pattern_HTS[h,t,s] * v_HSD[h,s,d])         the formula
    z_HTD[0,1,0] = sum(s: pattern_HTS[0,1,s] * v_HSD[0,s,0])         bound to an entry
                 = 0.17 * 1.2 + 0.83 * (-0.4) + 0 * 0.3 + 0 * 0.9    written
                 = -0.128                                            calculated

Arrays have their names, `d x` is the gradient of x, letters are places, `sum(s: ...)` adds over all s, everything else is
arithmetic as in Python (with ^ for powers). So what is printed is what was checked. Look at `write`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cutaway.scratch.ops import FloatArray

Lookup = Callable[[str], FloatArray]
"""From an array's name to its numbers."""

REFERENCE = re.compile(r"((?:(?:d|m|v|m_hat|v_hat|decay|update|new) )?[A-Za-z][\w.]*)\[((?:[^\[\]]|\[[^\]]*\])*)\]")
SYMBOL = re.compile(rf"{REFERENCE.pattern}|\b[A-Za-z]\b")
FUNCTIONS = {name: getattr(math, name) for name in ("sqrt", "exp", "log", "erf", "pi", "inf")}
MOST_TERMS, FIRST_TERMS = 8, 3
USUAL_ENTRY = dict.fromkeys("hsdcoifv", 0) | {"t": 1}


@dataclass(frozen=True)
class Formula:
    """How an array is made, for people and for the checks."""

    plain: str
    """`array[places] = expression`."""
    latex: str
    """The same in the letters of textbooks."""
    entry: Mapping[str, int] = field(default_factory=dict)
    """The places of the entry to be worked, where they are not the usual ones."""
    is_worked: bool = True

    @property
    def expression(self) -> str:
        """The right-hand side."""
        return self.plain.partition(" = ")[2]

    @property
    def name(self) -> str:
        """The array that is made."""
        return self.plain.partition(" = ")[0].partition("[")[0]

    @property
    def index(self) -> tuple[str, ...]:
        """Its places, as they stand in the formula."""
        inside = self.plain.partition(" = ")[0].partition("[")[2].rstrip("]")
        return tuple(place.strip() for place in inside.split(",")) if inside else ()

    def work(self, arrays: Lookup, sizes: Mapping[str, int]) -> Worked:
        """Calculate the chosen entry."""
        at = {**sizes, **USUAL_ENTRY, **self.entry}
        index = tuple(int(calculate(SYMBOL.sub(lambda m: str(at[m[0]]), place))) for place in self.index)
        return Worked(
            self.name,
            index,
            bind(self.expression, at, arrays),
            write(self.expression, at, arrays),
            write(self.expression, at, arrays, in_full=True),
            write(self.expression, at, arrays, in_full=True, number=repr),
            float(arrays(self.name)[index]),
        )


@dataclass(frozen=True)
class Worked:
    """One entry of an array, calculated."""

    name: str
    index: tuple[int, ...]
    symbols: str
    arithmetic: str
    """With five digits, and the first terms of a long sum."""
    all_terms: str
    exact: str
    """With all terms and all digits."""
    value: float


def five_digits(x: float) -> str:
    """Return a number for people; what rounding has left of a zero is 0."""
    return f"{x:.5g}" if abs(x) >= 1e-15 else "0"


def bind(expression: str, at: Mapping[str, int], arrays: Lookup) -> str:
    """Return an expression with the letters that are known put in where they are places."""
    running = set(re.findall(r"sum\((\w):", expression))  # the letters that sums run through

    def bound(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0] if match[0].isupper() or match[0] in running else str(at[match[0]])
        places = (place.strip() for place in match[2].split(","))
        return f"{match[1]}[{','.join(map(known, places))}]"

    def known(place: str) -> str:
        is_running = bool(running & set(re.findall(r"\b[a-z]\b", place)))
        return place if is_running else str(_place(place, at, arrays))

    return SYMBOL.sub(bound, expression)


def write(
    expression: str,
    at: Mapping[str, int],
    arrays: Lookup,
    in_full: bool = False,
    number: Callable[[float], str] = five_digits,
) -> str:
    """Return an expression with numbers in place of names.

    Args:
        at: the letters' values.
        in_full: write all terms of a sum.
        number: how a number is written.
    """

    def numbers(match: re.Match[str]) -> str:
        if match[1] is None:
            return str(at[match[0]])
        index = tuple(_place(place, at, arrays) for place in match[2].split(","))
        return in_brackets(float(arrays(match[1])[index]), number)

    def again(part: str, **more: int) -> str:
        return write(part, {**at, **more}, arrays, in_full, number)

    before, found, rest = expression.partition("sum(")
    if not found:
        return re.sub(r"\((\(-[^()]+\))\)", r"\1", SYMBOL.sub(numbers, expression))  # exp(-2), not exp((-2))
    inside, rest = _closed(rest)
    letter, _, body = inside.partition(": ")
    terms = [again(body, **{letter: i}) for i in range(_size(letter, body, arrays))]
    if not in_full and len(terms) > MOST_TERMS:
        others = range(FIRST_TERMS, len(terms))
        left = sum(calculate(write(body, {**at, letter: i}, arrays, True, repr)) for i in others)
        terms = [*terms[:FIRST_TERMS], f"{in_brackets(left, number)} [the {len(others)} others]"]
    terms = [f"({term})" if " if " in term else term for term in terms]
    total = " + ".join(terms)
    return f"{again(before)}({total}){again(rest)}" if before or rest else total


def calculate(arithmetic: str) -> float:
    """Return what written arithmetic comes to."""
    python = re.sub(r" \[the \d+ others\]", "", arithmetic).replace("^", "**")
    return float(eval(python, {"__builtins__": {}}, FUNCTIONS))


def in_brackets(x: float, number: Callable[[float], str]) -> str:
    """Return a number as it stands in a formula: negative ones in brackets."""
    written = number(x)
    return f"({written})" if written.startswith("-") else written


def _place(place: str, at: Mapping[str, int], arrays: Lookup) -> int:
    """Return which place is meant by `t`, `h * D + d` or `tokens_T[t]`."""
    return int(calculate(write(place, at, arrays)))


def _size(letter: str, body: str, arrays: Lookup) -> int:
    """Return how many places a letter runs through: as many as the first array has that it is a place of."""
    for name, index in REFERENCE.findall(body):
        places = [place.strip() for place in index.split(",")]
        if letter in places:
            return int(arrays(name).shape[places.index(letter)])
    raise ValueError(f"{letter} is no place of an array in {body}")


def _closed(text: str) -> tuple[str, str]:
    """Return what stands before the bracket that closes, and what stands after it."""
    depth = 1
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return text[:i], text[i + 1 :]
    raise ValueError(f"a bracket is not closed: {text}")
