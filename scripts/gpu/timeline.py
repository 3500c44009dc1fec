# SPDX-License-Identifier: MIT
"""The timeline of a pipelined run: what KERB_CUDA_TIMELINE wrote, how much of the copies lies beside computing, and a picture of it (PNG)."""
import csv
import struct
import zlib

LANES = (("up", "up_begin", "up_end", (96, 165, 250)), ("compute", "in_begin", "out_end", (250, 190, 88)), ("down", "down_begin", "down_end", (72, 199, 160)))


def read(path):
    """[{name: microseconds}] by frame; frames that lack a time are left out."""
    with open(path, newline="") as f:
        rows = [{k: float(v) for k, v in row.items() if k and v not in (None, "")} for row in csv.DictReader(f)]
    return [r for r in rows if all(name in r for _, begin, end, _ in LANES for name in (begin, end))]


def covered(span, others):
    """How much of (begin, end) lies within the union of `others`."""
    begin, end = span
    total, at = 0.0, begin
    for b, e in sorted(others):
        b, e = max(b, at), min(e, end)
        if e > b:
            total += e - b
            at = e
    return total


def hidden(rows):
    """Share of the copies' time that lies beside the computing of another frame: (up, down), each 0..1; None where there was none to hide."""
    out = []
    for lane in (LANES[0], LANES[2]):
        time = beside = 0.0
        for i, row in enumerate(rows):
            span = (row[lane[1]], row[lane[2]])
            computing = [(r["in_begin"], r["out_end"]) for j, r in enumerate(rows) if j != i]
            time += span[1] - span[0]
            beside += covered(span, computing)
        out.append(beside / time if time else None)
    return out


def busy(rows):
    """Share of the time from first to last frame in which something is computed."""
    spans = [(r["in_begin"], r["out_end"]) for r in rows]
    begin, end = min(s[0] for s in spans), max(s[1] for s in spans)
    return covered((begin, end), spans) / (end - begin) if end > begin else 0.0


def draw(rows, path, title):
    """Matplotlib's picture where it is there; coloured bars without text elsewhere."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return bars(rows, path)
    start = min(r["up_begin"] for r in rows)
    figure, axes = pyplot.subplots(figsize=(12, 2.6), dpi=110)
    for lane, (_, begin, end, color) in enumerate(LANES):
        for i, r in enumerate(rows):
            axes.barh(lane, (r[end] - r[begin]) / 1e3, left=(r[begin] - start) / 1e3, height=0.72, linewidth=1,
                      color=[c / 255 * (1 if i % 2 else 0.72) for c in color], edgecolor=[c / 255 for c in color])  # an edge: short copies stay visible
            if lane == 1:
                axes.text((r[begin] + r[end] - 2 * start) / 2e3, lane, str(int(r.get("frame", i))), ha="center", va="center", fontsize=7)
    axes.set_yticks(range(len(LANES)), [lane[0] for lane in LANES])
    axes.invert_yaxis()
    axes.set_xlabel("ms, the GPU's clock; numbers are frames")
    axes.set_title(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(path)
    return None


def bars(rows, path, width=1200, lane_px=40):
    start, end = min(r["up_begin"] for r in rows), max(r["down_end"] for r in rows)
    pixels = [bytearray(b"\xff" * (3 * width)) for _ in range(lane_px * len(LANES))]
    for lane, (_, first, last, color) in enumerate(LANES):
        for i, r in enumerate(rows):
            left = int((r[first] - start) / (end - start) * (width - 1))
            right = max(int((r[last] - start) / (end - start) * (width - 1)), left + 1)
            shade = bytes(int(c * (1 if i % 2 else 0.72)) for c in color)
            for y in range(lane * lane_px + 4, (lane + 1) * lane_px - 4):
                pixels[y][3 * left:3 * right] = shade * (right - left)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    raw = b"".join(b"\0" + bytes(row) for row in pixels)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(pixels), 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
