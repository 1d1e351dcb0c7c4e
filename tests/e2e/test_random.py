"""Random ops are functions of their seed: against Philox-2x32 written in numpy."""

import harness
import numpy as np
import pytest
import torch
import torch._inductor.inductor_prims
from torch import nn

prims = torch.ops.prims


def philox(counters: np.ndarray, seed: int) -> np.ndarray:
    """The two words of each counter, the first one the upper."""
    low, seed = np.uint64(0xFFFFFFFF), np.uint64(seed % 2**64)
    first = counters.astype(np.uint64)
    second, key = (first >> np.uint64(32)) ^ (seed >> np.uint64(32)), seed & low
    first = first & low
    for i in range(10):
        if i:
            key = (key + np.uint64(0x9E3779B9)) & low
        product = first * np.uint64(0xD256D193)
        first, second = (product >> np.uint64(32)) ^ key ^ second, product & low
    return (first << np.uint64(32)) | second


def test_known_answers():
    """The vectors that the authors publish."""
    assert int(philox(np.array([0]), 0)[0]) == 0xFF1DAE596CD10DF2
    counter = np.array([0x85A308D3243F6A88], np.uint64)
    assert int(philox(counter, 0x13198A2E)[0]) == 0xDD7CE038F62A4C12


class Random(nn.Module):
    """One op of each kind, each with a seed of its own."""

    def __init__(self, *size: int):
        super().__init__()
        self.size = size

    def forward(self, seeds: torch.Tensor) -> tuple[torch.Tensor, ...]:
        seed = [prims.inductor_lookup_seed(seeds, i) for i in range(3)]
        return (
            prims.inductor_random(self.size, seed[0], "rand"),
            prims.inductor_random(self.size, seed[1], "randn"),
            prims.inductor_randint(-3, 9, self.size, seed[2]),
        )


@pytest.mark.parametrize("seeds", [[0, 1, 2], [2**62 + 5, -1, 2**40]], ids=str)
def test_numbers(tmp_path, seeds):
    given = torch.tensor(seeds)
    compiled = harness.compile_module(tmp_path, Random(7, 130), (given,))
    rand, randn, randint = (x.numpy() for x in compiled(given))
    bits = [philox(np.arange(7 * 130).reshape(7, 130), seed) for seed in seeds]

    def uniform(x, shift):
        return ((x >> np.uint64(shift)) & np.uint64(2**24 - 1)).astype(np.float64) / 2**24

    assert rand.dtype == np.float32
    assert (rand == uniform(bits[0], 40)).all()
    radius = np.sqrt(-2 * np.log(1 - uniform(bits[1], 40)))
    normal = radius * np.cos(2 * np.pi * uniform(bits[1], 8))
    np.testing.assert_allclose(randn, normal, rtol=1e-4, atol=1e-5)
    steps = (bits[2] >> np.uint64(33)) * np.uint64(12) >> np.uint64(31)
    assert (randint == steps.astype(np.int64) - 3).all()
    compiled.check_bits_of_threads(given)


def test_distribution(tmp_path):
    seeds = torch.tensor([11, 12, 13])
    compiled = harness.compile_module(tmp_path, Random(200, 1000), (seeds,))
    rand, randn, randint = compiled(seeds)
    assert rand.min() >= 0
    assert rand.max() < 1
    assert abs(rand.mean() - 0.5) < 0.003
    assert abs(rand.var() - 1 / 12) < 0.002
    assert abs(randn.mean()) < 0.01
    assert abs(randn.var() - 1) < 0.02
    assert randint.unique().tolist() == list(range(-3, 9))
    other = compiled(torch.tensor([12, 11, 13]))
    assert (other[0] == rand).float().mean() < 0.01
    assert torch.equal(other[2], randint)


class Dropout(nn.Module):
    """What dropout becomes: a mask of random numbers, and its scale."""

    def forward(self, x: torch.Tensor, seeds: torch.Tensor) -> tuple[torch.Tensor, ...]:
        seed = prims.inductor_lookup_seed(seeds, 0)
        mask = prims.inductor_random(x.shape, seed, "rand") > 0.3
        return mask * x / 0.7, mask


def test_dropout(tmp_path):
    x, seeds = torch.randn(64, 256), torch.tensor([5])
    batch = torch.export.Dim("batch", min=2, max=500)
    compiled = harness.compile_module(
        tmp_path, Dropout(), (x, seeds), dynamic_shapes=({0: batch}, None)
    )
    for rows in (64, 100):
        x = torch.randn(rows, 256)
        result, mask = compiled(x, seeds)
        assert abs(mask.float().mean() - 0.7) < 0.02
        torch.testing.assert_close(result, mask * x / 0.7)


def test_refused(tmp_path):
    class Rand(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand(3)

    with pytest.raises(AssertionError, match=r"aten\.rand\.default"):
        harness.compile_module(tmp_path, Rand(), (torch.ones(3),))
