"""Makes a program smaller as long as it still fails."""

from collections.abc import Callable, Iterator

from program import Leaf, Program, Step

Fails = Callable[[Program], bool]


def shrink(program: Program, fails: Fails, attempts: int = 200) -> Program:
    """The smallest program found that still fails, with at most so many tries."""
    again = True
    while again and attempts > 0:
        again = False
        for candidate in _smaller(program):
            attempts -= 1
            if fails(candidate):
                program, again = candidate, True
                break
            if attempts == 0:
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    """Programs with a bit less in them, those with much less first."""
    if len(program.outputs) > 1:
        yield from (_cleaned(program.replace(outputs=(name,))) for name in program.outputs)
        for i in range(len(program.outputs)):
            outputs = program.outputs[:i] + program.outputs[i + 1 :]
            yield _cleaned(program.replace(outputs=outputs))
    for step in reversed(program.steps):
        without = _without(program, step)
        if without.outputs:
            yield _cleaned(without)
    for step in program.steps:
        for operand in step.operands[:2] if len(step.results) == 1 else ():
            yield _cleaned(_bypassed(program, step, operand))
    if program.decomposed:
        yield program.replace(decomposed=False)
    for i, leaf in enumerate(program.leaves):
        for simpler in _simpler(leaf):
            leaves = program.leaves[:i] + (simpler,) + program.leaves[i + 1 :]
            yield program.replace(leaves=leaves)


def _without(program: Program, removed: Step) -> Program:
    """Without the step and all that reads its results."""
    gone = set(removed.results)
    kept = []
    for step in program.steps:
        if step is removed or gone & set(step.operands):
            gone |= set(step.results)
        else:
            kept.append(step)
    outputs = tuple(name for name in program.outputs if name not in gone)
    return program.replace(steps=tuple(kept), outputs=outputs)


def _bypassed(program: Program, removed: Step, operand: str) -> Program:
    """With an operand of the step in place of its result."""
    old = removed.results[0]

    def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(operand if name == old else name for name in names)

    steps = tuple(
        Step(step.results, step.code, renamed(step.operands))
        for step in program.steps
        if step is not removed
    )
    return program.replace(steps=steps, outputs=renamed(program.outputs))


def _cleaned(program: Program) -> Program:
    """Without steps and leaves that nothing needs; writes are needed."""
    read = set(program.outputs)
    kept = []
    for step in reversed(program.steps):
        if not step.results or read & set(step.results):
            read |= set(step.operands)
            kept.append(step)
    leaves = tuple(leaf for leaf in program.leaves if leaf.name in read)
    return program.replace(steps=tuple(reversed(kept)), leaves=leaves)


def _simpler(leaf: Leaf) -> Iterator[Leaf]:
    strides, stride = [0] * len(leaf.sizes), 1
    for dim in reversed(range(len(leaf.sizes))):
        strides[dim] = stride
        stride *= max(leaf.sizes[dim], 1)
    fields = (leaf.name, leaf.role, leaf.dtype, leaf.sizes)
    if leaf.offset:
        yield Leaf(*fields, leaf.strides, 0, leaf.dynamic)
    if tuple(strides) != leaf.strides:
        yield Leaf(*fields, tuple(strides), leaf.offset, leaf.dynamic)
    for dim in leaf.dynamic:
        yield Leaf(*fields, leaf.strides, leaf.offset, tuple(d for d in leaf.dynamic if d != dim))
