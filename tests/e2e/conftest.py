"""What all end-to-end tests share: hypothesis profiles and the compiled MiniLM."""

import os

import harness
import minilm
import pytest
import torch
from hypothesis import HealthCheck, settings

# Compiling takes longer than hypothesis expects of an example, and differs in time.
_COMMON = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    "print_blob": True,
}
settings.register_profile("quick", max_examples=10, derandomize=True, **_COMMON)
settings.register_profile("thorough", max_examples=300, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(autouse=True)
def _same_random_numbers():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def minilm_module(tmp_path_factory) -> harness.Compiled:
    """MiniLM with its trained weights, batch 1..64 and sequence 2..512."""
    model = minilm.load()
    program = minilm.export(model)
    return harness.compile_program(tmp_path_factory.mktemp("minilm"), model, program)
