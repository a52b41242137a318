"""galcnn explain: methods with settings, all of them, and a run that goes on where it stopped."""

import re
import shutil
import textwrap
import warnings

import numpy as np
import pytest
from astropy.io import fits

from galcnn import plugins
from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.explain import IntegratedGradients
from galcnn.files import save_cutout
from galcnn.layers import LayerStack
from galcnn.model import save_model
from galcnn.testing import check_explainer
from tests.conftest import toy_images


@pytest.fixture(scope="module")
def road(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    save_model(trained, folder / "model")
    images, _ = toy_images(3, seed=9)
    paths = []
    for i, image in enumerate(images):
        planes = np.moveaxis(image, -1, 0)
        path = folder / f"g{i}.fits"
        save_cutout(Cutout(planes, ("g", "r"), sigma=np.full_like(planes, 3.0)), path)
        paths.append(str(path))
    return str(folder / "model"), paths


def test_settings_reach_the_method_and_the_file(road, tmp_path):
    model, paths = road
    out = tmp_path / "l.fits"
    words = ["--method", "integrated_gradients:n=5,baseline=sky,seed=3", "--method", "gradcam"]
    assert main(["explain", model, paths[0], *words, "--out", str(out), "--quiet"]) == 0
    ig, cam = LayerStack.read(out).explanations
    assert ig.settings == {"n": 5, "rule": "gauss-legendre", "baseline": "sky", "blur": 5.0, "seed": 3}
    with fits.open(out) as hdus:
        header = next(hdu.header for hdu in hdus if hdu.name.startswith("INTEGRATED"))
    assert header["DELTA"] == pytest.approx(ig.delta)
    assert header["SEED"] == 3
    assert cam.network_layer.endswith("activation")
    assert ig.attribution.shape == (2, 16, 16)


def test_all_methods_at_once_and_those_that_refuse_are_named(road, tmp_path, capsys):
    model, paths = road
    out = tmp_path / "l.fits"
    assert main(["explain", model, paths[0], "--method", "all", "--out", str(out), "--quiet"]) == 0
    found = {e.method for e in LayerStack.read(out).explanations}
    assert {"saliency", "smoothgrad", "integrated_gradients", "guided", "deconvnet", "occlusion"} <= found
    assert "without" not in capsys.readouterr().err


def test_a_method_that_cannot_work_is_left_out_of_all_and_refused_by_name(
    toy_dataset, road, tmp_path, capsys
):
    from galcnn.model import Card, NetworkSettings, TrainedModel, assemble, build_network, fit_preprocessing

    network = build_network((16, 16, 2), 2, settings=NetworkSettings(widths=(4,), activation="tanh"))
    smooth = TrainedModel(
        assemble(fit_preprocessing(toy_dataset.images), network),
        Card(classes=("round", "thin"), inputs=toy_dataset.inputs),
    )
    save_model(smooth, tmp_path / "smooth")
    words = ["explain", str(tmp_path / "smooth"), road[1][0], "--quiet", "--out", str(tmp_path / "l.fits")]
    assert main([*words, "--method", "guided"]) == 2
    assert "relus=0" in capsys.readouterr().err
    assert not (tmp_path / "l.fits").exists()
    assert main([*words, "--method", "all"]) == 0
    said = capsys.readouterr().err
    assert "without guided: Expected" in said
    assert "without deconvnet" in said
    methods = {e.method for e in LayerStack.read(tmp_path / "l.fits").explanations}
    assert "saliency" in methods
    assert "guided" not in methods
    (tmp_path / "l.fits").unlink()
    assert main([*words, "--method", "all", "--method", "gradcam:network_layer=conv9"]) == 2
    assert "network_layer='conv9'" in capsys.readouterr().err, "what is asked for by name is not left out"
    assert not (tmp_path / "l.fits").exists()


def test_an_interrupted_run_goes_on_where_it_stopped(road, tmp_path, monkeypatch):
    model, paths = road
    out = tmp_path / "maps"
    words = ["explain", model, *paths, "--out", f"{out}/", "--quiet", "--method"]
    assert main([*words, "integrated_gradients:n=4"]) == 0
    files = sorted(out.glob("*.fits"))
    first = {file: file.read_bytes() for file in files}
    files[1].write_bytes(first[files[1]][:4000])  # half a file, as no run of ours would leave it
    files[2].unlink()
    made = []
    call = IntegratedGradients.__call__

    def counted(self, network, images, target, *, context=None):
        made.extend(context.ids)
        return call(self, network, images, target, context=context)

    monkeypatch.setattr(IntegratedGradients, "__call__", counted)
    assert main([*words, "integrated_gradients:n=4"]) == 0
    assert made == ["g1", "g2"]
    assert files[0].read_bytes() == first[files[0]]
    for file in files:
        LayerStack.read(file)
    made.clear()
    assert main([*words, "integrated_gradients:n=4"]) == 0
    assert made == []
    assert main([*words, "integrated_gradients:n=5"]) == 2  # another question
    assert made == []
    assert main([*words, "integrated_gradients:n=5", "--overwrite"]) == 0
    assert made == ["g0", "g1", "g2"]


def test_more_galaxies_than_a_figure_holds_are_refused_before_the_work(road, tmp_path, capsys):
    model, paths = road
    many = []
    for i in range(51):
        many.append(str(tmp_path / f"c{i}.fits"))
        shutil.copy(paths[0], many[-1])
    out = tmp_path / "out"
    assert main(["explain", model, *many, "--out", str(out), "--save", str(tmp_path / "f.png")]) == 2
    assert "at most 50 images with --save" in capsys.readouterr().err
    assert not out.exists()


def install(folder, package, name, source):
    """A distribution as pip leaves it: metadata with an entry point, and a module."""
    info = folder / f"{package}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[galcnn.explainers]\n{name} = {package}_module:Method\n")
    (folder / f"{package}_module.py").write_text(textwrap.dedent(source))


