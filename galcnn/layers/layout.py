"""How a stack is laid out as HDUs, and read back: the first of a file, or one more behind what stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.errors import UnreadableImageError, message
from galcnn.explain.explanation import Explanation
from galcnn.files import cutout_from_hdus, cutout_hdus
from galcnn.files.astrometry import wcs_cards
from galcnn.files.text import unique_name
from galcnn.layers import tables
from galcnn.layers.cells import coarse_hdu
from galcnn.layers.headers import FILE_VERSION, answer_header, map_header
from galcnn.layers.syntheses import SYNTHESES, syntheses_from, synthesis_hdus
from galcnn.layers.text import card_text, extension_name

if TYPE_CHECKING:
    from galcnn.cutout import Cutout
    from galcnn.layers.stack import LayerStack

__all__ = ["CUTOUT_HDU", "CUTOUT_STACK", "SEGMENTATION", "cutout_of", "named", "stack_fields", "stack_hdus"]

SEGMENTATION = "SEGM"
#: Names that only one HDU of a stack has.
_TAKEN = frozenset(("PRIMARY", SEGMENTATION, tables.MORPHOLOGY, tables.LAYERS, SYNTHESES, tables.PROVENANCE))
#: Cards of the stacks behind the first: their number, and what an HDU is called in a stack of its own.
STACK, OWN_NAME = "STACK", "OWNNAME"
#: Card of MORPHOLOGY: the stack whose cutout this one shares.
CUTOUT_STACK = "CUTSTACK"
#: Card of MORPHOLOGY: the HDUs of a file, from 0, that the layers of a stack stand beside.
CUTOUT_HDU = "CUTHDU"


def stack_hdus(
    stack: LayerStack,
    *,
    number: int = 0,
    taken: Collection[str] = (),
    where: tuple[str, int | str] | None = None,
) -> list[Any]:
    """Lay a stack out as HDUs that follow a primary HDU, or all the HDUs of a file.

    Parameters
    ----------
    stack : galcnn.layers.LayerStack
        Any.
    number : int
        0 for the first stack of a layers file, else its number behind what stood in the file.
    taken : collection of str
        EXTNAMEs in use in the file.
    where : tuple of str and int or str, optional
        Card and value that say where in the file the cutout is, for a stack that does not bring it.

    Returns
    -------
    list of astropy HDUs
        With checksums; the last is PROVENANCE.
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
            hdu.header["OBJECT"] = card_text(stack.id)  # viewers show it beside the image
    if number:  # of the first NEXTEND says it
        hdus[-1].header["NHDU"] = (len(hdus), "number of HDUs of this stack")
    for hdu in hdus:
        hdu.add_checksum()
    return hdus


def named(hdus: Iterable[Any], number: int = 0) -> dict[str, Any]:
    """Give the HDUs of one stack of a file, by the names that they have in a file of its own.

    Parameters
    ----------
    hdus : iterable of astropy HDUs
        Of a file.
    number : int
        Of the stack.

    Returns
    -------
    dict of str to astropy HDU
        Empty where there is no such stack.
    """
    return {
        str(hdu.header.get(OWN_NAME, hdu.name)): hdu for hdu in hdus if hdu.header.get(STACK, 0) == number
    }


def stack_fields(hdus: Mapping[str, Any], cutout: Cutout | None = None) -> dict[str, Any]:
    """Read what `stack_hdus` laid out.

    Parameters
    ----------
    hdus : mapping of str to astropy HDU
        Of one stack, see `named`.
    cutout : galcnn.cutout.Cutout, optional
        Of a stack that does not hold it.

    Returns
    -------
    dict of str to Any
        The fields of the stack, bit by bit, in native byte order.

    Raises
    ------
    galcnn.errors.UnreadableImageError
        A part is missing.
    """
    try:
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
    except UnreadableImageError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableImageError(
            message("a whole layers file", "Write it again.", error=f"{type(error).__name__}: {error}")
        ) from error


def cutout_of(hdus: Mapping[str, Any]) -> Cutout:
    """Read the cutout that a stack brings.

    Parameters
    ----------
    hdus : mapping of str to astropy HDU
        Of one stack, see `named`.

    Returns
    -------
    galcnn.cutout.Cutout
        Bit by bit.

    Raises
    ------
    galcnn.errors.UnreadableImageError
        It brings none.
    """
    own = []
    for name, hdu in hdus.items():
        if STACK in hdu.header and "GALCNN" in hdu.header:
            hdu = hdu.copy()
            hdu.name = name  # as in a stack of its own
            del hdu.header[STACK]
        own.append(hdu)
    return cutout_from_hdus(own)


def _layers(stack: LayerStack, used: set[str]) -> list[Any]:
    """All but the cutout; tables last, PROVENANCE the very last."""
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
