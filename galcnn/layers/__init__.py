"""LayerStack <-> FITS: cutout, prediction and explanations of one galaxy as layers on one WCS.

**Layers format, version 1.** A file holds one galaxy, uncompressed, with CHECKSUM and DATASUM in
every HDU, EXTNAMEs unique (DS9 cannot address EXTVER) and of A-Z, 0-9 and underscores:

1. an empty PRIMARY: `FILETYPE` = ``'galcnn layers'``, `FILEVERS` = 1, `NEXTEND`, `OBJECT`, `CREATOR`, `DATE`,
   `MODEL`, `MODELSHA`, `INPUT`, `INPUTSHA` (SHA-256), `CLASS` (the most probable), `ENTROPY`,
   `NCLASS`, and `CLASSn`, `LOGITn`, `PROBn` for each class;
2. the HDUs of the cutout as `galcnn.files` writes them (science, mask, sigma, PSF), the first
   image being science: ``SCI_G``, ``SCI_R`` ... Every HDU that follows has the card `LAYERFMT` = 1;
3. ``SEGM``, where sources were told apart: int32, the number of the source that a pixel is of;
4. an image HDU (float32, two axes, the pixels of the science images, the WCS of the cutout with
   RADESYS where it has one) for each plane of each explanation, named METHOD_TARGET_BAND:
   ``SAL_SPIRAL_G``; ``CAM_SPIRAL`` for a map that serves all bands; a number makes equal names
   unique. NaN = outside the support of the map. Cards: `BUNIT` (absent for plain logits; a unit
   that FITS does not know stands in `UNITTEXT`), `METHOD`, `TARGET` with `WGTn` (weights over the
   logits), `BAND`, `WRT` (stretched, flux or sigma), `KIND` (slope, amount or features), `SCORE`,
   `BASELINE` and `DELTA` (path methods), `SEED`, `NETLAYER`, `SETn` (the settings), `MODEL`,
   `MODELSHA`.
   Behind the planes of a map made of a feature map's cells stands the coarse map itself, a pixel
   a cell, on the WCS of the cells: ``CAM_SPIRAL_CELLS``. Cards as before, and for y and x
   `CELL1_Y` (the pixel of the image, from 1, at the first cell), `STEP_Y` and `FIELD_Y` (pixels
   from cell to cell, and that a cell looks at);
5. images made of the cutout (attacks, dreams, class models) and their table SYNTHESES, if there
   are any: see `galcnn.layers.syntheses`;
6. the table MORPHOLOGY, a row a class: `id`, `class`, `logit`, `adjustment` (for the class prior),
   `probability`, `entropy`;
7. the table LAYERS, a row a map layer, if there are any;
8. the table PROVENANCE: `key`, `value` (JSON).

**More in one file.** `append_stack` adds what another model or method says behind all this, and
changes no byte of it. Each HDU of such a stack says its number, `STACK` = 1, 2 ...; one whose name
is taken gets a number behind it (``MORPHOLOGY_2``) and says what it is in `OWNNAME`. It brings its
own cutout, or `CUTSTACK` in its MORPHOLOGY names the stack (0: the first) whose cutout it shares.
That table carries the cards of 1. from `OBJECT` on, and PROVENANCE, its last HDU, the number of
the stack's HDUs: `NHDU`.

**In the file of an image.** `write_into` adds such a stack to any FITS file, on the grid and WCS of
the image there: see `galcnn.layers.original`. `CUTHDU` in MORPHOLOGY lists the HDUs of the image,
counted from 0; none where galcnn wrote the file. Coarse maps have no `CELL1` and `STEP` there,
which count pixels of the cutout, and LAYERS does not name them.

The cards are for human readers: long or odd texts are shortened and escaped. The tables hold
everything exactly; their texts are printable ASCII, with backslash escapes (`unicode_escape`) for
what is not. A file of version 1 is read for ever: ``tests/layers/data/layers_v1.fits.gz`` is one.

Examples
--------
Any FITS reader shows the layers; ``ds9 'galaxy.fits[SAL_SPIRAL_G]'``, or in Python
``fits.getdata("galaxy.fits", "SAL_SPIRAL_G")``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
