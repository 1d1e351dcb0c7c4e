"""Padding, upsampling, sampling by grids, pixels and channels, against eager PyTorch."""

import optable
import pytest
import torch
import torch.nn.functional as F

PADS = {
    "constant": lambda x: F.pad(x, (1, 2, 0, 3), value=0.5),
    "negative": lambda x: F.pad(x, (-1, 2, 3, -2)),
    "cut": lambda x: F.pad(x, (-1, -2)),
    "channels": lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)),
    "reflect": lambda x: F.pad(x, (3, 2, 1, 4), mode="reflect"),
    "replicate": lambda x: F.pad(x, (3, 2, 1, 9), mode="replicate"),
    "circular": lambda x: F.pad(x, (3, 2, 1, 4), mode="circular"),
    "reflect_1d": lambda x: F.pad(x[0], (3, 2), mode="reflect"),
    "replicate_1d": lambda x: F.pad(x[0], (0, 7), mode="replicate"),
    "circular_1d": lambda x: F.pad(x[0], (4, 0), mode="circular"),
    "replicate_3d": lambda x: F.pad(x[None], (1, 1, 2, 0, 1, 2), mode="replicate"),
    "reflect_3d": lambda x: F.pad(x[None], (1, 1, 2, 0, 1, 2), mode="reflect"),
    "fused": lambda x: F.pad(x * 2, (1, 1), value=1.0).relu(),
}
RESIZES = {
    "nearest_double": lambda x: F.interpolate(x, scale_factor=2),
    "nearest_to": lambda x: F.interpolate(x, (7, 11)),
    "nearest_half": lambda x: F.interpolate(x, scale_factor=0.5),
    "nearest_odd": lambda x: F.interpolate(x, scale_factor=(1.7, 2.3)),
    "nearest_recomputed": lambda x: F.interpolate(x, scale_factor=1.7, recompute_scale_factor=True),
    "exact": lambda x: F.interpolate(x, (7, 11), mode="nearest-exact"),
    "exact_double": lambda x: F.interpolate(x, scale_factor=2, mode="nearest-exact"),
    "bilinear": lambda x: F.interpolate(x, (7, 11), mode="bilinear"),
    "bilinear_corners": lambda x: F.interpolate(x, (9, 5), mode="bilinear", align_corners=True),
    "bilinear_factor": lambda x: F.interpolate(x, scale_factor=2.5, mode="bilinear"),
    "bilinear_1": lambda x: F.interpolate(x, (1, 1), mode="bilinear", align_corners=True),
    "bicubic": lambda x: F.interpolate(x, (9, 13), mode="bicubic"),
    "bicubic_corners": lambda x: F.interpolate(x, (9, 5), mode="bicubic", align_corners=True),
    "bicubic_factor": lambda x: F.interpolate(x, scale_factor=1.5, mode="bicubic"),
    "between": lambda x: F.interpolate((x + 1).relu(), scale_factor=2, mode="bilinear") * 2,
}
RESIZES_1D = {
    "nearest": lambda x: F.interpolate(x, 17),
    "double": lambda x: F.interpolate(x, scale_factor=2),
    "exact": lambda x: F.interpolate(x, 5, mode="nearest-exact"),
    "linear": lambda x: F.interpolate(x, 17, mode="linear"),
    "linear_corners": lambda x: F.interpolate(x, 17, mode="linear", align_corners=True),
}
RESIZES_3D = {
    "nearest": lambda x: F.interpolate(x, (5, 3, 7)),
    "double": lambda x: F.interpolate(x, scale_factor=2),
    "trilinear": lambda x: F.interpolate(x, (5, 7, 3), mode="trilinear"),
    "corners": lambda x: F.interpolate(x, (5, 7, 3), mode="trilinear", align_corners=True),
}
PIXELS = {
    "shuffle": lambda x: F.pixel_shuffle(x, 2),
    "unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "channels": lambda x: F.channel_shuffle(x, 4),
    "unfold": lambda x: F.unfold(x, 3),
    "unfold_stride": lambda x: F.unfold(x, (2, 3), dilation=(1, 2), padding=(1, 0), stride=2),
    "fold": lambda x: F.fold(F.unfold(x, 2, stride=2), (6, 8), 2, stride=2),
    "fold_overlap": lambda x: F.fold(
        F.unfold(x, 3, dilation=1, padding=1), (6, 8), 3, dilation=1, padding=1
    ),
    "roll": lambda x: x.roll((1, -2), (2, 3)),
    "flip": lambda x: x.flip(1, 3),
    "rot90": lambda x: x.rot90(1, (2, 3)),
    "rot180": lambda x: x.rot90(2, (2, 3)),
    "rot270": lambda x: x.rot90(-1, (2, 3)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_images(tmp_path, dtype, format):
    x = torch.randn(2, 8, 6, 8, dtype=torch.float64).to(dtype).contiguous(memory_format=format)
    rows = {f"resize_{k}": v for k, v in RESIZES.items()}
    if dtype == torch.bfloat16:  # eager rounds the weights and partial sums
        rows = {k: v for k, v in rows.items() if "linear" not in k and "cubic" not in k}
    optable.check_rows(tmp_path, PADS | rows | PIXELS, (x,))


def test_images_decomposed(tmp_path):
    rows = PADS | {f"resize_{k}": v for k, v in RESIZES.items()} | PIXELS
    # Its decomposition pads a view of a view, which the exporter itself cannot trace.
    optable.check_rows(tmp_path, rows, (torch.randn(2, 8, 6, 8),), decomposed=True)


def test_other_ranks(tmp_path):
    optable.check_rows(tmp_path, RESIZES_1D, (torch.randn(2, 3, 9),))
    optable.check_rows(tmp_path, RESIZES_3D, (torch.randn(2, 3, 4, 5, 6),))


def test_integers(tmp_path):
    x = torch.randint(-9, 9, (2, 4, 6, 8))
    names = ("constant", "negative", "reflect", "replicate", "circular")
    moves = {n: row for n, row in PIXELS.items() if "fold" not in n}
    optable.check_rows(tmp_path, {n: PADS[n] for n in names} | moves, (x,))
    optable.check_rows(tmp_path, {"nearest": RESIZES["nearest_to"]}, (x.to(torch.uint8),))


def test_dynamic_sizes(tmp_path):
    h, w = torch.export.Dim("h", min=5, max=50), torch.export.Dim("w", min=4, max=50)
    rows = {
        "pad": PADS["constant"],
        "reflect": PADS["reflect"],
        "replicate": PADS["replicate"],
        "nearest_double": RESIZES["nearest_double"],
        "nearest_to": RESIZES["nearest_to"],
        "bilinear": RESIZES["bilinear"],
        "bilinear_factor": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        "like": lambda x: F.interpolate(x[:, :, :2, :2], x.shape[2:], mode="bilinear"),
        "shuffle": lambda x: F.pixel_shuffle(x, 2),
        "flip": PIXELS["flip"],
    }
    optable.check_rows(
        tmp_path,
        rows,
        (torch.randn(2, 8, 6, 8),),
        (torch.randn(2, 8, 17, 5),),
        dynamic_shapes=({2: h, 3: w},),
    )


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("corners", [False, True])
def test_grid_sample(tmp_path, mode, corners):
    rows = {
        border: lambda x, g, b=border: F.grid_sample(x, g, mode, b, align_corners=corners)
        for border in ("zeros", "border", "reflection")
    }
    x, grid = torch.randn(2, 3, 5, 7), torch.randn(2, 4, 6, 2)
    optable.check_rows(tmp_path, rows, (x, grid))
    optable.check_rows(tmp_path, rows, (x.double(), grid.double() * 2), decomposed=True)


def test_grid_sample_3d(tmp_path):
    rows = {
        "zeros": lambda x, g: F.grid_sample(x, g, align_corners=False),
        "border": lambda x, g: F.grid_sample(x, g, padding_mode="border", align_corners=True),
    }
    optable.check_rows(tmp_path, rows, (torch.randn(2, 3, 4, 5, 6), torch.randn(2, 2, 3, 4, 3)))


def test_affine_grid(tmp_path):
    rows = {
        "2d": lambda t, u: F.affine_grid(t, [2, 3, 4, 5], align_corners=False),
        "2d_corners": lambda t, u: F.affine_grid(t, [2, 3, 4, 5], align_corners=True),
        "one_row": lambda t, u: F.affine_grid(t, [2, 3, 1, 5], align_corners=False),
        "3d": lambda t, u: F.affine_grid(u, [2, 3, 4, 5, 6], align_corners=False),
    }
    optable.check_rows(tmp_path, rows, (torch.randn(2, 2, 3), torch.randn(2, 3, 4)))
