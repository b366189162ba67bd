"""Headers of image files, and contents that do not keep what they promise."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.backends.image_files import ImageHeader, check_content, read_header
from tests.backends.image_samples import bmp, gif, jpeg_head, png

KINDS = {"png": png, "gif": gif, "bmp": bmp, "jpeg": jpeg_head}


@pytest.mark.parametrize("kind", KINDS)
@given(width=st.integers(1, 2000), height=st.integers(1, 200))
def test_the_size_is_what_the_header_says(kind: str, width: int, height: int) -> None:
    header = read_header(KINDS[kind](width, height))
    assert header == ImageHeader(kind, width, height)
    assert header.pixels == width * height


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2])
def test_a_jpeg_is_found_behind_its_tables(marker: int) -> None:
    profile = b"\xff\xe2\xff\xff" + b"\xff\xc0" * 32766 + b"\0"  # looks like frames, is none
    comment = b"\xff\xff\xff\xfe\0\4hi"
    data = jpeg_head(640, 480, marker=marker, before=profile + b"garbage" + comment)
    assert read_header(data) == ImageHeader("jpeg", 640, 480)


def test_a_bitmap_may_run_from_top_to_bottom_or_come_from_os2() -> None:
    assert read_header(bmp(7, -5)) == ImageHeader("bmp", 7, 5)
    os2 = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 7, 5, 1, 24)
    assert read_header(os2) == ImageHeader("bmp", 7, 5)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not decoded here"),
        (b"#EXTM3U", "not decoded here"),
        (b"GIF88a" + bytes(20), "not decoded here"),
        (b"RIFF....WAVEfmt ", "data of this kind is not"),
        (b"RIFF....WEBPVP8 ", "WebP is not"),
        (png(1, 1)[:20], "ends within its header"),
        (png(1, 1).replace(b"IHDR", b"CgBI"), "first chunk"),
        (png(0, 9), "0 x 9"),
        (jpeg_head(4, 0), "4 x 0"),
        (bmp(-4, 4), "-4 x 4"),
        (gif(0, 0), "0 x 0"),
        (jpeg_head(4, 4)[:25], "within its header"),
        (b"\xff\xd8\xff" + b"\xff" * 100_000, "within its header"),
        (b"\xff\xd8\xff\xfe\0\2" + bytes(100_000), "before its size"),
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 5000, "baseline or progressive"),
        (jpeg_head(4, 4, marker=0xC3), "baseline or progressive"),  # lossless
        (jpeg_head(4, 4, marker=0xC9), "baseline or progressive"),  # arithmetic coding
    ],
)
def test_what_is_no_image_is_told_apart(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_header(data)


@given(st.sampled_from([png(3, 3), gif(3, 3), bmp(3, 3), jpeg_head(3, 3)]), st.data())
def test_damage_anywhere_is_at_most_a_value_error(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data[: draw.draw(st.integers(0, len(data)))])
    for _ in range(draw.draw(st.integers(0, 4)) if damaged else 0):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    try:
        header = read_header(bytes(damaged))
        check_content(bytes(damaged), header)
    except ValueError:
        return
    assert header.pixels > 0


def content_of(data: bytes) -> None:
    check_content(data, read_header(data))


# Bytes of the rows of a picture, worked out by hand.
@pytest.mark.parametrize(
    ("colour", "depth", "interlaced", "needed"),
    [
        (0, 1, False, 9 * (1 + 2)),  # 11 columns are 11 bits
        (0, 16, False, 9 * (1 + 22)),
        (2, 8, False, 9 * (1 + 33)),
        (3, 4, False, 9 * (1 + 6)),
        (4, 8, False, 9 * (1 + 22)),
        (6, 16, False, 9 * (1 + 88)),
        # the passes have 2x2, 1x2, 3x1, 3x3, 6x2, 5x5 and 11x4 pixels
        (0, 8, True, 2 * 3 + 2 * 2 + 1 * 4 + 3 * 4 + 2 * 7 + 5 * 6 + 4 * 12),
    ],
)
def test_a_png_has_exactly_the_rows_it_needs(
    colour: int, depth: int, interlaced: bool, needed: int
) -> None:
    content_of(png(11, 9, bytes(needed), colour=colour, depth=depth, interlaced=interlaced))
    short = png(11, 9, bytes(needed - 1), colour=colour, depth=depth, interlaced=interlaced)
    with pytest.raises(ValueError, match="cut short"):
        content_of(short)


def test_an_interlaced_png_of_one_pixel_has_no_empty_passes() -> None:
    content_of(png(1, 1, bytes(4), interlaced=True))


def test_a_png_that_unpacks_to_more_than_its_size_is_refused() -> None:
    content_of(png(2, 2, bytes(14 + 65_536)))  # what encoders leave behind
    bomb = png(2, 2, bytes(50_000_000))
    assert len(bomb) < 60_000
    with pytest.raises(ValueError, match="unpacks to more"):
        content_of(bomb)


def test_a_png_in_many_pieces_is_read_as_one() -> None:
    whole = png(50, 50, compressed=zlib.compress(bytes(50 * 151), level=0))
    content_of(whole)
    start = whole.index(b"IDAT") + 4
    data = whole[start : whole.index(b"IEND") - 8]
    pieces = b"".join(struct.pack(">I4sBI", 1, b"IDAT", byte, 0) for byte in data)
    content_of(whole[: start - 8] + pieces + whole[-12:])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (png(9, 9)[:-12], "cut short"),
        (png(9, 9)[:-30], "cut short"),
        (png(9, 9, compressed=b"nonsense"), "damaged"),
        (png(9, 9, compressed=zlib.compress(bytes(9 * 28))[:-6]), "cut short"),
        (png(9, 9, colour=5), "colour type"),
        (png(1, 1)[:33] + bytes(12 * 20_000), "chunks"),
        (jpeg_head(9, 9) + b"\xff\xda" * 129, "scans"),
    ],
)
def test_damaged_contents_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        content_of(data)
