"""Several codecs in one submission: chosen exactly, packed into one file, decoded by one program."""

import json
import math
import subprocess
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from codec_checks import ODD_NAMES, check_description, check_round_trip, check_submission
from helpers import TOY, photograph, swept
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.optimize import Bounds, LinearConstraint, milp
from toy_codec import ToyCodec

from harness.challenge.archive import write_zip
from harness.challenge.pack import RateUnreachable, pack, set_pixels
from harness.challenge.profiles import Target, load_profile
from harness.cli import main
from harness.codecs import union_decode
from harness.codecs.protocol import Submittable, codec_sha256
from harness.codecs.registry import canonical, open_codec, open_members, open_submittable, shown_name
from harness.codecs.union import Union, told_members, union
from harness.errors import ClicError
from harness.photographs import write_photographs
from harness.rates import Rate
from harness.selection.exact import chosen_rows, select
from harness.sweep.table import read_run
from submission.codec import LearnedCodec

PROFILE = load_profile("clic2027")
RATES = ("0.25", "0.5")
Clic = Callable[..., subprocess.CompletedProcess[str]]


class FewPoints(LearnedCodec):
    """The shipped codec at six of its points."""

    def __init__(self, context: str = "3d", effort: str = "0") -> None:
        super().__init__(context, effort)
        self.name = shown_name("few", {"context": context, "effort": effort}, {"context": "3d", "effort": "0"})

    def points(self) -> Sequence[str]:
        return ["0", "24", "40", "56", "72", "96"]


class Quality(ToyCodec):
    """The toy codec with other points, and the same decoder."""

    name = "quality"

    def points(self) -> Sequence[str]:
        return ["5", "20", "45"]


class Namesake(ToyCodec):
    """Another codec of the toy's name."""

    def points(self) -> Sequence[str]:
        return ["7"]


class Failing(ToyCodec):
    """Has a decoder that fails after its first picture."""

    name = "failing"

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        decode = super().decoder_files(data_file, payload)["decode"]
        return {"decode": decode + b"raise SystemExit(3)\n"}


def test_a_union_is_a_codec(tmp_path: Path) -> None:
    codec = open_codec("webp,method=4 + jpeg + avif,speed=9")
    assert isinstance(codec, Submittable)
    assert codec.name == "avif,speed=9 + jpeg + webp,method=4"
    check_description(codec)
    pixels = np.asarray(photograph(1, 65, 48))
    for point in ("jpeg 10", "avif,speed=9 30", "webp,method=4 20"):
        check_round_trip(codec, pixels, point)
    images = {name: np.asarray(photograph(number, 64 + number, 48)) for number, name in enumerate(ODD_NAMES)}
    middling = Union([OnePoint(member) for member in open_members(f"jpeg + {__name__}:FewPoints + webp").values()])
    check_submission(middling, images, tmp_path)


class OnePoint:
    """A codec at its middle point alone."""

    def __init__(self, codec: Submittable) -> None:
        self.codec, self.name = codec, codec.name

    def __getattr__(self, name: str) -> object:
        return getattr(self.codec, name)

    def points(self) -> Sequence[str]:
        points = self.codec.points()
        return [points[len(points) // 2]]


def test_neither_order_nor_repetition_matters() -> None:
    one = open_submittable("avif,speed=9 + jpeg")
    for spec in ("jpeg + avif,speed=9", "jpeg + avif,speed=9 + jpeg", "jpeg,subsampling=4:2:0 + avif,speed=9"):
        other = open_submittable(spec)
        assert codec_sha256(other) == codec_sha256(one) and canonical(spec) == "avif,speed=9 + jpeg"
        assert other.decoder_files("a.zip", "b") == one.decoder_files("a.zip", "b")
        assert list(open_members(spec)) == ["avif,speed=9", spec.split(" + ")[0] if spec[0] == "j" else "jpeg"]
    assert not isinstance(open_codec("jpeg + jpeg"), Union)
    assert union([one, open_submittable("jpeg")]).name == one.name  # a union of a union


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("jpeg + heic", "codec 'heic' cannot be submitted: it has no pack, decoder_files"),
        (f"{TOY} + {__name__}:Namesake", "two different codecs are called 'toy'; give one of them another name"),
        ("jpeg + ", "codec '': no name of a codec"),
        ("jpeg + nothing", "codec 'nothing' is not installed"),
    ],
)
def test_what_is_no_union(spec: str, says: str) -> None:
    with pytest.raises(ClicError, match=says):
        open_codec(spec)


