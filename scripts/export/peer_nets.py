# SPDX-License-Identifier: MIT
"""The networks of published architectures that scripts/bench-peers times, as PyTorch modules and ONNX files. Their weights are random, their tensors are as a trained
network's: norms that fit what comes to them, and scores of which every class has its share.

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
from nets.layers import bilinear_  # noqa: E402
from nets.unet import UNet  # noqa: E402

CLASSES = 19


def learned_upsampling(kernel, stride, padding):
    """Bilinear, as it begins, and a little beside it: nothing may take it for the plain upsampling that a learned one is not."""
    up = bilinear_(nn.ConvTranspose2d(CLASSES, CLASSES, kernel, stride, padding, bias=False))
    up.weight.data.add_(torch.randn_like(up.weight), alpha=0.01)
    return up


class Fcn8s(nn.Module):
    """FCN-8s on VGG16 (Long, Shelhamer, Darrell 2015): fc6 and fc7 as convolutions, skips from pool3 and pool4, learned upsampling."""

    def __init__(self):
        super().__init__()
        features = torchvision.models.vgg16(weights=None).features
        self.to_pool3, self.to_pool4, self.to_pool5 = features[:17], features[17:24], features[24:]
        self.fc6, self.fc7 = nn.Conv2d(512, 4096, 7, padding=3), nn.Conv2d(4096, 4096, 1)
        self.score5, self.score4, self.score3 = nn.Conv2d(4096, CLASSES, 1), nn.Conv2d(512, CLASSES, 1), nn.Conv2d(256, CLASSES, 1)
        self.up5, self.up4, self.up3 = (learned_upsampling(*shape) for shape in ((4, 2, 1), (4, 2, 1), (16, 8, 4)))

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


class Published(nn.Module):
    """One of torchvision's segmentation networks, which give their scores in a dictionary."""

    def __init__(self, constructor):
        super().__init__()
        self.net = constructor(weights=None, weights_backbone=None, num_classes=CLASSES)

    def forward(self, x):
        return self.net(x)["out"]


SEGMENTATION = torchvision.models.segmentation
# name: (constructor, the convolutions that give scores)
NETS = {
    "fcn8s-vgg16": (Fcn8s, lambda n: (n.score5, n.score4, n.score3)),
    "fcn-resnet18": (FcnResnet18, lambda n: (n.head,)),
    "deeplabv3-resnet50": (lambda: Published(SEGMENTATION.deeplabv3_resnet50), lambda n: (n.net.classifier[-1],)),
    "deeplabv3p-mobilenetv2": (lambda: DeepLabV3Plus(CLASSES, "mobilenetv2"), lambda n: (n.decoder[-1],)),
    "unet-32": (lambda: UNet(CLASSES, base=32), lambda n: (n.score,)),
    "lraspp-mobilenetv3": (lambda: Published(SEGMENTATION.lraspp_mobilenet_v3_large), lambda n: (n.net.classifier.low_classifier, n.net.classifier.high_classifier)),
}


def pictures(count=4, side=256):
    """Coloured noise at several scales, normalised: (count, 3, side, 2 * side)."""
    grains = (F.interpolate(torch.randn(count, 3, g, 2 * g), (side, 2 * side), mode="bilinear", align_corners=False) for g in (2, 6, 24, 96))
    return sum(grains) / 2


def fit_norm(norm, inputs):
    x = inputs[0]
    if x.shape[2] * x.shape[3] > 1:  # a pooled picture is one value, which has no spread
        norm.running_mean.copy_(x.mean((0, 2, 3)))
        norm.running_var.copy_(x.var((0, 2, 3)))
        nn.init.uniform_(norm.weight, 0.7, 1.3)
        nn.init.normal_(norm.bias, 0, 0.2)


def fit_scores(conv, _, scores):
    """Every class's scores get mean 0 and spread 1 over the pictures: all of them win somewhere, and rounding decides hardly anywhere."""
    mean, spread = scores.mean((0, 2, 3)), scores.std((0, 2, 3)).clamp(min=1e-6)
    bias = torch.zeros_like(mean) if conv.bias is None else conv.bias
    conv.weight.div_(spread.view(-1, 1, 1, 1))
    conv.bias = nn.Parameter((bias - mean) / spread)
    return (scores - mean.view(1, -1, 1, 1)) / spread.view(1, -1, 1, 1)


def build(name):
    """The module, in evaluation mode, the same at every call."""
    torch.manual_seed(0)
    constructor, gives_scores = NETS[name]
    net = constructor().eval()
    hooks = [m.register_forward_pre_hook(fit_norm) for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    hooks += [conv.register_forward_hook(fit_scores) for conv in gives_scores(net)]
    with torch.no_grad():
        net(pictures())
    for hook in hooks:
        hook.remove()
    return net


def with_weights(name, path):
    """The module with the weights that export() saved."""
    net = NETS[name][0]()
    net.load_state_dict(torch.load(path, weights_only=True))
    return net.eval()


def export(name, path: pathlib.Path, width, height):
    """Writes the network as path (.onnx), its weights beside it (.pt)."""
    net = build(name)
    torch.save(net.state_dict(), path.with_suffix(".pt"))
    torch.onnx.export(net, torch.zeros(1, 3, height, width), str(path), opset_version=17, input_names=["input"], output_names=["scores"], dynamo=False)
