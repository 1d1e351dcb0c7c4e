"""Exchanges .npz files with the C++ reader and writer.

    python numpy_exchange.py TEST_PROGRAM FOLDER

writes arrays with NumPy, lets the test program read and write them, and compares.
"""

import os
import pathlib
import subprocess
import sys

import numpy as np


def main() -> int:
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    arrays = {}
    for code in ("?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"):
        for shape in ((), (0,), (5,), (2, 3), (2, 1, 3)):
            name = f"a{len(arrays)}"
            arrays[name] = (random.random(shape) * 100).astype(code)
    turned = {"turned": np.asfortranarray(random.random((3, 4)).astype("f4"))}
    np.savez(folder / "stored.npz", **arrays, **turned)
    np.savez_compressed(folder / "deflated.npz", **arrays, **turned)
    environment = os.environ | {"RTORCH_NPZ_FOLDER": str(folder)}
    subprocess.run([program, "[numpy]"], env=environment, check=True)
    for name in ("stored", "deflated"):
        again = np.load(folder / f"{name}_again.npz")
        assert again.files == list(arrays), again.files
        for key, array in arrays.items():
            assert again[key].dtype == array.dtype
            np.testing.assert_array_equal(again[key], array)
    return 0


if __name__ == "__main__":
    sys.exit(main())
