"""The order of the rooms: imports run up this list, never down it, and no two files import each other."""

import ast
import importlib
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "galcnn"

#: In the order in which data travels. A room imports what stands before it.
ORDER = [
    "errors",
    "plugins",
    "_runtime",
    "cutout",
    "photometry",
    "catalog",
    "transforms",
    "simulation",
    "files",
    "redshifting",
    "mosaic",
    "surveys",
    "model",
    "dataset",
    "training",
    "prediction",
    "evaluation",
    "uncertainty",
    "explain",
    "diagnostics",
    "adversarial",
    "layers",
    "viewers",
    "experiment",
    "faithfulness",
    "covariate_shift",
    "pipeline",
    "report",
    "workflows",
    "testing",
    "cli",
]
RANK = {room: number for number, room in enumerate(ORDER)}
#: Names that say nothing of what a file holds.
LEFTOVERS = {"utils", "common", "core", "helpers", "misc"}


def modules_of(package):
    """Dotted name -> path, of all modules of a package."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def exports_of(package):
    """(room, name) -> the module that holds it, as the rooms' stubs say."""
    found = {}
    for path in sorted(package.rglob("__init__.pyi")):
        room = ".".join(path.relative_to(package.parent).parts[:-1])
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    found[room, alias.asname or alias.name] = f"{room}.{node.module}"
    return found


def imports_of(path, modules):
    """(module, name) of every import of this package, at the top, in a function or for types alone."""
    package = next(iter(modules)).split(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by the whole name"
            if node.module and node.module.split(".")[0] == package:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield (inner, "") if inner in modules else (node.module, alias.name)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == package)


def arrows(package):
    """Module -> the modules whose definitions it imports, through the rooms' `__init__`."""
    modules, exports = modules_of(package), exports_of(package)
    return {
        module: {exports.get((target, name), target) for target, name in imports_of(path, modules)}
        for module, path in modules.items()
    }


def room_of(module):
    return module.split(".")[1] if "." in module else ""


def against_the_order(package):
    """Imports of a room that stands later in the list."""
    return sorted(
        f"{module} imports {target}"
        for module, targets in arrows(package).items()
        for target in targets
        if room_of(module) and (not room_of(target) or RANK[room_of(target)] > RANK[room_of(module)])
    )


def circles(package):
    """Modules from which imports lead back to themselves."""
    graph = arrows(package)

    def reached(start):
        seen, left = set(), [*graph.get(start, ())]
        while left:
            if (module := left.pop()) not in seen:
                seen.add(module)
                left += graph.get(module, ())
        return seen

    return sorted(module for module in graph if module in reached(module))


def public_classes(package):
    """Name -> the modules that define a class of this name; names with an underscore are a file's own."""
    found = defaultdict(list)
    for module, path in modules_of(package).items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(module)
    return found


def test_every_room_is_in_the_order():
    assert {room_of(module) for module in modules_of(PACKAGE)} - {""} == set(ORDER)


def test_imports_run_in_the_order_of_the_rooms():
    assert against_the_order(PACKAGE) == []


def test_no_files_import_each_other():
    assert circles(PACKAGE) == []


def test_a_file_imports_files_of_its_own_room_not_the_room():
    modules = modules_of(PACKAGE)
    wrong = [
        f"{module}: {name}"
        for module, path in modules.items()
        if module.count(".") > 1
        for target, name in imports_of(path, modules)
        if target == ".".join(module.split(".")[:2]) and name
    ]
    assert wrong == []


def test_pipeline_is_imported_through_its_interface():
    modules = modules_of(PACKAGE)
    wrong = [
        f"{module}: {target}.{name}"
        for module, path in modules.items()
        if room_of(module) != "pipeline"
        for target, name in imports_of(path, modules)
        if target.startswith("galcnn.pipeline.")
    ]
    assert wrong == []


def test_no_file_hides_a_name_that_its_room_exports():
    modules = modules_of(PACKAGE)
    # Once imported, a module of this name would stand where the function is looked for.
    assert [f"{room}.{name}" for room, name in exports_of(PACKAGE) if f"{room}.{name}" in modules] == []


def test_every_exported_name_is_there():
    for room in sorted({room for room, _ in exports_of(PACKAGE)} - {"galcnn.workflows"}):
        module = importlib.import_module(room)
        missing = [name for name in module.__all__ if isinstance(getattr(module, name), ModuleType)]
        assert missing == [], room


def test_one_class_bears_a_name():
    assert {name: where for name, where in public_classes(PACKAGE).items() if len(where) > 1} == {}


def test_no_module_is_named_for_leftovers():
    assert [name for name in modules_of(PACKAGE) if LEFTOVERS & set(name.split("."))] == []


def test_the_face_imports_nothing_and_knows_all_it_names():
    import galcnn

    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in top}
    assert names == {"lazy_loader", "galcnn._runtime.version"}
    for name in galcnn.__all__:
        assert getattr(galcnn, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = galcnn.nonsense


@pytest.fixture
def small_house(tmp_path):
    """A package of two rooms, in order."""
    package = tmp_path / "galcnn"
    for room in ("catalog", "model"):
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "catalog" / "names.py").write_text("class Name: ...\n")
    (package / "model" / "card.py").write_text("from galcnn.catalog.names import Name\n")
    return package


def test_the_walker_sees_an_import_against_the_order(small_house):
    assert against_the_order(small_house) == []
    (small_house / "catalog" / "bad.py").write_text("def f():\n    from galcnn.model.card import Card\n")
    assert against_the_order(small_house) == ["galcnn.catalog.bad imports galcnn.model.card"]


def test_the_walker_sees_a_circle_for_types(small_house):
    assert circles(small_house) == []
    (small_house / "catalog" / "names.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from galcnn.catalog.rows import Row\n"
    )
    (small_house / "catalog" / "rows.py").write_text("from galcnn.catalog import Name\n")
    (small_house / "catalog" / "__init__.pyi").write_text("from .names import Name as Name\n")
    assert circles(small_house) == ["galcnn.catalog.names", "galcnn.catalog.rows"]


def test_the_walker_sees_two_classes_of_one_name(small_house):
    (small_house / "model" / "other.py").write_text("class Name: ...\n")
    assert public_classes(small_house)["Name"] == ["galcnn.catalog.names", "galcnn.model.other"]
