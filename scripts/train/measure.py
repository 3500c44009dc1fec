# SPDX-License-Identifier: MIT
"""How good a network is: the same definitions as `kerb eval` (apps/metrics.h has their sources), over PyTorch."""
import numpy as np
import torch
from torch.nn import functional as F

from augment import as_tensor
from data import VOID


def confusion(truth, labels, n):
    """Counts (n, n), rows the truth, over pixels that are judged."""
    judged = truth != VOID
    return np.bincount(n * truth[judged].astype(np.int64) + labels[judged], minlength=n * n).reshape(n, n)


def scores_of(counts):
    """{"miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "iou": [a class, None where it never occurs]}, all 0..1."""
    counts = counts.astype(np.float64)
    hit, true, called = counts.diagonal(), counts.sum(1), counts.sum(0)
    union = true + called - hit
    with np.errstate(invalid="ignore", divide="ignore"):
        iou, accuracy = hit / union, hit / true
    total = max(true.sum(), 1)
    return {"miou": float(np.nanmean(iou)) if (union > 0).any() else float("nan"), "pixel_accuracy": float(hit.sum() / total), "mean_accuracy": float(np.nanmean(accuracy)),
            "frequency_weighted_iou": float(np.nansum(np.where(true > 0, true / total * iou, 0))), "iou": [None if np.isnan(v) else float(v) for v in iou]}


def without_background(iou, classes):
    """{"miou_without_background"} where one of the classes is the background, and what is judged is the others: digits, the road. Else {}."""
    others = [v for v, c in zip(iou, classes) if c["name"] != "background" and v is not None]
    return {"miou_without_background": float(np.mean(others))} if others and len(classes) > 1 and any(c["name"] == "background" for c in classes) else {}


@torch.no_grad()
def labels_of(net, picture, mean, std, size=None, device="cpu"):
    """One picture (H, W, 3) -> labels (H, W) uint8. size (width, height): the network sees it at that size; its scores are enlarged to the picture's. None: at the
    picture's own, padded up to net.multiple."""
    h, w = picture.shape[:2]
    x = as_tensor(picture, mean, std)[None].to(device)
    if getattr(net, "grey", False):
        x = x[:, :1]
    if size:
        x = F.interpolate(x, size=size[::-1], mode="bilinear", align_corners=False, antialias=size[0] * 2 < w)
        y = net(x).float()
    else:
        m = getattr(net, "multiple", 1)
        padded = F.pad(x, (0, -w % m, 0, -h % m), mode="replicate")
        y = net(padded).float()[:, :, :h, :w]
    if y.shape[2:] != (h, w):
        y = F.interpolate(y, size=(h, w), mode="bilinear", align_corners=False)
    return y[0].argmax(0).to(torch.uint8).cpu().numpy()


def evaluate(net, data, mean, std, size=None, device="cpu", most=None):
    """scores_of() over a data set; the network is put into evaluation for it, and back."""
    was, n = net.training, len(data.classes)
    net.eval()
    counts = np.zeros((n, n), np.int64)
    for i in range(len(data) if most is None else min(most, len(data))):
        picture, truth = data[i]
        counts += confusion(truth, labels_of(net, picture, mean, std, size, device), n)
    net.train(was)
    return scores_of(counts)