STRANGER = """
    from dataclasses import dataclass
    from typing import ClassVar

    from galcnn.explain import Saliency


    @dataclass(frozen=True)
    class Method:
        factor: float = 3.0
        name: ClassVar[str] = "stranger"
        per_band: ClassVar[bool] = True
        kind: ClassVar[str] = "slope"

        def __call__(self, network, images, target, *, context=None):
            return self.factor * Saliency()(network, images, target)
"""


def test_a_strangers_method_appears_by_itself_and_a_broken_one_is_named_and_left_out(
    road, tmp_path, monkeypatch, capsys
):
    model, paths = road
    install(tmp_path, "goodmaps", "stranger", STRANGER)
    install(tmp_path, "badmaps", "broken", "raise OSError('no licence')")
    monkeypatch.syspath_prepend(str(tmp_path))
    check_explainer(plugins.load(plugins.EXPLAINERS, "stranger")())
    main(["plugins"])
    assert "goodmaps" in capsys.readouterr().out
    out = tmp_path / "l.fits"
    words = ["explain", model, paths[0], "--out", str(out), "--quiet"]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert main([*words, "--method", "all"]) == 0
    (broken,) = [str(w.message) for w in said if w.category is UserWarning]
    assert re.search(r"without broken: .*badmaps 1\.2.*no licence", broken)
    maps = {e.method: e for e in LayerStack.read(out).explanations}
    np.testing.assert_allclose(
        maps["stranger"].attribution, 3 * maps["saliency"].attribution, rtol=1e-5, atol=1e-8
    )
    words.append("--overwrite")
    assert main([*words, "--method", "stranger:factor=2"]) == 0
    (own,) = LayerStack.read(out).explanations
    np.testing.assert_allclose(3 * own.attribution, 2 * maps["stranger"].attribution, rtol=1e-5, atol=1e-8)
    assert own.settings == {"factor": 2.0}
    assert main([*words, "--method", "broken"]) != 0
    assert "badmaps 1.2" in capsys.readouterr().err
