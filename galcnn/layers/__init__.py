"""LayerStack <-> FITS: cutout, prediction and explanations of one galaxy as layers on one WCS.

**Layers format, version 1.** A file holds one galaxy, uncompressed. Every HDU has CHECKSUM and
DATASUM. EXTNAMEs are unique (DS9 cannot address EXTVER) and consist of A-Z, 0-9 and underscores:

1. an empty PRIMARY: `FILETYPE` = ``'galcnn layers'``, `FILEVERS` = 1, `NEXTEND`, `OBJECT`, `CREATOR`, `DATE`,
   `MODEL`, `MODELSHA`, `INPUT`, `INPUTSHA` (SHA-256), `CLASS` (the most probable), `ENTROPY`,
   `NCLASS`, and `CLASSn`, `LOGITn`, `PROBn` for each class;
2. the HDUs of the cutout as `galcnn.files` writes them (science, mask, sigma, PSF); the first image is
   science: ``SCI_G``, ``SCI_R`` ... Every following HDU has the card `LAYERFMT` = 1;
3. ``SEGM``, if a segmentation was made: int32, the number of the source of each pixel, 0 for none;
4. for each plane of each explanation an image HDU (float32, two axes, the shape of the science
   images, the WCS of the cutout with RADESYS if it has one). It is named METHOD_TARGET_BAND:
   ``SAL_SPIRAL_G``, or ``CAM_SPIRAL`` for a map of all bands; a number is added to repeated names.
   NaN = outside the support of the map. Cards: `BUNIT` (absent for plain logits; `UNITTEXT` for a
   unit that FITS does not define), `METHOD`, `TARGET` with `WGTn` (weights over the logits), `BAND`,
   `WRT` (stretched, flux or sigma), `KIND` (slope, amount or features), `SCORE`, `BASELINE` and
   `DELTA` (path methods), `SEED`, `NETLAYER`, `SETn` (the settings), `MODEL`, `MODELSHA`.
   If a map was computed from a feature map, its planes are followed by the coarse map with one pixel
   per cell, on the WCS of the cells: ``CAM_SPIRAL_CELLS``. It has the same cards, and for y and x
   `CELL1_Y` (image pixel of the centre of the first cell, from 1), `STEP_Y` (distance between cells in
   pixels) and `FIELD_Y` (receptive field of a cell in pixels);
5. images made from the cutout (attacks, dreams, class models) and their table SYNTHESES, if any: see
   `galcnn.layers.syntheses`;
6. the table MORPHOLOGY, one row per class: `id`, `class`, `logit`, `adjustment` (for the class prior),
   `probability`, `entropy`;
7. the table LAYERS, one row per map layer, if any;
8. the table PROVENANCE: `key`, `value` (JSON).

**Several stacks in one file.** `append_stack` adds the result of another model or method at the end and
changes no existing byte. Each HDU of such a stack has the card `STACK` = 1, 2 ... An HDU whose name is
taken gets a number (``MORPHOLOGY_2``) and records its original name in `OWNNAME`. The stack has its own
cutout, or `CUTSTACK` in its MORPHOLOGY gives the number of the stack (0: the first) whose cutout it
shares. MORPHOLOGY has the cards of item 1 from `OBJECT` on. PROVENANCE, the last HDU, has `NHDU`, the
number of HDUs of the stack.

**In the file of an image.** `write_into` adds such a stack to any FITS file, on the grid and WCS of its
image: see `galcnn.layers.original`. `CUTHDU` in MORPHOLOGY lists the HDUs of the image, counted from 0;
it is empty if galcnn wrote the file. Coarse maps have no `CELL1` and `STEP` there, which count pixels of
the cutout, and are not listed in LAYERS.

The cards are for human readers: long or non-ASCII texts are shortened and escaped. The tables hold the
exact values; their texts are printable ASCII with backslash escapes (`unicode_escape`). All later
versions of galcnn read version 1; ``tests/layers/data/layers_v1.fits.gz`` is an example.

Examples
--------
Any FITS reader can show the layers, for example ``ds9 'galaxy.fits[SAL_SPIRAL_G]'``, or in Python
``fits.getdata("galaxy.fits", "SAL_SPIRAL_G")``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
