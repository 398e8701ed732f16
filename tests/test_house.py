"""The house keeps its lines: who imports whom, no circles, no module too long, nothing at import that needs Linux."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("decoder", "harness", "leaderboard", "submission")
MAY_IMPORT = {
    "decoder": {"decoder"},
    "harness": {"harness"},
    "leaderboard": {"leaderboard", "harness"},
    "submission": set(PACKAGES),
}
DECODERS_LIBRARIES = {"torch", "numpy", "PIL"}
LINES = 350
LINUX_ALONE = {"fcntl", "resource", "pwd", "grp", "termios"}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imports(path: Path, at_import_alone: bool = False) -> Iterator[str]:
    """Full names of what a module imports; those within functions and for type checkers too, unless left out."""
    tree = ast.parse(path.read_text())
    nodes = _run_at_import(tree) if at_import_alone else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _run_at_import(child)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_in_one_direction(package: str) -> None:
    allowed = MAY_IMPORT[package]
    for name, path in MODULES.items():
        if name.split(".")[0] == package:
            ours = {target.split(".")[0] for target in imports(path)} & set(PACKAGES)
            assert ours <= allowed, f"{name} imports {ours - allowed}"


def test_the_decoder_needs_three_libraries() -> None:
    import sys

    for name, path in MODULES.items():
        if name.split(".")[0] == "decoder":
            foreign = {target.split(".")[0] for target in imports(path)} - sys.stdlib_module_names - {"decoder"}
            assert foreign <= DECODERS_LIBRARIES, f"{name} imports {foreign}"


def test_no_module_reaches_itself_by_its_imports() -> None:
    graph = {name: {t for t in imports(path, at_import_alone=True) if t in MODULES} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_no_module_is_too_long() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert not {name: length for name, length in lengths.items() if length > LINES}


def test_nothing_is_imported_at_once_that_linux_alone_has() -> None:
    for name, path in MODULES.items():
        found = {target.split(".")[0] for target in imports(path, at_import_alone=True)} & LINUX_ALONE
        assert not found, f"{name} imports {found}"
