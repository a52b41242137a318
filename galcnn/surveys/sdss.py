"""Sloan Digital Sky Survey: whole frames, cut locally, with sigma from calibration, sky and gain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord
from astropy.table import Table

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, UnreadableImageError, message
from galcnn.files.astrometry import celestial_wcs, pixel_of
from galcnn.files.sources import opened, untrusted
from galcnn.photometry.units import NANOMAGGY
from galcnn.surveys.checks import Wanted, received
from galcnn.surveys.http import Answer, Limits, Session, address, get, speaking
from galcnn.surveys.images import coverage_of, moffat_planes, stacked
from galcnn.surveys.served import ServedSurvey

_ARCSEC = 0.396
#: Maximum number of overlapping fields that are compared.
_TRIED = 4
#: Band whose grid is used for all, so that a band has the same pixels whatever others are requested.
_REFERENCE = "r"
_PER_BAND = ("psfWidth", "gain", "darkVariance")
_SHAPE = (1489, 2048)
#: A frame whose centre is farther than this from that of its field has a wrong WCS.
_STALE = 1 * u.arcmin
_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Field:
    """One field of the SDSS imaging.

    Attributes
    ----------
    run, rerun, camcol, field : int
        Identifiers of the field.
    centre : astropy.coordinates.SkyCoord
        Centre of the field in the database.
    psf_width : mapping of str to float
        Full width at half maximum of the PSF in arcsec, by band.
    gain : mapping of str to float
        Electrons per count, by band.
    dark_variance : mapping of str to float
        Variance of read noise and dark current in counts squared, by band.
    """

    run: int
    rerun: int
    camcol: int
    field: int
    centre: SkyCoord
    psf_width: Mapping[str, float]
    gain: Mapping[str, float]
    dark_variance: Mapping[str, float]


@dataclass(frozen=True)
class SDSSSurvey(ServedSurvey):
    """Corrected frames of the SDSS imaging in u, g, r, i and z.

    SDSS has no cutout service: the frame of each band (3 MB, compressed) is fetched and cut locally.
    If several fields cover the position, the first one that covers the whole cutout is used, in
    order of decreasing ``score``; if none does, the one that covers most of it.

    Images are in nJy, with sigma and PSF, on the grid of the r frame, whose rows run along the scan:
    north is not up. Frames of other bands are offset by a fraction of a pixel and aligned to it, see
    `galcnn.transforms.align`. Pixels beyond the edge of the frame are NaN.

    Attributes
    ----------
    release : int
        Data release, 13 or later.
    psf : bool
        If True, compute the PSF at the position from the field's psField file; this takes one more
        request. If False, or if there is no such file, use a Moffat profile of the field's FWHM.
    server : str
        Address of the images.
    database : str
        Address of the SkyServer, the database of the fields.
    limits : Limits
        Limits of time and size.

    Examples
    --------
    >>> SDSSSurvey().bands, SDSSSurvey().pixel_scale
    (('u', 'g', 'r', 'i', 'z'), <Quantity 0.396 arcsec>)
    """

    most: ClassVar[int] = 1489  # the height of a frame
    release: int = 17
    psf: bool = True
    server: str = "https://data.sdss.org/sas"
    database: str = "https://skyserver.sdss.org"
    limits: Limits = field(default=Limits(), repr=False)

    def __post_init__(self) -> None:
        if self.release < 13:
            raise ValueError(message("a data release of 13 or later", "", release=self.release))
        address(self.server)
        address(self.database)

    @property
    def name(self) -> str:
        return f"SDSS DR{self.release}"

    @property
    def bands(self) -> tuple[str, ...]:
        return ("u", "g", "r", "i", "z")

    @property
    def pixel_scale(self) -> u.Quantity:
        return _ARCSEC * u.arcsec

    def _requests(self, want: Wanted) -> tuple[str, ...]:
        # The field, the r frame, the frames of the other bands, and the PSF of the field.
        client = self._client()
        payload = client.query_sql_async(
            _sql(want), get_query_payload=True, data_release=self.release, cache=False
        )
        found = [address(client._get_query_url(self.release), payload)]
        base = f"{self.server}/dr{self.release}/"
        frames = dict.fromkeys((_REFERENCE, *want.bands))
        found += [f"{base}<...>/frame-{band}-<run>-<camcol>-<field>.fits.bz2" for band in frames]
        return (*found, *([f"{base}<...>/psField-<run>-<camcol>-<field>.fit"] if self.psf else []))

    def _cutout(self, want: Wanted) -> Cutout:
        answers: list[Answer] = []
        chosen, reference = self._best(want, answers)
        frames = [
            reference if band == _REFERENCE else self._frame(chosen, band, answers) for band in want.bands
        ]
        planes, source = self._psf(chosen, want, frames, answers)
        frames = [replace(frame, psf=plane) for frame, plane in zip(frames, planes, strict=True)]
        stack = stacked(frames, want.position, want.side, reference=reference)
        facts: dict[str, Any] = {
            "release": f"DR{self.release}",
            "calibration": "BUNIT = nanomaggy",
            "zero_point_ab": 22.5,
            "sky": "subtracted by the survey",
            "sigma_source": "calibration and sky of the frame, gain and dark variance of the field",
            "psf_source": source,
            "field": {
                "run": chosen.run,
                "rerun": chosen.rerun,
                "camcol": chosen.camcol,
                "field": chosen.field,
            },
        }
        return received(stack, want, survey=self.name, answers=answers, facts=facts)

    def _client(self) -> Any:
        from astroquery.sdss import SDSSClass, conf

        client = SDSSClass()
        client._session = Session(self.limits)
        own = client._get_query_url
        client._get_query_url = lambda release: own(release).replace(
            conf.skyserver_baseurl, self.database.rstrip("/")
        )
        return client

    def _best(self, want: Wanted, answers: list[Answer]) -> tuple[Field, Cutout]:
        """Return the field to use and its frame in the reference band."""
        candidates: list[tuple[float, Field, Cutout]] = []
        for one in self._fields(want, answers)[:_TRIED]:
            frame = self._frame(one, _REFERENCE, answers)
            share = coverage_of(frame, want.position, want.side)
            candidates.append((share, one, frame))
            if share == 1:
                break
        best = max(candidates, key=lambda one: one[0], default=(0.0, None, None))
        if not best[0] or best[1] is None or best[2] is None:
            where = want.position.to_string("hmsdms")
            raise CoverageError(
                message(f"a position that {self.name} has observed", "Leave the galaxy out.", position=where)
            )
        return best[1], best[2]

    def _fields(self, want: Wanted, answers: list[Answer]) -> list[Field]:
        client = self._client()
        with speaking(f"SDSS ({self.database})"):
            client.query_sql_async(_sql(want), data_release=self.release, cache=False)
        answers += client._session.answers
        if not answers[-1].content.endswith(b"\n"):  # a truncated table would still parse
            raise BadResponseError(
                answers[-1].refusal("a table that ends with its last row", "Try again later.")
            )
        # As lines: astroquery gives astropy the text, which it opens if it looks like an address or a path.
        lines = answers[-1].content.decode("utf-8", "replace").splitlines()
        with speaking(f"SDSS ({self.database})"):
            table = Table.read(lines, format="ascii.csv", comment="#")
        if not {"run", "rerun", "camcol", "field"} <= set(table.colnames):  # a message is one row of names
            raise BadResponseError(answers[-1].refusal("a table of fields", "Try again later."))
        return _fields_of(table, {_REFERENCE, *want.bands}, answers[-1])

    def _address(self, one: Field, band: str) -> str:
        """Return the address that the client would use, on our server."""
        from astroquery.sdss import conf

        row = Table(
            rows=[(one.run, one.rerun, one.camcol, one.field)], names=("run", "rerun", "camcol", "field")
        )
        (container,) = self._client().get_images_async(matches=row, band=band, data_release=self.release)
        return str(container._target).replace(conf.sas_baseurl, self.server.rstrip("/"))

    def _frame(self, one: Field, band: str, answers: list[Answer]) -> Cutout:
        return read_frame(self._ask(self._address(one, band), answers), one, band)

    def _ask(self, url: str, answers: list[Answer], accept: Sequence[int] = (200,)) -> Answer:
        answer = get(url, limits=self.limits, accept=accept)
        answers.append(answer)
        return answer

    def _psf(
        self, one: Field, want: Wanted, frames: Sequence[Cutout], answers: list[Answer]
    ) -> tuple[np.ndarray[Any, Any], str]:
        if self.psf:
            image = self._address(one, _REFERENCE)
            folder = image.replace("/photoObj/frames/", "/photo/redux/").rpartition("/")[0]
            folder = f"{folder.rpartition('/')[0]}/objcs/{one.camcol}"
            url = f"{folder}/psField-{one.run:06d}-{one.camcol}-{one.field:04d}.fit"
            answer = self._ask(url, answers, accept=(200, 404))
            if answer.status == 200:
                planes = []
                for band, frame in zip(want.bands, frames, strict=True):
                    x, y = pixel_of(frame.wcs, want.position)
                    planes.append(_psf_of(answer, self.bands.index(band), row=y, column=x))
                return np.stack(planes), "psField of the field, at the position"
            answers.pop()
        widths = [one.psf_width[band] for band in want.bands]
        return moffat_planes(widths, _ARCSEC), "Moffat of the field's width, arcsec: " + ", ".join(
            f"{width:.3f}" for width in widths
        )


def _sql(want: Wanted) -> str:
    """Return the query for the fields around the position, also across RA 0; their frames decide later."""
    columns = ["run", "rerun", "camcol", "field", "ra", "dec", "score"]
    bands = dict.fromkeys((_REFERENCE, *want.bands))
    columns += [f"{name}_{band}" for band in bands for name in _PER_BAND]
    return (
        f"SELECT {', '.join(columns)} FROM Field "
        f"WHERE decMin <= {want.dec:.7f} AND decMax >= {want.dec:.7f} "
        f"AND ((raMin <= {want.ra:.7f} AND raMax >= {want.ra:.7f}) OR raMin > raMax OR raMax - raMin > 180) "
        "ORDER BY score DESC, run, camcol, field"
    )


def _fields_of(table: Any, bands: Iterable[str], answer: Answer) -> list[Field]:
    """Read the rows of the table of fields, in its order, with the values of some bands."""
    names = tuple(bands)
    try:
        return [
            Field(
                int(row["run"]),
                int(row["rerun"]),
                int(row["camcol"]),
                int(row["field"]),
                SkyCoord(float(row["ra"]), float(row["dec"]), unit="deg"),
                psf_width={band: float(row[f"psfWidth_{band}"]) for band in names},
                gain={band: float(row[f"gain_{band}"]) for band in names},
                dark_variance={band: float(row[f"darkVariance_{band}"]) for band in names},
            )
            for row in table
        ]
    except (KeyError, ValueError, TypeError) as error:
        said = f"{type(error).__name__}: {error}"
        raise BadResponseError(
            message("a table of fields", "Try again later.", url=answer.url, error=said)
        ) from error


def read_frame(answer: Answer, one: Field, band: str) -> Cutout:
    """Read a whole corrected frame, with or without bzip2, and compute its noise, in nJy."""
    # Pixels and sky are converted back to counts. Their variance is counts / gain for the electrons,
    # plus the dark variance (data model of the frame files).
    if not answer.content.startswith((b"BZh", b"SIMPLE  =")):
        raise BadResponseError(answer.refusal("a frame", "Try again later."))
    try:
        with opened(untrusted(answer.content)) as (hdulist, _):
            header, image = hdulist[0].header, hdulist[0].data
            calibration = np.asarray(hdulist[1].data, dtype=float)
            sky = _sky(hdulist[2].data[0])
    except (UnreadableImageError, IndexError, KeyError, TypeError) as error:
        raise BadResponseError(_refusal(answer, f"{type(error).__name__}: {error}")) from error
    wcs, notes = celestial_wcs(header, _SHAPE)
    _check(header, None if image is None else image.shape, wcs, one, band, answer)
    counts = image / calibration + sky
    # For damaged pixels far below the sky the noise is unknown.
    variance = np.where(counts > 0, counts, np.nan) / one.gain[band] + one.dark_variance[band]
    factor = NANOMAGGY.to(u.nJy)
    return Cutout(
        (image * factor).astype(np.float32),
        (band,),
        wcs=wcs,
        sigma=(np.sqrt(variance) * calibration * factor).astype(np.float32),
        meta={"notes": notes} if notes else {},
    )


def _psf_of(answer: Answer, index: int, *, row: float, column: float) -> npt.NDArray[np.float32]:
    """Return the PSF at a pixel position of a field, counted from 0, from a psField file; it sums to 1."""
    # The file holds eigenimages of each band, and for each a polynomial in row and column / 1000 for
    # its weight (Lupton et al. 2001, ASPC 238, 269; as in SDSS's own read_PSF).
    try:
        with opened(untrusted(answer.content)) as (hdulist, _):
            psf: _Array = np.zeros(())
            for eigen in hdulist[1 + index].data:
                rows, columns = int(eigen["nrow_b"]), int(eigen["ncol_b"])
                powers = np.outer((row / 1000) ** np.arange(rows), (column / 1000) ** np.arange(columns))
                weight = float(np.sum(powers * np.asarray(eigen["c"], dtype=float)[:rows, :columns]))
                shape = (int(eigen["rnrow"]), int(eigen["rncol"]))
                psf = psf + weight * np.asarray(eigen["rrows"], dtype=float).reshape(shape)
    except (UnreadableImageError, IndexError, KeyError, TypeError, ValueError) as error:
        raise BadResponseError(_refusal(answer, f"{type(error).__name__}: {error}")) from error
    if psf.ndim != 2 or not np.isfinite(psf).all() or not psf.sum() > 0:
        raise BadResponseError(_refusal(answer, "no PSF with a positive sum"))
    unit: npt.NDArray[np.float32] = (psf / psf.sum()).astype(np.float32)
    return unit


def _sky(table: Any) -> _Array:
    """Return the sky in counts, interpolated as the frame's own table specifies."""
    from scipy.ndimage import map_coordinates

    x, y = np.asarray(table["XINTERP"], dtype=float), np.asarray(table["YINTERP"], dtype=float)
    grid = np.meshgrid(y, x, indexing="ij")
    sky: _Array = map_coordinates(np.asarray(table["ALLSKY"], dtype=float), grid, order=1, mode="nearest")
    return sky


def _check(header: Any, shape: Any, wcs: Any, one: Field, band: str, answer: Answer) -> None:
    unit = str(header.get("BUNIT", "")).strip().lower()
    found = str(header.get("FILTER", "")).strip()
    if shape != _SHAPE or unit != "nanomaggy" or found != band or wcs is None:
        raise BadResponseError(
            message(
                f"a frame of {_SHAPE} pixels in {band}, in nanomaggies",
                "Try again later; the service may have changed.",
                shape=shape,
                unit=unit,
                filter=found,
                url=answer.url,
            )
        )
    middle = wcs.pixel_to_world((_SHAPE[1] - 1) / 2, (_SHAPE[0] - 1) / 2)
    if not middle.separation(one.centre) < _STALE:
        raise BadResponseError(
            message(
                f"a frame about {one.centre.to_string('hmsdms')}, where the database has its field",
                "Its place on the sky is wrong: leave the galaxy out.",
                middle=middle.to_string("hmsdms"),
                url=answer.url,
            )
        )


def _refusal(answer: Answer, error: str) -> str:
    return message("a file of the SDSS", "Try again later.", url=answer.url, error=error)
