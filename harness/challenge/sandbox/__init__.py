"""Runs a stranger's decoder: the strongest box that the machine offers, limits, and a watch from outside."""

from harness.challenge.sandbox.boxes import levels as levels
from harness.challenge.sandbox.boxes import why_not as why_not
from harness.challenge.sandbox.run import DISK_BYTES as DISK_BYTES
from harness.challenge.sandbox.run import UNPACKED_RATIO as UNPACKED_RATIO
from harness.challenge.sandbox.run import DecodeRun as DecodeRun
from harness.challenge.sandbox.run import RunOptions as RunOptions
from harness.challenge.sandbox.run import require_linux as require_linux
from harness.challenge.sandbox.run import run_decoder as run_decoder
