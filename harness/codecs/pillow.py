"""Conventional formats by Pillow and its plug-ins: a table with an entry for each, `jpeg` to `jxl`, and `palette`.

Settings and points are the options of the format's own library. One thread codes, so that a sweep's processes do not
disturb each other. A ladder of points begins at the lowest rate that the library has and goes on well above 0.30 bits
per pixel, so that the budget of a set can be filled at each of the challenge's rates.
"""

import importlib
import inspect
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from harness.codecs.packed import Pictures, decoder_files, pack
from harness.codecs.protocol import Codec, Encoding, Submittable
from harness.codecs.registry import shown_name
from harness.errors import ClicError
from harness.images import open_image

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Format:
    """A format of images, as a maker of codecs: call it with settings to open one.

    `pillow` is Pillow's name of it, `endings` are those of its files, `settings` the allowed values of each setting
    with the default first, and `options` turns point and settings into what `Image.save` takes. `versions` are those of
    the libraries that decide bytes and pixels. `plugin` is the module that registers the format, of the extra `extra`
    of this package if it is none of Pillow's own; `threads` is the variable that says how many threads a decoder
    starts. The challenge's container reads the formats that are `in_container`, with the Pillow that it has. `reduced`,
    where the format codes without loss, makes of an image and a point the one that is coded.
    """

    name: str
    pillow: str
    endings: tuple[str, ...]
    points: tuple[str, ...]
    options: Callable[[float, Mapping[str, str]], Options]
    versions: Callable[[], Mapping[str, str | None]]
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plugin: str = ""
    extra: str = ""
    threads: str = ""
    in_container: bool = True
    reduced: Callable[[Image.Image, float], Image.Image] = lambda image, point: image

    @property
    def defaults(self) -> Mapping[str, str]:
        """The default of each setting."""
        return {key: values[0] for key, values in self.settings.items()}

    @property
    def __signature__(self) -> inspect.Signature:
        """The settings as keywords, where the registry looks for them."""
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature([inspect.Parameter(k, kind, default=d) for k, d in self.defaults.items()])

    def missing(self) -> str:
        """What to do so that Pillow can write the format here; empty where it can."""
        try:
            if self.plugin:
                importlib.import_module(self.plugin)
        except ImportError as error:
            reason = f" ({error})" if self.extra else ""
            return f"install its plug-in{reason}: pip install 'clic-harness[{self.extra}]'"
        Image.init()
        return "" if self.pillow in Image.SAVE else "install a Pillow that was built with it: pip install -U pillow"

    def __call__(self, **given: str) -> Codec:
        """The codec with these settings. Raises ClicError for an unknown value, and where Pillow lacks the format."""
        for key, value in given.items():
            if value not in self.settings[key]:
                raise ClicError(
                    f"codec {self.name!r}: no {key} {value!r}; choose one of {', '.join(self.settings[key])}"
                )
        self.load(self.name)
        return (SubmittableFormat if self.in_container else FormatCodec)(self, {**self.defaults, **given})

    def load(self, codec: str) -> None:
        """Have Pillow read and write the format, on one thread. Raises ClicError that names `codec` where it cannot."""
        if what := self.missing():
            raise ClicError(f"codec {codec!r}: Pillow cannot write {self.pillow} here; {what}")
        if self.threads:
            module, _, variable = self.threads.rpartition(".")
            setattr(importlib.import_module(module), variable, 1)

    def all_versions(self) -> Mapping[str, str]:
        """The versions of Pillow and of the libraries behind the format; of those that tell one."""
        told = {"pillow": version("pillow"), **self.versions()}
        return {library: text for library, text in told.items() if text}


