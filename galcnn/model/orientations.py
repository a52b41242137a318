"""Layers that make a network invariant to the orientation of the image.

All orientations of the image pass through the same layers; their feature maps are rotated back and
averaged. The mean feature map rotates with the image, so its mean over pixels is invariant. Since
the head is linear, the logits are the mean of the logits of the orientations (group averaging;
compare Dieleman et al. 2015, MNRAS 450, 1441). Class activation maps work unchanged, since there is
one set of feature maps, on the grid of the image.
"""

from __future__ import annotations

from typing import Any

import keras

from galcnn.errors import message
from galcnn.model.weights import give_weights


class _OfOrientations(keras.layers.Layer):
    """Base: the number of orientations, 4 quarter turns or 8 with mirror images; 1 leaves all as it is."""

    def __init__(self, count: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if count not in _COUNTS:
            raise ValueError(message(f"orientations among {_COUNTS}", "", count=count))
        self.count = count

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {"count": self.count}


@keras.saving.register_keras_serializable(package="galcnn")
class Orientations(_OfOrientations):
    """Stack the orientations of the images along the batch axis: (n, y, x, c) -> (count * n, y, x, c)."""

    def call(self, inputs: Any) -> Any:
        """Return all orientations of the images."""
        return keras.ops.concatenate([_turned(inputs, *turn) for turn in _TURNS[: self.count]], axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        n, ny, nx, channels = input_shape
        if ny != nx:
            raise ValueError(message("square images to turn", "Crop them.", shape=(ny, nx)))
        return (None if n is None else n * self.count, ny, nx, channels)


@keras.saving.register_keras_serializable(package="galcnn")
class OrientationMean(_OfOrientations):
    """Rotate feature maps back and average them: (count * n, y, x, c) -> (n, y, x, c)."""

    def __init__(self, count: int = 8, **kwargs: Any) -> None:
        super().__init__(count, **(kwargs | {"dtype": "float32"}))

    def call(self, inputs: Any) -> Any:
        """Return the mean feature maps."""
        return mean_turned_back(inputs, self.count)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        n = input_shape[0]
        return (None if n is None else n // self.count, *input_shape[1:])


def orientations_of(network: keras.Model) -> int:
    """Return the number of orientations that a network averages; 1 if it averages none."""
    counts = [layer.count for layer in network.layers if isinstance(layer, _OfOrientations)]
    return max(counts, default=1)


def with_orientations(network: keras.Model, count: int) -> keras.Model:
    """Return a copy of a network, with its weights, that averages another number of orientations."""

    def renewed(layer: keras.layers.Layer) -> keras.layers.Layer:
        changed = {"count": count} if isinstance(layer, _OfOrientations) else {}
        return type(layer).from_config(layer.get_config() | changed)

    copy = keras.models.clone_model(network, clone_function=renewed)
    give_weights(copy, network)
    return copy


def mean_turned_back(maps: Any, count: int) -> Any:
    """Rotate the maps of all orientations back and average them."""
    parts = keras.ops.reshape(maps, (count, -1, *maps.shape[1:]))
    total = _turned_back(parts[0], *_TURNS[0])
    for i in range(1, count):
        total = total + _turned_back(parts[i], *_TURNS[i])
    return total / count


def _turned(x: Any, across: bool, flipped: tuple[int, ...]) -> Any:
    x = keras.ops.transpose(x, (0, 2, 1, 3)) if across else x
    return keras.ops.flip(x, axis=flipped) if flipped else x


def _turned_back(x: Any, across: bool, flipped: tuple[int, ...]) -> Any:
    x = keras.ops.flip(x, axis=flipped) if flipped else x
    return keras.ops.transpose(x, (0, 2, 1, 3)) if across else x


#: For each orientation: True if rows and columns are exchanged, then the axes that are flipped. The
#: first four are the rotations by multiples of 90 degrees.
_TURNS: list[tuple[bool, tuple[int, ...]]] = [
    (False, ()),
    (True, (1,)),
    (False, (1, 2)),
    (True, (2,)),
    (False, (1,)),
    (False, (2,)),
    (True, ()),
    (True, (1, 2)),
]
_COUNTS = (1, 4, 8)
