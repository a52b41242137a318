"""galcnn export."""

from __future__ import annotations

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="export", cls=options.Command)
@click.argument("model")
@click.option("--out", required=True, metavar="FILE.onnx", help="Output file, ending in .onnx.")
@options.overwrite
@options.device
def command(model: str, out: str, overwrite: bool, device: str) -> None:
    """Export a model to ONNX, with preprocessing and card.

    \b
    galcnn export model --out model.onnx
    galcnn export models/galaxy_zoo --out galaxy_zoo.onnx

    The file can be used without TensorFlow; docs/sharing.md shows how to run it with onnxruntime
    alone. It is only written if its logits agree with those of Keras to 1e-5. Requires
    pip install "galcnn[onnx]".
    """
    from galcnn._runtime import atomic
    from galcnn.cli.quiet import load_tensorflow

    atomic.check_writable(out, overwrite=overwrite)
    load_tensorflow(device=device)
    from galcnn.model import export_onnx, load_model

    difference = export_onnx(load_model(model), out)
    tell(largest_difference=difference)
    click.echo(f"wrote {out}: logits differ from Keras by {difference:.1e} at most")
