"""Crop, pad, resample, fit: the last place where the pixel grid of a cutout may change.

Pixels are squares whose values are spread evenly over them; a new grid collects what falls into
each of its own (area weighting). Old and new grid are parallel, so that the overlaps are products
of overlaps along y and x: the sum of the flux is kept to rounding, the operation is linear, and
the WCS of the new grid is exact, distortions included. Orientation and parity never change.

Centring: `crop` and `pad` move by whole pixels, and pixel ``n // 2`` becomes pixel ``m // 2``
along each axis, so the middle of the field moves by half a pixel when one of n and m is odd and
the other even, and each undoes the other. `resample`, `resize` and `fit` (where it resamples)
keep the middle of the field exactly.

Grids that are not parallel (another camera's) are `align`'s, by exact areas on the sphere;
`combine` puts bands of several cutouts on one grid so.
"""

from galcnn.geometry.aligning import align, combine
from galcnn.geometry.fitting import crop_width, fit
from galcnn.geometry.moving import crop, pad, window
from galcnn.geometry.resampling import resample, resize

__all__ = ["align", "combine", "crop", "crop_width", "fit", "pad", "resample", "resize", "window"]
