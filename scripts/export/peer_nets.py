# SPDX-License-Identifier: MIT
"""The networks that scripts/bench-peers times, with random weights (speed does not depend on them), as PyTorch modules and ONNX files.

Each takes (1, 3, H, W) and returns scores (1, 19, H, W) at the input's size, the way published exports do.
"""
import pathlib

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

CLASSES = 19


class Fcn8s(nn.Module):
    """FCN-8s on VGG16 (Long, Shelhamer, Darrell 2015): fc6 and fc7 as convolutions, skips from pool3 and pool4, learned upsampling."""

    def __init__(self):
        super().__init__()
        features = torchvision.models.vgg16(weights=None).features
        self.to_pool3, self.to_pool4, self.to_pool5 = features[:17], features[17:24], features[24:]
        self.fc6, self.fc7 = nn.Conv2d(512, 4096, 7, padding=3), nn.Conv2d(4096, 4096, 1)
        self.score5, self.score4, self.score3 = nn.Conv2d(4096, CLASSES, 1), nn.Conv2d(512, CLASSES, 1), nn.Conv2d(256, CLASSES, 1)
        self.up5 = nn.ConvTranspose2d(CLASSES, CLASSES, 4, 2, 1, bias=False)
        self.up4 = nn.ConvTranspose2d(CLASSES, CLASSES, 4, 2, 1, bias=False)
        self.up3 = nn.ConvTranspose2d(CLASSES, CLASSES, 16, 8, 4, bias=False)

    def forward(self, x):
        pool3 = self.to_pool3(x)
        pool4 = self.to_pool4(pool3)
        y = self.score5(F.relu(self.fc7(F.relu(self.fc6(self.to_pool5(pool4))))))
        y = self.up5(y) + self.score4(pool4)
        return self.up3(self.up4(y) + self.score3(pool3))


class FcnResnet18(nn.Module):
    """FCN-32s head on ResNet-18, the shape that jetson-inference ships; bilinear to the input's size."""

    def __init__(self):
        super().__init__()
        r = torchvision.models.resnet18(weights=None)
        self.body = nn.Sequential(r.conv1, r.bn1, r.relu, r.maxpool, r.layer1, r.layer2, r.layer3, r.layer4)
        self.head = nn.Conv2d(512, CLASSES, 1)

    def forward(self, x):
        return F.interpolate(self.head(self.body(x)), scale_factor=32, mode="bilinear", align_corners=False)


def block(i, o, kernel=1, dilation=1, groups=1):
    return nn.Sequential(nn.Conv2d(i, o, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=groups, bias=False), nn.BatchNorm2d(o), nn.ReLU())


def separable(i, o, dilation=1):
    return nn.Sequential(block(i, i, 3, dilation, groups=i), block(i, o))


class Aspp(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.branches = nn.ModuleList([block(i, o)] + [separable(i, o, d) for d in (6, 12, 18)])
        self.pooled, self.project = block(i, o), block(5 * o, o)

    def forward(self, x):
        pooled = F.interpolate(self.pooled(x.mean((2, 3), keepdim=True)), size=x.shape[2:], mode="bilinear", align_corners=False)
        return self.project(torch.cat([b(x) for b in self.branches] + [pooled], 1))


class DeepLabV3PlusMobileNetV2(nn.Module):
    """DeepLabv3+ (Chen et al. 2018), output stride 16, separable ASPP 6/12/18 with image pooling, decoder on the stride-4 features."""

    def __init__(self):
        super().__init__()
        features = torchvision.models.mobilenet_v2(weights=None).features
        for i, layer in enumerate(features[14:18]):  # the last stage keeps stride 16 and dilates instead
            for m in layer.modules():
                if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3):
                    m.stride = (1, 1)
                    if i:
                        m.dilation, m.padding = (2, 2), (2, 2)
        self.low, self.high = features[:4], features[4:18]
        self.aspp, self.reduce = Aspp(320, 256), block(24, 48)
        self.decoder = nn.Sequential(separable(304, 256), separable(256, 256), nn.Conv2d(256, CLASSES, 1))

    def forward(self, x):
        low = self.low(x)
        y = F.interpolate(self.aspp(self.high(low)), scale_factor=4, mode="bilinear", align_corners=False)
        return F.interpolate(self.decoder(torch.cat([y, self.reduce(low)], 1)), scale_factor=4, mode="bilinear", align_corners=False)


# name: (module, width, height)
NETS = {
    "fcn-resnet18": (FcnResnet18, 1024, 512),
    "deeplabv3p-mobilenetv2": (DeepLabV3PlusMobileNetV2, 512, 256),
    "fcn8s-vgg16": (Fcn8s, 512, 256),
}


def build(name):
    torch.manual_seed(0)
    return NETS[name][0]().eval()


def export(name, path: pathlib.Path):
    _, width, height = NETS[name]
    torch.onnx.export(build(name), torch.zeros(1, 3, height, width), str(path), opset_version=17, input_names=["input"], output_names=["scores"], dynamo=False)
