# SPDX-License-Identifier: MIT
"""Cityscapes: labelIds (34 numbers) -> the 19 classes that are trained and judged; the others are void (cityscapesScripts, helpers/labels.py)."""
from .pairs import VOID, DataError, Pairs, classes_of, pair_up, table_of, values_loader

CLASSES = classes_of((
    ("road", (128, 64, 128), 7), ("sidewalk", (244, 35, 232), 8), ("building", (70, 70, 70), 11), ("wall", (102, 102, 156), 12), ("fence", (190, 153, 153), 13),
    ("pole", (153, 153, 153), 17), ("traffic light", (250, 170, 30), 19), ("traffic sign", (220, 220, 0), 20), ("vegetation", (107, 142, 35), 21),
    ("terrain", (152, 251, 152), 22), ("sky", (70, 130, 180), 23), ("person", (220, 20, 60), 24), ("rider", (255, 0, 0), 25), ("car", (0, 0, 142), 26),
    ("truck", (0, 0, 70), 27), ("bus", (0, 60, 100), 28), ("train", (0, 80, 100), 31), ("motorcycle", (0, 0, 230), 32), ("bicycle", (119, 11, 32), 33)))
WHAT = "Cityscapes: ROOT/leftImg8bit/SPLIT/CITY and ROOT/gtFine/SPLIT/CITY, from www.cityscapes-dataset.com (registration); docs/data.md"


def names(stem):
    stem = stem.removesuffix("_leftImg8bit")
    return f"{stem}_gtFine_labelIds.png", f"{stem}.png"


def open_data(root, split="train", **_):
    mapping = {n: VOID for n in range(34)} | {c["id"]: i for i, c in enumerate(CLASSES)}
    load = values_loader(table_of(mapping), CLASSES)
    cities = root / "leftImg8bit" / split
    if not cities.is_dir():  # a sample without cities
        return Pairs(CLASSES, pair_up(root / "images", root / "labelIds", names, WHAT), load)
    files = [f for city in sorted(cities.iterdir()) if city.is_dir() for f in pair_up(city, root / "gtFine" / split / city.name, names, WHAT)]
    if not files:
        raise DataError(f"{cities}: no cities: {WHAT}")
    return Pairs(CLASSES, files, load, keep=False)
