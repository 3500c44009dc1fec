# SPDX-License-Identifier: MIT
"""FC-DenseNet, "the one hundred layers tiramisu"."""
import torch
from torch import nn

from .layers import crop

# layers of the dense blocks going down, of the bottleneck, growth rate: Jegou et al. 2017, tables 1 and 2
FORMS = {56: ((4, 4, 4, 4, 4), 4, 12), 67: ((5, 5, 5, 5, 5), 5, 16), 103: ((4, 5, 7, 10, 12), 15, 16)}


def layer(i, o, kernel=3):
    return nn.Sequential(nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, o, kernel, padding=kernel // 2), nn.Dropout2d(0.2))


class DenseBlock(nn.Module):
    """Each layer sees the block's input and all layers before it. -> the new feature maps alone, layers * growth channels."""

    def __init__(self, i, layers, growth):
        super().__init__()
        self.layers = nn.ModuleList(layer(i + n * growth, growth) for n in range(layers))

    def forward(self, x):
        new = []
        for one in self.layers:
            new.append(one(torch.cat([x, *new], 1)))
        return torch.cat(new, 1)


class FcDenseNet(nn.Module):
    """FC-DenseNet56, 67 and 103: Jegou, Drozdzal, Vazquez, Romero, Bengio, "The One Hundred Layers Tiramisu", CVPRW 2017.

    RGB (N, 3, H, W) -> scores (N, classes, H, W), multiples of 32. A 3x3 convolution to 48 channels; five dense blocks with transitions down (norm, ReLU, 1x1,
    dropout, pooling); a bottleneck block; five transitions up (3x3 transposed convolution, stride 2) of the last block's new maps alone, joined by
    the skip; 1x1 to scores. The paper counts 1.5 M, 3.5 M and 9.4 M parameters; built by its tables
    they have 1.38 M, 3.46 M and 9.32 M (12 classes).
    """

    def __init__(self, classes, layers=103):
        super().__init__()
        if layers not in FORMS:
            raise ValueError(f"FC-DenseNet has 56, 67 or 103 layers, not {layers}")
        blocks, bottleneck, growth = FORMS[layers]
        self.first, width, skips = nn.Conv2d(3, 48, 3, padding=1), 48, []
        self.down, self.shrink, self.up, self.grow = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for n in blocks:
            self.down.append(DenseBlock(width, n, growth))
            width += n * growth
            skips.append(width)
            self.shrink.append(nn.Sequential(layer(width, width, 1), nn.MaxPool2d(2)))
        self.middle, new = DenseBlock(width, bottleneck, growth), bottleneck * growth
        for n in reversed(blocks):
            self.grow.append(nn.ConvTranspose2d(new, new, 3, 2, 1, 1))
            width = new + skips.pop()
            self.up.append(DenseBlock(width, n, growth))
            new = n * growth
        self.score = nn.Conv2d(width + new, classes, 1)

    def forward(self, x):
        x, skips = self.first(x), []
        for block, shrink in zip(self.down, self.shrink):
            x = torch.cat([x, block(x)], 1)
            skips.append(x)
            x = shrink(x)
        new = self.middle(x)
        for grow, block in zip(self.grow, self.up):
            skip = skips.pop()
            x = torch.cat([crop(grow(new), skip), skip], 1)
            new = block(x)
        return self.score(torch.cat([x, new], 1))
