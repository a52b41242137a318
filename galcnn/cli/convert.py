"""galcnn convert."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="convert", cls=options.Command)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@options.image_files
@options.companions()
@click.option("--psf", metavar="FILE|HDU", help="PSF, on pixels of the size of the image's.")
@options.section(
    "Galaxy",
    click.option("--position", metavar="RA,DEC", help="Position, degrees; an image without it is an error."),
    click.option("--redshift", type=float, help="Redshift, if not in the file."),
)
@options.section(
    "Corrections",
    click.option("--remove-sky", is_flag=True, help="Subtract the sky level, measured with sources masked."),
    click.option(
        "--extinction", type=float, metavar="MAG", help="Correct for Galactic extinction with this E(B-V)."
    ),
    click.option(
        "--system", metavar="NAME", help="Photometric system of the bands: SDSS, PS1, DES, HSC, WFC3 ..."
    ),
)
@click.option("--out", required=True, metavar="FITS", help="Output file.")
@options.overwrite
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
    zero_point: str | None,
    strict: bool,
    pixel_scale: str | None,
    remove_sky: bool,
    extinction: float | None,
    system: str | None,
    width: str | None,
) -> None:
    """Convert the files of a galaxy to one calibrated FITS cutout.

    \b
    galcnn convert frame.fits.bz2 --out galaxy.fits
    galcnn convert image.fits --mask mask.fits --sigma rms.fits --psf psf.fits --out galaxy.fits
    galcnn convert DES_g.fits PS1_r.fits --grid g --remove-sky --extinction 0.03 --out galaxy.fits

    The cutout contains the flux in nJy and, if known, WCS, mask, sigma and PSF.
    """
    from galcnn._runtime import atomic
    from galcnn.files import Companions, Treatment, load_bands, load_cutout, save_cutout
    from galcnn.files.loading import treat
    from galcnn.pipeline import describe

    if system and extinction is None:
        raise click.UsageError("Expected --extinction MAG with --system.")
    if not out.lower().endswith((".fits", ".fit")):
        raise click.BadParameter(f"expected a name ending in .fits, received {out!r}", param_hint="--out")
    names, place, chosen = options.band_names(bands), options.sky_position(position), options.hdus(hdu)
    magnitudes = options.zero_points(zero_point)
    scale = options.angle(pixel_scale, "--pixel-scale")
    treatment = Treatment(magnitudes, remove_sky, extinction, system, options.side(width), scale)
    inputs = [*files, *(name for name in (mask, sigma, psf) if name)]
    atomic.check_writable(out, inputs=inputs, overwrite=overwrite)
    if grid is not None:
        if mask or sigma or psf:
            raise click.UsageError("Expected --grid without --mask, --sigma, --psf: convert each file first.")
        cutout = load_bands(
            files,
            reference=grid,
            bands=names,
            hdu=chosen,
            position=place,
            redshift=redshift,
            treatment=treatment,
            strict=strict,
        )
    else:
        layers = Companions(mask, sigma, psf)
        cutout = load_cutout(
            list(files),
            bands=names,
            hdu=chosen,
            companions=layers,
            position=place,
            redshift=redshift,
            strict=strict,
        )
        cutout = treat(cutout, treatment)
    save_cutout(cutout, out)
    click.echo(describe(out))
