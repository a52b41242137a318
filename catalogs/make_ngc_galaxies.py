"""Make ngc_galaxies.ecsv and messier_galaxies.ecsv from the package pyongc.

    pip install pyongc==1.2.2
    python catalogs/make_ngc_galaxies.py

pyongc is not a dependency of galcnn; its data (OpenNGC, by Mattia Verga) are under CC-BY-SA 4.0,
and so are these tables. Nothing is corrected: a number that is odd there is odd here.
"""

import argparse
import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.table import MaskedColumn, QTable
from astropy.utils.masked import Masked

from galcnn.catalog import Catalog, write_catalog

HERE = Path(__file__).parent
UNITS = {"majax": u.arcmin, "minax": u.arcmin, "pa": u.deg}
LICENCE = (
    "OpenNGC, (c) 2017 Mattia Verga, by the package pyongc 1.2.2, CC-BY-SA 4.0 "
    "(https://creativecommons.org/licenses/by-sa/4.0/); changed: columns chosen and renamed, "
    "degrees for radians, T type and class added"
)


def hubble_types() -> pd.DataFrame:
    """The table Hubble type -> T type, class, bar."""
    types = pd.read_csv(HERE / "hubble_types.csv", dtype=str, keep_default_na=False)
    return types.set_index("hubble")


def galaxies() -> pd.DataFrame:
    """NGC and IC galaxies of the package, in the order of their names."""
    from pyongc import data

    every = data.all()
    of_ngc = (every["type"] == "G") & every["name"].str.match("NGC|IC")
    return every[of_ngc].sort_values("name").reset_index(drop=True)


def table_of(rows: pd.DataFrame) -> QTable:
    """The columns that galcnn knows, and what else says something of the shape."""
    types = hubble_types()
    hubble = rows["hubble"].fillna("")
    unknown = sorted(set(hubble) - set(types.index) - {""})
    if unknown:
        raise ValueError(f"Expected Hubble types of hubble_types.csv. Received: {unknown}.")
    known = types.reindex(hubble)
    pgc = [found[1] if (found := re.search(r"PGC (\d+)", text)) else "" for text in rows["identifiers"]]
    columns = {
        "id": rows["name"].to_numpy(dtype=str),
        "ra": np.round(np.degrees(rows["ra"].to_numpy(float)), 6) * u.deg,
        "dec": np.round(np.degrees(rows["dec"].to_numpy(float)), 6) * u.deg,
        "class": known["class"].fillna("").to_numpy(dtype=str),
        "hubble": hubble.to_numpy(dtype=str),
        "t_type": _whole(known["t_type"]),
        "bar": known["bar"].fillna("").to_numpy(dtype=str),
    }
    for name, unit in UNITS.items():
        gaps = rows[name].isna().to_numpy()
        values = _numbers(rows[name])
        columns[name] = (Masked(values, mask=gaps) if gaps.any() else values) * unit
    columns["bmag"] = MaskedColumn(_numbers(rows["bmag"]), mask=rows["bmag"].isna())
    columns["redshift"] = MaskedColumn(_numbers(rows["redshift"]), mask=rows["redshift"].isna())
    columns["pgc"] = np.array(pgc, dtype=str)
    messier = rows["messier"].fillna("")
    columns["messier"] = np.array([f"M{int(number)}" if number else "" for number in messier], dtype=str)
    return QTable(columns, meta={"licence": LICENCE})


def _numbers(column: pd.Series) -> np.ndarray:
    return column.fillna(0).to_numpy(dtype=float)


def _whole(column: pd.Series) -> MaskedColumn:
    gaps = column.isna() | (column == "")
    return MaskedColumn(column.where(~gaps, "0").astype(int).to_numpy(), mask=gaps.to_numpy(), dtype=np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    folder = parser.parse_args().out
    table = table_of(galaxies())
    # A training set has a class in every row: galaxies without a type, or with E? or S?, are left out.
    catalog = Catalog(table[table["class"] != ""])
    write_catalog(catalog, folder / "ngc_galaxies.ecsv")
    bright = catalog.select(catalog.table["messier"] != "")
    write_catalog(bright, folder / "messier_galaxies.ecsv")


if __name__ == "__main__":
    main()
