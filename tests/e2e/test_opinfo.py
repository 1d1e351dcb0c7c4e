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
# Without gradients: those without a family of tests of their own.
FORWARD = (
    "_batch_norm_with_update",
    "_upsample_bilinear2d_aa",
    "angle",
    "cdist",
    "cumulative_trapezoid",
    "diagonal_copy",
    "fft.fftshift",
    "fft.ifftshift",
    "isreal",
    "linalg.vander",
    "logspace",
    "nanquantile",
    "nn.functional.bilinear",
    "nn.functional.cosine_similarity",
    "nn.functional.embedding_bag",
    "nn.functional.max_unpool2d",
    "nn.functional.max_unpool3d",
    "nn.functional.multi_margin_loss",
    "nn.functional.multilabel_margin_loss",
    "nonzero_static",
    "polygamma",
    "quantile",
    "renorm",
    "special.erfcx",
    "special.log_ndtr",
    "split_with_sizes_copy",
    "squeeze",
    "take_along_dim",
    "tensordot",
    "unfold",
    "unfold_copy",
    "ravel",
    "view_copy",
)
ROWS = [(name, 2, True) for name in NAMES] + [(name, 12, False) for name in FORWARD]


@pytest.mark.parametrize(("name", "samples", "gradients"), ROWS, ids=[row[0] for row in ROWS])
def test_entry(name, samples, gradients):
    options = argparse.Namespace(samples=samples, gradients=gradients)
    for op in run.entries([name]):
        if op.name != name:
            continue
        states = run.states_of(op, options)
        assert states
        for state, what, message in states:
            # AOTAutograd does not take indexing with masks.
            assert state in ("native", "unexportable"), f"{what}: {message}"
        assert any(state == "native" for state, _, _ in states)
