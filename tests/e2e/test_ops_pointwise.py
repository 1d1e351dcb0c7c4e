"""Elementwise ops against eager PyTorch: every op, dtypes, special values, layouts."""

import math

import harness
import layouts
import optable
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.export import Dim

INF, NAN = math.inf, math.nan
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
INTS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]

# --- one operand --------------------------------------------------------------

UNARY = {
    name: getattr(torch, name)
    for name in [
        "neg",
        "abs",
        "sign",
        "floor",
        "ceil",
        "trunc",
        "round",
        "frac",
        "reciprocal",
        "square",
        "sqrt",
        "rsqrt",
        "exp",
        "exp2",
        "expm1",
        "log",
        "log2",
        "log10",
        "log1p",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "acosh",
        "atanh",
        "erf",
        "erfc",
        "sigmoid",
        "relu",
        "isnan",
        "isinf",
        "isfinite",
        "logical_not",
        "nan_to_num",
    ]
}
ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "elu": lambda x: F.elu(x, 1.5),
    "celu": lambda x: F.celu(x, 0.7),
    "selu": F.selu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "relu6": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, -0.5, 1.5),
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardshrink": lambda x: F.hardshrink(x, 0.4),
    "softplus": lambda x: F.softplus(x, beta=2, threshold=5),
    "logsigmoid": F.logsigmoid,
    "threshold": lambda x: F.threshold(x, 0.1, 20.0),
    "clamp": lambda x: x.clamp(-0.5, 0.75),
    "clamp_min": lambda x: x.clamp(min=0.25),
    "clamp_max": lambda x: x.clamp(max=0.25),
    "pow2": lambda x: x**2,
    "pow3": lambda x: x**3,
    "pow_half": lambda x: x**0.5,
    "pow_minus2": lambda x: x**-2,
    "pow_real": lambda x: x**2.3,
    "pow_of_number": lambda x: 2.5**x,
    "add_number": lambda x: x + 1.7,
    "mul_number": lambda x: x * 1.7,
    "div_number": lambda x: x / 1.7,
    "rsub": lambda x: 1.5 - x,
    "rdiv": lambda x: 1.5 / x,
    "floor_div_number": lambda x: x // 0.7,
    "remainder_number": lambda x: x % 0.7,
    "glu": lambda x: F.glu(x, -1),
}


def ordinary(dtype: torch.dtype, shape: tuple[int, ...] = (3, 46)) -> torch.Tensor:
    return layouts.values(list(shape), dtype, 3)


