"""Galaxy morphology with convolutional networks that say what a galaxy is, and why.

The rooms, in the order in which data travels::

    survey / files -> Cutout -> dataset -> model -> prediction -> explanation -> FITS layers -> viewer

The sky

- `galcnn.cutout`: the calibrated image of one galaxy.
- `galcnn.photometry`: units, zero points, instruments.
- `galcnn.catalog`: tables of galaxies, labels, votes, matching.
- `galcnn.transforms`: Cutout -> Cutout: crop, resample, align, sky, extinction, colour pictures.
- `galcnn.simulation`, `galcnn.redshifting`: galaxies of known truth; a Cutout as seen further away.
- `galcnn.files`, `galcnn.mosaic`: image files <-> Cutout; one large image -> many cutouts.
- `galcnn.surveys`: sky position -> Cutout, from the archives of surveys.

The network

- `galcnn.model`: networks, preprocessing, trained models and their cards.
- `galcnn.dataset`: one reader of images, splits, leakage.
- `galcnn.training`: fit, augmentation, optimizers, schedules.

The answer

- `galcnn.prediction`, `galcnn.evaluation`: logits and probabilities; scores with intervals.
- `galcnn.uncertainty`: calibration, prediction sets, out-of-distribution warnings, ensembles.

The reason

- `galcnn.explain`: attribution maps, filters, class models, DeepDream.
- `galcnn.diagnostics`: initialisation, gradients, the loss landscape.
- `galcnn.adversarial`: adversarial images.
- `galcnn.layers`, `galcnn.viewers`: maps as FITS layers; figures, DS9, SAMP, glue, Imviz.

Whole jobs

- `galcnn.experiment`: one TOML: catalog -> data -> trained -> scored -> saved.
- `galcnn.faithfulness`, `galcnn.covariate_shift`: tests of the maps, and of predictions at other redshifts
- `galcnn.pipeline`: files, catalogs, mosaics and surveys -> answers and maps.
- `galcnn.report`, `galcnn.workflows`: an HTML report; Dask, LSDB, ceci, LSST.
- `galcnn.testing`: conformance tests for plugins (`galcnn.plugins`).

Importing galcnn imports none of them; each name is imported when it is first used.
"""

import lazy_loader

from galcnn._runtime.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
