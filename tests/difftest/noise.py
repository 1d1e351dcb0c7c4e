"""Whether a difference is one of rounding: what eager gives when each op rounds otherwise.

A program may amplify rounding errors (the difference of nearly equal numbers) or turn
them into other integers (floor, comparisons). Results that differ then prove nothing. The
test: eager again, with a relative error of about one unit in the last place added after
every op that computes floats (and to what variances are taken of), and comparisons of
nearly equal floats that fall either way. What varies so may differ so.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_MARGIN = 8.0
_COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}
# Where all elements are nearly equal, these amplify the rounding of their own mean.
_SPREADS = {"native_layer_norm", "native_group_norm", "var", "std", "var_mean", "std_mean"}
_SPREADS |= {"native_batch_norm", "_native_batch_norm_legit", "_fused_rms_norm"}


class Rounding(TorchDispatchMode):
    """Adds a relative error to the float results of every op that is no view."""

    def __init__(self, seed: int):
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)
        self.answer = seed % 2 == 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        if name in _SPREADS:
            args = (self._disturb(args[0].clone()), *args[1:])
        result = func(*args, **(kwargs or {}))
        returns = func._schema.returns
        if name in _COMPARISONS:
            return self._undecided(result, *args)
        computed = result if isinstance(result, tuple | list) else [result]
        if len(returns) == len(computed):
            for declared, value in zip(returns, computed, strict=True):
                is_view = declared.alias_info is not None and not declared.alias_info.is_write
                if isinstance(value, torch.Tensor) and not is_view:
                    self._disturb(value)
        return result

    def _undecided(self, result: torch.Tensor, a: torch.Tensor, b: object) -> torch.Tensor:
        """The comparison's result; where rounding decides it, true or false by the seed."""
        b = torch.as_tensor(b)
        dtype = torch.result_type(a, b)
        if not dtype.is_floating_point:
            return result
        x, y = a.double(), b.double()
        unit = _MARGIN * torch.finfo(dtype).eps * torch.maximum(x.abs(), y.abs())
        return result.masked_fill((x - y).abs() <= unit, self.answer)

    def _disturb(self, value: torch.Tensor) -> torch.Tensor:
        if not value.dtype.is_floating_point or any(s == 0 for s in value.stride()):
            return value
        error = torch.finfo(value.dtype).eps
        signs = torch.randint(-1, 2, value.shape, generator=self.generator).double()
        return value.mul_((1.0 + error * signs).to(value.dtype))


def explains(ours: torch.Tensor, theirs: torch.Tensor, noisy: list[torch.Tensor]) -> bool:
    """Whether each element of ours is about as far from eager's as noise brings it."""
    noisy = [each for each in noisy if each.shape == theirs.shape]
    if not noisy or ours.numel() == 0:
        return False
    a, b = ours.double(), theirs.double()
    same = (a == b) | (a.isnan() & b.isnan())
    away = torch.stack([(each.double() - b).abs().nan_to_num(nan=torch.inf) for each in noisy])
    spread = away.amax(0)
    if theirs.dtype.is_floating_point:
        spread = spread * _MARGIN
        near = (a - b).abs() <= spread
    else:
        near = spread > 0
    return bool((same | near).all())
