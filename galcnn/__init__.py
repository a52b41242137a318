"""Galaxy morphology with convolutional networks that say what a galaxy is, and why.

The map of the house, in the order in which data travels::

    survey / files -> Cutout -> dataset -> network -> prediction -> explanation -> FITS layers -> viewer

- `galcnn.cutout`, `galcnn.catalog`: the image of one galaxy; what is known of many.
- `galcnn.photometry`, `galcnn.observing`: units and zero points; how a survey looks at the sky.
- `galcnn.votes`: the questions that people were asked of galaxies, and what they answered.
- `galcnn.simulation`, `galcnn.surveys`: galaxies of known truth; sky position -> Cutout.
- `galcnn.transforms`: pixel grids; sky and dust taken away; colour pictures.
- `galcnn.files`: any image file <-> Cutout.
- `galcnn.mosaic`: one large image and a catalog -> many cutouts.
- `galcnn.redshifting`: Cutout at z -> Cutout further away.
- `galcnn.inputs`, `galcnn.dataset`, `galcnn.preprocessing`: what a network sees; splits; Keras layers.
- `galcnn.devices`, `galcnn.model`, `galcnn.training`, `galcnn.experiment`: networks, fitting, one TOML.
- `galcnn.prediction`, `galcnn.evaluation`: logits to probabilities; scores with intervals.
- `galcnn.health`: why a network does not learn, before and while it is trained.
- `galcnn.fooling`: images changed until a network errs, and whether an astronomer could see it.
- `galcnn.explain`, `galcnn.layers`, `galcnn.viewers`: maps, their FITS layers, figures.
- `galcnn.report`: answers and maps as pages that open from the disk.
- `galcnn.landscape`: the loss around a solution.
- `galcnn.pipeline`, `galcnn.studies`: files to answers; the demo, optimizers compared.
- `galcnn.similarity`, `galcnn.service`: galaxies alike, those worth a label; JSON for other languages.
- `galcnn.engines`: a run on Dask, LSDB, ceci or LSST's pipelines.
- `galcnn.trust`: whether a map can be trusted.
- `galcnn.plugins`, `galcnn.errors`, `galcnn.atomic`, `galcnn.seeding`, `galcnn.progress`,
  `galcnn.notebook`: the foundation.

Importing galcnn imports none of them: each name below comes when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from galcnn._runtime.version import __version__ as __version__

if TYPE_CHECKING:
    from galcnn.catalog import Catalog as Catalog
    from galcnn.catalog import read_catalog as read_catalog
    from galcnn.cutout import Cutout as Cutout
    from galcnn.evaluation import evaluate as evaluate
    from galcnn.experiment import Experiment as Experiment
    from galcnn.experiment import train as train
    from galcnn.explain import Explanation as Explanation
    from galcnn.explain import Target as Target
    from galcnn.files import load_cutout as load_cutout
    from galcnn.files import save_cutout as save_cutout
    from galcnn.layers import LayerStack as LayerStack
    from galcnn.model import TrainedModel as TrainedModel
    from galcnn.model import load_model as load_model
    from galcnn.model import save_model as save_model
    from galcnn.prediction import Prediction as Prediction
    from galcnn.prediction import predict as predict
    from galcnn.redshifting import Redshifting as Redshifting
    from galcnn.redshifting import redshift as redshift

_HOME = {
    "Catalog": "catalog",
    "Cutout": "cutout",
    "Experiment": "experiment",
    "Explanation": "explain",
    "LayerStack": "layers",
    "Prediction": "prediction",
    "Redshifting": "redshifting",
    "Target": "explain",
    "TrainedModel": "model",
    "evaluate": "evaluation",
    "load_cutout": "files",
    "load_model": "model",
    "predict": "prediction",
    "read_catalog": "catalog",
    "redshift": "redshifting",
    "train": "experiment",
    "save_cutout": "files",
    "save_model": "model",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"galcnn.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
