"""Metrics by command and built in: measured without coding again, kept apart by version, and selected by."""

import json
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import TOY, photograph, swept
from toy_codec import ToyCodec

from harness.cli import main
from harness.codecs.decoding import SECONDS, Decoder, Decoding
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.images import list_images, load_rgb
from harness.records import Candidate, CodecConfig, Score
from harness.scores.metrics import open_metric
from harness.scores.objectives import objective
from harness.scores.ssimulacra2 import ssimulacra2
from harness.store import open_store
from harness.streams import read_stream, stream_path
from harness.sweep.executor import Lost, R, T
from harness.sweep.measure import measure
from harness.sweep.originals import record_originals

PROGRAM = """
import sys
import numpy as np
from PIL import Image
first, second = (np.asarray(Image.open(path)).astype(int) for path in sys.argv[1:3])
with open(__file__ + ".log", "a") as file:
    file.write("called ")
print("pictures of", *first.shape[:2])
if first.shape[0] == int(sys.argv[3]):
    sys.exit("no such model")
print("worst:", abs(first - second).max(), "mean:", abs(first - second).mean() + float(sys.argv[4]))
"""
WORST = """
metric = [PYTHON, "{folder}/program.py", "{original}", "{decoded}", "0", "0"]
direction = "lower"
version = "1"
pattern = "worst: ([0-9]+)"
time_limit = 60
""".replace("PYTHON", json.dumps(sys.executable))
MEAN = WORST.replace('pattern = "worst: ([0-9]+)"', 'average = "pixels"')
PIXELS = np.asarray(photograph(1, 65, 48))
OTHER = (PIXELS // 2 * 2).astype(np.uint8)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a metric's file beside the program; its path."""
    (tmp_path / "program.py").write_text(PROGRAM)

    def to(text: str, name: str = "worst") -> str:
        (tmp_path / f"{name}.toml").write_text(text)
        return str(tmp_path / f"{name}.toml")

    return to


@pytest.fixture
def run(photographs: Path, tmp_path: Path) -> Path:
    """The folder of a run of two codecs."""
    for codec in (TOY, "toy_codec:Telling"):
        swept(photographs, codec, tmp_path / "run")
    return tmp_path / "run"


def scores(run: Path, spec: str) -> dict[tuple[str, str, str], float]:
    """What the store has of a metric."""
    with open_store(run, write=False) as store:
        return {(s.image, s.codec, s.point): s.value for s in store.rows(Score, metric=open_metric(spec).key)}


def calls(tmp_path: Path) -> int:
    """How often the program was called."""
    log = tmp_path / "program.py.log"
    return log.read_text().count("called") if log.exists() else 0


def test_a_command_is_a_metric(write: Callable[..., str]) -> None:
    worst, mean = open_metric(write(WORST)), open_metric(write(MEAN, "mean"))
    assert (worst.name, worst.measure(PIXELS, Decoding(OTHER, 0.0))) == ("worst", 1)
    assert mean.measure(PIXELS, Decoding(OTHER, 0.0)) == pytest.approx(np.abs(PIXELS.astype(int) - OTHER).mean())
    assert not worst.objective.higher_is_better
    assert (worst.objective.weight, mean.objective.weight) == ("images", "pixels")
    assert len({worst.key, mean.key, open_metric(write(WORST.replace('"1"', '"2"'))).key}) == 3
    assert objective(worst.spec).metrics == {"worst": worst.spec}
    assert objective(f"0.01*{mean.spec} + competition").metrics == {"mean": mean.spec}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"{original}", ', "", r"key 'metric' has no \{original\}; say where it stands"),
        ('"{decoded}"', '"{decoded}", "{point}"', r"key 'metric' has \{point\}; known are"),
        ('"lower"', '"less"', r"'direction' is 'less'; it must be one of \"higher\", \"lower\""),
        ('version = "1"', "", r"key 'version' is missing"),
        ("([0-9]+)", "[0-9]+", r"key 'pattern' has 0 groups; put the score, and nothing else, into one"),
        ("([0-9]+)", "([0-9]+", r"key 'pattern' is no regular expression"),
        ("time_limit", 'name = "psnr"\ntime_limit', r"a metric cannot be called 'psnr'"),
        ("time_limit", 'name = "a b"\ntime_limit', r"worst\.toml: a metric cannot be called 'a b'"),
        (
            json.dumps(sys.executable),
            '"no-such-program"',
            r"metric 'worst': program 'no-such-program' is not installed",
        ),
    ],
)
def test_wrong_files_are_one_line(write: Callable[..., str], old: str, new: str, says: str) -> None:
    assert old in WORST
    with pytest.raises(ClicError, match=says) as caught:
        open_metric(write(WORST.replace(old, new, 1)))
    assert str(caught.value).isprintable()


