"""Layouts that systems like this one have read wrongly: a right answer or a clear error.

Each test is a situation that users of comparable systems reported. Inputs come by the
C API with the strides that they have.
"""

import re
from pathlib import Path

import capi
import harness
import optable
import pytest
import torch


def compile_for(folder: Path, function, *args, dynamic=None, **options) -> harness.Compiled:
    model = function if isinstance(function, torch.nn.Module) else optable.Function(function)
    shapes = None if dynamic is None else (dynamic,)
    return harness.compile_module(folder, model, args, dynamic_shapes=shapes, **options)


def refused(compiled: harness.Compiled, code: str, *args) -> str:
    """The message of the error that the call must give; the arguments stay as they are."""
    before = [harness.copy_exactly(x) for x in args]
    with pytest.raises(capi.RtorchError) as caught:
        compiled.instance.run(args)
    assert caught.value.code == code, caught.value
    for given, old in zip(args, before, strict=True):
        if isinstance(given, torch.Tensor):
            assert torch.equal(given, old), "a refused call has written to its arguments"
    return str(caught.value)


def relayout(compiled: harness.Compiled, *args) -> list:
    """The results where the caller asked for copies."""
    return compiled.instance.run(args, relayout=True)


# --- inputs with other layouts than exported ----------------------------------


def test_other_strides_than_exported(tmp_path):
    """A module exported for (12, 4, 1) got (12, 1, 3) and read it in the wrong order."""
    compiled = compile_for(
        tmp_path, lambda x: x * 2 + x.sum(-1, keepdim=True), torch.randn(2, 3, 4)
    )
    other = torch.randn(2, 4, 3).transpose(1, 2)
    message = refused(compiled, "RT_LAYOUT_STRIDE", other)
    assert re.search(r"argument 0 'operands_0'.*dimension 1: expected stride 4, but got 1", message)
    result = relayout(compiled, other)[0]
    torch.testing.assert_close(result, other * 2 + other.sum(-1, keepdim=True))


def test_contiguous_where_a_transposed_input_was_exported(tmp_path):
    compiled = compile_for(tmp_path, lambda x: x @ x.mT, torch.randn(5, 3).t())
    compiled.check(torch.randn(5, 3).t())
    refused(compiled, "RT_LAYOUT_STRIDE", torch.randn(3, 5))
    x = torch.randn(3, 5)
    torch.testing.assert_close(relayout(compiled, x)[0], x @ x.mT)


@pytest.mark.parametrize("exported", ["contiguous", "channels_last"])
def test_channels_last_and_contiguous_are_told_apart(tmp_path, exported):
    """A runtime took a channels_last tensor for a contiguous method, without an error."""
    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    x = torch.randn(2, 3, 4, 5)
    compiled = compile_for(
        tmp_path,
        lambda x: (x.relu(), x.sum((2, 3)), x.flatten(2)[:, :, 3]),
        x.to(memory_format=formats.pop(exported)),
    )
    other = x.to(memory_format=formats.popitem()[1])
    refused(compiled, "RT_LAYOUT_STRIDE", other)
    ours = relayout(compiled, other)
    for a, b in zip(ours, (x.relu(), x.sum((2, 3)), x.flatten(2)[:, :, 3]), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (2, 1, 4, 5), (1, 3, 1, 1)])
def test_formats_that_size_1_dims_make_equal(tmp_path, shape):
    """Strides of size-1 dims address nothing: contiguous and channels_last are one layout."""
    compiled = compile_for(tmp_path, lambda x: x.exp() + 1, torch.randn(shape))
    x = torch.randn(shape).to(memory_format=torch.channels_last)
    torch.testing.assert_close(compiled(x)[0], x.exp() + 1)
    odd = torch.randn(shape)
    strides = [s if n > 1 else 77 for n, s in zip(shape, odd.stride(), strict=True)]
    odd = odd.as_strided(shape, strides)
    torch.testing.assert_close(compiled(odd)[0], odd.exp() + 1)


