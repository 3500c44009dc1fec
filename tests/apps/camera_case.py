# SPDX-License-Identifier: MIT
"""A stand-in camera for tests of the command (tests/camera): a folder with nodes, and a page of switches and counters that the camera shares with the test."""
import enum
import mmap
import os
import pathlib
import struct
import subprocess
import time

import kerb_case
from kerb_case import BUILD, KERB, KerbCase

SHIM = BUILD / "lib/tests/fake_camera.so"
LINK = "v4l/by-id/usb-Stand-in_Camera-video-index0"


class Fault(enum.IntEnum):
    FINE, STALL, EIO, SLOW, HALF, SHORT, BUSY, DENIED, FOREIGN, METADATA, STUCK, ABSURD, LOST_MODE, NO_USERPTR, HASTY = range(15)


class Camera:
    FIELDS = ("fault", "generation", "fps", "width", "height", "formats", "opened_ms", "fetched_ms", "opens", "open_now", "streams", "given", "userptr", "number", "fourcc", "missed")

    def __init__(self, folder, fps=30, formats=7):
        self.folder = pathlib.Path(folder)
        (self.folder / "dev/v4l/by-id").mkdir(parents=True)
        with open(self.folder / "control", "w+b") as file:
            file.truncate(4096)
            self.page = mmap.mmap(file.fileno(), 4096)
        self.set(fps=fps, width=64, height=36, formats=formats)
        self.node = None
        self.plug(0)

    def close(self):
        self.page.close()

    def get(self, name):
        return struct.unpack_from("<I", self.page, 4 * self.FIELDS.index(name))[0]

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("<I", self.page, 4 * self.FIELDS.index(name), int(value))

    def plug(self, number):
        self.node = self.folder / f"dev/video{number}"
        self.node.touch()
        (self.folder / "dev" / LINK).symlink_to(f"../../video{number}")

    def unplug(self):
        self.set(generation=self.get("generation") + 1)
        (self.folder / "dev" / LINK).unlink()
        self.node.unlink()

    @property
    def source(self):
        return f"v4l2://{self.folder}/dev/video0"

    @property
    def env(self):
        preload = f"{SHIM} {os.environ['LD_PRELOAD']}" if os.environ.get("LD_PRELOAD") else str(SHIM)
        return {"LD_PRELOAD": preload, "KERB_FAKE_CAMERA": str(self.folder), "KERB_DEV": str(self.folder / "dev")}


def number(data, width=64, height=36):
    """The running number that stands in a label map: class 1 (green) is a 1."""
    bits = [data[(2 * row + 1) * height // 8 * width + (2 * column + 1) * width // 16] for row in range(3) for column in range(8)]
    return int("".join("1" if b == 1 else "0" for b in bits), 2)


def numbers(path, size=64 * 36):
    """Those of a file of raw label maps."""
    data = pathlib.Path(path).read_bytes()
    return [number(data[at:at + size]) for at in range(0, len(data), size)]


def holes(found):
    """How many numbers are missing between the first and the last."""
    return sum(b - a - 1 for a, b in zip(found, found[1:]))


class CameraCase(KerbCase):
    def setUp(self):
        super().setUp()
        self.camera = Camera(self.folder / "fake")
        self.addCleanup(self.camera.close)
        self.labels = self.folder / "labels.gray"

    def record(self, *arguments, **keywords):
        source = keywords.pop("source", self.camera.source)
        return super().record(source, "--labels-out", self.labels, "--force", "--live-mode", "every-frame", *arguments, env={**self.camera.env, **keywords.pop("env", {})}, **keywords)

    def begin(self, *arguments, source=None):
        """A recording that goes on; its standard error in self.log, its summary in self.summary."""
        self.log, self.summary = self.folder / "log", self.folder / "summary"
        with open(self.log, "w") as log, open(self.summary, "w") as summary:
            process = subprocess.Popen([str(KERB), "record", source or self.camera.source, "-o", str(self.output), "--model", str(self.model), "--threads", "1", "--json", "--force",
                                        "--labels-out", str(self.labels), "--live-mode", "every-frame", *map(str, arguments)], stderr=log, stdout=summary, cwd=self.folder, env={**os.environ, **self.camera.env})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.wait(lambda: self.labels.exists() and self.labels.stat().st_size >= 64 * 36, process)
        return process

    def wait(self, condition, process=None, seconds=30):
        """Until the condition holds; returns the seconds that it took."""
        began = time.monotonic()
        while not condition():
            if process and process.poll() is not None:
                self.fail(f"kerb ended by itself ({process.returncode})\n{self.log.read_text()}")
            if time.monotonic() - began > seconds:
                self.fail("nothing came\n" + (self.log.read_text() if process else ""))
            time.sleep(0.01)
        return time.monotonic() - began

    def latest(self):
        """The camera's number of the last frame whose labels are in the file; -1: there is none."""
        size, frames = 64 * 36, self.frames()
        if not frames:
            return -1
        with open(self.labels, "rb") as file:
            file.seek((frames - 1) * size)
            return number(file.read(size))

    def frames(self):
        return self.labels.stat().st_size // (64 * 36)

    def returns(self, process, losses=1):
        """Waits until a loss is over and new frames are there; returns the seconds that it took."""
        return self.wait(lambda: self.log.read_text().count("is back") >= losses, process) + self.grows(process)

    def grows(self, process, by=2, seconds=30):
        """Waits for more frames; returns the seconds that it took."""
        goal = self.frames() + by
        return self.wait(lambda: self.frames() >= goal, process, seconds)


main = kerb_case.main
