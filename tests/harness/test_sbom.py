"""The bill of materials of a packed decoder: valid CycloneDX, the same for the same decoder, and whole."""

import hashlib
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import TOY

from harness.challenge.archive import zip_bytes
from harness.challenge.sbom import bill_of_materials
from harness.errors import ClicError

Clic = Callable[..., subprocess.CompletedProcess[str]]


def test_it_is_valid_and_names_every_member_and_package() -> None:
    schema = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    members = {"decode": b"#!/bin/sh\n", "decoder/weights/0-x.npz": b"weights"}
    bill = bill_of_materials(zip_bytes(members), ["torch", "numpy", "pillow", "no-such-package"])
    assert schema.JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None
    components = {each["name"]: each for each in json.loads(bill)["components"]}
    assert set(components) == {*members, "torch", "numpy", "pillow", "no-such-package"}
    for name, content in members.items():
        assert components[name]["hashes"][0]["content"] == hashlib.sha256(content).hexdigest()
    assert (
        components["numpy"]["purl"].startswith("pkg:pypi/numpy@1.") and "version" not in components["no-such-package"]
    )
    assert bill == bill_of_materials(zip_bytes(members), ["torch", "numpy", "pillow", "no-such-package"])


def test_the_command_writes_it_beside_the_decoder(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    assert clic("encode", photographs, "--out", tmp_path / "run", "--codec", TOY).returncode == 0
    assert clic("pack", tmp_path / "run", "--rate", "0.4", "--out", tmp_path).returncode == 0
    done = clic("sbom", tmp_path / "0.4", "--profile", "clic2021")
    assert done.returncode == 0 and done.stdout == f"{tmp_path / '0.4/sbom.cdx.json'}\n", done.stderr
    bill = json.loads((tmp_path / "0.4/sbom.cdx.json").read_text())
    with zipfile.ZipFile(tmp_path / "0.4/decoder.zip") as archive:
        assert set(archive.namelist()) <= {each["name"] for each in bill["components"]}
    done = clic("sbom", tmp_path)
    assert done.returncode == 2 and "give the folder of a packed submission" in done.stderr


def test_what_is_no_archive_is_told() -> None:
    with pytest.raises(ClicError, match="not a readable zip"):
        bill_of_materials(b"nothing", [])
