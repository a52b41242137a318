"""The house keeps its shape: imports run down the floors, and no room is a lumber room."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "galcnn"

FLOORS = [
    {"_runtime", "errors", "atomic", "seeding", "plugins", "progress", "notebook"},
    {"cutout", "catalog", "photometry", "observing"},
    {"simulation", "transforms", "votes"},
    {"files", "redshifting", "preprocessing"},
    {"surveys", "mosaic", "inputs"},
    {"dataset", "devices", "model", "service"},
    {"training", "prediction", "explain"},
    {"evaluation", "fooling", "health", "landscape", "layers"},
    {"viewers", "testing", "doubt"},
    {"experiment"},
    {"pipeline", "report"},
    {"engines", "shift", "similarity", "studies", "trust"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS, start=1) for room in rooms}
#: Floor 1 has an order of its own: everything may word an error.
WITHIN_FLOOR = {("atomic", "errors"), ("plugins", "errors"), ("seeding", "errors")}
#: The tools that read a network's graph stand in `explain`, and are to come down to `model`.
WITHIN_FLOOR |= {("model/profile.py", "explain")}
#: Asked for by the rules of the house: a station imports the noun it receives.
LUMBER = {"utils", "common", "core", "helpers", "misc"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports_of(path: Path) -> set[str]:
    """Rooms of galcnn that a module imports, at its top or inside a function."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by the whole name"
            if node.module == "galcnn":
                names = [f"galcnn.{alias.name}" for alias in node.names]
            elif node.module:
                names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("galcnn.")}
    return rooms


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_down_the_floors(path):
    room = room_of(path)
    if room == "__init__":  # the face: see test_the_face_imports_nothing
        return
    assert room in FLOOR, f"{room} stands on no floor"
    for other in imports_of(path) - {room}:
        if not {(room, other), (str(path.relative_to(PACKAGE)), other)} & WITHIN_FLOOR:
            assert FLOOR[other] < FLOOR[room], f"{path.name} ({room}) imports {other}, which is not below it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_is_named_for_leftovers(path):
    assert not LUMBER & set(path.relative_to(PACKAGE).with_suffix("").parts)


def test_no_two_public_classes_bear_one_name():
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_every_name_that_a_room_exports_is_there():
    """Lazy rooms name modules in strings, which no checker reads."""
    for room in sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")):
        module = import_module(f"galcnn.{room}")
        for name in getattr(module, "__all__", ()):
            assert getattr(module, name) is not None, f"{room}.{name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_below_the_face_imports_it(path):
    rooms = {one.stem for one in PACKAGE.iterdir()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert "galcnn" not in {alias.name for alias in node.names}, path
        elif isinstance(node, ast.ImportFrom) and node.module == "galcnn":
            assert {alias.name for alias in node.names} <= rooms, path


def test_the_face_imports_nothing_and_knows_all_it_names():
    import galcnn

    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {node.module for node in top} == {"__future__", "importlib", "typing", "galcnn._runtime.version"}
    for name in galcnn.__all__:
        assert getattr(galcnn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = galcnn.nonsense


def test_the_walker_sees_an_import_that_runs_up(tmp_path):
    bad = tmp_path / "cutout.py"
    bad.write_text("def f():\n    from galcnn.layers import LayerStack\n    import galcnn.cli.main\n")
    assert imports_of(bad) == {"layers", "cli"}
