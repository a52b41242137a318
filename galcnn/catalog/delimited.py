"""Read tables of text, such as CSV, as people write them: no value moves to another column in silence."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u

from galcnn.catalog.catalog import ID_COLUMNS, MINUS, MISSING, MISSING_NUMBERS, TEXT_COLUMNS, read_unit
from galcnn.errors import message

if TYPE_CHECKING:
    import pyarrow as pa

#: Separators, in the order in which they are tried; a blank stands for any number of blanks and tabs.
_SEPARATORS = (",", ";", "\t", "|", " ")

_SAID = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "'|'", " ": "blanks"}

#: Lines that begin so are remarks; the last one is for spreadsheets.
_REMARKS = ("#", "//", "sep=")

#: Files that begin so are pages of a service, such as that of an error.
_PAGES = ("<html", "<!doctype", "<?xml")

#: Number of lines that tell the separator and the header.
_HEAD = 200

#: Number of rows among which the header is looked for by its names.
_TITLES = 20

#: Number of digits of whole numbers that may be too long for 64 bits.
_LONG = 19

#: Number of rows that are held as Python objects.
_CHUNK = 20_000

#: Encodings that the first bytes of a file tell; UTF-32 first, since its mark begins with that of UTF-16.
_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}

_UTF8, _WINDOWS = "utf-8-sig", "cp1252"

#: Names of columns, in small letters, which are values nowhere.
_KNOWN = {name.lower() for name in (*TEXT_COLUMNS, *ID_COLUMNS, "ra", "dec", "redshift")}

#: A number or a sexagesimal angle, which is not the name of a column.
_VALUE = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eEdD][+-]?\d+)?|[+-]?\d+[:hd ]\d+([:m ].*)?")

#: Numbers with or without a decimal comma, and those whose comma cannot separate thousands.
_COMMA = r"^[+-]?\d*,?\d+([eE][+-]?\d+)?$"
_DECIMAL = r"^[+-]?(0*,\d+|\d+,(\d{1,2}|\d{4,}))([eE][+-]?\d+)?$"


@dataclass(frozen=True)
class _Layout:
    """How a file is read: separator, names of the columns, numbers of rows and lines before the values."""

    separator: str
    names: tuple[str, ...]
    n_before: int
    n_lines: int
    notes: tuple[str, ...]


def read_delimited(file: Path, texts: Iterable[str]) -> tuple[pa.Table, list[str]]:
    """Read a table of text; return its columns, with types, and notes on what was guessed.

    Columns among `texts` stay text, in which only empty values are missing.
    """
    encoding, notes = _encoding(file)
    try:
        table, layout, found = _read(file, encoding)
    except UnicodeDecodeError as error:
        try:
            if encoding != _UTF8:
                raise
            table, layout, found = _read(file, _WINDOWS)
        except UnicodeDecodeError:
            raise ValueError(
                message("a table in UTF-8", "Save it in this encoding.", path=str(file), tried=encoding)
            ) from error
        notes.append("The text is not UTF-8; it was read as Windows-1252.")
    # Where commas separate columns, one within a value separates anything but decimals.
    table, guessed = _typed(table, set(texts), commas=layout.separator != ",")
    return table, [*notes, *found, *guessed]


def _encoding(file: Path) -> tuple[str, list[str]]:
    """Return the encoding that the first bytes of a file tell; UTF-8 by default."""
    with file.open("rb") as stream:
        start = stream.read(4096)
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding, []
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):  # every other byte of ASCII text is 0
        half = start[first::2]
        if len(half) > 1 and half.count(0) > 0.9 * len(half):
            return encoding, [f"The text was read as {encoding.upper()}."]
    return _UTF8, []


def _read(file: Path, encoding: str) -> tuple[pa.Table, _Layout, list[str]]:
    """Read all columns as text."""
    with file.open(encoding=encoding, newline="") as stream:
        head = list(islice(stream, _HEAD))
    # Programs that add a byte order mark to a file that has one leave a second.
    layout = _layout(file, [head[0].lstrip("\ufeff"), *head[1:]] if head else head)
    notes = list(layout.notes)
    table = _plain_columns(file, layout) if encoding == _UTF8 else None
    try:
        try:
            table = table or _columns(file, encoding, layout, notes, blanks=False)
        except csv.Error as error:
            if "expected after" not in str(error):
                raise
            table = _columns(file, encoding, layout, notes, blanks=True)
    except csv.Error as error:
        remedy = "Close the quotes, and double those inside of a value."
        raise ValueError(
            message("values with both quotes", remedy, path=str(file), error=str(error))
        ) from error
    return _named(file, layout.names, table, notes), layout, notes


def _rows(lines: Iterable[str], separator: str, *, blanks: bool) -> Iterator[tuple[int, list[str]]]:
    """Return the rows that are not blank, each with the number of its last line.

    With `blanks`, blanks between a closing quote and the separator are removed first.
    """
    if separator == " ":
        lines = (re.sub(r"[ \t]+", " ", line.strip()) for line in lines)
    elif blanks:
        after = re.compile(rf'"[ \t]+(?=[{re.escape(separator)}\r\n]|$)')
        lines = (after.sub('"', line) for line in lines)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t", strict=True)
    try:
        for row in reader:
            if row and (row[0] or any(map(str.strip, row))):
                yield reader.line_num, row
    except csv.Error as error:
        raise csv.Error(f"line {reader.line_num}: {error}") from error


def _first_rows(lines: list[str], separator: str) -> list[list[str]]:
    """Return the rows of the first lines; the last one may go on behind them and is left out then."""
    return [row for _, row in _numbered(lines, separator)]


def _numbered(lines: list[str], separator: str) -> list[tuple[int, list[str]]]:
    """Return the first rows with the numbers of their lines."""
    rows = []
    with contextlib.suppress(csv.Error):
        for one in _rows(lines, separator, blanks=True):
            rows.append(one)
    return rows


def _is_remark(row: Sequence[str]) -> bool:
    return row[0].lstrip().startswith(_REMARKS)


def _trimmed(row: Sequence[str]) -> list[str]:
    """Return the fields without blanks around them, and without empty ones at the end."""
    fields = [field.strip() for field in row]
    while fields and not fields[-1]:
        fields.pop()
    return fields


def _known(names: Iterable[str]) -> bool:
    return not _KNOWN.isdisjoint(name.lower() for name in names)


def _start(rows: list[list[str]], least: int) -> int | None:
    """Return the first row with so many fields, or the one below it that names the columns."""
    found = [i for i, row in enumerate(rows) if len(row) >= least and not _is_remark(row)]
    if not found or _known(_trimmed(rows[found[0]])):
        return found[0] if found else None
    named = (i for i in found[:_TITLES] if len(_KNOWN.intersection(map(str.lower, _trimmed(rows[i])))) > 1)
    return next(named, found[0])


def _layout(file: Path, lines: list[str]) -> _Layout:
    """Find the separator and the header in the first lines."""
    fitting: list[tuple[int, int]] = []
    others: list[tuple[int, int]] = []
    for order, separator in enumerate(_SEPARATORS):
        rows = _first_rows(lines, separator)
        start = _start(rows, 2)
        if start is None:
            continue
        header = _trimmed(rows[start])
        before = sum(not _is_remark(row) for row in rows[:start])
        values = [row for row in rows[start + 1 :] if not _is_remark(row)]
        alike = len({len(row) for row in values}) <= 1
        fits = alike and all(len(_trimmed(row)) <= len(header) <= len(row) for row in values)
        if separator == " ":  # names and texts have blanks, too
            known = _known([*header[:1], *_remarked(rows[start - 1] if start else [""], separator)])
            punctuated = any(_SEPARATORS[one] != "\t" for _, one in others)
            if fitting or punctuated or not (known or (len(header) > 2 and not before)):
                continue
        if fits:
            fitting.append((before, order))
        else:
            others.append((-len(header), order))
    order = min(fitting or others or [(0, 0)])[1]
    return _header(file, _SEPARATORS[order], lines, several=bool(fitting or others))


def _header(file: Path, separator: str, lines: list[str], *, several: bool) -> _Layout:
    """Find the header: the first row, with several fields if any has, or the remark just above it."""
    numbered, notes = _numbered(lines, separator), []
    rows = [row for _, row in numbered]
    start = _start(rows, 1 + several)
    if start is None or rows[0][0].lstrip().lower().startswith(_PAGES):
        raise ValueError(message("a line of column names", "The file has no table.", path=str(file)))
    names, n_before = _trimmed(rows[start]), start + 1
    above = _remarked(rows[start - 1], separator) if start else []
    # A table without names, as pandas writes it, has the numbers of its columns as their names.
    counted = [name for name in names if name] == [str(i) for i in range(sum(map(bool, names)))]
    values = any(map(_VALUE.fullmatch, names)) and not counted and not _known(names)
    if len(above) == len(names) and (values or (_known(above) and not _known(names))):
        names, n_before, values = above, start, False
        notes.append("The names of the columns were read from a remark.")
    if values:
        remedy = "Write the names of the columns above the values."
        raise ValueError(message("a line of column names before the values", remedy, path=str(file)))
    if text := sum(not _is_remark(row) for row in rows[:start]):
        notes.append(f"Lines of text before the names of the columns were left out: {text}.")
    if rules := [i for i, row in enumerate(rows[n_before : n_before + 2]) if _is_rule(row)]:
        if rules[0]:
            names = _with_units(names, rows[n_before])
            notes.append("The line below the names of the columns was read as their units.")
        n_before += rules[0] + 1
    if separator != ",":
        notes.append(f"The columns were separated at {_SAID[separator]}.")
    n_lines = numbered[n_before - 1][0] if n_before else 0
    return _Layout(separator, tuple(names), n_before, n_lines, tuple(notes))


def _is_rule(row: Sequence[str]) -> bool:
    """Return True for a line of dashes, below the names of the columns and their units (VizieR, psql)."""
    text = "".join(row)
    return "--" in text and not text.strip("-+=|: ")


def _with_units(names: Sequence[str], units: Sequence[str]) -> list[str]:
    """Return names of columns with those units that are known, as ``ra [deg]``."""
    named = []
    for name, text in zip(names, [*units, *[""] * len(names)], strict=False):
        unit = read_unit(text.strip() or None)
        known = unit is not None and not isinstance(unit, u.UnrecognizedUnit)
        named.append(f"{name} [{text.strip()}]" if known else name)
    return named


def _remarked(row: Sequence[str], separator: str) -> list[str]:
    """Return the names of columns in a remark, or an empty list for any other row."""
    if not _is_remark(row):
        return []
    fields = _trimmed([row[0].lstrip().lstrip("#/"), *row[1:]])
    return fields[1:] if separator == " " and fields and not fields[0] else fields


def _plain_columns(file: Path, layout: _Layout) -> pa.Table | None:
    """Read all columns as text with Arrow, which is fast; None if the file has quotes, remarks or faults."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow_csv

    n = len(layout.names)
    if layout.separator == " " or n < 2 or _has_quotes(file):
        return None
    names = _numbers(n)
    try:
        table = arrow_csv.read_csv(
            file,
            read_options=arrow_csv.ReadOptions(
                use_threads=False, skip_rows=layout.n_lines, column_names=names
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=layout.separator, quote_char=False),
            convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string())),
        )
    except pa.ArrowInvalid:
        return None
    first = pc.utf8_trim_whitespace(table["0"])
    odd = [pc.equal(first, ""), *(pc.starts_with(first, mark) for mark in _REMARKS)]
    if not len(table) or any(pc.any(one).as_py() for one in odd):
        return None
    return table


