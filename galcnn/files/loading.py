"""One door for image files: FITS, JPEG or PNG -> Cutout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError, message
from galcnn.files.aside import noise_factor, refuse_flag_bits, refuse_other_roles, standard_deviation
from galcnn.files.fits_images import HDUChoice, find_hdu, raw_planes, read_image, role_of
from galcnn.files.layout import cutout_from_hdus, is_our_layout
from galcnn.files.opening import check_sums, opened
from galcnn.files.pictures import read_picture
from galcnn.files.planes import Planes, choose_bands, join
from galcnn.files.source import FileLike, Source, kind_of, source_of

__all__ = ["load_cutout"]


def load_cutout(
    path: FileLike | Sequence[FileLike],
    *,
    bands: Sequence[str] | None = None,
    hdu: HDUChoice | None = None,
    mask: FileLike | None = None,
    sigma: FileLike | None = None,
    redshift: float | None = None,
) -> Cutout:
    """Read an image file as a cutout: flux in nJy where the file is certain of it.

    Read are FITS (primary or extension, several extensions or a cube of bands, one file a band,
    compressed or not), files of `save_cutout` and of `galcnn.layers`, and JPEG and PNG, whose
    rows are reversed, as FITS counts from below. Position is the place on the sky of the central
    pixel: cards such as RA and DEC are often those of the telescope.

    Parameters
    ----------
    path : path-like, bytes, binary file, or sequence of them
        One file, on the disk or in memory, or one for each band on one grid.
    bands : sequence of str, optional
        Which bands, in the wanted order; where the files name none, names for all planes.
    hdu : int, str or sequence of them, optional
        Where the image is: index from 0, EXTNAME, or ``EXTNAME,EXTVER``; several for one band
        each. Found out by default, where there is no doubt.
    mask : path-like, bytes or str, optional
        Name of an HDU or another file; pixels that are not 0 must not be used.
    sigma : path-like, bytes or str, optional
        Name of an HDU or another file with the standard deviation in the unit of the image, or,
        where its name says so, the variance or inverse variance.
    redshift : float, optional
        Of the galaxy.

    Returns
    -------
    galcnn.cutout.Cutout
        `meta` holds path, format, calibration, AB zero point, source of the position, and notes
        on what the header lacks or what was mended in it.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    galcnn.errors.UnreadableImageError
        It exists, but no image can be made of it; the text says what was found.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from galcnn.files import save_cutout
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "galaxy.fits"
    ...     save_cutout(Cutout(np.ones((2, 8, 8)), ("g", "r"), redshift=0.1), path)
    ...     cutout = load_cutout(path, bands=("r",))
    >>> cutout.bands, cutout.unit, cutout.redshift
    (('r',), Unit("nJy"), 0.1)
    """
    sources = _sources(path)
    if isinstance(bands, str):
        raise TypeError(message("bands as a sequence of names", f"Write ({bands!r},).", bands=bands))
    if not sources:
        raise ValueError(message("at least one file", "", path=path))
    mask_file, mask_hdu = _file_or_hdu(mask)
    sigma_file, sigma_hdu = _file_or_hdu(sigma)
    planes = join([_read_file(one, bands, hdu, mask_hdu, sigma_hdu) for one in sources])
    if mask_file is not None:
        planes = _masked(planes, *_aside(mask_file))
    if sigma_file is not None:
        planes = _with_sigma(planes, *_aside(sigma_file))
    planes = choose_bands(planes, bands)
    if not np.isfinite(planes.values).any():
        raise UnreadableImageError(
            message(
                "an image with at least one number", "Leave it out.", path=_shown(sources), found="all NaN"
            )
        )
    position, position_source = planes.position, None
    if planes.wcs is not None and not planes.ours:
        position, position_source = _centre(planes.wcs, planes.values.shape), "centre of the image"
    return Cutout(
        planes.values,
        tuple(str(name) for name in planes.names),
        wcs=planes.wcs,
        position=position,
        survey=planes.survey,
        unit=planes.unit,
        mask=planes.mask,  # type: ignore[arg-type]  # None means: only NaN is masked
        sigma=planes.sigma,
        psf=planes.psf,
        redshift=planes.redshift if redshift is None else redshift,
        meta=_meta(planes, sources, position_source),
    )


def _read_file(
    source: Source,
    bands: Sequence[str] | None,
    hdu: HDUChoice | None,
    mask: str | None,
    sigma: str | None,
) -> Planes:
    if kind_of(source) == "picture":
        asked = [one for one in (hdu, mask, sigma) if one is not None]
        if asked:
            raise UnreadableImageError(
                message("no HDU of a JPEG or PNG", "Leave it out.", path=source.name, hdu=asked[0])
            )
        return read_picture(source)
    with opened(source) as (hdulist, notes):
        try:
            planes = _science(hdulist, bands, hdu)
            if mask is not None:
                one = find_hdu(hdulist, mask)
                planes = _masked(planes, raw_planes(one), one)
            if sigma is not None:
                one = find_hdu(hdulist, sigma)
                planes = _with_sigma(planes, raw_planes(one), one)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{source.name}: {error}") from error
    return replace(planes, notes=(*planes.notes, *notes))


def _science(hdulist: fits.HDUList, bands: Sequence[str] | None, hdu: HDUChoice | None) -> Planes:
    if hdu is None and is_our_layout(hdulist):
        check_sums(hdulist)
        return _planes_of(cutout_from_hdus(hdulist))
    try:
        return read_image(hdulist, hdu, bands)
    except fits.VerifyError:  # a card that is not FITS, such as text without quotes
        hdulist.verify("fix")  # what is mended lands in the notes
        return read_image(hdulist, hdu, bands)


def _planes_of(cutout: Cutout) -> Planes:
    return Planes(
        cutout.flux,
        cutout.bands,
        cutout.unit,
        factors=(1.0,) * len(cutout.bands),
        wcs=cutout.wcs,
        survey=cutout.survey,
        mask=cutout.mask,
        sigma=cutout.sigma,
        psf=cutout.psf,
        position=cutout.position,
        redshift=cutout.redshift,
        facts=dict(cutout.meta),
        ours=True,
    )


def _sources(path: FileLike | Sequence[FileLike]) -> list[Source]:
    if isinstance(path, Sequence) and not isinstance(path, str | bytes | bytearray | memoryview):
        return [source_of(one) for one in path]
    return [source_of(path)]


def _file_or_hdu(given: FileLike | None) -> tuple[Source | None, str | None]:
    """A word that is no file and looks like none is the name of an HDU."""
    if given is None:
        return None, None
    source = source_of(given)
    if source.path is None or source.path.is_file():
        return source, None
    if isinstance(given, str) and not source.path.suffix and source.path.name == given:
        return None, given
    raise FileNotFoundError(message("an existing file, or the name of an HDU", "Check it.", path=source.name))


def _aside(source: Source) -> tuple[npt.NDArray[Any], Any]:
    """The planes of a mask or noise file, and the HDU they are from."""
    if kind_of(source) == "picture":
        return read_picture(source).values, None
    with opened(source) as (hdulist, _):
        images = [one for one in hdulist if one.is_image and one.shape and len(one.shape) >= 2]
        if len(images) != 1:
            raise UnreadableImageError(
                message("one image in a file of mask or noise", "", path=source.name, n_images=len(images))
            )
        return raw_planes(images[0]), images[0]


def _masked(planes: Planes, flags: npt.NDArray[Any], hdu: Any) -> Planes:
    if hdu is not None:
        refuse_flag_bits(hdu.header)
    fresh = _fitted(flags, planes, "mask") != 0  # NaN too is not 0
    return replace(planes, mask=fresh if planes.mask is None else fresh | planes.mask)


def _with_sigma(planes: Planes, noise: npt.NDArray[Any], hdu: Any) -> Planes:
    role = "sigma" if hdu is None else role_of(hdu)
    factors = np.array(planes.factors)[:, np.newaxis, np.newaxis]
    if hdu is not None:
        refuse_other_roles(role, hdu.name)
        own = noise_factor(hdu.header, role, planes.unit)
        factors = factors if own is None else np.array([[[own]]])
    return replace(planes, sigma=standard_deviation(_fitted(noise, planes, "sigma"), role, factors))


def _fitted(aside: npt.NDArray[Any], planes: Planes, what: str) -> npt.NDArray[Any]:
    if aside.shape[1:] != planes.values.shape[1:] or len(aside) not in (1, len(planes.values)):
        raise UnreadableImageError(
            message(f"{what} for planes of shape {planes.values.shape}", "", shape=aside.shape)
        )
    return np.broadcast_to(aside, planes.values.shape)


def _centre(wcs: WCS, shape: tuple[int, ...]) -> SkyCoord:
    sky = wcs.all_pix2world([[(shape[2] - 1) / 2, (shape[1] - 1) / 2]], 0)[0]
    return SkyCoord(sky[wcs.wcs.lng], sky[wcs.wcs.lat], unit="deg", frame=wcs_to_celestial_frame(wcs))


def _meta(planes: Planes, sources: Sequence[Source], position_source: str | None) -> dict[str, Any]:
    if planes.ours:
        return dict(planes.facts)
    meta: dict[str, Any] = {"path": _shown(sources), **planes.facts}
    if position_source is not None:
        meta["position_source"] = position_source
    if planes.notes:
        meta["notes"] = list(planes.notes)
    return meta


def _shown(sources: Sequence[Source]) -> str | list[str]:
    return sources[0].name if len(sources) == 1 else [source.name for source in sources]
