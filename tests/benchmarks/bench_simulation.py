"""Drawing simulated galaxies against GalSim's own chromatic drawing of the same ones."""

import functools
import time
from typing import Any

import galsim

from galcnn.simulation import CLASSES, SIMULATED, Galaxy, draw, from_catalog, simulate_catalog
from galcnn.simulation.components import components
from galcnn.simulation.drawing import model_image
from tests.benchmarks.timing import ratio

_GALAXIES = 4 * len(CLASSES)


# Read once: what is timed is the drawing.
@functools.cache
def _spectrum(name: str) -> Any:
    return galsim.SED(f"CWW_{name}_ext.sed", "Ang", "flambda").withMagnitude(20.0, _bandpass("r"))


@functools.cache
def _bandpass(band: str) -> Any:
    return galsim.Bandpass(f"LSST_{band}.dat", "nm").withZeropoint("AB")


def _chromatic(galaxy: Galaxy) -> None:
    """Draw as GalSim's documentation does: profiles times spectra, convolved, through a bandpass."""
    parts = [
        profile * share * _spectrum(sed).atRedshift(galaxy.redshift)
        for profile, sed, share in components(galaxy)
    ]
    seen = galsim.Convolve(galsim.Add(parts), galsim.Moffat(SIMULATED.psf_beta, fwhm=SIMULATED.psf_fwhm[0]))
    for band in SIMULATED.bands:
        seen.drawImage(_bandpass(band), nx=64, ny=64, scale=0.4, method="no_pixel")


def ratios() -> dict[str, float]:
    galaxies = from_catalog(simulate_catalog(_GALAXIES, seed=1))

    def chromatic() -> None:
        for galaxy in galaxies:
            _chromatic(galaxy)

    def ours() -> None:
        for galaxy in galaxies:
            model_image(galaxy, observation=SIMULATED, shape=(64, 64), centre=(31.5, 31.5))

    return {"simulation.galsim_chromatic_over_galcnn": ratio(chromatic, ours, repeats=5)}


def main() -> None:
    galaxies = from_catalog(simulate_catalog(600, seed=2))
    for galaxy in galaxies[:60]:
        draw(galaxy, seed=1)
    start = time.perf_counter()
    for galaxy in galaxies:
        draw(galaxy, seed=2)
    rate = len(galaxies) / (time.perf_counter() - start)
    print(f"cutouts of 64 x 64 x 3 a second, one core: {rate:.1f}")  # noqa: T201
    for name, value in ratios().items():
        print(f"{name}: {value:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
