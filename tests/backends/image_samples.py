"""Image files made by hand: the smallest of each kind, and as large as their headers say."""

from __future__ import annotations

import struct
import zlib


def png(
    width: int,
    height: int,
    pixels: bytes | None = None,
    *,
    depth: int = 8,
    colour: int = 2,
    interlaced: bool = False,
    compressed: bytes | None = None,
) -> bytes:
    """A PNG file.

    Args:
        pixels: its rows, each with its filter byte; black ones of 3 bytes a pixel if None.
        compressed: what stands in their place, as it is.
    """
    if pixels is None and compressed is None:
        pixels = bytes(height * (1 + width * 3))
    data = zlib.compress(pixels or b"") if compressed is None else compressed
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", data)
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def jpeg_head(width: int, height: int, *, marker: int = 0xC0, before: bytes = b"") -> bytes:
    """A JPEG file up to its first scan: an APP0 segment, `before`, the frame header."""
    app = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + bytes(9)
    frame = bytes([0xFF, marker]) + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8" + app + before + frame


def bmp(width: int, height: int, pixels: bytes = b"") -> bytes:
    """A BMP file of 24 bits a pixel."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + info + pixels


def gif(width: int, height: int) -> bytes:
    """A GIF file with one black pixel."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    image = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0;"
    return screen + image
