"""Classification as a stage of ceci, the pipeline engine of DESC, on any number of processes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ceci import PipelineStage
from ceci.config import StageParameter
from ceci.file_types import ParquetFile

from galcnn.catalog import read_catalog
from galcnn.errors import message
from galcnn.pipeline import Work, run_one, run_tasks


def _parameter(default: Any) -> StageParameter:
    """Return the parameter of a key; lists are strings with commas, as on the command line."""
    text = default is None or isinstance(default, tuple)
    return StageParameter(str if text else type(default), "" if text else default, msg="see galcnn classify")


@contextlib.contextmanager
def _together(comm: Any) -> Iterator[None]:
    """Wait for all processes; if one fails, all fail instead of waiting for it."""
    done, told = False, [True]
    try:
        yield
        done = True
    finally:
        if comm is not None:
            told = comm.allgather(done)
    if not all(told):
        raise RuntimeError(
            message(
                "all processes to finish",
                "See the errors of the failed ones, then start again: finished chunks are kept.",
                failed=[rank for rank, one in enumerate(told) if not one],
            )
        )


class Morphology(PipelineStage):
    """Classify galaxies: one row per galaxy, in the order of the catalog.

    An interrupted stage is continued when the pipeline is run again.
    """

    name = "Morphology"
    inputs = [("galaxies", ParquetFile)]  # noqa: RUF012  ceci's way
    outputs = [("morphology", ParquetFile)]  # noqa: RUF012
    parallel = True
    config_options = {  # noqa: RUF012
        "model": StageParameter(str, "", msg="model folder; several are joined by commas"),
        "id": StageParameter(str, "", msg="column with the identifier"),
        "tasks": StageParameter(int, 0, msg="how many the catalog is split into; 0: one for 8 chunks"),
        **{name: _parameter(default) for name, default in Work.words().items()},
    }

    def run(self) -> None:
        """Do this process's share of the tasks; the first process joins the tables."""
        columns = {"id": self.config["id"]} if self.config["id"] else None
        catalog = read_catalog(self.get_input("galaxies"), columns=columns)
        work = Work.from_words({name: self.config[name] for name in ("model", *Work.words())})
        target = Path(self.get_output("morphology"))
        folder = target.with_name(f"{target.stem}.run")
        tasks = work.n_tasks(len(catalog), self.config["tasks"] or None)
        if self.size > 1:
            with _together(self.comm):
                for number in range(self.rank + 1, tasks + 1, self.size):
                    run_one(work, catalog, folder, number=number, tasks=tasks)
        with _together(self.comm if self.size > 1 else None):
            if self.rank == 0:
                manifest = run_tasks(work, catalog, folder, tasks=tasks)
                os.replace(folder / manifest["table"], target)
                shutil.rmtree(folder)

    @classmethod
    def generate_command(
        cls,
        inputs: Mapping[str, str],
        config: str,
        outputs: Mapping[str, str],
        aliases: Mapping[str, str] | None = None,
        instance_name: str | None = None,
    ) -> str:
        """Return the command that starts this stage: with `python -m ceci`, not `python -m galcnn`.

        Parameters
        ----------
        inputs, outputs : mapping of str to str
            Tag -> path.
        config : str
            Path of the configuration.
        aliases : mapping of str to str, optional
            Aliases of the tags.
        instance_name : str, optional
            Name of this instance of the stage, if it differs from the stage's name.

        Returns
        -------
        str
            Shell command.
        """
        command: str = super().generate_command(inputs, config, outputs, aliases, instance_name)
        return command.replace(f"-m galcnn {cls.name}", f"-m ceci {__name__}.{cls.name}", 1)
