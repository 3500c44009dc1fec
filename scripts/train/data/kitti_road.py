# SPDX-License-Identifier: MIT
"""KITTI road: road against everything else. Ground truth is a colour picture: magenta is road (its blue channel says so), black is not judged, as in the
benchmark's own kit (Fritsch, Kuehnl, Geiger, ITSC 2013)."""
import numpy as np

from .pairs import VOID, Pairs, classes_of, pair_up, read_picture

CLASSES = classes_of((("background", (0, 0, 0), 0), ("road", (255, 0, 255), 1)))
WHAT = "KITTI road: ROOT/training/image_2 and ROOT/training/gt_image_2, from www.cvlibs.net/datasets/kitti (registration); docs/data.md"


def load(path):
    rgb = read_picture(path)
    judged, road = rgb[..., 0] > 0, rgb[..., 2] > 0
    return np.where(judged, road, VOID).astype(np.uint8)


def names(stem):
    kind, _, number = stem.rpartition("_")
    return f"{kind}_road_{number}.png", f"{kind}_lane_{number}.png", f"{stem}.png"


def open_data(root, split="train", **_):
    """The benchmark has labels for its training part alone: every fifth picture is the split "val", the others "train"; "all" is both."""
    pairs = [("training/image_2", "training/gt_image_2"), ("image_2", "gt_image_2"), ("images", "gt")]
    images, labels = next(((root / a, root / b) for a, b in pairs if (root / a).is_dir()), (root / pairs[0][0], root / pairs[0][1]))
    files = pair_up(images, labels, names, WHAT)
    if split != "all":
        files = [f for i, f in enumerate(files) if (i % 5 == 4) == (split == "val")]
    return Pairs(CLASSES, files, load)
