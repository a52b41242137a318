"""galcnn convert."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="convert")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--out", required=True, metavar="FITS", help="Output file.")
@options.overwrite
@options.bands
@click.option("--hdu", metavar="H,H,...", help="Index (from 0) or EXTNAME of the image HDU, if ambiguous.")
@click.option("--mask", metavar="M", help="Mask: file, or name of an HDU.")
@click.option("--sigma", metavar="S", help="Sigma, variance or inverse variance (by its name): file or HDU.")
@click.option("--psf", metavar="P", help="PSF: file or HDU.")
@click.option("--grid", metavar="BAND", help="Reproject all files to the pixel grid of this band.")
@click.option("--position", metavar="RA,DEC", help="Position of the galaxy, degrees; must be in the image.")
@click.option("--redshift", type=float, help="Redshift of the galaxy.")
@click.option(
    "--zero-point", type=float, metavar="MAG", help="AB magnitude of pixel value 1, if not in the header."
)
@click.option("--remove-sky", is_flag=True, help="Subtract the sky level, measured with sources masked.")
@click.option("--ebv", type=float, metavar="MAG", help="Correct for extinction with this E(B-V).")
@click.option("--system", metavar="NAME", help="Photometric system for --ebv: SDSS, PS1, DES, HSC, WFC3 ...")
@options.width
def command(
    files: tuple[str, ...],
    out: str,
    overwrite: bool,
    bands: str | None,
    hdu: str | None,
    mask: str | None,
    sigma: str | None,
    psf: str | None,
    grid: str | None,
    position: str | None,
    redshift: float | None,
    zero_point: float | None,
    remove_sky: bool,
    ebv: float | None,
    system: str | None,
    width: str | None,
) -> None:
    """Convert the files of a galaxy to one calibrated FITS cutout.

    \b
    galcnn convert frame.fits.bz2 --out galaxy.fits
    galcnn convert image.fits --mask mask.fits --sigma rms.fits --psf psf.fits --out galaxy.fits
    galcnn convert DES_g.fits PS1_r.fits --grid g --remove-sky --ebv 0.03 --out galaxy.fits

    The cutout contains the flux in nJy and, if known, WCS, mask, sigma and PSF.
    """
    from galcnn._runtime import atomic
    from galcnn.files import Companions, Treatment, load_bands, load_cutout, save_cutout
    from galcnn.files.loading import treat
    from galcnn.pipeline import describe_path

    if system and ebv is None:
        raise click.UsageError("Expected --ebv MAG with --system.")
    if not out.lower().endswith((".fits", ".fit")):
        raise click.BadParameter(f"expected a name ending in .fits, received {out!r}", param_hint="--out")
    names, place, chosen = options.words(bands), options.sky_position(position), options.words(hdu)
    treatment = Treatment(zero_point, remove_sky, ebv, system, options.angle(width))
    inputs = [*files, *(name for name in (mask, sigma, psf) if name)]
    atomic.check_writable(out, inputs=inputs, overwrite=overwrite)
    if grid is not None:
        if chosen or mask or sigma or psf:
            raise click.UsageError("Expected --grid without --hdu, --mask, --sigma, --psf: load each first.")
        cutout = load_bands(
            files, reference=grid, bands=names, position=place, redshift=redshift, treatment=treatment
        )
    else:
        hdus = None if chosen is None else [int(one) if one.isdigit() else one for one in chosen]
        layers = Companions(mask, sigma, psf)
        cutout = load_cutout(
            list(files), bands=names, hdu=hdus, companions=layers, position=place, redshift=redshift
        )
        cutout = treat(cutout, treatment)
    save_cutout(cutout, out)
    click.echo(describe_path(out))
