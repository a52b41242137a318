"""The page in a real Chromium: clicks and keys, as a reader makes them."""

import colorsys
import time

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from matplotlib import colormaps
from PIL import Image

from galcnn.files import save_cutout
from galcnn.report import Known, write_report
from galcnn.viewers.plots.panels import colour_limit, summed
from tests.report.browser import chromium, complaints, needs_chromium
from tests.report.galaxies import (
    CLASSES,
    HOSTILE,
    UNPRINTABLE,
    a_cutout,
    a_stack,
    answers,
    read_report,
    values_of,
    write_answers,
)

pytestmark = [pytest.mark.full, needs_chromium]

IDS = (*HOSTILE, UNPRINTABLE, *(f"G{i:02d}" for i in range(51)))
SHAPE = (24, 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty galaxies, three with maps, one whose file is broken; true classes of all but one."""
    place = tmp_path_factory.mktemp("page")
    table = answers(IDS, failed=(12,))
    table.add_column([*(CLASSES[row % 3] for row in range(len(IDS) - 1)), ""], name="true_class", index=1)
    write_answers(table, place / "classes.parquet")
    (place / "layers").mkdir()
    for row in (0, 10, 11):
        a_stack(IDS[row], seed=row, wcs=row != 11).write(place / "layers" / f"{row}.fits")
    (place / "images").mkdir()
    for row in range(13, 40):
        save_cutout(a_cutout(row), place / "images" / f"{IDS[row]}.fits")
    (place / "images" / "G09.fits").write_bytes(b"no FITS")
    sources = [place / "classes.parquet", place / "layers"]
    write_report(sources, place / "out", known=Known(images=place / "images"), title=HOSTILE[0])
    return place / "out"


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(browser, folder):
    """Opened anew from the disk; at its end nothing was refused, missing or hacked."""
    browser.get("about:blank")
    browser.get((folder / "index.html").as_uri())
    yield Page(browser)
    assert browser.execute_script("return globalThis.hacked") is None
    assert complaints(browser) == []


class Page:
    def __init__(self, driver):
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys

        self.driver, self._by, self.keys = driver, By.CSS_SELECTOR, Keys

    def all(self, selector):
        return self.driver.find_elements(self._by, selector)

    def one(self, selector):
        return self.driver.find_element(self._by, selector)

    def run(self, script, *words):
        return self.driver.execute_script(script, *words)

    def wait(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)
        return found

    def press(self, *keys):
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def click(self, element):
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def ids(self):
        """Of the rows in the page, from the top."""
        return self.run(
            "return [...document.querySelectorAll('#table tbody th.id span')].map(e => e.textContent)"
        )

    def tally(self):
        return self.one("#tally").text

    def sort(self, name):
        header = next(th for th in self.all("#table thead th") if th.get_attribute("data-name") == name)
        self.click(header.find_element(self._by, "button"))
        return header.get_attribute("aria-sort")

    def choose(self, field, text):
        from selenium.webdriver.support.ui import Select

        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", self.one("#filters"))
        Select(self.one(f"#filters [name={field}]")).select_by_visible_text(text)

    def open(self, name):
        """Find an object by its name, and click its row."""
        field = self.one("#filters [name=text]")
        field.clear()
        field.send_keys(name)
        self.wait(lambda: self.ids() == [name])
        self.click(self.one("#table tbody tr[data-row]"))
        self.wait(lambda: self.one("#viewer-title").text == name)
        self.wait(lambda: self.run("return !document.querySelector('.looks').hidden"))

    def switch(self, name, value):
        for label in self.all(f"[data-switch={name}] label"):
            if label.text == value:
                self.click(label)
                return
        raise AssertionError(f"{name} has no {value}")

    def switches(self, name):
        return [label.text for label in self.all(f"[data-switch={name}] label") if label.is_displayed()]

    def readout(self):
        terms = zip(self.all(".readout dt"), self.all(".readout dd"), strict=True)
        return {term.text: said.text for term, said in terms}

    def canvas(self):
        """Pixels of the map as it is drawn, row 0 at the bottom."""
        flat = self.run(
            "const c = document.querySelector('.plane canvas');"
            "return [c.height, c.width, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
        )
        return np.array(flat[2:], dtype=np.uint8).reshape(flat[0], flat[1], 4)[::-1]


def column(folder, name):
    return values_of(read_report(folder), name)


def test_every_hostile_name_is_shown_as_it_is(page, folder):
    assert page.one("#title").text == HOSTILE[0]
    assert page.run("return document.title") == f"{HOSTILE[0]} – galcnn report"
    assert page.tally() == "60 objects"
    assert page.ids()[: len(HOSTILE)] == list(HOSTILE)
    assert "60 objects" in page.one("#summary").text
    page.open(HOSTILE[0])
    assert "file:///" in page.one("#viewer a").get_attribute("href")
    assert page.run("return document.querySelectorAll('[onerror], [onmouseover]').length") == 0


def test_names_open_by_their_link(page, folder):
    from urllib.parse import quote

    for row in (1, 3, len(HOSTILE)):
        page.driver.get("about:blank")
        page.driver.get(f"{(folder / 'index.html').as_uri()}#object={quote(IDS[row], safe='')}")
        title = page.run("return document.getElementById('viewer-title')?.textContent")
        assert title == IDS[row]


def test_headings_sort_both_ways_and_gaps_stand_last(page, folder):
    entropy = np.array([np.nan if value is None else value for value in column(folder, "entropy")])
    assert page.sort("entropy") == "descending"
    assert page.ids()[:5] == [IDS[row] for row in np.argsort(-entropy)[:5]]
    assert page.sort("entropy") == "ascending"
    assert page.ids()[:5] == [IDS[row] for row in np.argsort(entropy)[:5]]
    page.run("const s = document.getElementById('scroller'); s.scrollTop = s.scrollHeight")
    page.wait(lambda: page.ids()[-1] == IDS[12])
    assert page.sort("id") == "ascending"
    assert page.one("[data-name=entropy]").get_attribute("aria-sort") == "none"


def test_filters_leave_what_passes_them(page, folder):
    said, true = column(folder, "class"), column(folder, "true_class")
    page.choose("said", "spiral")
    assert page.tally() == f"{said.count('spiral')} of 60 objects"
    page.choose("answer", "wrong")
    wrong = [IDS[row] for row in range(60) if said[row] == "spiral" and true[row] not in ("", "spiral")]
    assert page.ids() == wrong[: len(page.ids())]
    assert page.tally() == f"{len(wrong)} of 60 objects"
    page.click(page.one("#filters [type=reset]"))
    page.wait(lambda: page.tally() == "60 objects")
    page.choose("flag", "unreadable")
    assert page.ids() == [IDS[12]]
    page.choose("flag", "all")
    page.choose("ranged", "edge-on / disc")
    page.one("#filters [name=low]").send_keys("0.4")
    page.one("#filters [name=high]").send_keys("0.7")
    chances = column(folder, "p_edge-on / disc")
    inside = [IDS[row] for row in range(60) if chances[row] is not None and 0.4 <= chances[row] <= 0.7]
    assert page.tally() == f"{len(inside)} of 60 objects"
    page.one("#filters [name=text]").send_keys("nothing of this name")
    assert page.one("#nothing").is_displayed()


def test_rows_say_what_the_table_says(page, folder):
    content = read_report(folder)
    cells = page.run(
        "const row = document.querySelector('#table tbody tr[data-row=\"1\"]');"
        "return [...row.children].map(e => e.textContent)"
    )
    shown = dict(zip([one["name"] for one in content["columns"]], cells[1:], strict=True))
    for name in CLASSES:
        assert shown[f"p_{name}"] == f"{column(folder, f'p_{name}')[1]:.3f}"
    assert shown["class"] == column(folder, "class")[1]
    assert shown["true_class"].endswith(column(folder, "true_class")[1])
    assert shown["true_class"][0] == ("✓" if shown["class"] == column(folder, "true_class")[1] else "✗")
    first = page.one('#table tbody tr[data-row="0"]')
    assert [flag.text for flag in first.find_elements("css selector", ".flag")] == [
        "over 10 % masked",
        "blank band",
    ]


def test_columns_of_any_name_and_kind_are_shown(browser, tmp_path):
    """Whole numbers to the last digit, words where galcnn has numbers, and numbers for words."""
    table = answers(("a", "b"))
    table["constructor"] = [1237657, 9876543]  # a name that every object of JavaScript knows
    table["dec"] = ["-01:00:06.6", ""]
    table["set"] = [1.25, -2.5]
    write_report([write_answers(table, tmp_path / "t.parquet")], tmp_path / "out")
    browser.get((tmp_path / "out" / "index.html").as_uri())
    page = Page(browser)
    headings = page.run("return [...document.querySelectorAll('#table thead th')].map(e => e.dataset.name)")
    place = {name: headings.index(name) for name in ("constructor", "dec", "set")}
    cells = [
        [row.find_elements("css selector", "td, th")[at].text for at in place.values()]
        for row in page.all("#table tbody tr[data-row]")
    ]
    assert cells == [["1237657", "-01:00:06.6", "1.250"], ["9876543", "", "−2.500"]]
    assert page.one("#table thead th[data-name=constructor]").text == "constructor"
    assert complaints(browser) == []


def test_sections_and_the_matrix_lead_to_objects(page, folder):
    content = read_report(folder)
    card = page.one("[data-section=mistakes] .card")
    assert f"true: {column(folder, 'true_class')[content['sections'][0]['rows'][0]]}" in card.text
    page.click(card)
    assert page.one("#viewer-title").text == IDS[content["sections"][0]["rows"][0]]
    page.press(page.keys.ESCAPE)
    page.click(page.one("[data-section=uncertain] .plain"))
    assert page.one("[data-name=entropy]").get_attribute("aria-sort") == "descending"
    page.click(page.all(".confusion td button")[2])
    assert page.tally() == f"{content['confusion'][0][2]} of 60 objects"


def test_switches_and_slider_change_the_map(page):
    stack = a_stack(IDS[10], seed=10)
    page.open(IDS[10])
    assert page.switches("method") == ["saliency", "cam"]
    assert page.switches("target") == ["spiral", "spiral-elliptical"]
    assert page.switches("band") == ["all bands", "g", "r"]
    assert_drawn(page, summed(stack.explanations[0]))
    page.switch("band", "r")
    assert_drawn(page, stack.explanations[0].attribution[1])
    page.switch("target", "spiral-elliptical")
    assert_drawn(page, stack.explanations[1].attribution[1])
    page.switch("method", "cam")
    assert page.switches("target") == ["spiral"]
    assert page.switches("band") == []
    assert_drawn(page, summed(stack.explanations[2]))
    slider = page.one("#opacity")
    assert page.run("return document.querySelector('.plane canvas').style.opacity") == "1"
    slider.send_keys(*[page.keys.ARROW_LEFT] * 25)
    assert page.run("return document.querySelector('.plane canvas').style.opacity") == "0.75"
    assert page.one("output[for=opacity]").text == "75 %"
    assert page.one("#viewer-title").text == IDS[10], "arrows in the slider do not change the object"


def assert_drawn(page, values):
    """In matplotlib's colours, white at zero, with the limits of the figures on both sides."""
    limit, drawn = colour_limit(values), page.canvas()
    wanted = colormaps["RdBu_r"](np.clip(values / limit, -1, 1) / 2 + 0.5, bytes=True)
    known = np.isfinite(values)
    assert (drawn[~known] == [191, 191, 191, 255]).all()
    assert np.abs(drawn[known].astype(int) - wanted[known]).max() <= 6  # a step of the colours
    ends = [element.text for element in page.all(".bar .ends span")]
    assert ends[1] == "0"
    assert ends[0] == f"−{ends[2]}"
    hue = [
        colorsys.rgb_to_hsv(*(drawn[known][i, :3] / 255.0))
        for i in (values[known].argmax(), values[known].argmin())
    ]
    assert hue[0][0] < 0.1 or hue[0][0] > 0.9  # red above zero
    assert 0.5 < hue[1][0] < 0.7  # blue below


def test_the_cross_reads_pixel_sky_and_value(page):
    stack = a_stack(IDS[10], seed=10)
    page.open(IDS[10])
    pane = page.one("[data-pane=map]")
    pane.send_keys(*[page.keys.ARROW_RIGHT] * 3, *[page.keys.ARROW_UP] * 2)
    x, y = SHAPE[1] // 2 + 3, SHAPE[0] // 2 + 2  # from 0
    said = page.readout()
    assert said["pixel"] == f"{x + 1}.0, {y + 1}.0"
    ra, dec = said["in degrees"].split(", ")
    true = stack.cutout.wcs.pixel_to_world(x, y)
    assert SkyCoord(float(ra), float(dec), unit="deg").separation(true).arcsec < 0.06
    words = said["RA, Dec"].replace("−", "-").replace("°", "d").replace("′", "m").replace("″", "s")
    assert SkyCoord(words).separation(true).arcsec < 0.15
    value = float(
        said["map"]
        .split(" logit")[0]
        .replace("−", "-")
        .replace(" × 10", "e")
        .translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    )
    assert value == pytest.approx(summed(stack.explanations[0])[y, x], rel=0.01, abs=2e-8)
    pane.send_keys(*[page.keys.ARROW_LEFT] * 40, *[page.keys.ARROW_DOWN] * 40)
    assert page.readout()["map"] == "no value"
    assert page.readout()["pixel"] == "1.0, 1.0"


def test_the_mouse_moves_the_cross_and_the_wheel_zooms_both(page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    page.open(IDS[10])
    pane = page.one("[data-pane=galaxy]")
    width, height = pane.size["width"], pane.size["height"]
    ActionChains(page.driver).move_to_element_with_offset(
        pane, round(width / 4), round(-height / 4)
    ).perform()
    x, y = map(float, page.readout()["pixel"].split(", "))
    assert x == pytest.approx(0.5 + 0.75 * SHAPE[1], abs=0.2)
    assert y == pytest.approx(0.5 + 0.75 * SHAPE[0], abs=0.2)
    ActionChains(page.driver).scroll_from_origin(ScrollOrigin.from_element(pane), 0, -120).perform()
    page.wait(lambda: page.one(".zoom output").text == "1.3×")
    transforms = page.run("return [...document.querySelectorAll('.plane')].map(e => e.style.transform)")
    assert len(set(transforms)) == 1
    assert transforms[0].endswith("scale(1.25)")
    page.press("+", "+")
    assert page.one(".zoom output").text == "5.0×"
    page.press("0")
    assert page.one(".zoom output").text == "1.0×"


def test_north_and_east_are_those_of_the_wcs(page):
    stack = a_stack(IDS[10], seed=10)
    page.open(IDS[10])
    drawn = page.run(
        "const d = galcnn.sky.directions(galcnn.kept.get(10).pictures[0]); return [d.north, d.east]"
    )
    middle = stack.cutout.wcs.pixel_to_world(SHAPE[1] / 2 - 0.5, SHAPE[0] / 2 - 0.5)
    for found, angle in zip(drawn, (0, 90), strict=True):
        x, y = stack.cutout.wcs.world_to_pixel(middle.directional_offset_by(angle * u.deg, 1 * u.arcsec))
        wanted = np.array([x - (SHAPE[1] / 2 - 0.5), y - (SHAPE[0] / 2 - 0.5)])
        np.testing.assert_allclose(found, wanted / np.hypot(*wanted), atol=1e-3)
    width = page.one(".scale").size["width"] / page.one("[data-pane=galaxy]").size["width"]
    assert page.one(".scale").text == "5″"
    assert width == pytest.approx(5 / (SHAPE[1] * 0.5), abs=0.02)


def test_what_an_object_lacks_is_said(page):
    page.open(IDS[11])
    assert page.readout()["RA, Dec"] == "the image has no WCS"
    page.press(page.keys.ESCAPE)
    page.open(IDS[20])
    assert "No maps" in page.one("#viewer .note").text
    assert not page.one("[data-pane=map]").is_displayed()
    page.press(page.keys.ARROW_RIGHT)  # alone in the filtered table
    assert page.one("#viewer-title").text == IDS[20]
    page.press(page.keys.ESCAPE)
    page.click(page.one("#filters [type=reset]"))
    page.wait(lambda: page.tally() == "60 objects")
    page.run("document.querySelector('#table tbody tr[data-row=\"1\"]').click()")
    assert "No picture" in page.one("#viewer .note").text


def test_a_curve_has_a_gap_where_an_epoch_has_no_value(page):
    training, validation = page.run(
        "return [...galcnn.curve('loss', [1, null, 0.5], [2, 1.25, null]).querySelectorAll('.line')]"
        ".map((line) => line.getAttribute('d'))"
    )
    assert training == "M44.0,98.7h0M314.0,144.0h0"  # of 0.5 to 2 on 136 pixels, from 44 to 314
    assert validation == "M44.0,8.0h0L179.0,76.0h0"


def test_all_of_it_works_by_keyboard(page):
    keys = page.keys
    page.one("#filters [name=text]").send_keys("")
    row = page.wait(lambda: page.one("#table tbody tr[tabindex='0']"))
    page.run("arguments[0].focus()", row)
    focused = "return Number(document.activeElement.dataset.row)"
    page.press(keys.ARROW_DOWN, keys.ARROW_DOWN)
    assert page.run(focused) == 2
    page.press(keys.END)
    assert page.run(focused) == 59
    assert page.run("return document.activeElement.getAttribute('aria-rowindex')") == "61"
    page.press(keys.PAGE_UP)
    assert 45 < page.run(focused) < 59
    page.press(keys.HOME, keys.ARROW_DOWN)
    for _ in range(9):
        page.press(keys.ARROW_DOWN)
    page.press(keys.ENTER)
    page.wait(lambda: page.one("#viewer-title").text == IDS[10])
    assert page.run("return document.getElementById('viewer').matches(':modal')")
    page.press(keys.ARROW_RIGHT)
    page.wait(lambda: page.one("#viewer-title").text == IDS[11])
    page.wait(lambda: page.run("return !document.querySelector('.looks').hidden"))
    for _ in range(30):
        page.press(keys.TAB)
        if page.run("return document.activeElement.name") == "switch-method":
            break
    page.press(keys.ARROW_RIGHT)
    assert page.run("return document.querySelector('[name=switch-method]:checked').value") == "cam"
    page.press(keys.ESCAPE)
    assert not page.run("return document.getElementById('viewer').open")
    assert page.run(focused) == 11, "the keyboard is where the reader was"
    page.press(keys.SPACE)
    assert page.one("#viewer-title").text == IDS[11]


def test_ten_thousand_objects_keep_the_page_small(browser, tmp_path):
    """Rows and pictures in the page are those that are seen, wherever a reader is."""
    n = 10_000
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(
        tmp_path / "one.png"
    )
    ids = [f"J{i:05d}" for i in range(n)]
    Table({"id": ids, "image": ["one.png"] * n}).write(tmp_path / "known.ecsv")
    write_answers(answers(ids), tmp_path / "classes.parquet")
    write_report([tmp_path / "classes.parquet"], tmp_path / "out", known=Known(tmp_path / "known.ecsv"))
    assert len(list((tmp_path / "out" / "data" / "thumbnails").iterdir())) == n / 25
    browser.get((tmp_path / "out" / "index.html").as_uri())
    page = Page(browser)
    rows = "return document.querySelectorAll('#table tbody tr[data-row]').length"
    sheets = (
        "const seen = [...document.querySelectorAll('#objects .thumbnail')];"
        "return new Set(seen.map(e => e.style.backgroundImage)).size"
    )
    assert page.tally() == "10,000 objects"
    assert 5 < page.run(rows) <= 30
    assert page.run("return document.querySelectorAll('*').length") < 3000
    page.sort("entropy")
    for share in (0.1, 0.37, 0.9, 1.0, 0.5):
        page.run(
            "const s = document.getElementById('scroller'); s.scrollTop = arguments[0] * s.scrollHeight",
            share,
        )
        page.wait(lambda share=share: abs(first_row(page) - share * n) < 20)
        assert 5 < page.run(rows) <= 30
        assert page.run(sheets) <= 30
    page.one("#filters [name=text]").send_keys("J0999")
    assert page.tally() == "10 of 10,000 objects"
    assert (
        page.run(
            "return performance.getEntriesByType('resource').filter(e => e.name.includes('objects/')).length"
        )
        == 0
    )
    assert complaints(browser) == []


def first_row(page):
    """In one step of the page: while it scrolls, a row that was found may be gone when it is asked."""
    return int(page.run("return document.querySelector('#table tbody tr[data-row]').ariaRowIndex"))
