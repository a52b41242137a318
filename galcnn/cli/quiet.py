"""Import TensorFlow without its chatter.

It writes to file descriptor 2 from C++ before any logging can be configured; the environment
variables do not silence all of it, and one of them changes numerics. So the descriptor is muted
for the length of the import, and what was said is shown if the import fails.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

__all__ = ["load_tensorflow", "muted_stderr"]


@contextlib.contextmanager
def muted_stderr() -> Iterator[None]:
    """Keep file descriptor 2 silent; show all that was said if the block fails.

    Yields
    ------
    None
        Nothing.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(saved, said.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def load_tensorflow() -> None:
    """Import TensorFlow and Keras, and let the devices introduce themselves, unheard.

    Raises
    ------
    RuntimeError
        Keras was told to use another backend, or channels first.
    """
    if "tensorflow" in sys.modules:
        return
    with muted_stderr():
        import keras
        import tensorflow as tf

        tf.constant(0) + 1  # the first operation starts the devices, which talk too
    if keras.backend.backend() != "tensorflow" or keras.config.image_data_format() != "channels_last":
        raise RuntimeError(
            "Expected Keras on TensorFlow with channels last. Received: "
            f"backend={keras.backend.backend()!r}, image_data_format={keras.config.image_data_format()!r}. "
            "Unset KERAS_BACKEND and mend ~/.keras/keras.json."
        )
