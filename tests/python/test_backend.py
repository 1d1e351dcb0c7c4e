"""torch.compile(model, backend="rtorch") against eager PyTorch."""

import copy
import json
import subprocess
import threading
import warnings

import builtpackage
import convnets
import decoders
import pytest
import torch
import torch.nn.functional as F

rtorch = pytest.importorskip("rtorch", reason="the package is not built")


@pytest.fixture(autouse=True)
def fresh_dynamo():
    torch._dynamo.reset()
    torch.manual_seed(0)
    yield
    torch._dynamo.reset()


def compiled(model, **options):
    return torch.compile(model, backend="rtorch", options=options or None)


def assert_same(ours, theirs):
    """Values, dtypes and strides of every tensor."""
    mine, expected = (torch.utils._pytree.tree_leaves(x) for x in (ours, theirs))
    assert len(mine) == len(expected)
    for a, b in zip(mine, expected, strict=True):
        if not isinstance(b, torch.Tensor):
            assert a == b
            continue
        scale = b.abs().max().item() if b.is_floating_point() and b.numel() else 0
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * max(scale, 1))
        dims = [i for i, n in enumerate(b.size()) if n > 1]
        assert [a.stride(i) for i in dims] == [b.stride(i) for i in dims]


def check_inference(model, *calls, **options):
    ours = compiled(copy.deepcopy(model), **options)
    with torch.no_grad():
        for args in calls:
            assert_same(ours(*copy.deepcopy(args)), model(*copy.deepcopy(args)))
    return rtorch.last_report()


def loss_of(model, args):
    result = model(*args)
    return getattr(result, "logits", result).float().square().mean()


def check_training(model, args, steps=3):
    """Losses, gradients and buffers of a few optimizer steps."""
    theirs, ours = model.train(), copy.deepcopy(model).train()
    fast = compiled(ours)
    optimizers = [torch.optim.SGD(m.parameters(), lr=1e-2) for m in (theirs, ours)]
    reports = []
    for _ in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        expected, loss = loss_of(theirs, args), loss_of(fast, args)
        torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
        expected.backward()
        loss.backward()
        reports.append(rtorch.last_report())
        for (name, a), b in zip(theirs.named_parameters(), ours.parameters(), strict=True):
            if a.grad is None:
                assert b.grad is None, name
                continue
            scale = a.grad.abs().max().item()
            torch.testing.assert_close(
                b.grad, a.grad, rtol=1e-3, atol=1e-4 * scale + 1e-6, msg=name
            )
        for (name, a), b in zip(theirs.named_buffers(), ours.buffers(), strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5, msg=name)
        for optimizer in optimizers:
            optimizer.step()
    return reports[0]


class Classifier(torch.nn.Module):
    def __init__(self, kind=torch.nn.LSTM):
        super().__init__()
        self.layers = kind(8, 16, num_layers=2, batch_first=True)
        self.head = torch.nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.layers(x)[0][:, -1])


def mlp():
    return torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.LayerNorm(16), torch.nn.Linear(16, 4)
    )


def bert():
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BertConfig(**sizes, **none, intermediate_size=64, vocab_size=100)
    return BertForSequenceClassification(config)


def tokens():
    return (torch.randint(0, 90, (3, 12)),)


