"""Control maps, which do not depend on the network: a check must distinguish them from explanations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from galcnn.explain import Context, Explainer
from galcnn.explain.baselines import sky_level, standard_normal
from galcnn.explain.explanation import Kind
from galcnn.faithfulness.sample import drawn
from galcnn.model import Target

if TYPE_CHECKING:
    import keras


class _Control(ABC):
    """An explainer that ignores the network and the target."""

    per_band: ClassVar[bool] = True
    kind: ClassVar[Kind] = "features"

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        del network, target
        return np.asarray(self._maps(images, context or Context()), dtype=np.float32)

    @abstractmethod
    def _maps(self, images: npt.NDArray[np.float32], context: Context) -> npt.NDArray[np.floating]: ...


@dataclass(frozen=True)
class Edges(_Control):
    """Magnitude of the Sobel gradient of the image: an edge detector (Adebayo et al. 2018)."""

    name: ClassVar[str] = "control_edges"

    def _maps(self, images: npt.NDArray[np.float32], context: Context) -> npt.NDArray[np.floating]:
        del context
        slopes = [ndimage.sobel(images, axis=axis, mode="nearest") for axis in (1, 2)]
        return np.asarray(np.hypot(*slopes))


@dataclass(frozen=True)
class Light(_Control):
    """The sky-subtracted image itself."""

    name: ClassVar[str] = "control_light"

    def _maps(self, images: npt.NDArray[np.float32], context: Context) -> npt.NDArray[np.floating]:
        return np.asarray(images - sky_level(images, context)[0])


@dataclass(frozen=True)
class Noise(_Control):
    """Random numbers that depend only on the seed and the id of the galaxy.

    Attributes
    ----------
    seed : int
        Random seed.
    """

    seed: int = 0

    name: ClassVar[str] = "control_noise"

    def _maps(self, images: npt.NDArray[np.float32], context: Context) -> npt.NDArray[np.floating]:
        shape = images.shape[1:]
        return drawn(images, context, lambda stream: standard_normal(stream, shape), self.seed, "control")


#: Controls that every report includes.
CONTROLS: tuple[Explainer, ...] = (Edges(), Light(), Noise())
