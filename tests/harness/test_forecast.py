"""`--dry-run`: what a run would take, held against what it took."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import TOY, photograph
from toy_codec import ToyCodec

from harness.codecs.protocol import codec_sha256
from harness.codecs.registry import open_codec
from harness.commands.dry_run import size
from harness.files import sha256
from harness.images import list_images, load_rgb
from harness.progress import duration
from harness.records import Failure
from harness.sweep.executor import Place
from harness.sweep.forecast import Forecast, Load, Missing, Sample, _measured, forecast, load, measure, missing
from harness.sweep.local import usable_cores
from harness.sweep.plan import Task, describe

POINTS = list(ToyCodec().points())
Clic = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_forecast_is_near_what_is_coded(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    for number in range(4):
        photograph(50 + number, 200, 180).save(photographs / f"more {number}.png")
    out = tmp_path / "out"
    said = clic("submit", photographs, "--out", out, "--codec", TOY, "--rates", "0.4,0.8", "--dry-run")
    assert said.returncode == 0 and not out.exists(), said.stderr
    lines = said.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["measured", "to", "time", "about", "memory", "disk"]
    assert "3 points" in lines[0] and lines[1].endswith("32 candidates of 8 images") and "2 rates" in lines[3]

    codec, images = describe(open_codec(TOY), TOY), list_images(photographs)
    sample = measure(images[-1], codec, POINTS)
    expected = forecast(sample, missing(images, codec, POINTS, out), len(POINTS))
    assert clic("encode", photographs, "--out", out, "--codec", TOY, "--workers", 1).returncode == 0
    coded = sum(path.stat().st_size for path in out.glob("streams/*/*.bin"))
    assert expected.candidates == 32 and coded / 2 < expected.stream_bytes - 32 * 1200 < 2 * coded
    assert sample.peak_bytes > 50_000_000

    again = clic("encode", photographs, "--out", out, "--codec", TOY, "--dry-run")
    assert again.returncode == 0 and "to code   0 candidates of 8 images" in again.stdout
    shutil.copy(photographs / "alps.png", photographs / "copy.png")
    photograph(90, 150, 150).save(photographs / "new.png")
    more = clic("encode", photographs, "--out", out, "--codec", TOY, "--dry-run")
    assert "to code   4 candidates of 10 images" in more.stdout


def test_a_sample_holds_what_its_points_come_to(photographs: Path) -> None:
    """As the worker measures it, here without one."""
    source, toy = list_images(photographs)[0], ToyCodec()
    content = source.path.read_bytes()
    points = (POINTS[0], POINTS[-1])
    task = Task(sha256(content), codec_sha256(toy), points, str(source.path), TOY, source.name, source.pixels)
    (sample,) = _measured(task)
    assert isinstance(sample, Sample) and sample.places == (0, len(POINTS) - 1)
    pixels = load_rgb(source.path)
    assert sample.bytes == tuple(len(toy.encode(pixels, point).stream) for point in points)
    assert min(*sample.seconds, sample.decode_seconds, sample.png_bytes) > 0
    source.path.write_bytes(content[:40])
    (failure,) = _measured(replace(task, image=sha256(content[:40])))
    assert isinstance(failure, Failure)


def test_no_more_processes_are_reckoned_with_than_images_and_cores(
    photographs: Path, tmp_path: Path, clic: Clic
) -> None:
    """Of 5000 processes asked for, four images leave four; more of them make no core quicker."""
    said = clic("encode", photographs, "--out", tmp_path, "--codec", TOY, "--dry-run", "--workers", 5000)
    assert said.returncode == 0, said.stdout
    one = float(re.findall(r"by one process, ([0-9.]+) GB", said.stdout)[0])
    cores = usable_cores()
    assert f", 4 images at a time on {cores} core{'s'[: cores > 1]}\n" in said.stdout
    assert float(re.findall(r"memory +([0-9.]+) GB at the peak", said.stdout)[0]) <= 4.5 * (one + 0.05)

    expected = Forecast(12, 3, 60.0, 1.0, 1000, 1, 1)
    assert load(expected, [Place(60, 1, 10**6)]) == Load(3, 60.0, 3000, 10**6)
    assert load(expected, [Place(60, 2, 10**6)]) == Load(3, 30.0, 3000, 10**6)
    assert load(expected, [Place(2, 16, 10**6)]) == load(expected, [Place(None, 2, 10**6)]) == Load(2, 30, 2000, 10**6)
    assert load(expected, [Place(None, 16, 10**6)]) == Load(3, 20.0, 3000, 10**6)
    assert load(expected, [Place(None, 16, 2500)]) == Load(2, 30.0, 2000, 2500)
    assert load(expected, [Place(None, 16, 10)]) == Load(1, 60.0, 1000, 10)
    assert load(replace(expected, images=0, core_seconds=0.0), [Place(60, 2, 10**6)]) == Load(1, 0.0, 1000, 10**6)


def test_a_clusters_time_is_divided_by_its_workers_and_its_tightest_one_is_told() -> None:
    expected = Forecast(1200, 300, 600.0, 1.0, 1000, 1, 1)
    assert load(expected, [Place(1, 1, 5000), Place(4, 4, 3000), Place(1, 1, 900)]) == Load(6, 100.0, 4000, 3000)
    assert load(expected, [Place(1, 0.5, 5000)] * 2) == Load(2, 600.0, 1000, 5000)  # two on one core
    assert load(replace(expected, images=2), [Place(1, 1, 5000)] * 9) == Load(2, 300.0, 1000, 5000)


def test_an_image_that_cannot_be_coded_is_named(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    for path in photographs.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    done = clic("encode", photographs, "--out", tmp_path / "out", "--codec", TOY, "--dry-run")
    assert done.returncode == 2 and re.search(
        r"clic: .*\.png: cannot be coded with toy .*not a readable image", done.stderr
    )


def test_too_little_disk_is_a_finding(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.cli import main

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    assert main(["encode", str(photographs), "--out", str(tmp_path / "out"), "--codec", TOY, "--dry-run"]) == 1
    assert "too little disk" in capsys.readouterr().out


def test_bytes_and_seconds_go_between_the_measured_points(photographs: Path) -> None:
    """Seconds of 1, 2 and 3 at the first, middle and last of five points: 10 in all; bytes of 1, 10 and 100: 124."""
    source = list_images(photographs)[0]
    sample = Sample("x", source.pixels, (0, 2, 4), (1.0, 2.0, 3.0), (100, 1000, 10_000), 5.0, 1.0, 7, 1000)
    found = forecast(sample, [Missing(source, 5), Missing(source, 0)], 5)
    assert found.core_seconds == pytest.approx(5 + 10) and found.candidates == 5 and found.images == 1
    assert found.stream_bytes == pytest.approx(100 + 316 + 1000 + 3162 + 10_000 + 5 * 1200, abs=5)
    assert (found.decode_seconds, found.png_bytes, found.process_bytes) == (2.0, 14, 1000)


def test_durations_and_sizes() -> None:
    assert [duration(s) for s in (0.2, 119, 150, 7300, 200_000)] == [
        *("about 1 s", "about 119 s", "about 2 minutes", "about 2 hours", "about 2 days")
    ]
    assert [size(count) for count in (5, 4e6, 2.25e9, 3e12)] == ["1 MB", "4 MB", "2.2 GB", "3,000.0 GB"]
