"""Decoders, and other attention that exported graphs write out, compared with eager."""

import re
from pathlib import Path
from typing import Any

import decoders
import harness
import pytest
import torch
import transformers
from torch.export import Dim

MASKS = ["sdpa", "buffer_where", "buffer_masked_fill", "triu", "arange"]
ATTENTIONS = ["manual", "sdpa", "grouped"]
FORMS = pytest.mark.parametrize("decomposed", [False, True], ids=["raw", "decomposed"])
BATCH = Dim("batch", min=1, max=8)
LENGTH = Dim("length", min=2, max=64)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def ids(batch: int, length: int) -> torch.Tensor:
    return torch.randint(0, 97, (batch, length))


def attentions(compiled: harness.Compiled) -> list[str]:
    """The rt.attention ops of the graph, and every softmax that is none."""
    target = compiled.path.with_suffix(".mlir")
    harness.succeed("rtorch-compile", compiled.archive, "-o", target, "--emit", "rt")
    return re.findall(r"rt\.(?:attention|softmax) [^:]*", target.read_text())


def assert_causal(compiled: harness.Compiled, grouped: bool = False) -> None:
    """All attention is whole, and causal without a mask."""
    found = attentions(compiled)
    assert found
    for op in found:
        assert op.startswith("rt.attention"), op
        assert " mask " not in op, op
        assert f"causal true grouped {str(grouped).lower()}" in op, op


@FORMS
@pytest.mark.parametrize("mask", MASKS)
def test_gpt(tmp_path: Path, mask: str, decomposed: bool) -> None:
    network = decoders.Gpt(mask).eval()
    compiled = harness.compile_module(tmp_path, network, (ids(2, 16),), decomposed=decomposed)
    assert_causal(compiled)
    for threads in (1, 2):
        compiled.check(ids(2, 16), threads=threads)


@FORMS
@pytest.mark.parametrize("mask", ["sdpa", "triu", "arange"])
def test_gpt_of_any_length(tmp_path: Path, mask: str, decomposed: bool) -> None:
    network = decoders.Gpt(mask).eval()
    compiled = harness.compile_module(
        tmp_path,
        network,
        (ids(2, 16),),
        dynamic_shapes=({0: BATCH, 1: LENGTH},),
        decomposed=decomposed,
    )
    assert_causal(compiled)
    for batch, length in ((1, 2), (3, 33), (8, 64)):
        compiled.check(ids(batch, length), threads=2)


@FORMS
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_llama(tmp_path: Path, attention: str, decomposed: bool) -> None:
    network = decoders.Llama(attention).eval()
    compiled = harness.compile_module(tmp_path, network, (ids(2, 16),), decomposed=decomposed)
    assert_causal(compiled, grouped=True)
    for threads in (1, 2):
        compiled.check(ids(2, 16), threads=threads)


@FORMS
def test_llama_of_any_length(tmp_path: Path, decomposed: bool) -> None:
    compiled = harness.compile_module(
        tmp_path,
        decoders.Llama("manual").eval(),
        (ids(2, 16),),
        dynamic_shapes=({0: BATCH, 1: LENGTH},),
        decomposed=decomposed,
    )
    assert_causal(compiled, grouped=True)
    for batch, length in ((1, 2), (3, 33)):
        compiled.check(ids(batch, length), threads=2)


def cache(batch: int, heads: int, length: int, layers: int = 2) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(batch, heads, length, 16) for _ in range(2 * layers))


@FORMS
@pytest.mark.parametrize("name", ["gpt_triu", "gpt_arange", "llama_manual", "llama_grouped"])
@pytest.mark.parametrize("new", [1, 3], ids=["one_token", "three_tokens"])
def test_with_a_cache(tmp_path: Path, name: str, new: int, decomposed: bool) -> None:
    """Later tokens attend to keys and values of earlier ones, of any number."""
    family, kind = name.split("_")
    if family == "gpt":
        network, heads = decoders.Gpt(kind, cached=True).eval(), 4
    else:
        network, heads = decoders.Llama(kind).eval(), 2
    # PyTorch does not find that repeated heads keep their order for every length.
    past = Dim.AUTO if name == "llama_manual" else Dim("past", min=2, max=48)
    args = (ids(2, new), *cache(2, heads, 7))
    compiled = harness.compile_module(
        tmp_path,
        network,
        args,
        dynamic_shapes=(None, ({2: past},) * 4),
        decomposed=decomposed,
    )
    for length in (2, 7, 40):
        compiled.check(ids(2, new), *cache(2, heads, length))


def test_tokens_one_by_one_give_what_all_at_once_give(tmp_path: Path) -> None:
    network = decoders.Gpt("arange", cached=True).eval()
    past = Dim("past", min=2, max=48)
    first, step = tmp_path / "first", tmp_path / "step"
    first.mkdir()
    step.mkdir()
    prefill = harness.compile_module(first, network, (ids(2, 4),))
    decode = harness.compile_module(
        step,
        network,
        (ids(2, 1), *cache(2, 4, 7)),
        dynamic_shapes=(None, ({2: past},) * 4),
    )
    prompt = ids(2, 12)
    # What the module declares is contiguous; a prompt's keys are a view of all parts.
    logits, *state = (y.contiguous() for y in prefill(prompt[:, :4].contiguous()))
    steps = [logits]
    for i in range(4, 12):
        logits, *state = (y.clone() for y in decode(prompt[:, i : i + 1].contiguous(), *state))
        steps.append(logits)
    with torch.no_grad():
        expected = network(prompt)[0]
    torch.testing.assert_close(torch.cat(steps, 1), expected)


@pytest.mark.parametrize("mask", ["sdpa", "triu"])
def test_half_precision(tmp_path: Path, mask: str) -> None:
    network = decoders.Gpt(mask).to(torch.bfloat16).eval()
    harness.compile_module(tmp_path, network, (ids(2, 16),)).check(ids(2, 16))