class FormatCodec(Codec):
    """A format of the table with all of its settings."""

    def __init__(self, form: Format, settings: Mapping[str, str]) -> None:
        self.format, self.settings = form, settings
        self.name = shown_name(form.name, settings, form.defaults)

    def config(self) -> Mapping[str, Any]:
        """Settings, the options of one point as they reach Pillow, and versions of the libraries."""
        options = self.format.options(float(self.format.points[0]), self.settings)
        return {
            "codec": self.name,
            "format": self.format.pillow,
            "settings": dict(self.settings),
            "options": dict(options),
            "points": list(self.format.points),
            "versions": self.format.all_versions(),
        }

    def points(self) -> Sequence[str]:
        """The ladder of the format."""
        return self.format.points

    def encode(self, prepared: np.ndarray, point: str) -> Encoding:
        """Code uint8 (H, W, 3) pixels; `point` may be any number that the library takes, on the ladder or not."""
        buffer = io.BytesIO()
        options = self.format.options(float(point), self.settings)
        image = self.format.reduced(Image.fromarray(prepared), float(point))
        image.save(buffer, self.format.pillow, **options)
        return Encoding(buffer.getvalue())

    def decode(self, stream: bytes) -> np.ndarray:
        """The uint8 (H, W, 3) pixels of a stream. Raises ClicError for one that is damaged or of another format."""
        return read_pixels(stream, self.format.pillow, self.name)


class SubmittableFormat(FormatCodec, Submittable):
    """A format that the challenge's container can decode."""

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        """The data file's payload."""
        return pack(streams)

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        """A decoder that needs Pillow alone."""
        return decoder_files(Pictures(self.format.pillow), data_file, payload)


def read_pixels(stream: bytes, form: str, codec: str) -> np.ndarray:
    """The uint8 (H, W, 3) pixels of a stream in Pillow's format `form`. Raises ClicError that names `codec`."""
    try:
        with open_image(io.BytesIO(stream), "it", formats=[form]) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # damaged streams make Pillow raise nearly everything
        text = " ".join(str(error).split()) or type(error).__name__
        why = "" if isinstance(error, UnidentifiedImageError) else f" ({text})"
        raise ClicError(f"codec {codec!r}: Pillow cannot read this stream as {form}{why}; code it again") from error