def _has_quotes(file: Path) -> bool:
    with file.open("rb") as stream:
        return any(b'"' in chunk for chunk in iter(lambda: stream.read(1 << 20), b""))


def _columns(
    file: Path, encoding: str, layout: _Layout, notes: list[str], *, blanks: bool, remarks: bool = True
) -> pa.Table:
    """Read all columns as text, and check the number of fields in each line."""
    import pyarrow as pa

    n, n_remarks, width, parts = len(layout.names), 0, 0, []
    with file.open(encoding=encoding, newline="") as stream:
        rows = islice(_rows(stream, layout.separator, blanks=blanks), layout.n_before, None)
        while chunk := list(islice(rows, _CHUNK)):
            kept = [(line, row) for line, row in chunk if not (remarks and _is_remark(row))]
            n_remarks += len(chunk) - len(kept)
            width = width or (len(kept[0][1]) if kept else 0)
            for line, row in kept:
                if len(row) != width or width < n or any(map(str.strip, row[n:])):
                    raise _wrong_fields(file, n, line, row, width)
            if kept:
                fields = islice(zip(*(row for _, row in kept), strict=True), n)
                parts.append(
                    pa.table([pa.array(column, pa.large_string()) for column in fields], _numbers(n))
                )
    if n_remarks and not parts:  # not remarks, but names such as "#1"
        return _columns(file, encoding, layout, notes, blanks=blanks, remarks=False)
    if n_remarks:
        notes.append(f"Lines of remarks (#, //) among the values were left out: {n_remarks}.")
    if width > n:
        notes.append("A separator at the end of every line was left out.")
    empty = pa.table([pa.array([], pa.large_string())] * n, _numbers(n))
    return pa.concat_tables([empty, *parts])


