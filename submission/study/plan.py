"""A study as strict TOML: from its entries to cells, and from cells and seeds to runs in their order.

A `[[cells]]` entry stands for as many cells as it has networks, surrogates and bounds of the scale; one that goes on
from other cells (`after`) for as many to each of those. Networks, objectives and trainings are said once, by name.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

from harness.errors import ClicError
from harness.settings import locate, names_in, read_table
from submission.quantization.centring import Centring, StopGradient
from submission.quantization.quantizer import Quantizer
from submission.quantization.registry import open_quantizer
from submission.quantization.scale import SCALE_MIN
from submission.study.cells import Cell, Network, Objective, Skip, Training, label_of
from submission.training.recipe import arguments_of

STUDIES = Path(__file__).parent / "studies"
TABLES = {"order": list, "networks": dict, "objectives": dict, "trainings": dict, "gradients": dict, "cells": list}


@dataclass(frozen=True)
class Block:
    """An entry of `[[cells]]`.

    `after` is row and stage of the cells that it goes on from; what is not given of networks (a choice of theirs),
    surrogates, objective and bounds is then theirs. In `name`, {network} stands for the network's.
    """

    row: str
    training: str
    networks: tuple[str, ...] = ()
    objective: str = ""
    name: str = ""
    after: tuple[str, ...] = ()
    zero_centre: Literal["", "on", "off"] = ""
    stop_gradient: StopGradient = "none"
    scale_bounds: tuple[float, ...] = ()
    everywhere: bool = False
    skip_uncoded: tuple[Skip, ...] = ("off",)


@dataclass(frozen=True)
class Gradients:
    """Row G: gradients on the trained networks of a row and a stage.

    Each figure is a mean over `batches` of `windows` crops, with `draws` of the noise for each batch. Measured are the
    surrogates of the cells that go on from these networks, and `surrogates` beside them.
    """

    after: tuple[str, ...]
    networks: tuple[str, ...]
    windows: int
    batches: int
    draws: int
    surrogates: tuple[Quantizer, ...] = ()


@dataclass(frozen=True)
class Study:
    """Everything that decides a study but its crops and images.

    `order` are groups of rows: all cells of a group are trained with the first seed before the second. `images` limits
    how many images of a folder are coded, 0 for all. `side` is that of the crops. `draws` are the passes over an image
    whose mean is its figure in mode "training".
    """

    name: str
    seeds: tuple[int, ...]
    order: tuple[tuple[str, ...], ...]
    batch: int
    warmup_steps: int
    precision: Literal["bfloat16", "float32"]
    side: int
    holdout: int
    images: int
    draws: int
    networks: Mapping[str, Network]
    objectives: Mapping[str, Objective]
    gradients: Gradients
    cells: tuple[Cell, ...] = field(repr=False)

    def runs(
        self,
        rows: Sequence[str] = (),
        seeds: Sequence[int] = (),
        wanted: Callable[[Cell], bool] = lambda cell: True,
    ) -> list[tuple[Cell, int]]:
        """The `wanted` cells of `rows` (all by default) with their seeds, in the order of training, parents first."""
        found: dict[tuple[tuple[str, str], int], tuple[Cell, int]] = {}

        def add(cell: Cell, seed: int) -> None:
            if cell.parent:
                add(cell.parent, seed)
            found.setdefault((cell.key, seed), (cell, seed))

        for group in self.order:
            for seed in seeds or self.seeds:
                for cell in self.cells:
                    if cell.row in group and (not rows or cell.row in rows) and wanted(cell):
                        add(cell, seed)
        return list(found.values())


def study_names() -> list[str]:
    """Names of the studies that come with the package."""
    return names_in(STUDIES)


def read_study(name: str) -> Study:
    """The study of that name, or in the TOML file at a path.

    Raises ClicError, one line that names the file, the key and what is allowed there.
    """
    find = partial(locate, "study", STUDIES)
    path = find(name, Path())
    table = read_table(path, find)
    try:
        return _study(path.stem, table)
    except ValueError as error:
        raise ClicError(f"{path}: {error}") from error


def _study(name: str, table: Mapping[str, Any]) -> Study:
    """Raises ValueError on anything that a study cannot have."""
    plain = {key: value for key, value in table.items() if key not in TABLES}
    checked = arguments_of("", plain, Study, {"name", *TABLES})
    for key, kind in TABLES.items():
        if not isinstance(table.get(key), kind) or not table[key]:
            raise ValueError(f"key {key!r} is missing; give a {'list' if kind is list else 'table'}")
    known: dict[str, dict[str, Any]] = {
        part: {key: _made(f"{part}.{key}", kind, entry) for key, entry in table[part].items()}
        for part, kind in (("networks", Network), ("objectives", Objective), ("trainings", Training))
    }
    cells: list[Cell] = []
    for entry in table["cells"]:
        cells += _cells(entry, known, cells)
    order = tuple(map(tuple, table["order"]))
    if sorted(row for group in order for row in group) != sorted({cell.row for cell in cells}):
        raise ValueError("order must have each row of the cells once, and no other")
    keys = [cell.key for cell in cells]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise ValueError(f"two cells have the row and the name {sorted(twice)[0]}; give their entries a name each")
    return Study(
        name=name,
        order=order,
        networks=known["networks"],
        objectives=known["objectives"],
        gradients=_gradients(table["gradients"]),
        cells=tuple(cells),
        **checked,
    )


def _gradients(table: Mapping[str, Any]) -> Gradients:
    """Raises ValueError."""
    plain = _made("gradients", Gradients, {key: value for key, value in table.items() if key != "surrogates"})
    try:
        return replace(plain, surrogates=tuple(map(open_quantizer, table.get("surrogates", []))))
    except ValueError as error:
        raise ValueError(f"gradients: {error}") from error


def _made(where: str, kind: type, table: Any) -> Any:
    """The table as a `kind`. Raises ValueError, which says where."""
    if not isinstance(table, dict):
        raise ValueError(f"{where} is {table!r}; give a table")
    try:
        return kind(**arguments_of("", table, kind, set()))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _cells(entry: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], before: Sequence[Cell]) -> Iterator[Cell]:
    """The cells of an entry, which may go on from those `before`. Raises ValueError."""
    where = f"cells of row {entry.get('row')!r}, training {entry.get('training')!r}"
    block: Block = _made(where, Block, {key: value for key, value in entry.items() if key != "surrogates"})
    try:
        surrogates = [open_quantizer(written) for written in entry.get("surrogates", [])]
        for what, names in (
            ("trainings", [block.training]),
            ("networks", block.networks),
            ("objectives", [block.objective] if block.objective else []),
        ):
            for name in names:
                if name not in known[what]:
                    raise ValueError(f"{name!r} is not one of the {what}: {', '.join(known[what])}")
        for network, parent in _origins(block, before):
            yield from _of_origin(block, known, surrogates, network, parent)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _origins(block: Block, before: Sequence[Cell]) -> list[tuple[str, Cell | None]]:
    """Network and cell from which each of a block's cells goes on; None for random weights."""
    if not block.after:
        if not block.networks:
            raise ValueError("give networks, or after")
        return [(network, None) for network in block.networks]
    found = [cell for cell in before if (cell.row, cell.training.stage) == block.after]
    chosen: list[tuple[str, Cell | None]] = [
        (cell.network, cell) for cell in found if not block.networks or cell.network in block.networks
    ]
    if not chosen or set(block.networks) - {network for network, _ in chosen}:
        raise ValueError(f"after {list(block.after)}: no such cells of these networks above; give a row and a stage")
    return chosen


