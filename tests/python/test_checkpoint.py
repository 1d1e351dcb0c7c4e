"""rtorch.save_state_dict and load_state_dict: files, dtypes, layouts, and what they refuse."""

import os
import subprocess

import pytest
import torch
from builtpackage import BUILD

rtorch = pytest.importorskip("rtorch", reason="the package is not built")

DTYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
]


def values(dtype, *sizes):
    return (torch.randn(sizes) * 3).to(dtype)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def test_round_trip_of_dtypes_and_shapes(tmp_path):
    state = {f"{str(d)[6:]}.{s}": values(d, *s) for d in DTYPES for s in [(), (0, 3), (2, 3, 5)]}
    path = tmp_path / "all.rtch"
    rtorch.save_state_dict(state, path, {"step": "7", "naïve": "ü"})
    loaded = rtorch.load_state_dict(path)
    assert list(loaded) == sorted(state)
    assert all(same(loaded[name], x) for name, x in state.items())
    assert rtorch.checkpoint_metadata(path) == {"step": "7", "naïve": "ü"}
    loaded["float32.(2, 3, 5)"].zero_()  # its own memory, not the file's
    assert same(rtorch.load_state_dict(path)["float32.(2, 3, 5)"], state["float32.(2, 3, 5)"])


def test_special_values_keep_their_bits(tmp_path):
    x = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    rtorch.save_state_dict({"x": x}, tmp_path / "x.rtch")
    loaded = rtorch.load_state_dict(tmp_path / "x.rtch")["x"]
    assert torch.equal(loaded.view(torch.int32), x.view(torch.int32))


def test_strides(tmp_path):
    base = torch.randn(4, 6, 5, 3)
    state = {
        "transposed": base.permute(3, 1, 0, 2),
        "sliced": base[1:, ::2, 1:4],
        "expanded": torch.randn(3, 1).expand(3, 4),
        "channels_last": base.contiguous(memory_format=torch.channels_last),
        "negated": torch.complex(torch.ones(2), torch.ones(2)).conj().imag,
    }
    rtorch.save_state_dict(state, tmp_path / "s.rtch")
    loaded = rtorch.load_state_dict(tmp_path / "s.rtch")
    assert all(same(loaded[name], x) for name, x in state.items())
    assert loaded["channels_last"].stride() == state["channels_last"].stride()
    assert loaded["sliced"].is_contiguous()
    target = {name: torch.zeros(x.shape, dtype=x.dtype) for name, x in state.items()}
    target["sliced"] = torch.zeros(5, 3, 3, 3).permute(1, 2, 3, 0)[..., ::2]
    state["sliced"] = state["sliced"][..., :3]
    strides = target["sliced"].stride()
    rtorch.save_state_dict(state, tmp_path / "s.rtch")
    rtorch.load_state_dict(tmp_path / "s.rtch", into=target)
    assert all(same(target[name], x) for name, x in state.items())
    assert target["sliced"].stride() == strides


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(7, 4)
        self.norm = torch.nn.BatchNorm1d(4)
        self.head = torch.nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight


def test_modules_and_tied_weights(tmp_path):
    model, other = Tied(), Tied()
    model.norm(torch.randn(9, 4))
    path = tmp_path / "tied.rtch"
    rtorch.save_state_dict(model.state_dict(), path)
    assert path.stat().st_size < 3 * 4096
    loaded = rtorch.load_state_dict(path)
    assert loaded["embed.weight"].data_ptr() == loaded["head.weight"].data_ptr()
    before = other.embed.weight._version
    rtorch.load_state_dict(path, into=other)
    assert all(same(other.state_dict()[name], x) for name, x in model.state_dict().items())
    assert other.head.weight is other.embed.weight
    assert other.embed.weight._version > before  # autograd sees the write
    assert other.embed.weight.requires_grad


def test_all_mismatches_at_once_and_nothing_is_copied(tmp_path):
    path = tmp_path / "m.rtch"
    saved = {"right": torch.ones(2), "shape": torch.ones(2), "dtype": torch.ones(2)}
    rtorch.save_state_dict({**saved, "unexpected": torch.ones(1)}, path)
    target = {
        "right": torch.zeros(2),
        "shape": torch.zeros(2, 1),
        "dtype": torch.zeros(2, dtype=torch.float64),
        "missing": torch.zeros(1),
    }
    with pytest.raises(rtorch.CheckpointError) as raised:
        rtorch.load_state_dict(path, into=target)
    assert raised.value.code == "RT_CHECKPOINT_MISMATCH"
    for name in ("shape", "dtype", "missing", "unexpected"):
        assert f"'{name}'" in raised.value.message
    assert "'right'" not in raised.value.message
    assert not target["right"].any()
    with pytest.raises(rtorch.CheckpointError, match="dtype"):
        rtorch.load_state_dict(path, into=target, strict=False)
    del target["shape"], target["dtype"]
    assert list(rtorch.load_state_dict(path, into=target, strict=False)) == ["right"]
    assert target["right"].all()
    assert not target["missing"].any()
    linear = torch.nn.Linear(2, 2)
    with pytest.raises(rtorch.CheckpointError, match=r"(?s)'weight'.*'bias'"):
        rtorch.load_state_dict(path, into=linear)


