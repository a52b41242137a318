"""Options shared by several commands, and functions that parse their values."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, bars, silent
from galcnn.catalog.names import image_stem

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

#: Sections of the help in their order, with the options that they show in every command. Sections of a
#: command itself, see `section`, stand before "Output"; other options are shown first, below "Options".
SECTIONS = {
    "Catalog": "--catalog --requests --image-column --images --label --id --ra --dec --merge --drop "
    "--votes --split --number --width-column --width-factor --width-unit",
    "Input": "--shards --mosaic --one-galaxy --bands --fit --grid --render --frame --size --width --hdu "
    "--zero-point --pixel-scale --mask --sigma --weight --psf --instrument --survey --survey-option "
    "--server --cache",
    "Output": "--out --save --overwrite",
    "Running": "--seed --seeds --repeats --device --strategy --replicas --workers --jobs --yes --quiet "
    "--help",
}
#: Number of options up to which the help has no sections.
_FEW = 8

#: Galaxies without a usable image that are listed on the screen.
_TOLD = 5
#: Bands that may be run together: gri.
_ONE_LETTER = frozenset("ugrizyYJHKRGB")
#: Number of downloads from which `ask_before` is called.
MANY = 200
_IMAGE = re.compile(r"\.(fits?|fits?\.(gz|fz|bz2)|jpe?g|png)$", re.IGNORECASE)


#: Metavar of an option by the kind of its values, unless it has its own.
_METAVARS = {"integer": "N", "integer range": "N", "float": "X", "float range": "X"}
#: Range of a number in the help, such as "[x>=1]"; an error states it when it matters.
_LIMITS = r"(?:[\d.]+<=?x(?:<=?[\d.]+)?|x[<>]=?[\d.]+)"
_RANGE = re.compile(rf"  \[{_LIMITS}\]|; {_LIMITS}(?=[;\]])|(?<=\[){_LIMITS}; ")


class Command(click.Command):
    """Command whose help shows the options in sections: ``@click.command(name="x", cls=options.Command)``.

    The section of an option is that of `SECTIONS`, or the one given by `section`. The help of a command
    with few options has no sections. Numbers are shown as N or X.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {word for one in self.params for word in one.opts}
        rest = super().parse_args(ctx, [_usual(word, known) for word in args])
        if "frame" in ctx.params and (frame := ctx.params.pop("frame")):
            if not ctx.params["render"]:
                raise click.UsageError("Expected --render NAME with --frame.", ctx)
            ctx.params["render"] += f":{frame}"
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, rows in self.sections(ctx).items():
            with formatter.section(heading):
                formatter.write_dl(rows)

    def sections(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """Return the options with their descriptions, by heading, as the help and the site show them."""
        rows: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            record = _help_record(option, ctx) if isinstance(option, click.Option) else None
            if record is not None:
                rows.setdefault(_section_of(option), []).append(record)
        if sum(map(len, rows.values())) <= _FEW:
            return {"Options": [record for section in rows.values() for record in section]}
        headings = list(SECTIONS)
        place = {"Options": -1.0} | {heading: float(number) for number, heading in enumerate(headings)}
        last = headings.index("Output") - 0.5
        return {heading: rows[heading] for heading in sorted(rows, key=lambda one: place.get(one, last))}


#: Other words for an option, in commands that have it.
_SYNONYMS = {"--figure": "--save", "--export": "--out"}


def _usual(word: str, known: Collection[str]) -> str:
    """Return a word of the command line with the usual name of the option."""
    name, equals, value = word.partition("=")
    usual = _SYNONYMS.get(name, name)
    return f"{usual}{equals}{value}" if usual in known else word


def _help_record(option: click.Option, ctx: click.Context) -> tuple[str, str] | None:
    """Return an option and its description, with a plain metavar and without the range of numbers."""
    if not option.is_flag:
        option.metavar = option.metavar or _METAVARS.get(option.type.name)
    record = option.get_help_record(ctx)
    if record is None:
        return None
    left, text = record
    return left, _RANGE.sub("", text)


def _section_of(parameter: click.Parameter) -> str:
    if hasattr(parameter, "section"):
        return str(parameter.section)
    names = {*parameter.opts, *parameter.secondary_opts}
    return next((heading for heading, words in SECTIONS.items() if names & {*words.split()}), "Options")


seed: Decorator = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Random seed; the same seed gives the same result.",
)
overwrite: Decorator = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace existing output of this command; without it, existing output is an error.",
)
quiet: Decorator = click.option("--quiet", is_flag=True, help="Show no progress.")
#: Passed to `ask_before`.
yes: Decorator = click.option("--yes", is_flag=True, help="Do not ask before something large.")
device: Decorator = click.option(
    "--device", metavar="NAME", default="auto", show_default=True, help="Device: auto, cpu, gpu or gpu:N."
)