def _numbers(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def _wrong_fields(file: Path, n: int, line: int, row: Sequence[str], width: int) -> ValueError:
    """Return the error for a line whose values would move to other columns."""
    remedy = "Put each value that holds a separator in quotes, and write as many separators in every line."
    if width > n and len(row) == n:
        remedy = "End all lines with a separator, or none."
    return ValueError(
        message(
            f"{n} values in every line, as many as names of columns",
            remedy,
            path=str(file),
            line=line,
            n_values=len(row),
        )
    )


def _named(file: Path, names: Sequence[str], table: pa.Table, notes: list[str]) -> pa.Table:
    """Name the columns; of columns of the same name, only equal ones are accepted, and one is kept."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for i, (name, column) in enumerate(zip(names, table.columns, strict=True)):
        known = name or f"Unnamed: {i}"  # as pandas names them
        if known not in columns:
            columns[known] = column
        elif columns[known].equals(column):
            notes.append(f"A second column {known!r} with the same values was left out.")
        else:
            remedy = "Rename one of the columns."
            raise ValueError(message("names of columns that differ", remedy, path=str(file), repeated=known))
    return pa.table(columns)


def _typed(table: pa.Table, texts: set[str], *, commas: bool) -> tuple[pa.Table, list[str]]:
    """Convert columns of numbers and of true and false; the others stay text.

    With `commas`, numbers may have a decimal comma.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns, decimals, floats = {}, {}, []
    for name, column in zip(table.column_names, table.columns, strict=True):
        text = pc.utf8_trim_whitespace(column)
        if pc.any(pc.starts_with(text, '="')).as_py():  # text, for spreadsheets
            text = pc.replace_substring_regex(text, '^="(.*)"$', r"\1")
        if name in texts:
            columns[name] = _without(text, [""])
            continue
        given = _without(text, MISSING_NUMBERS)
        columns[name] = _number(given)
        if columns[name] is None and commas and _all(given, _COMMA):
            decimals[name] = given
        elif columns[name] is not None and pa.types.is_floating(columns[name].type):
            floats.append(column)
        if columns[name] is None:
            columns[name] = _flags(given)
        if columns[name] is None:
            columns[name] = _without(text, MISSING)
    points = any(_any(column, "[.]") for column in floats)
    if points or not any(_any(given, _DECIMAL) for given in decimals.values()):
        return pa.table(columns), []
    numbers = {name: _number(pc.replace_substring(given, ",", ".")) for name, given in decimals.items()}
    columns |= {name: number for name, number in numbers.items() if number is not None}
    return pa.table(columns), [f"Numbers with a decimal comma: {', '.join(decimals)}."]


def _without(text: Any, missing: Iterable[str]) -> Any:
    """Return a column of text with missing values where it has one of these."""
    import pyarrow as pa
    import pyarrow.compute as pc

    told = pa.array(sorted(missing), text.type)
    return pc.if_else(pc.is_in(text, value_set=told), pa.scalar(None, text.type), text)


def _any(text: Any, pattern: str) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(text, pattern)).as_py())


