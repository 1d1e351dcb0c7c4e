"""A part of PyTorch's database of ops; `tests/opinfo/run.py` runs all of it."""

import argparse
import sys

import harness
import pytest

sys.path.insert(0, str(harness.ROOT / "tests" / "opinfo"))

import run

NAMES = (
    "nn.functional.conv2d",
    "nn.functional.layer_norm",
    "nn.functional.group_norm",
    "nn.functional.gelu",
    "nn.functional.avg_pool2d",
    "nn.functional.embedding",
    "nn.functional.nll_loss",
    "nn.functional.linear",
    "softmax",
    "index_put",
    "matmul",
    "where",
)
OPTIONS = argparse.Namespace(samples=2, gradients=True)


@pytest.mark.parametrize("name", NAMES)
def test_entry(name):
    for op in run.entries([name]):
        if op.name != name or op.variant_test_name:
            continue
        states = run.states_of(op, OPTIONS)
        assert states
        for state, what, message in states:
            # AOTAutograd does not take indexing with masks.
            assert state in ("native", "unexportable"), f"{what}: {message}"
        assert any(state == "native" for state, _, _ in states)
