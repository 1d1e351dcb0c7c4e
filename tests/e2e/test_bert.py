"""A two-layer BERT with random weights: raw and decomposed, static and dynamic."""

import harness
import pytest
import torch
from transformers import BertConfig, BertModel

CONFIG = BertConfig(
    vocab_size=500,
    hidden_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=176,
    max_position_embeddings=64,
    attn_implementation="sdpa",
)


class Bert(torch.nn.Module):
    """Last hidden state and pooled output as a plain tuple."""

    def __init__(self, **overrides):
        super().__init__()
        self.bert = BertModel(BertConfig(**{**CONFIG.to_dict(), **overrides}))

    def forward(self, input_ids, attention_mask, token_type_ids):
        out = self.bert(input_ids, attention_mask, token_type_ids)
        return out.last_hidden_state, out.pooler_output


def inputs(batch: int, sequence: int) -> tuple[torch.Tensor, ...]:
    ids = torch.randint(0, CONFIG.vocab_size, (batch, sequence))
    mask = torch.ones_like(ids)
    mask[0, sequence - sequence // 3 :] = 0
    types = (torch.arange(sequence) >= sequence // 2).long().expand(batch, -1).contiguous()
    return ids, mask, types


def dynamic() -> tuple[dict[int, torch.export.Dim], ...]:
    batch = torch.export.Dim("batch", min=1, max=16)
    sequence = torch.export.Dim("sequence", min=2, max=64)
    return ({0: batch, 1: sequence},) * 3


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_static(tmp_path, decomposed):
    compiled = harness.compile_module(tmp_path, Bert().eval(), inputs(2, 24), decomposed=decomposed)
    compiled.check(*inputs(2, 24))
    compiled.check(*inputs(2, 24), threads=2)


@pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
def test_dynamic(tmp_path, decomposed):
    compiled = harness.compile_module(
        tmp_path,
        Bert().eval(),
        inputs(3, 16),
        dynamic_shapes=dynamic(),
        decomposed=decomposed,
    )
    for batch, sequence in [(1, 2), (1, 64), (2, 13), (5, 32), (16, 3)]:
        compiled.check(*inputs(batch, sequence))


def test_equal_layers_share_their_kernels(tmp_path):
    """Layers repeat: six layers must not have more distinct kernels than two."""
    distinct = []
    for layers in (2, 6):
        folder = tmp_path / str(layers)
        folder.mkdir()
        model = Bert(num_hidden_layers=layers).eval()
        compiled = harness.compile_module(folder, model, inputs(2, 24))
        distinct.append(compiled.report["distinct_kernels"])
    assert distinct[0] == distinct[1]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_implementations(tmp_path, attention):
    model = Bert(attn_implementation=attention).eval()
    harness.check_module(tmp_path, model, inputs(2, 10), both_forms=False)
