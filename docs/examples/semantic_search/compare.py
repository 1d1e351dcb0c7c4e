"""Prints PyTorch's matches, the largest difference to ours, and both times.

usage: compare.py FOLDER [--threads N]

FOLDER is what export.py filled and the search program wrote embeddings.npz to. Exit
status 1: the embeddings differ by more than torch.testing allows for f32.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import minilm
import numpy as np
import torch

HERE = Path(__file__).parent
REPEATS = 20


def median_ms(run) -> float:
    run()  # the first call allocates
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def print_matches(vectors: dict[str, np.ndarray]) -> None:
    sentences = (HERE / "sentences.txt").read_text().splitlines()
    queries = (HERE / "queries.txt").read_text().splitlines()
    for query, row in zip(queries, vectors["queries"] @ vectors["sentences"].T, strict=True):
        best = int(row.argmax())
        print(f"  {query:40} {row[best]:.6f}  {sentences[best]}")


@torch.inference_mode()
def main(folder: Path, threads: int) -> int:
    torch.set_num_threads(threads)
    model = minilm.load()
    tokens = np.load(folder / "tokens.npz")
    ours = np.load(folder / "embeddings.npz")

    print(f"PyTorch {torch.__version__}, eager, {threads} thread(s):")
    eager, milliseconds = {}, {}
    for kind in ("sentences", "queries"):
        inputs = [torch.from_numpy(tokens[f"{kind}_{name}"]) for name in ("ids", "mask")]
        eager[kind] = model(*inputs).numpy()
        milliseconds[kind] = median_ms(lambda inputs=inputs: model(*inputs))
    print_matches(eager)

    largest = max(float(np.abs(eager[kind] - ours[kind]).max()) for kind in eager)
    print(f"largest difference of any of the embeddings' numbers: {largest:.2e}")
    print(f"milliseconds, median of {REPEATS}:   PyTorch   rtorch")
    for kind in eager:
        shape = "x".join(str(n) for n in tokens[f"{kind}_ids"].shape)
        mine = float(ours[f"{kind}_ms"])
        print(f"  {kind:9} [{shape:>5}] {milliseconds[kind]:17.2f} {mine:8.2f}")

    for kind in eager:
        torch.testing.assert_close(torch.from_numpy(ours[kind]), torch.from_numpy(eager[kind]))
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    try:
        sys.exit(main(options.folder, options.threads))
    except (AssertionError, FileNotFoundError) as error:
        sys.exit(f"compare.py: {error}")
