"""The page on which galaxies are labelled, as a file and in a real Chromium."""

import json
import re
import time

import numpy as np
import pytest
from astropy.table import Table

from galcnn.catalog import read_catalog
from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.files import save_cutout
from galcnn.pipeline import write_label_page
from tests.conftest import toy_images
from tests.report.browser import chromium, complaints, needs_chromium

HOSTILE = '</script><b>"x",\'é'
IDS = ("G0", HOSTILE, "G2", "G3", "none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four galaxies and one without an image, and their table as galcnn label-next writes it."""
    place = tmp_path_factory.mktemp("label")
    (place / "cutouts").mkdir()
    images, _ = toy_images(4, size=24)
    for number, image in enumerate(images):
        save_cutout(Cutout(np.moveaxis(image, -1, 0), ("g", "r")), place / "cutouts" / f"{number}.fits")
    files = [f"cutouts/{number}.fits" for number in (0, 1, 2, 3, 9)]
    Table({"id": list(IDS), "image": files}).write(place / "catalog.ecsv")
    table = Table({"rank": np.arange(1, 6), "id": list(IDS), "class": ["round"] * 5, "p": [0.9] * 5})
    table.write(place / "next.ecsv")
    return place


@pytest.fixture(scope="module")
def page(folder):
    made = write_label_page(
        folder / "next.ecsv", ["ring", "no ring"], folder / "label.html", catalog=folder / "catalog.ecsv"
    )
    return folder / "label.html", made


def data_of(path):
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL
    )
    return json.loads(found[1])


def test_the_page_holds_its_galaxies_and_nothing_else(page, folder):
    path, made = page
    held = data_of(path)
    assert made.ids == IDS[:4] == tuple(one["id"] for one in held["galaxies"])
    assert "File not found" in made.left_out["none"]
    assert held["columns"] == ["image"]
    assert held["galaxies"][2]["files"] == [str(folder / "cutouts" / "2.fits")]
    assert all(one["picture"].startswith("data:image/jpeg;base64,") for one in held["galaxies"])
    text = path.read_text()
    assert not re.findall(r"(?:src|href)=[\"']?https?:", text)
    assert "round" not in json.dumps(held), "the model's answer would bias the label"


def test_files_of_several_bands_have_a_column_each(tmp_path):
    images, _ = toy_images(1)
    for number, band in enumerate("gr"):
        save_cutout(Cutout(images[0, ..., number][np.newaxis], (band,)), tmp_path / f"a_{band}.fits")
    Table({"id": ["a"], "image": [["a_g.fits", "a_r.fits"]]}).write(tmp_path / "bands.ecsv")
    made = write_label_page(tmp_path / "bands.ecsv", ["a", "b"], tmp_path / "a.html")
    held = data_of(tmp_path / "a.html")
    assert held["columns"] == ["image_1", "image_2"]
    assert held["galaxies"][0]["files"] == [str(tmp_path / f"a_{band}.fits") for band in "gr"]
    assert made.command.endswith("--image-column image_1,image_2")


@pytest.mark.parametrize("classes", [["ring"], ["ring", "ring"], ["ring", ""]])
def test_fewer_than_two_classes_are_refused(folder, tmp_path, classes):
    with pytest.raises(ValueError, match="at least two different classes"):
        write_label_page(folder / "next.ecsv", classes, tmp_path / "a.html", catalog=folder / "catalog.ecsv")


def test_the_command_writes_the_page_once(folder, tmp_path, capsys):
    out = str(tmp_path / "label.html")
    words = ["label", str(folder / "next.ecsv"), "--catalog", str(folder / "catalog.ecsv")]
    words += ["--classes", "ring,other", "--from", "gz2-votes", "--out", out]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "4 galaxies" in told.out
    assert "galcnn train --from gz2-votes --catalog labels.csv --out mine" in told.out
    assert "none" in told.err
    assert main(words) == 2, "it is not overwritten unasked"
    assert main([*words[:-1], str(tmp_path / "label.txt")]) == 2


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    place = tmp_path_factory.mktemp("downloads")
    with chromium() as driver:
        driver.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(place)})
        yield driver, place


def press(driver, key):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys(key).perform()


def text(driver, name):
    return driver.find_element("id", name).text


@pytest.mark.full
@needs_chromium
def test_keys_label_labels_are_kept_and_the_csv_is_a_catalog(browser, page, folder):
    """Labels by key and by click, one corrected; the page is reloaded and saved; galcnn reads the file."""
    from selenium.webdriver.common.keys import Keys

    driver, downloads = browser
    driver.get(page[0].as_uri())
    assert text(driver, "name") == "G0"
    assert driver.execute_script("return document.getElementById('picture').naturalWidth") == 24
    press(driver, "1")
    assert text(driver, "name") == HOSTILE
    press(driver, "2")
    driver.find_element("css selector", "#classes button").click()
    assert (text(driver, "name"), text(driver, "tally")) == ("G3", "3 of 4 labelled")
    press(driver, Keys.ARROW_LEFT)
    press(driver, "2")  # G2 again: corrected
    assert text(driver, "name") == "G3"
    press(driver, Keys.DELETE)  # nothing to remove
    press(driver, "9")  # no such class
    assert text(driver, "tally") == "3 of 4 labelled"
    driver.refresh()
    assert (text(driver, "name"), text(driver, "tally")) == ("G3", "3 of 4 labelled"), "kept in the browser"
    driver.find_element("id", "save").click()
    saved = downloads / "labels.csv"
    for _ in range(100):
        if saved.exists() and saved.stat().st_size:
            break
        time.sleep(0.1)
    catalog = read_catalog(saved)
    assert list(catalog.ids) == ["G0", HOSTILE, "G2"]
    assert list(catalog.labels) == ["ring", "no ring", "no ring"]
    assert str(catalog.table["image"][2]) == str(folder / "cutouts" / "2.fits")
    assert complaints(driver) == []


@pytest.mark.full
@needs_chromium
def test_a_saved_csv_is_read_again(browser, page, tmp_path):
    driver, _ = browser
    driver.get(page[0].as_uri())
    driver.execute_script("localStorage.clear(); history.replaceState(null, '')")
    driver.refresh()
    assert text(driver, "tally") == "0 of 4 labelled"
    quoted = HOSTILE.replace('"', '""')
    file = tmp_path / "labels.csv"
    file.write_text(f'id,class,image\r\nG0,ring,x\r\n"{quoted}",no ring,x\r\nelse,ring,x\r\nG2,unknown,x\r\n')
    driver.find_element("id", "open").send_keys(str(file))
    for _ in range(50):
        if text(driver, "said"):
            break
        time.sleep(0.1)
    assert text(driver, "said") == "2 labels read"
    assert (text(driver, "name"), text(driver, "tally")) == ("G2", "2 of 4 labelled")
    assert complaints(driver) == []
