"""The picture of a report in the README: its viewer and its plot, one above the other.

    clic compare PHOTOGRAPHS --out DIR --codec clic --codec avif ...
    python docs/report_picture.py DIR/report.html docs/report.jpg

Needs Chromium and playwright (extra `dev`).
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH = 1100
PARTS = ("header", "#compare", "#plot")


def main(page_path: Path, picture: Path) -> None:
    """Write the picture of a page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(page_path.resolve().as_uri())
        page.wait_for_selector("#stage[data-shows=all]")
        for part in PARTS:  # what is explained there is for readers of the page
            page.eval_on_selector_all(
                f"{part} .note, {part} nav, {part} figcaption", "all => all.forEach(e => e.remove())"
            )
        shots = [Image.open(io.BytesIO(page.locator(part).first.screenshot())).convert("RGB") for part in PARTS]
        browser.close()
    whole = Image.new("RGB", (WIDTH, sum(shot.height for shot in shots) + 24 * (len(shots) + 1)), (251, 251, 249))
    top = 24
    for shot in shots:
        whole.paste(shot, ((WIDTH - shot.width) // 2, top))
        top += shot.height + 24
    whole.save(picture, quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
