"""The report in headless Chromium, used as people use it: by mouse, finger and keyboard, by a link, and on paper.

Needs Chromium and the packages of the extra `dev` (playwright, axe-playwright-python, pypdfium2); skips and says so
without them. Nothing is downloaded.
"""

import io
import re
import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import wait_until
from PIL import Image
from report_data import HOSTILE, make_compared, write_run

from leaderboard.report.compared import report_of_comparison
from leaderboard.report.page import write_page, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")

OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--proxy-server=127.0.0.1:9"),
)
DESKTOP = {"viewport": {"width": 1000, "height": 700}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium that can reach nothing, with an empty profile."""
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a comparison of three codecs."""
    folder = tmp_path_factory.mktemp("compared")
    return write_page(report_of_comparison(make_compared(folder)), folder / "report.html")


@pytest.fixture(scope="module")
def of_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run."""
    return write_report(*write_run(tmp_path_factory.mktemp("run")))


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page, optionally at an address within it; afterwards nothing was asked for and nothing went wrong."""
    contexts, asked, wrong = [], [], []

    def open_page(path: Path, address: str = "", **options: Any) -> Any:
        context = browser.new_context(**(DESKTOP | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.goto(path.as_uri() + address)
        page.wait_for_selector("#stage[data-shows=all]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]


def state(page: Any) -> dict[str, str]:
    """What the page's address says, once it is written."""
    page.wait_for_timeout(250)
    return dict(page.evaluate("[...new URLSearchParams(location.hash.slice(1))]"))


def seen(page: Any) -> np.ndarray:
    """The pixels of the stage, uint8 (H, W, 4)."""
    page.wait_for_selector("#stage[data-shows=all]")
    data = page.evaluate("stage.toDataURL()").split(",")[1]
    with Image.open(io.BytesIO(b64decode(data))) as image:
        return np.asarray(image.convert("RGBA"))


def rows(page: Any, table: str, column: str) -> list[str]:
    """The visible cells of a column, as they sort."""
    script = """([table, column]) => { const heads = [...document.querySelectorAll(`#${table} thead th`)];
      const at = heads.findIndex((head) => head.dataset.column === column);
      return [...document.querySelectorAll(`#${table} tbody tr`)].filter((row) => !row.hidden)
        .map((row) => row.cells[at].dataset.key); }"""
    return list(page.evaluate(script, [table, column]))


def test_tables_sort_and_filter(visit: Callable[..., Any], compared: Path) -> None:
    page = visit(compared)
    head = page.locator("#images-table th[data-column=bytes] button")
    head.click()
    sizes = [int(size) for size in rows(page, "images-table", "bytes")]
    assert sizes == sorted(sizes) and len(sizes) == 24
    head.press("Enter")
    assert [int(size) for size in rows(page, "images-table", "bytes")] == sizes[::-1]
    assert page.locator("#images-table th[data-column=bytes]").get_attribute("aria-sort") == "descending"
    page.fill("#filter", "avif 0.15")
    assert page.inner_text("#filtered") == "3 of 24 rows"
    assert rows(page, "images-table", "entrant") == ["avif,speed=4"] * 3
    assert state(page) == {"sort": "images-table.bytes.down", "filter": "avif 0.15"}
    page.locator("#board-table th[data-column=msssim_competition] button").click()
    scores = [float(score) for score in rows(page, "board-table", "msssim_competition")]
    assert scores == sorted(scores) and len(scores) == 8


def test_image_of_the_table_opens_in_the_comparison(visit: Callable[..., Any], compared: Path) -> None:
    page = visit(compared)
    page.locator("#images-table a", has_text="tinted").nth(3).click()
    wait_until(lambda: page.evaluate("state.image") == "tinted")
    assert page.input_value("#choose-image") == "tinted" and page.input_value("#choose-a") == "original"
    assert "avif,speed=4, 0.075 bpp: point 0.075" in page.inner_text("#says-b")
    assert page.evaluate("Math.abs(document.getElementById('compare').getBoundingClientRect().top) < 100")


def test_divider_by_mouse_keyboard_and_slider(visit: Callable[..., Any], compared: Path) -> None:
    page = visit(compared, "#image=alps")
    stage = page.locator("#stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle, steps=5)
    page.mouse.up()
    assert abs(float(state(page)["split"]) - 25) < 0.5
    pixels = seen(page)
    stage.press("ArrowRight")
    assert abs(float(state(page)["split"]) - 27) < 0.5
    assert not np.array_equal(seen(page), pixels)
    page.locator("#split").press("End")
    assert state(page)["split"] == "100"
    whole_a = seen(page)
    page.locator("input[name=mode][value=a]").check(force=True)
    assert np.array_equal(seen(page), whole_a)
    assert state(page)["mode"] == "a" and not page.is_visible("#split")


def toucher(page: Any) -> Callable[..., None]:
    """Fingers on the page: `touch("touchMove", (x, y), ...)`, one place for each finger."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    return touch


def test_fingers_move_the_divider_zoom_and_pan(visit: Callable[..., Any], compared: Path) -> None:
    page = visit(compared, "#image=alps", **PHONE)
    touch = toucher(page)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    page.evaluate("stage.scrollIntoView({ block: 'center' })")
    box = page.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch("touchStart", (x, y))
    for step in range(1, 6):
        touch("touchMove", (x + 16 * step, y))
    touch("touchEnd")
    split = float(state(page)["split"])
    assert abs(split - 100 * (box["width"] / 2 + 80) / box["width"]) < 2
    touch("touchStart", (x - 30, y), (x + 30, y))
    for step in range(1, 7):
        touch("touchMove", (x - 30 - 15 * step, y), (x + 30 + 15 * step, y))
    touch("touchEnd")
    zoomed = state(page)
    assert 3.2 < float(zoomed["zoom"]) / page.evaluate("fitting()") < 4.8 and float(zoomed["split"]) == split
    touch("touchStart", (x - 90, y + 60))
    touch("touchMove", (x - 90, y + 40))
    touch("touchMove", (x - 90, y + 10))
    touch("touchEnd")
    panned = state(page)
    assert float(panned["y"]) > float(zoomed.get("y", 0.5)) and panned["zoom"] == zoomed["zoom"]


def test_keys_flip_in_place_zoom_and_turn(visit: Callable[..., Any], compared: Path) -> None:
    page = visit(compared)
    stage = page.locator("#stage")
    stage.focus()
    shown = {}
    for mode in ("b", "a"):
        stage.press("Space")
        assert state(page)["mode"] == mode
        shown[mode] = seen(page)
    assert not np.array_equal(shown["a"], shown["b"])
    stage.press("o")
    assert state(page)["mode"] == "original"
    stage.press("1")
    stage.press("+")
    assert float(state(page)["zoom"]) == 1.5
    for _ in range(6):
        stage.press("+")
    before = state(page)
    stage.press("ArrowDown")
    stage.press("ArrowRight")
    after = state(page)
    assert float(after["x"]) > float(before.get("x", 0.5)) and float(after["y"]) > float(before.get("y", 0.5))
    pixels = seen(page)[:, :, :3].astype(int)  # enlarged, a pixel of the picture is a square of one colour
    changes = np.abs(np.diff(pixels, axis=1)).sum(2).max(0) > 0
    assert 0 < changes.mean() < 1.1 / float(after["zoom"])
    stage.press("n")
    assert page.input_value("#choose-image") == "grey" and "zoom" not in state(page)
    stage.press("0")
    stage.press("s")
    assert state(page) == {"image": "grey"}


def test_link_restores_the_view(visit: Callable[..., Any], compared: Path) -> None:
    page = visit(compared)
    page.select_option("#choose-image", "tinted")
    page.select_option("#choose-a", "jpeg@0.15")
    page.select_option("#choose-b", "avif,speed=4@0.3")
    for _ in range(4):
        page.locator("[data-do=in]").click()
    page.locator("#stage").press("ArrowDown")
    page.locator("input[name=metric][value=psnr_paper]").check(force=True)
    page.locator("input[name=series][value=jpeg]").uncheck()
    said, pixels = state(page), seen(page)
    assert {"image", "a", "b", "zoom", "y", "metric", "hide"} <= said.keys() and "mode" not in said
    address = page.evaluate("location.hash")
    again = visit(compared, address)
    assert np.array_equal(seen(again), pixels)
    assert again.input_value("#choose-a") == "jpeg@0.15"
    assert again.is_visible(".plot .measure[data-measure=psnr_paper] .wide")
    assert not again.is_visible(".measure[data-measure=psnr_paper] .wide [data-series=jpeg] >> nth=0")
    assert state(again) == said


@pytest.mark.parametrize(
    "address",
    ["#image=none&a=what@9&mode=x&zoom=-3&split=900&x=nan&metric=y", "#board", "#sort=a.b.c&sort=images-table.no.up"],
)
def test_addresses_that_say_nothing_useful_do_no_harm(visit: Callable[..., Any], compared: Path, address: str) -> None:
    page = visit(compared, address)
    assert page.evaluate("stage.dataset.shows") == "all"
    assert page.is_visible(".plot .measure[data-measure=msssim_competition] .wide")


def test_link_is_copied(visit: Callable[..., Any], compared: Path) -> None:
    page = visit(compared, "#image=grey", permissions=["clipboard-read", "clipboard-write"])
    page.locator("[data-do=copy]").click()
    sync_api.expect(page.locator("#copied")).not_to_be_empty()
    if page.inner_text("#copied") == "Link copied.":
        assert page.evaluate("navigator.clipboard.readText()") == compared.as_uri() + "#image=grey"


def test_grey_is_grey_and_the_difference_is_exact(visit: Callable[..., Any], compared: Path) -> None:
    page = visit(compared, "#image=grey&a=ours%400.15&mode=a&zoom=1")
    pixels = seen(page)
    assert (pixels[:, :, 3] == 255).sum() == 260 * 220
    assert (pixels[:, :, 0] == pixels[:, :, 1]).all() and (pixels[:, :, 1] == pixels[:, :, 2]).all()
    page = visit(compared, "#image=tinted&a=original&b=jpeg%400.15&mode=difference&zoom=1")
    pixels = seen(page)
    inside = pixels[pixels[:, :, 3] == 255][:, :3].reshape(220, 260, 3)
    folder = compared.parent
    original = np.asarray(Image.open(folder / "originals" / "tinted.png").convert("RGB")).astype(int)
    decoded = np.asarray(Image.open(folder / "decoded" / "jpeg" / "0.15" / "tinted.png").convert("RGB")).astype(int)
    assert np.array_equal(inside, np.abs(original - decoded))
    assert page.evaluate("stage.style.filter") == "brightness(8)"


def test_plot_reads_points_by_pointer_and_keyboard(visit: Callable[..., Any], compared: Path) -> None:
    page = visit(compared)
    plot = "#plot .measure[data-measure=msssim_competition] .wide"
    mark = page.locator(f"{plot} .series[data-series=jpeg] .mark").nth(2)
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.inner_text("#readout") == mark.get_attribute("data-says")
    series = page.locator(f"{plot} .series[data-series=ours]").first
    series.focus()
    first = page.inner_text("#readout")
    series.press("ArrowRight")
    assert first.startswith("ours at point") and page.inner_text("#readout") != first


def test_hostile_names_and_one_codec(visit: Callable[..., Any], of_run: Path) -> None:
    page = visit(of_run)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    page.select_option("#choose-image", HOSTILE)
    assert state(page) == {"image": HOSTILE}
    assert page.inner_text("#shown").startswith(HOSTILE)
    script = "Promise.all([...document.images].map((image) => ((image.loading = 'eager'), image.decode())))"
    page.evaluate(script)  # raises where one of them is none


def test_keyboard_alone_reaches_every_control(visit: Callable[..., Any], of_run: Path) -> None:
    page = visit(of_run)
    reached = set()
    for _ in range(150):
        page.keyboard.press("Tab")
        what = page.evaluate(
            "document.activeElement.id || document.activeElement.dataset.do || document.activeElement.name"
        )
        visible = page.evaluate(
            "getComputedStyle(document.activeElement).opacity === '0' || document.activeElement.tagName === 'BODY' ||"
            "getComputedStyle(document.activeElement).outlineStyle !== 'none' ||"
            "document.activeElement.closest('svg') !== null"
        )
        assert visible
        reached.add(what)
        if "filter" in reached:
            break
    wanted = {"choose-image", "choose-a", "choose-b", "mode", "stage", "split", "metric", "series", "filter"}
    assert wanted | {"flip", "in", "out", "fit", "actual", "next", "previous", "swap", "copy"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("shape", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(
    visit: Callable[..., Any], compared: Path, of_run: Path, scheme: str, shape: dict[str, Any]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (extra dev)")
    for path in (compared, of_run):
        page = visit(path, color_scheme=scheme, bypass_csp=True, **shape)
        page.locator("details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
        found = axe.Axe().run(page).response["violations"]
        assert not [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


def test_print_cuts_no_picture(visit: Callable[..., Any], compared: Path) -> None:
    pdfium = pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed (extra dev)")
    page = visit(compared)
    page.wait_for_function("[...document.images].every((image) => image.naturalWidth)")  # without scrolling to them
    shapes = page.evaluate(
        "[...document.images].map((image) => image.getAttribute('width') / image.getAttribute('height'))"
    )
    margin = {"top": "15mm", "bottom": "15mm", "left": "12mm", "right": "12mm"}
    document = pdfium.PdfDocument(page.pdf(format="A4", margin=margin))
    found = []
    for sheet in document:
        width, height = sheet.get_size()
        for one in sheet.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE], max_depth=9):
            left, bottom, right, top = one.get_bounds()
            assert 0 <= left < right <= width and 0 <= bottom < top <= height
            found.append((right - left) / (top - bottom))
    # a picture over two sheets would be there twice, and a part of one would have another shape
    assert np.allclose(sorted(found), sorted(shapes), rtol=0.03)
    # nor does a lone crop, the last of its photograph, begin a sheet
    per_sheet = [
        len(list(sheet.get_objects(filter=[pdfium.raw.FPDF_PAGEOBJ_IMAGE], max_depth=9))) for sheet in document
    ]
    assert 1 not in per_sheet and sum(per_sheet) == len(shapes)
    text = "\n".join(sheet.get_textpage().get_text_bounded() for sheet in document)
    assert "Do it again" in text and "Compare pictures" not in text
    for sheet in document:
        lines = [line for line in sheet.get_textpage().get_text_bounded().splitlines() if line.strip()]
        assert lines[-1].strip() not in {"Leaderboard", "Rate and distortion", "Image table", "Images", "Past boards"}


def test_printed_tables_fit_the_sheet_and_can_be_read(visit: Callable[..., Any], compared: Path, of_run: Path) -> None:
    for path in (compared, of_run):
        page = visit(path, viewport={"width": 703, "height": 1000})  # A4 less margins of 12 mm
        page.emulate_media(media="print")
        wide = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.ariaLabel)"
        assert page.eval_on_selector_all(".scroll", wide) == []
        size = page.eval_on_selector("#images-table td", "cell => parseFloat(getComputedStyle(cell).fontSize)")
        assert size >= 8.5 * 96 / 72 - 0.1  # CSS pixels


def test_without_script_everything_but_the_comparison_is_there(
    visit: Callable[..., Any], browser: Any, of_run: Path
) -> None:
    context = browser.new_context(java_script_enabled=False, **DESKTOP)
    page = context.new_page()
    page.goto(of_run.as_uri())
    assert page.is_visible("noscript") and not page.is_visible("#stage") and not page.is_visible("#filter")
    assert page.is_visible("#plot .wide svg") and page.is_visible("#images .crops img >> nth=0")
    picture = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    colors = picture.convert("RGB").getcolors(1 << 20)
    assert colors is not None and len(colors) > 50


def test_what_comes_before_the_pictures_is_small(of_run: Path) -> None:
    """So that the first paint waits for none of the large pictures."""
    html = of_run.read_text(encoding="utf-8")
    assert html.index("</main>") < html.index('<script type="image/')
    assert len(re.sub(r"base64,[^\"]+", "", html[: html.index("</main>")])) < 300_000
