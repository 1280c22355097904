"""The generator's native library, and the command that compiles it ahead of time.

python -m services.generator.native.build [all | LEVEL ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.native import build
from services.native.build import Library

LIBRARY = Library("generator", Path(__file__).parent)

if __name__ == "__main__":
    sys.exit(build.main(LIBRARY))
