"""A Synthesis checks itself and keeps image, start and perturbation apart."""

import numpy as np
import pytest

from galcnn.explain import Synthesis
from galcnn.model import Target

CLASSES = ("elliptical", "spiral")


def a_synthesis(**fields):
    rng = np.random.default_rng(0)
    values = {
        "image": rng.normal(size=(2, 4, 5)),
        "start": rng.normal(size=(2, 4, 5)),
        "bands": ("g", "r"),
        "method": "class_model",
        "target": Target.of_class("spiral", CLASSES),
        "wrt": "flux",
        "unit": "nJy",
        "score": 5.0,
        "start_score": -1.0,
        "success": np.True_,
        "logits": (-2.0, 5.0),
        "start_logits": (1.0, -1.0),
    }
    return Synthesis(**(values | fields))


def test_the_perturbation_is_what_was_added():
    made = a_synthesis()
    np.testing.assert_array_equal(made.start + made.perturbation, made.start + (made.image - made.start))
    assert made.perturbation.dtype == np.float32
    assert made.gain == 6
    assert made.success is True


def test_the_callers_array_stays_writable_and_ours_is_not():
    image = np.zeros((2, 4, 5), "float32")
    made = a_synthesis(image=image)
    image[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        made.image[0, 0, 0] = 2


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"image": np.zeros((2, 4, 4))}, "image and start of shape"),
        ({"bands": ("g",)}, "each band named once"),
        ({"bands": ("g", "g")}, "each band named once"),
        ({"wrt": "sigma"}, "wrt among"),
        ({"start_logits": ()}, "as many logits of the start"),
        ({"target": Target("t", (1, 0, 0))}, "as weights of the target"),
    ],
)
def test_what_does_not_fit_is_refused(fields, text):
    with pytest.raises(ValueError, match=text):
        a_synthesis(**fields)


def test_a_target_over_channels_needs_no_classes():
    made = a_synthesis(target=Target("filter 2", (0, 0, 1, 0)), network_layer="conv1_1")
    assert made.network_layer == "conv1_1"
    assert a_synthesis(target=Target("t", (1, 0, 0)), logits=(), start_logits=()).logits == ()
