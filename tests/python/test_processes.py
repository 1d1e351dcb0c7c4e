"""The backend in distributed training, over many compilations, and in compiled optimizer steps."""

import gc
import json
import os
import subprocess
import sys
import warnings

import builtpackage
import pytest
import torch
import torch.nn.functional as F
from torch import nn

DDP = """
import json, sys, torch, torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
rank, port = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)

class Net(nn.Module):  # Dynamo traces frames of users' modules
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 700), nn.Linear(700, 700)

    def forward(self, x):
        return self.second(self.first(x).relu()).tanh()

def train(backend):
    torch.manual_seed(0)
    model = Net()
    model = DistributedDataParallel(model, bucket_cap_mb=1)
    step = torch.compile(model, backend=backend) if backend else model
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for i in range(3):
        torch.manual_seed(10 * i + rank)
        x = torch.randn(16, 64)
        optimizer.zero_grad()
        step(x).square().mean().backward()
        optimizer.step()
    return [x.clone() for p in model.parameters() for x in (p.grad, p.detach())]

from rtorch._backend import rtorch

graphs = []

def counted(module, inputs):
    graphs.append(len(module.graph.nodes))
    return rtorch(module, inputs, options={"fallback": "error"})

expected, ours = train(None), train(counted)
for a, b in zip(expected, ours):
    torch.testing.assert_close(b, a)
print(json.dumps(graphs))
dist.destroy_process_group()
"""


def test_distributed_data_parallel(tmp_path):
    """DDPOptimizer splits the graph at the buckets of gradients, and passes FakeTensors."""
    script = tmp_path / "train.py"
    script.write_text(DDP)
    port = str(20000 + os.getpid() % 20000)
    environment = os.environ | {"PYTHONPATH": str(builtpackage.PACKAGE), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(rank), port],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        out, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-3000:]
        assert len(json.loads(out.splitlines()[-1])) > 1


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=1e-2),
    "adam": lambda p: torch.optim.Adam(p, 1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, 1e-2, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 1e-2, momentum=0.5),
    "adagrad": lambda p: torch.optim.Adagrad(p, 1e-2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_optimizer_steps(name):
    torch._dynamo.reset()
    models = [nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 3)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [OPTIMIZERS[name](model.parameters()) for model in models]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"fallback": "error"}
        native = torch.compile(optimizers[1].step, backend="rtorch", options=options)
        for i in range(4):
            x = torch.randn(5, 7, generator=torch.Generator().manual_seed(i))
            for model, step in zip(models, (optimizers[0].step, native), strict=True):
                model.zero_grad()
                model(x).square().sum().backward()
                step()
    for ours, eager in zip(models[1].parameters(), models[0].parameters(), strict=True):
        torch.testing.assert_close(ours, eager)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_many_compilations_leave_no_memory_behind():
    """Modules that nothing uses any more are unloaded, with their code and weights."""

    def compile_one(i: int) -> None:
        torch._dynamo.reset()
        weight = torch.randn(256, 512)  # half a megabyte
        native = torch.compile(
            lambda x: F.relu(x @ weight) * (i + 1), backend="rtorch", options={"cache": False}
        )
        x = torch.randn(4, 256)
        torch.testing.assert_close(native(x), F.relu(x @ weight) * (i + 1), rtol=1e-4, atol=1e-3)

    for i in range(20):
        compile_one(i)
    gc.collect()
    before = resident_bytes()
    for i in range(20, 100):
        compile_one(i)
    gc.collect()
    grown = resident_bytes() - before
    print(f"80 more compilations: {grown / 2**20:.1f} MiB more resident memory")
    assert grown < 16 * 2**20
