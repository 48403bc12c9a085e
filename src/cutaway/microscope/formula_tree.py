"""The index notation of `formulas.toml`: its tree and its parser.

    out[i,j] = sum(k: self[i,k] * mat2[k,j])

A statement says what one element of a result is, as an expression in the elements of the operands. Names are the
operation's own argument names. `i` stands for one axis, `t..` for several, `..` for all the others, which broadcast;
`i@dim` is a variable on the axis (or axes) the argument `dim` names, `_` and `_@dim` an axis that is not there or has
size 1. `[cond]` is 1 or 0 (Iverson's bracket). The language is described in docs; here is its grammar, as a parser by
binding strength (V. Pratt, "Top down operator precedence", 1973).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cutaway.base.errors import UsageError

REDUCTIONS = ("sum", "mean", "prod", "max", "min", "any", "all")


@dataclass(frozen=True)
class Number:
    """A number as written."""

    value: float


@dataclass(frozen=True)
class Text:
    """A string, to compare an argument with."""

    value: str


@dataclass(frozen=True)
class Name:
    """An argument, a local, a result or an index variable; `is_tuple` for one with two dots after it."""

    name: str
    is_tuple: bool = False


@dataclass(frozen=True)
class Call:
    """A function or an operator with its arguments; `if` has condition, value and other value."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Blank:
    """An axis that is absent or of size 1; `is_tuple` for all axes left over, each of size 1."""

    axes: Node | None = None
    is_tuple: bool = False


@dataclass(frozen=True)
class Placed:
    """An index expression on the axes that an argument names, `i@dim`."""

    index: Node
    axes: Node


@dataclass(frozen=True)
class Bounded:
    """A variable of a result with its range, `c.. < normalized_shape`."""

    variable: Name
    limit: Node


Item = "Node | Blank | Placed | Bounded"


@dataclass(frozen=True)
class Read:
    """An element of an array."""

    array: Node
    items: tuple[Node | Blank | Placed | Bounded, ...]


@dataclass(frozen=True)
class Range:
    """A variable of a reduction, and what it stays below."""

    variable: Name
    limit: Node | None = None
    is_inclusive: bool = False


@dataclass(frozen=True)
class Reduce:
    """A sum, maximum and so on over variables."""

    kind: str
    variables: tuple[Range, ...]
    body: Node


Node = Number | Text | Name | Call | Read | Reduce


@dataclass(frozen=True)
class Statement:
    """`target[items] = value`. `items` is None where no index is written; `is_flat` where it is one flat position."""

    target: str
    items: tuple[Node | Blank | Placed | Bounded, ...] | None
    value: Node
    is_flat: bool = False


TOKEN = re.compile(
    r"""[ \t\r]*(?:\#[^\n]*)?(?:
    (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
  | (?P<text>'[^'\n]*')
  | (?P<tuple>(?:[A-Za-z_]\w*)?\.\.)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<sign>\*\*|//|==|!=|<=|>=|[-+*/%<>=\[\](),:;@.\n])
  | (?P<end>$))""",
    re.X,
)

BINDING = {
    "if": 1, "or": 2, "and": 3, "==": 5, "!=": 5, "<": 5, "<=": 5, ">": 5, ">=": 5,
    "+": 6, "-": 6, "*": 7, "/": 7, "//": 7, "%": 7, "**": 9, "[": 10, ".": 10,
}  # fmt: skip
NOT, COMPARISON, SIGN = 4, 5, 8
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


