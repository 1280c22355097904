"""Takes the pictures of the playground: `python docs/playground.py`, with the voice that ships.

They are docs/images/playground-{light,dark,phone}.png. Needs Chromium and the extra `dev`.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from services.all_in_one import AllInOne

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
PICTURES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("dark", {"color_scheme": "dark", "viewport": DESKTOP}),
    ("light", {"color_scheme": "light", "viewport": DESKTOP}),
    ("phone", {"color_scheme": "dark", "viewport": PHONE, "device_scale_factor": 2}),
)
VOICE = "heart"

SAY = """async (text) => {
  const answer = await fetch("v1/audio/speech", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      input: text, voice: "michael", response_format: "pcm", csm: { seed: 5 },
    }),
  });
  const { samplesOf } = await import("./playground/turn.js");
  const sound = samplesOf(await answer.arrayBuffer());
  const quiet = new Float32Array(24000);
  const all = [...sound, ...quiet];
  for (let at = 0; at + 480 <= all.length; at += 480) {
    const block = Float32Array.from(all.slice(at, at + 480));
    csm.detector.feed(block, Math.sqrt(block.reduce((sum, one) => sum + one * one, 0) / 480));
  }
}"""
"""Gives the page what its microphone would: speech, and quiet behind it."""


async def until(page: Page, expression: str) -> Any:
    """Returns when it is true, within 30 s."""
    for _ in range(1500):
        if await page.evaluate(expression):
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(expression)


async def heard(page: Page, turn: int, ms: int) -> None:
    """Returns when so much of a turn has been played."""
    now = "csm.talk.player.now()"
    await until(page, f"{now}?.turn === csm.talk.turns[{turn}] && {now}.ms > {ms}")


async def say(page: Page, text: str) -> None:
    """Types a text and presses Enter."""
    await page.fill("#text", text)
    await page.press("#text", "Enter")


async def picture(browser: Browser, url: str, name: str, options: dict[str, Any]) -> None:
    """One talk, one picture."""
    context = await browser.new_context(**options)
    page = await context.new_page()
    await page.goto(url)
    await until(page, "document.querySelector('#status').dataset.state === 'ready'")
    await page.select_option("#voice", VOICE)
    await until(page, f"csm.talk.voice === '{VOICE}'")
    await say(
        page,
        "I can read you the whole timetable, if you like: the first one goes at six, the next "
        "one at seven, and then one every hour.",
    )
    await heard(page, 0, 2400)
    await page.evaluate(SAY, "Only the next one, please.")
    await until(page, "csm.talk.turns[1]?.over")
    await say(page, "It leaves at 9:30 from platform 2, and a ticket is $3.50. Shall I book it?")
    await heard(page, 2, 2900)
    await page.fill("#text", "It is 21° at the coast, says Dr. Jones.")
    await asyncio.sleep(0.6)
    await page.screenshot(path=IMAGES / f"playground-{name}.png")
    await context.close()


async def main() -> None:
    """All pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    gateway = {"http_port": 0}
    async with (
        AllInOne(model=ROOT / "models" / "pico", threads=1, gateway=gateway) as stack,
        async_playwright() as playwright,
    ):
        door: Any = stack.gateway._door
        browser = await playwright.chromium.launch(executable_path=chromium)
        for name, options in PICTURES:
            await picture(browser, f"http://127.0.0.1:{door.port}/", name, options)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
