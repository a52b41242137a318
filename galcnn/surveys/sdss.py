"""The Sloan Digital Sky Survey: whole frames, cut here, with the sigma of their calibration, sky and gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, message
from galcnn.surveys.checking import Wanted, received, wanted
from galcnn.surveys.download import Answer, Limits, address, get, session, speaking
from galcnn.surveys.framing import coverage_of, stacked
from galcnn.surveys.psf import moffat_planes
from galcnn.surveys.sdss_frames import Field, fields_of, psf_of, read_frame

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["SDSSSurvey"]

_ARCSEC = 0.396
#: Pixels: a frame is 1489 high.
_MOST = 1489
#: Overlapping fields that are looked at before the best of them is taken as it is.
_TRIED = 4
#: The band whose grid is kept, whatever is asked for: each band has the same pixels in any company.
_REFERENCE = "r"
_PER_BAND = ("psfWidth", "gain", "darkVariance")


@dataclass(frozen=True)
class SDSSSurvey:
    """Corrected frames of the SDSS imaging, u g r i z.

    The service has no cutouts: the frame of each band (3 MB, packed) is fetched and cut. Of
    several fields that hold a position, the first that holds the whole cutout is taken, in the
    order of their quality ``score``; where none does, that which holds most of it.

    Attributes
    ----------
    release : int
        Data release, 13 or later.
    psf : bool
        Whether the PSF at the position is made from the field's psField file, one more request.
        Without it, or where the service has no such file, a Moffat profile of the field's width.
    server : str
        Address of the images.
    database : str
        Address of the SkyServer, which knows the fields.
    limits : Limits
        Of time and size.

    Examples
    --------
    >>> SDSSSurvey().bands, SDSSSurvey().pixel_scale
    (('u', 'g', 'r', 'i', 'z'), <Quantity 0.396 arcsec>)
    """

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
        """With the data release."""
        return f"SDSS DR{self.release}"

    @property
    def bands(self) -> tuple[str, ...]:
        """From blue to red."""
        return ("u", "g", "r", "i", "z")

    @property
    def pixel_scale(self) -> u.Quantity:
        """Native, 0.396 arcsec."""
        return _ARCSEC * u.arcsec

    def requests(
        self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        """Give the addresses that `cutout` would ask for.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            Centre of the image.
        width : astropy.units.Quantity
            Angular side.
        bands : tuple of str, optional
            Wanted bands; all by default.

        Returns
        -------
        tuple of str
            The question for the field, then the frame in r, that of each band, and the PSF of the field.
        """
        want = wanted(self, position, width=width, bands=bands, most=_MOST)
        client = self._client()
        payload = client.query_sql_async(
            _sql(want), get_query_payload=True, data_release=self.release, cache=False
        )
        found = [address(client._get_query_url(self.release), payload)]
        base = f"{self.server}/dr{self.release}/"
        frames = dict.fromkeys((_REFERENCE, *want.bands))
        found += [f"{base}<...>/frame-{band}-<run>-<camcol>-<field>.fits.bz2" for band in frames]
        return (*found, *([f"{base}<...>/psField-<run>-<camcol>-<field>.fit"] if self.psf else []))

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        """Give the image around a position.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            Centre of the image.
        width : astropy.units.Quantity
            Angular side, at most 1489 pixels.
        bands : tuple of str, optional
            Wanted bands in the wanted order; all by default.

        Returns
        -------
        galcnn.cutout.Cutout
            nJy, with sigma and PSF, on the grid of the frame in r, whose rows run along the scan:
            north is not up. Other bands, a part of a pixel away, are brought to it, see
            `galcnn.transforms.align`. NaN beyond the edge of the frame.

        Raises
        ------
        galcnn.errors.CoverageError
            No field holds the position.
        galcnn.errors.DownloadError
            A service did not answer, or not with what was asked for.
        ValueError
            A band is not of the survey, or the width is no angle or too large.
        """
        want = wanted(self, position, width=width, bands=bands, most=_MOST)
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
        client._session = session(self.limits)
        own = client._get_query_url
        client._get_query_url = lambda release: own(release).replace(
            conf.skyserver_baseurl, self.database.rstrip("/")
        )
        return client

    def _best(self, want: Wanted, answers: list[Answer]) -> tuple[Field, Cutout]:
        """The field to take, and its frame in the band whose grid is kept."""
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
            table: Table | None = client.query_sql(_sql(want), data_release=self.release, cache=False)
        answers += client._session.answers
        if not answers[-1].content.endswith(b"\n"):  # half a table is a table too
            raise BadResponseError(
                answers[-1].refusal("a table that ends with its last row", "Try again later.")
            )
        return [] if table is None else fields_of(table, {_REFERENCE, *want.bands}, answers[-1])

    def _address(self, one: Field, band: str) -> str:
        """As the client would ask, of another server."""
        from astropy.table import Table
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
                    x, y = frame.wcs.world_to_pixel(want.position)  # type: ignore[union-attr]  # it has one
                    planes.append(psf_of(answer, self.bands.index(band), row=float(y), column=float(x)))
                return np.stack(planes), "psField of the field, at the position"
            answers.pop()
        widths = [one.psf_width[band] for band in want.bands]
        return moffat_planes(widths, _ARCSEC), "Moffat of the field's width, arcsec: " + ", ".join(
            f"{width:.3f}" for width in widths
        )


def _sql(want: Wanted) -> str:
    """Fields whose box holds the position, RA 0 crossed or not; their frames decide."""
    columns = ["run", "rerun", "camcol", "field", "ra", "dec", "score"]
    bands = dict.fromkeys((_REFERENCE, *want.bands))
    columns += [f"{name}_{band}" for band in bands for name in _PER_BAND]
    return (
        f"SELECT {', '.join(columns)} FROM Field "
        f"WHERE decMin <= {want.dec:.7f} AND decMax >= {want.dec:.7f} "
        f"AND ((raMin <= {want.ra:.7f} AND raMax >= {want.ra:.7f}) OR raMin > raMax OR raMax - raMin > 180) "
        "ORDER BY score DESC, run, camcol, field"
    )
