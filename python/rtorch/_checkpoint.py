"""State dicts as checkpoint files (docs/reference/checkpoint.md)."""

import os
from collections.abc import Mapping
from typing import Any

import torch

from . import _native
from ._errors import CheckpointError


def save_state_dict(
    state_dict: Mapping[str, torch.Tensor],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
    *,
    sync: bool = True,
) -> None:
    """Saves named tensors as the checkpoint `path`, with `metadata` of the caller's.

    A crash at any moment leaves the old file or the new one; without `sync` a failure of
    power may not. Tensors may have any strides: dense channels_last ones keep theirs, all
    others are written row-major. Two names of the same memory become one tensor and an
    alias. Raises CheckpointError, which names all tensors that cannot be saved.
    """
    user = dict(metadata or {})
    for key, value in user.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata: expected strings, but got {key!r}: {value!r}")
    refused = [f"'{name}': {why}" for name, x in state_dict.items() if (why := _refuse(x))]
    if refused:
        raise CheckpointError(
            "RT_CHECKPOINT_UNSUPPORTED_DTYPE", "cannot be saved: " + "; ".join(refused)
        )
    tensors = [(name, _plain(x), x.requires_grad) for name, x in state_dict.items()]
    _native.save_checkpoint(os.fspath(path), tensors, user, sync)


def load_state_dict(
    path: str | os.PathLike[str],
    into: torch.nn.Module | Mapping[str, torch.Tensor] | None = None,
    strict: bool = True,
) -> dict[str, torch.Tensor]:
    """The tensors of the checkpoint `path` by name; names of the same tensor share memory.

    With `into` they are copied into the parameters and buffers of a module, or into the
    tensors of a mapping, which keep their strides, and are what is returned. First all are
    compared: CheckpointError lists every tensor that is missing, unexpected, or of another
    dtype or shape, and nothing is copied. Without `strict` missing and unexpected tensors
    are left alone, as by `torch.nn.Module.load_state_dict`. Nothing is converted.
    """
    checkpoint = _native.Checkpoint(os.fspath(path))
    if into is None:
        return _read(checkpoint)
    module = into if isinstance(into, torch.nn.Module) else None
    targets: Mapping[str, Any] = into if module is None else module.state_dict()
    foreign = [name for name, x in targets.items() if not isinstance(x, torch.Tensor)]
    if foreign:
        raise TypeError(f"expected tensors, but {', '.join(map(repr, foreign))} is none")
    if not strict:
        there = checkpoint.describe()
        targets = {name: x for name, x in targets.items() if name in there}
    # Into memory of their own first: modules decide themselves how they take a state, and
    # writes are seen by autograd.
    read = {name: torch.empty(x.shape, dtype=x.dtype) for name, x in targets.items()}
    checkpoint.load_into(list(read.items()), strict)
    if module is not None:
        module.load_state_dict(read, strict=strict)
    else:
        with torch.no_grad():
            for name, x in read.items():
                targets[name].copy_(x)
    return dict(targets)


def checkpoint_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata that the checkpoint `path` was saved with."""
    return _native.Checkpoint(os.fspath(path)).user()


def _refuse(x: Any) -> str | None:
    if not isinstance(x, torch.Tensor):
        return f"expected a tensor, but got {type(x).__name__}"
    if x.layout != torch.strided:
        return f"expected a dense tensor, but its layout is {x.layout}"
    if x.device.type != "cpu":
        return f"expected a tensor on the CPU, but it is on '{x.device}'"
    if x.dtype not in _DTYPES:
        return f"no checkpoint of rtorch has dtype {x.dtype}"
    return None


_DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
)


def _plain(x: torch.Tensor) -> torch.Tensor:
    """Without gradient, and without the bit that says that elements are to be negated."""
    return x.detach().resolve_neg()


def _read(checkpoint: _native.Checkpoint) -> dict[str, torch.Tensor]:
    found, aliases = {}, {}
    for name, alias_of, requires_grad, tensor in checkpoint.tensors():
        if tensor is None:
            aliases[name] = alias_of
        else:
            found[name] = tensor.requires_grad_() if requires_grad else tensor
    found.update({name: found[alias_of] for name, alias_of in aliases.items()})
    return dict(sorted(found.items()))
