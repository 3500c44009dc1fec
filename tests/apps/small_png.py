# SPDX-License-Identifier: MIT
"""PNG files as tests want them, and no package: write(path, width, height, rows...) in any colour type; read(path) of 8-bit grey."""
import struct
import zlib

GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6


def _chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def write(path, width, height, data, kind=GRAY, depth=8, palette=None):
    """data: the bytes of all rows, packed as PNG packs them."""
    stride = len(data) // height
    raw = b"".join(b"\0" + data[y * stride:(y + 1) * stride] for y in range(height))
    body = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    if palette:
        body += _chunk(b"PLTE", bytes(v for color in palette for v in color))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IDAT", zlib.compress(raw)) + _chunk(b"IEND", b""))


def write_map(path, width, values, **rest):
    """One number a pixel, 8 bits."""
    write(path, width, len(values) // width, bytes(values), **rest)


def write_rgb(path, width, values, colors):
    """One number a pixel, painted in these colours."""
    write(path, width, len(values) // width, b"".join(bytes(colors[v]) for v in values), kind=RGB)


def read(path):
    """width, height, bytes of an 8-bit grey picture; all filters."""
    with open(path, "rb") as f:
        data = f.read()
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    if (depth, kind) != (8, GRAY):
        raise ValueError(f"{path}: depth {depth}, colour type {kind}")
    packed, at = b"", 8
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + size] if name == b"IDAT" else b""
        at += 12 + size
    raw, out, above = zlib.decompress(packed), bytearray(), bytes(width)
    for y in range(height):
        filtered, row = raw[y * (width + 1)], bytearray(raw[y * (width + 1) + 1:(y + 1) * (width + 1)])
        for x in range(width):
            left, corner = (row[x - 1], above[x - 1]) if x else (0, 0)
            near = min((left, above[x], corner), key=lambda v: abs(left + above[x] - corner - v))
            row[x] = (row[x] + (0, left, above[x], (left + above[x]) // 2, near)[filtered]) & 255
        out += row
        above = row
    return width, height, bytes(out)
