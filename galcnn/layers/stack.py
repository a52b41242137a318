"""LayerStack: cutout, prediction and explanations of one galaxy on one grid, and its layout in FITS."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn._runtime import atomic
from galcnn._runtime.html import MOST_PICTURES, overview, picture, signed_picture
from galcnn._runtime.representation import names, pixels, summary
from galcnn._runtime.version import __version__
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError, message, reading
from galcnn.explain import Explanation, Synthesis
from galcnn.files import cutout_from_hdus, cutout_hdus
from galcnn.files.astrometry import wcs_cards
from galcnn.files.sources import opened
from galcnn.files.text import to_json, unique_name
from galcnn.layers import tables
from galcnn.layers.headers import (
    FILE_TYPE,
    FILE_VERSION,
    answer_header,
    card_text,
    extension_name,
    map_header,
    primary_header,
)
from galcnn.layers.syntheses import SYNTHESES, syntheses_from, synthesis_hdus
from galcnn.layers.tables import coarse_hdu
from galcnn.prediction import Prediction
from galcnn.transforms import display_rgb


@dataclass(frozen=True, eq=False)
class LayerStack:
    """Cutout of one galaxy with its prediction and explanations.

    Attributes
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout that was given to the network.
    prediction : galcnn.prediction.Prediction
        Prediction of this galaxy only.
    explanations : tuple of galcnn.explain.Explanation
        Maps on the grid of the cutout; may be empty.
    provenance : mapping of str to Any
        Values that can be written as JSON. `model`, `model_sha256`, `input` and `input_sha256` are also
        written to the header, see `provenance_of`.
    syntheses : tuple of galcnn.explain.Synthesis
        Images made from this cutout, on its grid; may be empty.
    segmentation : numpy.ndarray or None
        Number of the source of each pixel, int32, shape (ny, nx); 0 for none.

    Raises
    ------
    TypeError, ValueError
        If a field does not match the others.

    Examples
    --------
    >>> import numpy as np
    >>> from galcnn.explain import Explanation, Target
    >>> classes = ("elliptical", "spiral")
    >>> prediction = Prediction(("M 51",), np.array([[-1.0, 2.0]]), classes)
    >>> target = Target.of_class("spiral", classes)
    >>> slope = Explanation(np.zeros((1, 8, 8)), ("g",), "saliency", target, "flux", "nJy-1", score=2.0)
    >>> stack = LayerStack(Cutout(np.ones((1, 8, 8)), ("g",)), prediction, (slope,))
    >>> hdulist = stack.to_hdulist()
    >>> [hdu.name for hdu in hdulist if hdu.name.startswith("SAL")], hdulist[0].header["CLASS"]
    (['SAL_SPIRAL_G'], 'spiral')
    >>> LayerStack.from_hdulist(hdulist).prediction.best
    ('spiral',)
    """

    cutout: Cutout
    prediction: Prediction
    explanations: tuple[Explanation, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    syntheses: tuple[Synthesis, ...] = ()
    segmentation: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if len(self.prediction) != 1:
            raise ValueError(
                message(
                    "the prediction of one galaxy",
                    "Use prediction.select([row]).",
                    n_galaxies=len(self.prediction),
                )
            )
        explanations = tuple(self.explanations)
        for explanation in explanations:
            self._check(explanation)
        provenance = {}
        for key, value in self.provenance.items():
            if not isinstance(key, str):
                raise TypeError(message("text as keys of the provenance", "", key=key))
            provenance[key] = json.loads(to_json(value, f"provenance {key!r}"))
        wrong = [made.image.shape[1:] for made in self.syntheses if made.image.shape[1:] != self.cutout.shape]
        if wrong:
            raise ValueError(
                message(
                    f"syntheses on the cutout's grid, {self.cutout.shape} pixels (ny, nx)",
                    "",
                    shapes=wrong,
                )
            )
        object.__setattr__(self, "segmentation", self._checked_segmentation())
        object.__setattr__(self, "explanations", explanations)
        object.__setattr__(self, "syntheses", tuple(self.syntheses))
        object.__setattr__(self, "provenance", provenance)

    @property
    def id(self) -> str:
        """Id of the galaxy."""
        return self.prediction.ids[0]

    def __repr__(self) -> str:
        cutout, best = self.cutout, self.prediction.best[0]
        chance = f"{best} {self.prediction.probabilities[0].max():.3f}" if best else "no prediction"
        maps = [f"{one.method} of {one.target.name}" for one in self.explanations]
        return summary(
            "LayerStack",
            f"of {self.id}: {chance}; {names(cutout.bands)}, {pixels(cutout.shape)}, {cutout.unit}",
            f"maps: {names(maps) or 'none'}; syntheses: {len(self.syntheses)}",
        )

    def _repr_html_(self) -> str:
        chances = zip(self.prediction.classes, self.prediction.probabilities[0], strict=True)
        facts = {
            "galaxy": self.id,
            "model": self.provenance.get("model", "unknown"),
            "class": self.prediction.best[0] or "no prediction",
            "probabilities": ", ".join(f"{name} {chance:.2f}" for name, chance in chances),
            "survey": self.cutout.survey,
            "maps": len(self.explanations),
            "syntheses": len(self.syntheses),
        }
        pictures = [("cutout", picture(display_rgb(self.cutout), f"galaxy {self.id}"))]
        for made in self.explanations[: MOST_PICTURES - 1]:
            known = np.isfinite(made.attribution)
            total = np.where(known, made.attribution, 0).sum(axis=0, dtype=np.float64)
            total = np.where(known.any(axis=0), total, np.nan)
            caption = f"{made.method} of {made.target.name}"
            pictures.append((caption, signed_picture(total, caption)))
        return overview("LayerStack", facts, pictures)

    def to_hdulist(self) -> fits.HDUList:
        """Return the stack in the format described in `galcnn.layers`.

        Returns
        -------
        astropy.io.fits.HDUList
            HDUs with checksums.
        """
        primary = fits.PrimaryHDU(header=primary_header(self.prediction, self.provenance))
        hdus = stack_hdus(self)
        primary.header["NEXTEND"] = (len(hdus), "number of extensions when first written")
        hdulist = fits.HDUList([primary, *hdus])
        primary.add_checksum()
        hdulist.verify("exception")
        return hdulist

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the stack to a FITS file, atomically.

        Parameters
        ----------
        path : path-like
            Output file, usually ``.fits``. An existing file is replaced.
        """
        hdulist = self.to_hdulist()
        with atomic.writing(path) as temporary, open(temporary, "wb") as handle:
            hdulist.writeto(handle, output_verify="ignore")  # verified by to_hdulist

    @classmethod
    def from_hdulist(cls, hdulist: fits.HDUList) -> LayerStack:
        """Read the HDUs that `to_hdulist` returns.

        Parameters
        ----------
        hdulist : astropy.io.fits.HDUList
            HDUs of a layers file.

        Returns
        -------
        LayerStack
            Stack with bit-identical values, in native byte order.

        Raises
        ------
        galcnn.errors.UnreadableImageError
            If it is not a layers file, a part is missing, or it is of a newer version.
        """
        header = hdulist[0].header
        if header.get("FILETYPE") != FILE_TYPE:
            raise UnreadableImageError(
                message(
                    "a layers file",
                    "galcnn explain writes layers files; galcnn.load_cutout reads images.",
                    filetype=header.get("FILETYPE"),
                )
            )
        version = header.get("FILEVERS")
        if not isinstance(version, int) or not 1 <= version <= FILE_VERSION:
            raise UnreadableImageError(
                message(
                    f"a layers file of version {FILE_VERSION} or older", "Update galcnn.", version=version
                )
            )
        stated = header.get("NEXTEND")
        if not isinstance(stated, int) or len(hdulist) - 1 < stated:
            raise UnreadableImageError(
                message(f"a layers file with {stated} extensions", "Write it again.", found=len(hdulist) - 1)
            )
        return cls(**stack_fields(named(hdulist)))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> LayerStack:
        """Read a file that `write` has written.

        Parameters
        ----------
        path : path-like
            Layers file.

        Returns
        -------
        LayerStack
            Stack with bit-identical values, in native byte order.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        galcnn.errors.UnreadableImageError
            If the file is not a layers file, is damaged, or is of a newer version.
        """
        file = Path(path)
        with opened(file) as (hdulist, _):
            try:
                return cls.from_hdulist(hdulist)
            except UnreadableImageError as error:
                raise UnreadableImageError(f"{file}: {error}") from error

    def _checked_segmentation(self) -> npt.NDArray[np.int32] | None:
        if self.segmentation is None:
            return None
        labels = np.asarray(self.segmentation)
        if labels.shape != self.cutout.shape or labels.dtype.kind not in "iu" or np.any(labels < 0):
            raise ValueError(
                message(
                    f"a segmentation of whole numbers from 0, {self.cutout.shape} pixels (ny, nx)",
                    "",
                    shape=labels.shape,
                    dtype=str(labels.dtype),
                )
            )
        plain = labels.astype(np.int32, copy=False).view()
        plain.flags.writeable = False  # only our view; the caller's array stays writeable
        return plain

    def _check(self, explanation: Explanation) -> None:
        if explanation.attribution.shape[1:] != self.cutout.shape:
            raise ValueError(
                message(
                    f"maps on the cutout's grid, {self.cutout.shape} pixels (ny, nx)",
                    "Explain the cutout of the stack.",
                    method=explanation.method,
                    shape=explanation.attribution.shape[1:],
                )
            )
        if len(explanation.target.weights) != len(self.prediction.classes):
            raise ValueError(
                message(
                    f"one weight for each of {self.prediction.classes}",
                    "",
                    target=explanation.target.name,
                    weights=explanation.target.weights,
                )
            )


