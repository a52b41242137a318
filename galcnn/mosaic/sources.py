"""Files of mosaics -> sources of pixels: memory-mapped where that can be, unpacked once where not."""

from __future__ import annotations

import bz2
import gzip
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from astropy.io import fits

from galcnn.errors import UnreadableImageError, message
from galcnn.files.fits_images import find_hdu
from galcnn.files.opening import opened
from galcnn.files.roles import role_of, role_of_name
from galcnn.files.stored import inherited, plane_indices
from galcnn.mosaic.pixels import Mapped, Pixels, Strips

__all__ = ["Aside", "Files"]

_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}


class Aside:
    """A mask or noise map beside a mosaic.

    Parameters
    ----------
    planes : list of Pixels
        One for all bands, or one a band.
    header : astropy.io.fits.Header
        Of its HDU, with what it inherits.
    role : str
        What it holds, see `galcnn.files.roles.role_of`.
    name : str
        Of its HDU.
    """

    def __init__(self, planes: list[Pixels], header: fits.Header, role: str, name: str) -> None:
        self.planes, self.header, self.role, self.name = planes, header, role, name

    def of(self, plane: int, shape: tuple[int, int], n_planes: int) -> Pixels:
        """Give the map of one band.

        Parameters
        ----------
        plane : int
            Of the image.
        shape : tuple of int
            Of the image, (ny, nx).
        n_planes : int
            Of the image.

        Returns
        -------
        Pixels
            Of the same shape.

        Raises
        ------
        galcnn.errors.UnreadableImageError
            It has another shape, or another number of planes.
        """
        if len(self.planes) not in (1, n_planes) or self.planes[0].shape != shape:
            raise UnreadableImageError(
                message(
                    f"a mask or noise map of {shape} pixels (ny, nx), like the image",
                    "",
                    hdu=self.name,
                    shape=self.planes[0].shape,
                    n_planes=len(self.planes),
                )
            )
        return self.planes[0 if len(self.planes) == 1 else plane]


class Files:
    """Files that are open together; each is unpacked and opened once, and each plane is one source.

    Parameters
    ----------
    stack : contextlib.ExitStack
        Closes the files and removes what was unpacked.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._plain: dict[Path, Path] = {}
        self._open: dict[Path, Any] = {}
        self._sources: dict[tuple[Path, int, tuple[int, ...]], Pixels] = {}

    @property
    def sources(self) -> list[Pixels]:
        """All that are in use."""
        return list(self._sources.values())

    def plain(self, path: Path) -> Path:
        """Give a file that can be mapped: `path`, or what gzip or bzip2 packed into it.

        Parameters
        ----------
        path : pathlib.Path
            Of a FITS file.

        Returns
        -------
        pathlib.Path
            In the folder for temporary files where it had to be unpacked; for as long as the
            stack is open.

        Raises
        ------
        FileNotFoundError
            No such file.
        galcnn.errors.UnreadableImageError
            The packed file is damaged.
        """
        if path not in self._plain:
            if not path.is_file():
                raise FileNotFoundError(message("an existing FITS file", "Check the path.", path=str(path)))
            with open(path, "rb") as handle:
                start = handle.read(3)
            unpack = next((call for magic, call in _PACKED.items() if start.startswith(magic)), None)
            self._plain[path] = path if unpack is None else self._unpacked(path, unpack)
        return self._plain[path]

    def source(self, path: Path, hdu: int, index: tuple[int, ...]) -> Pixels:
        """Give the source of one plane.

        Parameters
        ----------
        path : pathlib.Path
            As the user named it.
        hdu : int
            Index of the HDU.
        index : tuple of int
            Of the plane along the leading axes.

        Returns
        -------
        Pixels
            The same one each time.
        """
        key = (path, hdu, index)
        if key not in self._sources:
            self._sources[key] = self._new_source(*key)
        return self._sources[key]

    def aside(self, image: Path, said: str) -> Aside:
        """Find a mask or noise map: a word that is no file is the name of an HDU of the image.

        Parameters
        ----------
        image : pathlib.Path
            The mosaic it belongs to.
        said : str
            Name of an HDU, or a path.

        Returns
        -------
        Aside
            Its planes.

        Raises
        ------
        FileNotFoundError
            Neither.
        galcnn.errors.UnreadableImageError
            The file holds not one image but several or none, or cannot be read.
        """
        path = Path(said)
        elsewhere = path.is_file()
        if not elsewhere and (path.suffix or path.name != said):
            raise FileNotFoundError(
                message("an existing file, or the name of an HDU", "Check it.", path=said)
            )
        file = path if elsewhere else image
        with opened(self.plain(file)) as (hdulist, _):
            if elsewhere:
                images = [one for one in hdulist if one.is_image and len(one.shape or ()) >= 2]
                if len(images) != 1:
                    raise UnreadableImageError(
                        message("one image in a file of mask or noise", "", path=said, n_images=len(images))
                    )
                hdu = images[0]
            else:
                hdu = find_hdu(hdulist, said)
            indices, _ = plane_indices(hdu)
            number = next(i for i, one in enumerate(hdulist) if one is hdu)
            header, role, name = inherited(hdulist, hdu).copy(), role_of(hdu), hdu.name
        if elsewhere and role == "image":
            role = role_of_name(path.name)
        return Aside([self.source(file, number, index) for index in indices], header, role, name)

    def _unpacked(self, path: Path, unpack: Any) -> Path:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="galcnn-mosaic-")))
        target = folder / "mosaic.fits"
        try:
            with unpack(path, "rb") as packed, open(target, "wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
        except (EOFError, gzip.BadGzipFile, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # a full disk is no damage
                raise
            raise UnreadableImageError(
                message("a whole packed file", "Fetch it again.", path=str(path), error=str(error))
            ) from error
        return target

    def _new_source(self, path: Path, hdu: int, index: tuple[int, ...]) -> Pixels:
        if path not in self._open:
            self._open[path] = self._stack.enter_context(fits.open(self.plain(path), memmap=None))
        found = self._open[path][hdu]
        _, shape = plane_indices(found)
        if isinstance(found, fits.CompImageHDU):
            tile = tuple(found.tile_shape[-2:])
            return Strips(found.section, index, shape=shape, tile=tile, name=str(path))
        header = found.header
        if header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0 or "BLANK" in header:
            # Astropy scales as it reads.
            return Strips(found.section, index, shape=shape, tile=(1, shape[1]), name=str(path))
        return Mapped(found.data[index])
