"""Checkpoints as safetensors: no pickle, written atomically."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from harness.errors import ClicError
from harness.files import write_atomic


def save_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write named tensors and a JSON description; the file is either as it was or whole."""
    write_atomic(path, save({name: t.contiguous() for name, t in tensors.items()}, {"about": json.dumps(about)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the description that `save_tensors` wrote. Raises ClicError where the file is of another kind."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["about"])  # noqa: SIM118
    except FileNotFoundError as error:
        raise ClicError(f"{path}: no such checkpoint; give one that 'clic train' wrote") from error
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ClicError(f"{path}: not a checkpoint of 'clic train' ({error})") from error
