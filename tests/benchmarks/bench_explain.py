"""Attribution and attacks against one bare compiled gradient: the same network, batch and run.

`python -m tests.benchmarks.bench_explain` prints the table with its intervals.
"""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from galcnn.adversarial import FGSM, PGD, Attack
from galcnn.explain import (
    LRP,
    RISE,
    Deconvnet,
    Explainer,
    GradCAM,
    GuidedBackprop,
    HiResCAM,
    IntegratedGradients,
    Saliency,
    ScoreCAM,
    SmoothGrad,
)
from galcnn.model import Target
from tests.benchmarks.timing import Ratio, ratio

_METHODS: dict[str, Explainer | Attack] = {
    "saliency": Saliency(),
    "guided": GuidedBackprop(),
    "deconvnet": Deconvnet(),
    "gradcam": GradCAM(),
    "hirescam": HiResCAM(),
    "lrp": LRP(),
    "smoothgrad25": SmoothGrad(n=25),
    "ig25": IntegratedGradients(n=25),
    "fgsm": FGSM(unit="image"),
}
_PGD = PGD(unit="image", steps=25)
#: Methods of forward passes, and the number of these for each image: a mask each, or a feature map each.
_PASSES: dict[str, tuple[Explainer, int]] = {"scorecam": (ScoreCAM(), 64), "rise": (RISE(n=256), 256)}
_TARGET = Target("t", tuple(float(i == 3) for i in range(10)))
_IMAGES = np.random.default_rng(0).normal(size=(64, 64, 64, 3)).astype("float32")


def ratios() -> dict[str, float]:
    timed = {f"explain.{name}_over_gradient": _timed(method) for name, method in _METHODS.items()}
    timed["explain.pgd25_over_gradient"] = _worst_of_ten()
    timed |= {f"explain.{name}_over_forward_passes": _of_passes(*made) for name, made in _PASSES.items()}
    return timed | {"explain.smoothgrad25_peak_memory_over_gradient": _memory()}


@cache
def _shared() -> tuple[Any, Callable[[], np.ndarray]]:
    network = _network()
    return network, _gradient(network)


def _network() -> Any:
    """Four times convolution, batch norm, ReLU, max-pooling, of 16, 32, 64 and 64 filters; then the head."""
    import keras

    inputs = keras.Input((64, 64, 3))
    x = inputs
    for width in (16, 32, 64, 64):
        x = keras.layers.Conv2D(width, 3, padding="same")(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.MaxPooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))


def _gradient(network: Any) -> Callable[[], np.ndarray]:
    import tensorflow as tf

    @tf.function
    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(network(x, training=False)[:, 3])
        return tape.gradient(score, x)

    return lambda: gradient(tf.constant(_IMAGES)).numpy()


def _timed(method: Explainer | Attack) -> Ratio:
    network, gradient = _shared()
    return ratio(lambda: method(network, _IMAGES, _TARGET), gradient, repeats=15)


def _worst_of_ten() -> Ratio:
    """Time PGD on ten freshly traced networks, since TensorFlow does not pair operations in every trace."""
    networks = [_network() for _ in range(10)]
    timed = [
        ratio(lambda one=one: _PGD(one, _IMAGES, _TARGET), _gradient(one), repeats=5)  # type: ignore[misc]
        for one in networks
    ]
    return max(timed)


def _of_passes(method: Explainer, passes: int) -> Ratio:
    """Time a method on two images against its forward passes, in batches of 64 images."""
    import tensorflow as tf

    network, _ = _shared()
    forward = tf.function(lambda x: network(x, training=False))

    def run() -> None:
        for _ in range(2 * passes // 64):
            forward(tf.constant(_IMAGES)).numpy()

    return ratio(lambda: method(network, _IMAGES[:2], _TARGET), run, repeats=15)


def _memory() -> float:
    """Peak memory of a process that has run SmoothGrad, over one that has run the bare gradient."""
    return _peak("_METHODS['smoothgrad25'](_shared()[0], _IMAGES, _TARGET)") / _peak("_shared()[1]()")


def _peak(call: str) -> float:
    script = (
        "from tests.benchmarks.bench_explain import _IMAGES, _METHODS, _TARGET, _shared\n"
        f"for _ in range(3):\n    {call}\n"
        "from pathlib import Path\n"  # not ru_maxrss, which a process inherits from the one that starts it
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return float(result.stdout.split()[-1])


if __name__ == "__main__":
    for name, value in ratios().items():
        beside = f"  90 % {value.interval}  cpu {value.cpu:.3f}" if isinstance(value, Ratio) else ""
        print(f"{name:<50} {value:.3f}{beside}", flush=True)  # noqa: T201
