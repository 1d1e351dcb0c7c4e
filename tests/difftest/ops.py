"""The statements that random programs are made of, by family.

Each family looks at the values there are and proposes one statement. A proposal need not
be valid: eager PyTorch decides.
"""

import random
from collections.abc import Callable

import torch

Values = dict[str, torch.Tensor]
# Code with {0}, {1}, ... for the operands, their names, and the number of results.
Proposal = tuple[str, tuple[str, ...], int]
Family = Callable[[random.Random, Values], Proposal | None]


def propose(rng: random.Random, values: Values) -> Proposal | None:
    """One statement on some of these values, or None where the chosen family has none."""
    family = rng.choices(list(_FAMILIES), weights=list(_FAMILIES.values()))[0]
    return family(rng, values)


# --- choosing operands --------------------------------------------------------


def _pick(rng: random.Random, values: Values, accept=lambda v: True) -> str | None:
    """A value that fits, later ones more often."""
    names = [name for name, value in values.items() if accept(value)]
    if not names:
        return None
    return rng.choice(names[-3:] if rng.random() < 0.5 else names)


def _is_float(value: torch.Tensor) -> bool:
    return value.dtype.is_floating_point


def _is_int(value: torch.Tensor) -> bool:
    return not _is_float(value) and value.dtype != torch.bool


def _has_dims(count: int) -> Callable[[torch.Tensor], bool]:
    return lambda value: value.dim() >= count


def _broadcasts(a: torch.Tensor, b: torch.Tensor) -> bool:
    pairs = zip(reversed(a.shape), reversed(b.shape), strict=False)
    return all(m == n or 1 in (m, n) for m, n in pairs)


def _partner(rng: random.Random, values: Values, name: str) -> str | None:
    """A value that broadcasts with this one, mostly of the same dtype."""
    first = values[name]
    any_dtype = rng.random() < 0.25

    def fits(value: torch.Tensor) -> bool:
        return _broadcasts(first, value) and (any_dtype or value.dtype == first.dtype)

    return _pick(rng, values, fits)


def _dim(rng: random.Random, value: torch.Tensor) -> int:
    rank = max(value.dim(), 1)
    return rng.randrange(-rank, rank)


def _dims(rng: random.Random, value: torch.Tensor) -> list[int]:
    rank = value.dim()
    return sorted(rng.sample(range(rank), rng.randint(1, rank))) if rank else []


def _one(code: str, *operands: str | None) -> Proposal | None:
    return None if None in operands else (code, operands, 1)


# --- elementwise --------------------------------------------------------------

_FLOAT_UNARY = [
    *("torch.tanh({0})", "torch.sigmoid({0})", "torch.sin({0})", "torch.cos({0})"),
    *("torch.erf({0})", "torch.relu({0})", "F.gelu({0})", "F.silu({0})", "F.softplus({0})"),
    *("torch.exp({0}.clamp(max=3.0))", "torch.log({0}.abs() + 0.5)", "torch.sqrt({0}.abs())"),
    *("torch.rsqrt({0}.abs() + 1.0)", "torch.reciprocal({0}.abs() + 0.5)", "torch.log1p({0}.abs())"),  # noqa: E501
    *("torch.floor({0})", "torch.ceil({0})", "torch.round({0})", "torch.trunc({0})"),
    *("F.leaky_relu({0}, 0.1)", "F.elu({0})", "F.hardtanh({0})", "F.hardswish({0})"),
    *("torch.square({0})", "torch.frac({0})", "torch.isnan({0})", "torch.expm1({0}.clamp(max=2.0))"),  # noqa: E501
    *("F.gelu({0}, approximate='tanh')", "F.mish({0})", "torch.atan({0})", "F.relu6({0})"),
]  # fmt: skip
_ANY_UNARY = [
    *("torch.neg({0})", "torch.abs({0})", "torch.sign({0})", "torch.logical_not({0})"),
    *("{0}.clamp(-1, 2)", "{0}.clone()", "{0} + 1", "{0} * 2", "1 - {0}", "{0} * 0.5", "{0} - 0.25"),  # noqa: E501
    *("{0} > 0", "{0} == 1", "{0} <= 2", "{0} ** 2", "{0} / 3", "{0} // 2", "{0} % 3", "~{0}"),
    *("torch.nan_to_num({0})", "{0}.positive()", "torch.clamp({0}, min=0)", "torch.bitwise_not({0})"),  # noqa: E501
]  # fmt: skip
# Functions where Python has operators: those ask a parameter on their right first, which is
# not what is exported.
_BINARY = [
    *("torch.add({0}, {1})", "torch.sub({0}, {1})", "torch.mul({0}, {1})"),
    *("torch.maximum({0}, {1})", "torch.minimum({0}, {1})"),
    *("torch.lt({0}, {1})", "torch.ge({0}, {1})", "torch.eq({0}, {1})", "torch.ne({0}, {1})"),
    "torch.add({0}, {1}, alpha=2)",
    *("{0} / ({1}.abs() + 1)", "torch.sub({0}, {1}, alpha=3)"),
    "torch.where(torch.gt({0}, {1}), {0}, {1})",
    *("torch.logical_and({0}, {1})", "torch.logical_or({0}, {1})", "torch.logical_xor({0}, {1})"),
    *("torch.bitwise_and({0}, {1})", "torch.bitwise_or({0}, {1})", "torch.bitwise_xor({0}, {1})"),
    "torch.atan2({0}, {1})",
    *("torch.div({0}, {1}.abs() + 1, rounding_mode='floor')", "{0} % ({1}.abs() + 1)"),
    *("torch.fmod({0}, {1}.abs() + 1)", "torch.lerp({0}, {1}, 0.25)", "torch.addcmul({0}, {0}, {1})"),  # noqa: E501
]  # fmt: skip
_DTYPES = ["float32"] * 3 + [
    *("float64", "int64", "int32", "int16", "int8", "uint8", "bool", "bfloat16", "float16"),
]


