# SPDX-License-Identifier: MIT
"""Oxford-IIIT Pets with its trimaps: 1 pet, 2 background, 3 border (Parkhi, Vedaldi, Zisserman, Jawahar, CVPR 2012)."""
from .pairs import DataError, Pairs, classes_of, table_of, values_loader

CLASSES = classes_of((("pet", (230, 120, 30), 1), ("background", (0, 0, 0), 2), ("border", (255, 255, 255), 3)))
WHAT = "Oxford-IIIT Pets: ROOT/images and ROOT/annotations (trainval.txt, test.txt, trimaps/), from www.robots.ox.ac.uk/~vgg/data/pets; docs/data.md"
LISTS = {"train": "trainval.txt", "val": "test.txt", "test": "test.txt"}


def open_data(root, split="train", **_):
    listing = root / "annotations" / LISTS.get(split, f"{split}.txt")
    if not listing.exists():
        raise DataError(f"{listing} is not there: {WHAT}")
    stems = [line.split()[0] for line in listing.read_text().splitlines() if line.strip() and not line.startswith("#")]
    if not stems:
        raise DataError(f"{listing}: the list is empty: {WHAT}")
    files = [(root / "images" / f"{s}.jpg", root / "annotations/trimaps" / f"{s}.png") for s in stems]
    for pair in files:
        for f in pair:
            if not f.exists():
                raise DataError(f"{f} is not there, but {listing} lists it: {WHAT}")
    return Pairs(CLASSES, files, values_loader(table_of({c["id"]: i for i, c in enumerate(CLASSES)}), CLASSES), keep=False)
