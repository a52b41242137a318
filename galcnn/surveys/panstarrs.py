"""Pan-STARRS 1, the 3 pi survey (Chambers et al. 2016, arXiv:1612.05560), from MAST's image service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import astropy.units as u

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, message
from galcnn.files.astrometry import pixel_of
from galcnn.surveys.checks import Wanted, fits_bytes, received
from galcnn.surveys.http import Answer, Limits, address, get
from galcnn.surveys.images import BETA, loaded, moffat_planes, stacked
from galcnn.surveys.served import ServedSurvey

_ARCSEC = 0.25
#: Southern limit of the survey in degrees.
_SOUTH = -30.0
#: Extra pixels requested, so that the position can be centred within half a pixel.
_EDGE = 4
#: Median seeing of the stacks, arcsec (Magnier et al. 2020, ApJS 251, 6; Chambers et al. 2016).
_FWHM: Mapping[str, float] = {"g": 1.31, "r": 1.19, "i": 1.11, "z": 1.07, "y": 1.02}
_COLUMNS = ("projcell", "subcell", "filter", "filename", "badflag")


@dataclass(frozen=True)
class PanStarrs(ServedSurvey):
    """Cutouts of the stacked images of Pan-STARRS 1, in nJy.

    A first request lists the files that cover the position; then a part of each is fetched at native
    pixels. The sky is subtracted by the survey, including some light from the outskirts of large
    galaxies. The service provides no noise map. Pixels without data are NaN. The PSF is a Moffat
    profile with the median FWHM of all stacks.

    Attributes
    ----------
    server : str
        Address of the service.
    limits : Limits
        Limits of time and size.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> PanStarrs().requests(SkyCoord(150.1, 2.2, unit="deg"), 30 * u.arcsec, ("g", "r"))[0]
    'https://ps1images.stsci.edu/cgi-bin/ps1filenames.py?ra=150.1&dec=2.2&filters=gr&type=stack'
    """

    #: Side of a skycell in pixels: no image is larger.
    most: ClassVar[int] = 6000
    server: str = "https://ps1images.stsci.edu/cgi-bin"
    limits: Limits = field(default=Limits(), repr=False)

    def __post_init__(self) -> None:
        address(self.server)

    @property
    def name(self) -> str:
        return "Pan-STARRS DR2 stack"

    @property
    def bands(self) -> tuple[str, ...]:
        return tuple(_FWHM)

    @property
    def pixel_scale(self) -> u.Quantity:
        return _ARCSEC * u.arcsec

    def _requests(self, want: Wanted) -> tuple[str, ...]:
        # The list of files, then one image per band, whose file name comes from the list.
        return (self._list(want), *(self._image(want, f"<file of {band}>") for band in want.bands))

    def _cutout(self, want: Wanted) -> Cutout:
        if want.dec < _SOUTH:
            raise _not_covered(want, "north of -30 degrees")
        listed = get(self._list(want), limits=self.limits)
        files = _files(listed, want)
        answers = [get(self._image(want, files[band]), limits=self.limits) for band in want.bands]
        images = [_stack_image(answer, want, band) for answer, band in zip(answers, want.bands, strict=True)]
        widths = [_FWHM[band] for band in want.bands]
        facts = {
            "release": "PS1 DR2",
            "files": [files[band] for band in want.bands],
            "sky": "subtracted by the survey",
            "psf_source": f"Moffat, beta {BETA}, FWHM {widths} arcsec, the medians of all stacks",
        }
        stack = stacked(images, want.position, want.side)
        found = received(stack, want, survey=self.name, answers=[listed, *answers], facts=facts)
        return replace(found, psf=moffat_planes(widths, _ARCSEC))

    def _list(self, want: Wanted) -> str:
        filters = "".join(want.bands)
        place = {"ra": want.ra, "dec": want.dec, "filters": filters, "type": "stack"}
        return address(f"{self.server.rstrip('/')}/ps1filenames.py", place)

    def _image(self, want: Wanted, file: str) -> str:
        place = {"ra": want.ra, "dec": want.dec, "size": want.side + _EDGE, "format": "fits", "red": file}
        return address(f"{self.server.rstrip('/')}/fitscut.cgi", place)


def _files(listed: Answer, want: Wanted) -> dict[str, str]:
    """Read the table of files; return the files of one skycell, since they share a grid."""
    lines = listed.content.decode("latin-1").splitlines()
    names = lines[0].split() if lines else []
    if listed.status != 200 or not set(_COLUMNS) <= set(names):
        raise BadResponseError(listed.refusal("a table of files", "Try again later."))
    cells: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for line in lines[1:]:
        values = line.split()
        if not values:
            continue
        if len(values) != len(names):
            raise BadResponseError(
                message("a whole table of files", "Try again later.", line=line, url=listed.url)
            )
        row = dict(zip(names, values, strict=True))
        if row["badflag"] == "0":
            cells[row["projcell"], row["subcell"]].setdefault(row["filter"], row["filename"])
    whole = [files for files in cells.values() if set(want.bands) <= set(files)]
    if not whole:
        found = sorted({band for files in cells.values() for band in files})
        raise _not_covered(want, f"with stacks in {want.bands}, found {found}")
    return whole[0]


def _stack_image(answer: Answer, want: Wanted, band: str) -> Cutout:
    """Read one band with its margin, and check it."""
    image = loaded(fits_bytes(answer), answer)
    names = tuple(name.split(".")[0] for name in image.bands)  # FPA.FILTERID is like g.00000
    side = want.side + _EDGE
    if names != (band,) or image.shape != (side, side):
        raise BadResponseError(
            message(
                f"{side} x {side} pixels in {band}",
                "Try again later.",
                shape=image.shape,
                bands=names,
                url=answer.url,
            )
        )
    if image.wcs is None or not image.calibrated:
        said = image.meta.get("calibration")
        raise BadResponseError(
            message("a calibrated stack with a WCS", "Try again later.", calibration=said, url=answer.url)
        )
    x, y = (value - (side - 1) / 2 for value in pixel_of(image.wcs, want.position))
    if not max(abs(x), abs(y)) <= (_EDGE + 1) / 2:
        off = (round(x, 2), round(y, 2))
        raise BadResponseError(
            message("the position in the middle", "Try again later.", off_by_pixels=off, url=answer.url)
        )
    return replace(image, bands=(band,))


def _not_covered(want: Wanted, what: str) -> CoverageError:
    return CoverageError(message(f"a position {what}", "", position=want.position.to_string("hmsdms")))