def _float_unary(rng, values):
    return _one(rng.choice(_FLOAT_UNARY), _pick(rng, values, _is_float))


def _any_unary(rng, values):
    return _one(rng.choice(_ANY_UNARY), _pick(rng, values))


def _binary(rng, values):
    first = _pick(rng, values)
    return _one(rng.choice(_BINARY), first, _partner(rng, values, first))


def _where(rng, values):
    mask = _pick(rng, values, lambda v: v.dtype == torch.bool)
    if mask is None:
        return None
    a = _partner_of_any_dtype(rng, values, mask)
    b = _partner(rng, values, a)
    if b is None:
        return None
    codes = ["torch.where({0}, {1}, {2})", "{1}.masked_fill({0}, 2)", "torch.where({0}, {1}, 0)"]
    return _one(rng.choice(codes), mask, a, b)


def _partner_of_any_dtype(rng, values, name):
    return _pick(rng, values, lambda v: _broadcasts(values[name], v))


def _convert(rng, values):
    name, dtype = _pick(rng, values), rng.choice(_DTYPES)
    if _is_float(values[name]) and "int" in dtype:
        low = 0 if dtype == "uint8" else -100  # outside, what comes depends on the machine
        return _one(f"{{0}}.clamp({low}, 100).to(torch.{dtype})", name)
    return _one(f"{{0}}.to(torch.{dtype})", name)


# --- views --------------------------------------------------------------------


def _slice(rng, value):
    dim = rng.randrange(value.dim())
    size = value.size(dim)
    start = rng.randint(-size - 1, size)
    stop = rng.choice(["", str(rng.randint(-size, size + 2))])
    step = rng.choice(["", "", ":2", ":3"])
    start = rng.choice(["", str(start)])
    return f"{{0}}[{':, ' * dim}{start}:{stop}{step}]"


def _select(rng, value):
    dim = rng.randrange(value.dim())
    size = max(value.size(dim), 1)
    return f"{{0}}.select({dim}, {rng.randrange(-size, size)})"


def _reshape(rng, value):
    sizes, count = [], value.numel()
    for _ in range(rng.randint(0, 3)):
        factors = [f for f in range(1, count + 1) if count and count % f == 0] or [0, 1]
        sizes.append(rng.choice(factors))
        count //= max(sizes[-1], 1)
    sizes.append(count)
    rng.shuffle(sizes)
    if rng.random() < 0.4:
        sizes[rng.randrange(len(sizes))] = -1
    return rng.choice(["{0}.reshape(%s)", "{0}.reshape(%s)", "{0}.view(%s)"]) % sizes


def _expand(rng, value):
    sizes = [rng.choice([n, -1]) if n != 1 else rng.choice([1, 2, 3, 5]) for n in value.shape]
    lead = [rng.choice([1, 2, 3]) for _ in range(rng.choice([0, 0, 1, 2]))]
    return f"{{0}}.expand({lead + sizes})"


