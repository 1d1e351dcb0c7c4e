"""Compiled modules on disk, found by the hash of all that decides what they compute.

A module appears by rename, so that other processes see it whole or not at all; two that
compile the same graph at once write the same bytes. What was not used for longest goes
first when the folder grows beyond its limit; a module that is in use stays mapped.
"""

import contextlib
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

from . import _archive, _native
from ._graph import Serialized
from ._options import Options


@cache
def compiler_identity() -> str:
    """What distinguishes one build of the compiler from another."""
    stat = os.stat(_native.__file__)
    return f"{_native.version()} {_native.llvm_description()} {stat.st_size} {stat.st_mtime_ns}"


@cache
def host() -> str:
    """The features that code for "native" may use."""
    try:
        with open("/proc/cpuinfo") as lines:
            wanted = ("flags", "model name", "cpu family", "model\t", "Features")
            return "".join(sorted({line for line in lines if line.startswith(wanted)}))
    except OSError:
        return platform.processor()


def key_parts(graph: Serialized, options: Options) -> dict[str, str]:
    """What the key is made of, by name: hashes, or texts where they are short."""
    stripped = json.loads(json.dumps(graph.program))
    for node in stripped["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}  # source lines change messages only
    constants = hashlib.sha256()
    for name, tensor in graph.constants.items():
        meta = (name, tensor.dtype, tuple(tensor.size()), tensor.stride(), tensor.storage_offset())
        constants.update(repr(meta).encode())
        constants.update(_archive.bytes_of(tensor))
    nodes = stripped["graph_module"]["graph"]["nodes"]
    return {
        "ops": f"{len(nodes)} ops {_hash(json.dumps([n['target'] for n in nodes]))[:12]}",
        "arguments": ", ".join(graph.signature),
        "graph": _hash(json.dumps(stripped, sort_keys=True)),
        "constants": constants.hexdigest(),
        "target": options.target_cpu,
        "winograd": str(options.winograd),
        "host": _hash(host()) if options.target_cpu == "native" else "",
        "compiler": compiler_identity(),
    }


def key_of(parts: dict[str, str]) -> str:
    return _hash(json.dumps(parts, sort_keys=True))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """A folder of modules and their reports."""

    def __init__(self, folder: Path, limit: int):
        self.folder, self.limit = folder, limit

    def find(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """The module and its report, which become the most recently used."""
        path = self.folder / f"{key}.rtm"
        try:
            report = json.loads(path.with_suffix(".json").read_text())["report"]
            os.utime(path)
        except (OSError, ValueError, KeyError):
            return None
        return path, report

    def add(self, name: str, parts: dict[str, str], module: Path, report: dict[str, Any]) -> Path:
        """Moves `module`, a file in the folder, to its place. What its key is made of stays
        beside it, for `rtorch-store why-miss`.
        """
        key = key_of(parts)
        entry = {"name": name, "added_ns": time.time_ns(), "parts": parts, "report": report}
        self._write(self.folder / f"{key}.json", json.dumps(entry))
        path = self.folder / f"{key}.rtm"
        os.replace(module, path)
        self._prune(keep=path)
        return path

    def temporary(self) -> Path:
        """A name for a file that is being written, in the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        os.close(handle)
        return Path(name)

    def remove(self, key: str) -> None:
        for suffix in (".rtm", ".json"):
            with contextlib.suppress(OSError):
                (self.folder / f"{key}{suffix}").unlink()

    def _write(self, path: Path, text: str) -> None:
        temporary = self.temporary()
        temporary.write_text(text)
        os.replace(temporary, path)

    def _prune(self, keep: Path) -> None:
        for path in oldest_beyond(self.limit, self.folder.glob("*.rtm"), keep):
            self.remove(path.stem)


def oldest_beyond(limit: int, files: Iterable[Path], keep: Path | None = None) -> list[Path]:
    """The files that must go, oldest first, so that the rest has `limit` bytes; not `keep`."""
    found = []
    for path in files:
        with contextlib.suppress(OSError):
            stat = path.stat()
            if S_ISREG(stat.st_mode):
                found.append((stat.st_mtime_ns, stat.st_size, path))
    size = sum(each[1] for each in found)
    beyond = []
    for _, bytes_, path in sorted(found):
        if size <= limit:
            break
        if path != keep:
            size -= bytes_
            beyond.append(path)
    return beyond