@pytest.mark.parametrize(
    ("argument", "code", "message"),
    [
        (torch.randn(4, 5), "RT_LAYOUT_SIZE", r"dimension 1: expected size 4, but got 5"),
        (torch.randn(4), "RT_LAYOUT_RANK", r"expected rank 2, but got rank 1"),
        (torch.randn(4, 4).double(), "RT_ARGUMENT_DTYPE", r"expected dtype float32.*float64"),
        (3, "RT_ARGUMENT_KIND", r"expected a float32 tensor of rank 2"),
        (None, "RT_ARGUMENT_KIND", r"expected a float32 tensor of rank 2"),
    ],
    ids=["size", "rank", "dtype", "number", "none"],
)
def test_inputs_that_do_not_fit(tmp_path, argument, code, message):
    """Another system's compiled models did not check what the exported graph says."""
    compiled = compile_for(tmp_path, lambda x: x + 1, torch.randn(4, 4))
    assert re.search(message, refused(compiled, code, argument))


def test_the_error_names_the_op_that_needs_the_strides(tmp_path):
    def function(x):
        return x.view(2, 12)

    compiled = compile_for(tmp_path, function, torch.randn(4, 6))
    message = refused(compiled, "RT_LAYOUT_STRIDE", torch.randn(6, 4).t())
    assert re.search(r"needed by 'view' at \w+\.py:\d+", message)


def test_a_misaligned_address(tmp_path):
    compiled = compile_for(tmp_path, lambda x: x + 1, torch.randn(4))
    memory = torch.zeros(32, dtype=torch.uint8)
    x = torch.frombuffer(memory.numpy(), dtype=torch.float32, count=4)
    argument = capi.Argument(x)
    argument.value.data = memory.data_ptr() + 1
    with pytest.raises(capi.RtorchError, match="RT_LAYOUT_ALIGNMENT"):
        compiled.instance.run([argument])


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(20)[7:13].view(2, 3),
        lambda: torch.randn(6, 9)[1::2, 2:8:3],
        lambda: torch.randn(3, 1).expand(3, 4),
        lambda: torch.randn(4, 3).t()[:, 1:],
    ],
    ids=["offset", "steps", "expanded", "transposed"],
)
def test_exported_with_an_odd_layout(tmp_path, make):
    """Views of larger storages: the offset is the pointer's, the strides are the contract's."""
    compiled = compile_for(tmp_path, lambda x: (x * 2, x.sum(0), x.mT.reshape(-1)), make())
    compiled.check(make())


def test_as_strided_counts_from_the_beginning_of_an_inputs_storage(tmp_path):
    """torch-mlir gave wrong views because it made every tensor contiguous."""

    def function(x):
        return x.as_strided((2, 2), (1, 3), 5) + 1, x.as_strided((3,), (2,))

    compiled = compile_for(tmp_path, function, torch.randn(20)[4:16].view(4, 3))
    compiled.check(torch.randn(20)[4:16].view(4, 3))


def test_as_strided_of_a_mutated_part_of_a_larger_storage(tmp_path):
    """Decomposed, the mutation is a slice_scatter, which keeps the storage of its operand."""

    def function(x):
        part = x[:, 1:]
        part.mul_(2)
        return part.as_strided((3, 1), (1, 0), 7)

    x = torch.randn(16)[3:15].view(3, 4)
    program = harness.export(optable.Function(function), (x,), decomposed=True)
    compiled = harness.compile_program(tmp_path, optable.Function(function), program)
    ours = compiled(harness.copy_exactly(x))
    assert torch.equal(ours[-1], function(harness.copy_exactly(x)))


def test_writes_through_as_strided_count_from_the_storage_too(tmp_path):
    """Decomposed, the write is an as_strided_scatter."""

    def function(x):
        x.as_strided((2, 2), (4, 1), 5).mul_(3)
        return x + 1

    x = torch.randn(20)[4:16].view(3, 4)
    program = harness.export(optable.Function(function), (x,), decomposed=True)
    compiled = harness.compile_program(tmp_path, optable.Function(function), program)
    compiled.check(torch.randn(20)[4:16].view(3, 4))


def test_as_strided_beyond_what_is_known_of_an_input(tmp_path):
    program = harness.export(
        optable.Function(lambda x: x.as_strided((3,), (1,), 0) + 1), (torch.randn(9)[4:],)
    )
    torch.export.save(program, tmp_path / "model.pt2")
    done = harness.command("rtorch-compile", tmp_path / "model.pt2", "-o", tmp_path / "m.rtm")
    assert done.returncode == 1
    assert "as_strided reaches elements -4 to -2" in done.stderr
    assert not (tmp_path / "m.rtm").exists()


# --- parameters -----------------------------------------------------------------


