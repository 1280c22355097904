"""The training's native library; it is compiled where it is first used.

python -m training.codec.native.build [all | LEVEL ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.native import build
from services.native.build import Library

LIBRARY = Library("training", Path(__file__).parent)

if __name__ == "__main__":
    sys.exit(build.main(LIBRARY))
