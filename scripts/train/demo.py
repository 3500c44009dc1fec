#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains models/drive-free.onnx, the model that is free of any data set's terms, on the ground truth of kerbtestsrc's synthetic drive.

    pip install -r scripts/train/requirements.txt
    scripts/train/demo.py [--steps 1500] [--out models]

The drive (plugin/drive.c, the very code behind kerbtestsrc) is compiled and called from here, so that every batch is new: other seeds, times and
weather. The network is a small encoder with dilated residual blocks and two skips (fully convolutional, any size that is a multiple of 16); the
scores come out at a quarter of the input and are enlarged at the end of the file. Held-out seeds give the accuracy that the model card quotes.
It knows the synthetic world only. How it fares on real frames is measured afterwards, and goes into the card's accuracy as "real frames":

    kerb eval --model models/drive-free.onnx --dataset camvid --json CamVid/val
"""
import argparse
import concurrent.futures
import json
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/train"))
from data.testsrc import CLEAR, HELD_OUT, NIGHT, RAIN, Drive  # noqa: E402
from nets.layers import conv_bn  # noqa: E402

WIDTH, HEIGHT = 320, 192  # in training and in the card: the network knows things at this scale


def conv(i, o, stride=1, dilation=1, kernel=3):
    return conv_bn(i, o, kernel, stride, dilation)


class Residual(nn.Module):
    def __init__(self, channels, dilation=1):
        super().__init__()
        self.first = conv(channels, channels, dilation=dilation)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, dilation, dilation, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return F.relu(x + self.second(self.first(x)))


class DemoNet(nn.Module):
    """RGB (N, 3, H, W), (value - 127.5) / 127.5 -> scores (N, classes, H, W); inside at H/4."""

    def __init__(self, classes, enlarge=True):
        super().__init__()
        self.enlarge = enlarge
        self.quarter = nn.Sequential(conv(3, 16, 2), conv(16, 32, 2), Residual(32))
        self.eighth = nn.Sequential(conv(32, 48, 2), Residual(48), Residual(48, 2))
        self.sixteenth = nn.Sequential(conv(48, 64, 2), Residual(64, 2), Residual(64, 4))
        self.reduce16, self.reduce8 = conv(64, 32, kernel=1), conv(48, 32, kernel=1)
        self.fuse8, self.fuse4 = conv(32, 32), conv(32, 32)
        self.head = nn.Conv2d(32, classes, 1)

    def forward(self, x):
        a = self.quarter(x)
        b = self.eighth(a)
        c = self.reduce16(self.sixteenth(b))
        b = self.fuse8(self.reduce8(b) + F.interpolate(c, size=b.shape[2:], mode="bilinear", align_corners=False))
        y = self.head(self.fuse4(a + F.interpolate(b, size=a.shape[2:], mode="bilinear", align_corners=False)))
        return F.interpolate(y, scale_factor=4, mode="bilinear", align_corners=False) if self.enlarge else y


def batch_of(drive, pool, rng, size, held_out=False):
    """held_out: seeds that training never draws."""
    def one(seed):
        r = np.random.default_rng(seed)
        seed = int(r.integers(1, 2**31)) | (HELD_OUT if held_out else 0)
        return drive.render(seed, int(r.choice([CLEAR, CLEAR, NIGHT, RAIN])), float(r.uniform(0, 600)), WIDTH, HEIGHT)
    pairs = list(pool.map(one, rng.integers(0, 2**62, size)))
    return torch.from_numpy(np.stack([p[0] for p in pairs])), torch.from_numpy(np.stack([p[1] for p in pairs])).long()


def normalise(rgb, device):
    return (rgb.to(device).permute(0, 3, 1, 2).float() - 127.5) / 127.5


def augment(x, rng):
    """Light, colour and noise vary more than the drive's own weather does."""
    n = x.shape[0]
    gain = torch.from_numpy(rng.uniform(0.7, 1.35, (n, 3, 1, 1)).astype("f")).to(x.device)
    shift = torch.from_numpy(rng.uniform(-0.15, 0.15, (n, 1, 1, 1)).astype("f")).to(x.device)
    return (x * gain + shift + 0.03 * torch.randn_like(x)).clamp(-1, 1)


