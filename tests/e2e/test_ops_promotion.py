"""Ops of two tensors of all pairs of dtypes that eager takes, against eager PyTorch."""

from collections.abc import Callable

import harness
import optable
import pytest
import torch
import torch.nn.functional as F

Op = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

POINTWISE: dict[str, Op] = {
    op.__name__: op
    for op in (
        *(torch.add, torch.sub, torch.mul, torch.div, torch.pow, torch.rsub, torch.float_power),
        *(torch.maximum, torch.minimum, torch.fmax, torch.fmin, torch.fmod, torch.remainder),
        *(torch.floor_divide, torch.atan2, torch.copysign, torch.hypot, torch.heaviside),
        *(torch.logaddexp, torch.logaddexp2, torch.xlogy, torch.special.xlog1py),
        *(torch.eq, torch.ne, torch.lt, torch.le, torch.isclose, torch.ldexp),
        *(torch.logical_and, torch.logical_xor, torch.bitwise_and, torch.gcd),
    )
}
OTHERS: dict[str, Op] = {
    "kron": torch.kron,
    "outer": lambda x, y: torch.outer(x[0], y[0]),
    "dot": lambda x, y: torch.dot(x[0], y[0]),
    "vdot": lambda x, y: torch.vdot(x[0], y[0]),
    "matmul": lambda x, y: x @ y.T,
    "matrix_vector": lambda x, y: x @ y[0],
    "linear": lambda x, y: F.linear(x, y, y[:, 0]),
    "tensordot": torch.tensordot,
    "trapezoid": torch.trapezoid,
    "cat": lambda x, y: torch.cat([x, y]),
    "stack": lambda x, y: torch.stack([x, y], 1),
    "where": lambda x, y: torch.where(x > 1, x, y),
    "addcmul": lambda x, y: torch.addcmul(x, x, y),
    "addcdiv": lambda x, y: torch.addcdiv(x, y, x),
    "clamp": lambda x, y: torch.clamp(x, max=y),
    "masked_fill": lambda x, y: x.masked_fill(x > 1, y[0, 0]),
    "copy": lambda x, y: x.clone().copy_(y),
    "mse_loss": F.mse_loss,
    "l1_loss": F.l1_loss,
    "smooth_l1_loss": F.smooth_l1_loss,
    "huber_loss": F.huber_loss,
    "cosine_similarity": F.cosine_similarity,
    "pairwise_distance": F.pairwise_distance,
    "dist": torch.dist,
}
DTYPES = {
    "f32": torch.float32,
    "f64": torch.float64,
    "bf16": torch.bfloat16,
    "i64": torch.int64,
    "i32": torch.int32,
    "u8": torch.uint8,
    "bool": torch.bool,
}


def operand(dtype: torch.dtype) -> torch.Tensor:
    if dtype == torch.bool:
        return torch.rand(4, 6) > 0.3
    whole = torch.randint(1, 6, (4, 6))
    return (whole + torch.rand(4, 6)).to(dtype) if dtype.is_floating_point else whole.to(dtype)


def is_taken(op: Op, x: torch.Tensor, y: torch.Tensor) -> bool:
    try:
        op(x, y)
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("ops", [POINTWISE, OTHERS], ids=["pointwise", "others"])
def test_pairs_of_dtypes(tmp_path, ops, first):
    torch.manual_seed(0)
    operands = [operand(DTYPES[first]), *map(operand, DTYPES.values())]
    rows = {
        f"{name} of {first} and {second}": lambda *xs, op=op, i=i: op(xs[0], xs[i])
        for name, op in ops.items()
        for i, second in enumerate(DTYPES, start=1)
        if is_taken(op, operands[0], operands[i])
    }
    assert rows
    optable.check_rows(tmp_path, rows, operands)


# What has torch's default dtype, which the exported graph does not name.
DEFAULTS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "full": lambda x, n: x + torch.full((6,), 0.1),
    "ones": lambda x, n: x + torch.ones(6) / 3,
    "arange": lambda x, n: torch.arange(0, 1, 0.25),
    "linspace": lambda x, n: torch.linspace(0, 1, 4),
    "eye": lambda x, n: torch.eye(3),
    "tensor": lambda x, n: x + torch.tensor([0.1] * 6),
    "scalar_tensor": lambda x, n: torch.where(n > 2, 0.1, 0.2),
    "div": lambda x, n: n / 3,
    "mul": lambda x, n: n * 0.1,
    "sqrt": lambda x, n: n.sqrt(),
    "sigmoid": lambda x, n: torch.sigmoid(n),
    "pow": lambda x, n: n**0.5,
    "sinc": lambda x, n: torch.sinc(n),
    "logit": lambda x, n: torch.logit(n, 0.1),
    "logsumexp": lambda x, n: n.logsumexp(1),
    "atan2": lambda x, n: torch.atan2(n, n + 1),
    "xlogy": lambda x, n: torch.xlogy(n, n),
    "where": lambda x, n: torch.where(n > 2, n, 0.1),
    "tensors": lambda x, n: (x * 0.1).sum() + n.float(),
}


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "core"])
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16], ids=["f64", "bf16"])
def test_default_dtype(tmp_path, default, decomposed):
    x, n = torch.rand(4, 6), torch.randint(1, 6, (4, 6))
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        optable.check_rows(tmp_path, DEFAULTS, (x, n), decomposed=decomposed)
    finally:
        torch.set_default_dtype(before)


def test_a_default_dtype_that_is_not_understood_is_an_error(tmp_path):
    torch.set_default_dtype(torch.float64)
    try:
        model = optable.Function(lambda n: F.pairwise_distance(n, n + 1))
        with pytest.raises(AssertionError, match=r"gives 'f32', but .* declares .* as float64"):
            harness.compile_module(tmp_path, model, (torch.arange(6).view(2, 3),))
    finally:
        torch.set_default_dtype(torch.float32)
