"""Trials: what was measured once under a name and a seed is not measured again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from galcnn._runtime import atomic
from galcnn.errors import message
from galcnn.training.checkpoint import changed_keys

__all__ = ["Trials"]


class Trials:
    """A folder of JSON files, one for each name and seed.

    Parameters
    ----------
    folder : path-like
        Made when the first trial ends.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def once(
        self, name: str, seed: int, told: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Give what a trial measured; measure it if it has not been.

        Parameters
        ----------
        name : str
            Begins the name of the file.
        seed : int
            Ends it.
        told : mapping
            All that decides the result, as JSON can hold it.
        measure : callable
            Gives figures, as JSON can hold them.

        Returns
        -------
        dict
            The figures.

        Raises
        ------
        ValueError
            The file that stands there was told something else.
        """
        path = self.folder / f"{name}-seed{seed}.json"
        wanted = json.loads(json.dumps(dict(told)))
        if path.exists():
            done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if changed := changed_keys(done["told"], wanted):
                raise ValueError(
                    message(
                        "the settings with which this trial was made",
                        "Choose another folder, or remove the file.",
                        changed=changed,
                        file=str(path),
                    )
                )
            return dict(done["found"])
        found = dict(measure())
        atomic.write_json(path, {"told": wanted, "found": found})
        return found
