"""A network that gives all orientations of an image the same answer.

The image is laid out in its orientations, all go through the same layers, and their feature maps
are turned back and averaged. The mean feature map turns with the image, so the mean over its
pixels does not change at all; as the head is linear, its logits are the mean of the logits of the
orientations (group averaging; compare Dieleman et al. 2015, MNRAS 450, 1441). A class activation
map needs nothing new: there is one feature map, on the grid of the image.
"""

from __future__ import annotations

from typing import Any

import keras

from galcnn.errors import message


class _OfOrientations(keras.layers.Layer):
    """Base: the number of orientations, 4 quarter turns or 8 with mirror images."""

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
    """Lay images out in their orientations: (n, y, x, c) becomes (count * n, y, x, c)."""

    def call(self, inputs: Any) -> Any:
        """Turn."""
        return keras.ops.concatenate([_turned(inputs, *turn) for turn in _TURNS[: self.count]], axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Give the shape of the output."""
        n, ny, nx, channels = input_shape
        if ny != nx:
            raise ValueError(message("square images to turn", "Crop them.", shape=(ny, nx)))
        return (None if n is None else n * self.count, ny, nx, channels)


@keras.saving.register_keras_serializable(package="galcnn")
class OrientationMean(_OfOrientations):
    """Turn feature maps back and average them: (count * n, y, x, c) becomes (n, y, x, c)."""

    def __init__(self, count: int = 8, **kwargs: Any) -> None:
        super().__init__(count, **(kwargs | {"dtype": "float32"}))

    def call(self, inputs: Any) -> Any:
        """Average."""
        return mean_turned_back(inputs, self.count)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Give the shape of the output."""
        n = input_shape[0]
        return (None if n is None else n // self.count, *input_shape[1:])


def mean_turned_back(maps: Any, count: int) -> Any:
    """Turn maps of all orientations back and average them."""
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


#: Each orientation: whether rows and columns are exchanged, and which axes are flipped then. The first
#: four are the quarter turns.
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
_COUNTS = (4, 8)
