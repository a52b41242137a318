"""Methods as users type them."""

import pytest

from galcnn.errors import PluginError
from galcnn.explain import CAM, GradCAM, IntegratedGradients, Occlusion, SmoothGrad, explainers_by_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cam", CAM()),
        ("smoothgrad", SmoothGrad()),
        ("smoothgrad:n=50,noise=sigma", SmoothGrad(50, "sigma")),
        ("smoothgrad:noise=0.25,seed=7", SmoothGrad(noise=0.25, seed=7)),
        ("integrated_gradients:baseline=sky,rule=midpoint", IntegratedGradients(64, "midpoint", "sky")),
        ("occlusion:patch=6,stride=3,baseline=zero,blur=2", Occlusion(6, 3, "zero", 2.0)),
        ("gradcam:network_layer=network/conv3_1", GradCAM("network/conv3_1")),
    ],
)
def test_settings_stand_behind_a_colon(text, expected):
    (found,) = explainers_by_name([text])
    assert found == expected
    assert [type(getattr(found, f)) for f in vars(found)] == [type(v) for v in vars(expected).values()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smoothgrad:m=5", "settings among n, noise, seed.*setting='m'"),
        ("smoothgrad:n", "NAME:SETTING=VALUE"),
        ("smoothgrad:n=2,n=3", "each setting once"),
        ("smoothgrad:nois=2", "Did you mean 'noise'"),
        ("smoothgrad:n=2.5", "n as int.*value='2.5'"),
        ("smoothgrad:noise=loud", "noise as 'sigma' or float.*value='loud'"),
        ("smoothgrad:n=0", "n of at least 1"),
        ("integrated_gradients:rule=endpoint", "rule as 'gauss-legendre' or 'midpoint'"),
        ("integrated_gradients:baseline=black", "baseline as 'zero' or 'sky' or 'blurred'"),
        ("cam:n=2", "settings among none"),
        ("all:n=2", "all without settings"),
    ],
)
def test_what_does_not_fit_is_refused(text, expected):
    with pytest.raises(ValueError, match=expected):
        explainers_by_name([text])


def test_the_same_method_with_the_same_settings_counts_once():
    assert explainers_by_name(["cam", "smoothgrad:n=2", "smoothgrad", "cam", "smoothgrad:n=25"]) == [
        CAM(),
        SmoothGrad(2),
        SmoothGrad(),
    ]
    every = explainers_by_name(["all"])
    assert explainers_by_name(["all", "gradcam:network_layer=x", "cam"]) == [*every, GradCAM("x")]


def test_all_are_the_installed_ones_and_others_are_unknown():
    names = [explainer.name for explainer in explainers_by_name(["all"])]
    assert {"saliency", "guided", "occlusion"} <= set(names)
    assert len(set(names)) == len(names)
    with pytest.raises(PluginError, match="Did you mean 'smoothgrad'"):
        explainers_by_name(["smoothgrat"])
