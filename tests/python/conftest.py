"""What the tests of the package share."""

import os

import builtpackage  # noqa: F401
import pytest


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_tests(tmp_path_factory):
    """An empty cache of compiled graphs."""
    os.environ["RTORCH_CACHE"] = str(tmp_path_factory.mktemp("rtorch-cache"))
    os.environ["RTORCH_STORE"] = str(tmp_path_factory.mktemp("rtorch-store"))
