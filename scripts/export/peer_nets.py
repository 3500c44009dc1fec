# SPDX-License-Identifier: MIT
"""The networks that scripts/bench-peers times, with random weights (speed does not depend on them), as PyTorch modules and ONNX files.

Each takes (1, 3, H, W) and returns scores (1, 19, H, W) at the input's size, the way published exports do.
"""
import pathlib
import sys

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "train"))
from nets.deeplab import DeepLabV3Plus  # noqa: E402

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


# name: (module, width, height)
NETS = {
    "fcn-resnet18": (FcnResnet18, 1024, 512),
    "deeplabv3p-mobilenetv2": (lambda: DeepLabV3Plus(CLASSES, "mobilenetv2"), 512, 256),
    "fcn8s-vgg16": (Fcn8s, 512, 256),
}


def build(name):
    torch.manual_seed(0)
    return NETS[name][0]().eval()


def export(name, path: pathlib.Path):
    _, width, height = NETS[name]
    torch.onnx.export(build(name), torch.zeros(1, 3, height, width), str(path), opset_version=17, input_names=["input"], output_names=["scores"], dynamo=False)
