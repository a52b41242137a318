"""Predictions of networks for a real galaxy at increasing redshifts.

    python examples/redshift_real.py g.fits r.fits i.fits REDSHIFT PSF_FWHM MODEL [MODEL ...]

For networks trained on calibrated images, the galaxy is redshifted to the simulated survey, with a fixed
angular width. For networks trained on 8-bit pictures, it is redshifted to SDSS, with a width scaled to the
galaxy, as in Galaxy Zoo. Bands are kept (no K correction, which would need more than three bands). Errors
are the range over ten noise realisations at each redshift, for one galaxy. Writes real.ecsv and real.png.
"""

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.table import QTable

from galcnn import load_model, redshift
from galcnn.catalog import write_table
from galcnn.files import load_bands
from galcnn.model import images_from, prepare
from galcnn.photometry import DISPLAY, Observation, observation_of
from galcnn.prediction import predict_images
from galcnn.redshifting import Redshifting, magnification
from galcnn.simulation import psf_planes, telescope_of
from galcnn.transforms import display_rgb

*files, own, fwhm = sys.argv[1:6]
models = sys.argv[6:]
z_from, draws, bands = float(own), 10, ("g", "r", "i")
settings = Redshifting(bandpass="same", fill="sky")
near = load_bands(files, bands=bands, reference="r")
psf = Observation("input", bands, near.pixel_scale, (float(fwhm),) * 3, (0.0,) * 3, (1.0,) * 3)
near = replace(near, redshift=z_from, psf=psf_planes(psf))
redshifts = [z for z in (0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3) if z > z_from]
across = min(near.shape) * near.pixel_scale


def seen(z: float, seed: int, spec):
    """Return the redshifted galaxy in the input specification of a network."""
    pictures = spec.unit == DISPLAY.name
    survey = (observation_of("sdss") if pictures else telescope_of("simulated")).only(bands)
    width = across * magnification(z_from, z)
    side = int((width / survey.pixel_scale).to_value(u.one)) if pictures else spec.shape[0]
    far = redshift(near, z, observation=survey, shape=(side, side), settings=settings, seed=seed)
    return prepare(far, spec, fit=pictures)


rows, shown = [], {}
for folder in models:
    trained = load_model(folder)
    spec, name = trained.card.inputs, Path(folder).name
    for z in redshifts:
        cutouts = [seen(z, seed, spec) for seed in range(draws)]
        chances = np.exp(logits := predict_images(trained.model, images_from(cutouts)))
        chances /= chances.sum(axis=1, keepdims=True)
        shown.setdefault(name, {})[z] = cutouts[0]
        row = {"model": name, "z": z, "n_draws": draws}
        row["answer"] = trained.classes[int(logits.mean(axis=0).argmax())]
        for label, chance in zip(trained.classes, chances.T, strict=True):
            row[label] = round(float(chance.mean()), 3)
        spirals = sum(chances[:, i] for i, label in enumerate(trained.classes) if "spiral" in label)
        row |= {"spirals": spirals.mean(), "low": spirals.min(), "high": spirals.max()}
        rows.append(row)
        reach = f"[{row['low']:.2f}, {row['high']:.2f}]"
        print(f"{name} z = {z:g}: {row['answer']}, spiral {row['spirals']:.2f} {reach}")

classes = dict.fromkeys(key for row in rows for key in row)
table = QTable({key: [row.get(key, np.nan) for row in rows] for key in classes})
write_table(table, "real.ecsv")

kinds = {shown[name][redshifts[0]].unit == DISPLAY: name for name in shown}
figure = plt.figure(figsize=(7.2, 1.0 * len(kinds) + 2.6), layout="constrained")
grid = figure.add_gridspec(len(kinds) + 1, len(redshifts), height_ratios=[1] * len(kinds) + [2.6])
for i, (pictures, name) in enumerate(kinds.items()):
    for k, z in enumerate(redshifts):
        axes = figure.add_subplot(grid[i, k])
        axes.imshow(display_rgb(shown[name][z]), origin="lower")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"{z:g}", fontsize=7)
        if k == 0:
            axes.set_ylabel("SDSS\npicture" if pictures else "simulated\nsurvey", fontsize=6)
axes = figure.add_subplot(grid[-1, :])
for name in shown:
    mine = table[np.asarray(table["model"]) == name]
    (line,) = axes.plot(mine["z"], mine["spirals"], marker="o", markersize=3, label=name)
    axes.fill_between(mine["z"], mine["low"], mine["high"], alpha=0.2, color=line.get_color(), linewidth=0)
axes.set_xlabel("redshift", fontsize=8)
axes.set_ylabel("probability of a spiral,\nbarred or not", fontsize=8)
axes.set_ylim(-0.02, 1.02)
axes.tick_params(labelsize=7)
axes.legend(fontsize=7, frameon=False)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig("real.png", dpi=130)
