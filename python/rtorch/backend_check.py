"""Registers, compiles and runs a small model, and prints what it found.

usage: python -m rtorch.backend_check
"""

import sys

import torch

import rtorch
from rtorch import _native


def _model() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.LayerNorm(16), torch.nn.GELU(), torch.nn.Linear(16, 4)
    )


def _features() -> str:
    wanted = ("avx2", "fma", "avx512f", "avx512_bf16", "asimd", "sve")
    try:
        with open("/proc/cpuinfo") as lines:
            flags = next((x for x in lines if x.startswith(("flags", "Features"))), "").split()
    except OSError:
        flags = []
    return ", ".join(flag for flag in wanted if flag in flags) or "unknown"


def main() -> int:
    print(f"rtorch {rtorch.__version__}, torch {torch.__version__}")
    print(f"LLVM {_native.llvm_description()}")
    print(f"CPU features: {_features()}; threads: {torch.get_num_threads()}")
    registered = "rtorch" in torch._dynamo.list_backends()
    print(f"backend registered: {'yes' if registered else 'no'}")
    model, x = _model(), torch.randn(5, 8)
    options = {"fallback": "error", "cache": False}
    fast = torch.compile(model, backend="rtorch", options=options)
    try:
        loss, expected = fast(x).square().sum(), model(x).square().sum()
        torch.testing.assert_close(loss, expected)
        print("forward: right")
        loss.backward()
        ours = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        expected.backward()
        for mine, p in zip(ours, model.parameters(), strict=True):
            torch.testing.assert_close(mine, p.grad)
        print("backward: right")
    except Exception as error:  # whatever it is, it is the verdict
        print(f"verdict: does not work: {error}")
        return 1
    print(rtorch.last_report())
    print(f"verdict: {'works' if registered else 'works, but is not registered'}")
    return 0 if registered else 1


if __name__ == "__main__":
    sys.exit(main())
