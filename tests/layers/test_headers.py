"""Names of layers need no quoting; a card holds its text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galcnn.layers.headers import card_text, extension_name


@given(st.text(max_size=200))
def test_a_card_holds_it(text):
    short = card_text(text)
    assert len(short.replace("'", "''")) <= 68


def test_short_texts_are_left_alone_and_long_ones_end_in_dots():
    assert card_text("SDSS J1234") == "SDSS J1234"
    assert card_text("x" * 68) == "x" * 68
    assert card_text("x" * 69) == "x" * 65 + "..."


@given(st.text(), st.text(), st.text())
def test_names_of_extensions_need_no_quoting(method, target, band):
    name = extension_name(method, target, band)
    assert re.fullmatch("[A-Z0-9_]+", name)
    assert len(name) <= 62


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("saliency", "spiral", "g"), "SAL_SPIRAL_G"),
        (("cam", "spiral", "all"), "CAM_SPIRAL"),
        (("grad_cam", "spiral-elliptical", "i'"), "GRAD_CAM_SPIRAL_ELLIPTICAL_I"),
        (("saliency", "Spirale à gauche", "F606W"), "SAL_SPIRALE_A_GAUCHE_F606W"),
        (("銀河", "", "r"), "X_X_R"),
    ],
)
def test_names_of_layers(parts, name):
    assert extension_name(*parts) == name