def _as_strided(rng, value):
    room = value.untyped_storage().nbytes() // value.element_size() - value.storage_offset()
    sizes = [rng.randint(1, 4) for _ in range(rng.randint(0, 3))]
    strides = [rng.choice([0, 1, 1, 2, 3, 5]) for _ in sizes]
    if rng.random() < 0.5:
        return f"torch.as_strided({{0}}, {sizes}, {strides})"
    last = sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    offset = value.storage_offset() + max(0, rng.randint(0, max(room - last - 1, 0)))
    return f"torch.as_strided({{0}}, {sizes}, {strides}, {offset})"


def _diagonal(rng, value):
    first, second = rng.sample(range(value.dim()), 2)
    return f"torch.diagonal({{0}}, {rng.randint(-2, 2)}, {first}, {second})"


def _unfold(rng, value):
    dim = rng.randrange(value.dim())
    size = rng.randint(1, max(value.size(dim), 1))
    return f"{{0}}.unfold({dim}, {size}, {rng.randint(1, 3)})"


def _flatten(rng, value):
    start = rng.randrange(value.dim())
    return f"torch.flatten({{0}}, {start}, {rng.randrange(start, value.dim())})"


def _unflatten(rng, value):
    dim = rng.randrange(value.dim())
    factors = [f for f in range(1, 9) if value.size(dim) % f == 0]
    return f"{{0}}.unflatten({dim}, ({rng.choice(factors)}, -1))"


def _narrow(rng, value):
    dim = rng.randrange(value.dim())
    start = rng.randint(0, value.size(dim))
    return f"{{0}}.narrow({dim}, {start}, {rng.randint(0, value.size(dim) - start)})"


def _permute(rng, value):
    return f"{{0}}.permute({rng.sample(range(value.dim()), value.dim())})"


def _movedim(rng, value):
    return f"torch.movedim({{0}}, {_dim(rng, value)}, {_dim(rng, value)})"


def _transpose(rng, value):
    return f"{{0}}.transpose({_dim(rng, value)}, {_dim(rng, value)})"


def _unsqueeze(rng, value):
    return f"{{0}}.unsqueeze({rng.randint(-value.dim() - 1, value.dim())})"


def _squeeze(rng, value):
    return rng.choice(["{0}.squeeze()", f"{{0}}.squeeze({_dim(rng, value)})"])


def _plain_view(rng, value):
    codes = ["{0}.detach()", "{0}.contiguous()", "{0}.view_as({0})", "{0}.T", "{0}.mT"]
    return rng.choice([*codes, "{0}.expand_as({0})", "{0}.ravel()", "{0}[None]", "{0}[..., None]"])


_VIEWS = {
    0: [_unsqueeze, _squeeze, _expand, _as_strided, _reshape, _plain_view],
    1: [_slice, _slice, _select, _unfold, _flatten, _unflatten, _narrow],
    2: [_transpose, _transpose, _permute, _permute, _diagonal, _movedim],
}


def _view(rng, values):
    name = _pick(rng, values)
    value = values[name]
    makers = [m for rank, group in _VIEWS.items() if value.dim() >= rank for m in group]
    return _one(rng.choice(makers)(rng, value), name)


