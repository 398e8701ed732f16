"""Known image sets, and which of them a folder holds: what is missing, altered or additional.

The manifests in `sets/` hold names, and sizes and hashes as far as they are known. An image is recognised by its pixels
where their hash is known, whatever its file is called and however it is packed (PNG, lossless WebP); otherwise by its
name and size, which is said.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from harness.files import sha256
from harness.images import SourceImage, load_rgb, pixels_sha256

RECOGNISED = 0.5  # of the folder or of the set: fewer common images are no reason to name the set


@dataclass(frozen=True)
class KnownImage:
    """One image of a manifest, with hashes as `pixels_sha256` and `sha256` give them; 0 or empty is not known."""

    name: str
    width: int = 0
    height: int = 0
    pixels: int = 0
    pixels_sha256: str = ""
    file_sha256: str = ""

    def size_differs(self, image: SourceImage) -> bool:
        """Whether the size contradicts what is known of it."""
        if self.width:
            return (image.width, image.height) != (self.width, self.height)
        return bool(self.pixels) and image.pixels != self.pixels

    @property
    def size(self) -> str:
        """Its size as a person reads it: 768 x 512, or 2,791,424 pixels where only these are known."""
        return f"{self.width} x {self.height}" if self.width else f"{self.pixels:,} pixels"


@dataclass(frozen=True)
class ImageSet:
    """A known set: its title, other names of the same images, where the manifest is from, and its images by name."""

    title: str
    aliases: tuple[str, ...]
    about: str
    source: str
    images: Mapping[str, KnownImage]


@dataclass(frozen=True)
class Identity:
    """What a folder's images are. `known` is None where they are of no known set; then all are `additional`.

    `same` maps a known name to the file's name with its very pixels, `unproven` likewise where only name and size could
    be compared; `altered` and `additional` map a file's name to the reason.
    """

    known: ImageSet | None
    digest: str
    same: Mapping[str, str] = field(default_factory=dict)
    unproven: Mapping[str, str] = field(default_factory=dict)
    altered: Mapping[str, str] = field(default_factory=dict)
    additional: Mapping[str, str] = field(default_factory=dict)

    @property
    def present(self) -> Mapping[str, str]:
        """Known name to file's name of every image that is there and not known to be altered."""
        return {**self.same, **self.unproven}

    @property
    def renamed(self) -> Mapping[str, str]:
        """File's name to known name, of images under another name."""
        return {found: name for name, found in self.same.items() if found != name}

    @property
    def missing(self) -> tuple[str, ...]:
        """Known names that no file has."""
        images = self.known.images if self.known else {}
        return tuple(name for name in images if name not in self.present and name not in self.altered)

    @property
    def is_whole(self) -> bool:
        """Whether the folder is exactly a known set."""
        return self.known is not None and not (self.missing or self.altered or self.additional)

    @property
    def label(self) -> str:
        """The set as tables name it: "Kodak"; "CLIC 2025 validation, 26 of 32"; "own set 1a2b3c4d, 12 images".

        Equal labels of two folders mean equal sets only where a whole set or an own set is named.
        """
        if self.known is None:
            count = len(self.additional)
            return f"own set {self.digest[:8]}, {count} {'image' if count == 1 else 'images'}"
        if self.is_whole:
            return self.known.title
        parts = [f"{self.known.title}, {len(self.present)} of {len(self.known.images)}"]
        if self.altered:
            parts.append(f"{len(self.altered)} altered")
        if self.additional:
            count = len(self.additional)
            parts.append(f"and {count} {'other' if count == 1 else 'others'}")
        return ", ".join(parts)


def _read_set(text: str) -> ImageSet:
    entries = tomllib.loads(text)
    images = {name: KnownImage(name, **known) for name, known in entries.pop("images").items()}
    return ImageSet(aliases=tuple(entries.pop("aliases")), images=images, **entries)


@cache
def known_sets() -> tuple[ImageSet, ...]:
    """All manifests, by file name."""
    files = sorted(resources.files("harness").joinpath("sets").iterdir(), key=lambda file: file.name)
    return tuple(_read_set(file.read_text(encoding="utf-8")) for file in files if file.name.endswith(".toml"))


def canonical(title: str) -> str:
    """A set's own title for any of its names: the 2024 test set is the 2025 validation set. Other names stay."""
    return next((known.title for known in known_sets() if title in known.aliases), title)


@dataclass(frozen=True)
class _Found:
    """A file of the folder with its hashes; pixels are decoded only where a manifest could recognise them."""

    image: SourceImage
    file_sha256: str
    pixels_sha256: str

    @property
    def name(self) -> str:
        return self.image.name

    def is_copy_of(self, known: KnownImage) -> bool:
        hashes = (known.pixels_sha256, known.file_sha256)
        return bool(hashes[0]) and (self.pixels_sha256 == hashes[0] or self.file_sha256 == hashes[1])


def _fingerprint(image: SourceImage, sets: Sequence[ImageSet]) -> _Found:
    known = [entry for one in sets for entry in one.images.values() if entry.pixels_sha256]
    file_hash = sha256(image.path.read_bytes())
    needs_pixels = all(file_hash != entry.file_sha256 for entry in known) and any(
        (entry.width, entry.height) == (image.width, image.height) for entry in known
    )
    return _Found(image, file_hash, pixels_sha256(load_rgb(image.path)) if needs_pixels else "")


def _compare(found: Sequence[_Found], known: ImageSet, digest: str) -> Identity:
    same: dict[str, str] = {}
    unproven: dict[str, str] = {}
    altered: dict[str, str] = {}
    additional: dict[str, str] = {}
    # A file under its right name comes before a copy of it under another.
    for one in sorted(found, key=lambda one: one.name not in known.images):
        original = next((entry for entry in known.images.values() if one.is_copy_of(entry)), None)
        named = known.images.get(one.name)
        if original is not None and original.name in same:
            additional[one.name] = f"the same picture as {same[original.name]}"
        elif original is not None:
            same[original.name] = one.name
        elif named is None:
            additional[one.name] = f"not in {known.title}"
        elif named.size_differs(one.image):
            altered[one.name] = f"{one.image.width} x {one.image.height}, but {named.size} in {known.title}"
        elif named.pixels_sha256:
            altered[one.name] = "other pixels"
        else:
            unproven[one.name] = one.name
    # A known picture may be there under another name while its own name holds something else.
    for name in altered.keys() & same.keys():
        additional[name] = f"{altered.pop(name)}; the picture itself is called {same[name]}"
    return Identity(known, digest, same, unproven, altered, additional)


def identify(
    images: Sequence[SourceImage],
    sets: Sequence[ImageSet] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Identity:
    """Which of `sets` (by default all known ones) `images` are, as `list_images` gives them, and how they differ.

    A set is named where at least half of it, or half of the folder, is recognised. `progress` is told how many images
    are looked at, and of how many. Raises ClicError for an unreadable image.
    """
    sets = known_sets() if sets is None else sets
    found = []
    for done, image in enumerate(images, start=1):
        found.append(_fingerprint(image, sets))
        if progress:
            progress(done, len(images))
    digest = sha256("\n".join(sorted(one.file_sha256 for one in found)).encode())

    def recognised(identity: Identity) -> tuple[int, int]:
        return len(identity.present) + len(identity.altered), len(identity.same)

    best = max((_compare(found, known, digest) for known in sets), key=recognised)
    assert best.known is not None
    count = recognised(best)[0]
    if count and (count >= RECOGNISED * len(found) or count >= RECOGNISED * len(best.known.images)):
        return best
    return Identity(None, digest, additional={one.name: "of no known set" for one in found})
