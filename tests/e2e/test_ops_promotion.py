"""Ops of two tensors of all pairs of dtypes that eager takes, against eager PyTorch."""

from collections.abc import Callable

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
