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
    where a pooling met an odd size the way back is one pixel short and its edge is repeated. Between the ways a 5x5 and a 1x1 convolution stand for the
    dense layers; the way back adds what the way down had at each size (before its pooling).
    """

    def __init__(self, classes=11, classifier=None):
        super().__init__()
        like = classifier or M2nistClassifier()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 5), nn.Conv2d(8, 16, 3)
        self.conv1.load_state_dict(like.conv1.state_dict())
        self.conv2.load_state_dict(like.conv2.state_dict())
        self.dense1, self.dense2 = nn.Conv2d(16, 96, 5, padding=2), nn.Conv2d(96, 48, 1)
        self.up2, self.back2 = nn.ConvTranspose2d(48, 16, 2, 2), nn.ConvTranspose2d(16, 16, 3)
        self.up1, self.back1 = nn.ConvTranspose2d(16, 8, 2, 2), nn.ConvTranspose2d(8, classes, 5)

    @staticmethod
    def _fill(x, like):
        """Repeats the lower and right edge up to the size of `like`."""
        return F.pad(x, (0, like.shape[3] - x.shape[3], 0, like.shape[2] - x.shape[2]), mode="replicate")

    def forward(self, x):
        a = F.relu(self.conv1(x))
        b = F.relu(self.conv2(F.max_pool2d(a, 2)))
        y = F.relu(self.dense2(F.relu(self.dense1(F.max_pool2d(b, 2)))))
        y = F.relu(self._fill(self.up2(y), b) + b)
        y = F.relu(self.back2(y))
        y = F.relu(self._fill(self.up1(y), a) + a)
        return self.back1(y)