class Weights(torch.nn.Module):
    """Products and sums with a parameter of a given layout."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.weight = torch.nn.Parameter(weight, requires_grad=False)

    def forward(self, x):
        return x @ self.weight, self.weight.sum(0), self.weight.reshape(-1)[:5], self.weight.t()


@pytest.mark.parametrize(
    "weight",
    [
        torch.randn(8, 6).t(),
        torch.randn(100)[10:58].view(6, 8),
        torch.randn(12, 16)[::2, 1::2],
        torch.randn(1, 8).expand(6, 8),
    ],
    ids=["transposed", "offset", "steps", "expanded"],
)
@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_parameters_keep_their_layout(tmp_path, weight, decomposed):
    compiled = compile_for(tmp_path, Weights(weight), torch.randn(3, 6), decomposed=decomposed)
    compiled.check(torch.randn(3, 6))


def test_a_channels_last_parameter(tmp_path):
    """One declared channels_last was stored contiguous in the compiled file."""

    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            weight = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
            self.weight = torch.nn.Parameter(weight, requires_grad=False)

        def forward(self, x):
            return x * self.weight, self.weight.permute(0, 2, 3, 1).reshape(2, 60)

    compiled = compile_for(tmp_path, Scale(), torch.randn(2, 3, 4, 5))
    compiled.check(torch.randn(2, 3, 4, 5))


def test_parameters_that_share_a_storage(tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Parameter(torch.randn(6, 4), requires_grad=False)
            self.b = torch.nn.Parameter(self.a.detach().t(), requires_grad=False)

        def forward(self, x):
            return x @ self.a, x @ self.b.t() + self.b.sum(1)

    compile_for(tmp_path, Tied(), torch.randn(2, 6)).check(torch.randn(2, 6))


# --- ops that lose or invent strides ----------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:, ::2].unsqueeze(1).sum(-1),
        lambda x: x.t()[1:].unsqueeze(0).expand(2, -1, -1) * 2,
        lambda x: x[1:, 2:].unsqueeze(-1) + 1,
    ],
)
def test_unsqueeze_keeps_the_strides_of_its_source(tmp_path, function):
    """A compiler lost them, and read out of bounds."""
    compile_for(tmp_path, function, torch.randn(5, 8)).check(torch.randn(5, 8))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_reductions_of_permuted_inputs(tmp_path, order):
    """A sum was silently wrong on a permuted input; strides of results were not eager's."""

    def function(x):
        y = x.permute(order)
        return y.sum(0), y.amax(1, keepdim=True), y.mean((0, 2)), y.softmax(1), y.argmax(2)

    compile_for(tmp_path, function, torch.randn(4, 5, 6)).check(torch.randn(4, 5, 6))


@pytest.mark.parametrize(
    "make",
    [
        lambda: (torch.randn(9, 33).t(), torch.randn(17, 9).t()),
        lambda: (torch.randn(66, 18)[::2, ::2], torch.randn(9, 20)[:, 3:]),
        lambda: (torch.randn(33, 1).expand(33, 9), torch.randn(1, 17).expand(9, 17)),
        lambda: (
            torch.randn(33, 9).as_strided((33, 9), (9, 1)),
            torch.randn(17 * 9)[:].view(9, 17),
        ),
    ],
    ids=["transposed", "steps", "expanded", "dense"],
)
def test_products_of_operands_of_any_strides(tmp_path, make):
    """A tuned product was wrong where contiguity could not be inferred."""
    compile_for(tmp_path, lambda a, b: (a @ b, (a @ b).t() + 1), *make()).check(*make())


# --- mutation and aliasing ------------------------------------------------------


def overlapping(compiled: harness.Compiled, a: torch.Tensor, b: torch.Tensor) -> str:
    return refused(compiled, "RT_LAYOUT_OVERLAP", a, b)


def test_inputs_that_alias_with_one_mutated(tmp_path):
    """Kernels were declared `restrict` while an input and an output were one memory."""
    compiled = compile_for(tmp_path, lambda a, b: a.add_(b * 2) * 3, torch.randn(6), torch.randn(6))
    compiled.check(torch.randn(6), torch.randn(6))
    memory = torch.randn(9)
    message = overlapping(compiled, memory[:6], memory[3:])
    assert "argument 0" in message
    assert "argument 1" in message
    overlapping(compiled, memory[:6], memory[:6])


