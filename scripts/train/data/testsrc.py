# SPDX-License-Identifier: MIT
"""kerbtestsrc's synthetic drive: its code (plugin/drive.c) compiled and called from here, so that every picture is new."""
import ctypes
import pathlib
import subprocess
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]
CLEAR, NIGHT, RAIN = range(3)
HELD_OUT = 0x80000000  # seeds with this bit are for judging: training never draws them


class DriveStruct(ctypes.Structure):
    _fields_ = [("seed", ctypes.c_uint32), ("weather", ctypes.c_int), ("width", ctypes.c_int), ("height", ctypes.c_int)]


class ClassInfo(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("rgb", ctypes.c_uint8 * 3)]


class Drive:
    """render(seed, weather, seconds, width, height) -> RGB (H, W, 3) uint8, labels (H, W) uint8. Threads may share one."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as folder:  # a library that is loaded needs its file no more
            library = pathlib.Path(folder) / "drive.so"
            subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, ROOT / "plugin/drive.c", "-lm"], check=True)
            self.library = ctypes.CDLL(str(library))
        self.library.drive_render.argtypes = [ctypes.POINTER(DriveStruct), ctypes.c_double, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
        table = (ClassInfo * 9).in_dll(self.library, "drive_classes")
        self.classes = [(c.name.decode(), list(c.rgb)) for c in table]

    def render(self, seed, weather, seconds, width, height):
        rgb = np.empty((height, width, 3), np.uint8)
        labels = np.empty((height, width), np.uint8)
        drive = DriveStruct(seed, weather, width, height)
        self.library.drive_render(ctypes.byref(drive), seconds, rgb.ctypes.data, 3 * width, labels.ctypes.data, width)
        return rgb, labels


class Testsrc:
    """`n` pictures of as many drives, chosen by `seed`; those of the split "val" have seeds that training never draws."""

    def __init__(self, split="train", n=2000, width=480, height=288, seed=1):
        self.drive, self.n, self.size, self.seed = Drive(), n, (width, height), seed
        self.bit = HELD_OUT if split != "train" else 0
        self.classes = [{"name": name, "color": list(rgb), "id": i} for i, (name, rgb) in enumerate(self.drive.classes)]

    def __len__(self):
        return self.n

    def name(self, i):
        return f"testsrc_{i:05}"

    def __getitem__(self, i):
        rng = np.random.default_rng((self.seed, i))
        seed = int(rng.integers(1, 2**31)) | self.bit
        return self.drive.render(seed, int(rng.choice([CLEAR, CLEAR, NIGHT, RAIN])), float(rng.uniform(0, 600)), *self.size)


def open_data(root, split="train", **options):
    return Testsrc(split, n=2000 if split == "train" else 200, **options)
