"""Change cutouts: their pixel grid, sky level, extinction by our Galaxy, and colour pictures.

The pixel grid of a cutout changes only here. Pixels are squares of constant surface brightness; a new pixel
collects the flux of the old pixels within its area (area weighting). Old and new grid are parallel, so that
overlaps are products of overlaps along y and x: total flux is conserved to rounding, the operation is
linear, and the WCS of the new grid is exact, distortions included. Orientation and parity never change.

Centring: `crop` and `pad` move by whole pixels, and pixel ``n // 2`` becomes pixel ``m // 2`` along each
axis. The middle of the field therefore moves by half a pixel if one of n and m is odd and the other even;
`crop` and `pad` undo each other. `resample`, `resize` and `fit` (where it resamples) keep the middle of
the field exactly.

For grids that are not parallel, such as those of another camera, `align` uses exact areas on the sphere;
`combine` puts bands of several cutouts on one grid with it.

Changes of the grid are listed in ``meta["geometry"]`` of the new cutout, `remove_sky` in
``meta["background"]`` and `correct_extinction` in ``meta["extinction"]``. `render` makes a colour picture
with stated settings, whose name the model card records so that they can be applied again; `display_rgb`
scales each image by itself and is for display only.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
