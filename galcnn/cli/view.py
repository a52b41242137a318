"""galcnn view."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command(name="view")
@click.argument("path", required=False, metavar="LAYERS")
@click.option("--save", metavar="PNG", help="Draw the galaxy beside its maps; no viewer is needed.")
@click.option(
    "--export",
    "folder",
    metavar="DIR",
    help="Write contours, regions, one FITS file a layer, PNG and ds9.sh.",
)
@click.option("--hub", is_flag=True, help="Run a SAMP hub until Ctrl-C, for viewers that bring none.")
def command(path: str | None, save: str | None, folder: str | None, hub: bool) -> None:
    """Open a layers file in a running viewer: DS9, Aladin, TOPCAT.

    \b
    galcnn view layers.fits
    galcnn view layers.fits --save layers.png
    galcnn view layers.fits --export layers-view && sh layers-view/ds9.sh
    galcnn view --hub
    """
    if hub == (path is not None) or (hub and (save or folder)):
        raise click.UsageError("Expected a layers file, or --hub alone.")
    if hub:
        _serve()
        return
    assert path is not None  # for the type checker
    if save:
        from galcnn.viewers.exporting import layers_figure
        from galcnn.viewers.figures import save_figure

        save_figure(layers_figure(path), save)
        click.echo(f"wrote {save}")
    if folder:
        from galcnn.viewers.exporting import export

        click.echo(f"wrote {len(export(path, folder))} files to {folder}")
    if not save and not folder:
        from galcnn.viewers.samp import send

        for line in send(path):
            click.echo(line)


def _serve() -> None:
    import threading

    from galcnn.viewers.samp import serve_hub

    click.echo("a SAMP hub runs; start ds9 (it connects by itself), and stop with Ctrl-C")
    try:
        serve_hub(threading.Event().wait)
    except KeyboardInterrupt:
        click.echo("stopped")
