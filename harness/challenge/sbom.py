"""What a packed decoder is made of: a bill of materials in CycloneDX, from the archive alone.

Source: the CycloneDX 1.6 specification (ECMA-424). It holds no date and no random number, so that the same decoder has
the same bill.
"""

import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from harness.errors import ClicError

FILE_NAME = "sbom.cdx.json"


def bill_of_materials(decoder_zip: bytes, packages: Sequence[str]) -> bytes:
    """The bill of a packed decoder: its members with their SHA-256, and the packages that it needs to run.

    `packages` are those that the challenge's rules allow; the versions are the ones of this installation, in which it
    was tried. Raises ClicError where the archive cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(decoder_zip)) as archive:
            members = {name: archive.read(name) for name in sorted(archive.namelist()) if not name.endswith("/")}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
        raise ClicError(f"decoder.zip: not a readable zip ({error}); pack it again") from error
    needed = [_package(name) for name in packages]
    digest = hashlib.sha256(decoder_zip).hexdigest()
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(digest[:32], version=4)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "decoder.zip",
                "name": "decoder.zip",
                "version": digest[:12],
                "hashes": _hashes(decoder_zip),
            }
        },
        "components": [*(_member(name, content) for name, content in members.items()), *needed],
        "dependencies": [
            {"ref": "decoder.zip", "dependsOn": sorted({each["bom-ref"] for each in needed})},
        ],
    }
    return (json.dumps(bill, indent=2) + "\n").encode()


def _hashes(content: bytes) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]


def _member(name: str, content: bytes) -> dict[str, Any]:
    """A file of the archive; weights are what the standard calls a machine-learning model."""
    kind = "machine-learning-model" if name.endswith(".npz") else "file"
    return {"type": kind, "bom-ref": f"file:{name}", "name": name, "hashes": _hashes(content)}


def _package(name: str) -> dict[str, Any]:
    """A package by its name in the index, with version and licence where it is installed."""
    found: dict[str, Any] = {"type": "library", "bom-ref": f"pkg:pypi/{name}", "name": name}
    try:
        about = metadata(name)
    except PackageNotFoundError:  # the rules list more than is needed here
        return found
    purl = f"pkg:pypi/{name}@{about['Version']}".replace("+", "%2B")
    return found | {"bom-ref": purl, "version": about["Version"], "purl": purl}
