# SPDX-License-Identifier: MIT
"""The two small networks of M2NIST: a classifier, and the FCN that is cut out of it."""
from torch import nn
from torch.nn import functional as F


class M2nistClassifier(nn.Module):
    """Which digits are in the picture: conv - pool - conv - pool - dense - dense.

    Grey (N, 1, 64, 84) -> one logit a digit (N, 10). 64x84 -> conv 5x5 (8 channels) 60x80 -> pool 30x40 -> conv 3x3 (16) 28x38 -> pool 14x19 ->
    dense 128 -> dense 10. 547,562 parameters.
    """

    def __init__(self, digits=10):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 5), nn.Conv2d(8, 16, 3)
        self.dense1, self.dense2 = nn.Linear(16 * 14 * 19, 128), nn.Linear(128, digits)

    def features(self, x):
        """-> (N, 16, 14, 19)"""
        return F.max_pool2d(F.relu(self.conv2(F.max_pool2d(F.relu(self.conv1(x)), 2))), 2)

    def forward(self, x):
        return self.dense2(F.relu(self.dense1(self.features(x).flatten(1))))


class M2nistFcn(nn.Module):
    """The classifier's convolutions, and the way back by transposed convolutions.

    Grey (N, 1, H, W) -> scores (N, classes, H, W), any size from 16 on: 64x84 -> 60x80 -> 30x40 -> 28x38 -> 14x19 and the same sizes back;
    where a pooling met an odd size the way back is one pixel short and its edge is repeated. Between the ways a 5x5 and a 3x3 convolution stand for the
    dense layers: a pixel sees 44 pixels around it, so that the end of a digit (20x20) knows its other end. The way back adds what the way down had at each size
    (before its pooling). `back1` and `back2` are transposed convolutions of stride 1, written as what they are, convolutions padded all round (four times as fast in
    PyTorch). Norms behind the convolutions, and beginnings of variance 2 / inputs for the transposed ones too (PyTorch's own are four times too small
    there), make it learn in minutes. 0.10 M parameters.
    """

    mean, std = (0.0,) * 3, (127.5,) * 3  # MNIST is black: nearly all inputs are nought

    def __init__(self, classes=11, classifier=None):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 5), nn.Conv2d(8, 16, 3)
        self.dense1, self.dense2 = nn.Conv2d(16, 96, 5, padding=2), nn.Conv2d(96, 48, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (8, 16, 96, 48))
        self.up2, self.past2, self.back2 = nn.ConvTranspose2d(48, 32, 2, 2), nn.Conv2d(16, 32, 1), nn.Conv2d(32, 32, 3, padding=2)
        self.up1, self.past1, self.back1 = nn.ConvTranspose2d(32, 16, 2, 2), nn.Conv2d(8, 16, 1), nn.Conv2d(16, classes, 5, padding=4)
        for m in self.modules():
            if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
                inputs = m.in_channels * m.kernel_size[0] ** 2 // m.stride[0] ** 2
                nn.init.normal_(m.weight, 0, (2 / inputs) ** 0.5)
                nn.init.zeros_(m.bias)
        if classifier:
            self.conv1.load_state_dict(classifier.conv1.state_dict())
            self.conv2.load_state_dict(classifier.conv2.state_dict())

    @staticmethod
    def _fill(x, like):
        """Repeats the lower and right edge up to the size of `like`."""
        return F.pad(x, (0, like.shape[3] - x.shape[3], 0, like.shape[2] - x.shape[2]), mode="replicate")

    def forward(self, x):
        a = F.relu(self.norms[0](self.conv1(x)))
        b = F.relu(self.norms[1](self.conv2(F.max_pool2d(a, 2))))
        y = F.relu(self.norms[2](self.dense1(F.max_pool2d(b, 2))))
        y = F.relu(self.norms[3](self.dense2(y)))
        y = F.relu(self._fill(self.up2(y), b) + self.past2(b))
        y = F.relu(self.back2(y))
        y = F.relu(self._fill(self.up1(y), a) + self.past1(a))
        return self.back1(y)
