"""Simulate galaxies of known class, show one, and write a small survey to ./sky."""

from pathlib import Path

import numpy as np
from PIL import Image

from galcnn.pipeline import SurveySettings, write_survey
from galcnn.simulation import SIMULATED, draw, from_catalog, simulate_catalog
from galcnn.transforms import display_rgb

if __name__ == "__main__":
    catalog = simulate_catalog(360, seed=7, classes=("elliptical", "spiral", "edge_on"))
    print(catalog.table["id", "class", "redshift", "mag_r", "half_light_radius"][:6])

    spiral = next(g for g in from_catalog(catalog) if g.morphology == "spiral")
    cutout = draw(spiral, observation=SIMULATED, shape=(96, 96), seed=7)
    print(cutout.bands, cutout.unit, cutout.pixel_scale, cutout.position.to_string("hmsdms"))
    # Row 0 of a cutout is at the bottom, as in FITS; that of a PNG is at the top.
    Image.fromarray(np.ascontiguousarray(display_rgb(cutout)[::-1])).resize((384, 384)).save("spiral.png")

    write_survey(catalog, Path("sky"), settings=SurveySettings(seed=7))
    print("wrote spiral.png, sky/catalog.ecsv and sky/cutouts/")
