"""What is asked of a run and what it leaves; no Keras, so that whoever sends it to workers needs none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["MANIFEST", "TABLE", "ClassifySettings"]

#: What a run leaves.
TABLE, MANIFEST = "table.parquet", "manifest.json"


@dataclass(frozen=True)
class ClassifySettings:
    """What a row holds.

    Attributes
    ----------
    prior : str
        See `galcnn.prediction.prior_of`.
    calibrated : bool
        Whether ``doubts.json`` of a model is used where it is there: calibrated probabilities,
        sets of classes, and the domain warning.
    embeddings : bool
        Whether the features that the last layer reads are kept.
    fit : bool
        Whether the pixel grid of a cutout may be changed, see `galcnn.inputs.prepare`.
    render : str or None
        See `galcnn.model.TrainedModel.with_render`.
    dropout_samples : int
        Answers with dropout left on by which the uncertainty is measured; 0: none.
    seed : int
        Of their masks, beside the id of the galaxy.
    """

    prior: str = "as-trained"
    calibrated: bool = True
    embeddings: bool = False
    fit: bool = False
    render: str | None = None
    dropout_samples: int = 0
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values.

        Returns
        -------
        dict
            Of the attributes.
        """
        return asdict(self)
