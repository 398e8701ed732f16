"""A run's candidates as the batches of Codec-Compare (webmproject/codec-compare): JSON that its page loads.

A batch holds one codec: `constant_descriptions` and `constant_values` for what is the same in each row,
`field_descriptions` and `field_values` for the rows. `batches.json` lists the batches; the page takes its address as
`index.html?load=.../batches.json`. Names of constants and fields are those that Codec-Compare knows (its README, "Plug
data at serve time", and src/entry.ts); others it shows as they are.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.codecs.decoding import SECONDS
from harness.errors import ClicError
from harness.files import as_json, write_atomic
from harness.images import list_images
from harness.progress import log
from harness.records import CodecConfig, Score, Sweep
from harness.scores.objectives import psnr
from harness.store import open_store
from harness.sweep.table import read_run
from leaderboard.decoded import folder_of

LIST = "batches.json"
SHOWN_BY_BROWSERS = ("AVIF", "JPEG", "WEBP")  # as Pillow calls them
_FIELDS = {
    "original_name": "Original image file name",
    "width": "Pixel columns in the original image",
    "height": "Pixel rows in the original image",
    "quality": "Operating point of the codec",
    "encoded_size": "Size of the encoded image in bytes, without what a container adds",
    "encoding_time": "Encoding duration in seconds, on one thread; it depends on the machine",
    "decoding_time": "Decoding duration in seconds, on one thread; it depends on the machine",
    "psnr": "Peak signal-to-noise ratio of RGB samples in dB",
    "msssim": "MS-SSIM as pytorch-msssim computes it, per channel",
    "msssim_competition": "MS-SSIM as the server of the Challenge on Learned Image Compression computes it",
    "encoded_name": "Name of the encoded image",
}


@dataclass(frozen=True)
class _Pictures:
    """File names of the originals by image, and where they lie from the batches' folder; empty where not asked for."""

    names: Mapping[str, str]
    folder: str


def export_batches(run: Path, out: Path, originals: Path | None = None) -> Path:
    """Write a batch for each codec of the set that was swept last in `run`, and their list, whose path is returned.

    With `originals`, the batches say where the photographs are, and for formats that browsers show the streams, so that
    Codec-Compare's viewer has pictures. Raises ClicError for a folder where nothing was coded, and a photograph that is
    not in `originals`.
    """
    table = read_run(run)
    table = table.assign(psnr=table["mse"].map(psnr))
    pictures = _pictures(table, originals, out)
    with open_store(run, write=False) as store:
        codecs = {codec.sha256: codec for codec in store.rows(CodecConfig)}
        begun = {sweep.codec: sweep.at for sweep in store.rows(Sweep)}
        seconds = {(row.image, row.codec, row.point): row.value for row in store.rows(Score, metric=SECONDS)}
    keys = zip(table["image_sha256"], table["codec_sha256"], table["point"].map(str), strict=True)
    table = table.assign(decode_seconds=[seconds.get(key, float("nan")) for key in keys])
    names = []
    for digest, rows in table.groupby("codec_sha256", sort=False):
        codec = codecs[str(digest)]
        name = f"{folder_of(codec.name, codec.sha256)}.json"
        batch = _batch(codec, begun[codec.sha256], rows, pictures, os.path.relpath(run / "streams", out))
        write_atomic(out / name, (json.dumps(batch, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
        names.append([name])
    write_atomic(out / LIST, as_json(names).encode())
    return out / LIST


def _pictures(table: pd.DataFrame, originals: Path | None, out: Path) -> _Pictures:
    if originals is None:
        return _Pictures({}, "")
    names = {source.name: source.path.name for source in list_images(originals)}
    missing = [name for name in table["image"].unique() if name not in names]
    if missing:
        raise ClicError(f"{originals}: no {missing[0]}; give the folder that was coded")
    return _Pictures(names, Path(os.path.relpath(originals, out)).as_posix())


def _batch(
    codec: CodecConfig, begun: str, rows: pd.DataFrame, pictures: _Pictures, streams: str
) -> dict[str, Sequence[Any]]:
    config = json.loads(codec.config)
    constants = {
        "name": ("Name of this batch", codec.name),
        "codec": ("Name of the codec used to generate this data", codec.spec),
        "version": ("Version of the codec used to generate this data", _version(config, codec.sha256)),
        "time": ("Timestamp of when this data was generated", begun.rstrip("Z")),
        "encoding_cmd": ("The command used to encode the original image", f"clic encode IMAGES --codec {codec.spec}"),
    }
    values = {
        "original_name": rows["image"].map(lambda name: pictures.names.get(name, name)),
        "width": rows["width"],
        "height": rows["height"],
        "quality": rows["point"],
        "encoded_size": rows["bytes"],
        "encoding_time": rows["encode_seconds"],
        "decoding_time": rows["decode_seconds"],
        "psnr": rows["psnr"].clip(upper=100),  # a copy without loss has no finite one
        "msssim": rows["msssim_paper"],
        "msssim_competition": rows["msssim_competition"],
    }
    if pictures.names:
        constants["original_path"] = ("Path to the original image", f"{pictures.folder}/${{original_name}}")
        if config.get("format") in SHOWN_BY_BROWSERS:
            constants["encoded_path"] = ("Path to the encoded image", f"{Path(streams).as_posix()}/${{encoded_name}}")
            values["encoded_name"] = rows["stream_sha256"].map(lambda digest: f"{digest[:2]}/{digest}.bin")
    # A field without a value in some row is no number to Codec-Compare.
    for name in [name for name, column in values.items() if column.isna().any()]:
        log(_left_out(codec.name, name, values.pop(name)))
    return {
        "constant_descriptions": [{name: about} for name, (about, _) in constants.items()],
        "constant_values": [value for _, value in constants.values()],
        "field_descriptions": [{name: _FIELDS[name]} for name in values],
        "field_values": [list(row) for row in zip(*(column.tolist() for column in values.values()), strict=True)],
    }


def _left_out(codec: str, name: str, column: pd.Series) -> str:
    """What is said of a field that a batch cannot have, and how it can."""
    told = f"{codec}: no {name}, as {column.isna().sum()} of {len(column)} streams have none"
    if name != "decoding_time":
        return told
    return f"{told}; 'clic measure RUN IMAGES --metric {SECONDS}' times them, then export again"


def _version(config: Mapping[str, Any], digest: str) -> str:
    """Versions that the configuration tells, else the first digits of its hash."""
    told = config.get("versions") or config.get("version")
    if isinstance(told, Mapping):
        return ", ".join(f"{name} {version}" for name, version in told.items())
    return str(told) if told else digest[:12]
