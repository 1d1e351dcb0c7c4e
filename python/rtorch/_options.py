"""Options of the backend."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Options:
    """What `torch.compile(..., options={...})` may say."""

    fallback: str = "eager"
    """What becomes of ops that rtorch cannot compile: "eager" runs them in PyTorch, with a
    warning; "error" refuses the model."""
    target_cpu: str = "native"
    """A level ("x86-64-v3"), LLVM's name of a CPU, or "native"."""
    winograd: bool = True
    """Whether 3x3 convolutions of many channels take fewer multiplications where that pays:
    faster, rounded in another way, and next to an infinite or NaN input some more pixels
    are NaN."""
    cache: bool = True
    """Whether compiled graphs are kept on disk, and found again."""
    cache_dir: str = ""
    """Where; empty: RTORCH_CACHE, or rtorch in the user's cache directory."""
    record: bool = True
    """Whether compilations are recorded in the experiment store (RTORCH_STORE)."""
    cache_bytes: int = 4 << 30
    """The least recently used modules are removed beyond this size."""

    @staticmethod
    def of(given: Mapping[str, Any] | None) -> "Options":
        """Checks and completes what the user gave."""
        values = dict(given or {})
        known = {field.name: field.type for field in fields(Options)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(
                    f"unknown option '{name}' of backend 'rtorch', expected one of: "
                    + ", ".join(known)
                )
            wanted = {"str": str, "bool": bool, "int": int}[
                str(getattr(known[name], "__name__", known[name]))
            ]
            if not isinstance(value, wanted):
                raise ValueError(
                    f"option '{name}' of backend 'rtorch' expects a {wanted.__name__}, "
                    f"but got {value!r}"
                )
        values.setdefault("fallback", os.environ.get("RTORCH_FALLBACK") or "eager")
        if values["fallback"] not in ("eager", "error"):
            raise ValueError(
                "option 'fallback' of backend 'rtorch' expects 'eager' or 'error', "
                f"but got {values['fallback']!r}"
            )
        return Options(**values)

    def cache_path(self) -> Path:
        if self.cache_dir:
            return Path(self.cache_dir)
        if named := os.environ.get("RTORCH_CACHE"):
            return Path(named)
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "rtorch"
