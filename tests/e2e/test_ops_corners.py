"""Corners of ops that PyTorch's own database of ops asks about, and ops that few models use."""

import math

import optable
import pytest
import torch
import torch.nn.functional as F
from torch import tensor

ROWS = {
    "erfcx": lambda x: torch.special.erfcx(x * 8),
    "erfcx_far": lambda x: torch.special.erfcx(x.abs() * 1000 + 5),
    "erfcx_edges": lambda x: torch.special.erfcx(
        tensor([math.inf, -math.inf, math.nan, 10, 0, -30], dtype=x.dtype) + 0 * x[0, 0, 0]
    ),
    "log_ndtr": lambda x: torch.special.log_ndtr(x * 5),
    "log_ndtr_far": lambda x: torch.special.log_ndtr(-x.abs() * 100),
    "renorm": lambda x: x.renorm(2, 1, 1.5),
    "renorm_1": lambda x: x.renorm(1, -1, 4),
    "renorm_inf": lambda x: x.renorm(math.inf, 0, 0.5),
    "renorm_permuted": lambda x: x.permute(2, 0, 1).renorm(2, 0, 1.0),
    "vander": lambda x: torch.linalg.vander(x),
    "vander_n": lambda x: torch.linalg.vander(x[0, 0], N=6),
    "vander_int": lambda x: torch.linalg.vander((x * 3).int()),
    "mH": lambda x: x.mH,
    "linalg_diagonal": lambda x: torch.linalg.diagonal(x, offset=1),
    "linalg_diagonal_dims": lambda x: torch.linalg.diagonal(x, dim1=0, dim2=1),
    "fftshift": lambda x: torch.fft.fftshift(x),
    "ifftshift": lambda x: torch.fft.ifftshift(x),
    "fftshift_dims": lambda x: torch.fft.fftshift(x, (-1, 0)),
    "safe_softmax": lambda x: torch.ops.aten._safe_softmax(
        x.masked_fill(x[:, :1] > 0, -math.inf), -1
    ),
    "safe_softmax_0": lambda x: torch.ops.aten._safe_softmax(x, 0),
    "tensordot_one": lambda x: torch.tensordot(x[:1, :1], x[:2], ([0, 1], [1, 2])),
    "unfold_0d": lambda x: x[0, 0, 0].unfold(0, 1, 1) + 1,
    "unfold_0d_none": lambda x: x[0, 0, 0].unfold(0, 0, 2) + 1,
    "unfold_copy_0d": lambda x: torch.unfold_copy(x[0, 0, 0], 0, 1, 1),
    "cosine_0d": lambda x: F.cosine_similarity(x[0, 0, 0], x[0, 0, 1], 0),
    "nothing_normed": lambda x: F.batch_norm(x[:0, 0, 0], x[:0, 0, 0], x[:0, 0, 0], training=True),
    "take_along": lambda x: x.take_along_dim(x.argsort(1) - 4, 1),
    "take_along_flat": lambda x: x.take_along_dim(tensor([59, 3, 0])),
    "scatter_nothing": lambda x: x.scatter_add(1, torch.zeros(0, dtype=torch.uint8), x[:0, 0, 0]),
    "nonzero": lambda x: torch.nonzero_static(x > 0.5, size=9),
    "nonzero_more": lambda x: torch.nonzero_static(x.round(), size=99, fill_value=-7),
    "nonzero_1d": lambda x: torch.nonzero_static(x[0, 0], size=2),
    "nonzero_0d": lambda x: torch.nonzero_static(x[0, 0, 0], size=2),
    "repeated": lambda x: x.repeat_interleave(tensor([2, 0, 3, 1]), 1, output_size=6),
    "repeated_alike": lambda x: x.repeat_interleave(tensor([3]), 2, output_size=15),
    "repeated_indices": lambda x: torch.repeat_interleave(tensor([0, 2, 0, 1, 0]), output_size=3),
    "median_of_nan": lambda x: (x / 0 * 0).nanmedian(1),
}


@pytest.mark.parametrize("decomposed", [False, True], ids=["whole", "core"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rows(tmp_path, dtype, decomposed):
    x = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    optable.check_rows(tmp_path, ROWS, (x.to(dtype),), decomposed=decomposed)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_padding_of_embedding_bags_counts_from_the_end(tmp_path, mode):
    rows = {
        str(at): lambda w, i, at=at: F.embedding_bag(
            i, w, tensor([0, 3, 3]), mode=mode, padding_idx=at
        )
        for at in (None, -1, -5, 0, 4)
    }
    optable.check_rows(tmp_path, rows, (torch.randn(5, 3), tensor([4, 1, 1, 0, 4, 4])))


def test_sizes_that_vary(tmp_path):
    n = torch.export.Dim("n", min=2, max=40)
    names = ("renorm", "fftshift", "ifftshift", "safe_softmax", "nonzero")
    x, y = torch.randn(3, 4, 5), torch.randn(3, 4, 8)
    rows = {name: ROWS[name] for name in names}
    optable.check_rows(tmp_path, rows, (x,), (y,), dynamic_shapes=({2: n},))


def test_strides_of_batch_norm_with_dims_of_size_one(tmp_path):
    """Strides of such dims do not keep an input from being channels last."""
    storage = torch.randn(400)
    rows = {
        "3d": lambda x, o: F.batch_norm(x.as_strided((1, 16, 1, 8, 1), (9, 1, 3, 16, 5)), o, o),
        "2d": lambda x, o: F.batch_norm(x.as_strided((1, 16, 8, 1), (128, 1, 16, 128)), o, o),
        "rows": lambda x, o: F.batch_norm(x.as_strided((2, 16, 1, 3), (48, 3, 7, 1)), o, o),
    }
    optable.check_rows(tmp_path, rows, (storage, torch.ones(16)))
