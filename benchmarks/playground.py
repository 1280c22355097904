"""From Enter to the first sound in a browser: `python -m benchmarks.playground --turns 30`.

All three services in this process with the voice that ships, the playground in Chromium. Of each
turn: the time of the page's clock until its first sound is due in the browser's output.
"""

import argparse
import asyncio
import shutil
import statistics
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from services.all_in_one import AllInOne

PICO = Path(__file__).resolve().parents[1] / "models" / "pico"
TEXT = "Good morning. The train to the coast leaves at half past nine."
POLL_S = 0.02
PAUSE_S = 0.3


async def until(page: Page, expression: str) -> None:
    """Returns when it is true, within 30 s."""
    for _ in range(round(30 / POLL_S)):
        if await page.evaluate(expression):
            return
        await asyncio.sleep(POLL_S)
    raise TimeoutError(expression)


async def turn(page: Page) -> dict[str, float]:
    """One turn, interrupted when it is made: milliseconds of its stages and of all."""
    await page.fill("#text", TEXT)
    await page.press("#text", "Enter")
    last = "csm.talk.turns.at(-1)"
    await until(page, f"{last}.over")
    await page.press("#text", "Escape")
    found: dict[str, Any] = await page.evaluate(
        f"({{sound: {last}.sounded - {last}.asked, arrived: {last}.arrived - {last}.asked, "
        f"timing: {last}.completed.timing}})"
    )
    timing = found["timing"]
    await page.click("#anew")
    await asyncio.sleep(PAUSE_S)
    return {
        "first sound": found["sound"],
        "server": timing["first_frame_ms"],
        "network": found["arrived"] - timing["first_frame_ms"],
        "playout": found["sound"] - found["arrived"],
    }


async def main() -> None:
    """Prints the medians and the 90th percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=30)
    turns = parser.parse_args().turns
    async with (
        AllInOne(model=PICO, threads=1, gateway={"http_port": 0}) as stack,
        async_playwright() as playwright,
    ):
        door: Any = stack.gateway._door
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = await playwright.chromium.launch(executable_path=chromium)
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{door.port}/")
        await until(page, "document.querySelector('#status').dataset.state === 'ready'")
        await turn(page)  # the first one opens the output
        found = [await turn(page) for _ in range(turns)]
        await browser.close()
    for name in found[0]:
        times = sorted(one[name] for one in found)
        p90 = times[int(0.9 * (len(times) - 1))]
        print(f"{name:12} median {statistics.median(times):6.1f} ms   p90 {p90:6.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
