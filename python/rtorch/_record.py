"""Runs of one's own in the experiment store (docs/reference/store.md)."""

import os
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from . import _native


class RecordWarning(UserWarning):
    """A run that could not be recorded."""


class RecordedRun:
    """A run that is being recorded, by one thread at a time; `record_run` makes it.

    As a context manager it finishes at the end: "failed" if an exception leaves the block.
    """

    def __init__(self, native: _native.RecordedRun | None) -> None:
        self._native = native
        #: The name in the store, as `rtorch-store show` takes it; None if not recorded.
        self.id: str | None = native.id if native else None
        #: Where the run's files lie.
        self.directory: str | None = native.directory if native else None

    def metric(self, name: str, value: float) -> None:
        """Appends a value of a metric: anything that has a float."""
        if self._native:
            self._native.metric(name, float(value))

    def event(self, name: str, fields: Mapping[str, Any] | None = None) -> None:
        """Appends an event with fields that JSON has a form for."""
        if self._native:
            self._native.event(name, dict(fields or {}))

    def finish(self, status: str = "done", results: Mapping[str, Any] | None = None) -> None:
        """Writes the end, "done" or "failed", and the results; once."""
        native, self._native = self._native, None
        if native:
            try:
                native.finish(status, dict(results or {}))
            except RuntimeError as error:
                warnings.warn(f"the run is not recorded: {error}", RecordWarning, stacklevel=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.finish("failed", {"error": f"{type(error).__name__}: {error}"})


def record_run(
    kind: str,
    facts: Mapping[str, Any] | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
) -> RecordedRun:
    """Begins a run of that kind ("train", ...) in the store, the user's if none is named.

    `facts` are what is known before, such as {"model": ..., "options": ...}. A store that
    cannot be written costs one RecordWarning, and what follows is not recorded.
    """
    try:
        path = None if store is None else os.fspath(store)
        return RecordedRun(_native.RecordedRun(kind, dict(facts or {}), path))
    except RuntimeError as error:
        warnings.warn(f"the run is not recorded: {error}", RecordWarning, stacklevel=2)
        return RecordedRun(None)
