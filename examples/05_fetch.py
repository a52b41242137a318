"""Download cutouts of a catalog from a survey, and resume after an interruption.

The simulated survey needs no network. To download real images, use another survey (`galcnn plugins`) and
a catalog with ra and dec, for example `open_survey("legacysurvey", options={"layer": "ls-dr10"})`.
"""

from pathlib import Path

import astropy.units as u

from galcnn.catalog import read_catalog
from galcnn.files import load_cutout
from galcnn.surveys import FetchSettings, fetch, open_survey, planned

if __name__ == "__main__":
    survey = open_survey("simulated", options={"n_galaxies": 60})
    catalog = survey.catalog
    settings = FetchSettings(12 * u.arcsec, ("g", "r"))
    print("\n".join(list(planned(catalog, survey, settings))[:3]))

    # The first run covers a part of the catalog; the second, as after an interruption, fetches the rest.
    for part in (catalog.select(range(20)), catalog):
        report = fetch(part, survey, out=Path("fetched"), settings=settings)
        print(*report.lines(), sep="\n")

    table = read_catalog("fetched/catalog.ecsv").table
    print(table["id", "class", "image"][:3])
    print(load_cutout(str(table["image"][0])).meta)
