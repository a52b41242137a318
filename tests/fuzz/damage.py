"""Kinds of damage and oddness: functions of a random generator and a content that return another content.

The name of a kind is that of its function. `KEEPS` are kinds that leave the meaning of a file as it was.
"""

import re
import struct
import zlib
from collections.abc import Callable

import numpy as np

Kind = Callable[[np.random.Generator, bytes], bytes]
BLOCK, CARD = 2880, 80


def _span(rng: np.random.Generator, n: int, most: int = 4000) -> tuple[int, int]:
    """Return start and end of a run of bytes."""
    start = int(rng.integers(0, max(n, 1)))
    return start, min(n, start + int(np.exp(rng.uniform(0, np.log(most)))))


# Any file --------------------------------------------------------------------------------------
def flipped_bits(rng: np.random.Generator, content: bytes) -> bytes:
    """Flip some bits anywhere."""
    changed = np.frombuffer(content, np.uint8).copy()
    for place in rng.integers(0, len(changed), rng.integers(1, 12)):
        changed[place] ^= 1 << rng.integers(0, 8)
    return changed.tobytes()


def flipped_bits_at_the_start(rng: np.random.Generator, content: bytes) -> bytes:
    """Flip bits where most formats say what follows."""
    return flipped_bits(rng, content[:512]) + content[512:]


def overwritten_run(rng: np.random.Generator, content: bytes) -> bytes:
    """Overwrite a run with random bytes."""
    start, end = _span(rng, len(content))
    return content[:start] + rng.bytes(end - start) + content[end:]


def zeroed_run(rng: np.random.Generator, content: bytes) -> bytes:
    """Overwrite a run with zeros, as a disk that loses a page."""
    start, end = _span(rng, len(content))
    return content[:start] + bytes(end - start) + content[end:]


def ones_in_a_run(rng: np.random.Generator, content: bytes) -> bytes:
    """Overwrite a run with the byte 255: the largest sizes, and NaN."""
    start, end = _span(rng, len(content), 64)
    return content[:start] + b"\xff" * (end - start) + content[end:]


def cut_off(rng: np.random.Generator, content: bytes) -> bytes:
    """Leave the beginning of the file."""
    return content[: rng.integers(0, len(content))]


def missing_run(rng: np.random.Generator, content: bytes) -> bytes:
    """Remove a run."""
    start, end = _span(rng, len(content))
    return content[:start] + content[end:]


def repeated_run(rng: np.random.Generator, content: bytes) -> bytes:
    """Write a run twice."""
    start, end = _span(rng, len(content))
    return content[:end] + content[start:]


def inserted_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Insert random bytes."""
    start, end = _span(rng, len(content), 64)
    return content[:start] + rng.bytes(end - start) + content[start:]


def swapped_runs(rng: np.random.Generator, content: bytes) -> bytes:
    """Exchange two runs of one length."""
    n = max(1, len(content) // 8)
    a, b = sorted(rng.integers(0, max(1, len(content) - n), 2))
    b = max(b, a + n)
    return content[:a] + content[b : b + n] + content[a + n : b] + content[a : a + n] + content[b + n :]


def lines_of_windows(rng: np.random.Generator, content: bytes) -> bytes:
    """Translate line ends, as a transfer in text mode does."""
    return content.replace(b"\n", b"\r\n")


def seven_bits(rng: np.random.Generator, content: bytes) -> bytes:
    """Drop the highest bit of each byte, as an old transfer does."""
    return bytes(byte & 127 for byte in content)


def as_utf8(rng: np.random.Generator, content: bytes) -> bytes:
    """Encode the bytes as if they were Latin letters."""
    return content.decode("latin-1").encode()


def random_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Keep only the first bytes."""
    return content[: rng.integers(0, 32)] + rng.bytes(int(rng.integers(0, 5000)))


