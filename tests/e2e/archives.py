"""Changes one thing in a .pt2 archive, for tests of what the importer refuses."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def rewrite(
    source: Path,
    target: Path,
    change: Callable[[str, bytes], bytes | None],
) -> None:
    """Copies the archive; `change` gives each entry's new bytes, or None to leave it out.

    Names come without the root folder.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            data = change(entry.filename.split("/", 1)[1], old.read(entry))
            if data is not None:
                new.writestr(zipfile.ZipInfo(entry.filename), data)


def rewrite_graph(source: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Copies the archive with `change` applied to its models/model.json."""

    def apply(name: str, data: bytes) -> bytes:
        if name != "models/model.json":
            return data
        graph = json.loads(data)
        change(graph)
        return json.dumps(graph).encode()

    rewrite(source, target, apply)


def without(source: Path, target: Path, entry: str) -> None:
    """Copies the archive without one entry."""
    rewrite(source, target, lambda name, data: None if name == entry else data)
