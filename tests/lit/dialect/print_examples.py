"""Prints the example of every op's description as a module that rtorch-opt can parse.

Values that an example uses and does not define become arguments, typed by the lists
after the colon. Prints `// NAME` before each.
"""

import argparse
import re
import sys

from ods import Op, read_ops

VALUE = re.compile(r"%\w+")


def close(text: str, start: int) -> int:
    """Index after the bracket that closes the one at `start`; `->` closes nothing."""
    depth = 0
    for i in range(start, len(text)):
        if text[i] in "<([":
            depth += 1
        elif text[i] in ">)]" and text[i - 1] != "-":
            depth -= 1
            if depth == 0:
                return i + 1
    raise ValueError(f"unbalanced: {text}")


def tensor_types(text: str) -> list[str]:
    """The !rt.tensor types in order."""
    types = []
    at = text.find("!rt.tensor<")
    while at >= 0:
        end = close(text, at + len("!rt.tensor"))
        types.append(text[at:end])
        at = text.find("!rt.tensor<", end)
    return types


def module(op: Op) -> str:
    """The example in a function; kernels and what runs them stand in the module."""
    text = op.example
    if op.name == "kernel":
        return text
    if op.name == "next":
        assert text.strip() in LOOP.example
        return module(LOOP)
    statements = re.split(r"\n(?=\s*(?:%|rt\.))", text.strip())
    defined, arguments = set(), {}
    for block in re.findall(r"\^bb0\((.*)\):", text):
        defined |= set(VALUE.findall(block))
    for statement in statements:
        left, _, right = statement.rpartition(" = ") if " = " in statement else ("", "", statement)
        defined |= set(VALUE.findall(left))
        # A region (`at !rt.tensor<...>`) is an attribute, not an operand's type.
        body, _, types = re.sub(r" at !rt\.tensor<[^:]*>(?=\s)", "", right).partition(" : ")
        for name, type_ in zip(VALUE.findall(body), tensor_types(types), strict=False):
            if name not in defined:
                arguments[name] = type_
    signature = ", ".join(f"{name}: {type_}" for name, type_ in arguments.items())
    if op.name == "return":
        results = ", ".join(arguments.values())
        return f"func.func @example({signature}) -> ({results}) {{\n{text}\n}}"
    if op.name == "yield":
        return f"rt.kernel @example symbols [] {{\n^bb0({signature}):\n{text}\n}}"
    symbols = 'attributes {rt.symbols = [#rt.symbol<"s0", 1, 64, 3>, #rt.symbol<"i0", 0, 63, 0>]}'
    function = f"func.func @example({signature}) {symbols} {{\n{text}\n  rt.return\n}}"
    return LAUNCHED + function if op.name == "launch" else function


# The kernel that the example of rt.launch runs: the example of rt.kernel.
LAUNCHED = ""
# The op that the example of rt.next ends a body of.
LOOP: Op


def main() -> int:
    global LAUNCHED, LOOP
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llvm-tblgen", default="llvm-tblgen")
    parser.add_argument("-I", dest="includes", action="append", default=[])
    parser.add_argument("td")
    args = parser.parse_args()
    ops = read_ops(args.llvm_tblgen, args.includes, args.td)
    LAUNCHED = next(op.example for op in ops if op.name == "kernel")
    LOOP = next(op for op in ops if op.name == "loop")
    for op in ops:
        if not op.example:
            print(f"rt.{op.name}: has no example", file=sys.stderr)
            return 1
    print("\n// -----\n".join(f"// {op.name}\n{module(op)}" for op in ops))
    return 0


if __name__ == "__main__":
    sys.exit(main())