def of_another_format(rng: np.random.Generator, content: bytes) -> bytes:
    """Begin as another format does."""
    starts = (
        b"SIMPLE  =",
        b"\x1f\x8b\x08",
        b"BZh9",
        b"PK\x03\x04",
        b"\xfd7zXZ\0",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
    )
    return starts[rng.integers(len(starts))] + content[rng.integers(0, 16) :]


def bytes_after_the_end(rng: np.random.Generator, content: bytes) -> bytes:
    """Append bytes."""
    return content + rng.bytes(int(rng.integers(1, 6000)))


ANY: tuple[Kind, ...] = (
    flipped_bits,
    flipped_bits_at_the_start,
    overwritten_run,
    zeroed_run,
    ones_in_a_run,
    cut_off,
    missing_run,
    repeated_run,
    inserted_bytes,
    swapped_runs,
    lines_of_windows,
    seven_bits,
    as_utf8,
    random_bytes,
    of_another_format,
    bytes_after_the_end,
)


# FITS ------------------------------------------------------------------------------------------
def headers(content: bytes) -> list[tuple[int, int]]:
    """Return start and end of each header, as far as blocks are in place."""
    found, start = [], -1
    for place in range(0, len(content), BLOCK):
        block = content[place : place + BLOCK]
        if start < 0 and block.startswith((b"SIMPLE  ", b"XTENSION")):
            start = place
        cards = [block[i : i + CARD] for i in range(0, len(block), CARD)]
        if start >= 0 and any(card.rstrip() == b"END" for card in cards):
            found.append((start, place + BLOCK))
            start = -1
    return found


def _cards(content: bytes, wanted: str = "") -> list[int]:
    """Return the places of the cards whose keywords fit a pattern."""
    places = [i for start, end in headers(content) for i in range(start, end, CARD)]
    form = re.compile(wanted or r"(?!END\b)\S")
    return [i for i in places if form.match(content[i : i + 8].decode("latin-1"))]


def _with_card(content: bytes, place: int, text: str) -> bytes:
    card = text.encode("latin-1", "replace")[:CARD].ljust(CARD)
    return content[:place] + card + content[place + CARD :]


def _with_value(rng: np.random.Generator, content: bytes, wanted: str, values: tuple[str, ...]) -> bytes:
    """Give a card that fits the pattern one of these values; add the card if there is none."""
    value = values[rng.integers(len(values))]
    if places := _cards(content, wanted):
        place = places[rng.integers(len(places))]
        return _with_card(content, place, f"{content[place : place + 8].decode('latin-1')}= {value:>20}")
    key = re.sub(r"\W.*", "", wanted.replace("\\d", "1").replace("ZN?", "Z"))[:8]
    return _with_more(content, f"{key:8}= {value:>20}")