def evaluate(net, drive, pool, classes, device, frames=300):
    """Intersection over union a class, over all pixels of held-out drives."""
    rng = np.random.default_rng(20)
    confusion = torch.zeros(classes, classes, dtype=torch.float64)
    net.eval()
    with torch.no_grad():
        for _ in range(frames // 10):
            rgb, labels = batch_of(drive, pool, rng, 10, held_out=True)
            scores = F.interpolate(net(normalise(rgb, device)), size=labels.shape[1:], mode="bilinear", align_corners=False)
            index = labels.to(device) * classes + scores.argmax(1)
            confusion += torch.bincount(index.flatten(), minlength=classes * classes).view(classes, classes).cpu().double()
    hit = confusion.diag()
    return (hit / (confusion.sum(0) + confusion.sum(1) - hit)).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "models")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    drive = Drive()
    classes = len(drive.classes)
    net = DemoNet(classes, enlarge=False).to(device)
    print(f"{sum(p.numel() for p in net.parameters())} parameters, {device}")
    # Rare and thin classes count more; the square root keeps them from being painted everywhere.
    pool = concurrent.futures.ThreadPoolExecutor()
    _, sample = batch_of(drive, pool, np.random.default_rng(7), 64)
    share = torch.bincount(sample.flatten(), minlength=classes).float() / sample.numel()
    weight = (1 / (share + 1e-3)).sqrt()
    weight = (weight / weight.mean()).to(device)
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, args.steps)
    upcoming = batch_of(drive, pool, rng, args.batch)
    with concurrent.futures.ThreadPoolExecutor(1) as ahead:
        for step in range(1, args.steps + 1):
            future = ahead.submit(batch_of, drive, pool, rng, args.batch)
            net.train()
            rgb, labels = upcoming
            x = augment(normalise(rgb, device), np.random.default_rng(step))
            scores = F.interpolate(net(x), size=labels.shape[1:], mode="bilinear", align_corners=False)
            loss = F.cross_entropy(scores, labels.to(device), weight)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            upcoming = future.result()
            if step % 100 == 0:
                print(f"step {step} loss {loss.item():.3f}", flush=True)

    iou = evaluate(net, drive, pool, classes, device)
    miou = sum(iou) / classes
    for (name, _), value in zip(drive.classes, iou):
        print(f"{name:14} {100 * value:5.1f}")
    print(f"mIoU {100 * miou:.1f}")

    net.enlarge = True
    net.cpu().eval()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "drive-free.onnx"
    torch.onnx.export(net, torch.zeros(1, 3, HEIGHT, WIDTH), str(path), opset_version=17, input_names=["image"], output_names=["scores"],
                      dynamic_axes={"image": {2: "height", 3: "width"}, "scores": {2: "height", 3: "width"}}, dynamo=False)
    card = {
        "name": "drive-free",
        "description": "A small fully convolutional network that knows kerbtestsrc's synthetic drive. On real frames it finds sky and road, roughly, and hardly "
                       "anything else: bring a network of your own for these",
        "input": {"width": WIDTH, "height": HEIGHT, "color": "rgb", "scale": 1, "mean": [127.5] * 3, "std": [127.5] * 3, "fit": "stretch"},
        "classes": [{"name": name, "color": rgb, "id": i} for i, (name, rgb) in enumerate(drive.classes)],
        "data": "synthetic: plugin/drive.c, clear, night and rain",
        "recipe": f"scripts/train/demo.py --steps {args.steps} --batch {args.batch} --seed {args.seed}",
        "licence": "MIT",
        "accuracy": {"mIoU": round(100 * miou, 1), "on": "300 frames of seeds that training never draws",
                     "IoU": {name: round(100 * v, 1) for (name, _), v in zip(drive.classes, iou)}},
    }
    (args.out / "drive-free.json").write_text(json.dumps(card, indent=2) + "\n")
    print(f"wrote {path} ({path.stat().st_size} bytes) and its card")


main()
