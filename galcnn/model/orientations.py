"""A network that gives all orientations of an image the same answer.

The image is laid out in its orientations, all go through the same layers, and their feature maps
are turned back and averaged. The mean feature map turns with the image, so the mean over its
pixels does not change at all; as the head is linear, its logits are the mean of the logits of the
orientations (group averaging; compare Dieleman et al. 2015, MNRAS 450, 1441). A class activation
map needs nothing new: there is one feature map, on the grid of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from galcnn.errors import message


class _OfOrientations(keras.layers.Layer):
    """Base: the number of orientations, 4 quarter turns or 8 with mirror images."""

    def __init__(self, count: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if count not in _TURNS:
            raise ValueError(message(f"orientations among {tuple(_TURNS)}", "", count=count))
        self.count = count

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {"count": self.count}


@keras.saving.register_keras_serializable(package="galcnn")
class Orientations(_OfOrientations):
    """Lay images out in their orientations: (n, y, x, c) becomes (count * n, y, x, c)."""

    def call(self, inputs: Any) -> Any:
        """Turn."""
        return keras.ops.concatenate([turn(inputs) for turn, _ in _TURNS[self.count]], axis=0)

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
    back = [undo(parts[i]) for i, (_, undo) in enumerate(_TURNS[count])]
    total = back[0]
    for part in back[1:]:
        total = total + part
    return total / count


_Turn = Callable[[Any], Any]


def _same(x: Any) -> Any:
    return x


def _up(x: Any) -> Any:
    return keras.ops.flip(x, axis=1)


def _left(x: Any) -> Any:
    return keras.ops.flip(x, axis=2)


def _half(x: Any) -> Any:
    return keras.ops.flip(x, axis=(1, 2))


def _across(x: Any) -> Any:
    return keras.ops.transpose(x, (0, 2, 1, 3))


def _quarter(x: Any) -> Any:
    return _up(_across(x))


def _three_quarters(x: Any) -> Any:
    return _left(_across(x))


def _across_back(x: Any) -> Any:
    return _across(_half(x))


_ROTATIONS: list[tuple[_Turn, _Turn]] = [
    (_same, _same),
    (_quarter, _three_quarters),
    (_half, _half),
    (_three_quarters, _quarter),
]
#: Each orientation with the one that undoes it.
_TURNS: dict[int, list[tuple[_Turn, _Turn]]] = {
    4: _ROTATIONS,
    8: [*_ROTATIONS, (_up, _up), (_left, _left), (_across, _across), (_across_back, _across_back)],
}
