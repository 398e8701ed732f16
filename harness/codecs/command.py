"""External programs as codecs, from a TOML file.

    encode = ["cjxl", "{input}", "{output}", "-q", "{point}"]
    decode = ["djxl", "{input}", "{output}"]
    output_ending = "jxl"
    points = ["20", "40", "60", "80"]
    version = ["cjxl", "--version"]

Commands are lists of words, and no shell is involved. They run in a private folder that is removed afterwards, so what
lies beside the TOML file is named by `{folder}`: `["python3", "{folder}/encode.py", "{input}", "{output}"]`. Where
`decode` is left out, Pillow reads the streams; if the challenge's container can do so too, the codec can be submitted.
So can one that says with `files` what its `decode` needs: that is sent, and `decode` run there for each stream.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image

from harness.codecs.packed import Pictures, decoder_files, pack
from harness.codecs.pillow import FORMATS, Format, read_pixels
from harness.codecs.protocol import Codec, Encoding, Submittable
from harness.errors import ClicError
from harness.files import sha256
from harness.programs import filled, find_program, last_lines, places, run_program
from harness.scratch import scratch
from harness.settings import Bounds, Words, read_settings

VERSION_SECONDS = 30.0
BY_PILLOW = Words()  # instead of a command that decodes
PIXELS = {"png": "PNG", "ppm": "PPM"}  # endings of the pixels' files, and Pillow's name of the format


@dataclass(frozen=True)
class Command:
    """The keys of the TOML file.

    `points` run from the lowest rate to the highest. `version` is a text, or a command that prints it: it must change
    whenever bytes or pixels may. `input` is what `encode` reads and `decode` writes, `output_ending` the ending of the
    coded file's name, `time_limit` the seconds that one call may take. `name` defaults to the file's name. `files` are
    the files and folders beside the TOML file that `decode` needs in the challenge's container.
    """

    encode: Words
    points: tuple[str, ...]
    version: str | Words
    output_ending: str
    decode: Words = BY_PILLOW
    files: tuple[str, ...] = ()
    input: Literal["png", "ppm"] = "png"
    time_limit: Annotated[float, Bounds(low=0.1)] = 600.0
    name: str = ""


def open_command(path: Path) -> Codec:
    """The codec of a TOML file. Raises ClicError that names the file, the key and what is allowed there."""
    command = read_settings(Command, path, lambda name, folder: folder / name)
    return command_codec(command, path.stem, path.parent)


def reopen_command(table: Mapping[str, Any]) -> Codec:
    """The codec of a configuration's `codec`, with the current folder as `{folder}`. Raises ClicError."""
    try:
        given: dict[str, Any] = {key: Words(v) if isinstance(v, list) else v for key, v in table.items()}
        command = Command(**given)
    except TypeError as error:
        raise ClicError(f"this configuration is not a command's ({error}); open the codec by its file") from error
    return command_codec(command, command.name, Path())


def command_codec(command: Command, name: str, folder: Path) -> Codec:
    """The codec of a command, submittable where the challenge's container can read its streams.

    `name` is that of a command that has none of its own, `folder` what `{folder}` stands for. Raises ClicError.
    """
    name = command.name or name
    _check(command, name)
    if command.files:
        return SentCommand(command, name, folder)
    if command.decode:
        return CommandCodec(command, name, folder)
    for form in FORMATS:
        if command.output_ending.lstrip(".") in form.endings:
            form.load(name)
            return (SubmittableCommand if form.in_container else PillowReadCommand)(command, name, folder, form)
    raise ClicError(f"codec {name!r}: no key 'decode', and Pillow reads no {command.output_ending!r} files; add it")


def _check(command: Command, name: str) -> None:
    """Raise ClicError where a command lacks a place or has an unknown one, or the ending is none."""
    if not re.fullmatch(r"\.?[A-Za-z0-9]+", command.output_ending):
        raise ClicError(f"codec {name!r}: output_ending {command.output_ending!r} has more than letters and digits")
    wanted = {"input", "output"} | ({"point"} if len(command.points) > 1 else set())
    version = () if isinstance(command.version, str) else command.version
    for key, words, needed in (
        ("encode", command.encode, wanted),
        ("decode", command.decode, {"input", "output"} if command.decode else set()),
        ("version", version, set()),
    ):
        allowed = needed | {"folder"} | ({"point"} if key == "encode" else set())
        if lacking := needed - places(words):
            raise ClicError(f"codec {name!r}: key {key!r} has no {{{min(lacking)}}}; say where it stands")
        if unknown := places(words) - allowed:
            known = ", ".join(f"{{{place}}}" for place in sorted(allowed))
            raise ClicError(f"codec {name!r}: key {key!r} has {{{min(unknown)}}}; known are {known}")
    if command.files and "folder" not in places(command.decode):
        raise ClicError(f"codec {name!r}: key 'files' sends what 'decode' does not use; name one there by {{folder}}")