def _pieces(rng, values):
    name = _pick(rng, values, lambda v: v.dim() >= 1 and v.numel() > 0)
    if name is None:
        return None
    value = values[name]
    dim = rng.randrange(value.dim())
    size = value.size(dim)
    kind = rng.randrange(4)
    if kind == 0:
        length = rng.randint(1, size)
        count = -(-size // length)
        code = f"torch.split({{0}}, {length}, {dim})"
    elif kind == 1:
        cut = rng.randint(0, size)
        count, code = 2, f"torch.split({{0}}, [{cut}, {size - cut}], {dim})"
    elif kind == 2:
        chunks = rng.randint(1, 4)
        length = -(-size // chunks)
        count, code = -(-size // length), f"torch.chunk({{0}}, {chunks}, {dim})"
    else:
        count, code = size, f"torch.unbind({{0}}, {dim})"
    return (code, (name,), count) if 2 <= count <= 4 else None


# --- reductions ---------------------------------------------------------------

_REDUCTIONS = ["sum", "mean", "amax", "amin", "any", "all", "sum", "mean", "var", "std"]


def _reduction(rng, values):
    kind = rng.choice(_REDUCTIONS)
    accept = _is_float if kind in ("mean", "var", "std") else lambda v: True
    name = _pick(rng, values, lambda v: accept(v) and v.numel() > 0)
    if name is None:
        return None
    dims, keep = _dims(rng, values[name]), rng.choice(["", ", keepdim=True"])
    if not dims or rng.random() < 0.2:
        return _one(f"{{0}}.{kind}()", name)
    return _one(f"{{0}}.{kind}({dims}{keep})", name)


def _row_op(rng, values):
    name = _pick(rng, values, lambda v: _is_float(v) and v.dim() >= 1)
    if name is None:
        return None
    value = values[name]
    dim, size = _dim(rng, value), value.size(-1)
    codes = [
        *(f"torch.softmax({{0}}, {dim})", f"torch.log_softmax({{0}}, {dim})"),
        *(f"torch.logsumexp({{0}}, {dim})", f"torch.argmax({{0}}, {dim})"),
        *(f"torch.argmin({{0}}, {dim}, keepdim=True)", f"F.layer_norm({{0}}, ({size},))"),
        *(f"torch.cumsum({{0}}, {dim})", f"torch.linalg.vector_norm({{0}}, dim={dim})"),
        *(f"F.rms_norm({{0}}, ({size},))", f"torch.prod({{0}}.tanh(), {dim})"),
        *(f"F.normalize({{0}}, dim={dim})", f"torch.count_nonzero({{0}}, {dim})"),
    ]
    return _one(rng.choice(codes), name)


def _max_with_indices(rng, values):
    name = _pick(rng, values, _has_dims(1))
    if name is None:
        return None
    kind = rng.choice(["max", "min"])
    keep = rng.choice(["", ", keepdim=True"])
    return f"torch.{kind}({{0}}, {_dim(rng, values[name])}{keep})", (name,), 2


# --- products -----------------------------------------------------------------


def _product(rng, values):
    first = _pick(rng, values, lambda v: _is_float(v) and v.dim() >= 1)
    if first is None:
        return None
    value, inner = values[first], values[first].size(-1)

    def multiplies(other: torch.Tensor) -> bool:
        if other.dtype != value.dtype or other.dim() < 1:
            return False
        return (other.size(-2) if other.dim() > 1 else other.size(0)) == inner

    codes = ["{0} @ {1}", "{0} @ {1}", "torch.matmul({0}, {1})"]
    second = _pick(rng, values, multiplies)
    if second is None or rng.random() < 0.3:
        codes = ["{0} @ {1}.mT", "F.linear({0}, {1})"]
        second = _pick(
            rng,
            values,
            lambda v: v.dtype == value.dtype and v.dim() >= 2 and v.size(-1) == inner,
        )
    return _one(rng.choice(codes), first, second)


def _attention(rng, values):
    name = _pick(rng, values, lambda v: v.dtype == torch.float32 and v.dim() in (3, 4))
    if name is None:
        return None
    value = values[name]
    key = _pick(
        rng,
        values,
        lambda v: (
            v.dtype == value.dtype
            and v.dim() == value.dim()
            and v.shape[:-2] == value.shape[:-2]
            and v.size(-1) == value.size(-1)
        ),
    )
    causal = rng.choice(["", ", is_causal=True"])
    return _one(f"F.scaled_dot_product_attention({{0}}, {{1}}, {{1}}{causal})", name, key)


# --- images ---------------------------------------------------------------------


def _is_image(value: torch.Tensor) -> bool:
    """[batch, channels, space...]"""
    return _is_float(value) and value.dim() in (3, 4, 5) and value.numel() > 0


def _convolution(rng, values):
    name = _pick(rng, values, _is_image)
    if name is None:
        return None
    value, rank = values[name], values[name].dim() - 2
    transposed = rng.random() < 0.15

    def fits(kernel: torch.Tensor) -> bool:
        if kernel.dim() != value.dim() or kernel.dtype != value.dtype or 0 in kernel.shape:
            return False
        if transposed:
            return kernel.size(0) == value.size(1)
        groups, rest = divmod(value.size(1), kernel.size(1))
        return rest == 0 and groups > 0 and kernel.size(0) % groups == 0

    weight = _pick(rng, values, fits)
    if weight is None:
        return None
    groups = 1 if transposed else value.size(1) // values[weight].size(1)
    made = values[weight].size(1 if transposed else 0)
    bias = _pick(rng, values, lambda v: v.shape == (made,) and v.dtype == value.dtype)
    operands = (name, weight) if bias is None or rng.random() < 0.5 else (name, weight, bias)
    given = "{2}" if len(operands) == 3 else "None"
    stride, padding = rng.choice([1, 1, 1, 2, 3]), rng.choice([0, 1, 1, 2])
    dilation = rng.choice([1, 1, 1, 2])
    if transposed:
        code = f"F.conv_transpose{rank}d({{0}}, {{1}}, {given}, {stride}, {padding})"
    else:
        code = f"F.conv{rank}d({{0}}, {{1}}, {given}, {stride}, {padding}, {dilation}, {groups})"
    return code, operands, 1


def _pool(rng, values):
    name = _pick(rng, values, _is_image)
    if name is None:
        return None
    rank = values[name].dim() - 2
    window, stride = rng.choice([1, 2, 2, 3]), rng.choice([1, 2, 2, 3])
    padding, ceil = rng.choice([0, 0, window // 2]), rng.choice([False, False, True])
    if rng.random() < 0.2:
        code = f"F.max_pool{rank}d({{0}}, {window}, {stride}, {padding}, return_indices=True)"
        return code, (name,), 2
    codes = [
        f"F.max_pool{rank}d({{0}}, {window}, {stride}, {padding}, ceil_mode={ceil})",
        f"F.avg_pool{rank}d({{0}}, {window}, {stride}, {padding}, {ceil})",
        f"F.adaptive_avg_pool{rank}d({{0}}, {rng.choice([1, 1, 2, 3])})",
    ]
    return _one(rng.choice(codes), name)


def _image_op(rng, values):
    name = _pick(rng, values, _is_image)
    if name is None:
        return None
    channels, rank = values[name].size(1), values[name].dim() - 2
    mean, variance = (f"{{0}}.new_full(({channels},), {number})" for number in (0.25, 2.0))
    groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
    smooth = {1: "linear", 2: "bilinear", 3: "trilinear"}[rank]
    pads = [rng.choice([0, 0, 1, 2]) for _ in range(2 * rank)]
    codes = [
        f"F.batch_norm({{0}}, {mean}, {variance}, {variance}, {mean})",
        *(f"F.group_norm({{0}}, {groups})", f"F.channel_shuffle({{0}}, {groups})"),
        f"F.interpolate({{0}}, scale_factor={rng.choice([2.0, 0.5, 1.5])})",
        f"F.interpolate({{0}}, size={rng.randint(1, 6)}, mode='{smooth}', "
        f"align_corners={rng.choice([True, False])})",
        f"F.pad({{0}}, {pads}, mode='{rng.choice(['reflect', 'replicate', 'circular'])}')",
    ]
    if rank == 2:
        codes += [
            *("F.pixel_shuffle({0}, 2)", "F.pixel_unshuffle({0}, 2)", "F.unfold({0}, 2)"),
            "{0}.contiguous(memory_format=torch.channels_last)",
        ]
    return _one(rng.choice(codes), name)


# --- copies that move elements ------------------------------------------------


def _move(rng, values):
    name = _pick(rng, values, _has_dims(1))
    if name is None:
        return None
    value = values[name]
    dim = _dim(rng, value)
    repeats = [rng.choice([1, 1, 2]) for _ in range(value.dim() + rng.choice([0, 0, 1]))]
    pads = [rng.choice([0, 0, 1, 2, -1]) for _ in range(2 * rng.randint(1, value.dim()))]
    codes = [
        *(f"torch.flip({{0}}, [{dim}])", f"torch.roll({{0}}, {rng.randint(-3, 3)}, {dim})"),
        *(f"{{0}}.repeat({repeats})", f"F.pad({{0}}, {pads})", "{0}.flip([0])"),
        *(f"torch.tril({{0}}, {rng.randint(-1, 1)})", f"torch.triu({{0}}, {rng.randint(-1, 1)})"),
        *(f"F.pad({{0}}, {pads}, value=1)", f"torch.repeat_interleave({{0}}, 2, {dim})"),
    ]
    return _one(rng.choice(codes), name)


def _join(rng, values):
    first = _pick(rng, values)
    value = values[first]
    dim = _dim(rng, value)
    if rng.random() < 0.5:
        others = [_pick(rng, values, lambda v: v.shape == value.shape) for _ in range(2)]
        return _one(f"torch.stack([{{0}}, {{1}}, {{2}}], {dim})", first, *others)
    if value.dim() == 0:
        return None

    def fits(other: torch.Tensor) -> bool:
        if other.dim() != value.dim():
            return False
        pairs = enumerate(zip(other.shape, value.shape, strict=True))
        return all(a == b or d == dim % value.dim() for d, (a, b) in pairs)

    return _one(f"torch.cat([{{0}}, {{1}}], {dim})", first, _pick(rng, values, fits))


def _index(rng, values):
    name = _pick(rng, values, lambda v: v.dim() >= 1 and v.numel() > 0)
    if name is None:
        return None
    value = values[name]
    index = _pick(rng, values, lambda v: v.dtype in (torch.int64, torch.int32))
    if index is None:
        return None
    dim = rng.randrange(value.dim())
    within = f"({{1}} % {value.size(dim)})"
    colons = ":, " * dim
    codes = [
        f"{{0}}[{colons}{within}]",
        f"{{0}}[{colons}{within} - {value.size(dim)}]",
        f"torch.index_select({{0}}, {dim}, {within}.flatten())",
        f"torch.embedding({{0}}, {{1}} % {value.size(0)})",
        f"torch.gather({{0}}, {dim}, {within})",
    ]
    return _one(rng.choice(codes), name, index)


def _make(rng, values):
    sizes = [rng.choice([1, 2, 3, 5]) for _ in range(rng.randint(0, 3))]
    dtype = rng.choice(_DTYPES)
    name = _pick(rng, values)
    codes = [
        *(
            f"torch.zeros({sizes}, dtype=torch.{dtype})",
            f"torch.ones({sizes}, dtype=torch.{dtype})",
        ),
        *(f"torch.arange({rng.randint(1, 9)})", "torch.zeros_like({0})", "torch.ones_like({0})"),
        *(f"torch.full({sizes}, 2.5)", "{0}.new_ones([2, 3])", "torch.full_like({0}, 2)"),
        *(f"torch.arange(0, {rng.randint(1, 5)}, 0.5)", "torch.eye(3)", "torch.tensor([1, 2, 3])"),
    ]
    return _one(rng.choice(codes), name)


# --- mutation -----------------------------------------------------------------

_WRITES = [
    *("{0}.add_({1})", "{0}.mul_({1})", "{0}.sub_({1})", "{0}.copy_({1})", "{0}.add_({1}, alpha=2)"),  # noqa: E501
    *("{0} += {1}", "{0}.masked_fill_({1} > 0, 1)", "{0}.div_({1}.abs() + 1)", "{0}.clamp_(min={1})"),  # noqa: E501
    *("{0}.lerp_({1}, 0.5)", "{0}.copy_({1} * 2)"),
]  # fmt: skip
_PLAIN_WRITES = [
    *("{0}.fill_(2)", "{0}.zero_()", "{0}.add_(1)", "{0}.mul_(2)", "{0}.clamp_(-1, 1)"),
    *("{0}.relu_()", "{0}.neg_()", "{0}.tanh_()", "{0}.sigmoid_()", "{0}.abs_()", "{0}.sub_(0.5)"),
    *("{0}.floor_()", "{0}.exp_()"),
]  # fmt: skip


def _write(rng, values):
    target = _pick(rng, values)
    kind = rng.randrange(4)
    if kind == 0:
        code = rng.choice(_PLAIN_WRITES)
        return _one(code, target) if rng.random() < 0.3 else (code, (target,), 0)
    if kind == 1:
        return _set_item(rng, values, target)
    source = _partner(rng, values, target)
    return None if source is None else (rng.choice(_WRITES), (target, source), 0)


def _set_item(rng, values, target):
    value = values[target]
    if value.dim() == 0 or value.numel() == 0:
        return None
    place = rng.choice([_slice, _slice, _select, _transpose, _diagonal])
    if place is _diagonal and value.dim() < 2:
        return None
    view = place(rng, value)
    number = rng.choice(["1", "0.5", "-2", "True"])
    if place is _slice and rng.random() < 0.5:
        name = _pick(rng, values, lambda v: v.dim() <= value.dim())
        return f"{view} = {{1}}", (target, name), 0
    if place is _slice and rng.random() < 0.5:
        return f"{view} = {number}", (target,), 0
    return f"{view}.{rng.choice(['add_', 'mul_', 'fill_'])}({number})", (target,), 0


_FAMILIES: dict[Family, float] = {
    _float_unary: 3,
    _any_unary: 3,
    _binary: 6,
    _where: 1,
    _convert: 1.5,
    _view: 9,
    _pieces: 1,
    _reduction: 2.5,
    _row_op: 2,
    _max_with_indices: 0.5,
    _product: 3,
    _attention: 0.5,
    _convolution: 6,
    _pool: 1,
    _image_op: 1.5,
    _move: 2,
    _join: 1.5,
    _index: 1,
    _make: 0.5,
    _write: 5,
}
