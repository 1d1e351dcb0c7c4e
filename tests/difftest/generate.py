"""Random programs: each step is chosen so that eager PyTorch accepts it.

The generator runs every candidate step at once. What eager refuses, what has results too
large to compare, and writes whose result eager leaves open (operands that overlap the
destination) are thrown away and another step is tried.
"""

import random

import ops
import torch
from program import BUFFER, INPUT, PARAMETER, Leaf, Program, Step
from torch.overrides import TorchFunctionMode

MAX_ELEMENTS = 3000
MAX_MAGNITUDE = 1e3

_DTYPES = [torch.float32] * 12 + [torch.float64] * 2 + [torch.int64] * 3 + [
    *(torch.int32, torch.bool, torch.uint8, torch.int8, torch.int16),
    *(torch.bfloat16, torch.float16),
]  # fmt: skip


def generate(seed: int) -> Program:
    """The program of this seed."""
    return _Generator(seed).program()


def random_layout(rng: random.Random, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Strides and offset of a layout that a tensor of these sizes may have."""
    kind = rng.choice(["rowmajor"] * 4 + ["permuted"] * 3 + ["sliced"] * 3 + ["expanded"])
    order = list(range(len(sizes)))
    if len(sizes) == 4 and rng.random() < 0.4:
        order = [0, 2, 3, 1]  # channels_last
    elif kind == "permuted" or rng.random() < 0.2:
        rng.shuffle(order)
    strides, stride = [0] * len(sizes), 1
    for dim in reversed(order):
        step = rng.choice([1, 1, 2, 3]) if kind == "sliced" else 1
        strides[dim] = stride * step
        stride *= step * max(sizes[dim], 1)
        if kind == "sliced" and rng.random() < 0.4:
            stride += rng.randint(1, 3)
    if kind == "expanded":
        strides = [0 if rng.random() < 0.5 else s for s in strides]
    for dim, size in enumerate(sizes):
        if size == 1 and rng.random() < 0.3:
            strides[dim] = rng.choice([0, 1, 5, 64])  # addresses nothing, but may be looked at
    return tuple(strides), rng.choice([0, 0, 1, 3, 16])


def random_sizes(rng: random.Random, max_rank: int = 4) -> tuple[int, ...]:
    rank = rng.choice([r for r in (0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4) if r <= max_rank])
    common = [0] + [1] * 4 + [2, 3, 4, 5, 8] * 3 + [7, 9, 16, 17, 33]
    return tuple(rng.choice(common if rank < 4 else common[:-3]) for _ in range(rank))


class _Generator:
    def __init__(self, seed: int):
        self.rng = random.Random(seed)
        self.seed = seed
        self.leaves: list[Leaf] = []
        self.steps: list[Step] = []
        self.values: dict[str, torch.Tensor] = {}
        self.parameters: list[str] = []  # which programs must not write to

    def program(self) -> Program:
        rng = self.rng
        dynamic = rng.random() < 0.3
        if rng.random() < 0.3:
            self._image_leaves(dynamic)
        for _ in range(rng.choice([1, 1, 2, 2, 3])):
            self._leaf(INPUT, dynamic)
        for role in (PARAMETER, BUFFER):
            if rng.random() < 0.35:
                self._leaf(role, False)
        wanted = rng.choice([2, 4, 6, 8, 10, 14])
        for _ in range(wanted * 12):
            if len(self.steps) >= wanted:
                break
            self._try_step()
        return Program(
            leaves=tuple(self.leaves),
            steps=tuple(self.steps),
            outputs=self._outputs(),
            decomposed=rng.random() < 0.3,
            seed=self.seed,
        )

    def _leaf(self, role: str, dynamic: bool) -> None:
        dtype = self.rng.choice(_DTYPES)
        if role == PARAMETER and not dtype.is_floating_point:
            dtype = torch.float32
        self._add_leaf(role, self._leaf_sizes(), dtype, dynamic)

    def _image_leaves(self, dynamic: bool) -> None:
        """An activation, and kernels of convolutions that fit it one after the other."""
        rng = self.rng
        dtype = rng.choice([torch.float32] * 6 + [torch.float64, torch.bfloat16])
        channels, rank = rng.choice([1, 2, 3, 4, 8, 16]), rng.choice([1, 2, 2, 2, 2, 3])
        space = [rng.choice([1, 4, 5, 7, 8]) for _ in range(rank)]
        sizes = (rng.choice([1, 1, 2, 3]), channels, *space)
        self._add_leaf(INPUT, sizes, dtype, dynamic)
        for _ in range(rng.choice([1, 1, 2, 3])):
            groups = rng.choice([g for g in (1, 1, 1, 2, channels) if channels % g == 0])
            made = groups * rng.choice([1, 2, 4, 8])
            window = [rng.choice([1, 1, 2, 3, 3]) for _ in range(rank)]
            self._add_leaf(PARAMETER, (made, channels // groups, *window), dtype, False)
            channels = made

    def _add_leaf(
        self, role: str, sizes: tuple[int, ...], dtype: torch.dtype, dynamic: bool
    ) -> None:
        rng = self.rng
        name = f"{role[0]}{len(self.leaves)}"
        strides, offset = random_layout(rng, sizes)
        if role != INPUT and 0 in sizes:
            offset = 0  # torch.export.save fails on others
        dims = [d for d, n in enumerate(sizes) if n > 1 and dynamic and rng.random() < 0.5]
        leaf = Leaf(name, role, dtype, sizes, strides, offset, tuple(dims))
        self.leaves.append(leaf)
        self.values[name] = leaf.tensor(self.seed + len(self.leaves) - 1)
        if role == PARAMETER:
            self.parameters.append(name)

    def _leaf_sizes(self) -> tuple[int, ...]:
        """Often those of an earlier leaf, or ones that broadcast or multiply with it."""
        rng = self.rng
        if not self.leaves or rng.random() < 0.4:
            return random_sizes(rng)
        sizes = list(rng.choice(self.leaves).sizes)
        kind = rng.randrange(5)
        if kind == 0 and sizes:
            sizes[rng.randrange(len(sizes))] = 1
        elif kind == 1 and sizes:
            sizes = sizes[rng.randrange(len(sizes)) :]
        elif kind == 2 and len(sizes) >= 2:
            sizes = [*sizes[:-2], sizes[-1], rng.choice([1, 3, 8, 17])]
        return tuple(sizes)

    def _try_step(self) -> None:
        candidate = ops.propose(self.rng, self.values)
        if candidate is None:
            return
        code, operands, count = candidate
        number = len(self.steps)
        names = tuple(f"v{number}" + ("" if count == 1 else "abcdefgh"[i]) for i in range(count))
        step = Step(names, code, operands)
        before = self._storages()
        try:
            results = self._run(step)
        except (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError):
            _restore(before)
            return
        if not all(self._is_useful(value) for value in [*results, *self.values.values()]):
            _restore(before)
            return
        self.steps.append(step)
        self.values.update(zip(names, results, strict=True))

    def _run(self, step: Step) -> list[torch.Tensor]:
        places = {f"_{i}": self.values[name] for i, name in enumerate(step.operands)}
        code = step.code.format(*places)
        scope = {"torch": torch, "F": torch.nn.functional, **places}
        with torch.no_grad(), DefinedWrites([self.values[name] for name in self.parameters]):
            if not step.results:
                exec(code, scope)
                return []
            result = eval(code, scope)
        results = [result] if isinstance(result, torch.Tensor) else list(result)
        if len(results) != len(step.results):
            raise ValueError("another number of results than expected")
        return results

    def _storages(self) -> list[tuple[torch.UntypedStorage, torch.UntypedStorage]]:
        """All memory of the program with a copy of what it holds."""
        storages = {
            v.untyped_storage().data_ptr(): v.untyped_storage() for v in self.values.values()
        }
        return [(storage, storage.clone()) for storage in storages.values()]

    def _is_useful(self, value: torch.Tensor) -> bool:
        if value.numel() > MAX_ELEMENTS:
            return False
        if value.dtype.is_floating_point and value.numel() > 0:
            largest = value.detach().abs().amax().item()
            return largest <= MAX_MAGNITUDE  # false for nan
        return True

    def _outputs(self) -> tuple[str, ...]:
        """What nothing reads, mostly, and now and then anything: inputs, or one twice."""
        rng = self.rng
        read = {name for step in self.steps for name in step.operands}
        made = [name for step in self.steps for name in step.results] or list(self.values)
        unread = [name for name in made if name not in read] or made[-1:]
        outputs = rng.sample(unread, min(len(unread), 4))
        if rng.random() < 0.3:
            outputs.append(rng.choice([n for n in self.values if n not in self.parameters]))
        return tuple(outputs)


def _restore(storages: list[tuple[torch.UntypedStorage, torch.UntypedStorage]]) -> None:
    for storage, old in storages:
        storage.copy_(old)


def addresses(tensor: torch.Tensor) -> torch.Tensor:
    """The place of each element in its storage, row-major."""
    places = torch.tensor([tensor.storage_offset()])
    for size, stride in zip(tensor.size(), tensor.stride(), strict=True):
        places = (places[:, None] + torch.arange(size) * stride).flatten()
    return places


def overlaps_itself(tensor: torch.Tensor) -> bool:
    places = addresses(tensor)
    return places.unique().numel() != places.numel()


def _share(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.untyped_storage()._cdata == b.untyped_storage()._cdata


class UndefinedWrite(RuntimeError):
    """A write whose result eager PyTorch does not define, or to what must not change."""


class DefinedWrites(TorchFunctionMode):
    """Refuses mutations whose destination overlaps itself or, otherwise, an operand."""

    def __init__(self, constants: list[torch.Tensor]):
        super().__init__()
        self.constants = constants

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        is_write = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
        is_write |= name.startswith("__i") and name not in ("__invert__", "__index__", "__int__")
        if is_write and args and isinstance(args[0], torch.Tensor):
            self._check(args[0], [*args[1:], *kwargs.values()], func, args)
        return func(*args, **kwargs)

    def _check(self, target, others, func, args) -> None:
        with torch._C.DisableTorchFunction():
            if func is torch.Tensor.__setitem__:
                index = args[1] if isinstance(args[1], tuple) else (args[1],)
                if not any(isinstance(i, torch.Tensor) for i in index):
                    target = target[args[1]]
                others = [*index, *others[1:]]
            if any(_share(target, constant) for constant in self.constants):
                raise UndefinedWrite("writes to a parameter")
            places = addresses(target)
            if overlaps_itself(target):
                raise UndefinedWrite("the destination overlaps itself")
            for other in others:
                if isinstance(other, torch.Tensor) and _share(target, other):
                    shared = torch.isin(addresses(other), places).any()
                    same = other.size() == target.size() and other.stride() == target.stride()
                    same &= other.storage_offset() == target.storage_offset()
                    if shared and not same:
                        raise UndefinedWrite("an operand overlaps the destination")
