# SPDX-License-Identifier: MIT
"""Fully convolutional networks on VGG16."""
from torch import nn
from torch.nn import functional as F

from .layers import bilinear_, crop

# Convolutions of VGG16 (Simonyan and Zisserman 2015, configuration D) between its five poolings.
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def vgg16_stages(width=1.0, first_padding=1, norm=False):
    """Five stages of 3x3 convolutions with ReLU, without the poolings; and their channels. Layer for layer torchvision's vgg16().features (norm: vgg16_bn()'s)."""
    stages, channels, i = [], [], 3
    for stage in VGG16:
        layers = []
        for o in stage:
            o = max(8, round(o * width))
            layers += [nn.Conv2d(i, o, 3, padding=first_padding if i == 3 else 1), *([nn.BatchNorm2d(o)] if norm else []), nn.ReLU(inplace=True)]
            i = o
        stages.append(nn.Sequential(*layers))
        channels.append(i)
    return nn.ModuleList(stages), channels


class Fcn(nn.Module):
    """FCN-32s, FCN-16s and FCN-8s on VGG16: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015.

    RGB (N, 3, H, W) -> scores (N, classes, H, W), any H and W from 1 on. The picture is padded by 100 so that fc6, a 7x7 convolution without
    padding, has something to look at everywhere; poolings round up; fc6 and fc7 are convolutions with dropout; scores of stride 32 are
    enlarged by learned transposed convolutions, which begin as bilinear ones, and joined by scores of pool4 (16s) and pool3 and pool4 (8s, "at once":
    the skips' inputs are scaled by 0.01 and 0.0001). Crops are the published models' (5, 9; 19, 27, 31 at the end).
    134.3 M parameters for 21 classes without the upsampling (the paper: 134 M). `width` slims every layer by that factor.

    `norm` is for training without ImageNet's weights: batch normalisation after every convolution of the encoder, fc6 and fc7, and skips that are not
    scaled down (the published factors suit the size of what a trained VGG16 gives).
    """

    def __init__(self, classes, stride=8, width=1.0, norm=False):
        super().__init__()
        if stride not in (8, 16, 32):
            raise ValueError(f"FCN has stride 8, 16 or 32, not {stride}")
        self.stride = stride
        self.scales = (1, 1) if norm or stride > 8 else (0.01, 0.0001)  # of pool4 and pool3
        self.stages, channels = vgg16_stages(width, 100, norm)
        hidden = max(16, round(4096 * width))
        self.fc6, self.fc7 = nn.Conv2d(channels[4], hidden, 7), nn.Conv2d(hidden, hidden, 1)
        self.norm6, self.norm7 = (nn.BatchNorm2d(hidden) if norm else nn.Identity() for _ in "67")
        self.dropout = nn.Dropout2d(0.5)
        self.score = nn.Conv2d(hidden, classes, 1)
        if stride < 32:
            self.score_pool4, self.up2 = nn.Conv2d(channels[3], classes, 1), self._up(classes, 4, 2)
        if stride < 16:
            self.score_pool3, self.up_pool4 = nn.Conv2d(channels[2], classes, 1), self._up(classes, 4, 2)
        self.up = self._up(classes, 2 * stride, stride)
        for new in [self.score] + [getattr(self, n) for n in ("score_pool4", "score_pool3") if hasattr(self, n)]:
            nn.init.zeros_(new.weight)
            nn.init.zeros_(new.bias)

    @staticmethod
    def _up(classes, kernel, stride):
        return bilinear_(nn.ConvTranspose2d(classes, classes, kernel, stride, bias=False))

    def backbone_from_vgg16(self, state):
        """Takes torchvision's vgg16 state_dict: the convolutions, and fc6 and fc7 from classifier.0 and classifier.3."""
        own = [m for stage in self.stages for m in stage if isinstance(m, nn.Conv2d)]
        names = sorted((k[:-7] for k in state if k.startswith("features.") and k.endswith(".weight")), key=lambda k: int(k.split(".")[1]))
        for conv, name in zip(own + [self.fc6, self.fc7], names + ["classifier.0", "classifier.3"], strict=True):
            conv.weight.data.copy_(state[name + ".weight"].view_as(conv.weight))
            conv.bias.data.copy_(state[name + ".bias"])

    def forward(self, x):
        y, pools = x, []
        for stage in self.stages:
            y = F.max_pool2d(stage(y), 2, ceil_mode=True)
            pools.append(y)
        y = self.dropout(F.relu(self.norm6(self.fc6(y))))
        y = self.score(self.dropout(F.relu(self.norm7(self.fc7(y)))))
        if self.stride < 32:
            y = self.up2(y)
            y = y + crop(self.score_pool4(pools[3] * self.scales[0]), y, 5)
        if self.stride < 16:
            y = self.up_pool4(y)
            y = y + crop(self.score_pool3(pools[2] * self.scales[1]), y, 9)
        return crop(self.up(y), x, {32: 19, 16: 27, 8: 31}[self.stride])
