# SPDX-License-Identifier: MIT
"""A data set with fewer classes: "road=road,pavement" makes one class of several. What no text names becomes the background, class 0; void stays void."""
import numpy as np

from .pairs import VOID


def parse(texts, classes):
    """["road=road", ...] -> (new classes, table of old index -> new). ValueError names what there is."""
    names = [c["name"] for c in classes]
    merged, table = [], np.full(256, VOID, np.uint8)
    table[:len(classes)] = 0
    parts = [(name.strip(), [part.strip() for part in of.split(",")]) for name, _, of in (text.partition("=") for text in texts)]
    named = [part for _, of in parts for part in of]
    for part in named:
        if part not in names:
            raise ValueError(f"--merge: there is no class {part!r}; there are: {', '.join(names)}")
        if named.count(part) > 1:
            raise ValueError(f"--merge: the class {part} is named {named.count(part)} times; it can become one thing")
    if len(named) < len(classes):
        merged.append({"name": "background", "color": [0, 0, 0], "id": 0})
    for name, of in parts:
        if not name or name in [c["name"] for c in merged]:
            raise ValueError(f"--merge: {name!r} is no name for a class, or there are two of it: NAME=CLASS,CLASS...")
        indices = [names.index(part) for part in of]
        table[indices] = len(merged)
        merged.append({"name": name, "color": list(classes[indices[0]]["color"]), "id": len(merged)})
    return merged, table


class Merged:
    """`data` seen so; the numbers of its classes are their indices."""

    def __init__(self, data, texts):
        self.data = data
        self.classes, self.table = parse(texts, data.classes)

    def __len__(self):
        return len(self.data)

    def name(self, i):
        return self.data.name(i)

    def __getitem__(self, i):
        picture, labels = self.data[i]
        return picture, self.table[labels]
