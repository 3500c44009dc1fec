# SPDX-License-Identifier: MIT
"""A folder of your own: images/ and labels/ (or SPLIT/images and SPLIT/labels) and classes.json, as `kerb eval --dataset folder` reads it."""
import json

from PIL import Image

from .pairs import VOID, DataError, Pairs, pair_up, table_of, values_loader

WHAT = 'a folder with images/, labels/ (PNG, one number a pixel) and classes.json: [{"name": "road", "color": [128, 64, 128], "id": 0}, ...]; docs/data.md'


def read_classes(path):
    try:
        listed = json.loads(path.read_text())
        listed, void = (listed["classes"], listed.get("void", [])) if isinstance(listed, dict) else (listed, [])
        classes = [{"name": str(c["name"]), "color": [int(v) for v in c["color"]], "id": int(c.get("id", i))} for i, c in enumerate(listed)]
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there: {WHAT}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: {type(error).__name__} {error}: {WHAT}") from error
    ids = [c["id"] for c in classes]
    if len(classes) < 2 or len(set(ids)) != len(ids) or not all(0 <= i <= 255 for i in ids):
        raise DataError(f"{path}: two classes or more with different ids of 0 to 255 are needed, not {ids}")
    return classes, void


def write(data, root, most=None):
    """Any data set here as such a folder: pictures as PNG, labels as indices of the classes, 255 void."""
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for i in range(min(len(data), most or len(data))):
        for part, values in zip(("images", "labels"), data[i]):
            Image.fromarray(values).save(root / part / f"{data.name(i)}.png")
    (root / "classes.json").write_text(json.dumps([{**c, "id": i} for i, c in enumerate(data.classes)]) + "\n")
    return root


def open_data(root, split="train", **_):
    base = root / split if (root / split).is_dir() else root
    listing = next((f for f in (root / "classes.json", base / "classes.json") if f.exists()), root / "classes.json")
    classes, void = read_classes(listing)
    files = pair_up(base / "images", base / "labels", lambda stem: (f"{stem}.png",), WHAT)
    mapping = {255: VOID} | {int(v): VOID for v in void} | {c["id"]: i for i, c in enumerate(classes)}
    return Pairs(classes, files, values_loader(table_of(mapping), classes))
