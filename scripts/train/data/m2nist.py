# SPDX-License-Identifier: MIT
"""M2NIST: grey pictures of 64x84 with up to three digits of MNIST, and where each is. scripts/train/make-m2nist builds it."""
import numpy as np

from .pairs import DataError, classes_of

HEIGHT, WIDTH, MOST = 64, 84, 3
COLORS = ((230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48), (145, 30, 180), (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212))
CLASSES = classes_of((("background", (0, 0, 0), 0), *((str(d), COLORS[d], d + 1) for d in range(10))))
WHAT = "M2NIST: ROOT/{train,val}/combined.npy and segmented.npy: build it with scripts/train/make-m2nist; docs/data.md"


def compose(digits, labels, rng):
    """One picture: 1 to 3 digits, as they are in MNIST (28x28, no transforms), their boxes not overlapping. -> picture (64, 84) uint8, mask (64, 84, 11) uint8
    of 0 and 1: channels 0 to 9 the digits, 10 the background. A digit's pixels are those above 0."""
    picture, mask = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH, 11), np.uint8)
    boxes = []
    for _ in range(int(rng.integers(1, MOST + 1))):
        for _ in range(50):  # a place that is free; three digits nearly fill the picture, so sometimes there is none
            y, x = int(rng.integers(0, HEIGHT - 27)), int(rng.integers(0, WIDTH - 27))
            if all(abs(y - v) >= 28 or abs(x - u) >= 28 for v, u in boxes):
                break
        else:
            continue
        i = int(rng.integers(len(digits)))
        boxes.append((y, x))
        picture[y:y + 28, x:x + 28] = digits[i]
        mask[y:y + 28, x:x + 28, labels[i]] = digits[i] > 0
    mask[..., 10] = mask[..., :10].sum(-1) == 0
    return picture, mask


class M2nist:
    """Pictures are grey, given as RGB with three equal channels; labels: 0 background, 1 + digit."""

    classes = CLASSES

    def __init__(self, folder):
        try:
            self.pictures, self.masks = (np.load(folder / f"{n}.npy", mmap_mode="r") for n in ("combined", "segmented"))
        except (OSError, ValueError) as error:
            raise DataError(f"{folder}: {error}: {WHAT}") from error
        made = folder.parent / "made.txt"
        self.made = made.read_text().strip() if made.exists() else None  # the command that built it
        if self.pictures.ndim != 3 or self.masks.shape != (*self.pictures.shape, 11) or not len(self.pictures):
            raise DataError(f"{folder}: combined.npy is {self.pictures.shape} and segmented.npy {self.masks.shape}; (n, 64, 84) and (n, 64, 84, 11) are expected: {WHAT}")

    def __len__(self):
        return len(self.pictures)

    def name(self, i):
        return f"{i:05}"

    def __getitem__(self, i):
        mask = np.asarray(self.masks[i])
        labels = np.where(mask[..., :10].any(-1), mask[..., :10].argmax(-1) + 1, 0).astype(np.uint8)
        return np.repeat(np.asarray(self.pictures[i])[..., None], 3, 2), labels


def open_data(root, split="train", **_):
    return M2nist(root / split)
