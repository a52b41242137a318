"""Cutout -> Cutout: its grid of pixels, the level of its sky, dust of our own Galaxy, colour pictures.

This is the last place where the pixel grid of a cutout may change. Pixels are squares whose values
are spread evenly over them; a new grid collects what falls into each of its own (area weighting).
Old and new grid are parallel, so that the overlaps are products of overlaps along y and x: the sum
of the flux is kept to rounding, the operation is linear, and the WCS of the new grid is exact,
distortions included. Orientation and parity never change.

Centring: `crop` and `pad` move by whole pixels, and pixel ``n // 2`` becomes pixel ``m // 2``
along each axis, so the middle of the field moves by half a pixel when one of n and m is odd and
the other even, and each undoes the other. `resample`, `resize` and `fit` (where it resamples)
keep the middle of the field exactly.

Grids that are not parallel (another camera's) are `align`'s, by exact areas on the sphere;
`combine` puts bands of several cutouts on one grid so.

What is done to the grid is listed in the ``meta["geometry"]`` of the new cutout; `remove_sky` and
`correct_extinction` are listed in its ``meta["foreground"]``. `render` makes a colour picture by
stated settings, whose name a model's card records to apply them again; `display_rgb` scales itself to
the image and is for human eyes only.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