def _ladder(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _jxl_quality(distance: float) -> float:
    """The quality for which libjxl takes this Butteraugli distance; the inverse of JxlEncoderDistanceFromQuality."""
    if distance <= 6.4:
        return 100 - (distance - 0.1) / 0.09
    return (1.15 - math.sqrt(1.15**2 - 4 * 53 / 3000 * (25 - distance))) / (2 * 53 / 3000)


def _in_few_colors(image: Image.Image, colors: float) -> Image.Image:
    """The RGB image in at most so many colours, by median cut and without dither; 0 leaves all."""
    if not colors:
        return image
    few = image.quantize(int(colors), method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return few.convert("RGB")


def _avif_versions() -> Mapping[str, str | None]:
    from PIL import AvifImagePlugin

    programs = {name: AvifImagePlugin.get_codec_version(name) for name in ("aom", "dav1d")}
    return {"libavif": features.version("avif"), **programs}


def _heif_versions() -> Mapping[str, str | None]:
    import pillow_heif

    told = pillow_heif.libheif_info()
    coders = {**told["encoders"], **told["decoders"]}
    used = {name: text for name, text in coders.items() if name in ("x265", "libde265")}
    return {"pillow-heif": version("pillow-heif"), "libheif": told["libheif"], **used}


JPEG = Format(
    "jpeg",
    "JPEG",
    ("jpg", "jpeg"),
    _ladder("1 4 6 8 10 12 14 16 18 21 24 28 32 37 42 48 55 63"),
    lambda q, s: {"quality": int(q), "optimize": True, "subsampling": s["subsampling"]},
    lambda: {"libjpeg-turbo": features.version("libjpeg_turbo"), "libjpeg": features.version("jpg")},
    {"subsampling": ("4:2:0", "4:2:2", "4:4:4")},
)
JPEG2000 = Format(
    "jpeg2000",
    "JPEG2000",
    ("j2k", "j2c", "jpc", "jp2"),
    _ladder("0.03 0.045 0.065 0.09 0.12 0.14 0.16 0.19 0.22 0.26 0.3 0.35 0.4 0.47 0.55 0.65 0.75 0.9 1.1"),
    # Points are bits per pixel, of 24. Without `mct` there would be no transform of colour, which costs 3 dB.
    lambda bpp, s: {
        "irreversible": True,
        "mct": 1,
        "no_jp2": True,
        "quality_mode": "rates",
        "quality_layers": [24 / bpp],
    },
    lambda: {"openjpeg": features.version("jpg_2000")},
)
WEBP = Format(
    "webp",
    "WEBP",
    ("webp",),
    _ladder("0 0.3 1 2 3.5 5 7 9 11 14 17 20 24 28 33 38 44 50 56 63 69 76"),
    lambda q, s: {"quality": q, "method": int(s["method"])},
    lambda: {"libwebp": features.version("webp")},
    {"method": ("6", "5", "4", "3", "2", "1", "0")},
)
AVIF = Format(
    "avif",
    "AVIF",
    ("avif",),
    _ladder("0 3 5 7 9 11 13 15 18 21 25 30 35 40 46 52 60 68"),
    lambda q, s: {
        "quality": int(q),
        "speed": int(s["speed"]),
        "codec": "aom",
        "max_threads": 1,
        "autotiling": False,
        "subsampling": s["subsampling"],
        "range": "full",
        "advanced": {} if s["tune"] == "default" else {"tune": s["tune"]},
    },
    _avif_versions,
    {
        "speed": ("4", "0", "1", "2", "3", "5", "6", "7", "8", "9", "10"),
        "tune": ("default", "iq", "ssim", "psnr"),
        "subsampling": ("4:2:0", "4:2:2", "4:4:4"),
    },
    plugin="PIL.AvifImagePlugin",
    threads="PIL.AvifImagePlugin.DEFAULT_MAX_THREADS",
)
HEIC = Format(
    "heic",
    "HEIF",
    ("heic", "heif"),
    _ladder("0 3 6 9 12 15 18 21 24 27 31 35 39 43 48 53"),
    lambda q, s: {
        "quality": int(q),
        "chroma": int(s["chroma"]),
        "enc_params": {"preset": s["preset"], "x265:pools": "1"},  # the bytes are the same for any size of the pool
    },
    _heif_versions,
    {
        "preset": ("slow", "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slower", "veryslow"),
        "chroma": ("420", "422", "444"),
    },
    plugin="pillow_heif.HeifImagePlugin",
    extra="heic",
    threads="pillow_heif.options.DECODE_THREADS",
    in_container=False,
)
JXL = Format(
    "jxl",
    "JXL",
    ("jxl",),
    # From 10 on libjxl halves the image, which takes fewer bytes than it seems: between 9.5 and 14 rates do not fall.
    _ladder("25 22.5 20 17 15.5 14 9.5 8.5 7.5 6.8 6 5.4 4.8 4.3 3.8 3.4 3 2.6 2.2 1.9"),
    lambda distance, s: {"quality": _jxl_quality(distance), "effort": int(s["effort"]), "num_threads": 1},
    lambda: {"pillow-jxl-plugin": version("pillow-jxl-plugin")},
    {"effort": ("7", "1", "2", "3", "4", "5", "6", "8", "9", "10")},
    plugin="pillow_jxl.JpegXLImagePlugin",
    extra="jxl",
    threads="pillow_jxl.JpegXLImagePlugin.DECODE_THREADS",
    in_container=False,
)
FORMATS = (JPEG, JPEG2000, WEBP, AVIF, HEIC, JXL)
PALETTE = Format(
    "palette",
    "WEBP",
    ("webp",),
    # Points are numbers of colours, 0 for all. WebP without loss has a palette, and copies what it has seen before:
    # screens take a fraction of what a transform needs, photographs many times as much.
    _ladder("2 3 4 6 8 12 16 24 32 48 64 96 128 192 256 0"),
    lambda colors, s: {"lossless": True, "quality": 100, "method": int(s["method"])},
    lambda: {"libwebp": features.version("webp")},
    {"method": ("6", "5", "4", "3", "2", "1", "0")},
    reduced=_in_few_colors,
)
