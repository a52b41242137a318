"""Describe a model, an image, a layers file or a catalog in a few lines."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from galcnn import plugins
from galcnn.catalog import read_catalog
from galcnn.catalog.catalog import NOTES, as_numbers
from galcnn.catalog.formats import is_table, table_file
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError
from galcnn.files import load_cutout
from galcnn.layers import LayerStack, read_stacks
from galcnn.model import Card, model_folder, read_card
from galcnn.model.card import statement
from galcnn.photometry import ab_magnitude

_PACKAGES = ("galcnn", "tensorflow", "keras", "astropy", "astroquery", "numpy", "scikit-image", "galsim")


#: Relative difference of the pixel scales along x and y up to which one number is shown.
_SQUARE = 1e-3


def _installation() -> str:
    """List the versions of packages and the plugins, without importing them."""
    lines = [f"python        {platform.python_version()} on {platform.system()} {platform.machine()}"]
    for name in _PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        lines.append(f"{name:<13} {version}")
    for group in (plugins.SURVEYS, plugins.EXPLAINERS):
        lines.append(f"{group.removeprefix('galcnn.'):<13} {', '.join(plugins.available(group))}")
    return "\n".join(lines)


def describe(path: str | None = None) -> str:
    """Describe a model folder, an image, a layers file or a catalog, or the installation.

    Parameters
    ----------
    path : str, optional
        Path of the file or folder. Without it, versions of packages and plugins are listed.

    Returns
    -------
    str
        Lines of text.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is nothing at this path, or galcnn does not know its format.
    """
    if path is None:
        return _installation()
    place = model_folder(path)
    if place.is_dir():
        return _model(read_card(place))
    if table_file(place)[1] is not None:
        return _catalog(place)
    if not place.exists():
        raise FileNotFoundError(f"File not found: {place}.")
    try:
        return _image(place)
    except UnreadableImageError as error:
        if not is_table(place):
            raise
        try:
            return _catalog(place)
        except ValueError:
            from galcnn.pipeline.sheets import table_of  # which draws, and is slow to import

            if table_of(place) is not None:
                raise
            raise error from None  # a FITS file was more likely meant as an image


def _model(card: Card) -> str:
    spec = card.inputs
    scale = "varies or unknown" if spec.pixel_scale is None else f"{spec.pixel_scale} arcsec"
    lines = [
        f"model of {card.created}, sha256 {card.model_sha256[:12]}",
        *_answers(card),
        f"images        {spec.shape[1]} x {spec.shape[0]} pixels",
        f"bands, unit   {', '.join(spec.bands)}; {spec.unit}",
        f"pixel scale   {scale}",
        f"render        {spec.render or 'none'}",
        *(line for name, text in statement(card) for line in _said(name, text)),
        *(line for note in card.notes for line in _said("note", note)),
        *_parent(card),
        *_cost(card),
    ]
    for name, score in card.metrics.get("test", {}).items():
        if None not in (score.get("value"), score.get("low"), score.get("high")):
            lines.append(f"test {name:<28} {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]")
    return "\n".join(lines)


def _parent(card: Card) -> list[str]:
    """Return what is known of the model from which the training started."""
    told = card.parent
    if not told:
        return []
    lines = [
        f"parent        {told['name']}, sha256 {told['sha256'][:12] or 'none'}, licence {told['licence']}"
    ]
    lines.append(f"frozen        {told['freeze']}: {told['n_frozen']} weights")
    lines.append(f"head first    {told['head_epochs']} epochs")
    for name in ("head", "bands", "preprocessing", "images", "shared_galaxies"):
        lines += _said(name.split("_")[0], told[name])
    return lines


def _cost(card: Card) -> list[str]:
    """Return the cost of the network if it is in the card; otherwise the model would have to be loaded."""
    cost = card.cost
    if not cost:
        return [f"network       galcnn profile {card.name} says what it costs"]
    field = "not known" if cost["receptive_field"] < 0 else f"{cost['receptive_field']} pixels"
    if "receptive_field_arcsec" in cost:
        field += f", {cost['receptive_field_arcsec']} arcsec"
    operations, activations = cost["megaflops_per_image"], cost["megabytes_per_image"]
    return [
        f"network       {cost['parameters']} parameters, {cost['megabytes']:g} MB; receptive field {field}",
        f"one image     {operations:g} million operations, {activations:g} MB of activations in training",
    ]


def _answers(card: Card) -> list[str]:
    if card.votes is not None:
        return [
            f"question      {question.name}: {', '.join(question.answers)}"
            + ("" if question.parent is None else f" (asked after {question.parent})")
            for question in card.votes.questions
        ]
    return [
        f"classes       {', '.join(card.classes)}",
        f"class prior   {_shares(card.class_prior)}",
        f"as trained    {_shares(card.trained_prior)}",
    ]


def _shares(prior: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.3f}" for name, share in prior.items()) or "not known"


def _image(file: Path) -> str:
    cutout = load_cutout(file)
    meta = cutout.meta
    parts = [meta, *meta.get("parts", [])]  # of bands that were combined
    where = "unknown" if cutout.position is None else cutout.position.icrs.to_string("hmsdms")
    lines = [
        *_layers(file),
        f"image         {cutout.shape[1]} x {cutout.shape[0]} pixels, bands {', '.join(cutout.bands)}",
        f"survey        {cutout.survey}",
        f"unit          {cutout.unit}{'' if cutout.calibrated else ' (not a flux)'}",
        *_said("calibration", [part["calibration"] for part in parts if part.get("calibration")]),
        *_wcs(cutout),
        f"position      {where}{_by(meta.get('position_source'))}",
        f"masked        {cutout.masked_fraction:.1%}{_by(meta.get('mask_source'))}",
        f"sigma         {'no' if cutout.sigma is None else 'yes'}{_by(meta.get('sigma_source'))}",
        f"PSF           {'no' if cutout.psf is None else 'yes'}{_by(meta.get('psf_source'))}",
        *([] if cutout.redshift is None else [f"redshift      {cutout.redshift:g}"]),
    ]
    for part in parts:
        done = [
            step["step"] for room in ("background", "extinction", "geometry") for step in part.get(room, [])
        ]
        of = f" of {','.join(part['bands'])}" if "bands" in part else ""
        lines += _said(f"steps{of}", ", ".join(done))
        lines += [line for note in part.get("notes", []) for line in _said("note", note)]
    for band, plane, mask in zip(cutout.bands, cutout.flux, cutout.mask, strict=True):
        total = float(np.sum(plane, where=~mask, dtype=float))
        magnitude = f"  AB {ab_magnitude(total):.2f}" if cutout.calibrated else ""
        lines.append(f"sum in {band:<6} {total:.6g} {cutout.unit}{magnitude}")
    return "\n".join(lines)


def _wcs(cutout: Cutout) -> list[str]:
    """Return pixel scale, projection and orientation in ICRS; also valid for swapped axes."""
    scales = cutout.pixel_scales
    if scales is None:
        return ["pixel scale   no WCS"]
    x_scale, y_scale = scales
    alike = abs(float(x_scale / y_scale) - 1) < _SQUARE
    scale = f"{cutout.pixel_scale:.4f}" if alike else f"{x_scale:.4f} along x, {y_scale:.4f} along y"
    if cutout.wcs is None:
        return [f"pixel scale   {scale} (as given: no WCS)"]
    x, y = (cutout.shape[1] - 1) / 2, (cutout.shape[0] - 1) / 2
    middle, right, up = cutout.wcs.pixel_to_world([x, x + 1, x], [y, y, y + 1]).icrs
    angle = middle.position_angle(up).deg
    mirrored = np.sin(middle.position_angle(right).rad - middle.position_angle(up).rad) > 0
    parity = "mirrored" if mirrored else "as on the sky"
    turned = f"y axis {(angle + 180) % 360 - 180:.1f} deg from north to east"
    return [
        f"pixel scale   {scale}",
        f"WCS           {'/'.join(cutout.wcs.wcs.ctype)}, {turned}, {parity}",
    ]


def _said(label: str, value: object) -> list[str]:
    """Return a line if there is a value; different values of several bands are listed."""
    if isinstance(value, list | tuple):
        flat = [str(part) for one in value for part in (one if isinstance(one, list | tuple) else [one])]
        value = "; ".join(dict.fromkeys(flat))
    return [f"{label:<13} {value}"] if value else []


def _by(source: object) -> str:
    said = _said("", source)
    return f" ({said[0].strip()})" if said else ""


def _layers(file: Path) -> list[str]:
    """Describe the galaxies of a layers file; nothing for other files."""
    try:
        stacks = read_stacks(file)
    except UnreadableImageError:
        return []
    return [line for stack in stacks for line in _stack(stack)]


def _stack(stack: LayerStack) -> list[str]:
    best, probability = stack.prediction.best[0], float(stack.prediction.probabilities.max())
    lines = [
        f"layers file   of {stack.id!r}: {best} with probability {probability:.2f}",
        f"model         {stack.provenance.get('model', '?')} {stack.provenance.get('model_sha256', '')[:12]}",
    ]
    lines += [
        f"map           {e.method} of {e.target.name}, wrt {e.wrt}, {','.join(e.bands)}; score {e.score:.2f}"
        for e in stack.explanations
    ]
    return lines


def _catalog(file: Path) -> str:
    catalog = read_catalog(file)
    table = catalog.table
    units = {name: getattr(table[name], "unit", None) for name in table.colnames}
    columns = [name if unit is None else f"{name} [{unit}]" for name, unit in units.items()]
    lines = [f"catalog       {len(catalog)} galaxies", f"columns       {', '.join(columns)}"]
    if catalog.positions is not None:
        ra, dec = table["ra"].value, table["dec"].value
        lines.append(
            f"positions     ra {ra.min():.4f} to {ra.max():.4f}, dec {dec.min():+.4f} to {dec.max():+.4f} deg"
        )
    if "redshift" in table.colnames:
        redshifts = as_numbers(table["redshift"], "redshift")
        good = redshifts[redshifts > 0]
        between = f", {good.min():.4g} to {good.max():.4g}" if len(good) else ""
        missing, odd = int(np.isnan(redshifts).sum()), int(np.sum(redshifts <= 0))
        lines.append(f"redshift      {len(good)} above 0{between}; {missing} missing, {odd} not above 0")
    for column in ("class", "split"):
        if column in table.colnames:
            names, counts = np.unique(np.asarray(table[column]), return_counts=True)
            told = [f"{a or 'none'} {n}" for a, n in zip(names, counts, strict=True)]
            lines.append(f"{column:<13} {', '.join(told)}")
    lines += [f"note          {note}" for note in table.meta.get(NOTES, ())]
    return "\n".join(lines)
