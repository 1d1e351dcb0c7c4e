"""rtorch: PyTorch graphs compiled ahead of time to native CPU code.

torch.compile(model, backend="rtorch")        # needs no import of this package
module = rtorch.compile(torch.export.export(model, inputs), "model.rtm")
module = rtorch.load("model.rtm")
"""

from ._compile import CacheWarning
from ._errors import (
    ArgumentError,
    CompileError,
    Error,
    LayoutError,
    ModuleError,
    OutOfMemoryError,
    RunError,
    UnsupportedOpError,
)
from ._explain import Explanation, explain
from ._module import Module, compile, load, run_fx
from ._native import supported_ops
from ._native import version as _version
from ._options import Options
from ._partition import FallbackWarning
from ._report import Report, last_report

__version__ = _version()
__all__ = [
    "ArgumentError",
    "CacheWarning",
    "CompileError",
    "Error",
    "Explanation",
    "FallbackWarning",
    "LayoutError",
    "Module",
    "ModuleError",
    "Options",
    "OutOfMemoryError",
    "Report",
    "RunError",
    "UnsupportedOpError",
    "compile",
    "explain",
    "last_report",
    "load",
    "run_fx",
    "supported_ops",
]