def test_codecs_with_one_decoder_share_it() -> None:
    codec = open_submittable(f"{TOY} + {__name__}:Quality + jpeg")
    files = codec.decoder_files("images.zip", "images.clic")
    assert json.loads(files["decode.json"])["codecs"] == [
        ["jpeg", "decoder0"],
        ["quality", "decoder1"],
        ["toy", "decoder1"],
    ]
    assert {path.partition("/")[0] for path in files} == {"decode", "decode.json", "decoder0", "decoder1"}


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 127), st.binary(max_size=300), min_size=1), st.binary(max_size=8))
def test_parts_come_back_and_damage_is_told(parts: dict[int, bytes], noise: bytes) -> None:
    class Named(ToyCodec):
        def __init__(self, number: int) -> None:
            self.name = f"{number:03}"

        def pack(self, streams: Mapping[str, bytes]) -> bytes:
            return next(iter(streams.values()))

    codec = Union([Named(number) for number in range(128)])
    data = codec.pack({f"{number}": bytes([number]) + part for number, part in parts.items()})
    assert union_decode.unpack(data) == parts
    for damaged in (data[: len(data) // 2], noise + data, noise):
        try:
            assert all(0 <= number < 128 for number in union_decode.unpack(damaged))
        except union_decode.DataError:
            continue


@st.composite
def tables(draw: st.DrawFn, codecs: int = 3, most_images: int = 5) -> pd.DataFrame:
    """Candidates of several codecs, whose points have the same names."""
    rows = []
    for image in range(draw(st.integers(1, most_images))):
        width = draw(st.integers(1, 40))
        for codec in range(codecs):
            for point in range(draw(st.integers(1, 4))):
                size, score = draw(st.integers(1, 300)), draw(st.integers(0, 1000)) / 1000
                rows.append((f"i{image}", width, 10, f"c{codec}", str(point), size, score))
    names = ["image", "width", "height", "codec", "point", "bytes", "msssim_competition"]
    return pd.DataFrame(rows, columns=names)


def oracle(candidates: pd.DataFrame, budget: int) -> float:
    """The best competition score, by branch and cut."""
    pixels = candidates["width"] * candidates["height"]
    share = (pixels / pixels.groupby(candidates["image"]).first().sum()).to_numpy()
    value = candidates["msssim_competition"].to_numpy() * share
    one_each = pd.get_dummies(candidates["image"]).to_numpy(float).T
    rules = [
        LinearConstraint(one_each, 1, 1),
        LinearConstraint(candidates["bytes"].to_numpy(float)[None], -np.inf, budget),
    ]
    options = {"mip_rel_gap": 0}
    found = milp(-1e6 * value, integrality=np.ones(len(value)), bounds=Bounds(0, 1), options=options, constraints=rules)
    return math.fsum(value[found.x > 0.5])


@settings(deadline=None, max_examples=60)
@given(tables(), st.floats(0, 1))
def test_the_selection_over_a_union_is_the_best_and_grows_with_the_codecs(table: pd.DataFrame, part: float) -> None:
    by_image = table[table["codec"] == "c0"].groupby("image")["bytes"]
    low, high = int(by_image.min().sum()), int(table.groupby("image")["bytes"].max().sum())
    budget = low + int(part * (high - low))
    scores = []
    for codecs in (["c0"], ["c0", "c1"], ["c0", "c1", "c2"]):
        candidates = table[table["codec"].isin(codecs)]
        chosen = select(candidates, budget)
        rows = chosen_rows(candidates, chosen)
        assert sorted(rows["image"]) == sorted(set(table["image"]))  # one of each, though points have the same names
        assert rows["bytes"].sum() == chosen.bytes <= budget
        assert chosen.score == chosen.bound >= oracle(candidates, budget) - 1e-12
        scores.append(chosen.score)
    assert scores == sorted(scores)


@dataclass(frozen=True)
class Less(Target):
    """A target whose budget is less by some bytes."""

    spared: int = 0

    @property
    def budget(self) -> int:
        return super().budget - self.spared


def packed(candidates: pd.DataFrame, spec: str, out: Path, rate: str, spared: int = 0) -> float:
    """The score of the best submission; 0 for a rate that cannot be reached."""
    target = Less(PROFILE, Rate.parse(rate), set_pixels(candidates), spared)
    codec = open_submittable(spec)
    names = {member.name for member in open_members(spec).values()}
    try:
        found = pack(candidates[candidates["codec"].isin(names)], codec, out, target)
    except RateUnreachable:
        return 0.0
    assert len(found.data) == found.selection.bytes <= target.budget
    assert found.selection.score <= found.selection.bound
    return found.selection.score


def test_one_codec_more_never_packs_less(photographs: Path, tmp_path: Path) -> None:
    specs = [TOY, "webp", "avif,speed=9"]
    candidates = pd.concat([swept(photographs, spec, tmp_path) for spec in specs], ignore_index=True)
    for rate in ("0.1", "0.2", "0.26", "0.31", "0.37", "0.5"):
        # A byte of a union's data file names the codec.
        alone = [packed(candidates, spec, tmp_path, rate, spared=1) for spec in specs]
        two = packed(candidates, " + ".join(specs[:2]), tmp_path, rate)
        assert two >= max(alone[:2])
        assert packed(candidates, " + ".join(specs), tmp_path, rate) >= max(two, *alone)


def submit(folder: Path, out: Path, *codecs: str, rates: Sequence[str] = RATES) -> dict[str, float]:
    """Scores by rate, of what `clic submit` accepts."""
    given = [word for codec in codecs for word in ("--codec", codec)]
    assert main(["submit", str(folder), "--out", str(out), "--rates", ",".join(rates), *given]) == 0
    board = pd.read_csv(out / "leaderboard.csv", dtype={"rate": str})
    assert (board["data_bytes"] <= board["budget_bytes"]).all()
    return dict(zip(board["rate"], board["msssim_competition"], strict=True))


def sent(out: Path) -> dict[str, bytes]:
    """The files that are uploaded."""
    return {str(path.relative_to(out)): path.read_bytes() for rate in RATES for path in (out / rate).glob("*.zip")}


def test_the_whole_way(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    specs = ["avif,speed=9", "webp", TOY]
    one, other = tmp_path / "one", tmp_path / "other"
    scores = submit(photographs, one, *specs)
    said = capsys.readouterr().err
    run = json.loads((one / "run.json").read_text())
    rows = pd.read_csv(one / "scores.csv", dtype={"rate": str})
    assert set(rows["codec"]) > {"webp"}, "the photographs are no test of a union"
    for rate in RATES:
        assert f"{rate}: 4/4 images equal to the encoder's reconstruction" in said
        assert f"{rate}: images by codec: " in said and "(at most " in said
        chosen = rows[rows["rate"] == rate].set_index("image")["codec"].to_dict()
        recorded = run["rates"][rate]
        assert recorded["selection"]["codecs"] == chosen
        assert recorded["selection"]["score"] == pytest.approx(scores[rate])
        assert recorded["codec"] == {key: run["codec"][key] for key in ("name", "sha256")}
        assert recorded["verification"]["decoder_says"].startswith("images by codec: ")
        with zipfile.ZipFile(one / rate / "decoder.zip") as archive:  # all of them, whatever was chosen
            assert {"decoder0/decode", "decoder1/decode", "decoder2/decode"} <= set(archive.namelist())
    name = "avif,speed=9 + toy + webp"
    assert run["codec"]["name"] == run["team"] == name and [m["name"] for m in run["codec"]["config"]["codec"]]
    html = (one / "report.html").read_text()
    assert name in html and "avif,speed=9" in html

    assert submit(photographs, other, specs[2], specs[0], specs[1], specs[0]) == scores
    assert sent(one) == sent(other)
    submit(photographs, one, " + ".join(reversed(specs)))
    said = capsys.readouterr().err
    assert said.count("decoded and verified before") == len(RATES) and sent(one) == sent(other)

    for source in (one, one / "candidates.csv"):
        arguments = ["pack", str(source), "--rate", RATES[0], "--out", str(tmp_path / "packed")]
        assert main([*arguments, "--codec", "webp", "--codec", "avif,speed=9", "--codec", TOY]) == 0
    assert (tmp_path / "packed" / RATES[0] / PROFILE.data_file).read_bytes() == sent(one)[
        f"{RATES[0]}/{PROFILE.data_file}"
    ]
    capsys.readouterr()
    assert main(["select", str(one), "--budget", "9000", "--json", "--codec", "webp", "--codec", "toy"]) == 0
    assert set(json.loads(capsys.readouterr().out)["codecs"].values()) <= {"webp", "toy"}

    # At a rate of its own, a codec alone stands beside the union.
    submit(photographs, one, "webp", rates=["0.4"])
    recorded = json.loads((one / "run.json").read_text())["rates"]
    assert recorded["0.4"]["codec"]["name"] == "webp" and " + " in recorded["0.5"]["codec"]["name"]


def test_a_decoder_of_installed_codecs_is_ones_own(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So it may be verified where nothing can lock a stranger's in."""
    submit(photographs, tmp_path / "out", "avif,speed=9", "webp", rates=["0.5"])
    decoder = tmp_path / "out/0.5/decoder.zip"
    assert told_members(decoder) == ("avif,speed=9", "webp")
    monkeypatch.setattr("harness.challenge.verify.levels", lambda: ("limits",))
    arguments = ["verify", str(decoder.parent), "--images", str(photographs), "--rate", "0.5"]
    assert main(arguments) == 0
    with zipfile.ZipFile(decoder) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(files["decode.json"])
    capsys.readouterr()
    for altered in (
        {"decoder1/decode": files["decoder1/decode"] + b"\n"},
        {"more": b""},
        {"decode.json": json.dumps({**told, "codecs": [("avif", "decoder0"), (TOY, "decoder1")]}).encode()},
        {"decode.json": json.dumps({**told, "codecs": [["webp", "decoder0"]] * 1000}).encode()},
        {"decode.json": json.dumps({**told, "codecs": [["webp", "decoder0"], [7, "decoder1"]]}).encode()},
        *({"decode.json": content} for content in (b"", b"[]", b"{}", b"7", b"[" * 100_000, b"\xff", b'{"codecs": 7}')),
    ):
        write_zip(decoder, {**files, **altered})
        assert main(arguments) == 2
        assert "nothing here can lock it in" in capsys.readouterr().err
    decoder.write_bytes(decoder.read_bytes().replace(b"decode.json", b"decode.jsom"))
    assert told_members(decoder) == ()


def test_a_decoder_that_fails_is_named(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codecs = ["--codec", f"{__name__}:Failing", "--codec", f"{__name__}:Quality"]
    arguments = ["submit", str(photographs), "--out", str(tmp_path / "out"), "--rates", "0.5", *codecs]
    status = main(arguments)
    said = capsys.readouterr().err
    rows = json.loads((tmp_path / "out" / "run.json").read_text())["rates"]["0.5"]["selection"]["codecs"]
    assert "failing" in rows.values(), "the photographs are no test of this"
    assert status == 1 and "ended with code 1" in said and "failing: ended with 3" in said


@pytest.mark.slow
def test_clic_with_avif_on_the_demos_photographs(tmp_path: Path) -> None:
    """No lower than either alone at every rate, in a box where only torch, numpy and Pillow can be imported."""
    write_photographs(tmp_path / "whole")
    (tmp_path / "half").mkdir()
    for path in (tmp_path / "whole").iterdir():
        with Image.open(path) as image:
            image.convert("RGB").reduce(2).save(tmp_path / "half" / f"{path.stem}.png")
    clic, avif, out = f"{__name__}:FewPoints", "avif,speed=9", tmp_path / "out"
    scores = submit(tmp_path / "half", out, clic, avif)
    verified = json.loads((out / "run.json").read_text())["rates"]
    assert all("importable" not in what for rate in RATES for what in verified[rate]["verification"]["not_enforced"])
    candidates = read_run(out)
    for rate in RATES:
        alone = [packed(candidates, spec, out, rate, spared=1) for spec in (clic, avif)]
        assert scores[rate] >= max(alone) - 1e-12 > 0