def special(dtype: torch.dtype) -> torch.Tensor:
    """Zeros of both signs, infinities, NaN, the ends of the range, and where ops turn."""
    info = torch.finfo(dtype)
    numbers = [0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -3.0, 6.0]
    ends = [info.max, info.min, info.tiny, -info.tiny, info.eps, 1 + info.eps]
    return torch.tensor(
        [*numbers, *ends, 20.0, -20.0, 88.0, -88.0, 100.0, -100.0, 1e4], dtype=dtype
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_one_operand(tmp_path, dtype):
    x = ordinary(dtype)
    optable.check_rows(tmp_path, UNARY | ACTIVATIONS, (x,), (x * 30,), (x * 0.01,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_one_operand_at_special_values(tmp_path, dtype):
    rows = {**UNARY, **ACTIVATIONS}
    del rows["glu"]
    # Eager's vector code gives NaN or infinity for large operands that have a result.
    rows["gelu"] = lambda x: F.gelu(x.clamp(-1e4, 1e4))
    rows["remainder_number"] = lambda x: x.clamp(-1e4, 1e4) % 0.7
    optable.check_rows(tmp_path, rows, (special(dtype),))


def test_one_operand_decomposed(tmp_path):
    optable.check_rows(tmp_path, UNARY | ACTIVATIONS, (ordinary(torch.float32),), decomposed=True)


@pytest.mark.parametrize("dtype", [*INTS, torch.bool], ids=str)
def test_one_integer_operand(tmp_path, dtype):
    x = ordinary(dtype)
    left_out = {"rsqrt", "glu", "frac", "nan_to_num"}
    if dtype == torch.bool:
        left_out |= {"neg", "abs", "floor", "ceil", "trunc", "round", "sign", "relu", "square"}
    else:
        left_out |= {"asin", "acos", "acosh", "atanh"}
    rows = {name: row for name, row in UNARY.items() if name not in left_out}
    rows |= {
        "times_number": lambda x: x * 3,
        "plus_real": lambda x: x + 0.5,
        "divided": lambda x: x / 4,
        "compared": lambda x: x > 2,
        "equal_real": lambda x: x == 2.5,
    }
    if dtype != torch.bool:
        rows |= {
            "relu6": F.relu6,
            "clamped": lambda x: x.clamp(-3, 7) if dtype != torch.uint8 else x.clamp(3, 7),
            "floor_divided": lambda x: x // 7,
            "remainder": lambda x: x % 7,
            "bitwise_not": torch.bitwise_not,
            "wrapped": lambda x: x * x * x + 100,
        }
    optable.check_rows(tmp_path, rows, (x,))


# --- two operands -------------------------------------------------------------

BINARY = {
    "add": torch.add,
    "add_alpha": lambda a, b: torch.add(a, b, alpha=3),
    "sub": torch.sub,
    "sub_alpha": lambda a, b: torch.sub(a, b, alpha=2),
    "mul": torch.mul,
    "div": torch.div,
    "div_floor": lambda a, b: torch.div(a, b, rounding_mode="floor"),
    "div_trunc": lambda a, b: torch.div(a, b, rounding_mode="trunc"),
    "floor_divide": torch.floor_divide,
    "fmod": torch.fmod,
    "remainder": torch.remainder,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "where": lambda a, b: torch.where(a > b, a, b),
    "where_number": lambda a, b: torch.where(a > b, a, 2),
    "masked_fill": lambda a, b: a.masked_fill(a > b, 3),
}
FLOAT_BINARY = {
    "atan2": torch.atan2,
    "pow": lambda a, b: a.abs() ** b,
    "pow_signed": torch.pow,
    "lerp": lambda a, b: torch.lerp(a, b, 0.3),
    "lerp_tensor": lambda a, b: torch.lerp(a, b, a.sigmoid()),
    "addcmul": lambda a, b: torch.addcmul(a, a, b, value=0.5),
    "addcdiv": lambda a, b: torch.addcdiv(a, a, b, value=0.5),
    "prelu": lambda a, b: torch.where(a > 0, a, a * b),
    "clamp_tensor": lambda a, b: torch.clamp(a, b - 0.5, b + 0.5),
}
BITS = {
    "bitwise_and": torch.bitwise_and,
    "bitwise_or": torch.bitwise_or,
    "bitwise_xor": torch.bitwise_xor,
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_two_operands(tmp_path, dtype):
    a, b = ordinary(dtype), layouts.values([3, 46], dtype, 5) + 0.01
    optable.check_rows(tmp_path, BINARY | FLOAT_BINARY, (a, b))


def test_two_operands_decomposed(tmp_path):
    a, b = ordinary(torch.float32), layouts.values([46], torch.float32, 5)
    optable.check_rows(tmp_path, BINARY | FLOAT_BINARY, (a, b), decomposed=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_two_operands_at_special_values(tmp_path, dtype):
    values = torch.tensor([0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 2.5, -2.5, 7.0], dtype=dtype)
    a, b = (t.flatten().contiguous() for t in torch.meshgrid(values, values, indexing="ij"))
    rows = {**BINARY, **FLOAT_BINARY}
    optable.check_rows(tmp_path, rows, (a, b))


@pytest.mark.parametrize("dtype", INTS, ids=str)
def test_two_integer_operands(tmp_path, dtype):
    a, b = ordinary(dtype), layouts.values([3, 46], dtype, 5)
    b = torch.where(b == 0, 7, b).to(dtype)
    optable.check_rows(tmp_path, BINARY | BITS, (a, b))


def test_two_bool_operands(tmp_path):
    a, b = ordinary(torch.bool), layouts.values([3, 46], torch.bool, 5)
    names = ["add", "mul", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "where", "div"]  # fmt: skip  # noqa: E501
    rows = {name: BINARY[name] for name in names} | BITS
    optable.check_rows(tmp_path, rows, (a, b))


def test_integer_extremes(tmp_path):
    low = torch.iinfo(torch.int64).min
    a = torch.tensor([low, low, low + 1, -(low + 1), 7, -7, 7, -7])
    b = torch.tensor([1, 3, 2, -2, 2, 2, -2, -2])
    names = [
        "add",
        "sub",
        "mul",
        "div",
        "div_floor",
        "div_trunc",
        "floor_divide",
        "fmod",
        "remainder",
        "maximum",
        "lt",
    ]
    optable.check_rows(tmp_path, {n: BINARY[n] for n in names}, (a, b))


MIXED = [
    (torch.int64, torch.float32),
    (torch.bool, torch.int32),
    (torch.int32, torch.int64),
    (torch.float32, torch.float64),
    (torch.float16, torch.float32),
    (torch.bfloat16, torch.float16),
    (torch.uint8, torch.int8),
    (torch.int16, torch.float16),
    (torch.bool, torch.float32),
]


@pytest.mark.parametrize(("left", "right"), MIXED, ids=str)
def test_dtypes_promote(tmp_path, left, right):
    a, b = ordinary(left, (2, 19)), layouts.values([19], right, 5)
    names = ["add", "mul", "div", "eq", "lt", "maximum", "where", "logical_and"]
    rows = {name: BINARY[name] for name in names}
    rows |= {
        f"{name}_0d": (lambda f: lambda a, b: f(a, b[0]))(BINARY[name])
        for name in ("add", "mul", "div")
    }
    optable.check_rows(tmp_path, rows, (a, b))


ALL = [torch.bool, *INTS, *FLOATS]


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_conversions(tmp_path, dtype):
    rows = {str(to): (lambda to: lambda x: x.to(to))(to) for to in ALL if to != dtype}  # noqa: B023
    x = ordinary(dtype)
    optable.check_rows(tmp_path, rows, (x.abs() if dtype.is_floating_point else x,))


def test_float_to_bool_and_rounding(tmp_path):
    x = torch.tensor([0.0, -0.0, NAN, INF, 0.1, -0.9, 1e-40, 65504.0, 65520.0, 3.389e38])
    rows = {"bool": torch.Tensor.bool, "half": torch.Tensor.half, "bfloat16": torch.Tensor.bfloat16}
    optable.check_rows(tmp_path, rows, (x,))


# --- layouts ------------------------------------------------------------------

FEW = {
    "mul_add": lambda a, b: a * b + a,
    "where": lambda a, b: torch.where(a > b, a, b),
    "exp": lambda a, b: a.exp(),
    "compare": lambda a, b: a < b,
    "to_int": lambda a, b: (a * 4).int(),
}


@given(st.data())
def test_layouts(tmp_path_factory, data):
    shape = data.draw(layouts.sizes(max_rank=5, max_size=17))
    small = [1 if data.draw(st.booleans()) else n for n in shape]
    small = small[data.draw(st.integers(0, len(shape))) :]
    a = data.draw(layouts.tensors(shape))
    b = data.draw(layouts.tensors(small))
    optable.check_rows(tmp_path_factory.mktemp("m"), FEW, (a, b))


def test_channels_last_and_mixed_layouts(tmp_path):
    a = torch.randn(2, 5, 4, 6).to(memory_format=torch.channels_last)
    b = torch.randn(5, 1, 1)
    c = torch.randn(2, 5, 4, 6)
    rows = {
        "alone": lambda a, b, c: a * 2,
        "broadcast": lambda a, b, c: a + b,
        "both": lambda a, b, c: a + c,
        "other_first": lambda a, b, c: c + a,
        "relu": lambda a, b, c: a.relu(),
        "where": lambda a, b, c: torch.where(c > 0, a, b),
        "chain": lambda a, b, c: ((a + b).tanh() * c).permute(0, 2, 3, 1) + 1,
    }
    optable.check_rows(tmp_path, rows, (a, b, c))


def test_high_rank(tmp_path):
    a = torch.randn(2, 1, 3, 1, 2, 1, 2, 3).permute(7, 0, 2, 1, 3, 5, 4, 6)
    b = torch.randn(1, 1, 2, 1, 1, 3).permute(5, 0, 1, 3, 4, 2)
    optable.check_rows(tmp_path, FEW, (a, b))


def test_dynamic_sizes(tmp_path):
    n, m = Dim("n", min=1, max=100), Dim("m", min=1, max=100)
    shapes = ({0: n, 1: m}, {0: m})
    make = lambda n, m: (torch.randn(n, m), torch.randn(m))  # noqa: E731
    sizes = [(1, 1), (1, 17), (9, 1), (8, 16), (100, 100), (3, 5)]
    optable.check_rows(
        tmp_path, FEW, make(4, 6), *(make(*each) for each in sizes), dynamic_shapes=shapes
    )


# --- errors when it runs ------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8], ids=str)
@pytest.mark.parametrize(
    "op", [lambda a, b: a // b, lambda a, b: a % b, torch.fmod], ids=["floor", "mod", "fmod"]
)
def test_division_of_integers_by_zero(tmp_path, dtype, op):
    good = torch.arange(1, 20, dtype=dtype)
    compiled = harness.compile_module(tmp_path, optable.Function(op), (good * 3, good))
    compiled.check(good * 3, good)
    bad = good.clone()
    bad[17] = 0
    with pytest.raises(harness.capi.RtorchError, match="ZeroDivisionError") as caught:
        compiled(good, bad)
    assert "optable.py:" in str(caught.value)  # where the graph's node comes from
    compiled.check(good, good)


@pytest.mark.parametrize("left", [torch.float32, torch.int64, torch.bool])
@pytest.mark.parametrize("right", [torch.float32, torch.int32])
def test_strides_follow_the_promoted_operands(tmp_path, left, right):
    """Operands of other dtypes become dense before the result's strides are chosen, those of
    logical ops that are of one dtype do not.
    """
    rows = {
        "or": torch.logical_or,
        "and": torch.logical_and,
        "add": torch.add,
        "less": torch.lt,
        "atan2": torch.atan2,
    }
    a = layouts.values([7, 3, 4, 2], left, 1).as_strided([7, 3, 2, 2], [24, 0, 4, 1])
    for strides in ([6, 1, 3, 3], [12, 4, 1, 0]):
        b = layouts.values([200], right, 2).as_strided([7, 3, 2, 1], strides)
        optable.check_rows(tmp_path, rows, (a, b))