def bands_option(text: str) -> Decorator:
    """Return the option ``--bands`` with another help, parsed by `band_names`."""
    return click.option("--bands", metavar="B,B,...", help=text)


bands: Decorator = bands_option(
    "Bands to read (g,r,i or gri), or names of the planes if the files do not name them."
)
fit: Decorator = click.option(
    "--fit", is_flag=True, help="Resample, crop and pad each image to the model's pixel grid."
)
grid: Decorator = click.option(
    "--grid",
    metavar="BAND",
    help="Reproject the files of a galaxy to the pixel grid of this band.",
)
hdu: Decorator = click.option(
    "--hdu", metavar="H[,H]", help="HDU of the image: index (from 0) or name; several for one band each."
)
#: Parsed by `zero_points`.
zero_point: Decorator = click.option(
    "--zero-point",
    metavar="B=MAG,...",
    help="AB magnitude of pixel value 1, if not in the header: 25.3, or g=25.3,r=26.1 for each band.",
)
orientations: Decorator = click.option(
    "--orientations",
    type=click.Choice(["1", "4", "8"]),
    metavar="N",
    callback=lambda context, option, value: None if value is None else int(value),
    help="Average N of the model's orientations of each image: 1 for speed.  [default: all, usually 8]",
)
#: Parsed by `angle`.
pixel_scale: Decorator = click.option(
    "--pixel-scale", metavar="ANGLE", help="Angle per pixel of images without a WCS, e.g. 0.4arcsec."
)
strict: Decorator = click.option(
    "--strict", is_flag=True, help="Refuse files whose checksums do not match, not only note it."
)
max_unreadable: Decorator = click.option(
    "--max-unreadable",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    metavar="X",
    help="Leave out galaxies without a usable image, up to this fraction of all.",
)
#: Passed to `paths_by_id`.
one_galaxy: Decorator = click.option(
    "--one-galaxy", is_flag=True, help="The images are files of one galaxy, one per band."
)
width: Decorator = click.option(
    "--width", metavar="ANGLE", help="Use the central field of this width: 40arcsec, or 96pix without a WCS."
)
split: Decorator = click.option(
    "--split",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Split of the catalog; the model was not trained on its test galaxies.",
)
size: Decorator = click.option(
    "--size",
    type=click.IntRange(min=8),
    help="Crop or pad images (without WCS: resample) to SIZE x SIZE pixels.",
)
target: Decorator = click.option(
    "--target",
    metavar="CLASS",
    help="Class to explain, or CLASS-CLASS for a margin.  [default: the predicted class against "
    "the runner-up]",
)
prior: Decorator = click.option(
    "--prior",
    metavar="PRIOR",
    default="catalog",
    show_default=True,
    help="Expected class frequencies: catalog (training set), sqrt (their square roots, for rare classes), "
    "uniform, as-trained (of the loss), CLASS=SHARE,..., or a table with columns class and share.",
)
raw: Decorator = click.option(
    "--raw", is_flag=True, help="Do not calibrate the probabilities, even after galcnn calibrate."
)
replicas: Decorator = click.option(
    "--replicas",
    type=click.IntRange(min=2),
    help="Number of devices for --strategy mirrored.  [default: all]",
)
table_out: Decorator = click.option(
    "--out", metavar="TABLE", help="Output table: .ecsv, .csv, .fits, .vot or .parquet."
)


