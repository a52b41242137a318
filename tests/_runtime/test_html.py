"""What notebooks show: small, escaped, of nothing from elsewhere; pictures with the right pixels."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from galcnn._runtime.html import grey_picture, overview, picture, signed_picture
from galcnn.cutout import Cutout
from galcnn.explain import Explanation
from galcnn.model import Target
from galcnn.prediction import Prediction
from tests.layers.test_stack import CLASSES, HOSTILE, a_cutout, a_stack

ATTACK = "<img src=x onerror=alert(1)>\"'&</td><script>alert(2)</script>"


class Page(HTMLParser):
    """Elements, attributes and text of a page, as a browser reads them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "elements close in order"

    def handle_data(self, data):
        self.text.append(data)


def check(html):
    """The rules for any page; gives it read."""
    page = Page(html)
    assert page.open == []
    assert {tag for tag, _ in page.tags} <= {
        "div", "strong", "table", "tr", "th", "td", "figure", "figcaption", "img",
    }  # fmt: skip
    for tag, attributes in page.tags:
        assert set(attributes) <= {"style", "src", "width", "height", "alt"}, tag
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
    assert "://" not in re.sub(r"data:image/png;base64,[^\"]*", "", html).replace(ATTACK, "")
    return page


def pixels(element):
    data = base64.b64decode(re.search(r"base64,([^\"]*)", element)[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def hostile_things(name):
    classes = (f"a{name}", f"b{name}", f"c{name}")
    target = Target(name, (1.0, 0.0, 0.0))
    made = Explanation(
        np.zeros((1, 16, 18)), (name or "x",), name, target, "stretched", name, 1.0, {name: name}
    )
    cutout = replace(a_cutout(), survey=name, bands=(f"{name}1", f"{name}2"))
    stack = a_stack(
        cutout=cutout,
        prediction=Prediction((name,), [[1.0, 2.0, 3.0]], classes),
        explanations=(made,),
        provenance={"model": name},
    )
    return cutout, made, stack


@pytest.mark.parametrize("name", [ATTACK, *HOSTILE], ids=range(len(HOSTILE) + 1))
def test_hostile_names_are_text(name):
    for thing in hostile_things(name):
        page = check(thing._repr_html_())
        if name == ATTACK:
            assert any(ATTACK in text for text in page.text)
            assert not any(tag == "script" for tag, _ in page.tags)


def test_a_model_shows_its_card(trained):
    card = replace(trained.card, name=ATTACK, metrics={"accuracy": 0.875, "by_class": {"round": 1.0}})
    page = check(replace(trained, card=card)._repr_html_())
    said = " ".join(page.text)
    for fact in (
        ATTACK,
        "round, thin",
        "16 x 16 pixels, g, r, in nJy",
        "0.4 arcsec",
        "test accuracy",
        "0.875",
    ):
        assert fact in said
    assert f"{trained.model.count_params():,}" in said
    assert "by_class" not in said


def test_a_cutout_shows_its_bands_upright():
    flux = np.zeros((2, 20, 30))
    flux[0, 15:, 20:] = 1  # top right
    html = Cutout(flux, ("g", "r"), survey="DES")._repr_html_()
    page = check(html)
    assert [a["alt"] for tag, a in page.tags if tag == "img"] == ["band g", "band r"]
    seen = pixels(html)
    assert seen.shape == (20, 30, 3)
    assert seen[:5, 20:].min() == 255
    assert seen[5:].max() == 0
    assert {"DES", "nJy", "(20, 30)", "0.0%"} <= set(page.text)


def test_a_map_is_white_at_zero_red_above_blue_below_grey_without():
    values = np.array([[0.0, 2.0], [-2.0, np.nan]])
    seen = pixels(signed_picture(values, "map"))[::-1]
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[0, 1].tolist() == [178, 24, 43]
    assert seen[1, 0].tolist() == [33, 102, 172]
    assert seen[1, 1].tolist() == [191, 191, 191]


@pytest.mark.parametrize(
    "values", [np.full((3, 3), np.nan), np.zeros((3, 3)), np.array([[np.inf, 1.0, -np.inf]])]
)
def test_pictures_of_odd_values_are_pictures(values):
    for draw in (signed_picture, grey_picture):
        assert pixels(draw(values, "odd")).shape == (*values.shape, 3)


def test_large_images_stay_small():
    noise = np.random.default_rng(0).normal(size=(12, 600, 400))
    html = Cutout(noise, tuple(f"band {i}" for i in range(12)))._repr_html_()
    assert html.count("<img") == 8
    assert max(pixels(html).shape[:2]) <= 128
    assert len(html) < 8 * 40_000
    rgb = np.zeros((1000, 10, 3), np.uint8)
    rgb[-1] = 200
    assert pixels(picture(rgb, "tall"))[0].max() == 200, "row 0 is at the bottom"


def test_long_facts_are_cut():
    page = check(overview("x", {"key": "y" * 1000}))
    assert max(map(len, page.text)) == 200


def test_a_stack_shows_the_galaxy_its_class_and_its_maps():
    stack = a_stack(id="NGC 1300")
    page = check(stack._repr_html_())
    said = " ".join(page.text)
    assert "NGC 1300" in said
    assert stack.prediction.best[0] == CLASSES[2]
    assert CLASSES[2] in said
    alts = [a["alt"] for tag, a in page.tags if tag == "img"]
    assert alts[0] == "galaxy NGC 1300"
    assert f"saliency of {CLASSES[0]}" in alts
    assert len(alts) == 1 + len(stack.explanations)
