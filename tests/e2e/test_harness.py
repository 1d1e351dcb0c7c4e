"""The judge itself: what the comparison accepts and what it must not accept."""

import harness
import layouts
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

like_eager = harness.assert_like_eager


def test_equal_tensors_pass():
    tensor = torch.randn(4, 5)
    like_eager("r", tensor.clone(), tensor)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t + 1e-3, "not close"),
        (lambda t: t.double(), "float32"),
        (lambda t: t[:3], r"sizes \[4, 5\]"),
        (lambda t: t.t().contiguous().t(), r"strides \[5, 1\]"),
        (lambda t: t.clone().fill_(float("nan")), "not close"),
        (lambda t: 1.0, "expected a tensor"),
    ],
)
def test_differences_are_found(change, message):
    tensor = torch.randn(4, 5)
    with pytest.raises(AssertionError, match=message):
        like_eager("r", change(tensor), tensor)


def test_integers_are_exact():
    with pytest.raises(AssertionError):
        like_eager("r", torch.tensor([10**9 + 1]), torch.tensor([10**9]))


def test_strides_that_address_nothing_are_not_compared():
    like_eager("r", torch.ones(1, 3).as_strided((1, 3), (7, 1)), torch.ones(1, 3))
    like_eager("r", torch.empty(0, 3).as_strided((0, 3), (1, 9)), torch.empty(0, 3))


def test_at_most_twice_the_error_of_eager():
    reference = torch.tensor([1.0], dtype=torch.float64)
    eager = torch.tensor([1.0 + 1e-3])
    like_eager("r", torch.tensor([1.0 - 1.5e-3]), eager, lambda: reference)
    with pytest.raises(AssertionError):
        like_eager("r", torch.tensor([1.0 - 2.5e-3]), eager, lambda: reference)


def test_nan_and_inf_must_be_where_eager_has_them():
    inf, nan = float("inf"), float("nan")
    reference = torch.tensor([inf, nan, 1.0], dtype=torch.float64)
    eager = torch.tensor([inf, nan, 1.001])
    like_eager("r", torch.tensor([inf, nan, 1.0]), eager, lambda: reference)
    for wrong in ([-inf, nan, 1.0], [inf, 0.0, 1.0], [inf, nan, nan]):
        with pytest.raises(AssertionError):
            like_eager("r", torch.tensor(wrong), eager, lambda: reference)


@given(st.data())
def test_layouts_have_the_sizes_asked_for(data):
    shape = data.draw(layouts.sizes())
    tensor = data.draw(layouts.tensors(shape))
    assert list(tensor.shape) == shape


@given(st.data())
def test_copies_keep_layout_and_values(data):
    tensor = data.draw(layouts.tensors(data.draw(layouts.sizes()), torch.int32))
    copied = harness.copy_exactly(tensor)
    assert copied.stride() == tensor.stride()
    assert copied.storage_offset() == tensor.storage_offset()
    assert torch.equal(copied, tensor)
    assert tensor.numel() == 0 or copied.data_ptr() != tensor.data_ptr()
