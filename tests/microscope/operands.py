"""Random operands for every line of formulas.toml: by the operation's schema, by hand where the schema cannot say."""

from __future__ import annotations

import functools
import tomllib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import cutaway.microscope
from cutaway.microscope.recorder import HIDDEN_WRITES

FLOAT = torch.float64
LINES: dict[str, str] = tomllib.loads(
    (Path(cutaway.microscope.__file__).parent / "formulas.toml").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Draw:
    """One call of an operation."""

    operation: Any
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """The operation's name as formulas.toml writes it."""
        return str(self.operation).removeprefix("aten.").removesuffix(".default")

    def cast(self, dtype: torch.dtype) -> Draw:
        """Return the same call with its real numbers in another dtype."""

        def go(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(dtype) if value.dtype == FLOAT else value
            if isinstance(value, list):
                return [go(one) for one in value]
            return dtype if value is FLOAT else value

        return Draw(self.operation, {name: go(value) for name, value in self.arguments.items()})

    def run(self) -> list[Any]:
        """Return what PyTorch computes, and after it what the operation overwrote without saying so."""
        torch.manual_seed(0)
        arguments = {name: value for name, value in self.arguments.items() if value is not LEFT_OUT}
        hidden = [name for name in HIDDEN_WRITES.get(self.name, ()) if arguments["training"]]
        arguments |= {name: arguments[name].clone() for name in hidden if arguments[name] is not None}
        named = dict(arguments)
        positional = [a.name for a in self.operation._schema.arguments if not a.kwarg_only and a.name in arguments]
        result = self.operation(*[named.pop(name) for name in positional], **named)
        return [*(result if isinstance(result, (tuple, list)) else [result]), *(arguments[name] for name in hidden)]

    def __str__(self) -> str:
        def show(value: Any) -> str:
            if isinstance(value, Tensor):
                return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
            return f"[{', '.join(map(show, value))}]" if isinstance(value, list) else repr(value)

        said = (f"{name}={show(value)}" for name, value in self.arguments.items() if value is not LEFT_OUT)
        return f"{self.name}({', '.join(said)})"


LEFT_OUT = object()


def to_numpy(value: Any) -> Any:
    """Return tensors as arrays, all the way down; bfloat16 as float32, which holds the same numbers."""
    if isinstance(value, Tensor):
        return value.detach().to(torch.float32 if value.dtype == torch.bfloat16 else value.dtype).numpy()
    if isinstance(value, (list, tuple)):
        return [to_numpy(one) for one in value]
    return value


def call(name: str, *positional: Any, **named: Any) -> Draw:
    """Return a call with the defaults of the schema filled in."""
    packet, _, overload = name.partition(".")
    operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
    arguments = {}
    for argument, given in zip(operation._schema.arguments, [*positional, *[LEFT_OUT] * 99], strict=False):
        value = named.pop(argument.name, given)
        arguments[argument.name] = (
            argument.default_value if value is LEFT_OUT and argument.has_default_value() else value
        )
    assert not named, f"{name} has no argument {set(named)}"
    return Draw(operation, arguments)


KNOWN = set(torch._C._dispatch_get_all_op_names())


def served(key: str) -> list[Any]:
    """Return the operations a line serves: its own overload, or all without a line of their own."""
    packet, _, overload = key.partition(".")
    operations = getattr(torch.ops.aten, packet)
    if overload:
        return [getattr(operations, overload)]
    found = []
    for one in operations.overloads():
        operation = getattr(operations, one)
        if operation.name() not in KNOWN:  # TorchScript's, on plain numbers
            continue
        schema = operation._schema
        has = functools.partial(torch._C._dispatch_has_kernel_for_dispatch_key, operation.name())
        is_open = has("CompositeImplicitAutograd") and not has("CPU")
        types = [str(a.type) for a in schema.arguments]
        is_plain = any("Tensor" in str(r.type) for r in schema.returns) and any("Tensor" in t for t in types)
        is_writing = any(a.alias_info is not None and a.alias_info.is_write for a in schema.arguments)
        if is_plain and not is_open and not is_writing and f"{packet}.{one}" not in LINES:
            found.append(operation)
    return found


# ---- operands by the schema ----

SHAPE = (3, 4, 5)
OTHERS = [SHAPE, (4, 1), (), SHAPE, (5,), SHAPE]
"""Shapes of the operands after the first, which broadcast, variant by variant."""

POSITIVE = [
    "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "lgamma", "digamma", "pow", "xlogy", "reciprocal", "acosh",
    "prod", "cumprod", "addcdiv", "div",
]  # fmt: skip
UNIT = [
    "asin", "acos", "atanh", "erfinv", "logit", "logit_backward", "binary_cross_entropy",
    "binary_cross_entropy_backward",
]  # fmt: skip
WITH_TIES = [
    "eq", "ne", "lt", "le", "gt", "ge", "maximum", "minimum", "fmax", "fmin", "max", "min", "max.dim", "min.dim",
    "argmax", "argmin", "amax", "amin", "aminmax", "cummax", "cummin", "any", "any.dim", "any.dims", "all",
    "all.dim", "all.dims", "count_nonzero", "logical_not", "logical_and", "logical_or", "logical_xor", "sign",
    "sgn", "heaviside", "mode", "median", "median.dim", "kthvalue", "masked_fill", "where", "floor", "ceil",
    "round", "trunc", "isin.Tensor_Scalar",
]  # fmt: skip
WHOLE_TOO = [
    "add", "sub", "mul", "neg", "abs", "sum", "sum.dim_IntList", "cumsum", "max.dim", "clamp", "eq", "lt", "ge",
    "floor_divide", "remainder", "div", "where", "prod", "amax", "amin", "maximum", "sign", "fill", "bitwise_and",
    "bitwise_or", "bitwise_xor", "bitwise_not", "any", "masked_fill", "div.Tensor_mode",
]  # fmt: skip
ONLY_WHOLE = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")
NUMBERS: dict[str, list[Any]] = {
    "alpha": [1, 0.7, 2], "beta": [1, 0.6], "threshold": [0.3, 1], "value": [0.5, -2, 3], "min": [-0.4], "max": [0.6],
    "lambd": [0.5, 0.2], "eps": [1e-5, 0.1], "exponent": [2, 0.5, 3, -1.5],
    "ord": [2, 1, 3, float("inf"), 0, float("-inf")],
    "p": [2, 1, 3, float("inf"), 0, float("-inf")], "scale": [1, 1.2], "input_scale": [1, 0.8],
    "negative_slope": [0.01, 0.3],
    "min_val": [-1, -0.5], "max_val": [1, 0.5], "correction": [1, 0, 2], "delta": [1, 0.4], "weight": [0.3, 0.8],
    "other": [0.75, 2, -0.25], "fill_value": [2.5], "lower": [0.125], "upper": [0.4], "s": [1.5], "self": [0.7, 2],
}  # fmt: skip
CHOICES: dict[str, list[Any]] = {
    "dim": [0, 1, -1], "reduction": [0, 1, 2], "approximate": ["none", "tanh"],
    "rounding_mode": ["floor", "trunc", None],
    "diagonal": [0, 1, -2], "k": [2, 1], "ScalarType": [FLOAT],
}  # fmt: skip


def value_of(key: str, argument: Any, variant: int, reduction: int | None) -> Any:
    """Return an argument by its type and name."""
    name, kind = argument.name, str(argument.type)
    is_optional = kind.startswith("Optional")
    if name in ("dtype", "layout", "device", "pin_memory", "memory_format", "generator", "non_blocking"):
        return argument.default_value if argument.has_default_value() else None
    if "Tensor" in kind and "List" not in kind:
        if is_optional and variant % 3 == 2:
            return None
        return tensor(key, name, variant, reduction)
    if kind == "List[Tensor]":
        return [tensor(key, name, 0, None) for _ in range(3)]
    if kind in ("number", "float", "Optional[number]", "Optional[float]"):
        if key in ONLY_WHOLE:
            return 3
        given = NUMBERS[name][variant % len(NUMBERS[name])]
        return None if is_optional and variant % 4 == 3 else given
    if kind == "bool":
        return name != "half_to_float" and variant % 2 == 1
    if kind in ("List[int]", "Optional[List[int]]"):
        dims: list[Any] = [[1], [-1], [0, 2], [2, 0, 1], [0], None if is_optional else [-2, -1]]
        return dims[variant % 6]
    if name == "input_dtype":
        return FLOAT
    if kind == "Optional[int]" and name == "dim":
        return None if variant % 4 == 3 else CHOICES["dim"][variant % 3]
    return CHOICES[name][variant % len(CHOICES[name])]


def tensor(key: str, name: str, variant: int, reduction: int | None) -> Tensor:
    """Return a random tensor that suits an operation."""
    shape: tuple[int, ...] = SHAPE
    if reduction is not None:
        shape = () if name == "grad_output" and reduction else SHAPE
    elif name in (
        "other",
        "end",
        "value",
        "values",
        "tensor1",
        "tensor2",
        "min",
        "max",
        "condition",
        "mask",
        "exponent",
    ):
        shape = OTHERS[variant % len(OTHERS)]
    if key in ("fill", "masked_fill") and name == "value":
        shape = ()
    if name in ("mask", "condition"):
        return torch.rand(shape) > 0.4
    if (key in WHOLE_TOO and variant == 5) or key in ONLY_WHOLE:
        if key in ONLY_WHOLE and variant % 2:
            return torch.rand(shape) > 0.5
        return torch.randint(1, 9, shape) * (-1) ** torch.randint(2, shape)
    if name in ("target", "output") and key.startswith(("binary", "sigmoid")):
        return torch.rand(shape, dtype=FLOAT)
    if key in UNIT and name != "grad_output":
        low, high = (-0.9, 0.9) if key in ("asin", "acos", "atanh", "erfinv") else (0.05, 0.95)
        return low + (high - low) * torch.rand(shape, dtype=FLOAT)
    if key in POSITIVE and not (key == "addcdiv" and name != "tensor2"):
        return 0.2 + 2 * torch.rand(shape, dtype=FLOAT) + (key == "acosh")
    if key in WITH_TIES or key == "softmax":
        return torch.randint(-2, 3, shape).to(FLOAT)
    return 2 * torch.randn(shape, dtype=FLOAT)


def by_schema(key: str) -> list[Draw]:
    """Return several calls of each operation a line serves."""
    found = []
    for operation in served(key):
        for variant in range(6):
            names = {a.name for a in operation._schema.arguments}
            reduction = variant % 3 if "reduction" in names else None
            arguments = {
                a.name: value_of(key, a, variant, reduction) if a.name != "reduction" else reduction
                for a in operation._schema.arguments
            }
            found.append(Draw(operation, arguments))
    return found


# ---- operands by hand ----


def n(*shape: int) -> Tensor:
    """Return normal numbers."""
    return torch.randn(shape, dtype=FLOAT)


def u(*shape: int) -> Tensor:
    """Return numbers between 0.1 and 1.1."""
    return 0.1 + torch.rand(shape, dtype=FLOAT)


def w(high: int, *shape: int) -> Tensor:
    """Return whole numbers below `high`."""
    return torch.randint(high, shape)


def b(*shape: int) -> Tensor:
    """Return truths."""
    return torch.rand(shape) > 0.5


def distinct(high: int, *shape: int) -> Tensor:
    """Return whole numbers below `high`, none twice along the last axis."""
    return torch.rand((*shape[:-1], high)).argsort(-1)[..., : shape[-1]]


def layer_norms() -> list[Draw]:
    found = []
    for shape, last, has in (((3, 4, 5), 1, True), ((3, 4, 5), 2, True), ((4, 5), 1, False), ((6,), 1, True)):
        wide = list(shape[len(shape) - last :])
        weight = n(*wide) if has else None
        found.append(call("native_layer_norm", n(*shape), wide, weight, n(*wide) if has else None, 1e-5))
    found.append(call("native_layer_norm", n(4, 5), [5], n(5), None, 0.1))
    return found


def layer_norm_backwards() -> list[Draw]:
    found = []
    for draw in layer_norms():
        x, wide, weight, bias = (draw.arguments[k] for k in ("input", "normalized_shape", "weight", "bias"))
        _, mean, rstd = draw.run()
        mask = [True, weight is not None, bias is not None]
        found.append(call("native_layer_norm_backward", n(*x.shape), x, wide, mean, rstd, weight, bias, mask))
    return found


def group_norms() -> list[Draw]:
    sizes = (((3, 4, 5), 2, True), ((2, 6, 3, 4), 3, True), ((3, 4, 5), 1, False), ((2, 4, 2, 2, 3), 4, True))
    found = []
    for shape, groups, has in sizes:
        rows, channels, area = shape[0], shape[1], int(np.prod(shape[2:]))
        weight, bias = (n(channels), n(channels)) if has else (None, None)
        found.append(call("native_group_norm", n(*shape), weight, bias, rows, channels, area, groups, 1e-5))
    return found


def group_norm_backwards() -> list[Draw]:
    found = []
    for draw in group_norms():
        a = draw.arguments
        _, mean, rstd = draw.run()
        mask = [True, a["weight"] is not None, a["weight"] is not None]
        sizes = (a["N"], a["C"], a["HxW"], a["group"])
        found.append(
            call("native_group_norm_backward", n(*a["input"].shape), a["input"], mean, rstd, a["weight"], *sizes, mask)
        )
    return found


def batch_norms() -> list[Draw]:
    found = []
    for shape in ((5, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 4)):
        for training in (True, False):
            x = n(*shape)
            found.append(call("native_batch_norm", x, n(3), n(3), n(3), u(3), training, 0.1, 1e-5))
        found.append(call("native_batch_norm", n(*shape), None, None, None, None, True, 0.1, 1e-5))
    return found


def batch_norm_backwards() -> list[Draw]:
    found = []
    for draw in batch_norms():
        a = draw.arguments
        _, mean, invstd, *_ = draw.run()
        mask = [True, a["weight"] is not None, a["weight"] is not None]
        running = (a["running_mean"], a["running_var"])
        x = a["input"]
        found.append(
            call(
                "native_batch_norm_backward", n(*x.shape), x, a["weight"], *running, mean, invstd, a["training"], 1e-5, mask
            )
        )  # fmt: skip
    return found


def convolutions() -> list[Draw]:
    """1, 2 and 3 axes; strides, padding, dilation, groups; transposed with output padding."""
    found = []
    for axes in (1, 2, 3):
        size, kernel = [7, 6, 5][:axes], [3, 2, 3][:axes]
        for stride, padding, dilation, groups, has in (
            (1, 0, 1, 1, True),
            (2, 1, 1, 2, False),
            (2, 2, 2, 1, True),
            (3, 1, 1, 4, True),
        ):
            lists = ([stride] * axes, [padding] * axes, [dilation] * axes)
            bias = n(8) if has else None
            found.append(
                call("convolution", n(2, 4, *size), n(8, 4 // groups, *kernel), bias, *lists, False, [0] * axes, groups)
            )
            more = [stride - 1] * axes
            found.append(
                call("convolution", n(2, 4, *size), n(4, 8 // groups, *kernel), bias, *lists, True, more, groups)
            )
    mixed = call("convolution", n(2, 3, 7, 6), n(4, 3, 2, 3), None, [2, 1], [0, 2], [1, 2], False, [0, 0], 1)
    return [*found, mixed]


def convolution_backwards() -> list[Draw]:
    found = []
    for draw in convolutions():
        a = draw.arguments
        (y,) = draw.run()
        has = a["bias"] is not None
        rest = [a[k] for k in ("stride", "padding", "dilation", "transposed", "output_padding", "groups")]
        found.append(
            call(
                "convolution_backward", n(*y.shape), a["input"], a["weight"], [a["weight"].shape[0]] if has else None,
                *rest, [True, True, has],
            )
        )  # fmt: skip
    found.append(
        call(
            "convolution_backward",
            n(2, 4, 5),
            n(2, 3, 7),
            n(4, 3, 3),
            None,
            [1],
            [0],
            [1],
            False,
            [0],
            1,
            [False, True, False],
        )
    )
    return found


def pools(name: str, axes: int, has_dilation: bool) -> list[Draw]:
    found = []
    for batch in ((2, 3), (3,)):
        x = n(*batch, *[7, 6, 5][:axes])
        if has_dilation:
            found.append(call(name, x, [2] * axes))
            found.append(call(name, x, [3, 2, 2][:axes], [2] * axes, [1] * axes, [1] * axes, True))
            found.append(call(name, x, [2] * axes, [1] * axes, [1] * axes, [2] * axes))
        else:
            found.append(call(name, x, [2] * axes))
            for ceil, counts, divisor in (
                (True, True, None),
                (True, False, None),
                (False, False, None),
                (False, True, 3),
            ):
                found.append(call(name, x, [3, 2, 3][:axes], [2] * axes, [1] * axes, ceil, counts, divisor))
    return found


def pool_backwards(name: str, axes: int, has_dilation: bool) -> list[Draw]:
    found = []
    for draw in pools(name, axes, has_dilation):
        a = draw.arguments
        y = draw.run()
        rest = [a[k] for k in list(a)[1:]]
        found.append(call(f"{name}_backward", n(*y[0].shape), a["self"], *rest, *y[1:]))
    return found


def adaptive(name: str, axes: int) -> list[Draw]:
    sizes = [[2, 3, 1], [7, 4, 5], [3, 2, 2]]
    return [call(name, n(2, 3, *[7, 6, 5][:axes]), size[:axes]) for size in sizes] + [
        call(name, n(3, *[7, 6, 5][:axes]), [3] * axes)
    ]


def adaptive_backwards(name: str, axes: int) -> list[Draw]:
    found = []
    for draw in adaptive(name, axes):
        y = draw.run()
        found.append(call(f"{name}_backward", n(*y[0].shape), draw.arguments["self"], *y[1:]))
    return found


def upsamplings(name: str, axes: int, is_backward: bool = False) -> list[Draw]:
    """Larger and smaller, by a factor (also one that is not whole) and to a size."""
    found = []
    has_corners = "nearest" not in name
    old = [4, 5, 3][:axes]
    for factor, size in (
        (2.0, None),
        (1.5, None),
        (0.6, None),
        (None, [7, 5, 8]),
        (None, [9, 10, 6]),
        (None, [1, 2, 2]),
    ):
        for corners in (False, True) if has_corners else (None,):
            new = size[:axes] if size else [int(length * factor) for length in old]
            scales = [factor if corners is not True else None] * axes
            flags = [] if corners is None else [corners]
            if is_backward:
                found.append(call(f"{name}_backward", n(2, 3, *new), new, [2, 3, *old], *flags, *scales))
            else:
                found.append(call(name, n(2, 3, *old), new, *flags, *scales))
    return found


def nll(name: str, shape: tuple[int, ...], is_backward: bool) -> list[Draw]:
    found = []
    classes = shape[1] if len(shape) > 1 else shape[0]
    where = (shape[0], *shape[2:]) if len(shape) > 1 else ()
    for reduction in (0, 1, 2):
        for weight in (None, u(classes)):
            target = w(classes, *where)
            if target.ndim:
                target.view(-1)[1] = -100
            forward = call(f"{name}_forward", -u(*shape), target, weight, reduction, -100)
            if not is_backward:
                found.append(forward)
                continue
            y, total = forward.run()
            found.append(
                call(f"{name}_backward", n(*y.shape), forward.arguments["self"], target, weight, reduction, -100, total)
            )
    return found


def embedding_bags() -> list[Draw]:
    found = []
    for mode in (0, 1, 2):
        for padding in (-1, 2):
            offsets = torch.tensor([0, 3, 3, 7])
            found.append(call("_embedding_bag", n(6, 4), w(6, 9), offsets, False, mode, False, None, False, padding))
    found.append(call("_embedding_bag", n(6, 4), w(6, 9), torch.tensor([0, 2, 9]), False, 0, False, n(9), True, -1))
    return found


def embedding_bag_backwards() -> list[Draw]:
    found = []
    for forward in embedding_bags():
        a = forward.arguments
        _, _, sizes, most = forward.run()
        bag = torch.bucketize(torch.arange(9), a["offsets"], right=True) - 1
        found.append(
            call(
                "_embedding_bag_backward", n(len(sizes), 4), a["indices"], a["offsets"], bag, sizes, most, 6, False,
                a["mode"], False, a["per_sample_weights"], a["padding_idx"],
            )
        )  # fmt: skip
    return found


def embedding_bag_dense_backwards() -> list[Draw]:
    found = []
    for mode in (0, 1, 2):
        for _ in range(2):
            indices, bag = w(6, 9), torch.tensor([0, 0, 0, 1, 1, 1, 1, 3, 3])
            sizes, most = torch.tensor([3, 4, 0, 2]), w(6, 4, 5)
            found.append(
                call("_embedding_bag_dense_backward", n(4, 5), indices, bag, sizes, most, 6, False, mode, None)
            )
    return found


def scatters(name: str, *rest: Any, **named: Any) -> list[Draw]:
    """An index as large as self and one smaller on the other axes, where nothing may repeat."""
    found = []
    for shape, dim in (((3, 4, 5), 1), ((3, 4, 5), -1), ((2, 3, 5), 0), ((1, 2, 5), 1), ((2, 1, 5), 0)):
        high = SHAPE[dim]
        index = distinct(high, *[*shape[:dim], *shape[dim:][1:], min(shape[dim], high)] if dim >= 0 else shape)
        if dim >= 0:
            index = index.movedim(-1, dim)
        source = [n(*index.shape)] if not rest else list(rest)
        found.append(call(name, n(*SHAPE), dim, index, *source, **named))
    if name.startswith("scatter"):  # the same place twice
        source = [n(3, 6, 5)] if not rest else list(rest)
        found.append(call(name, n(*SHAPE), 1, w(4, 3, 6, 5), *source, **named))
    return found


def indexings() -> list[tuple[Tensor, list[Any]]]:
    """What people write between brackets: lists, slices between them, masks, places counted from the end."""
    x = n(3, 4, 5)
    return [
        (x, [torch.tensor([0, 2, 1])]),
        (x, [None, torch.tensor([[0, 3], [1, 2]])]),
        (x, [torch.tensor([0, -1]), None, torch.tensor([1, 4])]),
        (x, [torch.tensor([[0], [2]]), torch.tensor([1, -2, 3])]),
        (x, [torch.rand(3, 4, 5) > 0.5]),
        (x, [None, torch.tensor([True, False, True, True])]),
        (n(6), [torch.tensor([5, 0])]),
    ]


def index_puts(name: str) -> list[Draw]:
    found = []
    for x, indices in indexings():
        region = torch.ops.aten.index.Tensor(x, indices)
        for values in (n(*region.shape), n(*region.shape[-1:]), n()):
            found.append(call(name, x, indices, values, False))
            found.append(call(name, x, indices, values, True))
    found += [call(name, n(3, 4), [torch.tensor([0, 0, 2])], n(3, 4), flag) for flag in (False, True)]
    return found


def paddings(name: str, axes: int, is_backward: bool) -> list[Draw]:
    found = []
    for batch in ((2, 3), (3,)):
        for pad in ([1, 2, 0, 1, 2, 1], [2, 0, 1, 1, 0, 0]):
            size = [5, 4, 6][:axes]
            pads = pad[: 2 * axes]
            grown = [s + pads[2 * (axes - 1 - i)] + pads[2 * (axes - 1 - i) + 1] for i, s in enumerate(size)]
            x = n(*batch, *size)
            found.append(call(f"{name}_backward", n(*batch, *grown), x, pads) if is_backward else call(name, x, pads))
    return found


def cdists(is_backward: bool) -> list[Draw]:
    found = []
    for p in (2.0, 1.0, 3.0, float("inf"), *(() if is_backward else (0.0,))):
        x, y = (w(9, 2, k, 3).to(FLOAT) for k in (4, 5)) if p == float("inf") else (n(2, 4, 3), n(2, 5, 3))
        forward = call("_cdist_forward", x, y, p, None)
        found.append(call("_cdist_backward", n(2, 4, 5), x, y, p, *forward.run()) if is_backward else forward)
    return found


def margins(is_backward: bool) -> list[Draw]:
    found = []
    for reduction in (0, 1, 2):
        for p, weight in ((1, None), (2, u(5))):
            x, target = n(3, 5), w(5, 3)
            if is_backward:
                gradient = n(3) if reduction == 0 else n()
                found.append(call("multi_margin_loss_backward", gradient, x, target, p, 1.0, weight, reduction))
            else:
                found.append(call("multi_margin_loss", x, target, p, 1.0, weight, reduction))
    return found


def bce_with_logits() -> list[Draw]:
    name = "binary_cross_entropy_with_logits"
    return [
        call(name, 3 * n(3, 5), torch.rand(3, 5, dtype=FLOAT), weight, positive, reduction)
        for reduction in (0, 1, 2)
        for weight, positive in ((None, None), (u(3, 5), u(5)), (u(5), None))
    ]


def along(name: str, *rest: Any, x: Tensor | None = None) -> list[Draw]:
    """One call for each axis."""
    return [call(name, n(*SHAPE) if x is None else x, dim, *rest) for dim in (0, 1, -1)]


def sorted_draws(name: str) -> list[Draw]:
    ties = w(4, *SHAPE).to(FLOAT)
    found = []
    for x in (n(*SHAPE), ties):
        for dim in (0, 1, -1):
            if name == "topk":
                found += [
                    call(name, x, k, dim, largest, ordered)
                    for k, largest, ordered in ((2, True, True), (3, False, True), (2, True, False))
                ]
            elif name == "kthvalue":
                found += [call(name, x, k, dim, keep) for k, keep in ((1, False), (3, True))]
            elif name == "sort.stable":
                found += [call(name, x, stable=True, dim=dim, descending=down) for down in (False, True)]
            else:
                found += [call(name, x, dim, down) for down in (False, True)]
    return found


def diagonals(name: str) -> list[Draw]:
    found = []
    for offset, (one, two) in ((0, (0, 1)), (1, (-2, -1)), (-1, (0, 2)), (2, (1, -1))):
        if name == "diag_embed":
            found.append(call(name, n(3, 4), offset, one, two))
            continue
        x = n(*SHAPE)
        part = torch.diagonal(x, offset, one, two)
        if name == "diagonal_copy":
            found.append(call(name, x, offset, one, two))
        elif name == "diagonal_backward":
            found.append(call(name, n(*part.shape), list(SHAPE), offset, one, two))
        else:
            found.append(call(name, x, n(*part.shape), offset, one, two))
    return found


def slices(name: str) -> list[Draw]:
    found = []
    for dim, start, end, step in (
        (0, 0, 2, 1),
        (1, 1, 4, 2),
        (-1, -3, 9223372036854775807, 1),
        (2, 1, -1, 2),
        (2, -9, 3, 1),
    ):
        part = torch.ops.aten.slice.Tensor(torch.zeros(SHAPE), dim, start, end, step)
        if name == "slice_backward":
            found.append(call(name, n(*part.shape), list(SHAPE), dim, start, end, step))
        else:
            found.append(call(name, n(*SHAPE), n(*part.shape), dim, start, end, step))
    if name == "slice_scatter":
        found.append(call(name, n(*SHAPE), n(3, 2, 5), 1, None, 2))
    return found


def created(name: str, *rest: Any) -> list[Draw]:
    """Constants: like a tensor, or of a size."""
    first = "self" if "like" in name or name.startswith("new") else "size"
    shapes = ([3, 4], [2, 3, 4], [])
    found = []
    for shape in shapes:
        start = [n(*shape)] if first == "self" else []
        sizes = [] if "like" in name else [shape]
        found.append(call(name, *start, *sizes, *rest, dtype=FLOAT))
    return found


def weight_norms(is_backward: bool) -> list[Draw]:
    found = []
    for dim in (0, 2):
        v, shape = n(3, 4, 5), [1, 1, 1]
        shape[dim] = v.shape[dim]
        forward = call("_weight_norm_interface", v, u(*shape), dim)
        y, norms = forward.run()
        found.append(
            call("_weight_norm_interface_backward", n(*y.shape), v, forward.arguments["g"], norms, dim)
            if is_backward
            else forward
        )
    return found


def casts() -> list[Draw]:
    x = 3 * n(3, 4)
    found = [
        call("_to_copy", x, dtype=dtype) for dtype in (None, torch.float32, torch.bfloat16, torch.int64, torch.bool)
    ]
    return [*found, call("_to_copy", w(5, 3), dtype=torch.float32), call("_to_copy", b(3, 4), dtype=torch.int64)]


def fractional(is_backward: bool) -> list[Draw]:
    forward = call("fractional_max_pool2d", n(2, 3, 7, 6), [2, 2], [3, 3], torch.rand(2, 3, 2, dtype=FLOAT))
    y, indices = forward.run()
    x = forward.arguments["self"]
    return [call("fractional_max_pool2d_backward", n(*y.shape), x, [2, 2], [3, 3], indices) if is_backward else forward]


def shifts(name: str, scalar: str) -> list[Draw]:
    """Return whole numbers, negative ones too, shifted by few places."""
    numbers, places = torch.randint(-900, 900, (3, 4)), torch.randint(0, 9, (4,))
    return [call(f"{name}.Tensor", numbers, places), call(f"{name}.{scalar}", numbers, 3)]


def grouped() -> list[Draw]:
    """Return rows in three groups, each with its own matrix, and the product that gives those matrices' gradient."""
    ends = torch.tensor([3, 4, 9], dtype=torch.int32)
    return [
        call("_grouped_mm", n(9, 8).float(), n(3, 8, 16).float(), ends),
        call("_grouped_mm", n(9, 8).float().T, n(9, 16).float(), ends),
    ]


BY_HAND: dict[str, Callable[[], list[Draw]]] = {
    "_grouped_mm": grouped,
    "histc": lambda: [call("histc", n(40), 5, -1, 1.5), call("histc", torch.arange(9.0), 3, 0, 2), call("histc", n(9), 4)],
    "bitwise_right_shift": lambda: shifts("bitwise_right_shift", "Tensor_Scalar"),
    "bitwise_left_shift": lambda: shifts("bitwise_left_shift", "Tensor_Scalar"),
    "__rshift__": lambda: shifts("__rshift__", "Scalar"),
    "__lshift__": lambda: shifts("__lshift__", "Scalar"),
    # copies and constants
    "_to_copy": casts,
    "copy": lambda: [call("copy", n(3, 4), n(*shape)) for shape in ((3, 4), (4,), (3, 1), ())],
    "reshape": lambda: [call("reshape", n(3, 4, 5).transpose(0, 1), [12, 5])],
    "contiguous": lambda: [call("contiguous", n(3, 4).T)],
    "to": lambda: [call("to.dtype", n(3, 4), torch.float32), call("to.dtype", 3 * n(3, 4), torch.int64)],
    "_unsafe_view": lambda: [call("_unsafe_view", n(3, 4, 5), [12, 5]), call("_unsafe_view", n(6), [2, 1, 3])],
    "zeros": lambda: created("zeros"), "ones": lambda: created("ones"), "full": lambda: created("full", 2.5),
    "zeros_like": lambda: created("zeros_like"), "ones_like": lambda: created("ones_like"),
    "full_like": lambda: created("full_like", 2.5), "new_zeros": lambda: created("new_zeros"),
    "new_ones": lambda: created("new_ones"), "new_full": lambda: created("new_full", 2.5),
    "scalar_tensor": lambda: [call("scalar_tensor", 2.5, dtype=FLOAT)],
    "arange": lambda: [call("arange", 7), call("arange", 7, dtype=FLOAT)],
    "arange.start": lambda: [call("arange.start", 2, 9), call("arange.start", 0.5, 5, dtype=FLOAT)],
    "arange.start_step": lambda: [call("arange.start_step", 9, 2, -2),
        call("arange.start_step", 0, 1, 0.25, dtype=FLOAT)],
    "linspace": lambda: [call("linspace", a, 2.5, steps, dtype=FLOAT)
        for a, steps in ((0, 1), (-1, 2), (1, 7), (0.1, 50))],
    "eye": lambda: [call("eye", 4, dtype=FLOAT), call("eye.m", 3, 5, dtype=FLOAT)],
    "empty": lambda: [call("empty.memory_format", [3, 4])], "empty_like": lambda: [call("empty_like", n(3))],
    "empty_strided": lambda: [call("empty_strided", [3, 4], [4, 1])], "new_empty": lambda: [
        call("new_empty", n(3), [2])],
    "new_empty_strided": lambda: [call("new_empty_strided", n(3), [2], [1])],
    "_local_scalar_dense": list, "equal": list,
    "t": lambda: [call("t", n(3, 4))], "squeeze": lambda: [call("squeeze.dim", n(3, 1, 4), 1),
        call("squeeze", n(1, 3))],
    "unsqueeze": lambda: [call("unsqueeze", n(3, 4), dim) for dim in (0, 1, -1)],
    "transpose": lambda: [call("transpose.int", n(*SHAPE), one, two) for one, two in ((0, 1), (-1, 0), (1, -1))],
    # random draws
    "bernoulli": lambda: [call("bernoulli", u(3) / 2), call("bernoulli.p", n(3), 0.5)],
    "exponential": lambda: [call("exponential", n(3))], "geometric": lambda: [call("geometric", n(3), 0.5)],
    "log_normal": lambda: [call("log_normal", n(3))], "cauchy": lambda: [call("cauchy", n(3))],
    "multinomial": lambda: [call("multinomial", u(3, 5), 2)], "poisson": lambda: [call("poisson", u(3))],
    "normal": lambda: [call("normal.Tensor_Tensor", n(3), u(3))], "random": lambda: [call("random", n(3))],
    "rand": lambda: [call("rand", [3])], "randn": lambda: [call("randn", [3])], "rand_like": lambda: [
        call("rand_like", n(3))],
    "randn_like": lambda: [call("randn_like", n(3))], "randint": lambda: [call("randint", 5, [3])],
    "randint_like": lambda: [call("randint_like", n(3), 5)], "randperm": lambda: [call("randperm", 5)],
    "uniform": lambda: [call("uniform", n(3))], "_sample_dirichlet": lambda: [call("_sample_dirichlet", u(3, 4))],
    "_standard_gamma": lambda: [call("_standard_gamma", u(3))],
    "rrelu_with_noise": lambda: [call("rrelu_with_noise", n(3), n(3), 0.1, 0.3, True)],
    "native_dropout": lambda: [call("native_dropout", n(3, 4), 0.3, True), call("native_dropout", n(3, 4), 0.3, False)],
    "native_dropout_backward": lambda: [call("native_dropout_backward", n(3, 4), b(3, 4), 1.4)],
    # functions whose schema says too little
    "pow": lambda: [
        *(call("pow.Tensor_Scalar", u(3, 4), p) for p in (2, 0.5, -1.5, 3, 0)), call("pow.Tensor_Scalar", n(3, 4), 2),
        call("pow.Scalar", 1.7, n(3, 4)), call("pow.Tensor_Tensor", u(3, 4), n(4)),
        call("pow.Tensor_Scalar", n(3, 4), 3),
    ],
    "clamp": lambda: [
        call("clamp", n(3, 4), -0.4, 0.6), call("clamp", n(3, 4), 0), call("clamp", n(3, 4), None, 0.0),
        call("clamp.Tensor", n(3, 4), n(4), n(4) + 1), call("clamp.Tensor", n(3, 4), None, n(3, 4)),
    ],
    "xlogy": lambda: [call("xlogy.Tensor", torch.tensor([0.0, 0, 2, 0.5], dtype=FLOAT),
        torch.tensor([0.0, 3, 0.4, 2], dtype=FLOAT))],
    "heaviside": lambda: [call("heaviside", torch.tensor([-1.0, 0, 2], dtype=FLOAT), n(3))],
    "isnan": lambda: [call("isnan", torch.tensor([1.0, float("nan"), float("inf")], dtype=FLOAT))],
    "isinf": lambda: [call("isinf", torch.tensor([1.0, float("nan"), float("-inf")], dtype=FLOAT))],
    "nansum": lambda: [call("nansum", torch.tensor([[1.0, float("nan")], [2, 3]], dtype=FLOAT), dim)
        for dim in ([1], [0], None)],
    "isin": lambda: [call("isin.Tensor_Tensor", w(9, 3, 4), w(9, 2, 2), invert=flag) for flag in (False, True)],
    "isin.Tensor_Scalar": lambda: [call("isin.Tensor_Scalar", w(3, 3, 4), 2, invert=flag) for flag in (False, True)],
    "_is_all_true": lambda: [call("_is_all_true", b(3)), call("_is_all_true", torch.ones(3, dtype=torch.bool))],
    "_is_any_true": lambda: [call("_is_any_true", b(3)), call("_is_any_true", torch.zeros(3, dtype=torch.bool))],
    "round.decimals": lambda: [call("round.decimals", 100 * n(3, 4), decimals=d) for d in (0, 2, -1)],
    "hardswish_backward": lambda: [
        call("hardswish_backward", n(7), torch.tensor([-4.0, -3, -1, 0, 2, 3, 4], dtype=FLOAT))],
    "hardsigmoid_backward": lambda: [
        call("hardsigmoid_backward", n(7), torch.tensor([-4.0, -3, -1, 0, 2, 3, 4], dtype=FLOAT))],
    "elu_backward": lambda: [call("elu_backward", n(3, 4), 1.2, 1.1, 0.9, is_result, n(3, 4))
        for is_result in (False, True)],
    "rrelu_with_noise_backward": lambda: [
        call("rrelu_with_noise_backward", n(3, 4), n(3, 4), u(3, 4), 0.1, 0.3, training, False)
        for training in (False, True)
    ],
    "glu": lambda: [call("glu", n(4, 6), dim) for dim in (0, 1, -1)],
    "glu_backward": lambda: [call("glu_backward", n(*g), n(4, 6), dim) for g, dim in (((2, 6), 0), ((4, 3), 1),
        ((4, 3), -1))],
    "leaky_relu_backward": lambda: [call("leaky_relu_backward", n(3, 4), n(3, 4), 0.2, False)],
    "log_sigmoid_backward": lambda: [call("log_sigmoid_backward", n(4), x := n(4), torch.exp(-abs(x)))],
    "_prelu_kernel": lambda: [call("_prelu_kernel", n(3, 4, 5), n(1, 4, 1)), call("_prelu_kernel", n(3, 4), n(1))],
    "_prelu_kernel_backward": lambda: [call("_prelu_kernel_backward", n(3, 4), n(3, 4), n(3, 4))],
    # reductions
    "var.correction": lambda: reductions("var.correction"), "std.correction": lambda: reductions("std.correction"),
    "var_mean.correction": lambda: reductions("var_mean.correction"),
    "std_mean.correction": lambda: reductions("std_mean.correction"),
    "norm.ScalarOpt_dim": lambda: [call("norm.ScalarOpt_dim", n(*SHAPE), p, [1], True)
        for p in (None, 1, 2, 3, float("inf"))],
    "bincount": lambda: [call("bincount", w(6, 9)), call("bincount", w(6, 9), n(9), 8)],
    "trace": lambda: [call("trace", n(4, 5)), call("trace", n(3, 3))],
    # products
    "mm": lambda: [call("mm", n(3, 4), n(4, 5)), call("mm", n(1, 4), n(4, 1)), call("mm", n(3, 4).T, n(5, 3).T)],
    "bmm": lambda: [call("bmm", n(2, 3, 4), n(2, 4, 5))], "mv": lambda: [call("mv", n(3, 4), n(4))],
    "dot": lambda: [call("dot", n(5), n(5))], "vdot": lambda: [call("vdot", n(5), n(5))],
    "addmm": lambda: [call("addmm", n(*s), n(3, 4), n(4, 5), beta=0.5, alpha=2)
        for s in ((5,), (3, 5), (3, 1), (1, 5), ())],
    "baddbmm": lambda: [call("baddbmm", n(*s), n(2, 3, 4), n(2, 4, 5), beta=0.5, alpha=2)
        for s in ((2, 3, 5), (3, 5), (5,), (2, 1, 5))],
    "addbmm": lambda: [call("addbmm", n(3, 5), n(2, 3, 4), n(2, 4, 5), beta=0.5, alpha=2)],
    "addmv": lambda: [call("addmv", n(*s), n(3, 4), n(4), beta=0.5, alpha=2) for s in ((3,), ())],
    "addr": lambda: [call("addr", n(*s), n(3), n(4), beta=0.5, alpha=2) for s in ((3, 4), (4,))],
    "linalg_cross": lambda: [call("linalg_cross", n(4, 3), n(4, 3)), call("linalg_cross", n(3, 4), n(3, 4), dim=0)],
    "_cdist_forward": lambda: cdists(False), "_cdist_backward": lambda: cdists(True),
    # softmax
    "_safe_softmax": lambda: [
        call("_safe_softmax", torch.tensor([[1.0, 2, 0.5], [-float("inf")] * 3, [1, -float("inf"), 2]], dtype=FLOAT), -1),
        *along("_safe_softmax"),
    ],
    "_log_softmax_backward_data": lambda: [
        call("_log_softmax_backward_data", n(3, 4, 5), n(3, 4, 5).log_softmax(dim), dim, FLOAT) for dim in (0, 1, -1)
    ],
    "_softmax_backward_data": lambda: [
        call("_softmax_backward_data", n(3, 4, 5), n(3, 4, 5).softmax(dim), dim, FLOAT) for dim in (0, 1, -1)
    ],
    # norms
    "native_layer_norm": layer_norms, "native_layer_norm_backward": layer_norm_backwards,
    "_fused_rms_norm": lambda: [call("_fused_rms_norm", n(3, 4, 5), s, x, 1e-5)
        for s, x in (([5], n(5)), ([4, 5], n(4, 5)), ([5], None))],
    "native_group_norm": group_norms, "native_group_norm_backward": group_norm_backwards,
    "native_batch_norm": batch_norms, "native_batch_norm_backward": batch_norm_backwards,
    "_weight_norm_interface": lambda: weight_norms(False),
    "_weight_norm_interface_backward": lambda: weight_norms(True),
    # losses
    "binary_cross_entropy_with_logits": bce_with_logits,
    "nll_loss_forward": lambda: nll("nll_loss", (4, 5), False) + nll("nll_loss", (5,), False),
    "nll_loss_backward": lambda: nll("nll_loss", (4, 5), True) + nll("nll_loss", (5,), True),
    "nll_loss2d_forward": lambda: nll("nll_loss2d", (2, 5, 3, 4), False),
    "nll_loss2d_backward": lambda: nll("nll_loss2d", (2, 5, 3, 4), True),
    "multi_margin_loss": lambda: margins(False), "multi_margin_loss_backward": lambda: margins(True),
    # tables and indexing
    "embedding": lambda: [call("embedding", n(6, 4), w(6, *s)) for s in ((3,), (2, 3), ())],
    "embedding_dense_backward": lambda: [
        call("embedding_dense_backward", n(*s, 4), w(6, *s), 6, padding, scale)
        for s, padding, scale in (((7,), -1, False), ((3, 4), 2, False), ((9,), 1, True))
    ],
    "embedding_renorm": lambda: [call("embedding_renorm", 2 * n(6, 4), w(6, 3), 1.0, p) for p in (2.0, 1.0)],
    "_embedding_bag": embedding_bags, "_embedding_bag_backward": embedding_bag_backwards,
    "_embedding_bag_dense_backward": embedding_bag_dense_backwards,
    "_embedding_bag_per_sample_weights_backward": lambda: [
        call("_embedding_bag_per_sample_weights_backward", n(2, 4), n(6, 4), w(6, 5), torch.tensor([0, 2]),
             torch.tensor([0, 0, 1, 1, 1]), 0)
    ],
    "gather": lambda: [call("gather", n(*SHAPE), 1, w(4, 3, 7, 5)), call("gather", n(*SHAPE), -1, w(5, 2, 1, 3)),
        call("gather", n(*SHAPE), 0, w(3, 4, 4, 5))],
    "index_select": lambda: [call("index_select", n(*SHAPE), dim, w(3, 6)) for dim in (0, 1, -1)],
    "take": lambda: [call("take", n(3, 4), torch.tensor([[0, -1], [11, 5]]))],
    "put": lambda: [call("put", n(3, 4), distinct(12, 5), n(5), False), call("put", n(3, 4), w(12, 5), n(5), True)],
    "index.Tensor": lambda: [call("index.Tensor", x, i) for x, i in indexings()],
    "_unsafe_index": lambda: [call("_unsafe_index.Tensor", x, i) for x, i in indexings()[:4]],
    "index_put": lambda: index_puts("index_put"),
    "_unsafe_index_put": lambda: index_puts("_unsafe_index_put"),
    "masked_select": lambda: [call("masked_select", n(3, 4), b(*s)) for s in ((3, 4), (4,))],
    "masked_scatter": lambda: [call("masked_scatter", n(3, 4), b(*s), n(15)) for s in ((3, 4), (4,))],
    "masked_scatter_backward": lambda: [call("masked_scatter_backward", n(3, 4), b(3, 4), [15])],
    "scatter.src": lambda: scatters("scatter.src"), "scatter.value": lambda: scatters("scatter.value", 1.5),
    "scatter_add": lambda: scatters("scatter_add"),
    "scatter_reduce.two": lambda: [
        d for how in ("sum", "prod", "mean", "amax", "amin") for self_too in (True, False)
        for d in scatters("scatter_reduce.two", reduce=how, include_self=self_too)
    ],
    "index_add": lambda: [call("index_add", n(*SHAPE), dim, torch.tensor([0, 2, 0]), n(*s), alpha=0.5)
        for dim, s in ((0, (3, 4, 5)), (1, (3, 3, 5)), (-1, (3, 4, 3)))],
    "index_copy": lambda: [call("index_copy", n(*SHAPE), dim, torch.tensor([2, 0]), n(*s))
        for dim, s in ((0, (2, 4, 5)), (-1, (3, 4, 2)))],
    "index_fill": lambda: [call("index_fill.int_Scalar", n(*SHAPE), 1, torch.tensor([3, 0]), 2.5),
        call("index_fill.int_Tensor", n(*SHAPE), -1, torch.tensor([3]), n())],
    "searchsorted": lambda: [
        *(call("searchsorted.Tensor", torch.tensor([0.0, 1, 2, 2, 3], dtype=FLOAT),
        torch.tensor([[2.0, 0.5], [3, 9]], dtype=FLOAT), right=r) for r in (False, True)),
        call("searchsorted.Tensor", n(3, 5).sort(-1)[0], n(3, 4), side="right"),
    ],
    "bucketize": lambda: [call("bucketize.Tensor", torch.tensor([[2.0, 0.5], [3, 9]], dtype=FLOAT),
        torch.tensor([0.0, 2, 3], dtype=FLOAT), right=r) for r in (False, True)],
    # sorting
    "topk": lambda: sorted_draws("topk"), "sort": lambda: sorted_draws("sort") + sorted_draws("sort.stable"),
    "kthvalue": lambda: sorted_draws("kthvalue"),
    "_unique2": lambda: [call("_unique2", w(5, 3, 4), True, True, True), call("_unique2", n(6), True, True, True)],
    "nonzero": lambda: [call("nonzero", b(3, 4))],
    # rearranging
    "cat": lambda: [
        *(call("cat", [n(2, 3, 4), n(2, 5, 4), n(2, 1, 4)], dim) for dim in (1, -2)), call("cat", [n(3), n(2)]),
        call("cat", [n(0), n(2, 3), n(1, 3)], 0), call("cat", [n(0), n(2, 3, 4)], -2),
    ],
    "stack": lambda: [call("stack", [n(3, 4), n(3, 4)], dim) for dim in (0, 1, -1)],
    "repeat_interleave.Tensor": lambda: [call("repeat_interleave.Tensor", torch.tensor([2, 0, 1, 3]))],
    "repeat": lambda: [call("repeat", n(3, 4), r) for r in ([2, 3], [2, 1, 3], [1, 1])] + [call("repeat", n(), [3])],
    "flip": lambda: [call("flip", n(*SHAPE), dims) for dims in ([0], [-1, 0], [1, 2])],
    "roll": lambda: [call("roll", n(*SHAPE), s, d) for s, d in (([1], [0]), ([2, -1], [-1, 0]), ([7], [1]), ([3], []))],
    "diag_embed": lambda: [call("diag_embed", n(3, 4), o, one, two)
        for o, one, two in ((0, -2, -1), (1, 0, 1), (-2, 0, 2))],
    "diagonal_backward": lambda: diagonals("diagonal_backward"), "diagonal_copy": lambda: diagonals("diagonal_copy"),
    "diagonal_scatter": lambda: diagonals("diagonal_scatter"),
    "select_backward": lambda: [call("select_backward", n(*s), list(SHAPE), d, i) for s, d, i in (((4, 5), 0, 1),
        ((3, 5), 1, -1), ((3, 4), -1, 2))],
    "select_scatter": lambda: [call("select_scatter", n(*SHAPE), n(*s), d, i) for s, d, i in (((4, 5), 0, 1),
        ((3, 5), 1, -1), ((3, 4), -1, 2))],
    "slice_backward": lambda: slices("slice_backward"), "slice_scatter": lambda: slices("slice_scatter"),
    "unfold_backward": lambda: [
        call("unfold_backward", n(*torch.zeros(3, 7).unfold(d, size, step).shape), [3, 7], d, size, step)
        for d, size, step in ((1, 3, 2), (-1, 2, 1), (0, 2, 1))
    ],
    "pixel_shuffle": lambda: [call("pixel_shuffle", n(2, 8, 3, 4), 2), call("pixel_shuffle", n(9, 2, 3), 3)],
    "pixel_unshuffle": lambda: [call("pixel_unshuffle", n(2, 2, 4, 6), 2), call("pixel_unshuffle", n(1, 6, 3), 3)],
    "channel_shuffle": lambda: [call("channel_shuffle", n(2, 6, 3, 4), g) for g in (2, 3)],
    "constant_pad_nd": lambda: [call("constant_pad_nd", n(3, 4, 5), p, v)
        for p, v in (([1, 2], 0), ([1, 0, 2, 1], 0.5), ([-1, 2, 0, -2], -1), ([0, 0, 0, 0, 1, 1], 3))],
    # convolution and pooling
    "convolution": convolutions, "convolution_backward": convolution_backwards,
    "conv_tbc": lambda: [call("conv_tbc", n(6, 2, 3), n(3, 3, 4), n(4), pad) for pad in (0, 1)],
    "fractional_max_pool2d": lambda: fractional(False), "fractional_max_pool2d_backward": lambda: fractional(True),
}  # fmt: skip


def reductions(name: str) -> list[Draw]:
    return [
        call(name, n(*SHAPE), dim, correction=correction, keepdim=keep)
        for dim, correction, keep in (
            (None, None, False),
            ([1], 0, True),
            ([0, 2], 1, False),
            ([-1], 2.5, True),
            (None, 0, True),
        )
    ]


ADAPTIVE = (
    ("_adaptive_avg_pool2d", 2), ("_adaptive_avg_pool3d", 3), ("adaptive_max_pool2d", 2), ("adaptive_max_pool3d", 3),
)  # fmt: skip


def _add_families() -> None:
    for name, axes in (
        ("max_pool2d_with_indices", 2),
        ("max_pool3d_with_indices", 3),
        ("avg_pool2d", 2),
        ("avg_pool3d", 3),
    ):
        has = name.startswith("max")
        BY_HAND[name] = lambda name=name, axes=axes, has=has: pools(name, axes, has)
        BY_HAND[f"{name}_backward"] = lambda name=name, axes=axes, has=has: pool_backwards(name, axes, has)
    for name, axes in ADAPTIVE:
        BY_HAND[name] = lambda name=name, axes=axes: adaptive(name, axes)
        BY_HAND[f"{name}_backward"] = lambda name=name, axes=axes: adaptive_backwards(name, axes)
    for kind, axes in (
        ("linear", 1),
        ("bilinear", 2),
        ("trilinear", 3),
        ("bicubic", 2),
        *(("nearest", a) for a in (1, 2, 3)),
    ):
        for name in (f"upsample_{kind}{axes}d", *([f"_upsample_nearest_exact{axes}d"] if kind == "nearest" else [])):
            BY_HAND[name] = lambda name=name, axes=axes: upsamplings(name, axes)
            BY_HAND[f"{name}_backward"] = lambda name=name, axes=axes: upsamplings(name, axes, True)
    for kind in ("reflection", "replication"):
        for axes in (1, 2, 3):
            name = f"{kind}_pad{axes}d"
            BY_HAND[name] = lambda name=name, axes=axes: paddings(name, axes, False)
            BY_HAND[f"{name}_backward"] = lambda name=name, axes=axes: paddings(name, axes, True)


_add_families()


def draws(key: str) -> list[Draw]:
    """Return the calls that test a line."""
    torch.manual_seed(zlib.crc32(key.encode()))
    return BY_HAND[key]() if key in BY_HAND else by_schema(key)
