"""Hypothesis strategies for sizes and for tensors in the layouts that PyTorch has."""

import torch
from hypothesis import strategies as st

_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


def sizes(min_rank: int = 0, max_rank: int = 4, max_size: int = 9) -> st.SearchStrategy[list[int]]:
    """Sizes with 0, 1 and sizes around the vector width more often than the rest."""
    size = st.one_of(st.sampled_from([0, 1, 1, 2, 3, 7, 8, 9]), st.integers(1, max_size))
    return st.lists(size.map(lambda n: min(n, max_size)), min_size=min_rank, max_size=max_rank)


def values(shape: list[int], dtype: torch.dtype, seed: int) -> torch.Tensor:
    """A row-major tensor of numbers that depend on `seed` alone; floats around [-3, 3]."""
    generator = torch.Generator().manual_seed(seed)
    if dtype in _FLOATS:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    low = 0 if dtype == torch.uint8 else -50
    return torch.randint(low, 50, shape, generator=generator).to(dtype)


@st.composite
def tensors(
    draw,
    shape: list[int],
    dtype: torch.dtype = torch.float32,
    *,
    kinds: tuple[str, ...] = ("rowmajor", "permuted", "sliced", "expanded"),
) -> torch.Tensor:
    """A tensor of this shape in one of the layouts `kinds`:

    rowmajor, permuted (dense, dims in another order), sliced (steps, and an offset into a
    larger storage), expanded (stride 0 in some dims).
    """
    seed = draw(st.integers(0, 2**16))
    kind = draw(st.sampled_from(kinds))
    rank = len(shape)
    if kind == "permuted" and rank >= 2:
        order = draw(st.permutations(range(rank)))
        inverse = [order.index(i) for i in range(rank)]
        return values([shape[i] for i in order], dtype, seed).permute(inverse)
    if kind == "sliced" and rank >= 1:
        steps = [draw(st.integers(1, 3)) for _ in shape]
        starts = [draw(st.integers(0, 2)) for _ in shape]
        full = values(
            [s + n * k for s, n, k in zip(starts, shape, steps, strict=True)], dtype, seed
        )
        for dim, (start, size, step) in enumerate(zip(starts, shape, steps, strict=True)):
            full = full.narrow(dim, start, size * step)[
                (slice(None),) * dim + (slice(0, None, step),)
            ]
        return full
    if kind == "expanded" and rank >= 1:
        kept = [1 if draw(st.booleans()) else n for n in shape]
        return values(kept, dtype, seed).expand(shape)
    return values(shape, dtype, seed)
