"""Attacks: closed forms on affine networks, limits that hold to the last pixel, nothing left behind."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.optimize import linprog

from galcnn.adversarial import (
    FGSM,
    PGD,
    MinimalPerturbation,
    SkyAscent,
    SkyEvolution,
    SmallestEpsilon,
    UniversalPerturbation,
    attacks_by_name,
    away_from,
)
from galcnn.adversarial.margins import log_odds, margins
from galcnn.adversarial.universal import FixedPerturbation
from galcnn.explain import Context
from galcnn.model import Target
from galcnn.model.forward import outputs
from tests.explain import builds
from tests.explain.builds import linear, mixed

IMAGES = builds.IMAGES[:3]
RNG = np.random.default_rng(3)
SIGMA = RNG.uniform(0.5, 2, IMAGES.shape).astype("float32")
MASK = RNG.uniform(size=IMAGES.shape) < 0.1
PSF = RNG.uniform(0, 1, (3, 5, 3, 2)).astype("float32")
PSF /= PSF.sum((1, 2), keepdims=True)
CONTEXT = Context(sigma=SIGMA, mask=MASK, psf=PSF, ids=("a", "b", "c"))
CLASSES = ("elliptical", "merger", "spiral")
PAIR = Target.margin("merger", "spiral", CLASSES)
BOX = (-3.4, 3.2)


def flat():
    return builds.flat(of=mixed)


def nested():
    return builds.nested(of=mixed)


def two_classes(seed=0):
    """An affine network of two classes, and the slope of the second logit over the first."""
    rng = np.random.default_rng(seed)
    inputs = keras.Input(IMAGES.shape[1:])
    dense = keras.layers.Dense(2, name="logits")
    network = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    weights = rng.normal(size=(IMAGES[0].size, 2)).astype("float32")
    dense.set_weights([weights, np.array([0.5, -0.3], "float32")])
    return network, (weights[:, 1] - weights[:, 0]).reshape(IMAGES.shape[1:]).astype(float)


def margin(network, images, target):
    weights = np.broadcast_to(target.weights, (len(images), len(target.weights)))
    return margins(outputs(network, images), weights)


# What is wanted.


def test_the_margin_of_a_class_of_all_but_one_and_of_a_pair():
    logits = np.array([[1.0, 3.0, 2.5], [4.0, 3.0, 2.5]])

    def of(target):
        return margins(logits, np.broadcast_to(target.weights, logits.shape)).tolist()

    assert of(Target.of_class("elliptical", CLASSES)) == [-2.0, 1.0]
    assert of(away_from("merger", CLASSES)) == [-0.5, 1.0]
    assert of(PAIR) == [0.5, 0.5]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    weights = np.broadcast_to(away_from("merger", CLASSES).weights, logits.shape)
    np.testing.assert_allclose(log_odds(logits, weights), np.log((1 - p[:, 1]) / p[:, 1]), rtol=1e-12)


def test_a_target_that_wants_nothing_is_refused():
    with pytest.raises(ValueError, match="larger for some class than for another"):
        FGSM(unit="image")(flat(), IMAGES, Target("t", (1, 1, 1)))


# Closed forms (identities 10 and 11).


def test_fgsm_moves_a_linear_margin_by_epsilon_times_the_sum_of_the_slopes():
    network, w = linear()
    slope = (w[..., 1] - w[..., 2]).astype(float)
    for attack, expected in (
        (FGSM(0.1, "image"), 0.1 * np.abs(slope).sum() * np.ones(3)),
        (FGSM(0.3), 0.3 * np.abs(slope * np.where(MASK, 0, SIGMA)).sum((1, 2, 3))),
    ):
        context = None if attack.unit == "image" else CONTEXT
        moved = margin(network, attack(network, IMAGES, PAIR, context=context), PAIR)
        np.testing.assert_allclose(moved - margin(network, IMAGES, PAIR), expected, rtol=1e-5)


@pytest.mark.parametrize("build", [linear, flat, nested])
def test_one_step_of_pgd_from_the_image_is_fgsm(build):
    network = build()[0] if build is linear else build()
    for context, unit in ((None, "image"), (CONTEXT, "sigma")):
        one = PGD(0.2, unit=unit, steps=1, start="image", lower=BOX[0], upper=BOX[1])
        ours = FGSM(0.2, unit, *BOX)(network, IMAGES, PAIR, context=context)
        np.testing.assert_array_equal(ours, one(network, IMAGES, PAIR, context=context))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("unit", ["image", "sigma"])
def test_pgd_finds_the_best_point_of_the_ball_of_a_linear_network(norm, unit):
    network, w = linear()
    slope = (w[..., 1] - w[..., 2])[np.newaxis] * (np.where(MASK, 0, SIGMA) if unit == "sigma" else 1.0)
    best = np.abs(slope).sum((1, 2, 3)) if norm == "linf" else np.sqrt((slope**2).sum((1, 2, 3)))
    context = CONTEXT if unit == "sigma" else None
    # A random start on the surface of a ball of 240 dimensions is square to every slope.
    for start, tolerance in (("image", 1e-4), ("random", 1e-4 if norm == "linf" else 0.02)):
        made = PGD(0.7, norm, unit, steps=40, start=start)(network, IMAGES, PAIR, context=context)
        gain = margin(network, made, PAIR) - margin(network, IMAGES, PAIR)
        np.testing.assert_allclose(gain, 0.7 * best * np.ones(3), rtol=tolerance)


@pytest.mark.parametrize("box", [(None, None), BOX])
@pytest.mark.parametrize("unit", ["image", "sigma"])
@pytest.mark.parametrize("start", ["image", "random"])
def test_pgd_with_conserved_flux_reaches_the_optimum_of_linear_programming(box, unit, start):
    """max w d within the ball and the bounds, with sum(d) = 0 in each band."""
    network, w = linear()
    slope = (w[..., 1] - w[..., 2]).astype(float)
    scale = np.where(MASK, 0, SIGMA) if unit == "sigma" else np.ones_like(IMAGES)
    attack = PGD(0.7, "linf", unit, flux="conserved", start=start, lower=box[0], upper=box[1])
    made = attack(network, IMAGES, PAIR, context=CONTEXT if unit == "sigma" else None)
    gain = margin(network, made, PAIR) - margin(network, IMAGES, PAIR)
    for image, unit_of, found in zip(IMAGES.astype(float), scale, gain, strict=True):
        best = 0.0
        for band in range(IMAGES.shape[-1]):
            room = np.stack([-0.7 * unit_of[..., band], 0.7 * unit_of[..., band]])
            if box == BOX:
                room = np.clip(room, BOX[0] - image[..., band], BOX[1] - image[..., band])
            bounds = np.where(unit_of[..., band] > 0, room, 0).reshape(2, -1).T
            flux = np.ones((1, len(bounds)))
            best -= linprog(-slope[..., band].ravel(), A_eq=flux, b_eq=[0], bounds=bounds).fun
        assert 0.99 * best <= found <= best * (1 + 1e-4)


def test_pgd_with_conserved_flux_reaches_the_optimum_in_the_l2_norm():
    network, w = linear()
    steep = (w[..., 1] - w[..., 2]).astype(float) * np.where(MASK, 0, SIGMA)
    q = np.where(MASK, 0, SIGMA).astype(float)
    along = steep - (steep * q).sum((1, 2), keepdims=True) / (q * q).sum((1, 2), keepdims=True) * q
    made = PGD(0.7, "l2", flux="conserved", start="image")(network, IMAGES, PAIR, context=CONTEXT)
    gain = margin(network, made, PAIR) - margin(network, IMAGES, PAIR)
    np.testing.assert_allclose(gain, 0.7 * np.sqrt((along**2).sum((1, 2, 3))), rtol=1e-4)


def test_one_logit_is_the_log_odds_of_a_class_against_the_other():
    """Attacks on z move as those on the logits 0 and z: margins z or -z, and the closed forms hold."""
    inputs = keras.Input(IMAGES.shape[1:])
    dense = keras.layers.Dense(1)
    network = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    w = np.random.default_rng(5).normal(size=(IMAGES[0].size, 1)).astype("float32")
    dense.set_weights([w, np.array([0.3], "float32")])
    z = outputs(network, IMAGES)
    up, down = Target("in", (1.0,)), Target("out", (-1.0,))
    ones = np.ones_like(z)
    np.testing.assert_array_equal(margins(z, ones), z[:, 0])
    np.testing.assert_array_equal(margins(z, -ones), -z[:, 0])
    np.testing.assert_allclose(log_odds(z, -ones), -z[:, 0], rtol=1e-6)
    for target, sign in ((up, 1), (down, -1)):
        moved = sign * (outputs(network, FGSM(0.1, "image")(network, IMAGES, target)) - z)[:, 0]
        np.testing.assert_allclose(moved, 0.1 * np.abs(w).sum(), rtol=1e-5)
        for attack in (MinimalPerturbation("image"), PGD(5, unit="image", steps=40)):
            assert np.all(margin(network, attack(network, IMAGES, target), target) > 0)
        made = MinimalPerturbation("image")(network, IMAGES, target)
        size = np.sqrt(((made - IMAGES).astype(float) ** 2).sum((1, 2, 3)))
        np.testing.assert_allclose(size, np.maximum(-sign * z[:, 0], 0) / np.linalg.norm(w), atol=2e-3)


@pytest.mark.parametrize("attack", [PGD(0.3, unit="image"), PGD(0.3, "l2"), PGD(0.3, flux="conserved")])
def test_pixels_outside_of_the_field_of_the_network_stay(attack):
    inputs = keras.Input(IMAGES.shape[1:])
    x = keras.layers.Cropping2D(((2, 1), (3, 2)))(inputs)
    network = builds.settle(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x))))
    made = attack(network, IMAGES, PAIR, context=CONTEXT)
    inside = np.zeros(IMAGES.shape, dtype=bool)
    inside[:, 2:-1, 3:-2] = True
    np.testing.assert_array_equal(made[~inside], IMAGES[~inside])
    changed = made[inside & ~MASK] != IMAGES[inside & ~MASK]
    assert changed.mean() > 0.9


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("unit", ["image", "sigma"])
def test_the_smallest_epsilon_of_an_affine_network_is_the_closed_form(norm, unit):
    network, slope = two_classes()
    target = away_from("elliptical", CLASSES[:2])
    images = np.where(margin(network, IMAGES, target)[:, None, None, None] < 0, IMAGES, -IMAGES)
    first = margin(network, images, target)
    assert (first < 0).sum() >= 2
    scale = np.where(MASK, 0, SIGMA) if unit == "sigma" else np.ones_like(IMAGES)
    context = CONTEXT if unit == "sigma" else None
    pgd = PGD(norm=norm, unit=unit, start="image")
    made = SmallestEpsilon(pgd, 1e-4)(network, images, target, context=context)
    sizes = np.divide(made - images, scale, out=np.zeros(images.shape), where=scale > 0)
    found = np.abs(sizes).max((1, 2, 3)) if norm == "linf" else np.sqrt((sizes**2).sum((1, 2, 3)))
    steep = slope * scale
    size = np.abs(steep).sum((1, 2, 3)) if norm == "linf" else np.sqrt((steep**2).sum((1, 2, 3)))
    open_ = first < 0
    np.testing.assert_allclose((found / (-first / size))[open_], 1, atol=1e-3)
    np.testing.assert_array_equal(found[~open_], 0)
    assert np.all(margin(network, made, target) > 0)


def far_images(network, target, n=12):
    """Some that do not answer as wanted, with their noise and masks."""
    rng = np.random.default_rng(11)
    images = rng.normal(size=(n, *IMAGES.shape[1:])).astype("float32")
    images = images[margin(network, images, target) < 0]
    assert len(images) >= 3
    sigma = rng.uniform(0.5, 2, images.shape).astype("float32")
    return images, Context(sigma=sigma, mask=rng.uniform(size=images.shape) < 0.1)


@pytest.mark.parametrize("unit", ["image", "sigma"])
def test_the_minimal_perturbation_of_an_affine_network_is_the_closed_form(unit):
    network, slope = two_classes()
    for name in CLASSES[:2]:
        target = Target.of_class(name, CLASSES[:2])
        images, known = far_images(network, target)
        scale = np.where(known.mask, 0, known.sigma) if unit == "sigma" else np.ones_like(images)
        made = MinimalPerturbation(unit)(network, images, target, context=known if unit == "sigma" else None)
        r = np.divide(made - images, scale, out=np.zeros(made.shape), where=scale > 0)
        expected = -margin(network, images, target) / np.sqrt(((slope * scale) ** 2).sum((1, 2, 3)))
        np.testing.assert_allclose(np.sqrt((r**2).sum((1, 2, 3))) / expected, 1, atol=1e-3)
        assert np.all(margin(network, made, target) > 0)
        if unit == "sigma":
            np.testing.assert_array_equal(made[known.mask], images[known.mask])


def test_a_bisected_perturbation_flips_and_a_hundredth_less_does_not():
    network = flat()
    answers = np.argmax(outputs(network, IMAGES), axis=1)
    targets = [away_from(CLASSES[i], CLASSES) for i in answers]
    made = MinimalPerturbation("image")(network, IMAGES, targets)
    assert np.all(np.argmax(outputs(network, made), axis=1) != answers)
    less = IMAGES + 0.99 * (made - IMAGES)
    np.testing.assert_array_equal(np.argmax(outputs(network, less), axis=1), answers)
    # No other attack of ours finds a shorter one.
    other = SmallestEpsilon(PGD(norm="l2", unit="image", start="image"))(network, IMAGES, targets)
    size = [np.sqrt(((x - IMAGES) ** 2).sum((1, 2, 3))) for x in (made, other)]
    assert np.all(size[0] <= 1.02 * size[1])


def test_with_a_box_the_minimal_perturbation_is_that_of_the_pixels_that_can_move():
    """Every pixel at one of the bounds: it may only go inside, where the slope does not always lead."""
    network, slope = two_classes()
    target = Target.of_class("merger", CLASSES[:2])
    images = np.sign(np.random.default_rng(2).normal(size=(12, *IMAGES.shape[1:]))).astype("float32")
    first = margin(network, images, target)
    images, first = images[first < 0], first[first < 0]
    assert len(images)
    made = MinimalPerturbation("image", lower=-1, upper=1)(network, images, target)
    assert np.abs(made).max() <= 1
    free = np.where((images < 0) == (slope > 0), slope, 0)
    expected = -first / np.sqrt((free**2).sum((1, 2, 3)))
    size = np.sqrt(((made - images) ** 2).sum((1, 2, 3)))
    np.testing.assert_allclose(size / expected, 1, atol=2e-3)
    assert np.all(margin(network, made, target) > 0)


# Limits.


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("flux", ["free", "conserved"])
@pytest.mark.parametrize("light", ["pixels", "psf"])
@pytest.mark.parametrize("box", [(None, None), BOX])
def test_pgd_keeps_all_its_limits_at_once(norm, flux, light, box):
    if light == "psf" and flux == "conserved" and box == BOX:
        with pytest.raises(ValueError, match="but not all three"):
            PGD(0.3, norm, "sigma", light, flux, lower=box[0], upper=box[1])
        return
    attack = PGD(0.3, norm, "sigma", light, flux, steps=8, lower=box[0], upper=box[1])
    network = flat()
    made = attack(network, IMAGES, PAIR, context=CONTEXT)
    np.testing.assert_array_equal(made[MASK], IMAGES[MASK])
    change = made.astype(float) - IMAGES
    sizes = change / SIGMA
    size = np.abs(sizes).max((1, 2, 3)) if norm == "linf" else np.sqrt((sizes**2).sum((1, 2, 3)))
    assert np.all(size <= 0.3 * (1 + 1e-5))
    if box == BOX:
        assert made.min() >= np.float32(BOX[0])
        assert made.max() <= np.float32(BOX[1])
    else:
        assert np.all(size >= 0.297), "all of the epsilon is used"
    if flux == "conserved":
        assert np.all(np.abs(change.sum((1, 2))) <= 1e-5 * np.abs(change).sum((1, 2)))
    elif light == "pixels":
        assert np.abs(change.sum((1, 2))).max() > 1e-2 * np.abs(change).sum((1, 2)).max()
    assert np.all(margin(network, made, PAIR) > margin(network, IMAGES, PAIR))


def test_light_through_a_psf_is_a_pattern_convolved_with_it():
    """The kernel (1, 2, 1) / 4 can be undone where light beyond the edges is lost."""
    psf = np.zeros((3, 1, 3, 2), "float32")
    psf[:] = np.array([0.25, 0.5, 0.25])[None, None, :, None]
    made = PGD(0.5, "l2", "image", "psf", steps=10)(flat(), IMAGES, PAIR, context=Context(psf=psf))
    change = (made - IMAGES).astype(float)
    kernel = np.eye(10) * 0.5 + np.eye(10, k=1) * 0.25 + np.eye(10, k=-1) * 0.25
    pattern = np.linalg.solve(kernel, change.transpose(0, 1, 3, 2)[..., np.newaxis])[..., 0]
    assert np.abs(pattern).max() < 5 * np.abs(change).max(), "a pattern of its own size has made it"
    pixels = PGD(0.5, "l2", "image", steps=10)(flat(), IMAGES, PAIR) - IMAGES
    rough = [np.abs(np.diff(x, axis=2)).mean() / np.abs(x).mean() for x in (change, pixels)]
    assert rough[0] < 0.6 * rough[1]


def test_what_is_missing_is_said():
    network = flat()
    for attack, text in (
        (PGD(), "images with sigma, the noise of every pixel"),
        (PGD(unit="image", light="psf"), "images with a PSF"),
        (PGD(unit="image", lower=0, upper=1), "finite images from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=text):
            attack(network, IMAGES, PAIR)
    for fields, text in (
        ({"epsilon": 0}, "positive epsilon"),
        ({"norm": "l1"}, "norm among"),
        ({"lower": 1, "upper": 0}, "lower < upper"),
        ({"steps": 0}, "at least one step"),
    ):
        with pytest.raises(ValueError, match=text):
            PGD(**fields)


# Universal, and from blank sky.


def test_a_universal_perturbation_turns_most_images_of_an_affine_network_and_is_one():
    network, slope = two_classes()
    rng = np.random.default_rng(8)
    images = rng.normal(size=(40, *IMAGES.shape[1:])).astype("float32")
    target = Target.of_class("elliptical", CLASSES[:2])
    first = margin(network, images, target)
    # With this epsilon the best pattern, -epsilon sign(slope), turns just these.
    epsilon = float(-np.quantile(first, 0.3) / np.abs(slope).sum())
    attack = UniversalPerturbation(epsilon, unit="image", passes=5, share=0.7)
    fixed = attack.fitted(network, images[:20], target)
    assert isinstance(fixed, FixedPerturbation)
    assert np.abs(fixed.pattern).max() <= epsilon * (1 + 1e-6)
    made = fixed(network, images, target)
    np.testing.assert_allclose(made - images, np.broadcast_to(fixed.pattern, images.shape), atol=1e-6)
    turned = margin(network, made, target) > 0
    assert turned[:20].mean() >= 0.6
    assert turned[20:].mean() >= 0.5, "galaxies it has never seen"
    assert turned[20:].mean() > (first[20:] > 0).mean()
    np.testing.assert_array_equal(attack(network, images[:20], target), made[:20])


def test_a_universal_perturbation_leaves_masked_pixels():
    network = flat()
    answers = np.argmax(outputs(network, IMAGES), axis=1)
    targets = [away_from(CLASSES[i], CLASSES) for i in answers]
    made = UniversalPerturbation(0.5, passes=1)(network, IMAGES, targets, context=CONTEXT)
    np.testing.assert_array_equal(made[MASK], IMAGES[MASK])
    assert np.abs((made - IMAGES)[~MASK]).max() > 0


def test_evolution_only_improves_and_keeps_its_seed():
    network = flat()
    weights = np.broadcast_to(PAIR.weights, (3, 3))
    sure = [log_odds(outputs(network, IMAGES), weights)]
    made = []
    for generations in (1, 5, 25):
        evolution = SkyEvolution(0.999999, generations=generations, children=8, seed=2)
        made.append(evolution(network, IMAGES, PAIR, context=CONTEXT))
        sure.append(log_odds(outputs(network, made[-1]), weights))
    assert np.all(np.diff(sure, axis=0) >= -1e-4), "an elite is never lost"
    assert np.all(sure[-1] > sure[0])
    np.testing.assert_array_equal(made[-1], evolution(network, IMAGES, PAIR, context=CONTEXT))
    np.testing.assert_array_equal(made[-1][MASK], IMAGES[MASK])


@pytest.mark.parametrize(
    "attack",
    [SkyAscent(0.9, 0.02, 400), SkyEvolution(0.9, generations=400), SkyEvolution(0.9, "pixels", 0.5)],
    ids=["ascent", "blobs", "pixels"],
)
def test_a_blank_sky_becomes_what_is_wanted_with_confidence(attack):
    network = flat()
    target = Target.of_class("merger", CLASSES)
    made = attack(network, IMAGES, target, context=CONTEXT)
    odds = log_odds(outputs(network, made), np.broadcast_to(target.weights, (3, 3)))
    assert np.all(odds >= np.log(9))
    np.testing.assert_array_equal(made[MASK], IMAGES[MASK])


def test_the_ascent_stops_when_it_is_sure():
    network, w = linear()
    target = PAIR
    attack = SkyAscent(0.99, step=1e-3, unit="image", steps=5000)
    made = attack(network, np.zeros_like(IMAGES), target)
    slope = (w[..., 1] - w[..., 2]).astype(float)
    # Along the slope until the log-odds over the other class are ln 99.
    needed = (np.log(99) - margin(network, np.zeros_like(IMAGES[:1]), target)) / np.sqrt((slope**2).sum())
    step = 1e-3 * np.sqrt(slope.size)
    found = np.sqrt((made.astype(float) ** 2).sum((1, 2, 3)))
    assert np.all((found >= needed) & (found <= needed + 1.1 * step))


# Every attack.

EVERY = [
    FGSM(0.3),
    PGD(0.3, steps=4),
    PGD(0.3, "l2", light="psf", flux="conserved", steps=4),
    SmallestEpsilon(PGD(steps=4), 0.1),
    MinimalPerturbation(bisections=2, iterations=10),
    UniversalPerturbation(0.3, passes=1),
    SkyAscent(0.9, 0.05, 20),
    SkyEvolution(0.9, generations=5, children=4),
]


@pytest.mark.parametrize("attack", EVERY, ids=lambda attack: attack.name)
def test_the_model_is_left_as_it_was_and_the_seed_decides(attack):
    network = flat()
    before, config = network.get_weights(), network.get_config()
    images = IMAGES.copy()
    made = attack(network, images, PAIR, context=CONTEXT)
    np.testing.assert_array_equal(images, IMAGES)
    assert made.dtype == np.float32
    assert made.shape == IMAGES.shape
    np.testing.assert_array_equal(made, attack(network, images, PAIR, context=CONTEXT))
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))
    assert network.get_config() == config
    assert network.trainable


@pytest.mark.parametrize("attack", EVERY, ids=lambda attack: attack.name)
def test_an_image_of_one_band_is_attacked_too(attack):
    inputs = keras.Input((*IMAGES.shape[1:3], 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3, activation="relu")(inputs))
    network = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))
    images, own = IMAGES[..., :1], [SIGMA[..., :1], MASK[..., :1], PSF[..., :1]]
    made = attack(network, images, PAIR, context=Context(*own, ids=("a", "b", "c")))
    assert made.shape == images.shape
    assert np.isfinite(made).all()


def test_neither_batch_nor_order_changes_an_attack_that_draws():
    network = flat()
    attack = PGD(0.3, steps=4)
    together = attack(network, IMAGES, PAIR, context=CONTEXT)
    alone = attack(
        network,
        IMAGES[2:],
        PAIR,
        context=replace(CONTEXT, sigma=SIGMA[2:], mask=MASK[2:], psf=PSF[2:], ids=("c",)),
    )
    np.testing.assert_allclose(alone[0], together[2], atol=1e-5)
    other = replace(attack, seed=1)(network, IMAGES, PAIR, context=CONTEXT)
    assert not np.allclose(other, together, atol=1e-3)


def test_attacks_by_the_words_that_users_type():
    words = ["pgd:epsilon=2,light=psf", "smallest:norm=l2,tolerance=0.1", "sky_evolution:encoding=pixels"]
    assert attacks_by_name(words, unit="image", seed=5) == [
        PGD(2.0, unit="image", light="psf", seed=5),
        SmallestEpsilon(PGD(norm="l2", unit="image", start="image", seed=5), 0.1),
        SkyEvolution(encoding="pixels", unit="image", seed=5),
    ]
    assert len({attack.name for attack in attacks_by_name(["all"])}) == 7
    for text, said in (
        ("deepfool", "an attack among"),
        ("minimol", "Did you mean 'minimal'"),
        ("pgd:speed=1", "settings among"),
        ("all:epsilon=1", "Settings follow the name of one attack"),
        ("pgd:norm=l7", "norm as 'linf' or 'l2'"),
    ):
        with pytest.raises(ValueError, match=said):
            attacks_by_name([text])
