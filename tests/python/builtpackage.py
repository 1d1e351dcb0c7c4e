"""Where the package of the build under test lies; importing this makes it importable."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("RTORCH_BUILD", ROOT / "build" / "release"))
PACKAGE = BUILD / "python"
if PACKAGE.exists():
    sys.path.insert(0, str(PACKAGE))
