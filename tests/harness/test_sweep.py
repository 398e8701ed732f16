"""The sweep: what is coded, what is kept, and what happens when something dies."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import TOY, group_is_gone, marked, photograph, wait_until
from PIL import Image
from toy_codec import ToyCodec

from harness.errors import ClicError
from harness.files import sha256
from harness.images import list_images, load_rgb
from harness.scores.msssim import Reference
from harness.sweep.local import COLUMNS, exclusive, pixels_sha256, sweep

POINTS = list(ToyCodec().points())


@pytest.fixture
def coded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the codec has coded since the last question."""
    log = tmp_path / "coded.log"
    monkeypatch.setenv("TOY_LOG", str(log))

    def since() -> list[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    return since


def without_time(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns="encode_seconds")


def test_rows_describe_streams_and_their_pixels(photographs: Path, tmp_path: Path) -> None:
    seen = []
    images = list_images(photographs)
    table = sweep(images, TOY, tmp_path / "out", progress=lambda done, total: seen.append(done / total))
    assert list(table.columns) == list(COLUMNS)
    assert list(zip(table["image"], table["point"], strict=True)) == [
        (source.name, point) for source in images for point in POINTS
    ]
    assert seen == sorted(seen) and len(seen) == len(table) and seen[-1] == 1
    for row in table.itertuples():
        stream = (tmp_path / "out/streams" / row.image / f"{row.point}.bin").read_bytes()
        original, decoded = load_rgb(photographs / f"{row.image}.png"), ToyCodec().decode(stream)
        assert (row.bytes, row.stream_sha256) == (len(stream), sha256(stream))
        assert row.image_sha256 == sha256((photographs / f"{row.image}.png").read_bytes())
        assert row.pixels_sha256 == pixels_sha256(decoded)
        score = Reference(original).score(decoded)
        assert np.array_equal(
            [row.msssim_competition, row.msssim_paper, row.mse], [*vars(score).values()], equal_nan=True
        )
    written = pd.read_csv(
        tmp_path / "out/candidates.csv", dtype={"image": str, "point": str}, float_precision="round_trip"
    )
    pd.testing.assert_frame_equal(written, table, check_dtype=False)


def test_nothing_is_coded_twice(photographs: Path, tmp_path: Path, coded: Callable[[], list[str]]) -> None:
    images = list_images(photographs)
    sweep(images, TOY, tmp_path / "out")
    assert len(coded()) == len(images) * len(POINTS)
    before = (tmp_path / "out/candidates.csv").read_bytes()
    sweep(images, TOY, tmp_path / "out")
    assert coded() == []
    assert (tmp_path / "out/candidates.csv").read_bytes() == before


def test_only_what_changed_is_coded_again(photographs: Path, tmp_path: Path, coded: Callable[[], list[str]]) -> None:
    out = tmp_path / "out"
    sweep(list_images(photographs), TOY, out)
    coded()
    photograph(50, 176, 192).save(photographs / "beach.png")
    sweep(list_images(photographs), TOY, out)
    assert coded() == [f"(192, 176, 3) {point}" for point in POINTS]

    (out / "streams/alps/10.bin").write_bytes(b"damaged")
    (out / "streams/007/60.bin").unlink()
    sweep(list_images(photographs), TOY, out)
    assert sorted(coded()) == ["(176, 208, 3) 10", "(64, 97, 3) 60"]

    (photographs / "alps.png").unlink()
    table = sweep(list_images(photographs), TOY, out)
    assert coded() == [] and "alps" not in set(table["image"])

    assert set(sweep(list_images(photographs), "toy_codec:Liar", out)["codec"]) == {"liar"}
    assert len(coded()) == 3 * len(POINTS)


@pytest.mark.parametrize("kept", [1, 60, 400])
def test_torn_last_line(photographs: Path, tmp_path: Path, coded: Callable[[], list[str]], kept: int) -> None:
    """The last line cut anywhere: within a number it would still read as one."""
    images = list_images(photographs)
    sweep(images, TOY, tmp_path / "out")
    log = tmp_path / "out/candidates.csv"
    whole, expected = log.read_bytes(), without_time(log)
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    log.write_bytes(whole[: min(last + kept, len(whole) - 2)])
    coded()
    sweep(images, TOY, tmp_path / "out")
    assert len(coded()) == 1
    pd.testing.assert_frame_equal(without_time(log), expected)


@pytest.mark.parametrize(
    ("color", "count", "reason"),
    [((255, 0, 255), len(POINTS), "ValueError: magenta"), ((0, 255, 255), 1, "killed by SIGKILL")],
)
def test_others_go_on_when_an_image_fails(
    photographs: Path,
    tmp_path: Path,
    coded: Callable[[], list[str]],
    color: tuple[int, int, int],
    count: int,
    reason: str,
) -> None:
    out = tmp_path / "out"
    marked(color).save(photographs / "bad.png")
    with pytest.raises(ClicError, match=rf"^{count} failures .*bad .*{reason}.*failures.csv"):
        sweep(list_images(photographs), TOY, out, workers=1)
    assert set(pd.read_csv(out / "failures.csv")["image"]) == {"bad"}
    assert len(pd.read_csv(out / "candidates.csv")) == 4 * len(POINTS)
    coded()
    photograph(7, 100, 100).save(photographs / "bad.png")
    assert len(sweep(list_images(photographs), TOY, out)) == 5 * len(POINTS)
    assert len(coded()) == len(POINTS)
    assert not (out / "failures.csv").exists()


def test_unreadable_image_is_a_failure(photographs: Path, tmp_path: Path) -> None:
    images = list_images(photographs)
    content = (photographs / "city 7.png").read_bytes()
    (photographs / "city 7.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ClicError, match=r"1 failures .*city 7 : .*not a readable image"):
        sweep(images, TOY, tmp_path / "out")


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path / "out"):
        with pytest.raises(ClicError, match="another run"), exclusive(tmp_path / "out"):
            pass
        with exclusive(tmp_path / "elsewhere"):
            pass
    with exclusive(tmp_path / "out"):
        pass


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ClicError, match="cannot be written"), exclusive(tmp_path / "file/out"):
        pass


