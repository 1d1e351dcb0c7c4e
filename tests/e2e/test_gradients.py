"""Gradients of single ops: the graphs that AOTAutograd makes of them, against eager."""

import pytest
import torch
import torch.nn.functional as F
import training

POINTWISE = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "elu": lambda x: F.elu(x, 0.7),
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 1.3),
    "leaky": lambda x: F.leaky_relu(x, 0.2),
    "softplus": lambda x: F.softplus(x, 2.0, 1.5),
    "logsigmoid": F.logsigmoid,
    "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.8),
    "hardswish": lambda x: F.hardswish(x * 3),
    "hardsigmoid": lambda x: F.hardsigmoid(x * 3),
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "threshold": lambda x: F.threshold(x, 0.1, 20.0),
    "logit": lambda x: torch.logit(x * 0.1 + 0.5),
    "logit_eps": lambda x: torch.logit(x, 0.2),
    "glu": lambda x: F.glu(x, 1),
    "softmax": lambda x: F.softmax(x, 1),
    "softmax_0": lambda x: F.softmax(x, 0),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "prelu": lambda x: F.prelu(x, torch.full((6,), 0.3, dtype=x.dtype)),
}


def _tensor(shape, dtype=torch.float32, layout="rowmajor"):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x = x.to(dtype)
    if layout == "permuted":
        order = list(range(len(shape)))[::-1]
        return x.permute(order).contiguous().permute(order)
    if layout == "channels_last":
        return x.contiguous(memory_format=torch.channels_last)
    return x


