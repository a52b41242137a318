"""check_explainer passes our methods and finds each fault of a bad one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from galcnn import plugins
from galcnn.explain import CAM, Saliency, SmoothGrad
from galcnn.testing import check_explainer

OURS = sorted(name for name, p in plugins.available(plugins.EXPLAINERS).items() if p.package == "galcnn")


@pytest.mark.parametrize("name", OURS)
def test_ours_are_what_an_explainer_must_be(name):
    check_explainer(plugins.load(plugins.EXPLAINERS, name)())


def test_all_enter_by_the_door():
    assert {
        "saliency",
        "input_x_gradient",
        "smoothgrad",
        "integrated_gradients",
        "guided",
        "deconvnet",
        "cam",
        "gradcam",
        "hirescam",
        "layercam",
        "scorecam",
        "lrp",
        "rise",
        "occlusion",
    } <= set(OURS)


@dataclass(frozen=True)
class Bad(Saliency):
    """A saliency with one fault."""

    fault: str = ""
    kept: ClassVar[list] = []

    def __call__(self, network, images, target, *, context=None):
        n_classes = network.output_shape[-1]
        if self.fault == "one target":
            target = target if hasattr(target, "weights") else target[0]
        if self.fault == "no target":
            target = type(target)("t", (1.0,) * n_classes) if hasattr(target, "weights") else target[0]
        maps = Saliency()(network, images, target)
        if self.fault == "kept":
            self.kept.append(network)
        if self.fault == "weights":
            network.weights[0].assign(np.asarray(network.weights[0]) * 1.5)
        if self.fault == "nodes":
            network.layers[1](network.input)
        if self.fault == "flags":
            network.layers[1].trainable = False
        changed = {
            "double": maps.astype("float64"),
            "magnitude": np.abs(maps).max() / (np.abs(maps) + 1),
            "zero": maps * 0,
            "nan": np.where(maps > 0, np.nan, maps),
            "one band": maps[..., :1] + 0 * maps,
            "planes first": np.moveaxis(maps, -1, 1),
            "batch": maps / np.abs(maps).max(),
            "position": maps * np.arange(1, len(maps) + 1, dtype="float32")[:, None, None, None],
        }
        return changed.get(self.fault, maps)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("double", "maps are float64"),
        ("planes first", "not float32 of the images'"),
        ("zero", "zero everywhere"),
        ("nan", "not finite"),
        ("one band", "all bands are the same"),
        ("magnitude", "twice the target is not twice the map"),
        ("batch", "an image by itself has another map"),
        ("position", "the order of the images changes"),
        ("one target", "a target for each image"),
        ("no target", "another target has the same map"),
        ("weights", "the weights of the network change"),
        ("nodes", "adds nodes"),
        ("flags", "trainable flags"),
        ("kept", "not freed"),
    ],
)
def test_each_fault_is_named(fault, text):
    with pytest.raises(AssertionError, match=text):
        check_explainer(Bad(fault=fault))
    Bad.kept.clear()


@dataclass(frozen=True)
class Unkeyed(SmoothGrad):
    """Its noise depends on the place in the batch."""

    def __call__(self, network, images, target, *, context=None):
        return SmoothGrad.__call__(self, network, images, target)


def test_a_seed_that_is_not_keyed_by_object_is_found():
    with pytest.raises(AssertionError, match="order of the images"):
        check_explainer(Unkeyed())


def test_a_description_that_is_missing_is_found():
    class Nothing:
        pass

    with pytest.raises(AssertionError, match=r"name is None(.|\n)*kind is None(.|\n)*not a dataclass"):
        check_explainer(Nothing())


@dataclass(frozen=True)
class Doubled(CAM):
    """Its two resolutions are of different maps."""

    def fine_and_coarse(self, network, images, target, *, context=None):
        fine, coarse = CAM.fine_and_coarse(self, network, images, target)
        return 2 * fine, coarse[0]

    def __call__(self, network, images, target, *, context=None):
        return CAM.fine_and_coarse(self, network, images, target)[0]


def test_coarse_maps_that_are_not_of_the_fine_ones_are_found():
    with pytest.raises(AssertionError, match=r"other maps than a call(.|\n)*not \(n, cells_y, cells_x\)"):
        check_explainer(Doubled())
