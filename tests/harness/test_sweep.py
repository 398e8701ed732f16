"""The sweep: what is coded, what is kept, and what happens when something dies."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import TOY, count, group_is_gone, left_over, marked, photograph, swept, wait_until, without_time
from PIL import Image
from toy_codec import ToyCodec

import harness.store
from harness.candidates import COLUMNS
from harness.codecs.protocol import codec_sha256
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.files import sha256
from harness.images import list_images, load_rgb, pixels_sha256
from harness.records import Candidate, Failure
from harness.scores.msssim import Reference
from harness.store import open_store
from harness.streams import stream_path
from harness.sweep.coding import code
from harness.sweep.originals import list_originals, record_originals
from harness.sweep.plan import Task

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


def test_rows_describe_streams_and_their_pixels(photographs: Path, tmp_path: Path) -> None:
    seen = []
    images = list_images(photographs)
    table = swept(photographs, TOY, tmp_path / "out", progress=lambda done, total: seen.append(done / total))
    assert list(table.columns) == list(COLUMNS)
    assert list(zip(table["image"], table["point"], strict=True)) == [
        (source.name, point) for source in images for point in POINTS
    ]
    assert seen == sorted(seen) and len(seen) == len(table) and seen[-1] == 1
    for row in table.itertuples():
        stream = stream_path(tmp_path / "out", row.stream_sha256).read_bytes()
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
    swept(photographs, TOY, tmp_path / "out")
    assert len(coded()) == len(images) * len(POINTS)
    before = (tmp_path / "out/candidates.csv").read_bytes()
    swept(photographs, TOY, tmp_path / "out")
    assert coded() == []
    assert (tmp_path / "out/candidates.csv").read_bytes() == before


def test_only_what_changed_is_coded_again(photographs: Path, tmp_path: Path, coded: Callable[[], list[str]]) -> None:
    out = tmp_path / "out"
    swept(photographs, TOY, out)
    coded()
    photograph(50, 176, 192).save(photographs / "beach.png")
    swept(photographs, TOY, out)
    assert coded() == [f"(192, 176, 3) {point}" for point in POINTS]

    rows = pd.read_csv(out / "candidates.csv", dtype=str).set_index(["image", "point"])["stream_sha256"]
    stream_path(out, rows["alps", "10"]).write_bytes(b"damaged")
    stream_path(out, rows["007", "60"]).unlink()
    swept(photographs, TOY, out)
    assert sorted(coded()) == ["(176, 208, 3) 10", "(64, 97, 3) 60"]

    path = stream_path(out, rows["alps", "30"])
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of the same size: noticed when it is looked at
    swept(photographs, TOY, out)
    assert coded() == []
    swept(photographs, TOY, out, rehash=True)
    assert coded() == ["(176, 208, 3) 30"] and path.read_bytes() == content

    (photographs / "alps.png").unlink()
    table = swept(photographs, TOY, out)
    assert coded() == [] and "alps" not in set(table["image"])


def test_two_codecs_keep_each_others_rows(photographs: Path, tmp_path: Path, coded: Callable[[], list[str]]) -> None:
    out = tmp_path / "out"
    swept(photographs, TOY, out)
    coded()
    assert set(swept(photographs, "toy_codec:Liar", out)["codec"]) == {"liar"}
    assert len(coded()) == 4 * len(POINTS)
    both = pd.read_csv(out / "candidates.csv", dtype=str)
    assert list(both["codec"].unique()) == ["toy", "liar"] and len(both) == 2 * 4 * len(POINTS)
    swept(photographs, TOY, out)
    assert coded() == []


def test_names_of_one_file_share_its_candidates(
    photographs: Path, tmp_path: Path, coded: Callable[[], list[str]]
) -> None:
    shutil.copy(photographs / "alps.png", photographs / "alps again.png")
    table = swept(photographs, TOY, tmp_path / "out")
    assert len(coded()) == 4 * len(POINTS) and len(table) == 5 * len(POINTS)
    shared = table[table["image"].isin(["alps", "alps again"])].drop(columns="image")
    assert shared.duplicated(keep=False).all()
    (photographs / "beach.png").rename(photographs / "strand.png")
    assert "strand" in set(swept(photographs, TOY, tmp_path / "out")["image"]) and coded() == []


def test_photographs_are_read_again_only_when_they_changed(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = Path.read_bytes

    def counting(path: Path) -> bytes:
        read.append(path.name)
        return whole(path)

    def reads(**options: bool) -> list[str]:
        read.clear()
        with open_store(tmp_path / "out") as store:
            record_originals(list_images(photographs), store, **options)
        return sorted(name for name in read if name.endswith(".png"))

    monkeypatch.setattr(Path, "read_bytes", counting)
    names = sorted(path.name for path in photographs.iterdir())
    assert reads() == names and reads() == names  # so new that size and time could deceive
    for path in photographs.iterdir():
        os.utime(path, (1e9, 1e9))
    assert reads() == names and reads() == [] and reads(rehash=True) == names
    os.utime(photographs / "alps.png", (1e9, 1e9 + 1))
    assert reads() == ["alps.png"] and reads() == []


def test_an_image_that_changes_meanwhile_is_a_failure(photographs: Path, tmp_path: Path) -> None:
    task = Task("0" * 64, "codec", ("2",), str(photographs / "alps.png"), TOY, "alps", 1)
    [only] = code(replace(task, codec=codec_sha256(open_codec(TOY))))
    assert isinstance(only, Failure) and only.point == "" and "changed while the run" in only.reason
    [only] = code(task)
    assert isinstance(only, Failure) and "another configuration" in only.reason


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
    with pytest.raises(ClicError, match=rf"^{count} failures? .*bad .*{reason}.*failures.csv"):
        swept(photographs, TOY, out, workers=1)
    assert set(pd.read_csv(out / "failures.csv")["image"]) == {"bad"}
    with open_store(out, write=False) as store:
        assert len(store.rows(Failure)) == count
    assert len(pd.read_csv(out / "candidates.csv")) == 4 * len(POINTS)
    coded()
    photograph(7, 100, 100).save(photographs / "bad.png")
    assert len(swept(photographs, TOY, out)) == 5 * len(POINTS)
    assert len(coded()) == len(POINTS)
    assert not (out / "failures.csv").exists()


def test_unreadable_image_is_a_failure(photographs: Path, tmp_path: Path) -> None:
    content = (photographs / "city 7.png").read_bytes()
    (photographs / "city 7.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ClicError, match=r"1 failure .*city 7 : .*not a readable image"):
        swept(photographs, TOY, tmp_path / "out")


def killed_sweep(start: Callable[..., subprocess.Popen[str]], photographs: Path, out: Path, rows: int) -> None:
    """SIGKILL of the parent alone, once it has committed so many rows more; its workers end, too."""
    before = count(out)
    process = start("encode", photographs, "--codec", TOY, "--workers", 1, "--out", out, TOY_DELAY="0.05")
    wait_until(lambda: count(out) >= before + rows)
    process.kill()
    process.wait()
    wait_until(lambda: group_is_gone(process))  # its worker notices at its next row


def test_killed_and_resumed(
    photographs: Path, tmp_path: Path, coded: Callable[[], list[str]], start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    """The rest is coded once, and the result is that of an unbroken run."""
    out = tmp_path / "out"
    for rows in (0, 1, 4):
        killed_sweep(start_clic, photographs, out, rows)
    kept = count(out)
    assert 5 <= kept < 4 * len(POINTS)
    coded()
    swept(photographs, TOY, out)
    assert len(coded()) == 4 * len(POINTS) - kept
    swept(photographs, TOY, tmp_path / "unbroken")
    pd.testing.assert_frame_equal(
        without_time(out / "candidates.csv"), without_time(tmp_path / "unbroken/candidates.csv")
    )
    assert not left_over(out)


@pytest.mark.slow
def test_killed_at_thirty_random_moments(
    photographs: Path, tmp_path: Path, start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    """No committed row is lost, whenever it happens."""
    out, moments, delay = tmp_path / "out", random.Random(3), 0.2
    kept: set[Candidate] = set()
    for number in range(30):
        photograph(number, 100, 80).save(photographs / f"more {number}.png")
        wanted = count(out) + moments.randint(1, 8)  # rows before the kill, however slow this machine is
        process = start_clic("encode", photographs, "--codec", TOY, "--workers", 2, "--out", out, TOY_DELAY=f"{delay}")
        if number % 3:  # the others are killed while they start, or soon after
            wait_until(lambda end=wanted, run=process: count(out) >= end or run.poll() == 0)  # type: ignore[misc]
        time.sleep(moments.uniform(0, delay if number % 3 else 4))
        process.kill()
        process.wait()
        wait_until(lambda process=process: group_is_gone(process))  # type: ignore[misc]
        with open_store(out) as store:
            rows = {replace(row, msssim_paper=0) for row in store.rows(Candidate)}  # NaN equals nothing
            assert kept <= rows and all(store.stream(row.stream_sha256) for row in rows)
            kept = rows
    assert len(kept) > 30
    swept(photographs, TOY, out)
    assert not left_over(out)


def test_two_runs_share_the_work(
    photographs: Path, tmp_path: Path, start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    log, out = tmp_path / "coded.log", tmp_path / "out"
    arguments = ["encode", photographs, "--codec", TOY, "--workers", 1, "--out", out]
    runs = [start_clic(*arguments, TOY_DELAY="0.2", TOY_LOG=str(log)) for _ in range(2)]
    said = [run.communicate(timeout=120)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 4 * len(POINTS)
    assert not left_over(out)


def test_a_run_takes_over_from_a_killed_one(
    photographs: Path, tmp_path: Path, start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    out = tmp_path / "out"
    first = start_clic("encode", photographs, "--codec", TOY, "--workers", 4, "--out", out, TOY_DELAY="180")
    wait_until(lambda: count(out, "claim") == 4 * len(POINTS))
    second = start_clic("encode", photographs, "--codec", TOY, "--workers", 1, "--out", out)
    assert second.stderr and "waiting for 4 images that another run is coding" in second.stderr.readline()
    first.kill()
    second.communicate(timeout=60)
    assert second.returncode == 0 and count(out) == 4 * len(POINTS)


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
    out = tmp_path / "out"
    parts = [out / ".candidates.csv.abcdefgh.part", out / "0.15/images/.alps.png.abcdefgh.part"]
    mine = out / "photographs/my.part"
    for path in (*parts, mine):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    swept(photographs, TOY, out)
    assert not any(path.exists() for path in parts) and mine.exists()


def test_greyscale_and_alpha_are_coded_as_rgb(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    photograph(1, 50, 40).convert("L").save(folder / "grey.png")
    Image.new("RGBA", (20, 30), (200, 100, 50, 0)).save(folder / "alpha.png")
    table = swept(folder, TOY, tmp_path / "out")
    assert len(table) == 2 * len(POINTS)


def test_known_photographs_are_not_opened_again(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    whole = Image.open

    def counting(path: Path, *arguments: Any, **named: Any) -> Image.Image:
        opened.append(Path(path).stem)
        return whole(path, *arguments, **named)

    out = tmp_path / "out"
    for path in photographs.iterdir():
        os.utime(path, (1e9, 1e9))
    Image.new("L", (9, 8), 7).save(photographs / "grey.png")  # so new that its size and time could deceive
    monkeypatch.setattr(Image, "open", counting)
    listed = list_originals(photographs, out)
    assert listed == list_images(photographs) and len(opened) == 10
    with open_store(out) as store:
        record_originals(listed, store)
    opened.clear()
    assert list_originals(photographs, out) == listed and opened == ["grey"]
    opened.clear()
    assert list_originals(photographs, out, rehash=True) == listed and len(opened) == 5


def test_a_long_table_is_written_in_parts(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    table = swept(photographs, TOY, out)
    monkeypatch.setattr(harness.store, "PART_ROWS", 3)
    swept(photographs, TOY, out)
    assert (out / "candidates.csv").read_text() == table.to_csv(index=False, lineterminator="\n")