TELLING = """#!{python}
import sys
from pathlib import Path
print(*sys.argv[1:] or [], Path(__file__).with_name("version.txt").read_text())
"""


def test_a_version_is_what_the_program_beside_the_file_prints(write: Callable[..., str], tmp_path: Path) -> None:
    program, version = tmp_path / "telling", tmp_path / "version.txt"
    program.write_text(TELLING.format(python=sys.executable))
    program.chmod(0o755)
    asked = ("{folder}/telling", "--of", "{folder}/model")
    metric = write(WORST.replace('version = "1"', f"version = {json.dumps(asked)}"))
    version.write_text("4.2")
    first = open_metric(metric)
    assert first.config["version"] == f"--of {tmp_path}/model 4.2"
    assert open_metric(metric).key == first.key
    version.write_text("4.3")
    assert open_metric(metric).key != first.key

    silent = write(WORST.replace('version = "1"', f'version = [{json.dumps(sys.executable)}, "-c", ""]'))
    with pytest.raises(ClicError, match=r"metric 'worst': .*python\S* -c  prints nothing; give the version as a text"):
        open_metric(silent)
    absent = write(WORST.replace('version = "1"', 'version = ["no-such-program"]'))
    with pytest.raises(ClicError, match="metric 'worst': program 'no-such-program' is not installed"):
        open_metric(absent)
    with pytest.raises(ClicError, match=f"{tmp_path}/no-such-program"):
        open_metric(write(WORST.replace(json.dumps(sys.executable), '"{folder}/no-such-program"')))


def test_built_in_metrics() -> None:
    quality, seconds = open_metric("ssimulacra2"), open_metric(SECONDS)
    decoding = Decoding(OTHER, 1.5)
    assert quality.measure(PIXELS, decoding) == ssimulacra2(PIXELS, OTHER) and seconds.measure(PIXELS, decoding) == 1.5
    assert seconds.key == SECONDS and quality.key.startswith("ssimulacra2 ")
    assert quality.objective.higher_is_better and not seconds.objective.higher_is_better


def test_a_commands_direction_name_and_limit_of_time(write: Callable[..., str]) -> None:
    best = open_metric(write(WORST.replace('"lower"', '"higher"')))
    assert best.objective.higher_is_better and best.objective.name == "worst"
    named = open_metric(write(WORST + 'name = "largest"\n'))
    assert named.name == named.config["name"] == named.objective.name == "largest"
    waiting = WORST.replace('"{folder}/program.py"', '"-c", "import time; time.sleep(60)"').replace("60\n", "0.2\n")
    with pytest.raises(ClicError, match=r"metric 'worst': .*0\.2 s"):
        open_metric(write(waiting)).measure(PIXELS, Decoding(OTHER, 0.0))


def test_names_that_mean_no_metric() -> None:
    with pytest.raises(ClicError, match="no metric 'vmaf'; there are ssimulacra2, decode_seconds"):
        open_metric("vmaf")


def test_a_program_that_fails_or_says_nothing(write: Callable[..., str]) -> None:
    with pytest.raises(ClicError, match=r"metric 'worst': .* ended with status 1: .*no such model"):
        open_metric(write(WORST.replace('"0", "0"]', '"48", "0"]'))).measure(PIXELS, Decoding(OTHER, 0.0))
    with pytest.raises(ClicError, match=r"no score in what it prints \(pictures of 48 65; worst: .*give it a key"):
        open_metric(write(WORST.replace("worst: (", "best: ("))).measure(PIXELS, Decoding(OTHER, 0.0))
    with pytest.raises(ClicError, match=r"no score in what it prints \(nothing\)"):
        open_metric(write(WORST.replace("{folder}/program.py", "-").replace('"lower"', '"higher"'))).measure(
            PIXELS, Decoding(OTHER, 0.0)
        )
    with pytest.raises(ClicError, match="metric 'worst': its score is infinite"):
        open_metric(write(MEAN.replace('"0", "0"]', '"0", "inf"]'))).measure(PIXELS, Decoding(OTHER, 0.0))


