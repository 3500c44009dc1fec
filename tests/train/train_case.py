# SPDX-License-Identifier: MIT
"""The Python that has PyTorch, entered; the packages of scripts/train and scripts/export, importable; and what several tests use."""
import os
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
try:
    import torch  # noqa: F401
except ImportError:
    python = next((p for p in (pathlib.Path(os.environ.get("KERB_PYTHON", "/nowhere")), ROOT / "build/train/venv/bin/python") if p.exists()), None)
    if python is None or os.environ.get("KERB_TRAIN_ENTERED"):
        print("skipped: PyTorch is not here: python3 -m venv build/train/venv && build/train/venv/bin/pip install -r scripts/train/requirements.txt, or name a Python in KERB_PYTHON")
        sys.exit(SKIPPED)
    os.environ["KERB_TRAIN_ENTERED"] = "1"
    os.execv(python, [str(python), *sys.argv])

torch.set_num_threads(1)
sys.path[:0] = [str(ROOT / "scripts/train"), str(ROOT / "scripts/export")]
BUILD = pathlib.Path(os.environ.get("KERB_BUILD", ROOT / "build/release"))


def make_folder(root, n=6, size=(48, 32), classes=(("ground", 0), ("thing", 7)), split=None, seed=0):
    """A data set of the kind "folder": a bright box, which is the thing, on dark ground."""
    import json

    import numpy as np
    from PIL import Image
    rng = np.random.default_rng(seed)
    base = root / split if split else root
    for folder in ("images", "labels"):
        (base / folder).mkdir(parents=True)
    w, h = size
    for i in range(n):
        labels = np.full((h, w), classes[0][1], np.uint8)
        x, y = int(rng.integers(0, w // 2)), int(rng.integers(0, h // 2))
        labels[y:y + h // 2, x:x + w // 2] = classes[1][1]
        picture = np.where((labels == classes[1][1])[..., None], 200, 50) + rng.normal(0, 10, (h, w, 3))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(base / "images" / f"{i:03}.png")
        Image.fromarray(labels).save(base / "labels" / f"{i:03}.png")
    (root / "classes.json").write_text(json.dumps([{"name": n, "color": [50 * i, 100, 0], "id": v} for i, (n, v) in enumerate(classes)]))
    return root


class Scratch(unittest.TestCase):
    """A folder of its own, gone after each test."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()