def test_inputs_that_alias_and_are_only_read(tmp_path):
    compiled = compile_for(tmp_path, lambda a, b: a + b * 2, torch.randn(6), torch.randn(6))
    memory = torch.randn(9)
    ours = compiled(memory[:6], memory[3:])[0]
    torch.testing.assert_close(ours, memory[:6] + memory[3:] * 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(5, 4).t(),
        lambda: torch.randn(8, 10)[::2, 1::2],
        lambda: torch.randn(30)[6:26].view(4, 5),
    ],
    ids=["transposed", "steps", "offset"],
)
def test_writes_to_inputs_of_odd_strides_are_not_lost(tmp_path, make):
    """A stride order was enforced by a copy, and the writes went into the copy."""

    def function(x):
        x.mul_(2)
        x[1:, ::2] += 1
        return x.sum(0)

    compile_for(tmp_path, function, make()).check(make())


def test_writes_to_a_copied_input_are_copied_back(tmp_path):
    compiled = compile_for(tmp_path, lambda x: x.mul_(3).sum(), torch.randn(4, 5))
    x = torch.randn(5, 4).t()
    expected = x * 3
    result = relayout(compiled, x)[0]
    torch.testing.assert_close(x, expected)
    torch.testing.assert_close(result, expected.sum())


def test_results_that_view_inputs(tmp_path):
    def function(x, y):
        return x.t(), x[1:, ::2], y.view(-1), x, x * 2

    make = lambda: (torch.randn(4, 6), torch.randn(2, 3))  # noqa: E731
    compiled = compile_for(tmp_path, function, *make())
    compiled.check(*make())
    x, y = make()
    results = compiled(x, y)
    assert [r.data_ptr() - x.data_ptr() for r in results[:2]] == [0, 24]
    assert results[2].data_ptr() == y.data_ptr()
    assert results[3].data_ptr() == x.data_ptr()


def test_a_result_that_views_a_mutated_input(tmp_path):
    def function(x):
        y = x[1:]
        x.add_(1)
        return y, y * 2

    compile_for(tmp_path, function, torch.randn(4, 3)).check(torch.randn(4, 3))


def test_results_that_share_memory_with_each_other(tmp_path):
    def function(x):
        y = x.exp()
        a, b, c = (x * 2).chunk(3)
        return y, y.t(), y[1:], a, b, c, x + 1, x + 1

    x = torch.randn(6, 4)
    compiled = compile_for(tmp_path, function, x)
    compiled.check(x)
    raw = compiled.instance.prepare([x])()
    at = [value.data for value in raw]
    assert at[1] == at[0]
    assert at[2] == at[0] + 16
    assert at[4] - at[3] == at[5] - at[4] == 32
    assert len({at[0], at[3], at[6], at[7]}) == 4, "results that are apart in eager share memory"


def test_a_value_computed_from_an_input_that_is_written_later(tmp_path):
    """Its slice was computed after the write."""

    def function(x):
        y = x.clamp(min=0)
        x.tanh_()
        return y[5:8]

    compile_for(tmp_path, function, torch.randn(17)).check(torch.randn(17))


def test_writes_through_as_strided(tmp_path):
    def function(x):
        x.as_strided((3,), (5,)).mul_(2)
        return x.diagonal().sum(), x + 1

    compile_for(tmp_path, function, torch.randn(4, 4)).check(torch.randn(4, 4))


def test_a_write_into_an_expanded_view_is_an_error(tmp_path):
    """Eager refuses it; so does the compiler, where the exporter lets it through."""

    class Expanded(torch.nn.Module):
        def forward(self, x):
            return x.expand(3, 4).add_(1)

    x = torch.randn(1, 4)
    with pytest.raises(RuntimeError, match="more than one element"):
        Expanded()(x)
    try:
        program = torch.export.export(Expanded(), (x,))
    except Exception:
        return
    torch.export.save(program, tmp_path / "model.pt2")
    done = harness.command("rtorch-compile", tmp_path / "model.pt2", "-o", tmp_path / "m.rtm")
    assert done.returncode == 1
    assert "more than one element refers to the same place" in done.stderr
    assert Path(__file__).name in done.stderr


def test_a_mutated_input_whose_elements_share_memory(tmp_path):
    compiled = compile_for(tmp_path, lambda x: x.add_(1), torch.randn(3, 4))
    refused(compiled, "RT_LAYOUT_STRIDE", torch.randn(1, 4).expand(3, 4))


