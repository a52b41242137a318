"""The user's model comes out of every call bit by bit as it went in, whatever it is built of."""

import gc
import weakref

import numpy as np
import pytest

from galcnn.cutout import Cutout
from galcnn.explain import (
    LRP,
    AscentSettings,
    ClassModels,
    Dream,
    FilterImages,
    GradCAM,
    activations,
    backward_pass,
    decision_plane,
    explain,
    filter_result,
    filters,
    first_order,
    layer_gradients,
    line_between,
    strongest_activations,
    weight_gradients,
    weight_table,
)
from galcnn.model import (
    Card,
    InputSpec,
    NetworkSettings,
    Target,
    TrainedModel,
    assemble,
    build_network,
    fit_preprocessing,
    network_layers,
    planes_from,
)
from galcnn.model.gradients import target_scores
from galcnn.model.logits import check_ends_in_logits
from tests.explain import builds

SHAPE = (12, 12, 2)
CLASSES = ("a", "b", "c")
TARGET, OPPOSITE = Target("b less a", (-1.0, 1.0, 0.0)), Target("a less b", (1.0, -1.0, 0.0))
IMAGES = (np.random.default_rng(5).normal(size=(6, *SHAPE)) * 5 + 20).astype("float32")
CUTOUTS = [Cutout(planes, ("g", "r")) for planes in planes_from(IMAGES)]

BUILDS = {
    "batch norm": {},
    "group norm, residual": {"normalization": "group", "residual": True},
    "half precision": {"precision": "mixed_float16"},
    "orientations": {"orientations": 4, "residual": True, "field": 0.9},
}


@pytest.fixture(scope="module", params=BUILDS)
def trained(request):
    """Preprocessing and network nested in one model, compiled and fitted, with dropout."""
    settings = NetworkSettings(widths=(4, 6), depth=1, stem=0, dropout=0.5, **BUILDS[request.param])
    network = build_network(SHAPE, 3, settings=settings, seed=1)
    model = assemble(fit_preprocessing(IMAGES), network)
    network.layers[2].trainable = False
    model.compile("adam", "mse")
    model.fit(IMAGES, np.zeros((6, 3)), verbose=0)
    return TrainedModel(model, Card(CLASSES, InputSpec(("g", "r"), "nJy", SHAPE[:2])))


@pytest.mark.parametrize("method", **builds.named((*builds.METHODS, GradCAM("conv1_1"))))
def test_every_method_leaves_the_model_as_it_was(trained, method):
    before = builds.state(trained.model)
    networks = [(trained.model, IMAGES), (trained.network, IMAGES / 20)]
    for network, images in networks[isinstance(method, LRP) :]:  # LRP has no rule for the stretch
        maps = [method(network, images, target) for target in (TARGET, OPPOSITE)]
        assert np.any(maps)  # some methods keep one sign only
    explain(trained, CUTOUTS, explainers=[method], wrt="stretched")
    assert {key for key, value in builds.state(trained.model).items() if value != before[key]} == set()


def test_so_does_everything_that_shows_the_network(trained):
    network, images = trained.network, IMAGES / 20
    first = "conv1_1"
    ascent = AscentSettings(2)
    calls = {
        "network_layers": lambda: network_layers(network),
        "activations": lambda: activations(network, images),
        "layer_gradients": lambda: layer_gradients(network, images, TARGET),
        "weight_gradients": lambda: weight_gradients(network, images, TARGET),
        "weight_table": lambda: weight_table(network),
        "filters": lambda: filters(network),
        "filter_result": lambda: filter_result(network, images, layer=first, filter=0),
        "strongest": lambda: strongest_activations(network, images, network_layer="pool1", n=2),
        "backward_pass": lambda: backward_pass(network, images, TARGET, layer=first),
        "first_order": lambda: first_order(trained.model, IMAGES, TARGET, sigma=np.float32(1)),
        "decision_plane": lambda: decision_plane(network, images),
        "line_between": lambda: line_between(trained.model, IMAGES[0], IMAGES[1]),
        "class models": lambda: ClassModels(ascent=ascent)(trained, [TARGET]),
        "filter images": lambda: FilterImages(first, ascent=ascent)(trained, [0]),
        "dream": lambda: Dream(first, octaves=1, steps=2)(trained, CUTOUTS[0]),
        "scores": lambda: target_scores(network, images, TARGET),
        "logits": lambda: check_ends_in_logits(network),
    }
    changed = {}
    for name, call in calls.items():
        before = builds.state(trained.model)
        call()
        after = builds.state(trained.model)
        if different := [key for key in before if before[key] != after[key]]:
            changed[name] = different
    assert changed == {}


def test_a_nested_network_is_freed_with_all_that_was_asked_of_it():
    network = builds.nested()
    for method in builds.METHODS:
        method(network, builds.IMAGES, builds.TARGET)
    strongest_activations(network, builds.IMAGES, network_layer="last", n=1)
    network_layers(network)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None