def _image_columns(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | tuple[str, ...] | None:
    """Parse ``image`` or ``image_g,image_r``."""
    found = words(value)
    return found[0] if found is not None and len(found) == 1 else found


#: Options for the columns of a catalog that is an argument ...
id_column: Decorator = click.option("--id", "id_", metavar="C", help="Column with the identifier.")
image_column: Decorator = click.option(
    "--image-column",
    metavar="C[,C]",
    default="image",
    show_default=True,
    callback=_image_columns,
    help="Column with the image paths, or several, one per band.",
)
#: ... and of a catalog that is given by --catalog.
catalog_id: Decorator = click.option(
    "--id", "id_", metavar="C", help="Column of the catalog with the identifier."
)
catalog_image: Decorator = click.option(
    "--image-column",
    metavar="C[,C]",
    callback=_image_columns,
    help="Column of the catalog with the image paths, or several, one per band.  [default: image]",
)


def number(default: int, text: str) -> Decorator:
    """Return the option `-n/--number`."""
    whole = click.IntRange(min=1)
    return click.option("-n", "--number", type=whole, default=default, show_default=True, help=text)


def save(text: str) -> Decorator:
    """Return the option `--save`, for one figure; checked by `check_figure`."""
    return click.option("--save", metavar="FILE.png", help=text)


class _SettingOption(click.Option):
    """Option that gives one setting of an experiment; help and default are those of its dataclass field."""

    def __init__(self, *args: Any, key: str, **kwargs: Any) -> None:
        super().__init__(*args, callback=_keep, expose_value=False, **kwargs)
        self.key = key

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from galcnn.experiment.assignments import setting_of

        one = setting_of(self.key)
        default = "" if one.default in ("", "none", "required") else f"  [default: {one.default}]"
        self.help = one.help + default
        return super().get_help_record(ctx)


def setting(option: str, key: str, metavar: str, *, multiple: bool = False) -> Decorator:
    """Add an option for a setting of an experiment, such as ``training.epochs``; see `assignments`."""
    return click.option(option, cls=_SettingOption, key=key, metavar=metavar, multiple=multiple)


def settings(*options: Decorator) -> Decorator:
    """Add --set and --list-settings, after such options as `setting`."""
    every = click.option(
        "--set",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_keep,
        expose_value=False,
        help="Any other setting, e.g. training.optimizer=sgd; may be repeated.",
    )
    listed = click.option(
        "--list-settings",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=lambda context, option, value: _list_settings(context, value),
        help="List all settings with type, default and meaning, and exit.",
    )
    return _joined(*options, every, listed)


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep the settings that were given, in the order of the command line."""
    if value not in (None, ()):
        context.meta.setdefault(__name__, []).append((option, value))


def assignments(context: click.Context | None = None) -> list[Any]:
    """Return the settings given by `setting` and ``--set``, in the order of the command line."""
    from galcnn.experiment.assignments import Assignment

    found: list[Any] = []
    for option, value in (context or click.get_current_context()).meta.get(__name__, []):
        texts = (value,) if isinstance(value, str) else tuple(value)
        if isinstance(option, _SettingOption):
            found.append(Assignment(option.opts[0], option.key, texts))
        else:
            found += [Assignment.parse(text, option.opts[0]) for text in texts]
    return [_bands_of(one) if one.key == "data.bands" else one for one in found]


def _bands_of(assignment: Any) -> Any:
    """Let bands of one letter run together, as in all commands: gri."""
    found = band_names(",".join(assignment.texts))
    return replace(assignment, texts=found) if found else assignment


def _list_settings(context: click.Context, asked: bool) -> None:
    if not asked or context.resilient_parsing:
        return
    from galcnn.experiment.assignments import list_settings

    formatter = click.HelpFormatter(width=context.terminal_width, max_width=context.max_content_width)
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in list_settings():
        head, dot, _ = one.key.rpartition(".")
        default = f"  [default: {one.default}]" if one.default else ""
        default = "  [required]" if one.default == "required" else default
        groups.setdefault(f"[{head}]" if dot else "Top level", []).append(
            (f"{one.key} = {one.type}", one.help + default)
        )
    for heading, rows in groups.items():
        with formatter.section(heading):
            formatter.write_dl(rows)
    click.echo(formatter.getvalue().strip())
    context.exit()


def section(heading: str, *options: Decorator) -> Decorator:
    """Combine options of a command, and show them below a heading of their own in its help.

    Used as follows; it also moves an option out of its section of `SECTIONS`::

        @click.command(name="attack", cls=options.Command)
        @options.section("Attack", click.option("--method", ...), click.option("--epsilons", ...))
        @click.option("--out", ...)
        @options.overwrite
        def command(...): ...
    """
    joined = _joined(*options)

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        before = len(getattr(function, "__click_params__", ()))
        function = joined(function)
        for parameter in function.__click_params__[before:]:  # type: ignore[attr-defined]
            parameter.section = heading
        return function

    return add


def _joined(*options: Decorator) -> Decorator:
    """Combine several options into one decorator; the help shows them in this order."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


#: The frame is joined to the name of the render step by `Command`.
render: Decorator = _joined(
    click.option(
        "--render",
        metavar="NAME",
        help="Render calibrated FITS as 8-bit colour images like those of the training: sdss.",
    ),
    click.option(
        "--frame",
        metavar="FRAME",
        help="Frame of rendered images that are scaled to the galaxy, in Petrosian radii: petrosian:4.",
    ),
)
#: Options by which image files are read, parsed by `reading`; those for a model, to which --render is passed;
#: and those of the images of a catalog where no model says how.
image_files: Decorator = _joined(bands, grid, width, hdu, zero_point, pixel_scale, strict)
files: Decorator = _joined(bands, fit, grid, render, width, hdu, zero_point, pixel_scale, strict)
catalog_files: Decorator = _joined(bands, size, grid, render, width, hdu, zero_point, pixel_scale, strict)
_trained_image_column: Decorator = click.option(
    "--image-column",
    metavar="C[,C]",
    callback=_image_columns,
    help="Column with the image paths, or several, one per band.  [default: as in training, else image]",
)
#: Options for the columns of the catalog that a model is applied to, parsed by `chosen`.
model_columns: Decorator = _joined(
    _trained_image_column,
    click.option(
        "--label", metavar="C", help="Column with the class.  [default: as in the training, else class]"
    ),
    click.option(
        "--id", "id_", metavar="C", help="Column with the identifier.  [default: as in the training]"
    ),
)
#: Options of a catalog in place of IMAGE..., parsed by `catalog_galaxies`.
or_catalog: Decorator = _joined(
    click.option("--catalog", metavar="FILE", help="Catalog with one row per galaxy, in place of IMAGE..."),
    model_columns,
    click.option(
        "--images",
        "folder",
        metavar="DIR",
        help="Folder of the images, named as in the image column, or by the identifier.",
    ),
    split,
    click.option(
        "-n",
        "--number",
        type=click.IntRange(min=1),
        metavar="N",
        help="Use the first N galaxies of the catalog.",
    ),
)
_CATALOG_ONLY = ("image_column", "label", "id_", "folder", "split", "number")
#: Options for the columns ``id_``, ``ra`` and ``dec``.
sky_columns: Decorator = _joined(
    id_column,
    click.option("--ra", metavar="C", help="Column with the right ascension.  [default: ra]"),
    click.option("--dec", metavar="C", help="Column with the declination.  [default: dec]"),
)
#: The same with ``label``, parsed by `read_sky_catalog`.
labelled_sky_columns: Decorator = _joined(
    sky_columns,
    click.option("--label", metavar="C", help="Column with the class.  [default: class]"),
)
#: Options beside ``--survey``; `survey_option` is parsed by `pairs`.
survey: Decorator = _joined(
    click.option(
        "--survey-option",
        multiple=True,
        metavar="NAME=VALUE",
        help="Option of the survey, e.g. layer=ls-dr10; may be repeated.",
    ),
    click.option("--server", metavar="URL", help="Mirror or test server to use instead of the survey's."),
)
#: Options for stretch and scaling of the images.
preprocessing: Decorator = _joined(
    click.option(
        "--stretch",
        type=click.Choice(["auto", "asinh", "lupton", "linear"]),
        help="Stretch of the flux; lupton preserves colours.  [default: auto]",
    ),
    click.option(
        "--scaling",
        type=click.Choice(["none", "center", "scale", "standardize", "pca", "whiten"]),
        help="Scaling after the stretch.  [default: standardize]",
    ),
    click.option(
        "--per",
        type=click.Choice(["band", "set", "image", "image-band"]),
        help="Pixels over which mean and standard deviation are taken.  [default: band]",
    ),
)


def companions(*, multiple: bool = False) -> Decorator:
    """Return the options --mask and --sigma; if `multiple`, once for all images or once for each."""
    more = "; once for all, or once for each image" if multiple else ""
    return _joined(
        click.option(
            "--mask", metavar="FILE|HDU", multiple=multiple, help=f"Mask of pixels not to use{more}."
        ),
        click.option(
            "--sigma",
            metavar="FILE|HDU",
            multiple=multiple,
            help=f"Standard deviation, variance or inverse variance (by its name){more}.",
        ),
    )


#: The catalog of a command that needs one.
catalog: Decorator = click.option(
    "--catalog", required=True, metavar="FILE", help="Table with one row per galaxy."
)
images_folder: Decorator = click.option(
    "--images", metavar="DIR", help="Folder of the images, named as in the catalog or by id."
)
#: Options for a width per galaxy, parsed by `widths`.
width_columns: Decorator = _joined(
    click.option(
        "--width-column",
        metavar="C",
        help="Column that the width of each cutout is proportional to; --width if empty.",
    ),
    click.option("--width-factor", type=float, default=1.0, show_default=True, help="Width / column."),
    click.option("--width-unit", metavar="UNIT", help="Unit of a column without one: arcsec, arcmin, deg."),
)


def jobs(what: str, default: int = 1) -> Decorator:
    """Return the option ``--jobs``; `what` is done in parallel."""
    return click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        default=default,
        show_default=True,
        help=f"Number of {what} in parallel.",
    )