def _all(text: Any, pattern: str) -> bool:
    import pyarrow.compute as pc

    return bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())


def _number(text: Any) -> Any:
    """Convert a column of text to whole numbers, exactly, else to floats; None if it has other text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if text.null_count == len(text):
        return text.cast(pa.float64())
    if pc.any(pc.starts_with(text, MINUS)).as_py():
        text = pc.replace_substring(text, MINUS, "-")
    if pc.any(pc.starts_with(text, "+")).as_py():
        text = pc.replace_substring_regex(text, r"^\+([^+-])", r"\1")
    for kind in (pa.int64(), pa.uint64()):
        with contextlib.suppress(pa.ArrowInvalid):
            number = text.cast(kind)
            return None if _any(text, "^-?0[xX]") else number
    if pc.max(pc.binary_length(text)).as_py() >= _LONG and _any(text, rf"^-?\d{{{_LONG},}}$"):
        return None  # a float would lose digits
    with contextlib.suppress(pa.ArrowInvalid):
        return text.cast(pa.float64())
    with contextlib.suppress(pa.ArrowInvalid):  # exponents of Fortran
        return pc.replace_substring_regex(text, r"^([+-]?[\d.]+)[dD]([+-]?\d+)$", r"\1e\2").cast(pa.float64())
    return None


def _flags(text: Any) -> Any:
    """Convert a column of true and false; None if it has other text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lower = pc.utf8_lower(text)
    flags = pc.is_in(lower, value_set=pa.array(["true", "false"], lower.type))
    if not pc.all(pc.or_(flags, pc.is_null(lower))).as_py():
        return None
    return pc.if_else(pc.is_null(lower), pa.scalar(None, pa.bool_()), pc.equal(lower, "true"))
