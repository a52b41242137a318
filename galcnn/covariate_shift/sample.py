"""The galaxies of a covariate-shift test: simulated at each redshift, and stored on disk."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.covariate_shift.settings import ShiftSettings
from galcnn.dataset import Dataset
from galcnn.errors import message
from galcnn.model import InputSpec, images_from
from galcnn.redshifting import Redshifting, magnification, redshift
from galcnn.simulation import Galaxy, draw, from_catalog, simulate_catalog
from galcnn.transforms.resampling import resize


@dataclass(frozen=True)
class RedshiftedSample:
    """The simulated images of a covariate-shift test."""

    folder: Path
    settings: ShiftSettings

    def read(self, name: str) -> Dataset:
        """Load one set. Test sets have the same galaxies in the same order at each redshift."""
        with np.load(self.folder / f"{name}.npz") as arrays:
            images, labels, ids = arrays["images"], arrays["labels"], arrays["ids"]
        telescope, side = self.settings.telescope(), self.settings.size
        scale = round(float(telescope.pixel_scale.to_value(u.arcsec)), 5)
        fixed = self.settings.width == "fixed"
        spec = InputSpec(telescope.bands, "nJy", (side, side), scale if fixed else None)
        return Dataset(tuple(str(i) for i in ids), images, labels, self.settings.classes, spec)


def name_at(name: str, redshift: float) -> str:
    """Return the name of a test or adaptation set at a redshift."""
    return f"{name}-z{redshift:g}"


def draw_sample(settings: ShiftSettings, folder: Path, *, progress: Progress = silent) -> RedshiftedSample:
    """Simulate the sets of a test that do not exist yet."""
    jobs = _jobs(settings)
    missing = [name for name in jobs if not (folder / f"{name}.npz").exists()]
    with progress("draw", len(missing)) as step:
        for name in missing:
            image = _redshifted if name.startswith("augmented") else _image
            _write(
                folder / f"{name}.npz",
                jobs[name],
                [image(galaxy, settings) for galaxy in jobs[name]],
                settings.classes,
            )
            step(name)
    return RedshiftedSample(folder, settings)


def read_sample(settings: ShiftSettings, folder: Path) -> RedshiftedSample:
    """Return a sample that was simulated before; raise FileNotFoundError if a set is missing."""
    missing = [name for name in _jobs(settings) if not (folder / f"{name}.npz").exists()]
    if missing:
        raise FileNotFoundError(message("a drawn sample", "Draw it again.", missing=missing[:3]))
    return RedshiftedSample(folder, settings)


def _jobs(settings: ShiftSettings) -> dict[str, list[Galaxy]]:
    """Return the galaxies of each set."""
    counts = (settings.n_train, settings.n_validation, settings.n_test, settings.n_adapt)
    catalog = simulate_catalog(
        sum(counts),
        seed=settings.seed,
        classes=settings.classes,
        redshift_range=settings.train_redshifts,
        magnitude_range=settings.magnitudes,
    )
    ends = np.cumsum((0, *counts))
    train, validation, test, adapt = (
        from_catalog(catalog.select(np.arange(a, b))) for a, b in itertools.pairwise(ends)
    )
    jobs = {"train": train, "validation": validation}
    if "oracle" in settings.variants:
        jobs |= {"oracle_train": _spread(train, settings), "oracle_validation": _spread(validation, settings)}
    if "augmented" in settings.variants:
        jobs |= {"augmented_train": train, "augmented_validation": validation}
    for z in settings.test_redshifts:
        jobs[name_at("test", z)] = [galaxy.at(z) for galaxy in test]
        if any(variant.startswith("batch_adapted") for variant in settings.variants):
            jobs[name_at("adapt", z)] = [galaxy.at(z) for galaxy in adapt]
    return jobs


def _spread(galaxies: Sequence[Galaxy], settings: ShiftSettings) -> list[Galaxy]:
    return [galaxy.at(_spread_redshift(galaxy, settings)) for galaxy in galaxies]


def _spread_redshift(galaxy: Galaxy, settings: ShiftSettings) -> float:
    # Uniform in log z, and so roughly in apparent size: for z up to 1, few would be near otherwise.
    low, high = settings.train_redshifts[0], max(settings.test_redshifts)
    return float(low * (high / low) ** seeding.uniform(settings.seed, "oracle", galaxy.id))


def _write(
    file: Path, galaxies: Sequence[Galaxy], images: Sequence[npt.NDArray[np.float32]], classes: Sequence[str]
) -> None:
    labels = np.array([classes.index(galaxy.morphology) for galaxy in galaxies], dtype=np.int32)
    ids = np.array([galaxy.id for galaxy in galaxies])
    with atomic.writing(file) as temporary:
        np.savez(temporary, images=np.concatenate(images), labels=labels, ids=ids)


def _redshifted(galaxy: Galaxy, settings: ShiftSettings) -> npt.NDArray[np.float32]:
    """Return the image redshifted to the oracle's redshift, or the original if that is not far enough."""
    telescope, side, z = settings.telescope(), settings.size, _spread_redshift(galaxy, settings)
    if z > galaxy.redshift:
        field = math.ceil(side / magnification(galaxy.redshift, z)) + 1
        near = draw(galaxy, seed=settings.seed, observation=telescope, shape=(field, field))
        choices = Redshifting(bandpass="same")
        with contextlib.suppress(ValueError):
            far = redshift(
                near, z, observation=telescope, shape=(side, side), settings=choices, seed=settings.seed
            )
            return images_from([far])
    return _image(galaxy, settings)


def _image(galaxy: Galaxy, settings: ShiftSettings) -> npt.NDArray[np.float32]:
    telescope, side = settings.telescope(), settings.size
    if settings.width == "fixed":
        return images_from([draw(galaxy, seed=settings.seed, observation=telescope, shape=(side, side))])
    scale = float(telescope.pixel_scale.to_value(u.arcsec))
    field = int(np.clip(round(settings.scaled_radii * galaxy.half_light_radius / scale), 8, 8 * side))
    cutout = draw(galaxy, seed=settings.seed, observation=telescope, shape=(field, field))
    return images_from([resize(replace(cutout, sigma=None), (side, side))])


def described(settings: ShiftSettings) -> str:
    """Return the settings that determine the result of a test, as JSON."""
    return json.dumps(settings.to_dict(), sort_keys=True)
