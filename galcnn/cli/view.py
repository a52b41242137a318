"""galcnn view."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="view")
@click.argument("paths", nargs=-1, metavar="LAYERS...")
@click.option("--save", metavar="PNG", help="Draw the galaxy and its maps, without a viewer.")
@click.option(
    "--map", "method", metavar="METHOD", help="With --save: draw only this map, with sky coordinates."
)
@click.option(
    "--sheet",
    metavar="PNG",
    help="Draw many galaxies on a contact sheet, with class and probability; also plain images.",
)
@click.option(
    "--export",
    "folder",
    metavar="DIR",
    help="Write contours, regions, one FITS file per layer, PNG and ds9.sh.",
)
@options.overwrite
@click.option("--hub", is_flag=True, help="Run a SAMP hub until Ctrl-C, for viewers without their own.")
def command(
    paths: tuple[str, ...],
    save: str | None,
    method: str | None,
    sheet: str | None,
    folder: str | None,
    overwrite: bool,
    hub: bool,
) -> None:
    """Show a layers file in DS9, Aladin or TOPCAT, or draw it.

    \b
    galcnn view layers.fits
    galcnn view layers.fits --save layers.png
    galcnn view layers.fits --save cam.png --map cam
    galcnn view *-layers.fits --sheet sheet.png
    galcnn view layers.fits --export layers-view && sh layers-view/ds9.sh
    galcnn view --hub
    """
    if hub == bool(paths) or (hub and (save or sheet or folder)):
        raise click.UsageError("Expected a layers file, or --hub alone.")
    if method and not save:
        raise click.UsageError("Expected --save FILE with --map.")
    if hub:
        _serve()
        return
    if len(paths) != 1 and (save or folder or not sheet):
        raise click.UsageError("Expected one layers file; many only with --sheet alone.")
    from galcnn._runtime import atomic

    for picture in filter(None, (save, sheet)):
        atomic.check_writable(picture, inputs=paths, overwrite=overwrite)
    if folder:
        options.check_folder(folder, overwrite=overwrite)
    if sheet:
        from galcnn.viewers import save_figure
        from galcnn.viewers.side_files import sheet_of

        save_figure(sheet_of(options.paths_by_id(paths)), sheet)
        click.echo(f"wrote {sheet}")
    if save:
        from galcnn.viewers import save_figure
        from galcnn.viewers.side_files import layers_figure, map_figure

        save_figure(map_figure(paths[0], method) if method else layers_figure(paths[0]), save)
        click.echo(f"wrote {save}")
    if folder:
        from galcnn.viewers import export

        click.echo(f"wrote {len(export(paths[0], folder, overwrite=overwrite))} files to {folder}")
    if not (save or sheet or folder):
        from galcnn.viewers.samp import send

        for line in send(paths[0]):
            click.echo(line)


def _serve() -> None:
    import threading

    from galcnn.viewers.samp import serve_hub

    click.echo("a SAMP hub runs; start ds9 (it connects by itself), and stop with Ctrl-C")
    try:
        serve_hub(threading.Event().wait)
    except KeyboardInterrupt:
        click.echo("stopped")
