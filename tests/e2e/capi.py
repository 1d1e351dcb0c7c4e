"""The runtime's C API by ctypes: modules, instances and runs on torch tensors.

Mirrors runtime/include/rtorch/runtime.h for the tests and the benchmarks: arguments of
any strides go to a module as they are, without a copy.
"""

import ctypes
import functools
import os
from collections.abc import Callable, Sequence
from ctypes import (
    POINTER,
    byref,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_void_p,
)
from pathlib import Path
from typing import Any

import torch

BUILD = Path(os.environ.get("RTORCH_BUILD", Path(__file__).parents[2] / "build" / "release"))

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]
NONE, TENSOR, BOOL, INT, FLOAT, STRING = range(6)


class Value(ctypes.Structure):
    """rtorch_value"""

    _fields_ = (
        ("struct_size", c_uint32),
        ("kind", c_int32),
        ("dtype", c_int32),
        ("rank", c_uint32),
        ("sizes", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("data", c_void_p),
        ("integer", c_int64),
        ("real", c_double),
        ("string", c_char_p),
    )


class ModuleInfo(ctypes.Structure):
    """rtorch_module_info"""

    _fields_ = (
        ("struct_size", c_uint32),
        ("kernel_abi", c_uint32),
        ("model", c_char_p),
        ("producer", c_char_p),
        ("triple", c_char_p),
        ("cpu", c_char_p),
        ("features", POINTER(c_char_p)),
        ("feature_count", c_uint32),
        ("argument_count", c_uint32),
        ("result_count", c_uint32),
        ("symbol_count", c_uint32),
        ("check_count", c_uint32),
        ("state_count", c_uint32),
        ("kernel_count", c_uint32),
        ("launch_count", c_uint32),
        ("code_bytes", ctypes.c_uint64),
        ("constant_bytes", ctypes.c_uint64),
        ("file_bytes", ctypes.c_uint64),
        ("weight_count", c_uint32),
        ("level_count", c_uint32),
        ("level", c_uint32),
        ("step_count", c_uint32),
    )


class ValueInfo(ctypes.Structure):
    """rtorch_value_info"""

    _fields_ = (
        ("struct_size", c_uint32),
        ("kind", c_int32),
        ("name", c_char_p),
        ("dtype", c_int32),
        ("rank", c_uint32),
        ("sizes", POINTER(c_char_p)),
        ("strides", POINTER(c_char_p)),
        ("fixed_sizes", POINTER(c_int64)),
        ("fixed_strides", POINTER(c_int64)),
        ("alignment", c_uint32),
        ("is_mutated", c_int32),
        ("is_constant", c_int32),
        ("is_view", c_int32),
        ("view_of", c_char_p),
        ("value", c_char_p),
        ("needed_by", c_char_p),
        ("source", c_char_p),
        ("constant", Value),
    )


class RunOptions(ctypes.Structure):
    """rtorch_run_options"""

    _fields_ = (
        ("struct_size", c_uint32),
        ("threads", c_uint32),
        ("arena", c_void_p),
        ("arena_bytes", c_size_t),
        ("relayout", c_int32),
        ("copies", c_uint32),
        ("profile", c_void_p),
        ("profile_user", c_void_p),
        ("allocate", c_void_p),
        ("allocate_user", c_void_p),
        ("parallel", c_void_p),
        ("parallel_user", c_void_p),
        ("copied_bytes", c_int64),
        ("check_ns", POINTER(c_int64)),
    )


class RtorchError(Exception):
    """An error of the runtime; `code` is the stable one, "RT_LAYOUT_STRIDE"."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code


@functools.cache
def library() -> ctypes.CDLL:
    """The runtime of the build under test."""
    loaded = ctypes.CDLL(str(BUILD / "lib" / "librtorch_runtime.so"))
    for name in ("rtorch_error_code", "rtorch_error_message"):
        getattr(loaded, name).restype = c_char_p
        getattr(loaded, name).argtypes = [c_void_p]
    for kind in ("error", "module", "instance"):
        destroy = getattr(loaded, f"rtorch_{kind}_destroy")
        destroy.restype, destroy.argtypes = None, [c_void_p]
    for name, arguments in {
        "rtorch_module_load": [c_char_p, c_void_p, POINTER(c_void_p)],
        "rtorch_module_describe": [c_void_p, POINTER(ModuleInfo)],
        "rtorch_module_argument": [c_void_p, c_uint32, POINTER(ValueInfo)],
        "rtorch_module_result": [c_void_p, c_uint32, POINTER(ValueInfo)],
        "rtorch_module_state": [c_void_p, c_uint32, POINTER(ValueInfo)],
        "rtorch_instance_create": [c_void_p, POINTER(c_void_p)],
        "rtorch_instance_state": [c_void_p, c_uint32, POINTER(Value)],
        "rtorch_instance_run": [
            *(c_void_p, POINTER(Value), c_uint32),
            *(POINTER(Value), c_uint32, POINTER(RunOptions)),
        ],
    }.items():
        getattr(loaded, name).restype = c_void_p
        getattr(loaded, name).argtypes = arguments
    return loaded


def check(error: int | None) -> None:
    """Raises the error that a call returned; takes ownership of it."""
    if error:
        code = library().rtorch_error_code(error).decode()
        message = library().rtorch_error_message(error).decode()
        library().rtorch_error_destroy(error)
        raise RtorchError(code, message)


class Module:
    """A loaded module."""

    def __init__(self, path: Path):
        self.handle = c_void_p()
        check(library().rtorch_module_load(os.fsencode(path), None, byref(self.handle)))
        self.info = ModuleInfo(ctypes.sizeof(ModuleInfo))
        check(library().rtorch_module_describe(self.handle, byref(self.info)))

    def __del__(self):
        if self.handle:
            library().rtorch_module_destroy(self.handle)

    def state_name(self, index: int) -> str:
        info = ValueInfo(ctypes.sizeof(ValueInfo))
        check(library().rtorch_module_state(self.handle, index, byref(info)))
        return info.name.decode()


class Instance:
    """An instance of a module; one run at a time."""

    def __init__(self, module: Module):
        self.module = module
        self.handle = c_void_p()
        check(library().rtorch_instance_create(module.handle, byref(self.handle)))

    def __del__(self):
        if self.handle:
            library().rtorch_instance_destroy(self.handle)

    def run(self, leaves: Sequence[Any], *, threads: int = 0, relayout: bool = False) -> list[Any]:
        """The results for the flattened arguments.

        A result that lies in the memory of an argument comes back as a view of that
        tensor, so that aliasing can be seen; the others are copies.
        """
        call = self.prepare(leaves, threads=threads, relayout=relayout)
        return [from_value(value, leaves) for value in call()]

    def prepare(
        self, leaves: Sequence[Any], *, threads: int = 0, relayout: bool = False
    ) -> Callable[[], Any]:
        """A function that runs once on these arguments and gives the raw results."""
        kept = [leaf if isinstance(leaf, Argument) else Argument(leaf) for leaf in leaves]
        arguments = (Value * len(kept))(*(argument.value for argument in kept))
        count = self.module.info.result_count
        options = RunOptions(ctypes.sizeof(RunOptions), threads, relayout=relayout)
        run = library().rtorch_instance_run

        def call():
            results = (Value * count)(*(Value(ctypes.sizeof(Value)) for _ in range(count)))
            check(run(self.handle, arguments, len(kept), results, count, byref(options)))
            return results

        return call

    def states(self) -> dict[str, torch.Tensor]:
        """Copies of the buffers that runs change, by name."""
        named = {}
        for index in range(self.module.info.state_count):
            value = Value(ctypes.sizeof(Value))
            check(library().rtorch_instance_state(self.handle, index, byref(value)))
            named[self.module.state_name(index)] = from_value(value, [])
        return named


class Argument:
    """An rtorch_value and the memory that it points to."""

    def __init__(self, leaf: Any):
        self.leaf = leaf
        self.value = Value(ctypes.sizeof(Value))
        if isinstance(leaf, torch.Tensor):
            self._set_tensor(leaf)
        elif isinstance(leaf, bool):
            self.value.kind, self.value.integer = BOOL, leaf
        elif isinstance(leaf, int):
            self.value.kind, self.value.integer = INT, leaf
        elif isinstance(leaf, float):
            self.value.kind, self.value.real = FLOAT, leaf
        elif isinstance(leaf, str):
            self.value.kind, self.value.string = STRING, leaf.encode()
        elif leaf is not None:
            raise TypeError(f"no argument of a module can be a {type(leaf).__name__}")

    def _set_tensor(self, tensor: torch.Tensor) -> None:
        rank = tensor.dim()
        self.sizes = (c_int64 * rank)(*tensor.size())
        self.strides = (c_int64 * rank)(*tensor.stride())
        self.value.kind = TENSOR
        self.value.dtype = DTYPES.index(tensor.dtype)
        self.value.rank = rank
        self.value.sizes = ctypes.cast(self.sizes, POINTER(c_int64))
        self.value.strides = ctypes.cast(self.strides, POINTER(c_int64))
        self.value.data = tensor.data_ptr()


def from_value(value: Value, leaves: Sequence[Any]) -> Any:
    if value.kind == TENSOR:
        return _tensor(value, [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)])
    if value.kind == NONE:
        return None
    if value.kind == STRING:
        return value.string.decode()
    if value.kind == FLOAT:
        return value.real
    return bool(value.integer) if value.kind == BOOL else value.integer


def _tensor(value: Value, arguments: list[torch.Tensor]) -> torch.Tensor:
    dtype, rank = DTYPES[value.dtype], value.rank
    sizes, strides = value.sizes[:rank], value.strides[:rank]
    if 0 in sizes:
        return torch.empty_strided(sizes, strides, dtype=dtype)
    for argument in arguments:
        storage = argument.untyped_storage()
        offset = value.data - storage.data_ptr()
        if 0 <= offset < storage.nbytes():
            view = torch.empty(0, dtype=dtype)
            return view.set_(storage, offset // dtype.itemsize, sizes, strides)
    extent = 1 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    memory = (ctypes.c_char * (extent * dtype.itemsize)).from_address(value.data)
    return torch.frombuffer(bytearray(memory), dtype=dtype).as_strided(sizes, strides)
