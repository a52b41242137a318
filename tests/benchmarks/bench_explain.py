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
    Deconvnet,
    Explainer,
    GradCAM,
    GuidedBackprop,
    HiResCAM,
    IntegratedGradients,
    Saliency,
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
    "smoothgrad25": SmoothGrad(n=25),
    "ig25": IntegratedGradients(n=25),
    "fgsm": FGSM(unit="image"),
    "pgd25": PGD(unit="image", steps=25),
}
_TARGET = Target("t", tuple(float(i == 3) for i in range(10)))
_IMAGES = np.random.default_rng(0).normal(size=(64, 64, 64, 3)).astype("float32")


def ratios() -> dict[str, float]:
    timed = {f"explain.{name}_over_gradient": _timed(method) for name, method in _METHODS.items()}
    return timed | {"explain.smoothgrad25_peak_memory_over_gradient": _memory()}


@cache
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


@cache
def _gradient() -> Callable[[], np.ndarray]:
    import tensorflow as tf

    network = _network()

    @tf.function
    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(network(x, training=False)[:, 3])
        return tape.gradient(score, x)

    return lambda: gradient(tf.constant(_IMAGES)).numpy()


def _timed(method: Explainer | Attack) -> Ratio:
    network = _network()
    return ratio(lambda: method(network, _IMAGES, _TARGET), _gradient(), repeats=15)


def _memory() -> float:
    """Peak memory of a process that has run SmoothGrad, over one that has run the bare gradient."""
    return _peak("_METHODS['smoothgrad25'](_network(), _IMAGES, _TARGET)") / _peak("_gradient()()")


def _peak(call: str) -> float:
    script = (
        "from tests.benchmarks.bench_explain import _IMAGES, _METHODS, _TARGET, _gradient, _network\n"
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
