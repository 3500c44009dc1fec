# SPDX-License-Identifier: MIT
"""U-Net and its residual sibling."""
import torch
from torch import nn
from torch.nn import functional as F

from .layers import crop


def double_conv(i, o, padding, norm):
    layers = []
    for a, b in ((i, o), (o, o)):
        layers += [nn.Conv2d(a, b, 3, padding=padding, bias=not norm), *([nn.BatchNorm2d(b)] if norm else []), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """U-Net: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.

    (N, channels, H, W) -> scores. Five levels of two 3x3 convolutions (`base` to 16 * base channels), 2x2 poolings, 2x2 transposed convolutions, skips by
    concatenation. padding "same" (default): H and W multiples of 16, scores of the input's size. padding "valid", the paper's: no padding
    anywhere, skips are cropped, 572 -> 388 (H and W: any of 188 + 16 n). `norm` adds batch normalisation.
    31,030,658 parameters as published (base 64, one channel, two classes, no norm).
    """

    def __init__(self, classes, channels=3, base=64, padding="same", norm=True):
        super().__init__()
        if padding not in ("same", "valid"):
            raise ValueError(f"U-Net's padding is same or valid, not {padding}")
        pad = 1 if padding == "same" else 0
        widths = [base << i for i in range(5)]
        self.down = nn.ModuleList(double_conv(i, o, pad, norm) for i, o in zip([channels] + widths, widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[3::-1])
        self.join = nn.ModuleList(double_conv(2 * w, w, pad, norm) for w in widths[3::-1])
        self.score = nn.Conv2d(base, classes, 1)

    def forward(self, x):
        skips = []
        for level in self.down:
            x = level(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        skips.pop()
        for up, join in zip(self.up, self.join):
            x = up(x)
            x = join(torch.cat([crop(skips.pop(), x), x], 1))
        return self.score(x)


class ResidualUnit(nn.Module):
    """norm - ReLU - conv - norm - ReLU - conv, plus a projected (norm, 1x1) way past; the first unit of the network begins with its convolution."""

    def __init__(self, i, o, stride=1, first=False):
        super().__init__()
        before = [] if first else [nn.BatchNorm2d(i), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*before, nn.Conv2d(i, o, 3, stride, 1), nn.BatchNorm2d(o), nn.ReLU(inplace=True), nn.Conv2d(o, o, 3, padding=1))
        self.past = nn.Sequential(nn.Conv2d(i, o, 1, stride), nn.BatchNorm2d(o))

    def forward(self, x):
        past = self.past(x)  # before the body, whose first ReLU works in place
        return self.body(x) + past


class ResidualUNet(nn.Module):
    """Deep residual U-Net: Zhang, Liu, Wang, "Road Extraction by Deep Residual U-Net", GRSL 2018.

    (N, channels, H, W), multiples of 8 -> scores of that size. Seven residual units: 64, 128, 256 going down by stride 2, 512 as the bridge, and back, with
    bilinear upsampling and concatenation in between. 8.2 M parameters (base 64, 3 channels, 1 class), of which 0.4 M are in the projections past the
    units; the paper counts 7.8 M.
    """

    def __init__(self, classes, channels=3, base=64):
        super().__init__()
        w = [base << i for i in range(4)]
        self.down = nn.ModuleList([ResidualUnit(channels, w[0], first=True), ResidualUnit(w[0], w[1], 2), ResidualUnit(w[1], w[2], 2)])
        self.bridge = ResidualUnit(w[2], w[3], 2)
        self.up = nn.ModuleList([ResidualUnit(w[3] + w[2], w[2]), ResidualUnit(w[2] + w[1], w[1]), ResidualUnit(w[1] + w[0], w[0])])
        self.score = nn.Conv2d(w[0], classes, 1)

    def forward(self, x):
        skips = []
        for unit in self.down:
            x = unit(x)
            skips.append(x)
        x = self.bridge(x)
        for unit in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = unit(torch.cat([x, skips.pop()], 1))
        return self.score(x)
