# SPDX-License-Identifier: MIT
"""Data sets by name. docs/data.md has a page on each: layout, terms, where to get it."""
import os
import pathlib

from . import camvid, cityscapes, folder, kitti_road, m2nist, pets, testsrc
from .merged import Merged
from .pairs import VOID, DataError, check_classes

__all__ = ["DATA", "VOID", "DataError", "check_classes", "open_data"]
DATA = {"camvid": camvid, "cityscapes": cityscapes, "kitti-road": kitti_road, "pets": pets, "m2nist": m2nist, "folder": folder, "testsrc": testsrc}


def open_data(name, root=None, split="train", merge=()):
    """merge: merged.py. DataError where it is missing or unsound. root None: KERB_DATA/NAME (default ../shared/data beside the repository)."""
    if name not in DATA:
        raise DataError(f"there is no data set {name}; there are: {', '.join(DATA)}")
    if root is None:
        base = pathlib.Path(os.environ.get("KERB_DATA", pathlib.Path(__file__).resolve().parents[4] / "shared/data"))
        root = base / name.replace("-", "_")
    data = DATA[name].open_data(pathlib.Path(root), split)
    if not len(data):
        raise DataError(f"{root}: the split {split} is empty")
    return Merged(data, merge) if merge else data