def provenance_of(
    input_path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, model: str, model_sha256: str
) -> dict[str, str]:
    """Return the provenance of a stack.

    Parameters
    ----------
    input_path : path-like or sequence of path-like
        Image file that was classified, or several files of one galaxy.
    model : str
        Name of the model.
    model_sha256 : str
        SHA-256 of the model file, from its card.

    Returns
    -------
    dict of str to str
        Keys `model`, `model_sha256`, `input` (file name), `input_sha256` and `creator`.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    """
    paths = [input_path] if isinstance(input_path, str | os.PathLike) else input_path
    files = [Path(path) for path in paths]
    digests = [atomic.file_sha256(file) for file in files]
    return {
        "model": model,
        "model_sha256": model_sha256,
        "input": ",".join(file.name for file in files),
        "input_sha256": ",".join(digests),
        "creator": f"galcnn {__version__}",
    }


SEGMENTATION = "SEGM"


#: Names of HDUs that occur once per stack.
_TAKEN = frozenset(("PRIMARY", SEGMENTATION, tables.MORPHOLOGY, tables.LAYERS, SYNTHESES, tables.PROVENANCE))


#: Cards of appended stacks: their number, and the name of an HDU before it was made unique.
STACK, OWN_NAME = "STACK", "OWNNAME"


