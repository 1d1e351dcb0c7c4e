"""Training steps of whole networks: forward and backward graphs against eager."""

import pytest
import torch
import torch.nn.functional as F
import training
from trainees import TRAINEES


@pytest.mark.parametrize("core", [False, True], ids=["whole", "core"])
@pytest.mark.parametrize("name", TRAINEES)
def test_step(tmp_path, name, core):
    torch.manual_seed(0)
    trainee = TRAINEES[name]
    table = training.core_decompositions() if core else None
    # The LSTM of oneDNN is no op of training graphs: eager's own cells are.
    with torch.backends.mkldnn.flags(enabled=name != "lstm"):
        graphs = training.of_model(trainee.make(), trainee.batch(), trainee.loss, table)
        graphs.check(tmp_path)


MASKS = {
    "none": lambda n: None,
    "causal": lambda n: "causal",
    "bool": lambda n: torch.ones(n, n).tril(2).bool(),
    "float": lambda n: torch.linspace(-1, 1, n * n).reshape(n, n),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_attention(tmp_path, dtype, mask):
    if dtype == torch.bfloat16 and mask == "bool":
        pytest.skip("AOTAutograd's graph has no float64 twin to judge errors by")
    torch.manual_seed(0)
    given = MASKS[mask](9)
    masks = [given] if isinstance(given, torch.Tensor) else []
    masks = [m.to(dtype) if m.is_floating_point() else m for m in masks]

    def attend(q, k, v, mask=None):
        mask = mask.detach() if mask is not None else None
        return F.scaled_dot_product_attention(
            q, k, v, mask, scale=0.3, is_causal=isinstance(given, str)
        )

    args = [torch.randn(2, 3, 9, 8, dtype=dtype) for _ in range(3)]
    training.of_function(attend, [*args, *masks]).check(tmp_path)
