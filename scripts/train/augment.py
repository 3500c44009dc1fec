# SPDX-License-Identifier: MIT
"""Pictures as cameras might have given them. A function of a pair (RGB uint8 (H, W, 3), labels uint8 (H, W)) and a numpy generator: the same generator state
gives the same pair. Geometry moves both (labels by nearest neighbour), light and weather the picture alone."""
import dataclasses
import math

import numpy as np
from PIL import Image, ImageFilter

from data import VOID


@dataclasses.dataclass
class Augment:
    """What happens to a pair, and how often. Sizes in pixels; strengths are the widest that is drawn."""

    width: int = 416
    height: int = 320
    scale: tuple = (0.6, 1.8)  # of the picture, before the crop
    flip: float = 0.5          # chance
    aspect: float = 0.1        # the sides' ratio changes by up to this
    light: float = 0.3         # brightness and contrast, each
    color: float = 0.3         # saturation; a third of it: gains of the channels
    gamma: float = 0.4         # exponent 2 ** +-gamma
    blur: float = 0.15         # chance of a blur of up to 1.5 pixels
    noise: float = 0.25        # chance of sensor noise, up to 12 of 255
    jpeg: float = 0.15         # chance of coarse compression
    weather: float = 0.0       # chance of fog, rain, snow, night or glare
    fill: tuple = (127, 127, 127)  # beside the picture, where labels are void

    def __call__(self, picture, labels, rng):
        picture, labels = self._place(picture, labels, rng)
        x = picture.astype(np.float32)
        if rng.random() < self.weather:
            x = WEATHER[int(rng.integers(len(WEATHER)))](x, rng)
        x = self._light(x, rng)
        if rng.random() < self.noise:
            x += rng.normal(0, rng.uniform(1, 12), x.shape).astype(np.float32)
        x = np.clip(x, 0, 255).astype(np.uint8)
        if rng.random() < self.blur:
            x = np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5))))
        if rng.random() < self.jpeg:
            x = recompressed(x, int(rng.integers(20, 70)))
        return np.ascontiguousarray(x), np.ascontiguousarray(labels)

    def _place(self, picture, labels, rng):
        """Scale, crop (or border), flip."""
        h, w = labels.shape
        scale, skew = math.exp(rng.uniform(*map(math.log, self.scale))), math.exp(rng.uniform(-self.aspect, self.aspect) / 2)
        w, h = max(8, round(w * scale * skew)), max(8, round(h * scale / skew))
        left, top = (int(rng.integers(0, max(0, a - b) + 1)) for a, b in ((w, self.width), (h, self.height)))
        box = (left * labels.shape[1] / w, top * labels.shape[0] / h, min(w, left + self.width) * labels.shape[1] / w, min(h, top + self.height) * labels.shape[0] / h)
        size = (min(w, self.width), min(h, self.height))  # only what is kept is resized
        p = np.asarray(Image.fromarray(picture).resize(size, Image.BILINEAR, box))
        m = np.asarray(Image.fromarray(labels).resize(size, Image.NEAREST, box))
        if size != (self.width, self.height):
            y, x = (int(rng.integers(0, b - a + 1)) for a, b in ((size[1], self.height), (size[0], self.width)))
            whole_p, whole_m = np.empty((self.height, self.width, 3), np.uint8), np.full((self.height, self.width), VOID, np.uint8)
            whole_p[:] = self.fill
            whole_p[y:y + size[1], x:x + size[0]], whole_m[y:y + size[1], x:x + size[0]] = p, m
            p, m = whole_p, whole_m
        return (p[:, ::-1], m[:, ::-1]) if rng.random() < self.flip else (p, m)

    def _light(self, x, rng):
        grey = x.mean(2, keepdims=True)
        x = grey + (x - grey) * (1 + rng.uniform(-self.color, self.color))
        x = x * (1 + rng.uniform(-self.color, self.color, 3) / 3).astype(np.float32)
        mean = x.mean()
        x = (x - mean) * (1 + rng.uniform(-self.light, self.light)) + mean * (1 + rng.uniform(-self.light, self.light))
        if self.gamma:
            x = 255 * (np.clip(x, 0, 255) / 255) ** np.float32(2 ** rng.uniform(-self.gamma, self.gamma))
        return x.astype(np.float32)


