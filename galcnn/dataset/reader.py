"""Read cutouts from image files, given by paths or a catalog, optionally prepared for a network."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import astropy.units as u
from astropy.table import Table

from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog, write_table
from galcnn.catalog.catalog import as_numbers
from galcnn.catalog.names import LEFT_OUT, file_stems
from galcnn.cutout import Cutout, changed
from galcnn.errors import Message, UnreadableImageError, error_of_file, message, reading
from galcnn.files import Treatment, load_bands, load_cutout
from galcnn.files.fits_images import HDUChoice
from galcnn.files.loading import ZeroPoint, treat
from galcnn.files.sources import FileLike, untrusted
from galcnn.model import InputSpec, prepare
from galcnn.model.inputs import check_render
from galcnn.transforms import crop_width

#: One file, or several of one galaxy.
ImagePath = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

#: Default of the largest fraction of galaxies that are left out where a statistic of all is computed.
MAX_UNREADABLE = 0.1
#: Largest file, in bytes, that is read as a cutout; a few larger ones would fill the memory.
_LARGEST_FILE = 256_000_000
_SUFFIXES = (".fits", ".fits.gz", ".fits.fz", ".fits.bz2", ".fit", ".fit.gz", ".png", ".jpg", ".jpeg")


class LeftOut(dict[str, str]):
    """Galaxies without a usable image, id -> reason, at most a fraction `most` of `n`."""

    def __init__(self, n: int, most: float, remedy: str = "--max-unreadable 0.5") -> None:
        super().__init__()
        if not 0 <= most < 1:
            raise ValueError(message("a fraction from 0 to below 1", "", max_unreadable=most))
        self._n, self._most, self._remedy = n, most, remedy
        self._first: Exception | None = None

    def add(self, name: str, error: Exception) -> None:
        """Leave out a galaxy; raise an error if these are too many."""
        self[name], self._first = str(error), self._first or error
        if len(self) <= self._most * self._n:
            return
        if self._most == 0:
            raise error
        subject = (
            f"{len(self)} of {self._n} images cannot be read, more than {self._most:.0%} (to leave out more: "
            f"{self._remedy}). The first"
        )
        told = (self._first.args[0] if self._first.args else "") or str(self._first)
        text = told.about(subject) if isinstance(told, Message) else f"{subject}: {told}"
        raise UnreadableImageError(text) from error


def write_left_out(left_out: Mapping[str, str], folder: Path) -> None:
    """Write id and reason of galaxies that were left out; remove an earlier table if there are none."""
    path = folder / LEFT_OUT
    if left_out:
        write_table(Table({"id": list(left_out), "reason": list(left_out.values())}), path)
    else:
        path.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class Readable:
    """Galaxies whose images can be used.

    Attributes
    ----------
    ids : tuple of str
        Ids of the galaxies.
    cutouts : tuple of galcnn.cutout.Cutout
        Their cutouts, prepared for a network.
    left_out : dict of str to str
        Ids of the other galaxies, with the reason.
    """

    ids: tuple[str, ...]
    cutouts: tuple[Cutout, ...]
    left_out: Mapping[str, str]


class InputFiles:
    """Image files of galaxies, and options by which they are read.

    It implements `galcnn.dataset.sources.CutoutSource`; its rows are the galaxies in order.

    Parameters
    ----------
    paths : mapping of str to path-like, or to a sequence of path-like
        Id -> file, or several files of one galaxy.
    bands : tuple of str, optional
        Bands to read, or names of the planes if the headers do not name them; all by default.
    grid : str, optional
        Band to whose pixel grid the other files of a galaxy are resampled. By default all files of a
        galaxy must share one grid.
    width : astropy.units.Quantity, optional
        Angular side of the central field that is read; the whole field by default.
    fit : bool
        If True, the pixel grid may be changed to that of a network, see `galcnn.model.prepare`.
    size : int, optional
        Image side in pixels. Images with a WCS are cropped or padded about the centre at their own
        pixel scale, others are resampled. Implies `fit`. If the input specification of a network is
        given, its shape is used instead.
    render : str, optional
        Rendering by which calibrated cutouts become pictures like these; it is recorded in the input
        specification. Ignored if a network's input specification is given.
    redshifts : mapping of str to float, optional
        Id -> redshift, for galaxies whose files contain none.
    hdu : int, str or sequence of them, optional
        HDU of the image in each file, see `galcnn.files.load_cutout`.
    zero_points : float or mapping of str to float, optional
        AB magnitude of a value of 1, for all bands or band -> magnitude, of files that do not state it.
    pixel_scale : astropy.units.Quantity, optional
        Angle per pixel of images without a WCS.
    strict : bool
        If True, files whose checksums do not match are not read, see `galcnn.files.load_cutout`.
    spec : galcnn.model.InputSpec, optional
        Input specification of the network that will read the images; by default that of the first image.

    Attributes
    ----------
    paths : dict of str to tuple of pathlib.Path
        Id -> files.
    ids : list of str
        Ids of the galaxies, in order.
    folder : str or None
        Folder of the files, if given; see `of`.
    untrusted : bool
        If True, the files are of unknown origin, as those of requests: a reader process reads them first.
    described : str
        See `galcnn.dataset.sources.CutoutSource`.
    """

    portable = True

    def __init__(
        self,
        paths: Mapping[str, ImagePath],
        *,
        bands: tuple[str, ...] | None = None,
        grid: str | None = None,
        width: u.Quantity | None = None,
        fit: bool = False,
        size: int | None = None,
        render: str | None = None,
        redshifts: Mapping[str, float] | None = None,
        hdu: HDUChoice | None = None,
        zero_points: ZeroPoint | None = None,
        pixel_scale: u.Quantity | None = None,
        strict: bool = False,
        spec: InputSpec | None = None,
    ) -> None:
        self.paths = {name: _paths(path) for name, path in paths.items()}
        self.ids = list(self.paths)
        self.bands, self.grid, self.width, self.fit = bands, grid, width, fit
        self.size, self.render = size, render
        self.hdu, self.zero_points, self.pixel_scale, self.strict = hdu, zero_points, pixel_scale, strict
        self._redshifts = dict(redshifts or {})
        self._spec = spec
        self.folder: str | None = None
        self.untrusted = False

    @classmethod
    def of(cls, catalog: Catalog, folder: str | os.PathLike[str] | None = None, **reading: Any) -> InputFiles:
        """Return the image files of a catalog.

        Parameters
        ----------
        catalog : galcnn.catalog.Catalog
            Catalog with a column `image`, or with ids that name files in `folder`. Its redshifts, if
            any, are used for files that contain none.
        folder : path-like, optional
            Folder of the files. With a column `image`, only the file names in it are used, not their
            folders. Without, the file name is the id with a FITS, PNG or JPEG suffix, as written by
            `galcnn fetch` and `galcnn cut`.
        **reading
            Parameters of `InputFiles` other than paths and redshifts.

        Returns
        -------
        InputFiles
            Image files, one galaxy per row of the catalog.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        ValueError
            If there is neither a column `image` nor a folder, or files in different folders of the
            catalog have the same name.
        """
        if folder is None and "image" not in catalog.table.colnames:
            raise ValueError(
                message(
                    "a column 'image', or a folder of images",
                    "Name the column of their paths (--image-column), or give their folder (--images).",
                    columns=catalog.table.colnames,
                )
            )
        paths = catalog.images if folder is None else _paths_in(Path(folder), catalog)
        redshifts = {}
        if "redshift" in catalog.table.colnames:
            values = as_numbers(catalog.table["redshift"], "redshift")
            redshifts = {name: z for name, z in zip(catalog.ids, values.tolist(), strict=True) if z > 0}
        files = cls(paths, redshifts=redshifts, **reading)
        files.folder = None if folder is None else os.path.realpath(folder)
        return files

    def like(self, paths: Mapping[str, ImagePath]) -> InputFiles:
        """Return other files that are read with the same options.

        Parameters
        ----------
        paths : mapping of str to path-like, or to a sequence of path-like
            Id -> file, or files of one galaxy.

        Returns
        -------
        InputFiles
            Files at these paths, without redshifts.
        """
        return InputFiles(
            paths,
            bands=self.bands,
            grid=self.grid,
            width=self.width,
            fit=self.fit,
            size=self.size,
            render=self.render,
            hdu=self.hdu,
            zero_points=self.zero_points,
            pixel_scale=self.pixel_scale,
            strict=self.strict,
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def described(self) -> str:
        """Description of folder and options, to recognise the same source."""
        text = f"files of {self.folder}, bands {self.bands}"
        for name in ("grid", "width", "hdu", "zero_points", "pixel_scale"):
            if getattr(self, name) is not None:
                text += f", {name} {getattr(self, name)}"
        return text + (", strict" if self.strict else "")

    @property
    def spec(self) -> InputSpec:
        """Input specification of the first image that was read; reads one if necessary."""
        if self._spec is None:
            if not self.ids:
                raise ValueError(message("at least one galaxy", "", n=0))
            self.prepared(self.ids[0])
        assert self._spec is not None
        return self._spec

    def load(self, name: str) -> Cutout:
        """Load one galaxy, cut to the width.

        Parameters
        ----------
        name : str
            Id of the galaxy.

        Returns
        -------
        galcnn.cutout.Cutout
            Cutout, not prepared for a network.

        Raises
        ------
        galcnn.errors.UnreadableImageError, OSError
            If the file cannot be read.
        ValueError
            If a width is set and the image has no WCS or is smaller.
        """
        paths = self.paths[name]
        if paths == (Path(),):
            raise FileNotFoundError(message("an image file", "Fill in the column of the images.", image=""))
        given = Treatment(zero_point=self.zero_points)
        with reading("a readable image", "Leave it out.", path=", ".join(map(str, paths))):
            files: Sequence[FileLike] = [untrusted(one) for one in paths] if self.untrusted else paths
            if self.grid is None or len(paths) == 1:
                cutout = load_cutout(files, bands=self.bands, hdu=self.hdu, strict=self.strict)
                if cutout.wcs is None:
                    given = replace(given, pixel_scale=self.pixel_scale)
                cutout = treat(cutout, given)
            else:
                cutout = load_bands(
                    files,
                    reference=self.grid,
                    bands=self.bands,
                    hdu=self.hdu,
                    treatment=given,
                    strict=self.strict,
                )
            if self.width is not None:
                cutout = crop_width(cutout, self.width)
        if cutout.redshift is None and name in self._redshifts:
            return changed(cutout, {"redshift": self._redshifts[name]})
        return cutout

    def prepared(self, name: str, spec: InputSpec | None = None) -> Cutout:
        """Load one galaxy and prepare it for a network.

        Parameters
        ----------
        name : str
            Id of the galaxy.
        spec : galcnn.model.InputSpec, optional
            Input specification of the network. By default that of the first image that was read;
            images that do not fit it are refused.

        Returns
        -------
        galcnn.cutout.Cutout
            Cutout in the bands, unit and shape of the specification.

        Raises
        ------
        galcnn.errors.UnreadableImageError, OSError, ValueError
            If the image cannot be read or does not fit; the message names galaxy and file.
        """
        with self.named(name):
            cutout = self.load(name)
            wanted = spec or self._spec or self._first_spec(cutout)
            ready = prepare(cutout, wanted, fit=self.fit or self.size is not None)
        if spec is None:
            self._spec = wanted
        return ready

    def each_prepared(
        self, names: Iterable[str], spec: InputSpec | None = None
    ) -> Iterator[tuple[str, Cutout | Exception]]:
        """Load galaxies one after the other and prepare them for a network.

        Parameters
        ----------
        names : iterable of str
            Ids of the galaxies.
        spec : galcnn.model.InputSpec, optional
            See `prepared`.

        Yields
        ------
        tuple of str and (galcnn.cutout.Cutout or Exception)
            Id and cutout, or the error that names galaxy and file.
        """
        for name in names:
            try:
                found: Cutout | Exception = self.prepared(name, spec)
            except (OSError, ValueError) as error:
                found = error
            yield name, found

    def readable(
        self,
        spec: InputSpec | None = None,
        *,
        max_unreadable: float = MAX_UNREADABLE,
        progress: Progress = silent,
    ) -> Readable:
        """Load all galaxies and prepare them for a network; those that cannot be used are left out.

        Parameters
        ----------
        spec : galcnn.model.InputSpec, optional
            See `prepared`.
        max_unreadable : float
            Largest fraction of galaxies that are left out, 0 to below 1.
        progress : galcnn._runtime.progress.Progress
            Progress display.

        Returns
        -------
        Readable
            Cutouts in the order of `ids`.

        Raises
        ------
        galcnn.errors.UnreadableImageError, OSError, ValueError
            If more images cannot be read or do not fit; the message names the first such galaxy.
        """
        cutouts, left_out = dict[str, Cutout](), LeftOut(len(self), max_unreadable)
        with progress("read images", len(self)) as step:
            for name, found in self.each_prepared(self.ids, spec):
                step()
                if isinstance(found, Exception):
                    left_out.add(name, found)
                else:
                    cutouts[name] = found
        return Readable(tuple(cutouts), tuple(cutouts.values()), left_out)

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Load some rows; errors are returned, not raised.

        Parameters
        ----------
        rows : sequence of int
            Row numbers.

        Returns
        -------
        list of galcnn.cutout.Cutout or Exception
            Cutout of each row, or the exception if it cannot be loaded.
        """
        return [self._tried(self.ids[row]) for row in rows]

    @contextlib.contextmanager
    def named(self, name: str) -> Iterator[None]:
        """Make any exception in the block an `OSError` or `ValueError` that names the galaxy and its files.

        Parameters
        ----------
        name : str
            Id of the galaxy.

        Yields
        ------
        None
            Nothing is yielded.
        """
        try:
            yield
        except Exception as error:
            known: Exception = error
            if not isinstance(error, OSError | ValueError):
                known = error_of_file(error, "an image that fits", "Leave it out.")
            subject, told = f"Galaxy {name} ({', '.join(map(str, self.paths[name]))})", str(known)
            text = f"{subject}: {told}"
            if known.args and isinstance(worded := known.args[0], Message) and worded == told:
                text = worded.about(subject)
            try:
                named = type(known)(text)
            except TypeError:  # its constructor takes other arguments, as UnicodeDecodeError's
                named = UnreadableImageError(text)
            raise named from error

    def _tried(self, name: str) -> Cutout | Exception:
        try:
            if self.width is None:  # with a width, a large image is cut
                self._check_bytes(name)
            return self.load(name)
        except (OSError, ValueError) as error:
            return error

    def _check_bytes(self, name: str) -> None:
        for path in self.paths[name]:
            if not path.exists():
                raise FileNotFoundError(f"File not found: {path}.")
            if (size := path.stat().st_size) > _LARGEST_FILE:
                raise UnreadableImageError(
                    message(
                        f"a cutout of at most {_LARGEST_FILE // 10**6} MB",
                        "Cut galaxies out of a large image: galcnn cut, or --mosaic.",
                        path=str(path),
                        megabytes=size // 10**6,
                    )
                )

    def _first_spec(self, cutout: Cutout) -> InputSpec:
        if self.render is not None:
            check_render(self.render, str(cutout.unit))
        spec = InputSpec.of(cutout, render=self.render)
        if self.bands is not None:
            spec = replace(spec, bands=self.bands)
        return spec if self.size is None else replace(spec, shape=(self.size, self.size))


