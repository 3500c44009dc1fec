# SPDX-License-Identifier: MIT
"""What several networks are made of. Pictures are (N, C, H, W) float tensors throughout this folder."""
import torch
from torch import nn
from torch.nn import functional as F


def conv_bn(i, o, kernel=1, stride=1, dilation=1, groups=1, act=nn.ReLU):
    """Convolution (padded so that stride 1 keeps the size), batch norm, activation (None: none)."""
    layers = [nn.Conv2d(i, o, kernel, stride, dilation * (kernel // 2), dilation, groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([act(inplace=True)] if act else []))


def separable(i, o, kernel=3, stride=1, dilation=1):
    """Depthwise convolution, then pointwise, each with batch norm and ReLU (Chollet 2017 as in DeepLabv3+)."""
    return nn.Sequential(conv_bn(i, i, kernel, stride, dilation, groups=i), conv_bn(i, o))


def enlarge(x, like):
    """Bilinear to the height and width of `like` (a tensor, or a pair)."""
    size = like.shape[2:] if isinstance(like, torch.Tensor) else like
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def crop(x, like, offset=None):
    """The part of x that has the height and width of `like`, from `offset` on in both directions; None: the middle."""
    h, w = like.shape[2:]
    top, left = (offset, offset) if offset is not None else ((x.shape[2] - h) // 2, (x.shape[3] - w) // 2)
    return x[:, :, top:top + h, left:left + w]


def bilinear_(transposed):
    """Initialises a transposed convolution as bilinear upsampling of each channel by itself (Long et al. 2015, section 3.3)."""
    k, stride = transposed.kernel_size[0], transposed.stride[0]
    centre = (k - 1) / 2 if k % 2 else stride - 0.5
    line = 1 - (torch.arange(k) - centre).abs() / stride
    with torch.no_grad():
        transposed.weight.zero_()
        for c in range(min(transposed.weight.shape[:2])):
            transposed.weight[c, c] = line[:, None] * line[None, :]
    return transposed


def parameters(module):
    """Learned values; those shared count once."""
    return sum(p.numel() for p in module.parameters())
