# SPDX-License-Identifier: MIT
"""DeepLabv3 and DeepLabv3+, and the light decoder that the shipped models have."""
import torch
from torch import nn

from .backbones import backbone
from .layers import conv_bn, enlarge, separable


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: a 1x1, three 3x3 with dilations, and the whole picture's mean, side by side, then projected.

    Rates 6, 12, 18 at output stride 16, doubled at 8 (Chen et al. 2017). `separate`: depthwise separable 3x3 (v3+).
    """

    def __init__(self, i, o=256, rates=(6, 12, 18), separate=False, dropout=0.5):
        super().__init__()
        wide = [separable(i, o, dilation=r) if separate else conv_bn(i, o, 3, dilation=r) for r in rates]
        self.branches = nn.ModuleList([conv_bn(i, o), *wide])
        self.pooled = conv_bn(i, o)
        self.project = nn.Sequential(conv_bn((2 + len(rates)) * o, o), nn.Dropout(dropout))

    def forward(self, x):
        pooled = enlarge(self.pooled(x.mean((2, 3), keepdim=True)), x)
        return self.project(torch.cat([b(x) for b in self.branches] + [pooled], 1))


def rates_of(output_stride):
    return tuple(r * 16 // output_stride for r in (6, 12, 18)) if output_stride < 32 else (2, 4, 6)


class DeepLabV3(nn.Module):
    """DeepLabv3: Chen, Papandreou, Schroff, Adam, "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017.

    RGB (N, 3, H, W), multiples of 32 -> scores (N, classes, H, W), bilinear from the output stride. ASPP, one 3x3, 1x1 to scores.
    39.6 M parameters on ResNet-50 (21 classes; torchvision's deeplabv3_resnet50 without its auxiliary head: the same numbers, the same result).
    """

    def __init__(self, classes, backbone_name="resnet50", output_stride=16, pretrained=False):
        super().__init__()
        self.backbone = backbone(backbone_name, output_stride=output_stride, pretrained=pretrained)
        self.aspp = Aspp(self.backbone.channels["top"], rates=rates_of(output_stride))
        self.head = nn.Sequential(conv_bn(256, 256, 3), nn.Conv2d(256, classes, 1))

    def forward(self, x):
        return enlarge(self.head(self.aspp(self.backbone(x)["top"])), x)


class DeepLabV3Plus(nn.Module):
    """DeepLabv3+: Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018.

    RGB (N, 3, H, W), multiples of 32 -> scores (N, classes, H, W). ASPP as in v3, depthwise separable; the decoder joins it with the stride-4 features,
    reduced to 48 channels, by two separable 3x3 of 256. On Xception-65, output stride 16: 41 M parameters.
    """

    def __init__(self, classes, backbone_name="mobilenetv2", output_stride=16, pretrained=False, width=256):
        super().__init__()
        self.backbone = backbone(backbone_name, output_stride=output_stride, pretrained=pretrained)
        self.aspp = Aspp(self.backbone.channels["top"], width, rates_of(output_stride), separate=True)
        self.reduce = conv_bn(self.backbone.channels[4], 48)
        self.decoder = nn.Sequential(separable(width + 48, width), separable(width, width), nn.Dropout(0.1), nn.Conv2d(width, classes, 1))

    def forward(self, x):
        features = self.backbone(x)
        y = enlarge(self.aspp(features["top"]), features[4])
        return enlarge(self.decoder(torch.cat([y, self.reduce(features[4])], 1)), x)


class LightDecoder(nn.Module):
    """Real-time sibling of DeepLabv3+: a small ASPP on the encoder's last features, then up by two at a time, each size joined by sum with the encoder's features of
    that size: `width` channels down to stride 8, `fine` at stride 4 (0: scores at stride 8). The encoder ends at stride 32; EfficientNet-Lite with `stages` 4 or 5 at
    16, with `slim` it is narrower at strides 4 and 8.

    RGB (N, 3, H, W), multiples of 32 -> scores (N, classes, H, W).
    """

    def __init__(self, classes, backbone_name="efficientnet-lite0", pretrained=False, width=128, fine=64, **encoder):
        super().__init__()
        self.backbone = backbone(backbone_name, output_stride=32, pretrained=pretrained, **encoder)
        c = self.backbone.channels
        self.deep = 16 in c  # else it ends there
        self.aspp = Aspp(c["top"], width, (2, 4) if self.deep else (4, 8), separate=True, dropout=0)
        if self.deep:
            self.take16, self.join16 = conv_bn(c[16], width), separable(width, width)
        self.take8, self.join8 = conv_bn(c[8], width), separable(width, width)
        self.fine = fine
        if fine:
            self.narrow, self.take4, self.join4 = conv_bn(width, fine), conv_bn(c[4], fine), separable(fine, fine)
        self.score = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(fine or width, classes, 1))

    def slim_state(self, state):
        """Leaves of a wider sibling's state what there is room for here: in the encoder's blocks, and at stride 4 the channels that weigh most in what follows."""
        if hasattr(self.backbone, "slim_state"):
            self.backbone.slim_state(state, "backbone.")
        if "join4.0.1.weight" not in state or not 0 < self.fine < state["score.1.weight"].shape[1]:
            return
        into = state["join4.0.1.weight"].abs() * state["join4.1.0.weight"].flatten(1).norm(dim=0)
        out = state["join4.1.1.weight"].abs() * state["score.1.weight"].flatten(1).norm(dim=0)
        into, out = (weight.topk(self.fine).indices.sort().values for weight in (into, out))
        state["join4.1.0.weight"], state["score.1.weight"] = state["join4.1.0.weight"][:, into], state["score.1.weight"][:, out]
        for name in [k for k in state if state[k].dim()]:
            kept = into if name.startswith(("narrow.", "take4.", "join4.0.")) else out if name.startswith("join4.1.") else None
            if kept is not None:
                state[name] = state[name][kept]

    def forward(self, x):
        f = self.backbone(x)
        y = self.aspp(f["top"])
        if self.deep:
            y = self.join16(enlarge(y, f[16]) + self.take16(f[16]))
        y = self.join8(enlarge(y, f[8]) + self.take8(f[8]))
        if self.fine:
            y = self.join4(enlarge(self.narrow(y), f[4]) + self.take4(f[4]))
        return enlarge(self.score(y), x)
