"""Writes seed corpora out of archives that PyTorch exported.

    python seeds.py ARCHIVES FOLDER

FOLDER/zip has the smallest archives, FOLDER/graph the JSON of each program without white
space and stack traces, FOLDER/expr the expressions in them, FOLDER/pt2 archives with such
JSON.
"""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

LARGEST_ARCHIVE = 30_000


def shortened(value: Any) -> Any:
    """Without what no reader looks at, so that mutations meet what it does look at."""
    if isinstance(value, dict):
        drop = ("nn_module_stack", "stack_trace", "source_fn_stack", "torch_fn")
        return {k: shortened(v) for k, v in value.items() if k not in drop}
    return [shortened(v) for v in value] if isinstance(value, list) else value


def expressions(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(expressions, value))
    if not isinstance(value, dict):
        return set()
    own = {value["expr_str"]} if isinstance(value.get("expr_str"), str) else set()
    return own.union(*map(expressions, value.values()))


def with_program(archive: zipfile.ZipFile, path: Path, name: str, text: str) -> None:
    with zipfile.ZipFile(path, "w") as copy:
        for entry in archive.infolist():
            copy.writestr(entry.filename, text if entry.filename == name else archive.read(entry))


def main(archives: Path, folder: Path) -> None:
    for kind in ("zip", "graph", "expr", "pt2"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    found: set[str] = set()
    for path in sorted(archives.glob("*.pt2")):
        if path.stat().st_size <= LARGEST_ARCHIVE:
            (folder / "zip" / path.stem).write_bytes(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            [name] = [n for n in archive.namelist() if "/models/" in n and n.endswith(".json")]
            program = json.loads(archive.read(name))
            text = json.dumps(shortened(program), separators=(",", ":"))
            with_program(archive, folder / "pt2" / path.stem, name, text)
        found |= expressions(program)
        (folder / "graph" / path.stem).write_text(text)
    for i, text in enumerate(sorted(found)):
        (folder / "expr" / f"{i}").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
