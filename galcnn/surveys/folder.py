"""Folder of image files as a survey, searched by WCS or by a catalog."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from galcnn.catalog import read_catalog
from galcnn.cutout import Cutout
from galcnn.errors import CoverageError, UnreadableImageError, message
from galcnn.files import load_cutout
from galcnn.files.sources import opened
from galcnn.surveys.checks import Wanted, received, wanted
from galcnn.surveys.http import Answer
from galcnn.surveys.images import coverage_of, stacked

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord


#: Maximum number of file names in an error message.
_SHOWN = 5


@dataclass(frozen=True)
class FolderSurvey:
    """Image files of a folder, in any format that `galcnn.files.load_cutout` reads.

    Without a catalog each file is opened once, and files that cover a position are found by their
    WCS. With a catalog the image of the nearest object is used and only its file is opened.

    Attributes
    ----------
    folder : str
        Folder with the files.
    pattern : str
        Pattern of the file names; ``**/*.fits*`` includes subfolders.
    catalog : str
        Table with columns `ra`, `dec` and `image`; images may be paths relative to the table.
    match_arcsec : float
        Maximum distance of an object of the catalog from the position, in arcsec.
    filters : str
        Band names, separated by commas. Needed if the files do not name their bands or have more
        than are wanted; by default the bands of the files.
    arcsec : float
        Pixel scale of the images in arcsec. 0 means that of the first file.

    Examples
    --------
    >>> FolderSurvey("images", filters="g,r", arcsec=0.262).name
    'images'
    """

    folder: str = "."
    pattern: str = "*.fits*"
    catalog: str = ""
    match_arcsec: float = 1.0
    filters: str = ""
    arcsec: float = 0.0

    def __post_init__(self) -> None:
        if not self.match_arcsec > 0 or self.arcsec < 0:
            raise ValueError(
                message(
                    "a positive match_arcsec and no negative arcsec",
                    "",
                    match_arcsec=self.match_arcsec,
                    arcsec=self.arcsec,
                )
            )

    @property
    def name(self) -> str:
        return Path(self.folder).resolve().name if self.folder == "." else Path(self.folder).name

    @property
    def bands(self) -> tuple[str, ...]:
        if self.filters:
            return tuple(name.strip() for name in self.filters.split(",") if name.strip())
        return tuple(dict.fromkeys(band for image in self._images for band in image.bands))

    @property
    def pixel_scale(self) -> u.Quantity:
        return (self.arcsec or self._images[0].arcsec) * u.arcsec

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        """Return the image around a position, in the unit of the files; NaN where no file covers it."""
        want = wanted(self, position, width=width, bands=bands)
        files = self._near(want)
        answers = [_answer(file) for file in files]
        loaded = [self._load(file, answer.content) for file, answer in zip(files, answers, strict=True)]
        best: list[tuple[float, Cutout, int]] = []
        for band in want.bands:
            shares = [
                (coverage_of(image, position, want.side), _only(image, band), i)
                for i, image in enumerate(loaded)
                if band in image.bands
            ]
            found = max(shares, key=lambda one: one[0], default=None)
            if found is None or not found[0]:
                raise self._not_shown(want, f"a file of {self.folder} that shows the position in {band}")
            best.append(found)
        used = [answers[i] for i in dict.fromkeys(i for _, _, i in best)]
        stack = stacked([image for _, image, _ in best], position, want.side)
        return received(
            stack, want, survey=self.name, answers=used, facts={"release": self.folder}, mirrored=True
        )

    @property
    def _images(self) -> list[_Indexed]:
        """Position, bands and pixel scale of each readable file."""
        return self._found[0]

    @functools.cached_property
    def _found(self) -> tuple[list[_Indexed], list[str]]:
        """Index of the readable files, and the names of the damaged ones."""
        folder = Path(self.folder)
        if self.catalog:
            files = [self._rows[1][0]]  # the other files are assumed to have the same bands and scale
        else:
            files = sorted(file for file in folder.glob(self.pattern) if file.is_file())
        tried = [(file, self._indexed(file)) for file in files]
        found = [image for _, image in tried if image is not None]
        if not found:
            raise ValueError(
                message(
                    "image files with a WCS",
                    "Check folder, pattern and catalog.",
                    folder=str(folder),
                    pattern=self.pattern,
                    n_files=len(files),
                )
            )
        return found, [file.name for file, image in tried if image is None and _is_damaged(file)]

    def _indexed(self, file: Path) -> _Indexed | None:
        """Return the index entry of a file, or None if it is not an image of the sky."""
        try:
            image = self._load(file, file)
        except (UnreadableImageError, OSError):
            return None
        if image.wcs is None or image.pixel_scale is None or image.position is None:
            return None
        arcsec = float(image.pixel_scale.to_value(u.arcsec))
        middle = image.wcs.pixel_to_world((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2).icrs
        reach = float(np.hypot(*image.shape)) / 2 * arcsec
        return _Indexed(file, image.bands, middle, reach, arcsec)

    @functools.cached_property
    def _rows(self) -> tuple[SkyCoord, list[Path]]:
        """Positions and files of the catalog."""
        table = read_catalog(self.catalog)
        if table.positions is None or "image" not in table.table.colnames:
            raise ValueError(
                message("columns ra, dec and image", "", catalog=self.catalog, columns=table.table.colnames)
            )
        folder = Path(self.folder)
        files = [Path(str(name)) for name in table.table["image"]]
        # A path that does not exist is searched by its name in the folder of the survey.
        return table.positions, [file if file.exists() else folder / file.name for file in files]

    def _near(self, want: Wanted) -> list[Path]:
        if self.catalog:
            positions, files = self._rows
            away = positions.separation(want.position).to_value(u.arcsec)
            row = int(np.argmin(away))
            near = [files[row]] if away[row] <= self.match_arcsec else []
        else:
            near = [
                image.file
                for image in self._images
                if image.middle.separation(want.position).to_value(u.arcsec) <= image.reach
            ]
        if not near:
            raise self._not_shown(want, f"a position that {self.catalog or self.folder} holds")
        return near

    def _not_shown(self, want: Wanted, expected: str) -> CoverageError | UnreadableImageError:
        """Return a CoverageError, or an UnreadableImageError if a damaged file might cover the position."""
        place, damaged = want.position.to_string("hmsdms"), [] if self.catalog else self._found[1]
        if not damaged:
            return CoverageError(message(expected, "Leave out the galaxy or the band.", position=place))
        if len(damaged) > _SHOWN:
            damaged = [*damaged[:_SHOWN], "..."]
        remedy = "Repair or remove the damaged files: one may cover it."
        return UnreadableImageError(message(expected, remedy, position=place, damaged=damaged))

    def _load(self, file: Path, content: Path | bytes) -> Cutout:
        """Load an image; bands that the file does not name come from `filters` or from the file name."""
        image = load_cutout(content)
        named = not all(re.fullmatch(r"band\d+|L", band) for band in image.bands)
        if not self.filters or named:
            return image
        words = set(re.split(r"[^A-Za-z0-9]+", file.name))
        names = tuple(band for band in self.bands if band in words) if len(image.bands) == 1 else self.bands
        return load_cutout(content, bands=names) if len(names) == len(image.bands) else image


@dataclass(frozen=True)
class _Indexed:
    """Coverage of one file; `reach` is half of its diagonal in arcsec."""

    file: Path
    bands: tuple[str, ...]
    middle: SkyCoord
    reach: float
    arcsec: float


def _only(image: Cutout, band: str) -> Cutout:
    i = image.bands.index(band)
    part = slice(i, i + 1)
    return replace(
        image,
        flux=image.flux[part],
        bands=(band,),
        mask=image.mask[part],
        sigma=None if image.sigma is None else image.sigma[part],
        psf=None if image.psf is None else image.psf[part],
    )


def _is_damaged(file: Path) -> bool:
    """Return True if the file looks like FITS but is truncated or cannot be read."""
    try:
        with open(file, "rb") as handle:
            if not handle.read(6).startswith((b"SIMPLE", b"\x1f\x8b", b"BZh")):
                return False
        with opened(file):
            return False
    except (UnreadableImageError, OSError):
        return True


def _answer(file: Path) -> Answer:
    """Wrap a file as the answer of a service, so that its address and hash are recorded in `meta`."""
    try:
        written = datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")
        return Answer(file.resolve().as_uri(), 200, file.read_bytes(), "", written)
    except OSError as error:
        raise UnreadableImageError(
            message("an image file that can be read", "", path=str(file), error=str(error))
        ) from error