#: Options for the pictures of the galaxies of a table, used by `galcnn.pipeline.table_sheet`.
pictures: Decorator = _joined(
    click.option("--catalog", metavar="FILE", help="Catalog with the image paths of the galaxies."),
    catalog_id,
    _trained_image_column,
    click.option("--images", metavar="DIR", help="Folder of the images, or of relative image paths."),
)


def progress(quiet: bool) -> Progress:
    """Return progress bars, or a silent display if `quiet`."""
    return silent if quiet else bars


def ask_before(size: str, *, yes: bool) -> None:
    """Say how large the work is before it starts; on a terminal, ask whether to start, unless `yes`.

    `size` is a sentence: "10,000 cutouts are downloaded, about 1.2 GB." Off a terminal, such as in a
    batch job, the work starts at once.
    """
    click.echo(size, err=True)
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    if not click.confirm("Start?", default=True, err=True):
        click.echo("Nothing was started.", err=True)
        raise click.exceptions.Exit(130)


def chosen(**columns: Any) -> dict[str, Any]:
    """Return the columns that were given, by galcnn's names; trailing underscores are removed."""
    return {known.rstrip("_"): column for known, column in columns.items() if column}


def read_sky_catalog(path: str, given: dict[str, Any]) -> Any:
    """Read a catalog with the columns given by `labelled_sky_columns`."""
    from galcnn.catalog import read_catalog

    columns = chosen(id=given["id_"], ra=given["ra"], dec=given["dec"], class_=given["label"])
    return noted(read_catalog(path, columns=columns))


