"""Numbers of a card that cannot be: refused by the name of their field, in a card that is sealed again."""

import copy
import json
import math
import re

import pytest

from galcnn.model import Card, InputSpec
from galcnn.model.card import _digest
from galcnn.pipeline.info import _model

CARD = Card(
    ("edge", "round"),
    InputSpec(("g", "r"), "nJy", (16, 12), 0.4),
    data={"survey": "simulated", "counts": {"train": {"edge": 5, "round": 7}}, "masked_fraction": 0.01},
    class_prior={"edge": 0.4, "round": 0.6},
    trained_prior={"edge": 0.5, "round": 0.5},
    settings={"seed": 3, "training": {"label_smoothing": 0.05}},
    metrics={"n_test": 8, "epochs": 2, "test": {"accuracy": {"value": 0.9, "low": 0.8, "high": 1.0, "n": 8}}},
    cost={
        "parameters": 2962,
        "receptive_field": 31,
        "megabytes": 0.012,
        "megabytes_per_image": 0.018,
        "megaflops_per_image": 0.204,
    },
    devices={"replicas": 1},
)
WRONG = (float("nan"), float("inf"), float("-inf"), -1, 0, 1e300, "x", None, True, [], {})


def numbers_of(content, path=()):
    """The paths of all numbers in nested lists and mappings."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from numbers_of(value, (*path, key))
        elif isinstance(value, int | float):
            yield (*path, key)


def changed(path, value):
    content = copy.deepcopy(CARD.to_dict())
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


def written(content, folder):
    folder.mkdir(exist_ok=True)
    file = folder / "card.json"
    file.write_text(json.dumps(content | {"card_sha256": _digest(content)}))
    return file


PATHS = list(numbers_of(json.loads(json.dumps(CARD.to_dict()))))
#: Free text of the experiment: whatever uses it checks it.
FREE = ("data", "settings", "devices")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_a_number_that_cannot_be_is_refused_and_any_other_is_harmless(path, tmp_path):
    accepted = []
    for value in WRONG:
        file = written(changed(path, value), tmp_path / "model")
        try:
            card = Card.read(file)
        except ValueError as error:
            assert re.search("a model card|a card of format", str(error))  # noqa: PT017
            continue
        accepted.append(value)
        assert "nan" not in repr(card).lower()
        _model(card)
        card._check_numbers()
    assert not [value for value in accepted if isinstance(value, float) and not math.isfinite(value)]
    allowed = {
        "inputs": [None] if path[-1] == "pixel_scale" else [],
        "class_prior": [],
        "trained_prior": [],
        "cost": [0],
        "format": [],
        "metrics": [-1, 0, None],
    }
    if path[0] not in FREE and path != ("metrics", "epochs"):
        assert all(value in allowed[path[0]] or path[-1] == "receptive_field" for value in accepted), accepted


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pixel_scale": -0.2}, "pixel scale of more than 0"),
        ({"pixel_scale": float("nan")}, "pixel_scale=nan"),
        ({"shape": (0, 8)}, r"shape=\(0, 8\)"),
        ({"shape": (8.5, 8)}, "shape"),
        ({"shape": (10**9, 8)}, "1 to 65536 pixels"),
        ({"bands": ()}, "names of bands"),
        ({"bands": ("g", 5)}, "names of bands"),
        ({"unit": None}, "unit as text"),
    ],
)
def test_an_input_specification_that_cannot_be_is_refused_anywhere(change, said):
    spec = {"bands": ("g", "r"), "unit": "nJy", "shape": (16, 12), "pixel_scale": 0.4} | change
    with pytest.raises(ValueError, match=said):
        InputSpec(**spec)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("class_prior", {"edge": 0.4, "spiral": 0.6}),
        ("trained_prior", {"edge": 0.4, "round": 0.4}),
        ("class_prior", {"edge": 1.0}),
        ("data", []),
        ("name", 5),
        ("notes", [5]),
        ("classes", ["edge", 5]),
        ("inputs", {"bands": ["g"], "unit": "nJy", "shape": [8, 8], "render": "no such step"}),
    ],
)
def test_a_field_of_another_kind_is_refused(field, value, tmp_path):
    content = CARD.to_dict() | {field: value}
    with pytest.raises(ValueError, match="a model card"):
        Card.read(written(content, tmp_path / "model"))
