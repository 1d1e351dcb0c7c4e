"""Writes docs/reference/ops.md: the ops that programs may use, from the compiler's table.

With --check nothing is written: the exit status is 1 if the page is out of date.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("RTORCH_BUILD", ROOT / "build" / "release"))
PAGE = ROOT / "docs" / "reference" / "ops.md"

HEAD = """# Ops

Generated from the importer's tables by `tools/generate_op_docs.py`; `rtorch-compile --list-ops`
prints the same. {count} overloads of {ops} ops. The in-place twin of an op (`add_` of `add`) is
taken too. An op that is not here is named, with its source line, before anything is compiled;
so is a use that is not supported, such as one whose result's size depends on data.

Dtypes: each op takes those of float16, bfloat16, float32, float64, int8, int16, int32, int64,
uint8 and bool that it takes in eager PyTorch.

| op | overloads |
|---|---|
"""


def render() -> str:
    """The page: one row an op."""
    command = [BUILD / "bin" / "rtorch-compile", "--list-ops"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    ops: dict[str, list[str]] = {}
    for name in listed:
        op, overload = name.rsplit(".", 1)
        ops.setdefault(op, []).append(overload)
    rows = "".join(f"| `{op}` | {', '.join(overloads)} |\n" for op, overloads in ops.items())
    return HEAD.format(count=len(listed), ops=len(ops)) + rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only tell whether it is up to date")
    page = render()
    if not parser.parse_args().check:
        PAGE.write_text(page)
        return 0
    if PAGE.exists() and PAGE.read_text() == page:
        return 0
    print(f"{PAGE} is out of date: run tools/generate_op_docs.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
