"""rtorch: PyTorch graphs compiled ahead of time to native CPU code.

torch.compile(model, backend="rtorch")        # needs no import of this package
module = rtorch.compile(torch.export.export(model, inputs), "model.rtm")
module = rtorch.load("model.rtm")
"""

from ._checkpoint import checkpoint_metadata, load_state_dict, save_state_dict
from ._compile import CacheWarning
from ._errors import (
    ArgumentError,
    CheckpointError,
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
from ._record import RecordedRun, RecordWarning, record_run
from ._report import Report, last_report

__version__ = _version()
__all__ = [
    "ArgumentError",
    "CacheWarning",
    "CheckpointError",
    "CompileError",
    "Error",
    "Explanation",
    "FallbackWarning",
    "LayoutError",
    "Module",
    "ModuleError",
    "Options",
    "OutOfMemoryError",
    "RecordWarning",
    "RecordedRun",
    "Report",
    "RunError",
    "UnsupportedOpError",
    "checkpoint_metadata",
    "compile",
    "explain",
    "last_report",
    "load",
    "load_state_dict",
    "record_run",
    "run_fx",
    "save_state_dict",
    "supported_ops",
]
