"""What an image file says about itself, read before an engine decodes it. Pure.

llama.cpp decodes PNG, JPEG, GIF and BMP with stb_image, into memory for as many pixels as the
header says, and for a PNG as much as its data inflates to: one of 1 by 1 pixels and 1.2 MB made
the engine (xllamacpp 2026.10) take 1.4 GB. WebP, and whatever stb_image cannot read, it hands to
the first `ffprobe` on the PATH, as if it were a video. That is not for bytes from a client, so
they are refused here and told what is wrong.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

_PNG = b"\x89PNG\r\n\x1a\n"

# Decoders need no more of them; without a limit, a few bytes each cost us a step each.
_MAX_CHUNKS = 16_384  # 8 MB in the smallest chunks that encoders write, 512 bytes
_MAX_SEGMENTS = 4096
# Every scan of a progressive JPEG visits all of its pixels; encoders write about ten.
_MAX_SCANS = 128

_INFLATE_BYTES = 1 << 20
_DEFLATED_BYTES = 1 << 16
# Some encoders write a little more than the pixels need, and decoders do not mind.
_SURPLUS_BYTES = 1 << 16

_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type; PNG 3rd edition, table 11.1
# Adam7: first column and row of each pass, and how many columns and rows lie between two.
_PNG_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)

_JPEG_FILL = re.compile(rb"\xff++")
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive
# Tables, restart interval, comments and application data: what may stand before the frame.
_JPEG_TABLES = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})


class ImageHeader(Struct, frozen=True):
    """Kind (`png`, `jpeg`, `gif`, `bmp`) and size in pixels."""

    kind: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


def read_header(data: bytes) -> ImageHeader:
    """What the file says it is.

    Raises:
        ValueError: no image that llama.cpp decodes, or its header is damaged.
    """
    found = next((reader for start, reader in _KINDS.items() if data.startswith(start)), None)
    if found is None:
        webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
        raise ValueError(f"{'WebP' if webp else 'data of this kind'} is not decoded here")
    kind, read = found
    try:
        width, height = read(data)
    except (struct.error, IndexError) as error:
        raise ValueError("it ends within its header") from error
    if width < 1 or height < 1:
        raise ValueError(f"its size cannot be {width} x {height} pixels")
    return ImageHeader(kind, width, height)


def check_content(data: bytes, header: ImageHeader) -> None:
    """Hold the content against the header: a decoder's work must follow from the size alone.

    Takes about as long as inflating it: milliseconds per megapixel of a PNG, nothing for others.

    Raises:
        ValueError: it is cut short or damaged, or would unpack to more than it says.
    """
    if header.kind == "png":
        _check_png(data, header)
    elif header.kind == "jpeg" and data.count(b"\xff\xda") > _MAX_SCANS:
        raise ValueError(f"it has more than {_MAX_SCANS} scans")


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError("its first chunk is not the header")
    width, height, *_ = struct.unpack_from(">IIBBBBB", data, 16)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walks as stb_image does, so that both find the same frame."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        at = data.find(b"\xff", at)
        fill = _JPEG_FILL.match(data, at) if at >= 0 else None
        if fill is None:
            raise ValueError("it ends before its size")
        marker, at = data[fill.end()], fill.end() + 1
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        if marker not in _JPEG_TABLES:
            break
        at += max(2, struct.unpack_from(">H", data, at)[0])
    raise ValueError("it is no baseline or progressive JPEG")


def _gif_size(data: bytes) -> tuple[int, int]:
    return struct.unpack_from("<HH", data, 6)


def _bmp_size(data: bytes) -> tuple[int, int]:
    """The height is negative when the rows run from top to bottom."""
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:  # OS/2
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)


_KINDS: Mapping[bytes, tuple[str, Callable[[bytes], tuple[int, int]]]] = {
    _PNG: ("png", _png_size),
    b"\xff\xd8\xff": ("jpeg", _jpeg_size),
    b"GIF87a": ("gif", _gif_size),
    b"GIF89a": ("gif", _gif_size),
    b"BM": ("bmp", _bmp_size),
}


def _check_png(data: bytes, header: ImageHeader) -> None:
    needed = _png_bytes(data, header)
    try:
        inflated = _inflated_bytes(_png_deflated(data), needed + _SURPLUS_BYTES)
    except zlib.error as error:
        raise ValueError("its data is damaged") from error
    if inflated < needed:
        raise ValueError("its data is cut short")
    if inflated > needed + _SURPLUS_BYTES:
        raise ValueError("its data unpacks to more than its size says")


def _png_bytes(data: bytes, header: ImageHeader) -> int:
    """Bytes of all rows, each with its filter byte; PNG 3rd edition, sections 7.2 and 8."""
    depth, colour, interlaced = data[24], data[25], data[28]
    if colour not in _PNG_CHANNELS:
        raise ValueError(f"its colour type cannot be {colour}")
    bits = depth * _PNG_CHANNELS[colour]
    passes = _PNG_PASSES if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, every_column, every_row in passes:
        columns = -(-max(0, header.width - left) // every_column)
        rows = -(-max(0, header.height - top) // every_row)
        total += rows * (1 + (columns * bits + 7) // 8) if columns else 0
    return total


def _png_deflated(data: bytes) -> Iterator[bytes]:
    """The compressed pixels in small pieces, until the chunk that ends the file."""
    view, at = memoryview(data), len(_PNG)
    for _ in range(_MAX_CHUNKS):
        if at + 12 > len(data):
            raise ValueError("it is cut short")
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return
        if kind == b"IDAT":
            end = min(at + 8 + length, len(data))
            for start in range(at + 8, end, _DEFLATED_BYTES):
                yield bytes(view[start : min(start + _DEFLATED_BYTES, end)])
        at += length + 12
    raise ValueError(f"it has more than {_MAX_CHUNKS} chunks")


def _inflated_bytes(pieces: Iterator[bytes], limit: int) -> int:
    """How much the pieces inflate to; counting ends soon after `limit`."""
    inflater = zlib.decompressobj()
    total = 0
    for piece in pieces:
        while piece and not inflater.eof and total <= limit:
            total += len(inflater.decompress(piece, _INFLATE_BYTES))
            piece = inflater.unconsumed_tail
    return total if total > limit else total + len(inflater.flush())
