"""Import TensorFlow without its log messages.

TensorFlow writes to file descriptor 2 from C++ before logging can be configured. The environment
variables do not silence all messages, and one of them changes numerics. The descriptor is therefore
redirected during the import, and the messages are shown if the import fails.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

import click

from galcnn.errors import message


@contextlib.contextmanager
def muted_stderr() -> Iterator[None]:
    """Silence file descriptor 2; show its messages if the block fails."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except Exception:
            said.seek(0)
            os.write(saved, said.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def load_tensorflow(*, start: bool = True, device: str = "auto") -> None:
    """Import TensorFlow and Keras without their log messages.

    With `start`, the devices are started too; after that, the CPU cannot be split into virtual devices
    and multi-worker training cannot be set up.
    """
    # Checked before the import, because another backend of Keras may not be installed.
    _check_backend(os.environ.get("KERAS_BACKEND") or "tensorflow")
    if "tensorflow" not in sys.modules:
        _import(start)
    if device != "auto":
        from galcnn.model.devices import device_scope

        click.get_current_context().with_resource(device_scope(device))


def _import(start: bool) -> None:
    with muted_stderr():
        import keras
        import tensorflow as tf

        if start:
            tf.constant(0) + 1  # the first operation starts the devices, which log messages, too
    _check_backend(keras.backend.backend(), keras.config.image_data_format())


def _check_backend(backend: str, data_format: str = "channels_last") -> None:
    if (backend, data_format) != ("tensorflow", "channels_last"):
        raise RuntimeError(
            message(
                "Keras on TensorFlow with channels last",
                "Unset KERAS_BACKEND, or mend ~/.keras/keras.json.",
                backend=backend,
                image_data_format=data_format,
            )
        )
