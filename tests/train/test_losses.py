# SPDX-License-Identifier: MIT
"""Losses, class weights and measures against their definitions, written out plainly."""
import math
import unittest

import train_case  # noqa: F401

import numpy as np
import torch

import losses
import measure
from data import VOID


def example(seed=0, classes=4, size=(5, 6), void=0.2):
    g = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, classes, *size, generator=g)
    labels = torch.randint(0, classes, (2, *size), generator=g)
    labels[torch.rand(2, *size, generator=g) < void] = VOID
    return scores, labels


def pixels(scores, labels):
    """(probabilities, label) of every judged pixel."""
    p = scores.double().softmax(1)
    return [(p[n, :, y, x].tolist(), int(labels[n, y, x])) for n in range(labels.shape[0]) for y in range(labels.shape[1]) for x in range(labels.shape[2])
            if labels[n, y, x] != VOID]


class Data:
    def __init__(self, maps):
        self.maps = [np.array(m, np.uint8) for m in maps]

    def __len__(self):
        return len(self.maps)

    def __getitem__(self, i):
        return None, self.maps[i]


class Losses(unittest.TestCase):
    def setUp(self):
        self.scores, self.labels = example()
        self.pixels = pixels(self.scores, self.labels)
        self.weights = torch.tensor([0.5, 1.0, 2.0, 4.0])

    def near(self, loss, value):
        self.assertAlmostEqual(float(loss(self.scores, self.labels)), value, 5)

    def test_cross_entropy(self):
        self.near(losses.parse("ce"), sum(-math.log(p[c]) for p, c in self.pixels) / len(self.pixels))
        w = self.weights.tolist()
        self.near(losses.parse("ce", self.weights), sum(-w[c] * math.log(p[c]) for p, c in self.pixels) / sum(w[c] for _, c in self.pixels))

    def test_border(self):
        border = torch.rand(self.labels.shape) + 0.5
        at = [(n, y, x) for n in range(2) for y in range(5) for x in range(6) if self.labels[n, y, x] != VOID]
        total = sum(float(border[i]) * -math.log(p[c]) for i, (p, c) in zip(at, self.pixels))
        self.assertAlmostEqual(float(losses.parse("ce")(self.scores, self.labels, border)), total / sum(float(border[i]) for i in at), 5)

    def test_focal(self):
        self.near(losses.parse("focal"), sum((1 - p[c]) ** 2 * -math.log(p[c]) for p, c in self.pixels) / len(self.pixels))

    def test_distilled(self):
        teacher, _ = example(seed=5)
        total, count = 0.0, 0
        for n in range(2):
            for y in range(0, 5, 2):
                for x in range(0, 6, 2):
                    p, q = ([math.exp(float(v) / 2) for v in s[n, :, y, x]] for s in (teacher, self.scores))
                    total += sum(a / sum(p) * math.log(a / sum(p) / (b / sum(q))) for a, b in zip(p, q))
                    count += 1
        self.assertAlmostEqual(float(losses.distilled(self.scores, teacher)), 4 * total / count, 5)
        self.assertEqual(float(losses.distilled(teacher, teacher)), 0)

    def test_ohem(self):
        hard = [-math.log(p[c]) for p, c in self.pixels if p[c] < 0.7]
        self.near(losses.parse("ohem"), sum(hard) / len(hard))
        sure = self.scores.clone()
        sure.scatter_(1, self.labels.masked_fill(self.labels == VOID, 0).unsqueeze(1), 20.0)  # all easy: the worst sixteenth counts
        each = sorted((-math.log(p[c]) for p, c in pixels(sure, self.labels)), reverse=True)
        k = max(1, len(each) // 16)
        self.assertAlmostEqual(float(losses.parse("ohem")(sure, self.labels)), sum(each[:k]) / k, 6)

    def test_dice(self):
        terms = []
        for c in range(4):
            both, size = sum(p[c] for p, l in self.pixels if l == c), sum(p[c] + (l == c) for p, l in self.pixels)
            if any(l == c for _, l in self.pixels):
                terms.append(2 * both / size)
        self.near(losses.parse("dice"), 1 - sum(terms) / len(terms))

    def test_sums_and_auxiliary_heads(self):
        one = float(losses.parse("ce")(self.scores, self.labels)) + 0.5 * float(losses.parse("dice")(self.scores, self.labels))
        self.near(losses.parse("ce+0.5*dice"), one)
        self.assertAlmostEqual(float(losses.parse("ce")((self.scores, self.scores), self.labels)), 1.4 * float(losses.parse("ce")(self.scores, self.labels)), 5)

    def test_all_void_is_no_nan(self):
        for name in ("focal", "ohem", "dice"):
            value = losses.parse(name)(self.scores, torch.full_like(self.labels, VOID))
            self.assertTrue(math.isfinite(float(value)), name)

    def test_unknown(self):
        with self.assertRaisesRegex(ValueError, "hinge.*ce, focal, ohem, dice"):
            losses.parse("ce+hinge")


class Weights(unittest.TestCase):
    data = Data([[[0, 0, 0, 1], [0, 0, 255, 255]], [[0, 0, 0, 0], [2, 2, 2, 2]]])

    def test_median_frequency(self):
        # frequencies where they occur: class 0: 9 of 14; 1: 1 of 6; 2: 4 of 8
        f = [9 / 14, 1 / 6, 4 / 8]
        w = [sorted(f)[1] / v for v in f]
        got = losses.class_weights("median", self.data, 3).tolist()
        for a, b in zip(got, w):
            self.assertAlmostEqual(a, b / (sum(w) / 3), 5)

    def test_log(self):
        w = [1 / math.log(1.02 + s) for s in (9 / 14, 1 / 14, 4 / 14)]
        for a, b in zip(losses.class_weights("log", self.data, 3).tolist(), w):
            self.assertAlmostEqual(a, b / (sum(w) / 3), 5)

    def test_a_class_that_never_occurs_gets_the_greatest(self):
        w = losses.class_weights("median", self.data, 4).tolist()
        self.assertEqual(w[3], max(w))

    def test_border_weights(self):
        """By the equation, each pixel against all pixels of each piece."""
        try:
            import scipy  # noqa: F401
        except ImportError:
            self.skipTest("SciPy is not here")
        labels = np.zeros((9, 12), np.uint8)
        labels[1:5, 1:5], labels[4:8, 7:11] = 1, 1
        pieces = [labels == 0, (labels == 1) & (np.arange(12) < 6)[None], (labels == 1) & (np.arange(12) > 6)[None]]
        got = losses.border_weights(labels)
        for y in range(9):
            for x in range(12):
                d = sorted(min(math.hypot(y - v, x - u) for v, u in zip(*np.nonzero(p))) for p in pieces)
                self.assertAlmostEqual(float(got[y, x]), 1 + 10 * math.exp(-(d[0] + d[1]) ** 2 / 50), 4)


class Measures(unittest.TestCase):
    def test_against_plain_counting(self):
        rng = np.random.default_rng(3)
        truth, labels = rng.integers(0, 5, (20, 20)), rng.integers(0, 4, (20, 20))
        truth[rng.random((20, 20)) < 0.1] = VOID
        truth[truth == 4] = 3
        found = measure.scores_of(measure.confusion(truth.astype(np.uint8), labels.astype(np.uint8), 5))
        judged = truth != VOID
        for c in range(4):
            both, either = ((truth == c) & (labels == c)).sum(), (((truth == c) | (labels == c)) & judged).sum()
            self.assertAlmostEqual(found["iou"][c], both / either, 9)
        self.assertIsNone(found["iou"][4])
        self.assertAlmostEqual(found["miou"], np.mean(found["iou"][:4]), 9)
        named = [{"name": n} for n in ("background", "a", "b", "c", "d")]
        self.assertAlmostEqual(measure.without_background(found["iou"], named)["miou_without_background"], np.mean(found["iou"][1:4]), 9)
        self.assertEqual(measure.without_background(found["iou"], named[1:]), {})
        self.assertAlmostEqual(found["pixel_accuracy"], (truth == labels)[judged].mean(), 9)


if __name__ == "__main__":
    unittest.main()
