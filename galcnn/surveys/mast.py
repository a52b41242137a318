"""Hubble images from MAST: Zcut (deep fields) and Hapcut (Hubble Advanced Products)."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import astropy.units as u
import numpy as np
from astropy.io import fits

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, UnreadableImageError, message
from galcnn.files.sources import opened, untrusted
from galcnn.surveys.checks import Wanted, received
from galcnn.surveys.http import Answer, Limits, Session, address, speaking
from galcnn.surveys.images import coverage_of, loaded, stacked
from galcnn.surveys.served import NamedBands

_SERVER = "https://mast.stsci.edu"
#: Pixels that are requested beyond the cutout, since the service rounds sizes.
_MARGIN = 4
#: Units of products whose headers state none, by the start of the file name. CANDELS mosaics are
#: count rates (Koekemoer et al. 2011, ApJS 197, 36).
_UNITS = {"hlsp_candels_hst": "ELECTRONS/S"}
_FILTER = re.compile(r"[_-](f\d{3,4}[a-z]{1,2})(?![a-z0-9])", re.IGNORECASE)
#: Images whose pixel scale differs by more than this fraction belong to another product.
_SAME_SCALE = 0.02


class _Mast(NamedBands):
    """Common base of the MAST services."""

    most: ClassVar[int] = 4000
    named: ClassVar[str] = "filters"
    #: Name of the service in its address.
    service: ClassVar[str]
    server: str
    filters: str

    @property
    def bands(self) -> tuple[str, ...]:
        return tuple(name.upper() for name in super().bands)

    def _requests(self, want: Wanted) -> tuple[str, ...]:
        # A single request for all bands, sent as POST.
        root = f"{self.server.rstrip('/')}/{self.service}/api/v0.1/"
        return (address(f"{root}astrocut", self._question(want)),)

    def _question(self, want: Wanted) -> dict[str, object]:
        side = float(((want.side + _MARGIN) * want.pixel_scale).to_value(u.deg))
        return {"ra": want.ra, "dec": want.dec, "x": side, "y": side, "units": "d"}

    def _cutout(self, want: Wanted) -> Cutout:
        answer = self._ask(want)
        if not answer.content.startswith(b"PK"):
            raise _no_zip(answer, want)
        found: dict[str, list[tuple[float, Cutout, str]]] = {band: [] for band in want.bands}
        for band, original, image in _images(answer, want, self.limits.size):
            share = coverage_of(image, want.position, want.side)
            if share > 0:
                found[band].append((share, replace(image, bands=(band,)), original))
        if missing := [band for band, images in found.items() if not images]:
            raise CoverageError(
                message(
                    f"a position observed in {', '.join(missing)} with pixels of {want.pixel_scale:g}",
                    "Leave out the galaxy or these filters.",
                    position=want.position.to_string("hmsdms"),
                )
            )
        best = [max(found[band], key=lambda one: one[0]) for band in want.bands]
        facts = {
            "release": self.name,
            "products": [original for _, _, original in best],
            "psf_source": "none",
            "sky": "subtracted by the pipeline",
        }
        stack = stacked([image for _, image, _ in best], want.position, want.side)
        return received(stack, want, survey=self.name, answers=[answer], facts=facts)

    def _ask(self, want: Wanted) -> Answer:
        """Send the request as `astroquery.mast.Zcut.get_cutouts` does."""
        # That function turns a JSON answer into a warning and an empty result, whatever it says.
        from astroquery.mast.services import ServiceAPI

        one = Session(self.limits)
        client = ServiceAPI(session=one)
        client.SERVICE_URL = self.server.rstrip("/")
        client.set_service_params({"astrocut": {"path": "astrocut"}}, self.service)
        with speaking(self.name):
            client.service_request_async("astrocut", self._question(want), use_json=self.service == "hapcut")
        return one.answers[-1]


@dataclass(frozen=True)
class ZcutSurvey(_Mast):
    """Deep fields of Hubble from MAST's Zcut: CANDELS, GOODS, 3D-HST ...

    Images are in nJy, by PHOTFLAM and PHOTPLAM. Images of another pixel scale are skipped.

    Attributes
    ----------
    fields : str
        Name of the deep field, see ``astroquery.mast.Zcut.get_surveys``.
    filters : str
        Filters, separated by commas. Each is a band.
    arcsec : float
        Pixel scale of the images in arcsec.
    server : str
        Address of MAST.
    limits : Limits
        Limits of time and size.

    Examples
    --------
    >>> ZcutSurvey().name, ZcutSurvey().bands
    ('MAST Zcut candels_gn_30mas', ('F606W', 'F814W', 'F850LP'))
    """

    service: ClassVar[str] = "zcut"
    fields: str = "candels_gn_30mas"
    filters: str = "F606W,F814W,F850LP"
    arcsec: float = 0.03
    server: str = _SERVER
    limits: Limits = field(default=Limits(), repr=False)

    @property
    def name(self) -> str:
        return f"MAST Zcut {self.fields}"

    def _question(self, want: Wanted) -> dict[str, object]:
        return {**super()._question(want), "survey": self.fields}


@dataclass(frozen=True)
class HapcutSurvey(_Mast):
    """Hubble Advanced Products from MAST's Hapcut: mosaics of all visits, by filter.

    Images are in nJy, by PHOTFLAM and PHOTPLAM. Of several products in one filter, the one that covers
    most of the cutout is used.

    Attributes
    ----------
    filters : str
        Filters, separated by commas. Each is a band.
    arcsec : float
        Pixel scale of the products in arcsec: 0.04 for ACS and WFC3/UVIS, 0.12 for WFC3/IR.
    server : str
        Address of MAST.
    limits : Limits
        Limits of time and size.

    Examples
    --------
    >>> HapcutSurvey("F814W").bands
    ('F814W',)
    """

    service: ClassVar[str] = "hapcut"
    filters: str = "F606W,F814W"
    arcsec: float = 0.04
    server: str = _SERVER
    limits: Limits = field(default=Limits(), repr=False)

    @property
    def name(self) -> str:
        return "MAST Hapcut"


def _no_zip(answer: Answer, want: Wanted) -> Exception:
    """Return a CoverageError if a JSON answer says that there is no image, else a BadResponseError."""
    try:
        said = json.loads(answer.content)
    except ValueError:
        said = None
    words = str(said.get("msg", "")) if isinstance(said, dict) else ""
    nothing = isinstance(said, dict) and said.get("results", []) == []
    if nothing and re.search(r"\bno\b|missing|not (in|found|available|cover)", words, re.IGNORECASE):
        where = want.position.to_string("hmsdms")
        return CoverageError(
            message("a position that Hubble has observed", "Leave it out.", position=where, answer=words)
        )
    return BadResponseError(answer.refusal("a zip of FITS files", "Try again later, or check the request."))


def _images(answer: Answer, want: Wanted, most: int) -> Iterator[tuple[str, str, Cutout]]:
    """Yield band, original file and image of each matching HDU; all HDUs are named CUTOUT."""
    for name, content in _members(answer, most):
        for band, original, alone in _contents(name, content, answer):
            if band not in want.bands:
                continue
            try:
                image = loaded(alone, answer)
            except CoverageError:  # all NaN: another product may cover the position
                continue
            scale = image.pixel_scale
            if scale is not None and abs(float(scale / want.pixel_scale) - 1) < _SAME_SCALE:
                yield band, original, image


def _members(answer: Answer, most: int) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
            if sum(one.file_size for one in packed.infolist()) > most:
                raise BadResponseError(message(f"an answer of at most {most} bytes", "", url=answer.url))
            if not packed.namelist():
                raise BadResponseError(message("a zip of FITS files", "", url=answer.url, members=0))
            for name in packed.namelist():
                yield name, packed.read(name)
    except BadResponseError:
        raise
    except Exception as error:  # zipfile and the decompressors raise many exceptions for damaged files
        raise BadResponseError(
            message("a whole zip of FITS files", "Try again later.", url=answer.url, error=str(error))
        ) from error


def _contents(name: str, content: bytes, answer: Answer) -> Sequence[tuple[str, str, bytes]]:
    """Return filter, original file name and a separate FITS file of each image."""
    found: list[tuple[str, str, bytes]] = []
    # astropy reads truncated files without an error.
    if len(content) % 2880:
        raise BadResponseError(
            message(
                "whole FITS files", "Try again later.", url=answer.url, member=name, size_bytes=len(content)
            )
        )
    try:
        with opened(untrusted(content)) as (hdulist, _):
            for hdu in hdulist:
                if not hdu.is_image or len(np.shape(hdu.data)) != 2:
                    continue
                original = str(hdu.header.get("ORIG_FLE", name))
                if "BUNIT" not in hdu.header and original.startswith(tuple(_UNITS)):
                    hdu.header["BUNIT"] = next(
                        unit for start, unit in _UNITS.items() if original.startswith(start)
                    )
                alone = io.BytesIO()
                fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(alone, output_verify="ignore")
                found.append((_filter(hdu.header, original), original, alone.getvalue()))
    except UnreadableImageError as error:
        raise BadResponseError(
            message("a zip of FITS files", "Try again later.", url=answer.url, member=name, error=str(error))
        ) from error
    return found


def _filter(header: Any, original: str) -> str:
    """Return the filter, from the name of the original file if possible, else from the filter cards."""
    if by_name := _FILTER.search(original):
        return by_name[1].upper()
    wheels = [str(header.get(key, "")).strip().upper() for key in ("FILTER", "FILTER1", "FILTER2")]
    return next((wheel for wheel in wheels if wheel.startswith("F")), "")