def rows_logged(out: Path) -> int:
    log = out / "candidates.csv"
    return log.read_bytes().count(b"\n") - 1 if log.exists() else -1


def test_killed_and_resumed(
    photographs: Path, tmp_path: Path, coded: Callable[[], list[str]], start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    """SIGKILL of the parent alone, in mid-sweep: its workers end, and the rest is coded once."""
    images = list_images(photographs)
    out = tmp_path / "out"
    process = start_clic("encode", photographs, "--codec", TOY, "--workers", 1, "--out", out, TOY_DELAY="0.1")
    wait_until(lambda: rows_logged(out) >= 5)
    process.kill()
    process.wait()
    wait_until(lambda: group_is_gone(process))  # its worker notices at its next row
    logged = rows_logged(out)
    assert 5 <= logged < len(images) * len(POINTS)
    coded()
    sweep(images, TOY, out)
    assert len(coded()) == len(images) * len(POINTS) - logged
    sweep(images, TOY, tmp_path / "unbroken")
    pd.testing.assert_frame_equal(
        without_time(out / "candidates.csv"), without_time(tmp_path / "unbroken/candidates.csv")
    )
    assert not list(out.glob("**/.*.part"))


def test_interrupt_ends_all_processes(
    photographs: Path, tmp_path: Path, start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    log = tmp_path / "coded.log"
    process = start_clic(
        "encode", photographs, "--codec", TOY, "--out", tmp_path / "out", TOY_DELAY="180", TOY_LOG=str(log)
    )
    wait_until(log.exists)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    wait_until(lambda: group_is_gone(process), 10)
    assert process.returncode == 130
    assert "interrupted" in stderr and "Traceback" not in stderr


def test_left_overs_of_killed_writes_go(photographs: Path, tmp_path: Path) -> None:
    part = tmp_path / "out/streams/alps/.2.bin.abc.part"
    part.parent.mkdir(parents=True)
    part.touch()
    sweep(list_images(photographs), TOY, tmp_path / "out")
    assert not part.exists()


def test_greyscale_and_alpha_are_coded_as_rgb(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    photograph(1, 50, 40).convert("L").save(folder / "grey.png")
    Image.new("RGBA", (20, 30), (200, 100, 50, 0)).save(folder / "alpha.png")
    table = sweep(list_images(folder), TOY, tmp_path / "out")
    assert len(table) == 2 * len(POINTS)
