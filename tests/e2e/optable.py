"""Many ops in one compiled module: tables of named rows, each compared with eager PyTorch.

A row is a function of the operands. All rows of a table become one module that returns
their results, so that one export and one compile check dozens of ops; what differs is
reported for all rows at once, by name.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import harness
import torch
from torch.utils import _pytree as pytree

Row = Callable[..., Any]


class Rows(torch.nn.Module):
    """Returns the results of every row on the same operands."""

    def __init__(self, rows: dict[str, Row]):
        super().__init__()
        self.rows = rows

    def forward(self, *operands: Any) -> list[Any]:
        return [_plain(row(*operands)) for row in self.rows.values()]


def _plain(result: Any) -> Any:
    """The exporter cannot write named tuples, such as sort's."""
    return tuple(result) if isinstance(result, tuple) else result


class Function(torch.nn.Module):
    """A function as a module."""

    def __init__(self, function: Row):
        super().__init__()
        self.function = function

    def forward(self, *operands: Any) -> Any:
        return self.function(*operands)


def check_rows(
    folder: Path,
    rows: dict[str, Row],
    operands: Sequence[Any],
    *more_operands: Sequence[Any],
    decomposed: bool = False,
    dynamic_shapes: Any = None,
) -> harness.Compiled:
    """Compiles the rows for `operands` and compares each on these and on `more_operands`."""
    shapes = None if dynamic_shapes is None else (dynamic_shapes,)
    compiled = harness.compile_module(
        folder, Rows(rows), tuple(operands), dynamic_shapes=shapes, decomposed=decomposed
    )
    for each in (operands, *more_operands):
        compare_rows(compiled, rows, each)
    return compiled


def compare_rows(compiled: harness.Compiled, rows: dict[str, Row], operands: Sequence[Any]) -> None:
    """Runs all rows on these operands and reports every row that differs from eager."""
    actual = iter(compiled(*(harness.copy_exactly(x) for x in operands)))
    failures = []
    for name, row in rows.items():
        with torch.no_grad():
            expected = pytree.tree_leaves(row(*operands))
        for i, theirs in enumerate(expected):
            try:
                harness.assert_like_eager(
                    f"{name}[{i}]" if len(expected) > 1 else name,
                    next(actual),
                    theirs,
                    lambda row=row, i=i: _in_double(row, operands)[i],
                )
            except AssertionError as error:
                failures.append(str(error))
    assert not failures, f"{len(failures)} rows differ:\n" + "\n".join(failures)


def _in_double(row: Row, operands: Sequence[Any]) -> list[Any]:
    wide = [x.double() if _is_float(x) else x for x in operands]
    with torch.no_grad():
        return pytree.tree_leaves(row(*wide))


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()