# --- sizes at the edges -----------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0,), (1, 1), (1, 4), (4, 1), ()])
def test_sizes_0_and_1_and_rank_0(tmp_path, shape):
    def function(x):
        y = x.unsqueeze(0)
        return x * 2, y.sum(-1), y.transpose(0, -1) + 1, x.reshape(-1), y.expand(3, *x.shape)

    compiled = compile_for(tmp_path, function, torch.randn(shape))
    compiled.check(torch.randn(shape))
    if shape and 0 not in shape:
        strides = [
            5 if n == 1 else s for n, s in zip(shape, torch.empty(shape).stride(), strict=True)
        ]
        compiled.check(torch.randn(30).as_strided(shape, strides, 2))


def test_any_strides_of_an_empty_input(tmp_path):
    compiled = compile_for(tmp_path, lambda x: x.sum(0), torch.randn(0, 4))
    torch.testing.assert_close(compiled(torch.empty_strided((0, 4), (1, 99)))[0], torch.zeros(4))


def test_batch_outside_of_its_range(tmp_path):
    batch = torch.export.Dim("batch", min=2, max=8)
    compiled = compile_for(tmp_path, lambda x: x + 1, torch.randn(4, 3), dynamic=({0: batch},))
    for size in (2, 3, 8):
        compiled.check(torch.randn(size, 3))
    for size in (0, 1, 9, 1000):
        message = refused(compiled, "RT_LAYOUT_RANGE", torch.randn(size, 3))
        assert re.search(rf"dimension 0.* 2 to 8, but got {size}", message)


def test_dynamic_inputs_keep_their_stride_rule(tmp_path):
    """Strides are expressions of the sizes, and compared for each call's sizes."""
    shapes = ({0: torch.export.Dim("n"), 1: torch.export.Dim("m")},)
    compiled = compile_for(tmp_path, lambda x: x.sum(1), torch.randn(4, 6), dynamic=shapes)
    compiled.check(torch.randn(7, 9))
    message = refused(compiled, "RT_LAYOUT_STRIDE", torch.randn(9, 7).t())
    assert "expected stride 9" in message


def test_a_sliced_input_with_a_dynamic_size(tmp_path):
    """Its strides follow from no size: they are fixed to those of the example."""
    make = lambda n: torch.randn(n, 40)[:, ::3]  # noqa: E731
    shapes = ({0: torch.export.Dim.AUTO},)
    compiled = compile_for(tmp_path, lambda x: x.exp().sum(1), make(5), dynamic=shapes)
    compiled.check(make(5))
    compiled.check(make(9))
    refused(compiled, "RT_LAYOUT_STRIDE", torch.randn(5, 14))


@pytest.mark.parametrize(
    ("dims", "good", "bad", "code"),
    [
        (lambda d: (d, d), (5, 5), (5, 6), "RT_LAYOUT_SIZE"),
        (lambda d: (d, 2 * d), (5, 10), (5, 9), "RT_LAYOUT_SIZE"),
        (lambda d: (d, d + 3), (5, 8), (5, 9), "RT_LAYOUT_SIZE"),
    ],
    ids=["equal", "double", "plus"],
)
def test_relations_between_symbols(tmp_path, dims, good, bad, code):
    size = torch.export.Dim("size", min=2, max=64)
    first, second = dims(size)

    def function(a, b):
        return a.sum() + b.sum()

    def make(sizes):
        return torch.randn(sizes[0], 3), torch.randn(sizes[1], 3)

    compiled = compile_for(tmp_path, function, *make(good), dynamic=({0: first}, {0: second}))
    compiled.check(*make(good))
    message = refused(compiled, code, *make(bad))
    assert "argument 1" in message


def test_a_size_that_must_be_divisible(tmp_path):
    size = torch.export.Dim("size", min=1, max=16)
    compiled = compile_for(
        tmp_path, lambda x: x.view(-1, 4).sum(0), torch.randn(12), dynamic=({0: 4 * size},)
    )
    compiled.check(torch.randn(20))
    with pytest.raises(capi.RtorchError, match="RT_LAYOUT_(CHECK|SIZE)"):  # noqa: RUF043
        compiled(torch.randn(21))


def test_buffers_without_elements_share_nothing(tmp_path):
    """The exporter gives them one storage: writing to one is no write to the other."""

    class Buffers(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("kept", torch.zeros(4, 0).T)
            self.register_buffer("written", torch.zeros(0, 3))

        def forward(self, x):
            self.written.add_(1)
            return x + self.kept.sum()

    compiled = compile_for(tmp_path, Buffers(), torch.randn(2))
    x = torch.randn(2)
    assert torch.equal(compiled.instance.run([x])[0], x)
    assert list(compiled.instance.states()) == ["written"]