def test_measured_once_and_selected_by(
    write: Callable[..., str], run: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worst, mean = write(WORST), write(MEAN, "mean")
    select = ["select", str(run), "--budget", "9000", "--json", "--objective"]
    assert main([*select, worst]) == 2
    told = f"have no score by worst; measure them: clic measure {run} IMAGES --metric {worst}"
    assert told in capsys.readouterr().err
    arguments = ["measure", str(run), str(photographs), "--metric", worst, "--metric", "ssimulacra2"]
    with open_store(run, write=False) as store:
        rows = store.rows(Candidate)
    assert main([*arguments, "--codec", "toy"]) == 0 and calls(tmp_path) == len(scores(run, worst)) == 16
    assert main([*select, worst, "--codec", "toy"]) == 0
    assert main([*select, worst]) == 2  # the other codec's were not measured
    assert main([*arguments, "--metric", mean]) == 0 and calls(tmp_path) == 2 * len(rows)
    capsys.readouterr()
    assert main(arguments) == 0 and calls(tmp_path) == 2 * len(rows)
    assert "0 new scores by worst, ssimulacra2" in capsys.readouterr().err
    with open_store(run, write=False) as store:
        assert repr(store.rows(Candidate)) == repr(rows)  # a score that is not defined equals nothing

    table = pd.read_csv(run / "candidates.csv", dtype=str, keep_default_na=False)
    measured, codec = scores(run, "ssimulacra2"), open_codec(TOY)
    assert len(measured) == len(rows)
    pixels = load_rgb(photographs / "alps.png")
    for row in table[table["image"] == "alps"].itertuples():
        expected = ssimulacra2(pixels, codec.decode(read_stream(run, row.stream_sha256)))
        assert measured[row.image_sha256, row.codec_sha256, row.point] == pytest.approx(expected)

    # The same choice as from a table with the column in it.
    keys = zip(table["image_sha256"], table["codec_sha256"], table["point"], strict=True)
    table.assign(ssimulacra2=[measured[key] for key in keys]).to_csv(tmp_path / "table.csv", index=False)
    for aim in ("ssimulacra2", "0.9*competition + 0.001*ssimulacra2", "ssimulacra2:pixels"):
        answers = []
        for source in (str(run), str(tmp_path / "table.csv")):
            capsys.readouterr()
            assert main(["select", source, "--budget", "9000", "--json", "--objective", aim]) == 0
            answers.append(json.loads(capsys.readouterr().out))
        assert answers[0]["points"] == answers[1]["points"]
        assert answers[0]["score"] == answers[0]["bound"] == pytest.approx(answers[1]["score"])
    answers = []
    for aim in ("worst:lower", worst):
        assert main([*select, aim]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]
    pack = ["pack", str(run), "--rate", "0.5", "--codec", "toy", "--out", str(tmp_path / "packed")]
    assert main([*pack, "--objective", "worst:lower"]) == 0

    write(WORST.replace('"0", "0"]', '"0", "1"]'))  # another command: its scores are others
    assert main([*select, worst]) == 2
    assert main(arguments) == 0 and len(scores(run, worst)) == len(rows)


def test_seconds_are_measured_once_and_limit_a_selection(
    run: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    select = ["select", str(run), "--budget", "90000", "--json", "--codec", "toy"]
    for limit in ("--seconds", "--image-seconds"):
        assert main([*select, limit, "10"]) == 2
        told = f"16 of 16 candidates have no score by decode_seconds; measure them: clic measure {run} IMAGES --metric"
        assert f"{told} decode_seconds\n" in capsys.readouterr().err
    measure_all = ["measure", str(run), str(photographs), "--metric", SECONDS]
    assert main(measure_all) == 0
    first = scores(run, SECONDS)
    with open_store(run, write=False) as store:
        assert len(first) == len(store.rows(Candidate)) == 32 and all(0 < value < 10 for value in first.values())
        toy = next(codec.sha256 for codec in store.rows(CodecConfig) if codec.name == "toy")
    assert main(measure_all) == 0 and scores(run, SECONDS) == first

    # What the machine took is replaced by seconds that are known: point 60 takes 2, any other 1.
    with open_store(run) as store:
        store.put(*(Score(*key, SECONDS, 2.0 if key[2] == "60" else 1.0) for key in first))
        images = {score.image for score in store.rows(Score, codec=toy)}
    answers = {}
    for limits in ("--seconds 100", "--seconds 5", "--image-seconds 1", "--objective decode_seconds"):
        capsys.readouterr()
        assert main([*select, *limits.split()]) == 0
        answers[limits] = json.loads(capsys.readouterr().out)
    assert len(images) == 4 and set(answers["--seconds 100"]["points"].values()) == {60}
    assert sorted(answers["--seconds 5"]["points"].values()) == [30, 30, 30, 60]
    assert set(answers["--image-seconds 1"]["points"].values()) == {30}
    assert answers["--objective decode_seconds"]["score"] == 1
    assert main([*select, "--seconds", "3.9"]) == 2
    assert main(["select", str(run / "candidates.csv"), "--budget", "90000", "--seconds", "9"]) == 2
    assert "no column decode_seconds" in capsys.readouterr().err.splitlines()[-1]


def test_what_a_codec_loads_at_its_first_stream_is_no_streams_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Loading(ToyCodec):
        def decode(self, stream: bytes) -> np.ndarray:
            clock[0] += len(stream) if clock[0] else 100
            return PIXELS

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    decoder = Decoder(Loading())
    assert [decoder.decode(stream).seconds for stream in (b"12", b"1", b"123")] == [2, 1, 3]


def test_submit_measures_what_its_objective_needs(
    write: Callable[..., str], photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mean, out = write(MEAN, "mean"), tmp_path / "out"
    arguments = ["submit", str(photographs), "--out", str(out), "--codec", TOY, "--codec", "toy_codec:Adaptive"]
    assert main([*arguments, "--rates", "0.5", "--objective", mean]) == 0
    assert f"{mean} " in capsys.readouterr().err
    recorded = json.loads((out / "run.json").read_text())["rates"]["0.5"]["selection"]
    assert recorded["objective"] == mean and recorded["score"] >= recorded["bound"]  # less is better
    with open_store(out, write=False) as store:
        assert len(scores(out, mean)) == len(store.rows(Candidate)) > 32  # of further points, too
    chosen = pd.read_csv(out / "scores.csv", dtype={"image": str})
    assert set(chosen["codec"]) == {"toy", "adaptive"} or len(set(chosen["codec"])) == 1
    differences = []
    for name in chosen["image"]:
        pairs = (photographs / f"{name}.png", out / "0.5" / "images" / f"{name}.png")
        first, second = (load_rgb(path).astype(int) for path in pairs)
        differences.append(np.abs(first - second).mean())
    weights = chosen["width"] * chosen["height"]
    assert recorded["score"] == pytest.approx(np.average(differences, weights=weights))
    assert max(chosen["bytes"]) > min(swept(photographs, TOY, out)["bytes"])  # not the smallest of all


def test_what_fails_is_told_and_the_rest_is_kept(
    write: Callable[..., str], run: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(WORST.replace('"0", "0"]', '"192", "0"]'))  # the height of one photograph
    assert main(["measure", str(run), str(photographs), "--metric", path]) == 2
    said = capsys.readouterr().err
    assert "failures in measuring (beach: point 2: metric 'worst': " in said and "the rest is kept" in said
    with open_store(run, write=False) as store:
        rows = store.rows(Candidate)
    assert len(scores(run, path)) == len(rows) * 3 // 4
    other = photographs.parent / "other"
    other.mkdir()
    photograph(9, 64, 64).save(other / "x.png")
    assert main(["measure", str(run), str(other), "--metric", path]) == 2
    assert "no candidates of these photographs; give the folder that was coded" in capsys.readouterr().err
    assert main(["measure", str(run), str(photographs), "--metric", path, "--codec", "jpeg"]) == 2
    assert "by codec 'jpeg'; there are those of toy, telling" in capsys.readouterr().err


class InThisProcess:
    """Does all tasks here, with the bytes that a cluster's worker would get, or with the paths."""

    def __init__(self, carried: bool) -> None:
        self.carried = carried

    def run(self, work: Callable[[T], Iterator[R]], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost], None, None]:
        for task in tasks:
            for result in work(task.carried() if self.carried else task):
                yield task, result


def test_what_was_altered_since_it_was_coded_is_told(write: Callable[..., str], run: Path, photographs: Path) -> None:
    metrics = [open_metric(write(WORST))]
    with open_store(run) as store:
        originals = record_originals(list_images(photographs), store)
        toy, other = store.rows(CodecConfig)

        def measured(codec: CodecConfig, carried: bool = False) -> int:
            return measure(store, originals, [codec], metrics, InThisProcess(carried), lambda done, total: None)

        assert measured(other, carried=True) == len(store.rows(Candidate, codec=other.sha256))
        assert measured(other) == 0
        rows = store.rows(Candidate, codec=toy.sha256)
        path = stream_path(run, rows[0].stream_sha256)
        whole = path.read_bytes()
        path.write_bytes(whole[::-1])
        with pytest.raises(ClicError, match=rf"1 failure in measuring \(.*point {rows[0].point}: .* is damaged"):
            measured(toy)
        path.write_bytes(whole)
        store.put(replace(rows[0], pixels_sha256="0" * 64))
        with pytest.raises(ClicError, match="decodes to other pixels than those that were scored"):
            measured(toy)
        store.put(rows[0])
        assert measured(toy) == 1
        metrics.append(open_metric(write(MEAN, "mean")))
        with pytest.raises(ClicError, match="is not the one that coded these any more; code them again"):
            measured(replace(toy, spec=f"{TOY.rpartition(':')[0]}:Telling"))
        photograph(77, 96, 64).save(originals.images[0].path)
        with pytest.raises(ClicError, match="another file than the one that was coded; run again with --rehash"):
            measured(toy)
    assert len(scores(run, write(MEAN, "mean"))) == len(rows) * 3 // 4
