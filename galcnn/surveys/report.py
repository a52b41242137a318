"""What became of a fetch: the catalog of what stands, and the reasons of what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from galcnn import atomic
from galcnn.catalog import Catalog, write_table
from galcnn.surveys.manifest import FAILED, FETCHED, NOT_COVERED, Record

__all__ = ["CATALOG", "NOT_TRIED", "REPORT", "FetchReport", "write_report"]

NOT_TRIED = "not tried"
CATALOG, REPORT = "catalog.ecsv", "report.json"


@dataclass(frozen=True)
class FetchReport:
    """What became of each galaxy.

    Attributes
    ----------
    folder : pathlib.Path
        Of the fetch.
    outcomes : dict of str to tuple of str
        Id -> status and reason, in the catalog's order. Statuses are ``fetched``,
        ``not covered``, ``failed`` and ``not tried``.
    kept : int
        How many of the fetched stood already.
    """

    folder: Path
    outcomes: Mapping[str, tuple[str, str]]
    kept: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Galaxies of each status."""
        found = Counter(status for status, _ in self.outcomes.values())
        return {status: found[status] for status in (FETCHED, NOT_COVERED, FAILED, NOT_TRIED)}

    @property
    def missing(self) -> list[dict[str, str]]:
        """Id, status and reason of each galaxy that has no cutout."""
        return [
            {"id": name, "status": status, "reason": reason}
            for name, (status, reason) in self.outcomes.items()
            if status != FETCHED
        ]

    def lines(self, longest: int = 20) -> list[str]:
        """Say it in words.

        Parameters
        ----------
        longest : int
            Galaxies that are named at most.

        Returns
        -------
        list of str
            The counts, then a line for each galaxy without a cutout.
        """
        counts = ", ".join(f"{n} {status}" for status, n in self.counts.items() if n or status == FETCHED)
        said = [f"{counts}; {self.kept} of the fetched stood already" if self.kept else counts]
        rows = [row for row in self.missing if row["status"] != NOT_TRIED]
        wide = max((len(row["id"]) for row in rows[:longest]), default=0)
        said += [f"  {row['id']:<{wide}}  {row['status']:<11}  {row['reason']}" for row in rows[:longest]]
        if len(rows) > longest:
            said.append(f"  and {len(rows) - longest} more: {self.folder / REPORT}")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON.

        Returns
        -------
        dict
            Counts, and what is missing.
        """
        return {"counts": self.counts, "kept": self.kept, "missing": self.missing}


def write_report(catalog: Catalog, folder: Path, done: Mapping[str, Record], *, kept: int) -> FetchReport:
    """Write ``report.json`` and ``catalog.ecsv``.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        Of the fetch.
    folder : pathlib.Path
        Of the fetch.
    done : mapping of str to Record
        By id.
    kept : int
        How many of them stood before.

    Returns
    -------
    FetchReport
        What became of each.
    """
    outcomes = {
        name: (done[name].status, done[name].reason) if name in done else (NOT_TRIED, "")
        for name in catalog.ids
    }
    report = FetchReport(folder, outcomes, kept)
    atomic.write_json(folder / REPORT, report.to_dict())
    rows = [row for row, name in enumerate(catalog.ids) if outcomes[name][0] == FETCHED]
    if rows:
        images = [done[catalog.ids[row]].file for row in rows]
        write_table(catalog.select(rows).with_column("image", images).table, folder / CATALOG)
    else:
        (folder / CATALOG).unlink(missing_ok=True)
    return report
