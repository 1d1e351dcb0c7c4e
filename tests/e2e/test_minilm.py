"""MiniLM with its trained weights against eager PyTorch."""

import json

import harness
import minilm
import pytest
import torch

SENTENCES = [
    "A short one.",
    "The compiler rejected the program because two types did not match.",
    "Strong winds and heavy rain are expected on the coast tomorrow, and the ferries may be late.",
]


def tokens(batch: int, sequence: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random token ids and a mask whose rows end in 0, 1, 2, ... places of padding."""
    ids = torch.randint(1000, 30000, (batch, sequence))
    lengths = (sequence - torch.arange(batch) % sequence).clamp(min=1)
    return ids, (torch.arange(sequence) < lengths[:, None]).long()


@pytest.mark.parametrize(
    ("batch", "sequence"),
    [(1, 2), (1, 7), (1, 128), (2, 16), (3, 33), (5, 64), (7, 17), (64, 2), (64, 9), (1, 512)],
)
def test_batches_and_lengths(minilm_module, batch, sequence):
    minilm_module.check(*tokens(batch, sequence))


def test_real_sentences_with_padding(minilm_module):
    ids, mask = minilm.tokenize(SENTENCES)
    assert mask.min() == 0
    minilm_module.check(ids, mask)


def test_padding_does_not_change_an_embedding(minilm_module):
    ids, mask = minilm.tokenize(SENTENCES[:1])
    [alone] = minilm_module(ids, mask)
    wide_ids, wide_mask = minilm.tokenize(SENTENCES)
    [together] = minilm_module(wide_ids, wide_mask)
    torch.testing.assert_close(together[0], alone[0])


def test_a_mask_of_zeros_gives_what_eager_gives(minilm_module):
    ids, mask = tokens(2, 8)
    mask[1] = 0
    minilm_module.check(ids, mask)


def test_threads_give_the_same_bits(minilm_module):
    minilm_module.check_bits_of_threads(*tokens(8, 31))


def test_decomposed_form(tmp_path):
    model = minilm.load()
    program = minilm.export(model).run_decompositions()
    compiled = harness.compile_program(tmp_path, model, program)
    compiled.check(*tokens(3, 19))
    compiled.check(*tokens(1, 64))


def test_through_rtorch_run(minilm_module):
    args = tokens(4, 12)
    arrays, report = harness.run_command(minilm_module, args, "--threads", "2", "--repeat", "3")
    with torch.no_grad():
        expected = minilm_module.eager(*args)
    assert list(arrays) == ["out_0"]
    torch.testing.assert_close(torch.from_numpy(arrays["out_0"]), expected)
    assert 0 < report["latency_median_s"] <= report["latency_p90_s"]
    assert report["peak_bytes"] > 0


@pytest.mark.parametrize("bad", [-1, 30522, 2**40])
def test_a_token_id_out_of_range_is_an_error(minilm_module, bad):
    ids, mask = tokens(2, 8)
    ids[1, 3] = bad
    with pytest.raises(harness.capi.RtorchError, match="index out of range"):
        minilm_module(ids, mask)
    minilm_module.check(*tokens(2, 8))  # the instance still works


def good() -> tuple[torch.Tensor, torch.Tensor]:
    return tokens(2, 8)


@pytest.mark.parametrize("argument", [0, 1])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.int(), "dtype"),
        (lambda t: t[0], "rank"),
        (lambda t: t[:, :1].contiguous(), "dimension 1"),
        (lambda t: t.repeat(33, 1), "dimension 0"),
        (lambda t: t.t().contiguous().t(), "stride"),
    ],
    ids=["dtype", "rank", "sequence", "batch", "strides"],
)
def test_arguments_that_break_the_contract(minilm_module, argument, change, message):
    args = list(good())
    args[argument] = change(args[argument])
    with pytest.raises(harness.capi.RtorchError, match=f"(?i){message}") as caught:
        minilm_module(*args)
    assert ("input_ids", "attention_mask")[argument] in str(caught.value)


def test_inputs_that_disagree_in_a_size(minilm_module):
    ids, _ = tokens(2, 8)
    _, mask = tokens(2, 9)
    with pytest.raises(harness.capi.RtorchError, match="9"):
        minilm_module(ids, mask)


def test_describe_names_the_contract(minilm_module):
    done = harness.succeed("rtorch-run", minilm_module.path, "--describe", "--json")
    described = json.dumps(json.loads(done.stdout))
    for word in ("input_ids", "attention_mask", "64", "512"):
        assert word in described
