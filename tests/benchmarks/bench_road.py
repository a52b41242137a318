"""What galcnn adds to the bare calls that it is made of."""

import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.explain import Saliency, Target
from galcnn.files import load_cutout
from galcnn.model import NetworkSettings, build_network
from tests.benchmarks.timing import ratio


def ratios() -> dict[str, float]:
    return {
        "files.load_over_astropy_open_and_wcs": _loading(),
        "explain.saliency_over_gradient": _saliency(),
    }


def _loading() -> float:
    """One plain FITS file of 128 x 128 pixels with a WCS; 50 loads in each round."""
    header = WCS(naxis=2)
    header.wcs.ctype, header.wcs.cdelt, header.wcs.crval = ["RA---TAN", "DEC--TAN"], [-1e-4, 1e-4], [150, 2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "galaxy.fits"
        fits.PrimaryHDU(np.ones((128, 128), "float32"), header.to_header()).writeto(path)

        def bare() -> None:
            for _ in range(50):
                with fits.open(path) as hdus:
                    WCS(hdus[0].header)
                    hdus[0].data.astype("float32")

        def ours() -> None:
            for _ in range(50):
                load_cutout(path, bands=("r",))

        return ratio(ours, bare)


def _saliency() -> float:
    """The network and batch of the guide: four blocks of 16, 32, 64, 64, 64 images of 64 x 64 x 3."""
    import tensorflow as tf

    network = build_network(
        (64, 64, 3), 10, settings=NetworkSettings(widths=(16, 32, 64, 64), depth=1, stem=0, dropout=0.0)
    )
    images = np.random.default_rng(0).normal(size=(64, 64, 64, 3)).astype("float32")
    target = Target("t", tuple(float(i == 3) for i in range(10)))

    @tf.function
    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(network(x, training=False)[:, 3])
        return tape.gradient(score, x)

    return ratio(
        lambda: Saliency()(network, images, target), lambda: gradient(tf.constant(images)).numpy(), repeats=15
    )