def noted(catalog: Any) -> Any:
    """Return a catalog, and say what was guessed when it was read."""
    from galcnn.catalog.catalog import NOTES

    for note in catalog.table.meta.get(NOTES, ()):
        click.echo(f"catalog: {note}", err=True)
    return catalog


def typed(*names: str) -> str:
    """Return those options, by their names in Python, that the user gave, as they are typed."""
    context = click.get_current_context()
    given = [
        max(one.opts, key=len)
        for one in context.command.params
        if one.name in names and context.get_parameter_source(one.name) is not ParameterSource.DEFAULT
    ]
    return ", ".join(given)


def check_galaxies(images: Sequence[str], catalog: str | None) -> None:
    """Raise an error unless there are either image files or a catalog, with its options."""
    if bool(images) == bool(catalog):
        raise click.UsageError("Expected image files, or --catalog FILE, and not both.")
    if images and (given := typed(*_CATALOG_ONLY)):
        raise click.UsageError(f"Expected --catalog FILE with {given}.")
    if catalog and typed("one_galaxy"):
        raise click.UsageError("Expected image files with --one-galaxy.")


def catalog_galaxies(card: Any, given: Mapping[str, Any], *, classes: Sequence[str] | None = None) -> Any:
    """Return the galaxies, of all or some classes, of the catalog given by the options `or_catalog`."""
    from galcnn.experiment import galaxies_of
    from galcnn.experiment.galaxies import first_galaxies

    found = galaxies_of(
        card,
        given["catalog"],
        columns=chosen(image=given["image_column"], class_=given["label"], id=given["id_"]),
        split=given["split"],
        folder=given["folder"],
    )
    return first_galaxies(noted(found), number=given["number"], classes=classes)


def check_folder(path: str, *, overwrite: bool) -> None:
    """Raise an error, before the work, if an output folder holds files of others."""
    atomic.check_writable(path, folder=True, own=(), overwrite=overwrite)


