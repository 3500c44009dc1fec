# SPDX-License-Identifier: MIT
"""Small data sets whose predictions are known: pictures are painted in the colours of what the model shall find, labels say what is true."""
import json
import random

import small_png
import tiny_onnx
from kerb_case import KerbCase

CAMVID = [("sky", (128, 128, 128)), ("building", (128, 0, 0)), ("pole", (192, 192, 128)), ("road", (128, 64, 128)), ("pavement", (60, 40, 222)), ("tree", (128, 128, 0)),
          ("sign", (192, 128, 128)), ("fence", (64, 64, 128)), ("car", (64, 0, 128)), ("pedestrian", (64, 64, 0)), ("cyclist", (0, 128, 192))]
# name, labelId: cityscapesScripts' labels.py
CITYSCAPES = [("road", 7), ("sidewalk", 8), ("building", 11), ("wall", 12), ("fence", 13), ("pole", 17), ("traffic light", 19), ("traffic sign", 20), ("vegetation", 21),
              ("terrain", 22), ("sky", 23), ("person", 24), ("rider", 25), ("car", 26), ("truck", 27), ("bus", 28), ("train", 31), ("motorcycle", 32), ("bicycle", 33)]
CITY_COLORS = [(40 * (i % 6) + 20, 60 * (i // 6 % 4) + 20, 220 if i >= 12 else 20) for i in range(19)]


def blobs(seed, width, height, values, count=14):
    """Rectangles of random values over each other: a map with straight edges and corners."""
    chance = random.Random(seed)
    out = [chance.choice(values)] * (width * height)
    for _ in range(count):
        w, h, value = chance.randint(1, width // 2), chance.randint(1, height // 2), chance.choice(values)
        x, y = chance.randint(0, width - w), chance.randint(0, height - h)
        for v in range(y, y + h):
            out[v * width + x:v * width + x + w] = [value] * w
    return out


def disturbed(seed, truth, width, values):
    """A prediction: the truth, shifted a little, with some rectangles of its own."""
    chance = random.Random(seed + 1000)
    by = chance.randint(-2, 2)
    out = truth[-by:] + truth[:-by] if by else list(truth)
    for _ in range(4):
        w, h, value = chance.randint(1, width // 4), chance.randint(1, 8), chance.choice(values)
        x, y = chance.randint(0, width - w), chance.randint(0, len(truth) // width - h)
        for v in range(y, y + h):
            out[v * width + x:v * width + x + w] = [value] * w
    return out


class EvalCase(KerbCase):
    def classes_model(self, classes, width, height, ids=None, name="net.onnx", **rest):
        """A model that finds each class where its colour is."""
        listed = [{"name": n, "color": list(c), **({"id": ids[i]} if ids else {})} for i, (n, c) in enumerate(classes)]
        return tiny_onnx.nearest(self.folder / name, listed, width, height, **rest)

    def data_set(self, name, frames, width, colors, value_of=lambda v: v, images="images", labels="labels", image="f{:03}.png", label="f{:03}.png"):
        """frames: of (truth, prediction). The folder."""
        root = self.folder / name
        for folder in (images, labels):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for i, (truth, prediction) in enumerate(frames):
            small_png.write_rgb(root / images / image.format(i), width, prediction, colors)
            small_png.write_map(root / labels / label.format(i), width, [value_of(v) for v in truth])
        return root

    def evaluate(self, root, dataset, *arguments, model=None, code=0):
        done = self.kerb("eval", "--model", model or self.folder / "net.onnx", "--threads", 1, *(["--dataset", dataset] if dataset else []), "--json", *arguments, root, code=code)
        self.assertNotIn("CRITICAL", done.stderr)
        self.stderr = done.stderr
        return json.loads(done.stdout)

    def same(self, got, wanted, what="", places=9):
        if wanted is None:
            self.assertIsNone(got, what)
        else:
            self.assertIsNotNone(got, what)
            self.assertAlmostEqual(got, wanted, places=places, msg=what)
