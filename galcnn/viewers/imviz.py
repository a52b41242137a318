"""Layers in Imviz, the image viewer of jdaviz for notebooks: ``pip install 'galcnn[imviz]'``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from galcnn.catalog.names import image_stem
from galcnn.errors import message
from galcnn.viewers.contents import layers_of
from galcnn.viewers.ds9 import DRAWN

if TYPE_CHECKING:
    from jdaviz import Imviz


def load_into_imviz(
    path: str | os.PathLike[str], viewer: Imviz | None = None, *, layers: Sequence[str] | None = None
) -> Imviz:
    """Load layers of a file into Imviz, aligned on the sky if all have a WCS.

    Parameters
    ----------
    path : path-like
        Layers file, or image file to which layers were added.
    viewer : jdaviz.Imviz, optional
        Existing instance. By default a new one is made.
    layers : sequence of str, optional
        Names of the layers to load. By default science images, maps and differences.

    Returns
    -------
    jdaviz.Imviz
        Viewer; display it with ``.show()`` and blink through the layers with ``b``.

    Raises
    ------
    ImportError
        If jdaviz is not installed.
    ValueError
        If a layer does not exist.
    """
    known = layers_of(path)
    names = [layer.name for layer in known if layer.role in DRAWN] if layers is None else list(layers)
    if missing := sorted(set(names) - {layer.name for layer in known}):
        raise ValueError(message(f"layers among {[layer.name for layer in known]}", "", layers=missing))
    opened: Any = viewer if viewer is not None else _imviz()
    stem = image_stem(path)
    placed = True
    for layer in known:
        if layer.name in names:
            opened.load_data(_nddata(layer), data_label=f"{stem} {layer.name}")
            placed = placed and layer.wcs is not None
    if placed and len(names) > 1:
        opened.link_data(align_by="wcs")
    return opened


def _nddata(layer: Any) -> Any:
    from astropy.nddata import NDData

    return NDData(layer.data, wcs=layer.wcs)


def _imviz() -> Any:
    try:
        from jdaviz import Imviz
    except ImportError as error:
        raise ImportError(
            message("jdaviz", "pip install 'galcnn[imviz]' installs it.", error=str(error))
        ) from error
    return Imviz()