@pytest.mark.parametrize("core", [False, True], ids=["whole", "core"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", ["rowmajor", "permuted"])
def test_pointwise(tmp_path, layout, dtype, core):
    def all_of(x):
        return [op(x) for op in POINTWISE.values()]

    table = training.core_decompositions() if core else None
    if core and dtype == torch.bfloat16:
        pytest.skip("decompositions round elsewhere than eager's ops")
    training.of_function(all_of, [_tensor((4, 6, 5), dtype, layout)], table).check(tmp_path)


NORMS = {
    "layer": (lambda x, w, b: F.layer_norm(x, (7,), w, b), (3, 5, 7), (7,)),
    "layer_2": (lambda x, w, b: F.layer_norm(x, (5, 7), w, b), (3, 5, 7), (5, 7)),
    "layer_plain": (lambda x, w, b: F.layer_norm(x, (7,)) * w + b, (3, 5, 7), (7,)),
    "rms": (lambda x, w, b: F.rms_norm(x, (7,), w) + b, (3, 5, 7), (7,)),
    "group": (lambda x, w, b: F.group_norm(x, 3, w, b), (2, 6, 5, 4), (6,)),
    "instance": (lambda x, w, b: F.instance_norm(x, None, None, w, b), (2, 6, 5, 4), (6,)),
    "batch": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        (4, 6, 5, 4),
        (6,),
    ),
    "batch_eval": (
        lambda x, w, b: F.batch_norm(x, w.detach(), b.detach().abs() + 1, w, b),
        (4, 6, 5),
        (6,),
    ),
}


@pytest.mark.parametrize("core", [False, True], ids=["whole", "core"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("layout", ["rowmajor", "permuted"])
@pytest.mark.parametrize("name", NORMS)
def test_norms(tmp_path, name, layout, dtype, core):
    op, shape, params = NORMS[name]
    args = [_tensor(shape, dtype, layout), _tensor(params, dtype) + 1, _tensor(params, dtype)]
    table = training.core_decompositions() if core else None
    training.of_function(op, args, table).check(tmp_path)


CONVOLUTIONS = {
    "plain": (lambda x, w, b: F.conv2d(x, w, b), (2, 4, 7, 6), (5, 4, 3, 3), 5),
    "padded": (lambda x, w, b: F.conv2d(x, w, b, padding=1), (2, 4, 7, 6), (5, 4, 3, 3), 5),
    "strided": (
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
        (3, 4, 8, 7),
        (6, 4, 3, 3),
        6,
    ),
    "point": (lambda x, w, b: F.conv2d(x, w, b), (2, 8, 5, 5), (9, 8, 1, 1), 9),
    "point_strided": (
        lambda x, w, b: F.conv2d(x, w, b, stride=2),
        (2, 8, 6, 5),
        (9, 8, 1, 1),
        9,
    ),
    "dilated": (
        lambda x, w, b: F.conv2d(x, w, b, dilation=2, padding=2),
        (2, 3, 9, 8),
        (4, 3, 3, 3),
        4,
    ),
    "grouped": (
        lambda x, w, b: F.conv2d(x, w, b, groups=2, stride=(1, 2)),
        (2, 6, 7, 8),
        (4, 3, 3, 2),
        4,
    ),
    "depthwise": (
        lambda x, w, b: F.conv2d(x, w, b, groups=8, padding=1),
        (2, 8, 7, 6),
        (8, 1, 3, 3),
        8,
    ),
    "transposed": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1),
        (2, 4, 5, 6),
        (4, 3, 3, 3),
        3,
    ),
    "transposed_grouped": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, groups=2),
        (2, 4, 5, 6),
        (4, 3, 2, 2),
        6,
    ),
    # Outputs enough for a convolution with the weight's gradient as its result.
    "wide": (
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
        (3, 5, 9, 6),
        (19, 5, 3, 3),
        19,
    ),
    "wide_strided": (
        lambda x, w, b: F.conv2d(x, w, b, stride=(2, 3), padding=(2, 1)),
        (2, 3, 10, 13),
        (16, 3, 3, 5),
        16,
    ),
    "wide_dilated": (
        lambda x, w, b: F.conv2d(x, w, b, stride=2, dilation=(2, 3), padding=2),
        (2, 4, 12, 14),
        (9, 4, 3, 2),
        9,
    ),
    "wide_groups": (
        lambda x, w, b: F.conv2d(x, w, b, groups=3, stride=2),
        (2, 6, 8, 9),
        (27, 2, 2, 3),
        27,
    ),
    "wide_transposed": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1),
        (2, 16, 5, 6),
        (16, 9, 3, 3),
        9,
    ),
    "wide_1d": (lambda x, w, b: F.conv1d(x, w, b, stride=3), (20, 4, 17), (10, 4, 4), 10),
    "wide_3d": (
        lambda x, w, b: F.conv3d(x, w, b, stride=(1, 2, 1)),
        (2, 3, 4, 6, 5),
        (11, 3, 2, 3, 2),
        11,
    ),
    "1d": (lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=2), (2, 4, 11), (6, 4, 5), 6),
    "3d": (lambda x, w, b: F.conv3d(x, w, b, padding=1), (2, 2, 4, 5, 3), (3, 2, 3, 3, 3), 3),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("layout", ["rowmajor", "channels_last"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(tmp_path, name, layout, dtype):
    op, shape, weight, outputs = CONVOLUTIONS[name]
    if layout == "channels_last" and len(shape) != 4:
        pytest.skip("a format of images")
    args = [_tensor(shape, dtype, layout), _tensor(weight, dtype), _tensor((outputs,), dtype)]
    training.of_function(op, args).check(tmp_path)


@pytest.mark.parametrize("wanted", [[0], [1], [2], [0, 2], [1, 2]], ids=str)
def test_convolution_of_some(tmp_path, wanted):
    mask = [i in wanted for i in range(3)]

    class Backward(torch.nn.Module):
        def forward(self, g, x, w):
            results = torch.ops.aten.convolution_backward(
                g, x, w, [5], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask
            )
            return [results[i] for i in wanted]

    args = (_tensor((2, 5, 6, 6)), _tensor((2, 4, 6, 6)), _tensor((5, 4, 3, 3)))
    training.harness.check_module(tmp_path, Backward(), args, both_forms=False)


IMAGES = {
    "max": lambda x: F.max_pool2d(x, 2),
    "max_overlap": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max_ceil": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "max_dilated": lambda x: F.max_pool2d(x, 3, 1, 1, dilation=2),
    "avg": lambda x: F.avg_pool2d(x, 2),
    "avg_pad": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "avg_ceil": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "avg_divisor": lambda x: F.avg_pool2d(x, 3, 2, divisor_override=5),
    "adaptive_avg": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "adaptive_avg_1": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive_max": lambda x: F.adaptive_max_pool2d(x, (3, 5)),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "nearest_size": lambda x: F.interpolate(x, size=(11, 7)),
    "nearest_exact": lambda x: F.interpolate(x, size=(5, 13), mode="nearest-exact"),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear_corners": lambda x: F.interpolate(
        x, size=(5, 13), mode="bilinear", align_corners=True
    ),
    "bicubic": lambda x: F.interpolate(x, size=(13, 6), mode="bicubic"),
    "reflect": lambda x: F.pad(x, (2, 1, 3, 0), mode="reflect"),
    "replicate": lambda x: F.pad(x, (2, 1, 3, 0), mode="replicate"),
    "constant": lambda x: F.pad(x, (2, -1, 3, 0)),
    "circular": lambda x: F.pad(x, (2, 1, 3, 0), mode="circular"),
    "shuffle": lambda x: F.pixel_shuffle(x, 2),
    "unfold": lambda x: F.unfold(x, 3, padding=1),
}


@pytest.mark.parametrize("core", [False, True], ids=["whole", "core"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("layout", ["rowmajor", "channels_last"])
def test_images(tmp_path, layout, dtype, core):
    def all_of(x):
        return [op(x) for op in IMAGES.values()]

    table = training.core_decompositions() if core else None
    graphs = training.of_function(all_of, [_tensor((2, 4, 8, 9), dtype, layout)], table)
    graphs.check(tmp_path)


LOSSES = {
    "mse": lambda x, t: F.mse_loss(x, t),
    "mse_sum": lambda x, t: F.mse_loss(x, t, reduction="sum"),
    "mse_none": lambda x, t: F.mse_loss(x, t, reduction="none"),
    "l1": lambda x, t: F.l1_loss(x, t),
    "smooth_l1": lambda x, t: F.smooth_l1_loss(x, t, beta=0.7),
    "huber": lambda x, t: F.huber_loss(x, t, delta=0.6),
    "bce": lambda x, t: F.binary_cross_entropy(x.sigmoid(), t.sigmoid()),
    "bce_weight": lambda x, t: F.binary_cross_entropy(x.sigmoid(), t.sigmoid(), t.abs()),
    "bce_logits": lambda x, t: F.binary_cross_entropy_with_logits(x, t.sigmoid()),
    "kl": lambda x, t: F.kl_div(x.log_softmax(1), t.softmax(1), reduction="batchmean"),
    "soft_margin": lambda x, t: F.soft_margin_loss(x, t.sign()),
    "hinge": lambda x, t: F.hinge_embedding_loss(x, t.sign()),
    "cross_entropy_mix": lambda x, t: F.cross_entropy(x, t.softmax(1), label_smoothing=0.1),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("layout", ["rowmajor", "permuted"])
def test_losses(tmp_path, layout, dtype):
    def all_of(x, t):
        return [op(x, t.detach()) for op in LOSSES.values()]

    args = [_tensor((6, 5), dtype, layout), _tensor((6, 5), dtype).flip(0)]
    training.of_function(all_of, args).check(tmp_path)


@pytest.mark.parametrize("shape", [(6, 5), (2, 5, 3, 4)], ids=str)
def test_class_losses(tmp_path, shape):
    target = torch.arange(shape[0] * torch.Size(shape[2:]).numel()) % 5
    target = target.reshape(shape[0], *shape[2:])

    def all_of(x, w, t):
        w = w.detach().abs()
        return [
            F.cross_entropy(x, t),
            F.cross_entropy(x, t, w),
            F.cross_entropy(x, t, reduction="sum", ignore_index=2),
            F.cross_entropy(x, t, w, reduction="none"),
            F.cross_entropy(x, t, label_smoothing=0.1),
            F.nll_loss(F.log_softmax(x, 1), t, ignore_index=1),
        ]

    training.of_function(all_of, [_tensor(shape), _tensor((5,)), target]).check(tmp_path)


INDEXING = {
    "select": lambda x, i: x[:, 2],
    "select_end": lambda x, i: x[..., -1],
    "slice": lambda x, i: x[1:3],
    "steps": lambda x, i: x[:, 1::2],
    "diagonal": lambda x, i: torch.diagonal(x, 1, 0, 1),
    "unfold": lambda x, i: x.unfold(1, 3, 2),
    "unfold_apart": lambda x, i: x.unfold(2, 2, 3),
    "gather": lambda x, i: torch.gather(x, 0, i[:, None, None].expand(-1, 6, 5) % 4),
    "index": lambda x, i: x[i],
    "index_two": lambda x, i: x[i, :, i],
    "index_select": lambda x, i: torch.index_select(x, 1, i),
    "cumsum": lambda x, i: x.cumsum(1),
    "cumprod": lambda x, i: x.cumprod(2),
    "max": lambda x, i: x.max(1).values,
    "amax": lambda x, i: x.amax((0, 2)),
    "min_all": lambda x, i: x.min(),
    "median": lambda x, i: x.median(1).values,
    "sort": lambda x, i: x.sort(1).values,
    "topk": lambda x, i: x.topk(2, 1).values,
    "norm": lambda x, i: x.norm(dim=1),
    "var": lambda x, i: x.var((0, 1)),
    "std": lambda x, i: x.std(),
    "prod": lambda x, i: x.prod(1),
    "logsumexp": lambda x, i: x.logsumexp(1),
    "roll": lambda x, i: x.roll(2, 1),
    "flip": lambda x, i: x.flip(0),
    "tril": lambda x, i: x.tril(1),
    "where": lambda x, i: torch.where(x > 0, x, x * x),
    "scatter": lambda x, i: x.scatter(0, i[:, None, None].expand(-1, 6, 5), x * 2),
    "index_add": lambda x, i: x.index_add(0, i, x[i]),
    "index_put": lambda x, i: x.index_put((i,), x[i] * 2, accumulate=True),
    "masked_fill": lambda x, i: x.masked_fill(x > 0.5, 1.0),
    "repeat": lambda x, i: x.repeat(2, 1, 1),
    "as_strided": lambda x, i: x.contiguous().as_strided((3, 4), (7, 2), 1),
    "einsum": lambda x, i: torch.einsum("abc,bcd->ad", x, x.permute(1, 2, 0)),
    "clamp": lambda x, i: x.clamp(-0.5, 0.5),
    "maximum": lambda x, i: torch.maximum(x, x.flip(1)),
    "pow": lambda x, i: x.abs() ** 2.5,
    "atan2": lambda x, i: torch.atan2(x, x.flip(1)),
    "lerp": lambda x, i: torch.lerp(x, x.flip(0), 0.3),
    "erf": lambda x, i: torch.erf(x) + torch.erfc(x) * torch.lgamma(x.abs() + 1),
}


@pytest.mark.parametrize("core", [False, True], ids=["whole", "core"])
@pytest.mark.parametrize("layout", ["rowmajor", "permuted"])
def test_indexing(tmp_path, layout, core):
    def all_of(x, i):
        # AOTAutograd leaves gradients of views of arguments to eager.
        return [op(x.sin(), i) for op in INDEXING.values()]

    table = training.core_decompositions() if core else None
    args = [_tensor((4, 6, 5), torch.float32, layout), torch.tensor([2, 0, 3, 1])]
    training.of_function(all_of, args, table).check(tmp_path)


@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"scale_grad_by_freq": True}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_embedding(tmp_path, dtype, options):
    ids = torch.tensor([[1, 2, 2], [0, 9, 1]])
    graphs = training.of_function(
        lambda w, i: F.embedding(i, w, **options), [_tensor((10, 6), dtype), ids]
    )
    graphs.check(tmp_path)


BAGS = {
    "sum": {"mode": "sum"},
    "mean": {"mode": "mean"},
    "max": {"mode": "max"},
    "padding": {"mode": "mean", "padding_idx": 2},
    "padding_max": {"mode": "max", "padding_idx": 2},
    "last": {"mode": "mean", "include_last_offset": True},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("options", BAGS.values(), ids=BAGS)
def test_embedding_bag(tmp_path, dtype, options):
    if dtype == torch.bfloat16 and options["mode"] == "sum":
        pytest.skip("the sizes of what eager saves are not those that it declares")
    ids, offsets = torch.tensor([1, 2, 2, 0, 9, 1, 2]), torch.tensor([0, 3, 3, 5, 7])
    graphs = training.of_function(
        lambda w, i, o: F.embedding_bag(i, w, o, **options), [_tensor((10, 6), dtype), ids, offsets]
    )
    graphs.check(tmp_path)


@pytest.mark.parametrize("padding", [None, 2])
def test_embedding_bag_with_factors(tmp_path, padding):
    ids, offsets = torch.tensor([1, 2, 2, 0, 9, 1, 2]), torch.tensor([0, 3, 3, 5])

    def weighted(w, f, i, o):
        return F.embedding_bag(i, w, o, mode="sum", per_sample_weights=f, padding_idx=padding)

    graphs = training.of_function(weighted, [_tensor((10, 6)), _tensor((7,)), ids, offsets])
    graphs.check(tmp_path)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("corners", [False, True])
def test_grid_sample(tmp_path, mode, corners):
    def all_of(x, grid):
        borders = ("zeros", "border", "reflection")
        return [F.grid_sample(x, grid, mode, b, align_corners=corners) for b in borders]

    x, grid = _tensor((2, 3, 5, 7), layout="channels_last"), _tensor((2, 4, 6, 2)) * 1.5
    training.of_function(all_of, [x, grid]).check(tmp_path)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_grid_sample_3d(tmp_path, mode):
    def all_of(x, grid):
        return [
            F.grid_sample(x, grid, mode, align_corners=True),
            F.grid_sample(x, grid, mode, "reflection", align_corners=False),
        ]

    args = [_tensor((2, 3, 4, 5, 6)), _tensor((2, 2, 3, 4, 3), torch.float32) * 1.5]
    training.of_function(all_of, args).check(tmp_path)


PLACES = {
    "masked_scatter": lambda x, y: x.masked_scatter(x > 0, y),
    "masked_scatter_rows": lambda x, y: x.masked_scatter(x[:, :1] > 0, y),
    "repeated": lambda x, y: x.repeat_interleave(torch.tensor([2, 0, 3, 1]), 0, output_size=6),
    "take_along": lambda x, y: x.take_along_dim(y.argmax(1, keepdim=True) - 6, 1),
    "gather_nothing": lambda x, y: x.gather(1, torch.zeros(0, dtype=torch.uint8)),
    "unfold_0d": lambda x, y: x[0, 0].unfold(0, 1, 1),
    "unfold_0d_none": lambda x, y: x[0, 0].unfold(0, 0, 1),
    "safe_softmax": lambda x, y: F.scaled_dot_product_attention(
        x[None, None], y[None, None], y[None, None], (x @ y.T > 0).detach()
    ),
    "bilinear": lambda x, y: F.bilinear(x, y, torch.ones(2, 6, 6) + x[:1].T),
    **{
        f"cdist_{p}": lambda x, y, p=p: torch.cdist(x, y[:3], p, "donot_use_mm_for_euclid_dist")
        for p in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, float("inf"))
    },
    **{
        f"pdist_{p}": lambda x, y, p=p: F.pdist(x, p)
        for p in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, float("inf"))
    },
    "pdist_of_one": lambda x, y: F.pdist(x[:1]),
    "cdist_of_nothing": lambda x, y: torch.cdist(x[:, :0], y[:, :0]),
    "cdist_batches": lambda x, y: torch.cdist(x[None], torch.stack([y, -y]), 1.0),
}


def test_places_and_distances(tmp_path):
    def all_of(x, y):
        return [op(x, y) for op in PLACES.values()]

    args = [_tensor((4, 6)), _tensor((4, 6)).flip(1)]
    training.of_function(all_of, args).check(tmp_path)
