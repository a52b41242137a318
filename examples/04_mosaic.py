"""From a large image and a table to labelled cutouts: a mosaic of the simulated survey, cut and split."""

import astropy.units as u

from galcnn.catalog import write_catalog
from galcnn.dataset import split_catalog
from galcnn.files import save_cutout
from galcnn.mosaic import MosaicFile, cut, open_mosaic, write_cuts
from galcnn.surveys import SimulatedSurvey

survey = SimulatedSurvey(n_galaxies=60)
middle = survey.catalog.positions[0]
save_cutout(survey.cutout(middle, 6 * u.arcmin, ("g", "r")), "mosaic.fits")  # any FITS with a WCS will do

with open_mosaic(MosaicFile("mosaic.fits", mask="MASK"), bands=("r",)) as mosaic:
    print(mosaic.bands, mosaic.unit, mosaic.shape)
    for one in cut(mosaic, survey.catalog, width=20 * u.arcsec):
        if one.cutout is not None:
            place = one.cutout.position.to_string("hmsdms", precision=1)
            print(one.id, one.cutout.shape, f"{one.coverage:.0%} covered", place)

    report = write_cuts(mosaic, survey.catalog, width=20 * u.arcsec, out="cut")
print(report.lines()[0])

split = split_catalog(survey.catalog, by="sky-region", nside=512, radius=1 * u.arcmin, seed=1)
write_catalog(split, "split.parquet")
print("wrote mosaic.fits, cut/catalog.ecsv and split.parquet")
