"""Reads what the dialect's .td files say of each op: constraints and example."""

import json
import re
import subprocess
from dataclasses import dataclass

CONSTRAINT = re.compile(r"^\s*- \(C(\d+)\) ", re.M)
EXAMPLE = re.compile(r"```mlir\n(.*?)```", re.S)


@dataclass
class Op:
    """An op of the dialect. `family` names ops whose constraints are one text in a class."""

    name: str
    family: str
    constraints: list[int]
    example: str


# Ops made from these classes share the text and the check of their constraints; one
# invalid test of the family stands for all.
FAMILIES = {"Rt_PointwiseOp": "pointwise", "Rt_ReductionOp": "reduction"}


def read_ops(llvm_tblgen: str, includes: list[str], td: str) -> list[Op]:
    """All ops of `td`, in the order of their names."""
    command = [llvm_tblgen, "--dump-json", *(f"-I{path}" for path in includes), td]
    records = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    ops = []
    for record in (records[name] for name in records["!instanceof"]["Op"]):
        if record["opDialect"]["def"] != "Rt_Dialect":
            continue
        families = [FAMILIES[base] for base in record["!superclasses"] if base in FAMILIES]
        text = record["description"]
        example = EXAMPLE.search(text)
        ops.append(
            Op(
                name=record["opName"],
                family=families[0] if families else record["opName"],
                constraints=[int(n) for n in CONSTRAINT.findall(text)],
                example=example.group(1) if example else "",
            )
        )
    return sorted(ops, key=lambda op: op.name)