def _with_more(content: bytes, *texts: str) -> bytes:
    """Add cards before the END of the first image with room, or with another block."""
    spans = headers(content)
    if not spans:
        return content
    start, end = spans[-1]
    cards = [content[i : i + CARD] for i in range(start, end, CARD)]
    n = next(i for i, card in enumerate(cards) if card.rstrip() == b"END")
    more = [text.encode("latin-1", "replace")[:CARD].ljust(CARD) for text in texts]
    made = b"".join([*cards[:n], *more, b"END".ljust(CARD)])
    return content[:start] + made.ljust(-(-len(made) // BLOCK) * BLOCK) + content[end:]


SIZES = (
    "0",
    "-1",
    "1",
    "2147483647",
    "9223372036854775807",
    "99999999999999999999",
    "65536",
    "1000000",
    "2.5",
    "'2'",
    "T",
)
NUMBERS = (
    "0",
    "0.0",
    "-1.0",
    "NaN",
    "INF",
    "1E400",
    "1.0D+300",
    "-1E-320",
    "'text'",
    "T",
    "",
    "1 2",
    "0x10",
    "1,5",
    "(1, 2)",
)
TEXTS = (
    "''",
    "'nonsense'",
    "'a''b'",
    "no quotes",
    "'not closed",
    "1",
    "T",
    "'\xe4\xff'",
    "'" + "x" * 67 + "'",
    "'&'",
)


def flipped_bits_in_a_header(rng: np.random.Generator, content: bytes) -> bytes:
    """Flip bits of cards."""
    places = _cards(content)
    for place in rng.choice(places, min(3, len(places))) if places else []:
        content = content[:place] + flipped_bits(rng, content[place : place + CARD]) + content[place + CARD :]
    return content


def flipped_bits_of_data(rng: np.random.Generator, content: bytes) -> bytes:
    """Flip bits outside of the headers."""
    end = headers(content)[-1][1] if headers(content) else 0
    return content[:end] + flipped_bits(rng, content[end:]) if end < len(content) else content


def odd_axis(rng: np.random.Generator, content: bytes) -> bytes:
    """Change a size of an image or table."""
    return _with_value(rng, content, r"Z?NAXIS\d", SIZES)


def odd_number_of_axes(rng: np.random.Generator, content: bytes) -> bytes:
    """Change the number of axes."""
    return _with_value(rng, content, r"Z?NAXIS ", (*SIZES, "3", "4", "999", "1000"))


def odd_bitpix(rng: np.random.Generator, content: bytes) -> bytes:
    """Change the type of the pixels."""
    return _with_value(rng, content, r"Z?BITPIX", (*SIZES, "8", "16", "32", "64", "-32", "-64", "-16", "7"))


def odd_heap(rng: np.random.Generator, content: bytes) -> bytes:
    """Change the size or place of the heap of a table, or the number of groups."""
    return _with_value(rng, content, r"(THEAP|PCOUNT|GCOUNT|TFIELDS) *", SIZES)


def odd_tiles(rng: np.random.Generator, content: bytes) -> bytes:
    """Change the size of the tiles."""
    return _with_value(rng, content, r"ZTILE\d", SIZES)


def odd_setting_of_tiles(rng: np.random.Generator, content: bytes) -> bytes:
    """Change a setting of the compression."""
    return _with_value(rng, content, r"ZVAL\d|ZDITHER0|ZBLANK|ZSCALE|ZZERO", (*SIZES, *NUMBERS))


def odd_name_of_compression(rng: np.random.Generator, content: bytes) -> bytes:
    """Change the kind of the compression, its quantisation or its settings' names."""
    kinds = (
        "'RICE_1'",
        "'GZIP_1'",
        "'GZIP_2'",
        "'HCOMPRESS_1'",
        "'PLIO_1'",
        "'NOCOMPRESS'",
        "'SUBTRACTIVE_DITHER_2'",
    )
    return _with_value(rng, content, r"ZCMPTYPE|ZQUANTIZ|ZNAME\d", (*kinds, *TEXTS))


def odd_columns(rng: np.random.Generator, content: bytes) -> bytes:
    """Change the format or name of a column."""
    forms = (
        "'1PB(99999999)'",
        "'1QB(2)'",
        "'9999999999J'",
        "'0D'",
        "'-1E'",
        "'1PX(3)'",
        "'X'",
        "'2A'",
        "'A99999'",
    )
    return _with_value(rng, content, r"(TFORM|TTYPE|TDIM|TNULL|TSCAL|TZERO)\d", (*forms, *TEXTS, *NUMBERS))


def odd_scaling(rng: np.random.Generator, content: bytes) -> bytes:
    """Change the scaling of the pixels."""
    return _with_value(rng, content, r"(BSCALE|BZERO|BLANK) *", (*NUMBERS, *SIZES))


def odd_world_coordinates(rng: np.random.Generator, content: bytes) -> bytes:
    """Change a number of the WCS."""
    return _with_value(
        rng,
        content,
        r"CRVAL\d|CRPIX\d|CDELT\d|CD\d_\d|PC\d_\d|LONPOLE|LATPOLE|EQUINOX|WCSAXES",
        (*NUMBERS, *SIZES),
    )


def odd_projection(rng: np.random.Generator, content: bytes) -> bytes:
    """Change the projection or a unit of the WCS."""
    kinds = (
        "'RA---TAB'",
        "'RA---ZPN'",
        "'RA---XXX'",
        "'RA---TPV'",
        "'RA---TAN-SIP'",
        "'GLON-CAR'",
        "'FREQ'",
        "'RA'",
        "5",
    )
    return _with_value(rng, content, r"CTYPE\d|CUNIT\d|RADESYS|MJDREF", (*kinds, *TEXTS))


def a_distortion_without_its_terms(rng: np.random.Generator, content: bytes) -> bytes:
    """Add parts of a distortion."""
    parts = ("A_ORDER = 9", "A_ORDER = 99999999", "A_0_2   = 1E30", "PV1_1   = 'x'", "PV2_99  = 1.0")
    parts += ("CPDIS1  = 'LOOKUP'", "DP1     = 'EXTVER: 99'", "PS1_0   = 'table'", "D2IMDIS1= 'Lookup'")
    return _with_more(content, *rng.choice(parts, 3))


def odd_unit(rng: np.random.Generator, content: bytes) -> bytes:
    """Change the unit or band."""
    units = ("'mag'", "'Jy/beam'", "'10**-29'", "'nJy'", "'adu/s/s/'", "'(((('", "'m**999999'", "'counts'")
    return _with_value(rng, content, r"BUNIT *|FILTER *|EXTNAME *", (*units, *TEXTS))


def odd_zero_point(rng: np.random.Generator, content: bytes) -> bytes:
    """Add a zero point that is none."""
    key = rng.choice(["MAGZERO", "MAGZPT", "FLUXMAG0", "PHOTFLAM", "EXPTIME", "PHOTPLAM", "GAIN"])
    return _with_more(content, f"{key:8}= {rng.choice(NUMBERS):>20}")


def value_of_another_type(rng: np.random.Generator, content: bytes) -> bytes:
    """Give any card any value."""
    return _with_value(rng, content, r"[A-Z]", (*NUMBERS, *TEXTS, *SIZES))


def missing_card(rng: np.random.Generator, content: bytes) -> bytes:
    """Remove a card."""
    places = _cards(content)
    return _with_card(content, places[rng.integers(len(places))], "") if places else content


def missing_end(rng: np.random.Generator, content: bytes) -> bytes:
    """Remove the END of a header."""
    places = _cards(content, "END")
    return _with_card(content, places[rng.integers(len(places))], "") if places else content


def early_end(rng: np.random.Generator, content: bytes) -> bytes:
    """End a header early."""
    places = _cards(content)
    return _with_card(content, places[rng.integers(len(places))], "END") if places else content


def lower_case_keyword(rng: np.random.Generator, content: bytes) -> bytes:
    """Write a keyword in lower case."""
    places = _cards(content, "[A-Z]")
    if not places:
        return content
    place = places[rng.integers(len(places))]
    return content[:place] + content[place : place + 8].lower() + content[place + 8 :]


def card_twice(rng: np.random.Generator, content: bytes) -> bytes:
    """Write a card twice, with two values."""
    places = _cards(content)
    if not places:
        return content
    place = places[rng.integers(len(places))]
    return _with_more(content, content[place : place + 10].decode("latin-1") + str(rng.choice(NUMBERS)))


def nulls_in_a_header(rng: np.random.Generator, content: bytes) -> bytes:
    """Replace blanks by null bytes or letters that are not ASCII."""
    places = _cards(content)
    if not places:
        return content
    place = places[rng.integers(len(places))]
    card = content[place : place + CARD].replace(b" ", bytes([rng.choice([0, 9, 10, 160, 255])]), 3)
    return content[:place] + card + content[place + CARD :]


def unknown_extension(rng: np.random.Generator, content: bytes) -> bytes:
    """Change the type of an extension."""
    return _with_value(
        rng,
        content,
        "XTENSION|SIMPLE",
        ("'IMAGE   '", "'BINTABLE'", "'TABLE   '", "'FOREIGN '", "F", "T", *TEXTS),
    )


def missing_block(rng: np.random.Generator, content: bytes) -> bytes:
    """Remove a block."""
    place = int(rng.integers(0, max(1, len(content) // BLOCK))) * BLOCK
    return content[:place] + content[place + BLOCK :]


def block_twice(rng: np.random.Generator, content: bytes) -> bytes:
    """Write a block twice."""
    place = int(rng.integers(0, max(1, len(content) // BLOCK))) * BLOCK
    return content[: place + BLOCK] + content[place:]


def cut_off_at_a_block(rng: np.random.Generator, content: bytes) -> bytes:
    """Leave whole blocks."""
    return content[: int(rng.integers(0, max(1, len(content) // BLOCK))) * BLOCK]


def odd_pixels(rng: np.random.Generator, content: bytes) -> bytes:
    """Write sentinels, infinity and NaN into the data."""
    start = headers(content)[-1][1] if headers(content) else 0
    for value in rng.choice([np.nan, np.inf, -np.inf, 3e38, -1e30, 1e-42, -32768], 4):
        place = start + 4 * int(rng.integers(0, max(1, (len(content) - start) // 4)))
        content = content[:place] + struct.pack(">f", value) + content[place + 4 :]
    return content


def many_extensions(rng: np.random.Generator, content: bytes) -> bytes:
    """Append many headers without data."""
    cards = ("XTENSION= 'IMAGE   '", "BITPIX  =                    8", "NAXIS   =                    0")
    one = b"".join(text.encode().ljust(CARD) for text in (*cards, "PCOUNT  = 0", "GCOUNT  = 1", "END"))
    return content + one.ljust(BLOCK) * int(rng.choice([1, 30, 300]))


def a_long_header(rng: np.random.Generator, content: bytes) -> bytes:
    """Add thousands of cards."""
    return _with_more(content, *[f"HISTORY {i}" for i in range(int(rng.choice([200, 3000])))])


# Of the same meaning:
def blanks_after_the_end(rng: np.random.Generator, content: bytes) -> bytes:
    """Append blocks of zeros, as tapes do."""
    return content + bytes(BLOCK * int(rng.integers(1, 5)))


def comments(rng: np.random.Generator, content: bytes) -> bytes:
    """Add comments, blank cards and HIERARCH cards."""
    more = ("COMMENT = 'not a value'", "HISTORY END", "", "ODDCARD", "TEXT    = 'it''s / one'")
    more += ("HIERARCH ESO DET NAME = 'x'", "HIERARCH a b = 1")
    return _with_more(content, *rng.choice(more, 4))


def long_text(rng: np.random.Generator, content: bytes) -> bytes:
    """Add a text that is continued."""
    return _with_more(content, f"LONGTEXT= '{'a' * 60}&'", f"CONTINUE  '{'b' * 60}&'", "CONTINUE  'c'")


FITS: tuple[Kind, ...] = (
    *ANY,
    flipped_bits_in_a_header,
    flipped_bits_of_data,
    odd_axis,
    odd_number_of_axes,
    odd_bitpix,
    odd_heap,
    odd_tiles,
    odd_setting_of_tiles,
    odd_name_of_compression,
    odd_columns,
    odd_scaling,
    odd_world_coordinates,
    odd_projection,
    a_distortion_without_its_terms,
    odd_unit,
    odd_zero_point,
    value_of_another_type,
    missing_card,
    missing_end,
    early_end,
    lower_case_keyword,
    card_twice,
    nulls_in_a_header,
    unknown_extension,
    missing_block,
    block_twice,
    cut_off_at_a_block,
    odd_pixels,
    many_extensions,
    a_long_header,
    blanks_after_the_end,
    comments,
    long_text,
)


# Text ------------------------------------------------------------------------------------------
def _lines(rng: np.random.Generator, content: bytes) -> tuple[list[bytes], int]:
    lines = content.split(b"\n")
    return lines, int(rng.integers(0, len(lines)))


def odd_value(rng: np.random.Generator, content: bytes) -> bytes:
    """Replace a number or word."""
    words = [b"nan", b"1e999", b"-", b"", b"9" * 400, b"Infinity", b"null", b"true", b"''", b'"', b"\xff"]
    words += [b"[]", b"{}", b"-1", b"0", b"1:2:3"]
    found = list(re.finditer(rb"[\w.+-]+", content))
    if not found:
        return content
    one = found[rng.integers(len(found))]
    return content[: one.start()] + words[rng.integers(len(words))] + content[one.end() :]


def missing_line(rng: np.random.Generator, content: bytes) -> bytes:
    """Remove a line."""
    lines, i = _lines(rng, content)
    return b"\n".join(lines[:i] + lines[i + 1 :])


def line_twice(rng: np.random.Generator, content: bytes) -> bytes:
    """Write a line twice."""
    lines, i = _lines(rng, content)
    return b"\n".join(lines[: i + 1] + lines[i:])


def missing_sign(rng: np.random.Generator, content: bytes) -> bytes:
    """Remove a comma, quote, bracket or colon."""
    found = [m.start() for m in re.finditer(rb"[,\"'<>\[\]{}:=#]", content)]
    place = found[rng.integers(len(found))] if found else 0
    return content[:place] + content[place + 1 :]


def more_signs(rng: np.random.Generator, content: bytes) -> bytes:
    """Insert commas, quotes and brackets."""
    place = int(rng.integers(0, len(content)))
    signs = [
        b",",
        b'"',
        b"'",
        b"<",
        b">",
        b"[" * 3,
        b"{",
        b"&",
        b"\0",
        b"\r",
        b",,,,",
        b"\t",
        b";",
        b"#",
        b"- {",
    ]
    return content[:place] + signs[rng.integers(len(signs))] + content[place:]


def deep_nesting(rng: np.random.Generator, content: bytes) -> bytes:
    """Nest brackets deeply."""
    sign, end = ((b"[", b"]"), (b'{"a":', b"}"), (b"<TR>", b"</TR>"))[rng.integers(3)]
    n, place = int(rng.choice([100, 100_000])), int(rng.integers(0, len(content)))
    return content[:place] + sign * n + b"1" + end * n + content[place:]


def of_another_encoding(rng: np.random.Generator, content: bytes) -> bytes:
    """Encode the text as UTF-16 or with a letter of Latin-1."""
    return (
        content.decode("latin-1").encode("utf-16") if rng.random() < 0.5 else content.replace(b"l", b"\xe9")
    )


def a_long_line(rng: np.random.Generator, content: bytes) -> bytes:
    """Lengthen a line to a megabyte."""
    lines, i = _lines(rng, content)
    lines[i] += b"x," * 500_000
    return b"\n".join(lines)


def entities(rng: np.random.Generator, content: bytes) -> bytes:
    """Let entities grow, or name another file."""
    grow = b"".join(
        b'<!ENTITY e%d "%s">' % (i, b"&e%d;" % (i - 1) * 10 if i else b"x" * 10) for i in range(9)
    )
    other = b'<!ENTITY e8 SYSTEM "file:///etc/hostname">'
    kind = b"<!DOCTYPE a [" + (grow if rng.random() < 0.5 else other) + b"]>"
    content = re.sub(rb"(<\?xml[^>]*\?>)", rb"\1" + kind, content, count=1)
    return re.sub(rb"<TD>[^<]*", b"<TD>&e8;", content, count=1)


def byte_order_mark(rng: np.random.Generator, content: bytes) -> bytes:
    """Begin with a byte order mark, as spreadsheets do."""
    return b"\xef\xbb\xbf" + content


def empty_lines_at_the_end(rng: np.random.Generator, content: bytes) -> bytes:
    """Append line ends."""
    return content + b"\n" * int(rng.integers(1, 4))


TEXT: tuple[Kind, ...] = (
    *ANY,
    odd_value,
    missing_line,
    line_twice,
    missing_sign,
    more_signs,
    deep_nesting,
    of_another_encoding,
    a_long_line,
    byte_order_mark,
    empty_lines_at_the_end,
)


# Pictures and packed files -----------------------------------------------------------------------
def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def large_picture(rng: np.random.Generator, content: bytes) -> bytes:
    """State a size of up to 2^31 pixels, with the right checksum."""
    sides = rng.choice([0, 1, 17, 9000, 40_000, 2**31 - 1], 2)
    if content.startswith(b"\x89PNG"):
        return content[:8] + _chunk(b"IHDR", struct.pack(">II", *sides) + content[24:29]) + content[33:]
    place = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    return content[: place + 5] + struct.pack(">HH", *(sides & 0xFFFF)) + content[place + 9 :]


def odd_chunk(rng: np.random.Generator, content: bytes) -> bytes:
    """Insert a chunk, some of which decompress to much."""
    name = (b"zTXt", b"iCCP", b"tRNS", b"PLTE", b"IDAT", b"eXIf", b"acTL", b"IEND")[rng.integers(8)]
    if content.startswith(b"\x89PNG"):
        inner = b"a\0\0" + zlib.compress(bytes(20_000_000)) if rng.random() < 0.3 else rng.bytes(40)
        return content[:33] + _chunk(name, inner) + content[33:]
    marker = bytes([255, rng.integers(192, 255)])
    return content[:2] + marker + struct.pack(">H", rng.integers(0, 300)) + rng.bytes(40) + content[2:]


def bomb(rng: np.random.Generator, content: bytes) -> bytes:
    """Pack 300 MB of zeros after the header of the file."""
    import bz2
    import gzip
    import lzma

    pack = (
        _gzip_of_zeros,
        lambda n: bz2.compress(bytes(n // 4)),
        lambda n: lzma.compress(bytes(n // 8), preset=0),
    )
    cards = (b"SIMPLE  =                    T", b"BITPIX  =                    8")
    cards += (b"NAXIS   =                    0", b"END")
    start = b"".join(card.ljust(CARD) for card in cards)
    which = int(rng.integers(3))
    return (gzip, bz2, lzma)[which].compress(start.ljust(BLOCK)) + pack[which](300_000_000)


def _gzip_of_zeros(n: int) -> bytes:
    import gzip

    return gzip.compress(bytes(1_000_000), mtime=0) * (n // 1_000_000)


def packed_twice(rng: np.random.Generator, content: bytes) -> bytes:
    """Pack the packed file again."""
    import gzip

    return gzip.compress(content, mtime=0)


def bytes_after_the_packed_end(rng: np.random.Generator, content: bytes) -> bytes:
    """Append zeros, as tapes do."""
    return content + bytes(int(rng.integers(1, 3000)))


KINDS: dict[str, tuple[Kind, ...]] = {
    "fits": FITS,
    "jpeg": (*ANY, large_picture, odd_chunk),
    "png": (*ANY, large_picture, odd_chunk),
    "packed": (*ANY, bomb, packed_twice, bytes_after_the_packed_end),
    "csv": TEXT,
    "ecsv": TEXT,
    "parquet": ANY,
    "vot": (*TEXT, entities),
    "fits-table": FITS,
    "card": TEXT,
    "layers": FITS,
}
#: Kinds after which a file means what it meant before.
KEEPS = frozenset(
    (
        blanks_after_the_end,
        comments,
        long_text,
        byte_order_mark,
        empty_lines_at_the_end,
        bytes_after_the_packed_end,
        bytes_after_the_end,
    )
)
