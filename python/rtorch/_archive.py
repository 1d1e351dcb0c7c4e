"""A serialized graph and its constants in the container that torch.export.save writes."""

import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from ._graph import _DTYPES, Serialized


def write(path: Path, graph: Serialized, name: str) -> None:
    """Writes the program as an archive that the compiler reads."""
    config: dict[str, Any] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for i, (fqn, tensor) in enumerate(graph.constants.items()):
            file, data = f"tensor_{i}", bytes_of(tensor)
            config[fqn] = {
                "path_name": file,
                "is_param": False,
                "use_pickle": False,
                "tensor_meta": _meta(tensor),
            }
            archive.writestr(f"{name}/data/constants/{file}", data)
        entries = {
            "archive_format": "pt2",
            "archive_version": "0",
            "byteorder": "little",
            ".data/version": "6\n",
            "models/model.json": json.dumps(graph.program),
            "data/weights/model_weights_config.json": json.dumps({"config": {}}),
            "data/constants/model_constants_config.json": json.dumps({"config": config}),
        }
        for entry, text in entries.items():
            archive.writestr(f"{name}/{entry}", text)


def bytes_of(tensor: torch.Tensor) -> bytes:
    """The bytes of the tensor's whole storage."""
    storage = tensor.detach().untyped_storage()
    whole = torch.empty(0, dtype=torch.uint8).set_(storage)
    return whole.numpy().tobytes()


def _meta(tensor: torch.Tensor) -> dict[str, Any]:
    return {
        "dtype": _DTYPES[tensor.dtype],
        "sizes": [{"as_int": n} for n in tensor.size()],
        "strides": [{"as_int": n} for n in tensor.stride()],
        "storage_offset": {"as_int": tensor.storage_offset()},
        "requires_grad": False,
        "device": {"type": "cpu", "index": None},
        "layout": 7,
    }
