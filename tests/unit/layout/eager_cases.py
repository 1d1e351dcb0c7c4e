"""Writes random layout questions with eager PyTorch's answers, one a line.

A line is `op | layout ... | arguments | answer`. A layout is `sizes/strides/offset` with
comma-separated numbers ("-" for rank 0); an answer is a layout, a number, or "none"
where eager raises. EagerCheck.cpp reads the lines. Usage: eager_cases.py FILE [COUNT [SEED]]
"""

import random
import sys

import torch

rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 20240229)


def numbers(values):
    return ",".join(str(int(v)) for v in values) or "-"


def layout(x):
    return f"{numbers(x.size())}/{numbers(x.stride())}/{x.storage_offset()}"


def strided(sizes, strides, offset=0):
    """A float tensor of this layout over storage of its own."""
    last = offset + sum(max(s - 1, 0) * t for s, t in zip(sizes, strides, strict=True))
    return torch.zeros(last + 1).as_strided(sizes, strides, offset)


def random_sizes(max_rank=5):
    rank = rng.choice([0, 1, 2, 3, 3, 4, 4, 4, 5][: max_rank + 4])
    sizes = [rng.choice([1, 1, 2, 3, 4, 5]) for _ in range(rank)]
    if sizes and rng.random() < 0.05:
        sizes[rng.randrange(rank)] = 0
    return sizes


def random_layout(sizes):
    """Permuted, channels_last, padded, strided, expanded, odd strides of size-1 dims."""
    rank = len(sizes)
    order = list(range(rank))[::-1]
    kind = rng.random()
    if kind < 0.35:
        rng.shuffle(order)
    elif kind < 0.5 and rank == 4:
        order = [1, 3, 2, 0]
    elif kind < 0.5 and rank == 5:
        order = [1, 4, 3, 2, 0]
    strides, step = [0] * rank, 1
    if rng.random() < 0.15:
        step = rng.choice([2, 3])
    for dim in order:
        strides[dim] = step
        step *= max(sizes[dim], 1)
        if rng.random() < 0.08:
            step += rng.choice([1, 2, 8])
    for dim in range(rank):
        if sizes[dim] == 1 and rng.random() < 0.3:
            strides[dim] = rng.choice([0, 1, 2, 3, 5, 12, 60, 1000])
        elif rng.random() < 0.04:
            strides[dim] = 0
    return strided(sizes, strides, rng.choice([0, 0, 3]))


def random_tensor(max_rank=5):
    return random_layout(random_sizes(max_rank))


def broadcast_partner(sizes):
    """An operand that broadcasts with `sizes`: mostly the same sizes or a suffix."""
    own = list(sizes)
    if rng.random() < 0.5:
        own = own[rng.randrange(len(own) + 1) :]
        own = [1 if rng.random() < 0.25 else s for s in own]
    return random_layout(own)


def emit(op, operands, arguments, answer):
    if isinstance(answer, torch.Tensor):
        answer = layout(answer)
    line = [op, " ".join(layout(x) for x in operands), numbers(arguments), str(answer)]
    return " | ".join(line)


def attempt(compute):
    try:
        return compute()
    except (RuntimeError, IndexError):
        return "none"


def unary():
    x = random_tensor()
    return emit("pointwise", [x], [], rng.choice([torch.neg, torch.exp, torch.relu])(x))


def scalar():
    x = random_tensor()
    return emit("pointwise", [x, torch.tensor(1.0)], [], x + 1)


def binary():
    x = random_tensor()
    y = broadcast_partner(x.size())
    operands = [x, y] if rng.random() < 0.5 else [y, x]
    return emit("pointwise", operands, [], torch.add(*operands))


def ternary():
    x = random_tensor()
    operands = [x, broadcast_partner(x.size()), broadcast_partner(x.size())]
    rng.shuffle(operands)
    op = rng.choice([torch.addcmul, torch.lerp, torch.clamp])
    return emit("pointwise", operands, [], op(*operands))


def preserve():
    x = random_tensor()
    op = rng.choice([torch.clone, torch.empty_like, torch.Tensor.double])
    return emit("preserve", [x], [], op(x))


def contiguous():
    sizes = random_sizes()
    return emit("contiguous", [], sizes, torch.empty(sizes))


def factorized(count, target_rank):
    """Random sizes with `count` elements."""
    sizes = [1] * target_rank
    for prime in (2, 3, 5):
        while count % prime == 0:
            count //= prime
            sizes[rng.randrange(target_rank)] *= prime
    return sizes


