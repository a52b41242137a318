"""How much several answers to one question disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.prediction import shannon_entropy

__all__ = ["Uncertainty"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Probabilities of several networks, or of one with several dropout masks.

    Attributes
    ----------
    members : numpy.ndarray
        Probabilities, float64, shape (n_members, n, n_classes); NaN where there is no answer.

    Examples
    --------
    >>> import numpy as np
    >>> two = Uncertainty(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> float(two.entropy[0] - two.mutual_information[0])  # each is certain: all doubt is disagreement
    0.0
    """

    members: Floats

    def __post_init__(self) -> None:
        members = np.array(self.members, dtype=np.float64)
        if members.ndim != 3 or len(members) < 2:
            raise ValueError(
                message(
                    "probabilities of at least two members (members, n, classes)", "", shape=members.shape
                )
            )
        members.flags.writeable = False
        object.__setattr__(self, "members", members)

    @property
    def probabilities(self) -> Floats:
        """Mean over the members, shape (n, n_classes)."""
        mean: Floats = self.members.mean(axis=0)
        return mean

    @property
    def scatter(self) -> Floats:
        """Standard deviation over the members (n - 1) of the probabilities, shape (n, n_classes)."""
        scatter: Floats = self.members.std(axis=0, ddof=1)
        return scatter

    @property
    def entropy(self) -> Floats:
        """Entropy of the mean in nats, shape (n,): all doubt."""
        return shannon_entropy(self.probabilities)

    @property
    def mutual_information(self) -> Floats:
        """Entropy of the mean less the mean entropy, in nats, shape (n,): doubt by disagreement.

        Houlsby et al. 2011 (BALD), equation 2: what the answer would tell of the network. The
        rest, the mean entropy, is doubt that all members share, such as that of a blurred image.
        """
        disagreement: Floats = np.maximum(self.entropy - shannon_entropy(self.members).mean(axis=0), 0.0)
        return disagreement
