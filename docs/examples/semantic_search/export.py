"""Writes minilm.pt2 and tokens.npz, what the compiler and the search program read.

usage: export.py FOLDER
"""

import sys
from pathlib import Path

import minilm
import numpy as np
import torch

HERE = Path(__file__).parent


def main(out: Path) -> None:
    model = minilm.load()
    torch.export.save(minilm.export(model), out / "minilm.pt2")

    arrays = {}
    for kind in ("sentences", "queries"):
        ids, mask = minilm.tokenize((HERE / f"{kind}.txt").read_text().splitlines())
        arrays[f"{kind}_ids"] = ids.numpy()
        arrays[f"{kind}_mask"] = mask.numpy()
    np.savez(out / "tokens.npz", **arrays)

    parameters = sum(p.numel() for p in model.parameters())
    megabytes = (out / "minilm.pt2").stat().st_size / 1e6
    print(f"minilm.pt2: {parameters:,} parameters, {megabytes:.1f} MB")
    print("tokens.npz:", ", ".join(f"{name} {list(a.shape)}" for name, a in arrays.items()))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    main(Path(sys.argv[1]))