def check_table(path: str | None, *, inputs: Sequence[Any] = (), overwrite: bool) -> None:
    """Raise an error, before the work, if a table has an unknown format or exists."""
    from galcnn.catalog.formats import table_format

    if path:
        table_format(path)
        atomic.check_writable(path, inputs=inputs, overwrite=overwrite)


def check_figure(path: str, *, inputs: Sequence[Any], overwrite: bool) -> None:
    """Raise an error, before the work, if a figure has another format or exists."""
    if Path(path).suffix.lower() not in (".png", ".pdf"):
        raise click.UsageError(f"Expected a figure ending in .png or .pdf. Received: {path!r}.")
    atomic.check_writable(path, inputs=inputs, overwrite=overwrite)


def save_sheet(sheet: Any, path: str) -> None:
    """Save a contact sheet, and say which galaxies are not on it."""
    from galcnn.viewers import save_figure

    save_figure(sheet.figure, path)
    if sheet.left_out:
        name, why = next(iter(sheet.left_out.items()))
        click.echo(f"{len(sheet.left_out)} galaxies have no readable image, such as {name}: {why}", err=True)
    click.echo(f"wrote {path}: {len(sheet.ids)} galaxies")


def save_syntheses(
    files: Mapping[str, str | Path], path: str, *, classes: Sequence[str] | None = None
) -> None:
    """Draw the first attacks or dreams of some files, by id."""
    from galcnn.layers.syntheses import first_syntheses
    from galcnn.viewers import adversarial_figure, save_figure
    from galcnn.viewers.plots.adversarial import MOST_ROWS

    save_figure(adversarial_figure(first_syntheses(files, MOST_ROWS), classes), path)
    click.echo(f"wrote {path}")


def tell_table_left_out(folder: str) -> None:
    """Say which galaxies the table of an output folder lists as left out."""
    from galcnn.catalog import read_table
    from galcnn.catalog.names import LEFT_OUT

    path = Path(folder) / LEFT_OUT
    if path.is_file():
        table = read_table(path)
        tell_left_out(dict(zip(map(str, table["id"]), map(str, table["reason"]), strict=True)))


def tell_left_out(left_out: Mapping[str, str]) -> None:
    """Say which galaxies were left out."""
    for name, why in list(left_out.items())[:_TOLD]:
        click.echo(f"left out: {why if name in why else f'{name}: {why}'}", err=True)
    if len(left_out) > _TOLD:
        click.echo(f"and {len(left_out) - _TOLD} more galaxies are left out", err=True)


def widths(catalog: Any, given: dict[str, Any], width: Any) -> Any:
    """Return the width of the cutouts: one per galaxy from a column, or one for all."""
    if given["width_column"]:
        import astropy.units as u

        from galcnn.surveys.requests import widths_of

        if width is not None and width.unit == u.pix:
            raise click.UsageError("Expected --width as an angle beside --width-column.")
        unit = u.Unit(given["width_unit"]) if given["width_unit"] else None
        factor = given["width_factor"]
        return widths_of(catalog, given["width_column"], factor=factor, unit=unit, default=width)
    if given["width_unit"] or given["width_factor"] != 1:
        raise click.UsageError("Expected --width-factor and --width-unit with --width-column C.")
    if width is None:
        raise click.UsageError("Expected --width or --width-column C.")
    return width


def words(text: str | None) -> tuple[str, ...] | None:
    """Parse ``a,b,c``; None stays None."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def band_names(text: str | None) -> tuple[str, ...] | None:
    """Parse ``g,r,i`` or ``gri``; None stays None."""
    found = words(text)
    if found is not None and len(found) == 1 and text is not None and "," not in text:
        letters = tuple(found[0])
        if set(letters) <= _ONE_LETTER and len(set(letters)) == len(letters):
            return letters
    return found


def hdus(text: str | None) -> list[int | str] | None:
    """Parse ``1`` or ``SCI,2``; None stays None."""
    found = words(text)
    return None if found is None else [int(one) if one.isdigit() else one for one in found]


def zero_points(text: str | None) -> float | dict[str, float] | None:
    """Parse ``25.3`` or ``g=25.3,r=26.1``; None stays None."""
    if text is None:
        return None
    option = "--zero-point"
    if "=" not in text:
        return numbers(option, text)[0]
    found = pairs(option, words(text) or (), "=")
    return {band: numbers(option, value)[0] for band, value in found.items()}


def reading(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `galcnn.dataset.InputFiles` for those options of `files` that a command has."""
    parsers: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "bands": ("bands", band_names),
        "fit": ("fit", bool),
        "grid": ("grid", lambda text: text),
        "width": ("width", side),
        "hdu": ("hdu", hdus),
        "zero_point": ("zero_points", zero_points),
        "pixel_scale": ("pixel_scale", lambda text: angle(text, "--pixel-scale")),
        "strict": ("strict", bool),
    }
    return {known: parse(given[name]) for name, (known, parse) in parsers.items() if name in given}


