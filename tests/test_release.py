"""What a release is made of agrees with the package: fragments of the changelog, and the recipe for conda."""

import re
import tomllib
from pathlib import Path

import galcnn

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RECIPE = (ROOT / "conda" / "meta.yaml").read_text(encoding="utf-8")
#: Names on PyPI -> on conda-forge.
CONDA = {"matplotlib": "matplotlib-base"}


def test_fragments_of_the_changelog_have_a_number_or_a_word_and_a_kind():
    kinds = "|".join(SETTINGS["tool"]["towncrier"]["fragment"])
    names = {path.name for path in (ROOT / "changelog.d").iterdir()} - {"README.md"}
    pattern = rf"(\d+|\+[\w-]+)\.({kinds})(\.\d+)?\.md"
    assert [name for name in sorted(names) if not re.fullmatch(pattern, name)] == []


def test_the_recipe_is_of_this_version_and_has_the_dependencies_of_the_package():
    assert f'{{% set version = "{galcnn.__version__}" %}}' in RECIPE
    listed = re.search(r"^  run:\n((?:    - .*\n)+)", RECIPE, re.MULTILINE)[1]
    wanted = {"python": ""}
    for requirement in SETTINGS["project"]["dependencies"]:
        name, versions = re.match(r"([\w-]+)([^;]*)", requirement).groups()
        wanted[CONDA.get(name, name)] = versions.strip()
    assert dict(re.findall(r"^    - ([\w-]+) ?([^#\n]*?) *(?:#.*)?$", listed, re.MULTILINE)) == wanted
