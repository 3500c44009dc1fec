# SPDX-License-Identifier: MIT
"""DDRNet-23-slim: two branches that exchange what they see."""
import torch
from torch import nn
from torch.nn import functional as F

from .layers import conv_bn, enlarge


class Basic(nn.Module):
    """Two 3x3 and a way past. `open`: without the last ReLU, which the next stage begins with."""

    def __init__(self, i, o, stride=1, is_open=False):
        super().__init__()
        self.body = nn.Sequential(conv_bn(i, o, 3, stride), conv_bn(o, o, 3, act=None))
        self.past = conv_bn(i, o, 1, stride, act=None) if stride != 1 or i != o else nn.Identity()
        self.is_open = is_open

    def forward(self, x):
        y = self.body(x) + self.past(x)
        return y if self.is_open else F.relu(y)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 to twice the channels, and a projected way past; without a last ReLU."""

    def __init__(self, i, mid, stride=1):
        super().__init__()
        self.body = nn.Sequential(conv_bn(i, mid), conv_bn(mid, mid, 3, stride), conv_bn(mid, 2 * mid, act=None))
        self.past = conv_bn(i, 2 * mid, 1, stride, act=None)

    def forward(self, x):
        return self.body(x) + self.past(x)


def stage(i, o, stride=1):
    return nn.Sequential(Basic(i, o, stride), Basic(o, o, is_open=True))


def norm_conv(i, o, kernel=1):
    return nn.Sequential(nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, o, kernel, padding=kernel // 2, bias=False))


class Dappm(nn.Module):
    """Deep aggregation pyramid pooling: means over 5, 9, 17 pixels and over all of them, each joined with the one before it."""

    def __init__(self, i, mid, o):
        super().__init__()
        self.pools = nn.ModuleList([nn.AvgPool2d(k, s, k // 2) for k, s in ((5, 2), (9, 4), (17, 8))] + [nn.AdaptiveAvgPool2d(1)])
        self.scales = nn.ModuleList(norm_conv(i, mid) for _ in range(5))
        self.joins = nn.ModuleList(norm_conv(mid, mid, 3) for _ in range(4))
        self.compress, self.past = norm_conv(5 * mid, o), norm_conv(i, o)

    def forward(self, x):
        y = [self.scales[0](x)]
        for pool, scale, join in zip(self.pools, self.scales[1:], self.joins):
            y.append(join(enlarge(scale(pool(x)), x) + y[-1]))
        return self.compress(torch.cat(y, 1)) + self.past(x)


class DdrNet23Slim(nn.Module):
    """DDRNet-23-slim: Hong, Pan, Sun, Jia, "Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road Scenes", 2021.

    RGB (N, 3, H, W), multiples of 64 -> scores (N, classes, H, W) (a training module returns the auxiliary head's too: (scores, auxiliary)). A stem to stride 8, then a branch
    of stride 8 throughout and one that goes down to 64; bilateral fusions at 16 and 32; DAPPM at 64. 5.7 M parameters without the auxiliary head.
    """

    mean, std = (0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255)

    def __init__(self, classes, width=32):
        super().__init__()
        w = width
        self.stem = nn.Sequential(nn.Conv2d(3, w, 3, 2, 1), nn.BatchNorm2d(w), nn.ReLU(), nn.Conv2d(w, w, 3, 2, 1), nn.BatchNorm2d(w), nn.ReLU())
        self.layer1, self.layer2 = stage(w, w), stage(w, 2 * w, 2)
        self.low3, self.low4, self.low5 = stage(2 * w, 4 * w, 2), stage(4 * w, 8 * w, 2), Bottleneck(8 * w, 8 * w, 2)
        self.high3, self.high4, self.high5 = stage(2 * w, 2 * w), stage(2 * w, 2 * w), Bottleneck(2 * w, 2 * w)
        self.up3, self.up4 = conv_bn(4 * w, 2 * w, act=None), conv_bn(8 * w, 2 * w, act=None)
        self.down3 = conv_bn(2 * w, 4 * w, 3, 2, act=None)
        self.down4 = nn.Sequential(conv_bn(2 * w, 4 * w, 3, 2), conv_bn(4 * w, 8 * w, 3, 2, act=None))
        self.dappm = Dappm(16 * w, 4 * w, 4 * w)
        self.head, self.auxiliary = self._head(4 * w, 2 * w, classes), self._head(2 * w, 2 * w, classes)

    @staticmethod
    def _head(i, mid, classes):
        return nn.Sequential(nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, mid, 3, padding=1, bias=False), nn.BatchNorm2d(mid), nn.ReLU(), nn.Conv2d(mid, classes, 1))

    def forward(self, x):
        f8 = F.relu(self.layer2(F.relu(self.layer1(self.stem(x)))))
        low, high = self.low3(f8), self.high3(f8)
        low, high = low + self.down3(F.relu(high)), high + enlarge(self.up3(F.relu(low)), high)
        aside = high
        low, high = self.low4(F.relu(low)), self.high4(F.relu(high))
        low, high = low + self.down4(F.relu(high)), high + enlarge(self.up4(F.relu(low)), high)
        high = self.high5(F.relu(high))
        y = enlarge(self.head(high + enlarge(self.dappm(self.low5(F.relu(low))), high)), x)
        return (y, enlarge(self.auxiliary(aside), x)) if self.training else y
