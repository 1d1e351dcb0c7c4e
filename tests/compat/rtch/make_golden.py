"""Writes the golden checkpoints of a version of the format: once, they are never rewritten.

    pip install xxhash
    python make_golden.py FOLDER

Knows the format from its description alone, not from the library that the files test.
Beside each file lies what a reader must find in it: a line for each name with dtype, shape,
strides, requires_grad and the name that it is an alias of.
"""

import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

import xxhash

ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8,
    "F16": 2, "BF16": 2, "F32": 4, "F64": 8, "C64": 8, "C128": 16, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def aligned(value: int, align: int) -> int:
    return -(-value // align) * align


def content(dtype: str, count: int) -> bytes:
    if dtype == "BOOL":
        return bytes(i % 3 == 1 for i in range(count))
    return bytes((i * 31 + 7) % 251 for i in range(count * ITEM_BYTES[dtype]))


def strides(shape: list[int], layout: str) -> list[int]:
    order = list(range(len(shape)))[::-1]
    if layout == "channels_last":
        order.remove(1)
        order.insert(0, 1)
    out, step = [0] * len(shape), 1
    for dim in order:
        out[dim] = step
        step *= max(shape[dim], 1)
    return out


def tensor(name: str, dtype: str, shape: list[int], **more: Any) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": shape, "layout": "row_major", **more}


def golden(
    path: Path,
    tensors: list[dict[str, Any]],
    *,
    aliases: dict[str, str] | None = None,
    user: dict[str, str] | None = None,
    align: int = 64,
    minor: int = 0,
    more: dict[str, Any] | None = None,
) -> None:
    tensors = sorted(tensors, key=lambda t: t["name"].encode())
    payload = b""
    for entry in tensors:
        data = content(entry["dtype"], math.prod(entry["shape"]))
        offset = aligned(len(payload), align)
        payload = payload.ljust(offset, b"\0") + data
        entry |= {"off": offset, "len": len(data), "crc32c": f"{crc32c(data):08x}"}
    document = {
        "format": "rtch",
        "kind": "state_dict",
        "writer": "golden",
        "tensors": tensors,
        "aliases": [{"name": n, "of": of} for n, of in sorted((aliases or {}).items())],
        "user": user or {},
    }
    text = json.dumps(
        document | (more or {}), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    meta = text.encode()
    payload_at = aligned(64 + len(meta), 4096)
    header = b"RTCH" + struct.pack(
        "<HHIIIIQQQQI", 1, minor, 0, 0, align, 0, 64, len(meta), payload_at, len(payload),
        crc32c(meta),
    )  # fmt: skip
    header += struct.pack("<I", crc32c(header))
    body = (header + meta).ljust(payload_at, b"\0") + payload
    body = body.ljust(aligned(len(body), 8), b"\0")
    footer = struct.pack("<4sIQQII", b"HCTR", 0, len(body) + 64, len(tensors), crc32c(header), 0)
    footer += xxhash.xxh3_128(meta).digest() + bytes(12)
    footer += struct.pack("<I", crc32c(footer))
    path.with_suffix(".rtch").write_bytes(body + footer)
    named = {t["name"]: (t, "") for t in tensors}
    named |= {alias: (named[of][0], of) for alias, of in (aliases or {}).items()}
    lines = [
        f"{name} {t['dtype']} {t['shape']} {strides(t['shape'], t['layout'])} "
        f"{int(t.get('requires_grad', False))} {of}".rstrip()
        for name, (t, of) in sorted(named.items(), key=lambda item: item[0].encode())
    ]
    path.with_suffix(".txt").write_text("".join(line + "\n" for line in lines))


def main(folder: Path) -> None:
    if any(folder.glob("*.rtch")):
        sys.exit(f"{folder} has golden files, which are never rewritten")
    folder.mkdir(parents=True, exist_ok=True)
    golden(folder / "dtypes", [tensor(f"t.{d}", d, [3, 5]) for d in ITEM_BYTES])
    golden(folder / "ranks", [tensor(f"rank{r:02}", "F32", [2, 1] * (r // 2) + [3] * (r % 2))
                              for r in range(17)])  # fmt: skip
    golden(folder / "empty", [])
    golden(folder / "sizes", [tensor("none", "F64", [0]), tensor("none2", "F32", [4, 0, 3]),
                              tensor("one", "I64", [1]), tensor("scalar", "F32", [])])  # fmt: skip
    golden(
        folder / "aliases",
        [tensor("embed.weight", "F32", [7, 4], requires_grad=True), tensor("z", "U8", [1])],
        aliases={"lm_head.weight": "embed.weight", "a": "z"},
    )
    golden(
        folder / "layouts",
        [
            tensor("conv", "F32", [4, 3, 2, 5]) | {"layout": "channels_last"},
            tensor("conv3d", "BF16", [2, 3, 2, 2, 2]) | {"layout": "channels_last"},
            tensor("rows", "F32", [4, 3, 2, 5]),
        ],
        align=4096,
    )
    golden(
        folder / "names",
        [tensor('quote"back\\slash', "U8", [2]), tensor("größe.重み", "U8", [3])],
        user={"note": "tab\tand é", "epoch": "3"},
    )
    golden(
        folder / "later",
        [tensor("w", "F32", [2], shiny={"deep": [1.5, None, "x"]})],
        minor=1,
        more={"extra": [{"a": -1.0e-3}], "state_of_art": True},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
