"""Maps that know nothing of a network, or of a galaxy: what the checks must tell from an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from galcnn._runtime import seeding
from galcnn.explain import Context, Explainer
from galcnn.explain.baselines import ids_of, sky_level, standard_normal
from galcnn.explain.explanation import Kind
from galcnn.model import Target

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Edges:
    """Sobel's gradient of the image: edges without a network (Adebayo et al. 2018)."""

    name: ClassVar[str] = "control_edges"
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
        """Make the maps."""
        del network, target, context
        slopes = [ndimage.sobel(images, axis=axis, mode="nearest") for axis in (1, 2)]
        return np.asarray(np.hypot(*slopes), dtype=np.float32)


@dataclass(frozen=True)
class Light:
    """The image itself, above the level of its sky."""

    name: ClassVar[str] = "control_light"
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
        """Make the maps."""
        del network, target
        return (images - sky_level(images, context or Context())[0]).astype(np.float32)


@dataclass(frozen=True)
class Noise:
    """Random numbers, the same for a galaxy whatever is asked.

    Attributes
    ----------
    seed : int
        With the ids.
    """

    seed: int = 0

    name: ClassVar[str] = "control_noise"
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
        """Make the maps."""
        del network, target
        return np.stack(
            [
                standard_normal(seeding.generator(self.seed, "control", name), images.shape[1:])
                for name in ids_of(images, context or Context())
            ]
        )


#: What every report shows beside the methods.
CONTROLS: tuple[Explainer, ...] = (Edges(), Light(), Noise())
