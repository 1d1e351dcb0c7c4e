"""Convolutions against eager PyTorch."""

import harness
import layouts
import optable
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.export import Dim

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def operands(*shapes: list[int], dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """Tensors of these shapes, small enough for sums that float16 can hold."""
    return tuple(layouts.values(shape, dtype, i) * 0.5 for i, shape in enumerate(shapes))


# Operands: x [2, 6, 9, 11], w [8, 6, 3, 3], b [8], g [9, 2, 3, 2], d [6, 1, 3, 3],
# t [6, 4, 3, 3].
CONV2D_SHAPES = [2, 6, 9, 11], [8, 6, 3, 3], [8], [9, 2, 3, 2], [6, 1, 3, 3], [6, 4, 3, 3]
CONV2D = {
    "plain": lambda x, w, b, g, d, t: F.conv2d(x, w),
    "bias": lambda x, w, b, g, d, t: F.conv2d(x, w, b),
    "padded": lambda x, w, b, g, d, t: F.conv2d(x, w, b, padding=1),
    "strided": lambda x, w, b, g, d, t: F.conv2d(x, w, b, stride=2, padding=1),
    "uneven": lambda x, w, b, g, d, t: F.conv2d(x, w, b, stride=(1, 3), padding=(2, 0)),
    "dilated": lambda x, w, b, g, d, t: F.conv2d(x, w, b, padding=2, dilation=2),
    "dilated_uneven": lambda x, w, b, g, d, t: F.conv2d(
        x, w, b, stride=(2, 1), padding=(4, 1), dilation=(3, 2)
    ),
    "far_padded": lambda x, w, b, g, d, t: F.conv2d(x, w, b, padding=5),
    "same": lambda x, w, b, g, d, t: F.conv2d(x, w, b, padding="same"),
    "same_even": lambda x, w, b, g, d, t: F.conv2d(x, w[:, :, :2, :], b, padding="same"),
    "same_dilated": lambda x, w, b, g, d, t: F.conv2d(
        x, w[:, :, :, :2], b, padding="same", dilation=(2, 3)
    ),
    "valid": lambda x, w, b, g, d, t: F.conv2d(x, w, b, padding="valid", stride=2),
    "1x1": lambda x, w, b, g, d, t: F.conv2d(x, w[:, :, :1, :1], b),
    "1x1_strided": lambda x, w, b, g, d, t: F.conv2d(x, w[:, :, 1:2, 1:2], b, stride=2),
    "one_channel": lambda x, w, b, g, d, t: F.conv2d(x[:, :1], w[:1, :1], b[:1], padding=1),
    "one_output": lambda x, w, b, g, d, t: F.conv2d(x, w[:1], padding=1),
    "three_outputs": lambda x, w, b, g, d, t: F.conv2d(x, w[:3], b[:3]),
    "grouped": lambda x, w, b, g, d, t: F.conv2d(x, g, groups=3, padding=1),
    "grouped_strided": lambda x, w, b, g, d, t: F.conv2d(x, g, groups=3, stride=2, dilation=2),
    "depthwise": lambda x, w, b, g, d, t: F.conv2d(x, d, b[:6], groups=6, padding=1),
    "depthwise_plain": lambda x, w, b, g, d, t: F.conv2d(x, d, groups=6),
    "depthwise_strided": lambda x, w, b, g, d, t: F.conv2d(
        x, d, groups=6, stride=2, padding=1, dilation=2
    ),
    "depthwise_doubled": lambda x, w, b, g, d, t: F.conv2d(
        x, torch.cat([d, d + 1]), groups=6, padding=1
    ),
    "single": lambda x, w, b, g, d, t: F.conv2d(x[0], w, b, padding=1),
    "relu": lambda x, w, b, g, d, t: F.relu(F.conv2d(x, w, b)),
    "residual": lambda x, w, b, g, d, t: F.relu(F.conv2d(x, w[:6], b[:6], padding=1) + x),
    "twice": lambda x, w, b, g, d, t: [F.conv2d(x, w, b), F.gelu(F.conv2d(x, w, b))],
    "chain": lambda x, w, b, g, d, t: F.conv2d(
        F.relu(F.conv2d(x, w[:6], padding=1)), w, b, padding=1
    ),
    "scaled_input": lambda x, w, b, g, d, t: F.conv2d(x * 2 + 1, w, b, padding=1),
    "channels_last": lambda x, w, b, g, d, t: F.conv2d(
        x.contiguous(memory_format=torch.channels_last), w, b, padding=1
    ),
    "permuted": lambda x, w, b, g, d, t: F.conv2d(x.transpose(2, 3), w, b, padding=1),
    "sliced": lambda x, w, b, g, d, t: F.conv2d(x[:, :, 1:, ::2], w, b, padding=1),
    "weight_permuted": lambda x, w, b, g, d, t: F.conv2d(x, w.transpose(2, 3), b),
    "flattened": lambda x, w, b, g, d, t: F.conv2d(x, w, b).flatten(1).sum(1),
    "viewed": lambda x, w, b, g, d, t: F.conv2d(x, w, b).view(2, 8, -1).transpose(1, 2),
    "pooled": lambda x, w, b, g, d, t: F.conv2d(x, w, b).mean((2, 3)),
    "constant": lambda x, w, b, g, d, t: F.conv2d(torch.ones(1, 6, 5, 5, dtype=x.dtype), w, b),
    "empty_batch": lambda x, w, b, g, d, t: F.conv2d(x[:0], w, b),
    "transposed": lambda x, w, b, g, d, t: F.conv_transpose2d(x, t, b[:4]),
    "transposed_strided": lambda x, w, b, g, d, t: F.conv_transpose2d(x, t, b[:4], stride=2),
    "transposed_padded": lambda x, w, b, g, d, t: F.conv_transpose2d(
        x, t, stride=2, padding=1, output_padding=1
    ),
    "transposed_uneven": lambda x, w, b, g, d, t: F.conv_transpose2d(
        x, t, stride=(1, 3), padding=(2, 1), output_padding=(0, 2), dilation=(2, 1)
    ),
    "transposed_dilated": lambda x, w, b, g, d, t: F.conv_transpose2d(
        x, t, b[:4], stride=2, padding=3, dilation=(3, 2), output_padding=1
    ),
    "transposed_2x2": lambda x, w, b, g, d, t: F.relu(
        F.conv_transpose2d(x, t[:, :, :2, :2], b[:4], stride=2)
    ),
    "transposed_grouped": lambda x, w, b, g, d, t: F.conv_transpose2d(
        x, t, torch.cat([b, b[:4]]), stride=2, padding=1, groups=3
    ),
    "transposed_depthwise": lambda x, w, b, g, d, t: F.conv_transpose2d(
        x, d, b[:6], stride=2, groups=6
    ),
    "transposed_far": lambda x, w, b, g, d, t: F.conv_transpose2d(x, t, padding=4, stride=3),
    "transposed_single": lambda x, w, b, g, d, t: F.conv_transpose2d(x[0], t, stride=2),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_conv2d(tmp_path, dtype):
    optable.check_rows(tmp_path, CONV2D, operands(*CONV2D_SHAPES, dtype=dtype))


def test_conv2d_decomposed(tmp_path):
    optable.check_rows(tmp_path, CONV2D, operands(*CONV2D_SHAPES), decomposed=True)


def test_conv2d_channels_last(tmp_path):
    inputs = operands(*CONV2D_SHAPES)
    last = [x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]
    optable.check_rows(tmp_path, CONV2D, last)


# Operands: x [3, 4, 20], w [7, 4, 5], b [7], d [4, 1, 3], t [4, 2, 4].
CONV1D = {
    "plain": lambda x, w, b, d, t: F.conv1d(x, w, b),
    "strided": lambda x, w, b, d, t: F.conv1d(x, w, b, stride=3, padding=2),
    "dilated": lambda x, w, b, d, t: F.conv1d(x, w, b, padding=4, dilation=2),
    "same": lambda x, w, b, d, t: F.conv1d(x, w[:, :, :4], b, padding="same"),
    "valid": lambda x, w, b, d, t: F.conv1d(x, w, b, padding="valid"),
    "grouped": lambda x, w, b, d, t: F.conv1d(x, w[:6, :2], groups=2),
    "depthwise": lambda x, w, b, d, t: F.conv1d(x, d, groups=4, padding=1),
    "single": lambda x, w, b, d, t: F.conv1d(x[0], w, b),
    "permuted": lambda x, w, b, d, t: F.conv1d(x.transpose(0, 2)[:, :, :3], w[:, :, :2][:, :4], b),
    "gelu": lambda x, w, b, d, t: F.gelu(F.conv1d(x, w, b, padding=2)),
    "rows": lambda x, w, b, d, t: F.conv1d(x, w, b).transpose(1, 2).softmax(-1),
    "transposed": lambda x, w, b, d, t: F.conv_transpose1d(x, t, b[:2], stride=2, padding=1),
    "transposed_plain": lambda x, w, b, d, t: F.conv_transpose1d(x, t, b[:2]),
    "transposed_grouped": lambda x, w, b, d, t: F.conv_transpose1d(
        x, t, b[:4], stride=3, output_padding=2, groups=2
    ),
    "transposed_dilated": lambda x, w, b, d, t: F.conv_transpose1d(x, t, dilation=3, padding=2),
}
CONV1D["permuted"] = lambda x, w, b, d, t: F.conv1d(x.permute(0, 2, 1).contiguous().mT, w, b)

# Operands: x [2, 3, 5, 6, 7], w [5, 3, 2, 3, 3], b [5], d [3, 1, 2, 2, 2], t [3, 4, 2, 3, 2].
CONV3D = {
    "plain": lambda x, w, b, d, t: F.conv3d(x, w, b),
    "strided": lambda x, w, b, d, t: F.conv3d(x, w, b, stride=(1, 2, 2), padding=1),
    "dilated": lambda x, w, b, d, t: F.conv3d(x, w, b, padding=2, dilation=(1, 2, 3)),
    "same": lambda x, w, b, d, t: F.conv3d(x, w, b, padding="same"),
    "depthwise": lambda x, w, b, d, t: F.conv3d(x, d, groups=3, padding=1),
    "pointwise": lambda x, w, b, d, t: F.conv3d(x, w[:, :, :1, :1, :1], b),
    "single": lambda x, w, b, d, t: F.conv3d(x[0], w, b),
    "transposed": lambda x, w, b, d, t: F.conv_transpose3d(x, t, b[:4], stride=2, padding=1),
    "transposed_uneven": lambda x, w, b, d, t: F.conv_transpose3d(
        x, t, stride=(1, 2, 3), output_padding=(0, 1, 2)
    ),
}


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_conv1d(tmp_path, decomposed):
    shapes = [3, 4, 20], [7, 4, 5], [7], [4, 1, 3], [4, 2, 4]
    optable.check_rows(tmp_path, CONV1D, operands(*shapes), decomposed=decomposed)


def test_conv1d_double(tmp_path):
    shapes = [3, 4, 20], [7, 4, 5], [7], [4, 1, 3], [4, 2, 4]
    optable.check_rows(tmp_path, CONV1D, operands(*shapes, dtype=torch.float64))


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_conv3d(tmp_path, decomposed):
    shapes = [2, 3, 5, 6, 7], [5, 3, 2, 3, 3], [5], [3, 1, 2, 2, 2], [3, 4, 2, 3, 2]
    optable.check_rows(tmp_path, CONV3D, operands(*shapes), decomposed=decomposed)


# --- sizes ----------------------------------------------------------------------


@given(st.data())
def test_convolutions_of_any_sizes(tmp_path_factory, data):
    draw = data.draw
    dims = draw(st.integers(1, 3))
    largest = {1: 60, 2: 17, 3: 7}[dims]
    small = st.lists(st.integers(1, 3), min_size=dims, max_size=dims)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs = groups * draw(st.sampled_from([1, 2, 3, 5, 16]))
    outputs = groups * draw(st.sampled_from([1, 2, 5, 16, 33, 70]))
    window, stride, dilation = draw(small), draw(small), draw(small)
    padding = draw(st.lists(st.integers(0, 3), min_size=dims, max_size=dims))
    sizes = draw(st.lists(st.integers(1, largest), min_size=dims, max_size=dims))
    fits = zip(sizes, window, padding, dilation, strict=True)
    assume(all(n + 2 * p >= (k - 1) * d + 1 for n, k, p, d in fits))
    x = draw(layouts.tensors([draw(st.integers(1, 3)), inputs, *sizes]))
    w = draw(layouts.tensors([outputs, inputs // groups, *window]))
    t = draw(layouts.tensors([inputs, outputs // groups, *window]))
    b = draw(layouts.tensors([outputs]))
    conv = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[dims]
    back = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[dims]
    rows = {"conv": lambda x, w, t, b: conv(x, w, b, stride, padding, dilation, groups).relu()}
    steps = zip(sizes, window, stride, padding, dilation, strict=True)
    if all((n - 1) * s - 2 * p + (k - 1) * d >= 0 for n, k, s, p, d in steps):
        more = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)]
        rows["transposed"] = lambda x, w, t, b: back(
            x, t, b, stride, padding, more, groups, dilation
        )
    check = not (dims == 3 and x.shape[0] > 1)  # eager's strides depend on its threads
    assume(check or x.is_contiguous())
    optable.check_rows(tmp_path_factory.mktemp("m"), rows, (x, w, t, b))


@given(st.data())
def test_depthwise_of_any_sizes(tmp_path_factory, data):
    draw = data.draw
    dims = draw(st.integers(1, 3))
    largest = {1: 60, 2: 21, 3: 9}[dims]
    small = st.lists(st.integers(1, 4), min_size=dims, max_size=dims)
    window, stride, dilation = draw(small), draw(small), draw(small)
    padding = draw(st.lists(st.integers(0, 3), min_size=dims, max_size=dims))
    sizes = draw(st.lists(st.integers(1, largest), min_size=dims, max_size=dims))
    fits = zip(sizes, window, padding, dilation, strict=True)
    assume(all(n + 2 * p >= (k - 1) * d + 1 for n, k, p, d in fits))
    channels = draw(st.integers(2, 40))
    x = draw(layouts.tensors([draw(st.integers(1, 3)), channels, *sizes]))
    w = draw(layouts.tensors([channels, 1, *window]))
    b = draw(layouts.tensors([channels]))
    conv = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[dims]
    rows = {"conv": lambda x, w, b: conv(x, w, b, stride, padding, dilation, channels).relu()}
    # Where a format is not told by strides, eager's depends on what computes it.
    assume(dims < 3 or x.is_contiguous())
    optable.check_rows(tmp_path_factory.mktemp("m"), rows, (x, w, b))


class Small(torch.nn.Module):
    """Convolutions of all kinds with parameters."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 24, 3, stride=2, padding=1)
        self.apart = torch.nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.norm = torch.nn.BatchNorm2d(24)
        self.grouped = torch.nn.Conv2d(24, 12, 3, padding=1, groups=4, bias=False)
        self.up = torch.nn.ConvTranspose2d(12, 5, 4, stride=2, padding=1)
        for value in (self.norm.running_mean, self.norm.running_var):
            value.uniform_(0.5, 1.5)

    def forward(self, x):
        y = F.relu(self.first(x))
        y = F.hardswish(self.norm(self.apart(y))) + y
        return self.up(self.grouped(y)), y.mean((2, 3))


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_dynamic_sizes(tmp_path, decomposed):
    torch.manual_seed(0)
    batch = Dim("n", min=1, max=200)
    height, width = (Dim(name, min=3, max=200) for name in "hw")
    model = Small().eval()
    shapes = ({0: batch, 2: height, 3: width},)
    compiled = harness.compile_module(
        tmp_path, model, (torch.randn(2, 3, 16, 20),), dynamic_shapes=shapes, decomposed=decomposed
    )
    for sizes in [(2, 16, 20), (1, 3, 4), (3, 38, 7), (1, 65, 50), (7, 10, 11)]:
        compiled.check(torch.randn(sizes[0], 3, *sizes[1:]))
        compiled.check(torch.randn(sizes[0], 3, *sizes[1:]), threads=2)


def test_same_bits_for_any_threads(tmp_path):
    torch.manual_seed(0)
    compiled = harness.compile_module(tmp_path, Small().eval(), (torch.randn(2, 3, 64, 64),))
    compiled.check_bits_of_threads(torch.randn(2, 3, 64, 64))


class Halved(torch.nn.Module):
    """Down by two and up again."""

    def forward(self, x, w):
        y = F.conv2d(x, w, stride=2, padding=1)
        return x + F.conv_transpose2d(y, w, stride=2, padding=1, output_padding=1)


def test_sizes_that_are_multiples(tmp_path):
    height, width = Dim("h", min=2, max=50), Dim("w", min=2, max=50)
    compiled = harness.compile_module(
        tmp_path,
        Halved(),
        operands([1, 4, 8, 12], [4, 4, 3, 3]),
        dynamic_shapes=({2: 2 * height, 3: 4 * width}, None),
    )
    for sizes in [(8, 12), (4, 8), (100, 40)]:
        compiled.check(*operands([1, 4, *sizes], [4, 4, 3, 3]))
    with pytest.raises(Exception, match=r"dimension 2: expected size 8 .*but got 9"):
        compiled(*operands([1, 4, 9, 12], [4, 4, 3, 3]))
    with pytest.raises(Exception, match=r"dimension 3: expected a value 4\*.*but got 400"):
        compiled(*operands([1, 4, 8, 400], [4, 4, 3, 3]))


def spread(window: int, stride, padding, dilation, more) -> optable.Row:
    return lambda x, w: F.conv_transpose2d(
        x, w[..., :window, :window], None, stride, padding, more, 1, dilation
    )


# Window, stride, padding, dilation, output padding.
SPREAD = [
    (3, 2, 1, 1, 1),
    (3, 2, 0, 1, 0),
    (2, 3, 1, 1, 2),
    (1, 2, 0, 1, 1),
    (4, 2, 1, 3, 0),
    (3, 4, 2, 2, 1),
    (5, (3, 1), (0, 2), (1, 2), 0),
    (4, 2, 1, 1, 0),
]


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_transposed_touches_real_terms_only(tmp_path, format):
    """An infinite element reaches the results under its window and no others."""
    x = torch.randn(2, 3, 6, 7).contiguous(memory_format=format)
    x[0, 1, 2, 3] = torch.inf
    x[1, 0, 0, 6] = torch.nan
    rows = {
        **{"_".join(map(str, case)): spread(*case) for case in SPREAD},
        "grouped": lambda x, w: F.conv_transpose2d(
            x, w[:, :2, :3], w[0, 0, 0, :1].repeat(6), 2, 1, 1, 3
        ),
        "bias": lambda x, w: F.conv_transpose2d(x, w[:, :, :2, :3], w[0, :, 0, 0], 3, 0, 1),
    }
    optable.check_rows(tmp_path, rows, (x, torch.randn(3, 4, 5, 5)))


class Pooled(torch.nn.Module):
    """Convolutions whose results are reduced in windows side by side, and some whose are not."""

    def __init__(self, dtype: torch.dtype):
        super().__init__()
        self.few = torch.nn.Conv2d(3, 20, 3, padding=1, dtype=dtype)
        self.many = torch.nn.Conv2d(20, 64, 3, padding=1, bias=False, dtype=dtype)
        self.grouped = torch.nn.Conv2d(20, 40, (3, 2), groups=2, stride=2, dtype=dtype)
        self.line = torch.nn.Conv1d(20, 33, 3, padding=2, dtype=dtype)

    def forward(self, x):
        y = F.max_pool2d(F.relu(self.few(x)), 2)
        line = self.line(y.flatten(2))
        return {
            "y": y,
            "gelu": F.max_pool2d(F.gelu(self.many(y)) * 2 + 1, 2).flatten(1),
            "avg": F.avg_pool2d(self.many(y), (1, 2)) - 3,
            "gaps": F.max_pool2d(torch.sigmoid(self.grouped(y)), (2, 1), (3, 2)),
            "dilated": F.max_pool2d(self.few(x), (1, 2), (1, 3), dilation=2),
            "triples": F.max_pool1d(line.tanh(), 3),
            "large": F.max_pool2d(self.few(x), 3),
            "overlapping": F.max_pool2d(self.few(x), 3, 2),
            "used_twice": F.max_pool2d(line[:, :, None], (1, 2)) + line.mean(),
            "padded": F.max_pool2d(self.few(x), 2, padding=1),
        }


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_pooled(tmp_path, dtype, format):
    torch.manual_seed(0)
    model = Pooled(dtype).to(memory_format=format)
    x = torch.randn(2, 3, 21, 30, dtype=dtype).contiguous(memory_format=format)
    compiled = harness.compile_module(tmp_path, model, (x,))
    compiled.check(x)
    compiled.check(x.index_fill(3, torch.tensor([4, 13]), torch.nan), threads=2)


def test_pooled_of_any_batch(tmp_path):
    torch.manual_seed(0)
    x = torch.randn(3, 3, 18, 26)
    batch = torch.export.Dim("batch", max=99)
    compiled = harness.compile_module(
        tmp_path, Pooled(torch.float32), (x,), dynamic_shapes=({0: batch},)
    )
    for count in (1, 2, 3, 17):
        compiled.check(torch.randn(count, 3, 18, 26))


class Residual(torch.nn.Module):
    """What a convolution adds to another convolution's result, as residual blocks do."""

    def __init__(self, stride: int):
        super().__init__()
        self.down = torch.nn.Conv2d(8, 16, 3, stride, 1)
        self.short = torch.nn.Conv2d(8, 16, 1, stride)
        self.next = torch.nn.Conv2d(16, 16, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.down(x) + self.short(x))
        return self.next(y) + y


@pytest.mark.parametrize("sizes", [(2, 2), (1, 2), (2, 1), (1, 6), (6, 1)])
def test_residuals_of_images_of_few_pixels(tmp_path, sizes):
    """Where only the batch is left of the pixels, it is what rows are counted along."""
    for i, batch in enumerate((1, 3)):
        folder = tmp_path / str(i)
        folder.mkdir()
        harness.check_module(folder, Residual(2).eval(), (torch.randn(batch, 8, *sizes),))


FLIPS = [(0,), (1,), (2,), (3,), (2, 3), (0, 2), (3, 1), (0, 1, 2, 3)]


@pytest.mark.parametrize("window", [(3, 3), (1, 1), (1, 3)], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_flipped_weights(tmp_path, window, groups):
    weight = torch.randn(16, 8 // groups, *window)
    rows = {
        str(dims): lambda x, w, dims=dims: F.conv2d(x, w.flip(dims), padding=1, groups=groups)
        for dims in FLIPS
    }
    rows["twice"] = lambda x, w: F.conv2d(x, w.flip(2).flip(0).flip(3), groups=groups)
    rows["of ones"] = lambda x, w: F.conv2d(x, torch.ones_like(w).flip(0), groups=groups)
    optable.check_rows(tmp_path, rows, (torch.randn(2, 8, 6, 7), weight))
