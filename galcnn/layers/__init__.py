"""LayerStack <-> FITS: cutout, prediction and explanations of one galaxy as layers on one WCS.

**Layers format, version 1.** A file holds one galaxy, uncompressed, with CHECKSUM and DATASUM in
every HDU:

1. an empty PRIMARY: `FILETYPE` = ``'galcnn layers'``, `FILEVERS` = 1, `NEXTEND`, `OBJECT`, `CREATOR`, `DATE`,
   `MODEL`, `MODELSHA`, `INPUT`, `INPUTSHA` (SHA-256), `CLASS` (the most probable), `ENTROPY`,
   `NCLASS`, and `CLASSn`, `LOGITn`, `PROBn` for each class;
2. the HDUs of the cutout as `galcnn.files` writes them (science, mask, sigma, PSF), the first
   image being science: ``SCI_G``, ``SCI_R`` ...;
3. an image HDU (float32, two axes, the pixels of the science images, the WCS of the cutout with
   RADESYS where it has one) for each plane of each explanation, named METHOD_TARGET_BAND:
   ``SAL_SPIRAL_G``; ``CAM_SPIRAL`` for a map that serves all bands; a number makes equal names
   unique, since DS9 cannot address EXTVER. NaN = outside the support of the map. Cards: `BUNIT`
   (absent for plain logits), `METHOD`, `TARGET` with `WGTn` (weights over the logits), `BAND`,
   `WRT` (stretched, flux or sigma), `SCORE`, `BASELINE` and `DELTA` (path methods), `SEED`,
   `NETLAYER`, `SETn` (the settings);
4. the table MORPHOLOGY, a row a class: `id`, `class`, `logit`, `adjustment` (for the class prior),
   `probability`, `entropy`;
5. the table LAYERS, a row a map layer, if there are any;
   images made of the cutout (attacks, dreams), if there are any, stand with their table
   SYNTHESES after the maps: see `galcnn.layers.syntheses`;
6. the table PROVENANCE: `key`, `value` (JSON).

The cards are for human readers: long or odd texts are shortened and escaped. The tables hold
everything exactly; their texts are printable ASCII, with backslash escapes (`unicode_escape`) for
what is not.

Examples
--------
Any FITS reader shows the layers; ``ds9 'galaxy.fits[SAL_SPIRAL_G]'``, or in Python
``fits.getdata("galaxy.fits", "SAL_SPIRAL_G")``.
"""

from galcnn.layers.stack import LayerStack, provenance_of
from galcnn.layers.syntheses import read_syntheses, write_syntheses

__all__ = ["LayerStack", "provenance_of", "read_syntheses", "write_syntheses"]