#: Card of MORPHOLOGY with the number of the stack whose cutout is shared.
CUTOUT_STACK = "CUTSTACK"


#: Card of MORPHOLOGY with the HDUs of the image, from 0, to which the stack was added.
CUTOUT_HDU = "CUTHDU"


def stack_hdus(
    stack: LayerStack,
    *,
    number: int = 0,
    taken: Collection[str] = (),
    where: tuple[str, int | str] | None = None,
) -> list[Any]:
    """Return a stack as the HDUs after a primary HDU, or as HDUs to append to a file.

    Stack 0 is the first of a layers file. `where` is the card and value that locates a shared cutout
    in the file; `taken` are the EXTNAMEs already used in the file.
    """
    used = {"PRIMARY", *taken}
    hdus: list[Any] = [] if where else list(cutout_hdus(stack.cutout))
    own = _TAKEN | {hdu.name for hdu in hdus}
    names = {name: unique_name(name, used) for name in sorted(own)}
    used |= own | set(names.values())
    layers = _layers(stack, used)
    for hdu in layers:
        hdu.header["LAYERFMT"] = (FILE_VERSION, "version of galcnn's layers format")
    hdus += layers
    if number:
        morphology = next(hdu for hdu in layers if hdu.name == tables.MORPHOLOGY)
        morphology.header.extend(answer_header(stack.prediction, stack.provenance))
        if where:
            morphology.header[where[0]] = (where[1], "where in this file the cutout is")
    for hdu in hdus:
        if names.get(hdu.name, hdu.name) != hdu.name:
            hdu.header[OWN_NAME] = (hdu.name, "what this is in its stack")
            hdu.name = names[hdu.name]
        if number:
            hdu.header[STACK] = (number, "number of the stack behind what stood here")
        if hdu.is_image:
            hdu.header["OBJECT"] = card_text(stack.id)  # shown by viewers beside the image
    if number:  # for stack 0, NEXTEND gives it
        hdus[-1].header["NHDU"] = (len(hdus), "number of HDUs of this stack")
    for hdu in hdus:
        hdu.add_checksum()
    return hdus