# --- attention with other masks ---------------------------------------------------


class Attention(torch.nn.Module):
    """softmax(q k^T / 4 + masks) v, written out; `hide` puts the masks on the scores."""

    def __init__(self, hide: Any):
        super().__init__()
        self.hide = hide

    def forward(self, q, k, v, *masks):
        scores = self.hide(q @ k.transpose(-1, -2) * 0.25, *masks)
        return torch.softmax(scores, -1) @ v


def causal(scores: torch.Tensor) -> torch.Tensor:
    return torch.ones(scores.shape[-2:], dtype=torch.bool).tril()


INF = float("inf")
VISIBLE = torch.rand(2, 1, 6, 6) > 0.4
VISIBLE[1, 0, 2] = False  # A row that sees nothing.
MASKED = {
    "rows_without_scores": (lambda s, m: s.masked_fill(~m, -INF), [VISIBLE]),
    "finite_numbers": (lambda s, m: torch.where(m, s, -1e9), [VISIBLE]),
    "lowest_numbers": (lambda s, m: s + (1.0 - m.float()) * torch.finfo().min, [VISIBLE]),
    "bias_and_mask": (
        lambda s, b, m: (s + b).masked_fill(~m, -INF),
        [torch.randn(4, 6, 6), VISIBLE],
    ),
    "two_masks": (
        lambda s, m: s.masked_fill(~m, -INF).masked_fill(~causal(s), -INF),
        [VISIBLE],
    ),
    "finite_causal_and_padding": (
        lambda s, m: torch.where(causal(s), s.masked_fill(~m, -1e9), -1e9),
        [VISIBLE],
    ),
    "one_key_ahead": (
        lambda s: s.masked_fill(torch.ones(6, 6).triu(diagonal=2) == 1, -INF),
        [],
    ),
    "window": (
        lambda s: s.masked_fill(~(causal(s) & causal(s).tril(-3).logical_not()), -INF),
        [],
    ),
    "anticausal": (lambda s: s.masked_fill(causal(s), -1e30), []),
    "columns": (lambda s, m: s.masked_fill(m, -INF), [torch.tensor([[False, True] * 3])]),
    "small_numbers": (lambda s, m: torch.where(m, s, -2.0), [VISIBLE]),
}


@FORMS
@pytest.mark.parametrize("name", MASKED)
def test_masks(tmp_path: Path, name: str, decomposed: bool) -> None:
    hide, masks = MASKED[name]
    args = (*(torch.randn(2, 4, 6, 16) for _ in range(3)), *masks)
    compiled = harness.compile_module(tmp_path, Attention(hide), args, decomposed=decomposed)
    compiled.check(*args)


def test_a_long_causal_sequence_keeps_no_scores(tmp_path: Path) -> None:
    """Of 4 x 2048 x 2048 scores, 64 MiB, a run keeps a block at a time."""
    args = tuple(torch.randn(1, 4, 2048, 32) for _ in range(3))
    hide = lambda s: s.masked_fill(~causal(s), -INF)  # noqa: E731
    compiled = harness.compile_module(tmp_path, Attention(hide), args)
    assert_causal(compiled)
    compiled.check(*args, threads=2)
    described = harness.succeed("rtorch-run", compiled.path, "--describe", "--json").stdout
    assert '"launches": 1' in described


# --- encoders with attention of their own -----------------------------------------


class Vit(torch.nn.Module):
    def __init__(self, implementation: str):
        super().__init__()
        config = transformers.ViTConfig(
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            image_size=32,
            patch_size=8,
            attn_implementation=implementation,
        )
        self.vit = transformers.ViTModel(config)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        out = self.vit(pixel_values=x)
        return out.last_hidden_state, out.pooler_output


@FORMS
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_vit(tmp_path: Path, implementation: str, decomposed: bool) -> None:
    compiled = harness.compile_module(
        tmp_path,
        Vit(implementation).eval(),
        (torch.randn(2, 3, 32, 32),),
        dynamic_shapes=({0: BATCH},),
        decomposed=decomposed,
    )
    assert all(op.startswith("rt.attention") for op in attentions(compiled))
    for batch in (1, 2, 5):
        compiled.check(torch.randn(batch, 3, 32, 32), threads=2)


def t5_config() -> transformers.T5Config:
    return transformers.T5Config(
        vocab_size=97, d_model=64, d_kv=16, d_ff=96, num_layers=2, num_heads=4
    )


class T5Encoder(torch.nn.Module):
    """Its scores have a bias that depends on the distance of query and key."""

    def __init__(self) -> None:
        super().__init__()
        self.t5 = transformers.T5EncoderModel(t5_config())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.t5(input_ids=ids).last_hidden_state


class T5(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.t5 = transformers.T5ForConditionalGeneration(t5_config())

    def forward(self, ids: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
        return self.t5(input_ids=ids, decoder_input_ids=decoded, use_cache=False).logits


@FORMS
def test_t5_encoder(tmp_path: Path, decomposed: bool) -> None:
    compiled = harness.compile_module(
        tmp_path,
        T5Encoder().eval(),
        (ids(2, 16),),
        dynamic_shapes=({0: BATCH, 1: LENGTH},),
        decomposed=decomposed,
    )
    assert all(op.startswith("rt.attention") for op in attentions(compiled))
    for batch, length in ((2, 16), (3, 33)):
        compiled.check(ids(batch, length))


@FORMS
def test_t5(tmp_path: Path, decomposed: bool) -> None:
    args = (ids(2, 16), ids(2, 7))
    harness.compile_module(tmp_path, T5().eval(), args, decomposed=decomposed).check(*args)