def side(text: str | None, option: str = "--width") -> Any:
    """Parse ``40arcsec`` or ``64pix``."""
    import astropy.units as u

    pixels = (text or "").strip().lower()
    for ending in ("pixels", "pixel", "pix", "px"):
        if pixels.endswith(ending):
            return numbers(option, pixels.removesuffix(ending))[0] * u.pix
    return angle(text, option)


def angle(text: str | None, option: str = "--width") -> Any:
    """Parse ``40arcsec``."""
    if text is None:
        return None
    import astropy.units as u
    import numpy as np

    try:
        found = u.Quantity(text)
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"expected an angle, received {text!r}", param_hint=option) from error
    if not found.unit.is_equivalent(u.arcsec) or not 0 * u.arcsec < found < np.inf * u.arcsec:
        raise click.BadParameter(f"expected a positive angle, received {text!r}", param_hint=option)
    return found


def sky_position(text: str | None) -> Any:
    """Parse ``RA,DEC`` in degrees."""
    if text is None:
        return None
    from astropy.coordinates import SkyCoord

    found = numbers("--position", text)
    if len(found) != 2 or not abs(found[1]) <= 90:
        raise click.BadParameter(f"expected RA,DEC in degrees, received {text!r}", param_hint="--position")
    return SkyCoord(*found, unit="deg")


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Parse ``1,2.5``."""
    try:
        found = tuple(float(part) for part in words(text) or ())
    except ValueError as error:
        raise click.BadParameter(f"expected numbers, received {text!r}", param_hint=option) from error
    if not found:
        raise click.BadParameter(f"expected numbers, received {text!r}", param_hint=option)
    return found


def whole_numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Parse ``16,32``; None stays None."""
    if text is None:
        return None
    found = numbers(option, text)
    if not all(number.is_integer() for number in found):
        raise click.BadParameter(f"expected whole numbers, received {text!r}", param_hint=option)
    return tuple(int(number) for number in found)


def pairs(option: str, texts: Sequence[str], separator: str) -> dict[str, str]:
    """Parse a repeated option ``NAME=VALUE``."""
    result = {}
    for text in texts:
        name, found, value = text.partition(separator)
        if not found or not name or not value:
            raise click.BadParameter(f"expected NAME{separator}VALUE, received {text!r}", param_hint=option)
        if name in result:
            raise click.BadParameter(
                f"expected {name!r} once, received it again in {text!r}", param_hint=option
            )
        result[name] = value
    return result


def paths_by_id(paths: Sequence[str], *, one_galaxy: bool = False) -> dict[str, tuple[Path, ...]]:
    """Name each image by its stem, or, if stems repeat, by folder/stem or its whole path.

    If `one_galaxy`, all are files of one galaxy, named by the first.
    """
    files = [file for path in paths for file in _images_of(path)]
    if one_galaxy and files:
        return {image_stem(files[0]): tuple(map(Path, files))}
    names = [image_stem(path) for path in files]
    for longer in (lambda path: f"{Path(path).resolve().parent.name}/{image_stem(path)}", str):
        repeated = {name for name, n in Counter(names).items() if n > 1}
        names = [longer(path) if name in repeated else name for name, path in zip(names, files, strict=True)]
    return dict(zip(_numbered(names), ((Path(file),) for file in files), strict=True))


def _numbered(names: Sequence[str]) -> list[str]:
    """Make names unique by adding #2, #3, ... to repeated ones."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return numbered


def _images_of(path: str) -> list[str]:
    if not Path(path).is_dir():
        return [path]
    images = [str(file) for file in sorted(Path(path).glob("[!.]*")) if _IMAGE.search(file.name)]
    if not images:
        raise click.UsageError(
            f"Expected images (FITS, JPEG, PNG) in a folder. Received: {path!r}, with none."
        )
    return images
