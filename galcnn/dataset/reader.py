"""Image files -> Cutouts: those of explicit paths or of a catalog, as they are or as a network sees them."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import astropy.units as u

from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog
from galcnn.catalog.catalog import as_numbers
from galcnn.catalog.names import file_stems
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError, message
from galcnn.files import load_bands, load_cutout
from galcnn.model import InputSpec, prepare
from galcnn.model.inputs import check_render
from galcnn.transforms import crop_width

#: One file, or several of one galaxy.
ImagePath = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

#: Bytes on the disk beyond which a file is no cutout: read whole, a few would fill the memory.
_LARGEST_FILE = 256_000_000
_SUFFIXES = (".fits", ".fits.gz", ".fits.fz", ".fit", ".png", ".jpg", ".jpeg")


class InputFiles:
    """The image files of galaxies, and how they are read.

    It is a `galcnn.dataset.sources.CutoutSource`, whose rows are the galaxies in their order.

    Parameters
    ----------
    paths : mapping of str to path-like, or to a sequence of path-like
        Id -> file, or files of one galaxy.
    bands : tuple of str, optional
        Which bands to take, or names of the planes where the headers do not say; all by default.
    grid : str, optional
        Band whose pixel grid the other files of a galaxy are brought to; by default they must
        be on one.
    width : astropy.units.Quantity, optional
        Angular side of the field about the centre that is used; all of it by default.
    fit : bool
        Whether the pixel grid may be changed to that of a network, see `galcnn.model.prepare`.
    size : int, optional
        Where the first image says what all are: bring each to size x size pixels by a centre crop
        (or padding) at its own pixel scale, or resample the whole field where there is no WCS.
    render : str, optional
        Where the first image says what all are: recorded as the step by which calibrated cutouts
        become such pictures.
    redshifts : mapping of str to float, optional
        Of galaxies whose files do not say.

    Attributes
    ----------
    paths : dict of str to tuple of pathlib.Path
        Id -> files.
    ids : list of str
        Of the galaxies, in their order.
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
    ) -> None:
        self.paths = {name: _paths(path) for name, path in paths.items()}
        self.ids = list(self.paths)
        self.bands, self.grid, self.width, self.fit = bands, grid, width, fit
        self.size, self.render = size, render
        self._redshifts = dict(redshifts or {})
        self._spec: InputSpec | None = None
        self._folder: str | None = None

    @classmethod
    def of(cls, catalog: Catalog, folder: str | os.PathLike[str] | None = None, **reading: Any) -> InputFiles:
        """Take the image files of a catalog.

        Parameters
        ----------
        catalog : galcnn.catalog.Catalog
            With a column `image`, or with ids that name files of `folder`. Its redshifts are those of
            cutouts whose files do not say.
        folder : path-like, optional
            The files that `image` names are in it, wherever they were before; without such a column,
            the file of a galaxy is its id with a suffix of FITS, PNG or JPEG, as `galcnn fetch` and
            `galcnn cut` name them.
        **reading
            How they are read: all parameters of `InputFiles` but the paths and redshifts.

        Returns
        -------
        InputFiles
            A row for each of the catalog.

        Raises
        ------
        FileNotFoundError
            There is no such folder.
        ValueError
            Neither a column `image` nor a folder; or files of one name in several folders of the
            catalog, of which the folder could hold only one.
        """
        if folder is None and "image" not in catalog.table.colnames:
            raise ValueError(
                message(
                    "a column 'image', or a folder of images",
                    "Name the column that holds the path of each image, or say where they are: --images.",
                    columns=catalog.table.colnames,
                )
            )
        paths = catalog.images if folder is None else _paths_in(Path(folder), catalog)
        redshifts = {}
        if "redshift" in catalog.table.colnames:
            values = as_numbers(catalog.table["redshift"], "redshift")
            redshifts = {name: z for name, z in zip(catalog.ids, values.tolist(), strict=True) if z > 0}
        files = cls(paths, redshifts=redshifts, **reading)
        files._folder = None if folder is None else os.path.realpath(folder)
        return files

    def like(self, paths: Mapping[str, ImagePath]) -> InputFiles:
        """Read other files in the same way.

        Parameters
        ----------
        paths : mapping of str to path-like, or to a sequence of path-like
            Id -> file, or files of one galaxy.

        Returns
        -------
        InputFiles
            Of these, without the redshifts.
        """
        return InputFiles(
            paths,
            bands=self.bands,
            grid=self.grid,
            width=self.width,
            fit=self.fit,
            size=self.size,
            render=self.render,
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def described(self) -> str:
        """All that decides which cutouts these are, beside the catalog."""
        text = f"files of {self._folder}, bands {self.bands}"
        text += "" if self.grid is None else f", grid {self.grid}"
        return text if self.width is None else f"{text}, width {self.width}"

    @property
    def spec(self) -> InputSpec:
        """What the images are, as the first says; it is read when none has been yet."""
        if self._spec is None:
            if not self.ids:
                raise ValueError(message("at least one galaxy", "", n=0))
            self.prepared(self.ids[0])
        assert self._spec is not None
        return self._spec

    def load(self, name: str) -> Cutout:
        """Load one galaxy as it is, cut to the width.

        Parameters
        ----------
        name : str
            Its id.

        Returns
        -------
        galcnn.cutout.Cutout
            Not yet prepared for a network.

        Raises
        ------
        galcnn.errors.UnreadableImageError, OSError
            It cannot be read.
        ValueError
            It has no WCS, or is smaller than the width.
        """
        paths = self.paths[name]
        try:
            if self.grid is None or len(paths) == 1:
                cutout = load_cutout(paths, bands=self.bands)
            else:
                cutout = load_bands(paths, reference=self.grid, bands=self.bands)
            if self.width is not None:
                cutout = crop_width(cutout, self.width)
        except (OSError, ValueError):
            raise
        except Exception as error:  # a broken file may fail anywhere in the libraries that read it
            raise UnreadableImageError(f"{type(error).__name__}: {error}") from error
        if cutout.redshift is None and name in self._redshifts:
            return replace(cutout, redshift=self._redshifts[name])
        return cutout

    def prepared(self, name: str, spec: InputSpec | None = None) -> Cutout:
        """Load one galaxy and bring it to what a network sees.

        Parameters
        ----------
        name : str
            Its id.
        spec : galcnn.model.InputSpec, optional
            Of the network. By default all are brought to what the first that was read is: one that
            differs is refused, since a network would learn the difference.

        Returns
        -------
        galcnn.cutout.Cutout
            In the bands, unit and shape of the spec.

        Raises
        ------
        galcnn.errors.UnreadableImageError, OSError, ValueError
            It cannot be read or does not fit; the text names galaxy and file.
        """
        with self.named(name):
            cutout = self.load(name)
            wanted = spec or self._spec or self._first_spec(cutout)
            ready = prepare(cutout, wanted, fit=self.fit or self.size is not None)
        if spec is None:
            self._spec = wanted
        return ready

    def all_prepared(self, spec: InputSpec | None = None, *, progress: Progress = silent) -> list[Cutout]:
        """Load all galaxies, which must fit.

        Parameters
        ----------
        spec : galcnn.model.InputSpec, optional
            See `prepared`.
        progress : galcnn._runtime.progress.Progress
            Shows the files.

        Returns
        -------
        list of galcnn.cutout.Cutout
            In their order.

        Raises
        ------
        galcnn.errors.UnreadableImageError, OSError, ValueError
            See `prepared`.
        """
        cutouts = []
        with progress("read images", len(self)) as step:
            for name in self.ids:
                cutouts.append(self.prepared(name, spec))
                step()
        return cutouts

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Load some rows as they are, whatever happens to one of them.

        Parameters
        ----------
        rows : sequence of int
            Which.

        Returns
        -------
        list of galcnn.cutout.Cutout or Exception
            In this order; an exception says why there is no cutout.
        """
        return [self._tried(self.ids[row]) for row in rows]

    @contextlib.contextmanager
    def named(self, name: str) -> Iterator[None]:
        """Let an `OSError` or `ValueError` of the block name a galaxy and its files.

        Parameters
        ----------
        name : str
            Its id.

        Yields
        ------
        None
            Nothing is handed on.
        """
        try:
            yield
        except (OSError, ValueError) as error:
            text = f"Galaxy {name} ({','.join(map(str, self.paths[name]))}): {error}"
            try:
                named = type(error)(text)
            except TypeError:  # one that wants more than a text, such as UnicodeDecodeError
                named = UnreadableImageError(text)
            raise named from error

    def _tried(self, name: str) -> Cutout | Exception:
        try:
            if self.width is None:  # else it may be a large image of which little is kept
                self._check_bytes(name)
            return self.load(name)
        except Exception as error:  # noqa: BLE001  whatever fails is this galaxy's error
            return error

    def _check_bytes(self, name: str) -> None:
        for path in self.paths[name]:
            if (size := path.stat().st_size) > _LARGEST_FILE:
                raise UnreadableImageError(
                    message(
                        f"a cutout of at most {_LARGEST_FILE // 10**6} MB",
                        "Of a large image: --mosaic.",
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
    """Cutouts as they are in their files, held in memory once read."""

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
        raise ValueError(message("at least one file a galaxy", "", paths=path))
    return tuple(map(Path, path))


def _paths_in(folder: Path, catalog: Catalog) -> dict[str, tuple[Path, ...]]:
    """The files of a catalog as they are named in a folder."""
    if not folder.is_dir():
        raise FileNotFoundError(message("a folder of images", "Check the path.", images=str(folder)))
    if "image" not in catalog.table.colnames:
        stems, there = file_stems(catalog.ids), {path.name for path in folder.iterdir()}
        return {name: (folder / _named(stem, there),) for name, stem in stems.items()}
    images = catalog.images
    names = Counter(path.name for path in {path for paths in images.values() for path in paths})
    if twice := next((name for name, n in names.items() if n > 1), None):
        raise ValueError(
            message(
                "files of different names, to be found in one folder",
                "Leave out --images: the catalog says where they are.",
                twice=twice,
            )
        )
    return {name: tuple(folder / path.name for path in paths) for name, paths in images.items()}


def _named(stem: str, there: set[str]) -> str:
    return next((stem + suffix for suffix in _SUFFIXES if stem + suffix in there), f"{stem}.fits")
