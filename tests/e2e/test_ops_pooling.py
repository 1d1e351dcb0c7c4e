"""Pooling ops against eager PyTorch: windows, padding, ceil mode, formats, indices."""

import optable
import pytest
import torch
import torch.nn.functional as F

POOLS_1D = {
    "max": lambda x: F.max_pool1d(x, 3, 2, 1),
    "max_ceil": lambda x: F.max_pool1d(x, 3, 2, 1, ceil_mode=True),
    "max_dilated": lambda x: F.max_pool1d(x, 2, 1, 1, dilation=3),
    "max_indices": lambda x: F.max_pool1d(x, 4, 3, 2, return_indices=True),
    "avg": lambda x: F.avg_pool1d(x, 3, 2, 1),
    "avg_ceil": lambda x: F.avg_pool1d(x, 3, 2, 1, True, False),
    "adaptive_avg": lambda x: F.adaptive_avg_pool1d(x, 5),
    "adaptive_avg_divides": lambda x: F.adaptive_avg_pool1d(x, 7),
    "adaptive_max": lambda x: F.adaptive_max_pool1d(x, 5),
    "lp": lambda x: F.lp_pool1d(x, 3, 3, 2),
}
POOLS_2D = {
    "max": lambda x: F.max_pool2d(x, 2),
    "max_padded": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max_ceil": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "max_dilated": lambda x: F.max_pool2d(x, (2, 3), (1, 2), (1, 1), dilation=2),
    "max_indices": lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
    "avg": lambda x: F.avg_pool2d(x, 2),
    "avg_padded": lambda x: F.avg_pool2d(x, (3, 4), (2, 1), (1, 2)),
    "avg_exclusive": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "avg_ceil": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "avg_ceil_exclusive": lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
    "avg_divisor": lambda x: F.avg_pool2d(x, 3, 2, 1, divisor_override=5),
    "adaptive_avg_1": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive_avg": lambda x: F.adaptive_avg_pool2d(x, (5, 7)),
    "adaptive_avg_divides": lambda x: F.adaptive_avg_pool2d(x, (6, 3)),
    "adaptive_avg_none": lambda x: F.adaptive_avg_pool2d(x, (None, 4)),
    "adaptive_max": lambda x: F.adaptive_max_pool2d(x, (5, 4)),
    "adaptive_max_indices": lambda x: F.adaptive_max_pool2d(x, (5, 4), return_indices=True),
    "lp": lambda x: F.lp_pool2d(x, 2, 3, 2),
    "between": lambda x: F.max_pool2d((x * 2).relu(), 3, 2, 1) + 1,
}
POOLS_3D = {
    "max": lambda x: F.max_pool3d(x, 3, 2, 1),
    "max_indices": lambda x: F.max_pool3d(x, 2, return_indices=True),
    "avg": lambda x: F.avg_pool3d(x, 3, 2, 1),
    "adaptive_avg": lambda x: F.adaptive_avg_pool3d(x, (2, 3, 3)),
    "adaptive_avg_1": lambda x: F.adaptive_avg_pool3d(x, 1),
    "adaptive_max": lambda x: F.adaptive_max_pool3d(x, (2, 3, 2)),
}


def nan_and_infinity(x: torch.Tensor) -> torch.Tensor:
    """Some NaN side by side, and a batch of -inf, that no padding may hide."""
    x = x.clone()
    x[0, 0, 3, 4:6] = float("nan")
    x[1] = -float("inf")
    return x


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(2, 5, 21),
        lambda: torch.randn(5, 21),
        lambda: torch.randn(2, 21, 5).transpose(1, 2),
    ],
    ids=["batch", "unbatched", "permuted"],
)
def test_1d(tmp_path, make):
    optable.check_rows(tmp_path, POOLS_1D, (make(),))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_2d(tmp_path, dtype, format):
    x = torch.randn(2, 8, 12, 18, dtype=dtype).contiguous(memory_format=format)
    optable.check_rows(tmp_path, POOLS_2D, (x,), (nan_and_infinity(x),))


def test_2d_of_other_sizes(tmp_path):
    optable.check_rows(tmp_path, POOLS_2D, (torch.randn(3, 13, 17),))


WIDE = {
    **{name: POOLS_2D[name] for name in ("max_padded", "avg_exclusive", "max_indices", "lp")},
    "step_3": lambda x: F.max_pool2d(x, 3, 3),
    "step_4": lambda x: F.avg_pool2d(x, 4, 4, 1),
    "overlapping": lambda x: F.avg_pool2d(x, 3, 1, 1),
    "uneven": lambda x: F.adaptive_avg_pool2d(x, (6, 5)),
    "uneven_max": lambda x: F.adaptive_max_pool2d(x, (7, 3), return_indices=True),
    "pairs": lambda x: x[..., ::2].unflatten(-1, (-1, 2)).sum(-1),
    "triples": lambda x: x[..., : x.shape[-1] // 3 * 3].unflatten(-1, (-1, 3)).amax(-1),
}


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_vectors_inside_and_at_the_border(tmp_path, format):
    """Rows and channels of several vectors, so that some windows need no care and some do."""
    x = torch.randn(2, 37, 23, 76).contiguous(memory_format=format)
    optable.check_rows(tmp_path, WIDE, (x,))


def test_2d_decomposed(tmp_path):
    optable.check_rows(tmp_path, POOLS_2D, (torch.randn(2, 3, 12, 18),), decomposed=True)


def test_2d_dynamic(tmp_path):
    b, h, w = (torch.export.Dim(name, min=4, max=64) for name in "bhw")
    names = (
        *("max", "max_padded", "max_indices", "avg_padded", "avg_exclusive", "between"),
        *("adaptive_avg_1", "adaptive_avg", "adaptive_max_indices"),
    )
    optable.check_rows(
        tmp_path,
        {name: POOLS_2D[name] for name in names},
        (torch.randn(4, 8, 12, 18),),
        (torch.randn(5, 8, 13, 31),),
        dynamic_shapes=({0: b, 2: h, 3: w},),
    )


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last_3d], ids=str)
def test_3d(tmp_path, format):
    x = torch.randn(2, 3, 6, 9, 10).contiguous(memory_format=format)
    optable.check_rows(tmp_path, POOLS_3D, (x,))


def test_integers(tmp_path):
    rows = {"max": lambda x: F.max_pool2d(x, 3, 2, 1)}
    optable.check_rows(tmp_path, rows, (torch.randint(-9, 9, (2, 3, 8, 9)),))
