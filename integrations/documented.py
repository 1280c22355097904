"""The examples of docs/integrations.md, run as they stand there."""

import asyncio
import re
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "integrations.md"


async def run_example(heading: str, old: str, new: str) -> str:
    """Runs the Python under a heading of the page, with `new` for the address `old`; gives what it
    printed."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (source,) = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert old in source
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        source.replace(old, new),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, err.decode()
    return out.decode()