def test_what_cannot_be_saved_is_named_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "w.rtch"
    rtorch.save_state_dict({"x": torch.ones(2)}, path)
    before = path.read_bytes()
    with pytest.raises(rtorch.CheckpointError) as raised:
        rtorch.save_state_dict(
            {
                "x": torch.ones(2),
                "number": 3,
                "complex": torch.ones(2, dtype=torch.complex64),
                "sparse": torch.eye(2).to_sparse(),
                "meta": torch.ones(2, device="meta"),
            },
            path,
        )
    assert all(f"'{n}'" in raised.value.message for n in ("number", "complex", "sparse", "meta"))
    with pytest.raises(TypeError, match="'step': 7"):
        rtorch.save_state_dict({"x": torch.ones(2)}, path, {"step": 7})
    with pytest.raises(rtorch.CheckpointError):
        rtorch.save_state_dict({"bad\nname": torch.ones(2)}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["w.rtch"]


def test_damage_is_an_error(tmp_path):
    path = tmp_path / "w.rtch"
    rtorch.save_state_dict({"x": torch.arange(100)}, path)
    whole = path.read_bytes()
    for damaged, code in [
        (whole[:-1], "TRUNCATED"),
        (whole[:4096] + b"\xff" + whole[4097:], "BAD_CRC"),
        (b"PK\3\4" + whole[4:], "NOT_RTCH"),
    ]:
        path.write_bytes(damaged)
        with pytest.raises(rtorch.CheckpointError) as raised:
            rtorch.load_state_dict(path)
        assert raised.value.code == f"RT_CHECKPOINT_{code}"
    with pytest.raises(rtorch.CheckpointError, match=r"missing\.rtch"):
        rtorch.load_state_dict(tmp_path / "missing.rtch")


def test_equal_states_give_equal_files_and_an_empty_one_is_fine(tmp_path):
    state = {"b": torch.ones(3), "a": torch.zeros(2)}
    rtorch.save_state_dict(state, tmp_path / "1.rtch")
    rtorch.save_state_dict(dict(reversed(state.items())), tmp_path / "2.rtch", sync=False)
    assert (tmp_path / "1.rtch").read_bytes() == (tmp_path / "2.rtch").read_bytes()
    rtorch.save_state_dict({}, tmp_path / "empty.rtch")
    assert rtorch.load_state_dict(tmp_path / "empty.rtch") == {}


def test_requires_grad_is_kept(tmp_path):
    state = {"p": torch.nn.Parameter(torch.ones(2)), "buffer": torch.ones(2)}
    rtorch.save_state_dict(state, tmp_path / "g.rtch")
    loaded = rtorch.load_state_dict(tmp_path / "g.rtch")
    assert loaded["p"].requires_grad
    assert not loaded["buffer"].requires_grad


def test_rtorch_run_takes_the_file_as_weights(tmp_path):
    np = pytest.importorskip("numpy")
    torch.manual_seed(1)
    first, second = (torch.nn.Linear(4, 3).eval() for _ in range(2))
    x = torch.randn(5, 4)
    torch.export.save(torch.export.export(first, (x,)), tmp_path / "m.pt2")
    rtorch.save_state_dict(second.state_dict(), tmp_path / "second.rtch")
    np.savez(tmp_path / "in.npz", input=x.numpy())

    def run(*command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    bin = BUILD / "bin"
    run(bin / "rtorch-compile", tmp_path / "m.pt2", "-o", tmp_path / "m.rtm", "--weights",
        tmp_path / "first.rtch", "--no-store")  # fmt: skip
    for name, model in (("first", first), ("second", second)):
        run(bin / "rtorch-run", tmp_path / "m.rtm", "--weights", tmp_path / f"{name}.rtch",
            "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz",
            "--no-store")  # fmt: skip
        (result,) = np.load(tmp_path / "out.npz").values()
        torch.testing.assert_close(torch.from_numpy(result), model(x).detach())
    read = rtorch.load_state_dict(tmp_path / "first.rtch")  # written by C++
    assert all(same(read[name], x) for name, x in first.state_dict().items())