class CommandCodec(Codec):
    """A codec whose encoder and decoder are commands."""

    def __init__(self, command: Command, name: str, folder: Path) -> None:
        self.command, self.name = command, name
        self.folder = str(folder.absolute())
        self.ending = command.output_ending.lstrip(".")
        self.encoder = self._found(command.encode)
        self.decoder = self._found(command.decode)

    def _found(self, words: Sequence[str]) -> list[str]:
        """The words with the program's own path in front. Raises ClicError where it is not installed."""
        if not words:
            return []
        try:
            [program] = filled(words[:1], {"folder": self.folder})
            return [find_program(program), *words[1:]]
        except ClicError as error:
            raise ClicError(f"codec {self.name!r}: {error}") from error

    @cached_property
    def version(self) -> str:
        """The version, as it is told or as the program prints it. Raises ClicError where it prints none."""
        told = self.command.version
        if isinstance(told, str):
            return told
        with scratch("codec") as folder:
            words = filled(self._found(told), {"folder": self.folder})
            printed = last_lines(run_program(words, folder, VERSION_SECONDS))
        if not printed:
            raise ClicError(f"codec {self.name!r}: {' '.join(told)} prints nothing; give the version as a text")
        return printed

    def config(self) -> Mapping[str, Any]:
        """The TOML file's keys and the version."""
        table = {**asdict(self.command), "name": self.name}
        if not self.command.files:  # a codec that measured before there was this key is the same
            del table["files"]
        return {
            "codec": {key: list(value) if isinstance(value, tuple) else value for key, value in table.items()},
            "version": self.version,
        }

    def points(self) -> Sequence[str]:
        """As the file has them."""
        return self.command.points

    def encode(self, prepared: np.ndarray, point: str) -> Encoding:
        """What the encoder writes for uint8 (H, W, 3) pixels. Raises ClicError with the reason that it prints."""
        with scratch("codec") as folder:
            source, target = folder / f"image.{self.command.input}", folder / f"image.{self.ending}"
            Image.fromarray(prepared).save(source, PIXELS[self.command.input])
            self._run(self.encoder, source, target, point)
            return Encoding(target.read_bytes())

    def decode(self, stream: bytes) -> np.ndarray:
        """The uint8 (H, W, 3) pixels of what the decoder writes. Raises ClicError with the reason that it prints."""
        with scratch("codec") as folder:
            source, target = folder / f"image.{self.ending}", folder / f"decoded.{self.command.input}"
            source.write_bytes(stream)
            self._run(self.decoder, source, target, "")
            return read_pixels(target.read_bytes(), PIXELS[self.command.input], self.name)

    def _run(self, words: Sequence[str], source: Path, target: Path, point: str) -> None:
        values = {"input": str(source), "output": str(target), "point": point, "folder": self.folder}
        try:
            printed = run_program(filled(words, values), source.parent, self.command.time_limit)
        except ClicError as error:
            raise ClicError(f"codec {self.name!r}: {error}") from error
        if not target.is_file():
            said = last_lines(printed) or "nothing"
            raise ClicError(f"codec {self.name!r}: {Path(words[0]).name} wrote no {{output}}; it printed {said}")


class PillowReadCommand(CommandCodec):
    """A codec whose encoder is a command, and whose streams Pillow reads."""

    def __init__(self, command: Command, name: str, folder: Path, form: Format) -> None:
        super().__init__(command, name, folder)
        self.form = form

    def config(self) -> Mapping[str, Any]:
        """As of any command, and the versions of what decodes."""
        return {**super().config(), "decoder": self.form.all_versions()}

    def decode(self, stream: bytes) -> np.ndarray:
        """The uint8 (H, W, 3) pixels. Raises ClicError for a stream that Pillow cannot read."""
        return read_pixels(stream, self.form.pillow, self.name)


class SubmittableCommand(PillowReadCommand, Submittable):
    """A codec whose encoder is a command, and whose streams the challenge's container reads."""

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        """The data file's payload."""
        return pack(streams)

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        """A decoder that needs Pillow alone."""
        return decoder_files(Pictures(self.form.pillow), data_file, payload)


class SentCommand(CommandCodec, Submittable):
    """A codec whose encoder and decoder are commands, and whose decoder is sent with all the files that it needs."""

    @cached_property
    def sent(self) -> Mapping[str, bytes]:
        """The files' contents by their paths beside the TOML file. Raises ClicError for one that is not there."""
        found: dict[str, bytes] = {}
        for name in self.command.files:
            path = Path(self.folder, name)
            if Path(name).is_absolute() or ".." in Path(name).parts or not path.exists():
                raise ClicError(f"codec {self.name!r}: key 'files' has {name!r}, which is nothing beside its TOML file")
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file() and "__pycache__" not in file.parts:
                    found[file.relative_to(self.folder).as_posix()] = file.read_bytes()
        return found

    def config(self) -> Mapping[str, Any]:
        """As of any command, and the hashes of what is sent."""
        return {**super().config(), "files": {name: sha256(content) for name, content in self.sent.items()}}

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        """The data file's payload."""
        return pack(streams)

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        """A decoder that runs the command for each stream, and needs Pillow to read what that writes."""
        command = self.command
        pictures = Pictures(PIXELS[command.input], command.decode, self.ending, command.input)
        return decoder_files(pictures, data_file, payload, self.sent)
