"""Reads the image of each galaxy of a catalog, all alike."""

from __future__ import annotations

from dataclasses import replace

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError, message
from galcnn.files import load_files
from galcnn.inputs import InputSpec, check_render, prepare

__all__ = ["CutoutReader"]


class CutoutReader:
    """Reads the image of each galaxy of a catalog, all alike.

    The first image settles bands, unit, shape and pixel scale; one that differs is refused by
    its name, since a network would learn the difference.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With a column `image`.
    bands : tuple of str, optional
        Which bands to take; all of the first image by default.
    size : int, optional
        Bring each image to size x size pixels: a centre crop (or padding) at its own pixel scale,
        or the whole field resampled where there is no WCS.
    render : str, optional
        Recorded as the step by which calibrated cutouts become such pictures.

    Raises
    ------
    ValueError
        No column `image`.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        bands: tuple[str, ...] | None = None,
        size: int | None = None,
        render: str | None = None,
    ) -> None:
        if "image" not in catalog.table.colnames:
            raise ValueError(
                message("a column with the path of each image", "Name it.", columns=catalog.table.colnames)
            )
        if len(catalog) == 0:
            raise ValueError(message("a catalog with at least one galaxy", "", n=0))
        self.catalog, self.bands, self.size, self.render = catalog, bands, size, render
        self.ids = catalog.ids
        self.paths = [str(path) for path in catalog.table["image"]]
        self._spec: InputSpec | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def spec(self) -> InputSpec:
        """What the images are; the first is read when none has been yet."""
        if self._spec is None:
            self.read(0)
        assert self._spec is not None
        return self._spec

    def read(self, row: int) -> Cutout:
        """Read the image of one galaxy.

        Parameters
        ----------
        row : int
            Of the catalog.

        Returns
        -------
        galcnn.cutout.Cutout
            In the bands, unit and shape of `spec`.

        Raises
        ------
        galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
            The image cannot be read or differs from the first; the text names the galaxy.
        """
        try:
            cutout = load_files(self.paths[row], bands=self.bands)
            spec = self._spec or self._first_spec(cutout)
            fitting = prepare(cutout, spec, fit=self.size is not None)
        except (UnreadableImageError, FileNotFoundError, ValueError) as error:
            raise type(error)(f"Galaxy {self.ids[row]} ({self.paths[row]}): {error}") from error
        self._spec = spec
        return fitting

    def _first_spec(self, cutout: Cutout) -> InputSpec:
        if self.render is not None:
            check_render(self.render, str(cutout.unit))
        spec = InputSpec.of(cutout, render=self.render)
        if self.bands is not None:
            spec = replace(spec, bands=self.bands)
        return spec if self.size is None else replace(spec, shape=(self.size, self.size))
