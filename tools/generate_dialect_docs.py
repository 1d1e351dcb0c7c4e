"""Writes docs/reference/dialect.md from the op definitions in dialects/rt/*.td.

With --check nothing is written: the exit status is 1 if the page is out of date.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LLVM = Path("/usr/lib/llvm-22")
PAGE = ROOT / "docs" / "reference" / "dialect.md"


def render() -> str:
    """The page as mlir-tblgen writes it, less what says nothing to a reader."""
    command = [
        LLVM / "bin" / "mlir-tblgen",
        "-gen-dialect-doc",
        "-dialect=rt",
        f"-I{ROOT}",
        f"-I{LLVM}/include",
        ROOT / "dialects" / "rt" / "RtOps.td",
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text = re.sub(r"^<!--.*?-->\n+", "", text)
    text = text.replace("[TOC]\n\n", "")
    text = re.sub(r"^(Traits|Interfaces|Effects): .*\n\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(### `rt\.\w+`) \(.*\)$", r"\1", text, flags=re.MULTILINE)
    note = "Generated from `dialects/rt/*.td` by `tools/generate_dialect_docs.py`.\n\n"
    title, rest = text.split("\n\n", 1)
    return f"{title}\n\n{note}{rest.rstrip()}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only tell whether it is up to date")
    arguments = parser.parse_args()
    page = render()
    if not arguments.check:
        PAGE.write_text(page)
        return 0
    if PAGE.exists() and PAGE.read_text() == page:
        return 0
    print(f"{PAGE.relative_to(ROOT)} is out of date: run {Path(__file__).name}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
