"""Whether the build under test is instrumented by sanitizers."""

import os
import re
from pathlib import Path

import pytest

BUILD = Path(os.environ.get("RTORCH_BUILD", Path(__file__).parents[2] / "build" / "release"))


def is_sanitized() -> bool:
    cache = BUILD / "CMakeCache.txt"
    return cache.exists() and bool(
        re.search(r"^RTORCH_SANITIZE:\w+=.", cache.read_text(), re.MULTILINE)
    )


# For tests of what sanitizers change: libraries, symbols, memory.
not_sanitized = pytest.mark.skipif(is_sanitized(), reason="sanitizers change what it measures")