NETWORKS = {
    "mlp": (mlp, lambda: (torch.randn(5, 8),)),
    "lenet": (convnets.LeNet, lambda: (torch.randn(4, 1, 28, 28),)),
    "resnet18": (lambda: convnets.resnet18(16), lambda: (torch.randn(4, 3, 64, 64),)),
    "lstm": (Classifier, lambda: (torch.randn(4, 7, 8),)),
    "bert": (bert, tokens),
    "gpt": (lambda: decoders.Gpt("sdpa"), tokens),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    make, inputs = NETWORKS[request.param]
    # Dynamo leaves recurrent layers to eager unless it is told to look into them.
    with torch._dynamo.config.patch(allow_rnn=True):
        yield make(), inputs()


def test_inference_of_networks_is_native(network):
    model, args = network
    model.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error", rtorch.FallbackWarning)
        ours = compiled(copy.deepcopy(model))
        with torch.no_grad():
            result, expected = ours(*args), model(*args)
    assert_same(getattr(result, "logits", result), getattr(expected, "logits", expected))
    report = rtorch.last_report()
    assert report.native_nodes > 0
    assert report.eager_nodes == 0


def test_training_of_networks_is_native(network):
    report = check_training(*network)
    assert {graph.kind for graph in report.graphs} >= {"forward", "backward"}
    assert report.eager_nodes == 0, str(report)


# --- layouts, aliasing, mutation ------------------------------------------------------


def test_strides_of_results():
    def function(x):
        return x.mT * 2, x.relu(), x[:, None].expand(3, 4, 5), F.pad(x, (1, 1))

    x = torch.randn(5, 3).mT
    check_inference(torch.nn.Identity(), (x,))
    ours = compiled(function)
    assert_same(ours(x), function(x))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_images(memory_format):
    model = convnets.LeNet().eval().to(memory_format=memory_format)
    check_inference(model, (torch.randn(2, 1, 28, 28).to(memory_format=memory_format),))


def test_results_that_view_inputs():
    def function(x, y):
        return x[1:], x.mT, y, x + 1

    x, y = torch.randn(3, 4), torch.randn(2)
    ours, theirs = compiled(function)(x, y), function(x, y)
    assert_same(ours, theirs)
    for mine, expected in zip(ours, theirs, strict=True):
        assert mine.data_ptr() == expected.data_ptr() or mine is ours[3]


def test_mutation_of_inputs_and_buffers():
    class Counter(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(4))

        def forward(self, x, out):
            self.seen += x.sum(0)
            out[1:].mul_(2)
            x.add_(1)
            return out.sum() + self.seen

    theirs, ours = Counter(), Counter()
    fast = compiled(ours)
    given = [(torch.randn(3, 4), torch.randn(5)) for _ in range(2)]
    copies = copy.deepcopy(given)
    with torch.no_grad():
        for (x, out), (x2, out2) in zip(given, copies, strict=True):
            assert_same(fast(x, out), theirs(x2, out2))
            assert_same((x, out, ours.seen), (x2, out2, theirs.seen))


def test_integers_bools_and_halves():
    def function(i, b, h):
        return i // 3, i[b], h.float() @ h.float().mT, (h * 2).to(torch.int32), i.sum()

    i, b = torch.arange(-4, 4), torch.tensor([0, 3])
    h = torch.randn(3, 3).to(torch.bfloat16)
    assert_same(compiled(function)(i, b, h), function(i, b, h))


# --- shapes -------------------------------------------------------------------------------


def compilations(backend):
    """How often Dynamo compiles a model for three batch sizes, and its last results."""
    torch._dynamo.reset()
    count, run = 0, torch._dynamo.lookup_backend(backend)

    def counting(module, inputs):
        nonlocal count
        count += 1
        return run(module, inputs)

    model = mlp()
    ours = torch.compile(model, backend=counting, dynamic=True)
    with torch.no_grad():
        for n in (3, 7, 11):
            x = torch.randn(n, 8)
            assert_same(ours(x), model(x))
    return count


def test_dynamic_shapes_compile_as_often_as_with_others():
    assert compilations("rtorch") <= compilations("aot_eager")


def test_automatic_dynamic_shapes():
    def function(x):
        return x.reshape(x.size(0) * 2, -1).softmax(0), x.size(0) * 3

    ours = compiled(function)
    for n in (4, 6, 8, 10):
        x = torch.randn(n, 8)
        assert_same(ours(x), function(x))


def test_sizes_that_cannot_be_compiled_at_once_are_compiled_each():
    """Minimum broadcasts only if the second half of three columns is one, which no rule says."""

    def function(x):
        half = torch.chunk(x, 2, 1)[1]
        return torch.minimum(x, half.flip(-1)).sin()

    ours = torch.compile(function, backend="rtorch", dynamic=True)
    for rows in (2, 5, 2):
        x = torch.randn(rows, 3)
        assert_same(ours(x), function(x))
    report = rtorch.last_report()
    assert report.eager_nodes == 0
    assert "compiled for each size: node 'flip'" in str(report)


def test_training_with_dynamic_shapes():
    theirs = mlp()
    mine = copy.deepcopy(theirs)
    fast = torch.compile(mine, backend="rtorch", dynamic=True)
    for n in (3, 5):
        x = torch.randn(n, 8)
        for model in (theirs, mine):
            model.zero_grad()
        fast(x).square().sum().backward()
        theirs(x).square().sum().backward()
        for a, b in zip(theirs.parameters(), mine.parameters(), strict=True):
            torch.testing.assert_close(b.grad, a.grad)


# --- autograd -----------------------------------------------------------------------------


def test_gradients_of_inputs_shared_parameters_and_accumulation():
    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(6, 6)

        def forward(self, x):
            return self.first(torch.tanh(self.first(x)))

    theirs = Shared()
    mine = copy.deepcopy(theirs)
    fast = compiled(mine)
    for _ in range(2):
        a = torch.randn(4, 6, requires_grad=True)
        b = a.detach().clone().requires_grad_()
        y = fast(b).square().sum()
        y.backward(retain_graph=True)
        y.backward()
        z = theirs(a).square().sum()
        z.backward(retain_graph=True)
        z.backward()
        torch.testing.assert_close(b.grad, a.grad)
    torch.testing.assert_close(mine.first.weight.grad, theirs.first.weight.grad)


def test_graph_breaks():
    def function(x):
        y = x.relu() * 2
        torch._dynamo.graph_break()
        return y.sum(0) + 1

    x = torch.randn(3, 4)
    assert_same(compiled(function)(x), function(x))
    told = rtorch.explain(function, x)
    assert len(told.reports) == 2
    assert told.native_nodes >= 3
    assert told.eager_nodes == 0
    assert "native" in str(told)


# --- what cannot be compiled ----------------------------------------------------------------


def with_spectrum(x):
    y = (x * 2).relu()
    z = torch.fft.rfft(y).abs()
    return z.sum(-1) + y.mean(-1)


def test_unsupported_ops_run_in_eager_with_one_warning():
    x = torch.randn(3, 8)
    with pytest.warns(rtorch.FallbackWarning) as caught:
        assert_same(compiled(with_spectrum)(x), with_spectrum(x))
    assert len(caught) == 1
    text = str(caught[0].message)
    assert "fft" in text
    assert "test_backend.py:" in text
    report = rtorch.last_report()
    assert report.native_nodes > 0
    assert report.eager_nodes > 0
    assert any("fft" in each.op and each.count == 1 for each in report.fallbacks)
    assert report.as_dict()["eager_nodes"] == report.eager_nodes


def test_uses_that_are_refused_are_told_with_the_reason():
    bags = torch.nn.EmbeddingBag(10, 4, mode="sum", scale_grad_by_freq=True)
    ids, offsets = torch.tensor([1, 2, 2, 0, 9]), torch.tensor([0, 3])
    reference = copy.deepcopy(bags)
    reference(ids, offsets).sum().backward()
    with pytest.warns(rtorch.FallbackWarning) as caught:
        compiled(bags)(ids, offsets).sum().backward()
    assert_same(bags.weight.grad, reference.weight.grad)
    (warning,) = caught
    assert str(warning.message).endswith(": eager divides by the frequency of other rows")


def test_fallback_may_be_an_error(monkeypatch):
    x = torch.randn(3, 8)
    with pytest.raises(Exception, match=r"fft.*not supported"):
        compiled(with_spectrum, fallback="error")(x)
    torch._dynamo.reset()
    monkeypatch.setenv("RTORCH_FALLBACK", "error")
    with pytest.raises(Exception, match="fallback is 'error'"):
        compiled(with_spectrum)(x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fall_back": "error"}, "unknown option 'fall_back'.*fallback"),
        ({"fallback": "never"}, "expects 'eager' or 'error'"),
        ({"cache": "yes"}, "option 'cache'.*expects a bool"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(Exception, match=message):
        compiled(torch.relu, **options)(torch.randn(2))


def test_errors_of_the_graph_keep_their_message():
    def function(table, i):
        return table[i] * 2

    fast = compiled(function)
    fast(torch.randn(4, 2), torch.tensor([1, 2]))
    with pytest.raises(rtorch.RunError, match=r"index 9|out of range") as raised:
        fast(torch.randn(4, 2), torch.tensor([1, 9]))
    assert raised.value.code.startswith("RT_RUN")


# --- cache, threads ----------------------------------------------------------------------------


def test_second_compilation_comes_from_the_cache(tmp_path):
    def function(x):
        return (x * 3).cos().sum(1)

    x = torch.randn(3, 4)
    folder = str(tmp_path / "cache")
    for expected in (False, True):
        torch._dynamo.reset()
        assert_same(compiled(function, cache_dir=folder)(x), function(x))
        [module] = rtorch.last_report().graphs[0].modules()
        assert module["cached"] is expected
    [file] = (tmp_path / "cache").glob("*.rtm")
    file.write_bytes(file.read_bytes()[:100])  # damaged: compiled again
    torch._dynamo.reset()
    assert_same(compiled(function, cache_dir=folder)(x), function(x))
    torch._dynamo.reset()
    # Other strides are another graph.
    y = torch.randn(4, 3).mT
    assert_same(compiled(function, cache_dir=folder)(y), function(y))
    assert len(list((tmp_path / "cache").glob("*.rtm"))) == 2


def test_cache_is_bounded(tmp_path):
    x = torch.randn(3)
    for i in range(4):
        torch._dynamo.reset()
        compiled(lambda x, i=i: x * (i + 2), cache_dir=str(tmp_path), cache_bytes=12_000)(x)
    kept = list(tmp_path.glob("*.rtm"))
    assert 1 <= len(kept) < 4
    assert not list(tmp_path.glob("*.tmp"))


def test_calls_from_several_threads_agree():
    model = mlp().eval()
    ours = compiled(model)
    xs = [torch.randn(5, 8) for _ in range(8)]
    with torch.no_grad():
        expected = [ours(x).clone() for x in xs]
    wrong = []

    def run(i):
        with torch.no_grad():
            for _ in range(20):
                if not torch.equal(ours(xs[i]), expected[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_number_of_threads_is_followed():
    x = torch.randn(64, 512)
    fast = compiled(lambda x: (x @ x.mT).softmax(-1))
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(fast(x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_why_a_graph_was_not_in_the_cache(tmp_path):
    command = [builtpackage.BUILD / "bin" / "rtorch-store", "why-miss", "--cache", tmp_path]

    def why() -> dict:
        words = [*map(str, command), "--json"]
        return json.loads(subprocess.run(words, capture_output=True, check=True).stdout)

    missing = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "the cache is empty" in missing.stderr
    options = {"cache_dir": str(tmp_path), "fallback": "error"}
    for x, differs in ((torch.randn(3, 4), None), (torch.randn(4, 3).mT, ["arguments", "graph"])):
        torch._dynamo.reset()
        compiled(lambda x: (x * 3).cos(), **options)(x)
        answer = why()
        assert answer.get("nearest", {}).get("differs_in") == differs
    assert answer["parts"]["arguments"] == "float32[3, 4] strides [1, 3]"
    assert answer["nearest"]["parts"]["arguments"] == "float32[3, 4]"
    torch._dynamo.reset()
    compiled(lambda x: (x * 3).sin(), **options)(torch.randn(3, 4))
    assert why()["nearest"]["differs_in"] == ["graph", "ops"]


def test_equal_kernels_of_other_graphs_are_not_compiled_again(tmp_path):
    options = {"cache_dir": str(tmp_path)}
    reports = []
    for function in (lambda x: x.softmax(1), lambda x: x.softmax(1) @ x.mT):
        torch._dynamo.reset()
        x = torch.randn(6, 7)
        assert_same(compiled(function, **options)(x), function(x))
        [module] = rtorch.last_report().graphs[0].modules()
        reports.append((module["kernels"], module["cached_kernels"]))
    assert reports[0] == (1, 0)
    assert reports[1][0] > reports[1][1] >= 1


def test_results_that_view_other_results_or_memory_that_is_not_one():
    """Strides and sharing are eager's, whichever of the results comes first."""

    def function(x):
        y, z = x + 1, x.sum(1)
        row = x.cos()
        return y[:, :1].expand(4, 3), y, z.var().expand(3), row[1:, ::2], row[0], row.mT[:2]

    ours = compiled(function)
    x = torch.randn(4, 3)
    with torch.no_grad():
        results, expected = ours(x), function(x)
        assert_same(results, expected)
        assert results[2].stride() == (0,)
        again = ours(x + 1)
    assert_same(results, expected)  # the next call has memory of its own
    assert results[0].untyped_storage().data_ptr() == results[1].untyped_storage().data_ptr()
    results[1].zero_()
    assert not results[0].any()
    results[4].fill_(7)
    assert (results[5][:, 0] == 7).all()
    assert_same(again, function(x + 1))


def test_results_that_view_an_activation_share_its_memory():
    """Also of a convolution, whose layout is the compiler's own."""
    convolution = torch.nn.Conv2d(3, 8, 3).requires_grad_(False)

    def function(x):
        y = convolution(x)
        a, b = y.chunk(2, 1)
        return a, b.mT, y.as_strided((6, 2), (9, 1), 4), y.flatten(2), a + b

    x = torch.randn(2, 3, 9, 9)
    results, expected = compiled(function)(x), function(x)
    assert_same(results, expected)
    *shared, own = results
    assert len({each.untyped_storage().data_ptr() for each in shared}) == 1
    assert own.untyped_storage().data_ptr() != shared[0].untyped_storage().data_ptr()
    offsets = [each.storage_offset() for each in results]
    assert offsets == [each.storage_offset() for each in expected]


def test_compilations_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("RTORCH_STORE", str(tmp_path / "store"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rtorch.FallbackWarning)
        compiled(lambda x: torch.linalg.qr(x.cos())[0] + 1)(torch.randn(3, 3))
    [run] = (tmp_path / "store" / "runs").iterdir()
    facts = json.loads((run / "run.json").read_text())
    assert (facts["kind"], facts["status"]) == ("torch.compile", "done")
    report = rtorch.last_report()
    assert facts["results"]["native_nodes"] == report.native_nodes > 0
    assert facts["results"]["other_nodes"] == report.eager_nodes > 0
    [event] = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert event["event"] == "fallback"
    assert "qr" in event["op"]
    compiled(lambda x: x.sin(), record=False)(torch.randn(3))
    assert len(list((tmp_path / "store" / "runs").iterdir())) == 1


def test_a_store_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RTORCH_STORE", str(tmp_path / "file"))
    x = torch.randn(3)
    with pytest.warns(rtorch.RecordWarning):
        assert_same(compiled(lambda x: x.sin())(x), x.sin())
