"""Fails where a numbered constraint of an op has no invalid test.

The constraint (C2) of `rt.linear` needs a function `@linear_c2_...` in some .mlir file
of this folder, in a section that expects an error. Ops of a family (the elementwise
table, the reductions table) share their constraints' text and check: a test named after
the family, `@pointwise_c1_...`, stands for all of them.
"""

import argparse
import re
import sys
from pathlib import Path

from ods import read_ops

NAME = re.compile(r"@(\w+?)_c(\d+)_\w+")


def tested_constraints(folder: Path) -> set[tuple[str, int]]:
    """(op or family, number) of every section that expects an error."""
    found = set()
    for file in sorted(folder.glob("*.mlir")):
        for section in file.read_text().split("// -----"):
            if "expected-error" in section:
                found.update((name, int(number)) for name, number in NAME.findall(section))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llvm-tblgen", default="llvm-tblgen")
    parser.add_argument("-I", dest="includes", action="append", default=[])
    parser.add_argument("td")
    args = parser.parse_args()
    tested = tested_constraints(Path(__file__).parent)
    needed = set()
    for op in read_ops(args.llvm_tblgen, args.includes, args.td):
        if not op.constraints:
            print(f"rt.{op.name}: has no numbered constraint", file=sys.stderr)
            return 1
        if op.constraints != list(range(1, len(op.constraints) + 1)):
            print(f"rt.{op.name}: constraints are numbered {op.constraints}", file=sys.stderr)
            return 1
        needed |= {(op.family, number) for number in op.constraints}
    for name, number in sorted(needed - tested):
        print(f"(C{number}) of {name}: no invalid test @{name}_c{number}_...", file=sys.stderr)
    for name, number in sorted(tested - needed):
        print(f"@{name}_c{number}_...: no op has this constraint", file=sys.stderr)
    print(f"{len(needed)} constraints, {len(needed & tested)} with an invalid test")
    return 0 if needed == tested else 1


if __name__ == "__main__":
    sys.exit(main())
