# SPDX-License-Identifier: MIT
"""Pairs of picture and label picture, checked. What every data set here gives:

len(data), data[i] -> (RGB uint8 (H, W, 3), labels uint8 (H, W): index of the class, VOID where nothing is judged), data.name(i), and
data.classes: [{"name", "color": [r, g, b], "id": number in the label files}, ...].
"""
import pathlib

import numpy as np
from PIL import Image

VOID = 255


class DataError(Exception):
    """Data that is missing or contradicts itself; the message says which file, what was found, and what to do."""


def classes_of(table):
    """((name, (r, g, b), id), ...) -> what Kerb's cards and labels files hold."""
    return [{"name": name, "color": list(color), "id": number} for name, color, number in table]


def read_picture(path):
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise DataError(f"{path}: not a picture that can be read ({error})") from error


def read_values(path):
    """A label picture's numbers (H, W) uint8; palette pictures give their indices, not their colours."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P", "1", "I;16", "I"):
                raise DataError(f"{path}: a label picture has one number a pixel, this one is {image.mode}")
            values = np.asarray(image)
    except OSError as error:
        raise DataError(f"{path}: not a label picture that can be read ({error})") from error
    if values.max(initial=0) > 255:
        raise DataError(f"{path}: label {values.max()} is above 255")
    return values.astype(np.uint8)


def table_of(mapping, unknown=None):
    """{number in the file: class index or VOID} -> a look-up table of 256; numbers that are not in it map to `unknown` (None: they are an error)."""
    table = np.full(256, -1 if unknown is None else unknown, np.int16)
    for number, index in mapping.items():
        table[number] = index
    return table


class Pairs:
    """Files on disk. `load(path)` -> labels as class indices; pictures and labels are read when asked for, and kept where `keep`."""

    def __init__(self, classes, files, load, keep=True):
        self.classes, self.files, self._load = classes, files, load
        self._kept = {} if keep else None

    def __len__(self):
        return len(self.files)

    def name(self, i):
        return pathlib.Path(self.files[i][0]).stem

    def __getitem__(self, i):
        if self._kept is not None and i in self._kept:
            return self._kept[i]
        picture, labels = read_picture(self.files[i][0]), self._load(self.files[i][1])
        if picture.shape[:2] != labels.shape:
            raise DataError(f"{self.files[i][1]}: {labels.shape[1]}x{labels.shape[0]}, but its picture {self.files[i][0]} has "
                            f"{picture.shape[1]}x{picture.shape[0]}: the two must be of one size")
        if self._kept is not None:
            self._kept[i] = picture, labels
        return picture, labels


def values_loader(table, classes):
    """Reads a label picture of numbers through a table; a number without meaning is an error that names it."""
    def load(path):
        values = read_values(path)
        labels = table[values]
        if (labels < 0).any():
            wrong = sorted(set(values[labels < 0].tolist()))
            raise DataError(f"{path}: the number{'s' if len(wrong) > 1 else ''} {', '.join(map(str, wrong[:8]))} {'are' if len(wrong) > 1 else 'is'} not among the "
                            f"{len(classes)} classes ({', '.join(str(c['id']) for c in classes[:20])}) nor void")
        return labels.astype(np.uint8)
    return load


PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def pair_up(images, labels, label_names, what):
    """Files of the folder `images`, each with the first of label_names(stem) that is in `labels`. DataError: empty, or a picture without labels."""
    images, labels = pathlib.Path(images), pathlib.Path(labels)
    for folder in (images, labels):
        if not folder.is_dir():
            raise DataError(f"{folder} is not there: {what}")
    pictures = sorted(p for p in images.iterdir() if p.suffix.lower() in PICTURES)
    if not pictures:
        raise DataError(f"{images}: no pictures ({', '.join(PICTURES)}) are in this folder: {what}")
    files = []
    for picture in pictures:
        found = next((labels / n for n in label_names(picture.stem) if (labels / n).exists()), None)
        if found is None:
            raise DataError(f"{picture}: its labels ({labels / label_names(picture.stem)[0]}) are not there")
        files.append((picture, found))
    return files


def check_classes(data, sample=50):
    """At least two classes occur in the first `sample` pairs. -> pixels of each class there."""
    counts = np.zeros(256, np.int64)
    for i in range(min(sample, len(data))):
        counts += np.bincount(data[i][1].ravel(), minlength=256)
    seen = [data.classes[c]["name"] for c in range(len(data.classes)) if counts[c]]
    if len(seen) < 2:
        raise DataError(f"only {'the class ' + seen[0] if seen else 'void'} occurs in the first {min(sample, len(data))} label pictures: there is nothing to learn; "
                        "are the numbers those of the classes?")
    return counts[:len(data.classes)]
