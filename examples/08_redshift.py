"""A galaxy at increasing redshifts: smaller, fainter, more blurred and noisier, until its arms disappear."""

from dataclasses import replace

from galcnn.photometry import observation_of
from galcnn.redshifting import Redshifting, redshift
from galcnn.simulation import SIMULATED, draw, from_catalog, simulate_catalog

galaxy = from_catalog(simulate_catalog(2, seed=3))[1].at(0.03)
deep = replace(SIMULATED, depth=(27.0, 27.0, 27.0), electrons_per_njy=(300.0, 300.0, 300.0))
near = draw(galaxy, seed=1, shape=(320, 320), observation=deep)
print(
    f"{galaxy.morphology} at z = {galaxy.redshift}: half-light radius {galaxy.half_light_radius:.1f} arcsec"
)

lsst = observation_of("lsst").only(("r", "i"))
for z in (0.1, 0.2, 0.3):
    far = redshift(near, z, observation=lsst, settings=Redshifting(bandpass="sed"))
    facts = far.meta["redshifting"][-1]
    size = galaxy.at(z).half_light_radius
    peak = (far.flux[0] / far.sigma[0]).max()
    errors = ", ".join(f"{band} {100 * value:.1f} %" for band, value in facts["bandpass_error"].items())
    print(
        f"z = {z}: {size:.1f} arcsec, brightest pixel {peak:.0f} sigma, error of the fitted spectra: {errors}"
    )

try:
    redshift(near, 0.1, observation=observation_of("hst-acs"), settings=Redshifting(max_mismatch=1))
except ValueError as error:
    print(f"not possible: {error}")
