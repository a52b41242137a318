"""glue, ginga and Imviz show layers with the right values at the right place on the sky.

Each is an extra: ``pip install 'galcnn[glue]'`` ...; where it is not installed its tests skip.
"""

import importlib.util
import logging
import subprocess
import sys
from importlib.metadata import entry_points

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tests.viewers.test_view import stack_with_features


def needs(package, extra):
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None,
        reason=f"{package} is not installed: pip install 'galcnn[{extra}]'",
    )


#: These packages warn of their own affairs.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("others") / "layers.fits"
    stack_with_features().write(file)
    return file


def test_importing_the_viewers_imports_none_of_them():
    code = (
        "import sys, galcnn.viewers.glue, galcnn.viewers.imviz, galcnn.viewers.samp;"
        "slow = {'glue', 'jdaviz', 'ginga', 'pyvo', 'keras', 'matplotlib.pyplot'} & set(sys.modules);"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_without_jdaviz_imviz_says_how_to_install_it(path, monkeypatch):
    from galcnn.viewers import load_into_imviz

    monkeypatch.setitem(sys.modules, "jdaviz", None)
    with pytest.raises(ImportError, match=r"pip install 'galcnn\[imviz\]'"):
        load_into_imviz(path)
    with pytest.raises(ValueError, match=r"layers=\['NONE'\]"):
        load_into_imviz(path, layers=["SCI_G", "NONE"])


def test_glue_finds_the_plugin_by_its_entry_point():
    (found,) = [one for one in entry_points(group="glue.plugins") if one.name == "galcnn"]
    assert found.value == "galcnn.viewers.glue:setup"


def test_what_is_a_layers_file(path, tmp_path):
    from galcnn.viewers.contents import holds_layers

    fits.PrimaryHDU(np.ones((3, 3))).writeto(tmp_path / "plain.fits")
    (tmp_path / "text.fits").write_text("no FITS")
    assert holds_layers(path)
    assert not holds_layers(tmp_path / "plain.fits")
    assert not holds_layers(tmp_path / "text.fits")
    assert not holds_layers(tmp_path)


@needs("glue", "glue")
def test_glue_opens_layers_and_tables_with_the_sky(path):
    from glue.core.data_factories import load_data

    from galcnn.viewers.glue import setup

    setup()
    by_label = {data.label: data for data in load_data(str(path))}
    data = by_label["layers"]
    names = [component.label for component in data.main_components]
    assert names[:3] == ["SCI_G", "SCI_R", "MASK"]
    assert {"SAL_SPIRAL_G", "CAM_EDGE_ON_DISC"} <= set(names)
    with fits.open(path) as hdulist:
        for name in names:
            np.testing.assert_array_equal(data[name], hdulist[name].data)
        cells = by_label["layers CAM_EDGE_ON_DISC_CELLS"]
        np.testing.assert_array_equal(cells["CAM_EDGE_ON_DISC_CELLS"], hdulist["CAM_EDGE_ON_DISC_CELLS"].data)
        expected = WCS(hdulist["SCI_G"].header).wcs_pix2world([[3, 4]], 0)[0]
    np.testing.assert_allclose(data.coords.pixel_to_world_values(3, 4), expected, atol=1e-10)
    table = by_label["layers MORPHOLOGY"]
    assert table["probability"].sum() == pytest.approx(1)
    assert list(table["class"].astype(str)) == ["elliptical", "edge-on / disc", "spiral"]


@needs("ginga", "ginga")
def test_ginga_reads_a_layer_by_name(path):
    from ginga.util.loader import load_data

    image = load_data(f"{path}[SAL_SPIRAL_R]", logger=logging.getLogger("ginga"))
    data, header = fits.getdata(path, "SAL_SPIRAL_R", header=True)
    np.testing.assert_array_equal(image.get_data(), data)
    np.testing.assert_allclose(image.pixtoradec(3, 4), WCS(header).wcs_pix2world([[3, 4]], 0)[0], atol=1e-9)


@pytest.mark.full
@needs("jdaviz", "imviz")
def test_imviz_loads_the_layers_aligned_on_the_sky(path, monkeypatch):
    from pyvo.utils import vocabularies

    from galcnn.viewers import load_into_imviz

    # jdaviz fetches a list of words for its search of archives when it starts: the one thing made up here.
    monkeypatch.setattr(vocabularies, "get_vocabulary", lambda name: {"terms": {"Optical": {}}})
    viewer = load_into_imviz(path)
    collection = {data.label: data for data in viewer.app.data_collection}
    for name in ("SCI_G", "SCI_R", "SAL_SPIRAL_G", "SAL_SPIRAL_R", "CAM_EDGE_ON_DISC"):
        (data,) = [data for label, data in collection.items() if label.startswith(f"layers {name}[")]
        values, header = fits.getdata(path, name, header=True)
        np.testing.assert_array_equal(data[data.main_components[0]], values)
        expected = WCS(header).wcs_pix2world([[3, 4]], 0)[0]
        np.testing.assert_allclose(data.coords.pixel_to_world_values(3, 4), expected, atol=1e-10)
    assert not any("MASK" in label for label in collection)
