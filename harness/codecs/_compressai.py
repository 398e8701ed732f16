"""Imports CompressAI without its optional transforms.

`import compressai` eagerly imports torchvision and torch_geometric for a registry of data transforms that image models
never use; with a CPU build of torch, torchvision's import fails ("operator torchvision::nms does not exist"). Empty
modules stand in for them during that import alone.
"""

import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = (
    "torchvision",
    "torchvision.transforms",
    "torch_geometric",
    "torch_geometric.transforms",
    "torch_geometric.data",
    "torch_geometric.data.datapipes",
)


@contextmanager
def without_transforms() -> Iterator[None]:
    """Inside, names can be imported from CompressAI; packages that are loaded already are left as they are."""
    missing = [name for name in NAMES if name not in sys.modules]
    for name in missing:
        sys.modules[name] = types.ModuleType(name)
        parent, _, child = name.rpartition(".")
        if parent in missing:
            setattr(sys.modules[parent], child, sys.modules[name])
    if "torch_geometric.transforms" in missing:
        vars(sys.modules["torch_geometric.transforms"]).update(BaseTransform=object, Center=object)
        vars(sys.modules["torch_geometric.data"]).update(Data=object)
        vars(sys.modules["torch_geometric.data.datapipes"]).update(functional_transform=lambda _: lambda cls: cls)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in missing:
            del sys.modules[name]
