#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ESPNet (Mehta et al., ECCV 2018; p = 2, q = 8, Cityscapes, 20 outputs: 19 train ids and "ignored") from its published weights to ONNX and a model card.

    scripts/export/espnet.py STATE_DICT OUT.onnx WIDTH HEIGHT

The architecture is written from the paper and the shapes in the state dict; that it is the right one is seen by the result: run on labelled frames of
Cityscapes (KERB_DATA), it prints their mIoU, and fails where less than
90 % of the pixels are right (six frames of which many classes are rare: mIoU says less).
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from environment import DATA  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

MEAN, STD = np.array([72.39239876, 82.90891754, 73.15835921]), np.array([45.3192215, 46.15289307, 44.91483307])  # BGR
NAMES = ("road sidewalk building wall fence pole light sign vegetation terrain sky person rider car truck bus train motorcycle bicycle ignored").split()
IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


class Conv(nn.Module):
    def __init__(self, i, o, kernel, stride=1, dilation=1):
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, stride, (kernel - 1) // 2 * dilation, dilation, bias=False)

    def forward(self, x):
        return self.conv(x)


class NormAct(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.bn, self.act = nn.BatchNorm2d(c, eps=1e-3), nn.PReLU(c)

    def forward(self, x):
        return self.act(self.bn(x))


class ConvNormAct(nn.Module):
    def __init__(self, i, o, kernel, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, stride, (kernel - 1) // 2, bias=False)
        self.bn, self.act = nn.BatchNorm2d(o, eps=1e-3), nn.PReLU(o)

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Pyramid(nn.Module):
    """Reduce, five dilations, hierarchical sums (the paper's figure 1); `down`: stride 2, without the residual and with its own norm."""

    def __init__(self, i, o, down=False, residual=True):
        super().__init__()
        n = o // 5
        self.down, self.residual = down, residual and not down
        self.c1 = Conv(i, n, 3 if down else 1, 2 if down else 1)
        self.d1 = Conv(n, o - 4 * n, 3)
        self.d2, self.d4, self.d8, self.d16 = (Conv(n, n, 3, 1, d) for d in (2, 4, 8, 16))
        if down:
            self.bn, self.act = nn.BatchNorm2d(o, eps=1e-3), nn.PReLU(o)
        else:
            self.bn = NormAct(o)

    def forward(self, x):
        y = self.c1(x)
        a = self.d2(y)
        b = a + self.d4(y)
        c = b + self.d8(y)
        d = c + self.d16(y)
        y = torch.cat([self.d1(y), a, b, c, d], 1)
        if self.down:
            return self.act(self.bn(y))
        return self.bn(x + y if self.residual else y)


class Encoder(nn.Module):
    def __init__(self, classes, p, q):
        super().__init__()
        self.level1 = ConvNormAct(3, 16, 3, 2)
        self.b1 = NormAct(19)
        self.level2_0 = Pyramid(19, 64, down=True)
        self.level2 = nn.ModuleList([Pyramid(64, 64) for _ in range(p)])
        self.b2 = NormAct(131)
        self.level3_0 = Pyramid(131, 128, down=True)
        self.level3 = nn.ModuleList([Pyramid(128, 128) for _ in range(q)])
        self.b3 = NormAct(256)
        self.classifier = Conv(256, classes, 1)


class ESPNet(nn.Module):
    def __init__(self, classes=20, p=2, q=8):
        super().__init__()
        self.encoder = Encoder(classes, p, q)
        self.level3_C = Conv(131, classes, 1)
        self.br = nn.BatchNorm2d(classes, eps=1e-3)
        self.conv = ConvNormAct(classes + 16, classes, 3)
        self.up_l3 = nn.Sequential(nn.ConvTranspose2d(classes, classes, 2, 2, bias=False))
        self.combine_l2_l3 = nn.Sequential(NormAct(2 * classes), Pyramid(2 * classes, classes, residual=False))
        self.up_l2 = nn.Sequential(nn.ConvTranspose2d(classes, classes, 2, 2, bias=False), NormAct(classes))
        self.classifier = nn.ConvTranspose2d(classes, classes, 2, 2, bias=False)
        self.pool = nn.AvgPool2d(3, 2, 1)

    def forward(self, x):
        e = self.encoder
        half, quarter = self.pool(x), self.pool(self.pool(x))
        one = e.level1(x)
        two = first = e.level2_0(e.b1(torch.cat([one, half], 1)))
        for block in e.level2:
            two = block(two)
        two = e.b2(torch.cat([two, first, quarter], 1))
        three = first = e.level3_0(two)
        for block in e.level3:
            three = block(three)
        three = self.up_l3(self.br(e.classifier(e.b3(torch.cat([first, three], 1)))))
        two = self.up_l2(self.combine_l2_l3(torch.cat([self.level3_C(two), three], 1)))
        return self.classifier(self.conv(torch.cat([two, one], 1)))


def check(net):
    import cv2
    table = np.full(256, 255, np.uint8)
    table[list(IDS)] = np.arange(19)
    confusion = np.zeros((19, 20), np.int64)
    for image in sorted((DATA / "cityscapes/images").glob("*")):
        label = next((DATA / "cityscapes/labelIds").glob(image.stem.replace("_leftImg8bit", "") + "*"))
        bgr = cv2.resize(cv2.imread(str(image)), (1024, 512), interpolation=cv2.INTER_AREA).astype(np.float32)
        truth = table[cv2.resize(cv2.imread(str(label), -1), (1024, 512), interpolation=cv2.INTER_NEAREST)]
        with torch.no_grad():
            found = net(torch.from_numpy(((bgr - MEAN) / STD / 255).astype(np.float32).transpose(2, 0, 1)[None]))[0].argmax(0).numpy()
        known = truth < 19
        confusion += np.bincount(truth[known].astype(int) * 20 + found[known], minlength=380).reshape(19, 20)
    union = confusion.sum(1) + confusion[:, :19].sum(0) - np.diag(confusion)
    miou = 100 * np.mean((np.diag(confusion) / np.maximum(union, 1))[union > 0])
    accuracy = 100 * np.trace(confusion) / confusion.sum()
    print(f"{miou:.1f} % mIoU, {accuracy:.1f} % of the pixels right, on the labelled frames of Cityscapes")
    return accuracy


def main():
    state, out, width, height = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    net = ESPNet()
    net.load_state_dict(torch.load(state, map_location="cpu"))
    net.eval()
    if check(net) < 90:
        sys.exit("that is not the network the weights belong to")
    torch.onnx.export(net, torch.zeros(1, 3, height, width), out, opset_version=13, input_names=["picture"], output_names=["scores"], dynamo=False)
    card = {"card": 1, "name": out.stem, "input": {"width": width, "height": height, "color": "BGR", "scale": 1, "fit": "stretch",
                                                   "mean": MEAN.tolist(), "std": (STD * 255).tolist()},
            "classes": [{"name": n} for n in NAMES]}
    out.with_suffix(".json").write_text(json.dumps(card))


main()