class Parser:
    """Reads one formula from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        at, depth = 0, 0
        while True:
            match = TOKEN.match(text, at)
            if match is None:
                column = at + len(text[at:]) - len(text[at:].lstrip())
                raise self.error(f"unexpected {text[column]!r}", column)
            kind = match.lastgroup or "end"
            word = match[kind]
            depth += (word in ("(", "[")) - (word in (")", "]"))
            if word != "\n":
                self.tokens.append((kind, word, match.start(kind)))
            elif depth == 0:
                self.tokens.append(("sign", ";", match.start(kind)))
            if kind == "end":
                break
            at = match.end()
        self.at = 0

    def error(self, what: str, column: int | None = None) -> UsageError:
        """Return the error that says what is wrong and where."""
        if column is None:
            column = self.tokens[self.at][2]
        near = self.text[column : column + 24].split("\n")[0]
        where = f"column {column + 1}"
        line = self.text.count("\n", 0, column)
        if line:
            where = f"line {line + 1}, column {column - self.text.rfind(chr(10), 0, column)}"
        return UsageError(f"formula, {where}: {what}, at {near!r}" if near else f"formula, {where}: {what}, at its end")

    @property
    def word(self) -> str:
        """The next token."""
        return self.tokens[self.at][1]

    @property
    def kind(self) -> str:
        """What sort of token is next."""
        return self.tokens[self.at][0]

    def take(self, word: str | None = None) -> str:
        """Step over the next token, which must be `word` if that is given."""
        found = self.word
        if word is not None and (found != word or self.kind == "text"):
            raise self.error(f"expected {word!r}")
        if self.kind == "end":
            raise self.error("unexpected end")
        self.at += 1
        return found

    def statements(self) -> tuple[Statement, ...]:
        """Read the whole text."""
        found = []
        while self.kind != "end":
            if self.word == ";":
                self.take()
                continue
            found.append(self.statement())
            if self.kind != "end" and self.word != ";":
                raise self.error("expected an operator, ';' or the end")
        if not found:
            raise self.error("expected a statement such as 'out[i] = self[i]'")
        return tuple(found)

    def statement(self) -> Statement:
        """Read `target[items] = expression`."""
        if self.kind != "name":
            raise self.error("expected the name of a result")
        target = self.take()
        is_flat = self.word == "."
        if is_flat:
            self.take()
            self.take("flat")
        items = self.items() if self.word == "[" else None
        self.take("=")
        return Statement(target, items, self.expression(0), is_flat)

    def items(self) -> tuple[Node | Blank | Placed | Bounded, ...]:
        """Read `[i, t.., _@dim]`."""
        self.take("[")
        found: list[Node | Blank | Placed | Bounded] = []
        while self.word != "]":
            found.append(self.item())
            if self.word != "]":
                self.take(",")
        self.take("]")
        return tuple(found)

    def item(self) -> Node | Blank | Placed | Bounded:
        """Read one index."""
        if self.word in ("_", "_.."):
            is_tuple = self.take() == "_.."
            return Blank(self.axes() if self.word == "@" else None, is_tuple)
        index = self.expression(COMPARISON)
        if self.word == "@":
            return Placed(index, self.axes())
        if self.word == "<" and isinstance(index, Name):
            self.take()
            return Bounded(index, self.expression(COMPARISON))
        return index

    def axes(self) -> Node:
        """Read `@dim`, `@-1` or `@(expression)`."""
        self.take("@")
        if self.word == "-":
            self.take()
            return Call("neg", (self.start(),))
        return self.start()

    def expression(self, strength: int) -> Node:
        """Read an expression of operators that bind more strongly than `strength`."""
        left = self.start()
        while self.kind in ("sign", "name") and BINDING.get(self.word, 0) > strength:
            left = self.go_on(left)
        return left

    def start(self) -> Node:
        """Read what can begin an expression."""
        kind, word = self.kind, self.word
        if kind == "end":
            raise self.error("unexpected end")
        self.take()
        if kind == "number":
            return Number(float(word) if re.search("[.eE]", word) else int(word))
        if kind == "text":
            return Text(word[1:-1])
        if kind == "tuple":
            return Name(word[:-2], True)
        if word == "-":
            return Call("neg", (self.expression(SIGN),))
        if word == "not":
            return Call("not", (self.expression(NOT),))
        if kind == "name" and word not in BINDING and word != "else":
            return self.call(word) if self.word == "(" else Name(word)
        if word == "(":
            inside = self.expression(0)
            self.take(")")
            return inside
        if word == "[":
            inside = self.expression(0)
            self.take("]")
            return Call("bracket", (inside,))
        self.at -= 1
        raise self.error("expected a number, a name, '(' or '['")

    def go_on(self, left: Node) -> Node:
        """Read an operator after `left`, and its right side."""
        if self.word == "[":
            return Read(left, self.items())
        word = self.take()
        if word == ".":
            self.take("flat")
            return Call("flat", (left,))
        if word == "if":
            condition = self.expression(BINDING["if"])
            self.take("else")
            return Call("if", (condition, left, self.expression(0)))
        strength = BINDING[word] - (word == "**")  # powers group from the right
        right = self.expression(strength)
        if word in COMPARISONS and self.word in COMPARISONS and self.kind == "sign":
            return Call("and", (Call(word, (left, right)), self.go_on(right)))  # a <= b < c
        return Call(word, (left, right))

    def call(self, function: str) -> Node:
        """Read `f(a, b)` or `sum(i, k < n: body)`."""
        self.take("(")
        variables = self.ranges() if function in REDUCTIONS else None
        if variables is not None:
            body = self.expression(0)
            self.take(")")
            return Reduce(function, variables, body)
        arguments = []
        while self.word != ")":
            arguments.append(self.expression(0))
            if self.word != ")":
                self.take(",")
        self.take(")")
        return Call(function, tuple(arguments))

    def ranges(self) -> tuple[Range, ...] | None:
        """Read the variables of a reduction, or return None if this is a function of plain arguments."""
        depth, ahead = 0, self.at
        while (depth or self.tokens[ahead][1] != ":") and self.tokens[ahead][0] != "end":
            depth += (self.tokens[ahead][1] in ("(", "[")) - (self.tokens[ahead][1] in (")", "]"))
            if depth < 0:
                return None
            ahead += 1
        found = []
        while True:
            if self.kind not in ("name", "tuple"):
                raise self.error("expected an index variable")
            is_tuple = self.kind == "tuple"
            variable = Name(self.take().removesuffix(".."), is_tuple)
            limit, is_inclusive = None, False
            if self.word in ("<", "<="):
                is_inclusive = self.take() == "<="
                limit = self.expression(COMPARISON)
            found.append(Range(variable, limit, is_inclusive))
            if self.word == ":":
                self.take()
                return tuple(found)
            self.take(",")


def parse_statements(text: str) -> tuple[Statement, ...]:
    """Return the statements of a formula.

    Raises:
        UsageError: the text is no formula; the message names the place.
    """
    return Parser(text).statements()
