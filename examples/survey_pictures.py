"""A hundred pictures of bright places in an image of any survey, as JPEG: a set of another kind.

    python examples/survey_pictures.py pictures/decals decals_grz.fits
    python examples/survey_pictures.py pictures/hst hst_v.fits hst_z.fits hst_h.fits

Several files are bands on one pixel grid; one band gives grey pictures. `galaxy_zoo_uncertainty.py` judges
such folders.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from galcnn import load_cutout
from galcnn.transforms import crop, display_rgb

NUMBER, SIDES = 100, (48, 128)


def main(folder, files):
    cutout = load_cutout(files if len(files) > 1 else files[0])
    bright = gaussian_filter(np.nan_to_num(cutout.flux).sum(axis=0), 3.0)
    rng = np.random.default_rng(0)
    ny, nx = bright.shape
    rows, columns = np.nonzero(bright >= np.quantile(bright, 0.9))
    Path(folder).mkdir(parents=True)
    for number in range(NUMBER):
        half = min(int(rng.integers(*SIDES)) // 2, ny // 2, nx // 2)
        place = rng.integers(len(rows))
        y, x = np.clip((rows[place], columns[place]), half, (ny - half, nx - half))
        part = crop(cutout, (2 * half, 2 * half), corner=(int(y - half), int(x - half)))
        picture = Image.fromarray(display_rgb(part)[::-1])
        picture.resize((96, 96), Image.Resampling.LANCZOS).save(
            Path(folder) / f"{number:03d}.jpg", quality=92
        )
    print(f"wrote {folder}/: {NUMBER} pictures of {', '.join(cutout.bands)}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