def view():
    x = random_tensor()
    if x.numel() == 0:
        sizes = rng.choice([list(x.size()), [0], [2, 0, 3]])
    elif x.dim() > 1 and rng.random() < 0.5:  # merge and split neighbours
        start = rng.randrange(x.dim() - 1)
        sizes = list(x.size())
        sizes[start : start + 2] = factorized(
            sizes[start] * sizes[start + 1], rng.choice([1, 2, 3])
        )
    else:
        sizes = factorized(x.numel(), rng.choice([1, 2, 3, 4]))
    return emit("view", [x], sizes, attempt(lambda: x.view(sizes)))


def expand():
    x = random_tensor(4)
    sizes = [rng.choice([1, 2, 3, 6]) if s == 1 else s for s in x.size()]
    sizes = [rng.choice([1, 2, 3]) for _ in range(rng.choice([0, 0, 1, 2]))] + sizes
    if sizes and rng.random() < 0.05:
        sizes[rng.randrange(len(sizes))] = 7
    return emit("expand", [x], sizes, attempt(lambda: x.expand(sizes)))


def with_dim():
    while True:
        x = random_tensor()
        if x.dim() > 0:
            return x, rng.randrange(x.dim())


def permute():
    x = random_tensor()
    dims = list(range(x.dim()))
    rng.shuffle(dims)
    return emit("permute", [x], dims, x.permute(dims))


def slice_():
    x, dim = with_dim()
    start, end = rng.randint(-7, 7), rng.choice([rng.randint(-7, 7), 2**63 - 1])
    step = rng.choice([1, 1, 2, 3])
    answer = torch.ops.aten.slice.Tensor(x, dim, start, end, step)
    return emit("slice", [x], [dim, start, end, step], answer)


def select():
    x, dim = with_dim()
    if x.size(dim) == 0:
        return select()
    index = rng.randrange(x.size(dim))
    return emit("select", [x], [dim, index], x.select(dim, index))


def unsqueeze():
    x = random_tensor(4)
    dim = rng.randrange(x.dim() + 1)
    return emit("unsqueeze", [x], [dim], x.unsqueeze(dim))


def squeeze():
    x, _ = with_dim()
    dims = [d for d in range(x.dim()) if rng.random() < 0.6] or [0]
    return emit("squeeze", [x], dims, x.squeeze(dims))


def diagonal():
    x = random_tensor()
    if x.dim() < 2:
        return diagonal()
    dim1, dim2 = rng.sample(range(x.dim()), 2)
    offset = rng.randint(-5, 5)
    answer = x.diagonal(offset, dim1, dim2)
    return emit("diagonal", [x], [offset, dim1, dim2], answer)


def unfold():
    x, dim = with_dim()
    size, step = rng.randint(0, x.size(dim)), rng.randint(1, 3)
    return emit("unfold", [x], [dim, size, step], x.unfold(dim, size, step))


def channels_last(x):
    return torch.channels_last_3d if x.dim() == 5 else torch.channels_last


def predicates():
    x = random_tensor()
    name = rng.choice(["is_contiguous", "is_channels_last", "suggest", "is_dense"])
    if name == "is_contiguous":
        answer = x.is_contiguous()
    elif name == "is_channels_last":
        answer = x.dim() in (4, 5) and x.is_contiguous(memory_format=channels_last(x))
    elif name == "is_dense":
        answer = torch.ops.aten.is_non_overlapping_and_dense(x)
    else:  # x.to(memory_format=mf) returns x itself iff x suggests mf
        answer = x.dim() in (4, 5) and x.to(memory_format=channels_last(x)) is x
    return emit(name, [x], [], int(answer))


def overlap():
    """The answer by enumerating the elements that both touch."""
    x, y = (random_layout(random_sizes(3)) for _ in range(2))

    def elements(tensor):
        at = {tensor.storage_offset()} if tensor.numel() else set()
        for size, stride in zip(tensor.size(), tensor.stride(), strict=True):
            at = {a + i * stride for a in at for i in range(size)}
        return at

    return emit("overlap", [x, y], [], int(bool(elements(x) & elements(y))))


KINDS = [unary, scalar, binary, binary, ternary, preserve, contiguous, view, view]
KINDS += [expand, permute, slice_, select, unsqueeze, squeeze, diagonal, unfold]
KINDS += [predicates, predicates, overlap]


def main():
    path = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
    with open(path, "w", encoding="ascii") as file:
        for i in range(count):
            file.write(KINDS[i % len(KINDS)]() + "\n")


if __name__ == "__main__":
    main()