class HeldCutouts(Mapping[str, Cutout]):
    """Mapping of ids to cutouts, read on access and kept in memory up to a size limit."""

    def __init__(self, files: InputFiles, *, megabytes: float = 1000.0) -> None:
        self._files, self._room = files, megabytes * 1e6
        self._held: dict[str, Cutout] = {}

    def __getitem__(self, name: str) -> Cutout:
        if name in self._held:
            return self._held[name]
        cutout = self._files.load(name)
        size = cutout.flux.nbytes + cutout.mask.nbytes
        size += sum(part.nbytes for part in (cutout.sigma, cutout.psf) if part is not None)
        if self._room >= size:
            self._room -= size
            self._held[name] = cutout
        return cutout

    def __iter__(self) -> Iterator[str]:
        return iter(self._files.ids)

    def __len__(self) -> int:
        return len(self._files)


def _paths(path: ImagePath) -> tuple[Path, ...]:
    if isinstance(path, str | os.PathLike):
        return (Path(path),)
    if not path:
        raise ValueError(message("at least one file per galaxy", "", paths=path))
    return tuple(map(Path, path))


def _paths_in(folder: Path, catalog: Catalog) -> dict[str, tuple[Path, ...]]:
    """Return the files of a catalog in a folder, by id."""
    _check_folder(folder)
    if "image" not in catalog.table.colnames:
        return files_named(folder, catalog.ids)
    images = catalog.images
    names = Counter(path.name for path in {path for paths in images.values() for path in paths})
    if twice := next((name for name, n in names.items() if n > 1), None):
        raise ValueError(
            message(
                "files of different names, to be found in one folder",
                "Leave out --images, if the catalog has the whole paths.",
                twice=twice,
            )
        )
    return {name: tuple(folder / path.name for path in paths) for name, paths in images.items()}


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"Folder not found: {folder}.")


def files_named(folder: Path, ids: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Return the files in a folder that are named by the ids; they need not exist."""
    _check_folder(folder)
    stems, there = file_stems(ids), {path.name for path in folder.iterdir()}
    return {name: (folder / _named((name, stem), there),) for name, stem in stems.items()}


def _named(stems: Sequence[str], there: set[str]) -> str:
    """Return the file of a galaxy: named by its id as it is, else by its id as a file name."""
    names = (stem + suffix for stem in stems for suffix in _SUFFIXES)
    return next((name for name in names if name in there), f"{stems[-1]}.fits")