def named(hdus: Iterable[Any], number: int = 0) -> dict[str, Any]:
    """Return the HDUs of one stack of a file by their names in a file of its own."""
    return {
        str(hdu.header.get(OWN_NAME, hdu.name)): hdu for hdu in hdus if hdu.header.get(STACK, 0) == number
    }


def stack_fields(hdus: Mapping[str, Any], cutout: Cutout | None = None) -> dict[str, Any]:
    """Read the fields of a LayerStack from the HDUs of `stack_hdus`."""
    with reading("a whole layers file", "Write it again."):
        stated = hdus[tables.PROVENANCE].header.get("NHDU", 0)
        if len(hdus) < stated:
            raise UnreadableImageError(
                message(f"a stack of {stated} extensions", "Write it again.", found=len(hdus))
            )
        return {
            "cutout": cutout_of(hdus) if cutout is None else cutout,
            "prediction": tables.prediction_from(hdus[tables.MORPHOLOGY]),
            "explanations": tables.explanations_from(hdus),
            "provenance": tables.provenance_from(hdus[tables.PROVENANCE]),
            "syntheses": syntheses_from(hdus),
            "segmentation": hdus[SEGMENTATION].data if SEGMENTATION in hdus else None,
        }


def cutout_of(hdus: Mapping[str, Any]) -> Cutout:
    """Read the cutout in the HDUs of a stack."""
    own = []
    for name, hdu in hdus.items():
        if STACK in hdu.header and "GALCNN" in hdu.header:
            hdu = hdu.copy()
            hdu.name = name  # the name in a file of its own
            del hdu.header[STACK]
        own.append(hdu)
    return cutout_from_hdus(own)


def _layers(stack: LayerStack, used: set[str]) -> list[Any]:
    """Return all HDUs except the cutout; tables come last, PROVENANCE at the very end."""
    wcs = wcs_cards(stack.cutout.wcs)
    images: list[Any] = []
    if stack.segmentation is not None:
        images.append(_segmentation_hdu(stack.segmentation, wcs))
    names = []
    for explanation in stack.explanations:
        own = _map_hdus(explanation, used, wcs)
        if explanation.coarse is not None:
            own.append(coarse_hdu(explanation, used, stack.cutout.wcs))
        names.append([hdu.name for hdu in own])
        images += own
    if stack.syntheses:
        images += synthesis_hdus(stack.syntheses, used, wcs)
    for hdu in images:
        if "METHOD" in hdu.header:
            for key in ("model", "model_sha256"):
                if key in stack.provenance:
                    said = card_text(str(stack.provenance[key]))
                    hdu.header[key.replace("_sha256", "sha").upper()] = said
    ends = [tables.morphology_table(stack.prediction)]
    if stack.explanations:
        ends.append(tables.layers_table(stack.explanations, names))
    return [*images, *ends, tables.provenance_table(stack.provenance)]


def _map_hdus(explanation: Explanation, used: set[str], wcs: fits.Header) -> list[fits.ImageHDU]:
    hdus = []
    for band, plane in zip(explanation.bands, explanation.attribution, strict=True):
        name = unique_name(extension_name(explanation.method, explanation.target.name, band), used)
        used.add(name)
        hdus.append(fits.ImageHDU(plane, map_header(name, explanation, band, wcs)))
    return hdus


def _segmentation_hdu(labels: npt.NDArray[np.int32], wcs: fits.Header) -> fits.ImageHDU:
    header = fits.Header()
    header["EXTNAME"] = (SEGMENTATION, "numbers of sources, 0: none")
    header.extend(wcs)
    return fits.ImageHDU(labels, header)
