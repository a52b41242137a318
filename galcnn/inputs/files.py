"""Image files that are to be brought to what a network sees."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import astropy.units as u

from galcnn.cutout import Cutout
from galcnn.files import load_files
from galcnn.inputs.images import InputSpec, prepare
from galcnn.progress import Progress, silent
from galcnn.transforms import crop_width

__all__ = ["InputFiles", "load_fitting", "load_prepared"]


@dataclass(frozen=True)
class InputFiles:
    """Image files that are to be brought to what a network sees.

    Attributes
    ----------
    paths : mapping of str to path-like
        Id -> file, or ``a.fits,b.fits``: files of one galaxy, separated by commas.
    bands : tuple of str or None
        Names of the planes of the files, where their headers do not say.
    grid : str or None
        Band whose pixel grid the other files of a galaxy are brought to; by default they must
        be on one.
    width : astropy.units.Quantity or None
        Angular side of the field about the centre that is used; all of it by default.
    fit : bool
        Whether the pixel grid may be changed, see `prepare`.
    """

    paths: Mapping[str, str | os.PathLike[str]]
    bands: tuple[str, ...] | None = None
    width: u.Quantity | None = None
    fit: bool = False
    grid: str | None = None

    def load(self, name: str) -> Cutout:
        """Load one of the files as it is, cut to the width.

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
        galcnn.errors.UnreadableImageError, FileNotFoundError
            It cannot be read.
        ValueError
            It has no WCS, or is smaller than the width.
        """
        cutout = load_files(self.paths[name], bands=self.bands, grid=self.grid)
        return cutout if self.width is None else crop_width(cutout, self.width)


def load_prepared(files: InputFiles, name: str, spec: InputSpec) -> Cutout:
    """Load one image file and bring it to what a network sees.

    Parameters
    ----------
    files : InputFiles
        The images.
    name : str
        Id of the one.
    spec : InputSpec
        Of the network.

    Returns
    -------
    galcnn.cutout.Cutout
        That fits.

    Raises
    ------
    galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
        It cannot be read or does not fit; the text names it.
    """
    try:
        return prepare(files.load(name), spec, fit=files.fit)
    except (OSError, ValueError) as error:
        raise type(error)(f"{os.fspath(files.paths[name])}: {error}") from error


def load_fitting(files: InputFiles, spec: InputSpec, *, progress: Progress = silent) -> list[Cutout]:
    """Load image files that must all fit a network.

    Parameters
    ----------
    files : InputFiles
        The images.
    spec : InputSpec
        Of the network.
    progress : galcnn.progress.Progress
        Shows the files.

    Returns
    -------
    list of galcnn.cutout.Cutout
        In their order, prepared.

    Raises
    ------
    galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
        An image cannot be read or does not fit; the text names it.
    """
    cutouts = []
    with progress("read", len(files.paths)) as step:
        for name in files.paths:
            cutouts.append(load_prepared(files, name, spec))
            step()
    return cutouts
