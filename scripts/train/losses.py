# SPDX-License-Identifier: MIT
"""Losses of scores (N, C, H, W) against labels (N, H, W; VOID: not judged), and sums of them: parse("ce+0.5*dice") . Logits go in, a scalar comes out."""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from data import VOID


def class_shares(data, n, sample=400):
    """Pixels of each class over all judged ones, and over all judged ones of the pictures in which it occurs."""
    counts, present = np.zeros(n), np.zeros(n)
    step = max(1, len(data) // sample)
    for i in range(0, len(data), step):
        here = np.bincount(data[i][1].ravel(), minlength=256)[:n]
        counts += here
        present[here > 0] += here.sum()
    return counts / max(counts.sum(), 1), counts / np.maximum(present, 1)


def class_weights(kind, data, n):
    """None: every class counts 1. "median": median frequency balancing (Eigen and Fergus, ICCV 2015): median of the classes' frequencies / a class's frequency,
    counted in the pictures where it occurs. "log": 1 / ln(1.02 + share) (ENet, Paszke et al. 2016). "sqrt": 1 / sqrt(share). All scaled to a mean of 1; classes
    that do not occur get the greatest."""
    if kind == "none":
        return None
    share, frequency = class_shares(data, n)
    seen = share > 0
    if kind == "median":
        w = np.where(seen, np.median(frequency[seen]) / np.maximum(frequency, 1e-9), 0)
    elif kind == "log":
        w = 1 / np.log(1.02 + share)
    elif kind == "sqrt":
        w = np.where(seen, 1 / np.sqrt(np.maximum(share, 1e-9)), 0)
    else:
        raise ValueError(f"class weights are none, median, log or sqrt, not {kind}")
    w[~seen] = w[seen].max()
    return torch.from_numpy(w / w.mean()).float()


def border_weights(labels, w0=10.0, sigma=5.0):
    """U-Net's weight map (Ronneberger et al. 2015, equation 2, without its class part): 1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2)), d1 and d2 the distances in pixels to
    the nearest and the second nearest connected piece of one class. labels (H, W) -> float32 (H, W). Uses SciPy."""
    from scipy import ndimage
    pieces = []
    for c in np.unique(labels[labels != VOID]):
        found, n = ndimage.label(labels == c)
        sizes = ndimage.sum_labels(np.ones_like(found), found, range(1, n + 1))
        pieces += [found == k + 1 for k in np.argsort(sizes)[::-1][:8] if sizes[k] >= 9]
    if len(pieces) < 2:
        return np.ones(labels.shape, np.float32)
    d = np.sort(np.stack([ndimage.distance_transform_edt(~p) for p in pieces]), axis=0)
    return (1 + w0 * np.exp(-(d[0] + d[1]) ** 2 / (2 * sigma**2))).astype(np.float32)


class CrossEntropy(nn.Module):
    """Mean over judged pixels; by class weights, and by a weight map (N, H, W) where one is given."""

    def __init__(self, weights=None):
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, scores, labels, border=None):
        if border is None:
            return F.cross_entropy(scores, labels, self.weights, ignore_index=VOID)
        each = F.cross_entropy(scores, labels, self.weights, ignore_index=VOID, reduction="none") * border
        judged = labels != VOID
        return each.sum() / (border * judged).sum().clamp(min=1)


class Ohem(CrossEntropy):
    """Online hard example mining (Shrivastava et al., CVPR 2016, by pixel as in later real-time networks): the mean over pixels whose true class got less than
    `threshold`, and over at least the `least` share of the worst."""

    def __init__(self, weights=None, threshold=0.7, least=1 / 16):
        super().__init__(weights)
        self.limit, self.least = -float(np.log(threshold)), least

    def forward(self, scores, labels, border=None):
        each = F.cross_entropy(scores, labels, self.weights, ignore_index=VOID, reduction="none")[labels != VOID]
        if not each.numel():
            return scores.sum() * 0
        hard = each[each > self.limit]
        k = max(1, int(each.numel() * self.least))
        return hard.mean() if hard.numel() >= k else each.topk(k).values.mean()


class Focal(CrossEntropy):
    """(1 - p)^gamma * cross entropy: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017."""

    def __init__(self, weights=None, gamma=2.0):
        super().__init__(weights)
        self.gamma = gamma

    def forward(self, scores, labels, border=None):
        judged = labels != VOID
        plain = F.cross_entropy(scores, labels, ignore_index=VOID, reduction="none")
        each = (1 - torch.exp(-plain)) ** self.gamma * plain
        if self.weights is not None:
            each = each * self.weights[labels.masked_fill(~judged, 0)]
        return (each * judged).sum() / judged.sum().clamp(min=1)


class Dice(nn.Module):
    """1 - soft Dice, the mean over the classes that occur (Milletari et al., "V-Net", 3DV 2016, without the squares; over the whole batch)."""

    def __init__(self, weights=None):
        super().__init__()

    def forward(self, scores, labels, border=None):
        judged, n = labels != VOID, scores.shape[1]
        own, p = labels.masked_fill(~judged, 0), scores.softmax(1)
        hit = p.gather(1, own.unsqueeze(1)).squeeze(1) * judged
        both = hit.new_zeros(n).index_add(0, own.flatten(), hit.flatten())
        called = judged.flatten().to(p.dtype) @ p.permute(0, 2, 3, 1).reshape(-1, n)
        true = torch.bincount(labels[judged], minlength=n)
        there = true > 0
        return 1 - (2 * both / (called + true).clamp(min=1e-6))[there].mean() if there.any() else scores.sum() * 0


def distilled(scores, teacher, temperature=2.0, every=2):
    """How far scores are from a teacher's, both (N, C, H, W): T^2 times the Kullback-Leibler divergence of softmax(scores / T) from softmax(teacher / T), the mean over
    every second pixel in both directions, void ones too (Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015)."""
    mine, theirs = (s[:, :, ::every, ::every].float() / temperature for s in (scores, teacher))
    each = F.kl_div(F.log_softmax(mine, 1), F.log_softmax(theirs, 1), reduction="none", log_target=True).sum(1)
    return temperature**2 * each.mean()


LOSSES = {"ce": CrossEntropy, "focal": Focal, "ohem": Ohem, "dice": Dice}


class Sum(nn.Module):
    """Weighted sum of losses. Scores of another size are enlarged to the labels' first; a list of scores (auxiliary heads) counts 1, then `aside` each."""

    def __init__(self, parts, aside=0.4):
        super().__init__()
        self.factors, self.parts, self.aside = [f for f, _ in parts], nn.ModuleList(p for _, p in parts), aside

    def forward(self, scores, labels, border=None):
        if isinstance(scores, (tuple, list)):
            return self(scores[0], labels, border) + self.aside * sum(self(s, labels, border) for s in scores[1:])
        scores = scores.float()
        if scores.shape[2:] != labels.shape[1:]:
            scores = F.interpolate(scores, size=labels.shape[1:], mode="bilinear", align_corners=False)
        return sum(f * part(scores, labels, border) for f, part in zip(self.factors, self.parts))


def parse(text, weights=None):
    """"ohem", "ce+0.5*dice", ... -> a Sum. ValueError names what there is."""
    parts = []
    for term in text.split("+"):
        factor, _, name = term.strip().rpartition("*")
        if name not in LOSSES:
            raise ValueError(f"there is no loss {name!r} (in {text!r}); there are: {', '.join(LOSSES)}, and sums such as ce+0.5*dice")
        parts.append((float(factor or 1), LOSSES[name](weights)))
    return Sum(parts)
