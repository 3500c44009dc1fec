# SPDX-License-Identifier: MIT
"""The measures of `kerb eval`, written a second time from their definitions, slowly and without packages. Maps are sequences of class numbers; None in a truth
is void, None in a prediction is no class."""
import math


def confusion(pairs, n):
    """pairs of (truth, prediction); the last column: no class."""
    counts = [[0] * (n + 1) for _ in range(n)]
    for truth, prediction in pairs:
        for t, p in zip(truth, prediction):
            if t is not None:
                counts[t][n if p is None else p] += 1
    return counts


def mean(values):
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def scores(counts):
    n = len(counts)
    true = [sum(row) for row in counts]
    called = [sum(counts[t][c] for t in range(n)) for c in range(n)]
    iou = [counts[c][c] / (true[c] + called[c] - counts[c][c]) if true[c] + called[c] else None for c in range(n)]
    accuracy = [counts[c][c] / true[c] if true[c] else None for c in range(n)]
    return {"iou": iou, "accuracy": accuracy, "precision": [counts[c][c] / called[c] if called[c] else None for c in range(n)], "miou": mean(iou),
            "mean_accuracy": mean(accuracy), "pixel_accuracy": sum(counts[c][c] for c in range(n)) / sum(true),
            "frequency_weighted_iou": sum(true[c] * iou[c] for c in range(n) if true[c]) / sum(true)}


def boundary(of, truth, width, c):
    """Pixels (x, y) of class c beside a judged pixel that is not of c."""
    found, height = set(), len(of) // width
    for i, value in enumerate(of):
        x, y = i % width, i // width
        if value == c and truth[i] is not None:
            around = [(x + dx, y + dy) for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)) if 0 <= x + dx < width and 0 <= y + dy < height]
            if any(of[v * width + u] != c and truth[v * width + u] is not None for u, v in around):
                found.add((x, y))
    return found


def boundary_f1(truth, prediction, width, n):
    """By class, None where there is no boundary, and the mean over the others."""
    tolerance = 0.0075 * math.hypot(width, len(truth) // width)
    reach = range(-math.ceil(tolerance), math.ceil(tolerance) + 1)
    offsets = [(dx, dy) for dx in reach for dy in reach if math.hypot(dx, dy) < tolerance]

    def matched(a, b):
        return sum(any((x + dx, y + dy) in b for dx, dy in offsets) for x, y in a) / len(a)

    f1 = []
    for c in range(n):
        t, p = boundary(truth, truth, width, c), boundary(prediction, truth, width, c)
        if not t and not p:
            f1.append(None)
            continue
        precision, recall = (matched(p, t), matched(t, p)) if t and p else (0, 0)
        f1.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return f1, mean(f1)


def curve(pairs):
    """pairs of (is positive, probability): MaxF, 11-point AP, soft Dice."""
    thresholds = [k / 255 for k in range(256)]
    positives = sum(t for t, _ in pairs)
    points = []
    for threshold in thresholds:
        tp = sum(t for t, p in pairs if p >= threshold)
        called = sum(1 for _, p in pairs if p >= threshold)
        points.append((tp / called if tp else 0.0, tp / positives))
    f = [2 * p * r / (p + r) if p + r else 0.0 for p, r in points]
    ap = sum(max([p for p, r in points if r >= k / 10], default=0.0) for k in range(11)) / 11
    return max(f), ap, 2 * sum(p for t, p in pairs if t) / (sum(p for _, p in pairs) + positives)
