"""Writes runs into the experiment store, as docs/reference/store.md describes its files."""

import argparse
import contextlib
import fcntl
import json
import math
import os
import platform
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """--store and --no-store: `options.store` is a folder, or None."""
    parser.add_argument(
        "--store",
        type=Path,
        default=DEFAULT_STORE,
        help="the experiment store (default: RTORCH_STORE, or rtorch in the user's data directory)",
    )
    parser.add_argument("--no-store", dest="store", action="store_const", const=None)


def default_store() -> Path | None:
    """Where the commands record; None where that is switched off."""
    if "RTORCH_STORE" in os.environ:
        return Path(os.environ["RTORCH_STORE"]) if os.environ["RTORCH_STORE"] else None
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    if data.is_absolute():
        return data / "rtorch"
    return Path.home() / ".local" / "share" / "rtorch"


# As the user's environment says: the tests' harness switches recording off in its own.
DEFAULT_STORE = default_store()


def _host() -> dict[str, Any]:
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {
        "name": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": cpu,
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
    }


def _peak_memory() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return _number(value) if isinstance(value, float) else value


def _replace(path: Path, value: Any) -> None:
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    with temporary.open("w") as file:
        file.write(json.dumps(value) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class Run:
    """A run directory that is being written."""

    def __init__(self, store: Path, kind: str, facts: dict[str, Any]) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        identity = f"{stamp}-{secrets.token_hex(4)}"
        # Readers pass it over until it is complete.
        self.directory = store / "runs" / f".{identity}"
        self.directory.mkdir(parents=True)
        self.results: dict[str, Any] = {}
        self._values: dict[str, list[float]] = {}
        self._records = 0
        self._lock = (self.directory / "writer.lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (self.directory / "events.jsonl").touch()
        self._metrics = (self.directory / "metrics.jsonl").open("ab", buffering=0)
        process = {"pid": os.getpid(), "arguments": sys.argv, "directory": str(Path.cwd())}
        self._facts = {"schema": SCHEMA, "id": identity, "kind": kind, **facts}
        self._facts |= {"host": _host(), "process": process, "started_ns": time.time_ns()}
        _replace(self.directory / "run.json", {**self._facts, "status": "running"})
        self.directory = self.directory.rename(store / "runs" / identity)

    def metric(self, name: str, value: float) -> None:
        line = {"seq": self._records, "t": time.time_ns(), "k": name, "v": _number(value)}
        self._metrics.write(json.dumps(line).encode() + b"\n")
        self._records += 1
        self._values.setdefault(name, []).append(value)

    def finish(self, status: str) -> None:
        metrics = {name: _summary(values) for name, values in self._values.items()}
        _replace(self.directory / "summary.json", {"schema": SCHEMA, "metrics": metrics})
        ended = {"ended_ns": time.time_ns(), "events": 0, "records": self._records}
        results = {**_plain(self.results), "peak_memory_bytes": _peak_memory()}
        whole = {**self._facts, "status": status, **ended, "results": results}
        _replace(self.directory / "run.json", whole)
        self._metrics.close()
        self._lock.close()


def _summary(values: list[float]) -> dict[str, Any]:
    ordered = sorted(value for value in values if not math.isnan(value)) or [math.nan]

    def quantile(q: float) -> float | str:
        return _number(ordered[max(math.ceil(q * len(ordered)) - 1, 0)])

    return {
        "count": len(values),
        "last": _number(values[-1]),
        "min": _number(ordered[0]),
        "max": _number(ordered[-1]),
        "mean": _number(sum(values) / len(values)),
        "p50": quantile(0.5),
        "p90": quantile(0.9),
        "p99": quantile(0.99),
        "epsilon": 0,
    }


class Unrecorded:
    """Takes what a run takes, and keeps nothing."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}

    def metric(self, name: str, value: float) -> None:
        pass

    def finish(self, status: str) -> None:
        pass


def _open(store: Path | None, kind: str, facts: dict[str, Any]) -> Run | Unrecorded:
    if store is None:
        return Unrecorded()
    try:
        return Run(store, kind, facts)
    except OSError as error:
        print(f"warning: this run is not recorded: {error}", file=sys.stderr)
        return Unrecorded()


@contextlib.contextmanager
def begin(store: Path | None, kind: str, facts: dict[str, Any]) -> Iterator[Run | Unrecorded]:
    """A run that ends as done, or as failed where the body raises."""
    run = _open(store, kind, facts)
    try:
        yield run
    except BaseException:
        run.finish("failed")
        raise
    run.finish("done")