def _of_origin(
    block: Block,
    known: Mapping[str, Mapping[str, Any]],
    surrogates: Sequence[Quantizer],
    network: str,
    parent: Cell | None,
) -> Iterator[Cell]:
    """The cells of a block with one network and one origin."""
    training: Training = known["trainings"][block.training]
    objective = block.objective or (parent.objective if parent else "")
    quantizers = surrogates or ([parent.quantizer] if parent else [])
    if not objective or not quantizers:
        raise ValueError("give objective and surrogates, which nothing before it has")
    if training.decoder_only and parent is None:
        raise ValueError("what trains the decoder's side alone needs cells to go on from; give after")
    if "on" in block.skip_uncoded and known["networks"][network].layers:
        raise ValueError(f"network {network!r} codes every element; leave skip_uncoded away")
    if known["networks"][network].layers and any(quantizer.scaled for quantizer in quantizers):
        raise ValueError(f"network {network!r} has no branch that gives elements their steps; leave scaled-noise away")
    usual = parent.centring.zero_centre if parent else known["networks"][network].zero_centre
    zero_centre = {"": usual or training.hard, "on": True, "off": False}[block.zero_centre]
    centring = Centring(zero_centre, block.stop_gradient, training.mean_gradient)
    bounds = block.scale_bounds or (parent.scale_bound if parent else SCALE_MIN,)
    for quantizer, bound in product(quantizers, bounds):
        parts = [network, label_of(quantizer)]
        parts += [f"bound {bound:g}"] * (len(bounds) > 1) + [f"zero-centre {block.zero_centre}"] * bool(
            block.zero_centre
        )
        parts += [block.stop_gradient] * (block.stop_gradient != "none")
        yield Cell(
            row=block.row,
            name=block.name.replace("{network}", network) or " ".join(parts),
            network=network,
            objective=objective,
            training=training,
            quantizer=quantizer,
            centring=centring,
            scale_bound=bound,
            parent=parent,
            everywhere=block.everywhere,
            skip_uncoded=block.skip_uncoded,
        )
