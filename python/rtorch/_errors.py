"""Exceptions. Each carries the stable code that docs/reference/errors.md explains."""


class Error(RuntimeError):
    """What rtorch raises; `code` is stable, "RT_LAYOUT_STRIDE"."""

    def __init__(self, code: str, message: str, node: str = "", source: str = ""):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.node = node
        self.source = source


class ArgumentError(Error):
    """An argument of another kind, dtype or number than the module takes."""


class LayoutError(Error):
    """Sizes, strides, alignment or overlap that the contract of a module does not allow."""


class ModuleError(Error):
    """A module file that is damaged, of another version, or for another CPU."""


class RunError(Error):
    """What the graph raises when it runs: an index out of range, division by zero, ..."""


class OutOfMemoryError(Error):
    """Memory that a run needs and does not get."""


class CompileError(Error):
    """A graph that cannot be compiled."""


class UnsupportedOpError(CompileError):
    """A graph with ops, or uses of ops, that rtorch does not support; all are named."""


class CheckpointError(Error):
    """A checkpoint that is damaged, does not fit what it is loaded into, or is not saved."""


_FAMILIES = {
    "RT_CHECKPOINT": CheckpointError,
    "RT_ARGUMENT": ArgumentError,
    "RT_LAYOUT": LayoutError,
    "RT_MODULE": ModuleError,
    "RT_RUN": RunError,
    "RT_MEMORY": OutOfMemoryError,
    "RT_COMPILE": CompileError,
}


def make(code: str, message: str, node: str = "", source: str = "") -> Error:
    """The exception for a code of the C interface."""
    family = "_".join(code.split("_")[:2])
    kind = _FAMILIES.get(family, Error)
    if kind is CompileError and "not supported" in message:
        kind = UnsupportedOpError
    return kind(code, message, node, source)