def recompressed(picture, quality):
    import io
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


# ---- weather: float pictures of 0..255. Distance is guessed from height in the picture: the horizon is far, the lower edge near.

def distance(x):
    y = np.linspace(0, 1, x.shape[0], dtype=np.float32)[:, None, None]
    return np.clip(1 - np.abs(y - 0.45) / 0.55, 0, 1)


def fog(x, rng):
    thick, air = rng.uniform(0.3, 0.8), rng.uniform(140, 230)
    share = thick * (0.35 + 0.65 * distance(x))
    return x * (1 - share) + air * share


def streaks(x, rng, length, count, width):
    """A layer 0..1 of short lines, all leaning alike."""
    from PIL import ImageDraw
    h, w = x.shape[:2]
    layer = Image.new("L", (w, h))
    draw, lean = ImageDraw.Draw(layer), rng.uniform(-0.3, 0.3)
    for a, b in zip(rng.uniform(-0.1, 1.1, count), rng.uniform(-0.1, 1, count)):
        draw.line((a * w, b * h, a * w + lean * length, b * h + length), int(rng.integers(60, 200)), width)
    return np.asarray(layer.filter(ImageFilter.GaussianBlur(0.6)), np.float32)[..., None] / 255


def rain(x, rng):
    x = 110 + (x - 110) * 0.75 - 15
    return x + 130 * streaks(x, rng, x.shape[0] * 0.06, int(rng.integers(60, 300)), 1)


def snow(x, rng):
    x = fog(x, rng) if rng.random() < 0.5 else x
    ground = np.linspace(-0.6, 1, x.shape[0], dtype=np.float32)[:, None, None].clip(0) * rng.uniform(0, 0.6)
    x = x * (1 - ground) + 225 * ground
    flakes = streaks(x, rng, 2, int(rng.integers(80, 500)), int(rng.integers(1, 4)))
    return x * (1 - flakes) + 245 * flakes


def night(x, rng):
    x = x * rng.uniform(0.15, 0.45)
    h, w = x.shape[:2]
    y, u = np.mgrid[0:h, 0:w].astype(np.float32)
    for _ in range(int(rng.integers(0, 6))):  # lamps and lights
        cy, cx, r = rng.uniform(0.2, 0.7) * h, rng.uniform(0, 1) * w, rng.uniform(0.01, 0.05) * w
        glow = np.exp(-(((y - cy) ** 2 + (u - cx) ** 2) / (2 * r * r)))[..., None]
        x = x + glow * rng.uniform(60, 230) * np.array([1, rng.uniform(0.7, 1), rng.uniform(0.4, 0.9)], np.float32)
    beam = np.exp(-(((y - h) / (0.5 * h)) ** 2 + ((u - 0.5 * w) / (0.4 * w)) ** 2))[..., None]
    return x * (1 + rng.uniform(0, 1.5) * beam) + rng.normal(0, 5, x.shape)


def glare(x, rng):
    h, w = x.shape[:2]
    y, u = np.mgrid[0:h, 0:w].astype(np.float32)
    cy, cx = rng.uniform(0, 0.4) * h, rng.uniform(0, 1) * w
    glow = np.exp(-np.hypot(y - cy, u - cx) / (rng.uniform(0.15, 0.5) * w))[..., None]
    return x * 0.85 + glow * rng.uniform(120, 260)


WEATHER = (fog, rain, snow, night, glare)


def as_tensor(picture, mean, std):
    """RGB uint8 (H, W, 3) -> float (3, H, W), (value - mean) / std."""
    import torch
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()
    return (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
