# SPDX-License-Identifier: MIT
"""SegNet: upsampling by the indices of the poolings."""
import torch
from torch import nn
from torch.nn import functional as F

FULL = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def stage(i, widths):
    layers = []
    for o in widths:
        layers += [nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True)]
        i = o
    return nn.Sequential(*layers)


class ExportedPool(torch.autograd.Function):
    """2x2 pooling with indices as ONNX has it: one MaxPool with two outputs, whose indices run over the whole tensor."""

    @staticmethod
    def forward(ctx, x):
        return F.max_pool2d(x, 2, return_indices=True)

    @staticmethod
    def symbolic(g, x):
        pooled, indices = g.op("MaxPool", x, kernel_shape_i=[2, 2], strides_i=[2, 2], outputs=2)
        shape = x.type().sizes()
        if shape and all(s is not None for s in shape):
            for value in (pooled, indices):
                value.setType(x.type().with_sizes([*shape[:2], shape[2] // 2, shape[3] // 2]))
        return pooled, indices


class ExportedUnpool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, indices):
        return torch.ops.aten.max_unpool2d(x, indices, [2 * int(s) for s in x.shape[2:]])

    @staticmethod
    def symbolic(g, x, indices):
        return g.op("MaxUnpool", x, indices, kernel_shape_i=[2, 2], strides_i=[2, 2])


def pool(x):
    return ExportedPool.apply(x) if torch.onnx.is_in_onnx_export() else F.max_pool2d(x, 2, return_indices=True)


def unpool(x, indices):
    return ExportedUnpool.apply(x, indices) if torch.onnx.is_in_onnx_export() else F.max_unpool2d(x, indices, 2)


class SegNet(nn.Module):
    """SegNet: Badrinarayanan, Kendall, Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation", TPAMI 2017.

    RGB (N, 3, H, W), multiples of 2 ** stages -> scores (N, classes, H, W). The encoder is VGG16's convolutions; each pooling keeps where its greatest
    value was, and the decoder's unpooling puts values back there; decoder stages mirror the encoder's. stages=5 is the paper's (29.5 M parameters);
    stages=4 with a batch norm of the input first is the form known from tutorials on the Oxford pets (15.27 M parameters, 3 classes).
    `width` slims every layer.
    """

    def __init__(self, classes, stages=5, norm_first=False, width=1.0):
        super().__init__()
        self.norm = nn.BatchNorm2d(3) if norm_first else nn.Identity()
        widths = [[max(8, round(w * width)) for w in s] for s in FULL[:stages]]
        inputs = [3] + [w[-1] for w in widths[:-1]]
        self.down = nn.ModuleList(stage(i, w) for i, w in zip(inputs, widths))
        self.up = nn.ModuleList(stage(w[-1], w[:-1] + [classes if n == 0 else inputs[n]]) for n, w in reversed(list(enumerate(widths))))
        if not norm_first:  # the paper's last layer gives scores; the tutorials' ends in norm and ReLU as every other
            self.up[-1] = self.up[-1][:-2]

    def forward(self, x):
        x, kept = self.norm(x), []
        for s in self.down:
            x, indices = pool(s(x))
            kept.append(indices)
        for s in self.up:
            x = s(unpool(x, kept.pop()))
        return x
