# SPDX-License-Identifier: MIT
"""The networks by name: build("deeplabv3plus", classes=11, backbone="resnet18", pretrained=True). Every one takes pictures (N, C, H, W) of the card's mean
and std and gives scores (N, classes, H, W); `multiple` says what H and W must be multiples of."""
from .ddrnet import DdrNet23Slim
from .deeplab import DeepLabV3, DeepLabV3Plus, LightDecoder
from .densenet import FcDenseNet
from .fcn import Fcn
from .m2nist import M2nistFcn
from .segnet import SegNet
from .unet import ResidualUNet, UNet

# name: (constructor of classes and options, multiple of the input's sides)
NETS = {
    "fcn32s": (lambda classes, **o: Fcn(classes, 32, **o), 1),
    "fcn16s": (lambda classes, **o: Fcn(classes, 16, **o), 1),
    "fcn8s": (lambda classes, **o: Fcn(classes, 8, **o), 1),
    "unet": (UNet, 16),
    "residual-unet": (ResidualUNet, 8),
    "fcdensenet56": (lambda classes, **o: FcDenseNet(classes, 56, **o), 32),
    "fcdensenet67": (lambda classes, **o: FcDenseNet(classes, 67, **o), 32),
    "fcdensenet103": (lambda classes, **o: FcDenseNet(classes, 103, **o), 32),
    "segnet": (SegNet, 32),
    "segnet-pets": (lambda classes, **o: SegNet(classes, 4, True, **o), 16),
    "deeplabv3": (lambda classes, backbone="resnet50", **o: DeepLabV3(classes, backbone, **o), 32),
    "deeplabv3plus": (lambda classes, backbone="mobilenetv2", **o: DeepLabV3Plus(classes, backbone, **o), 32),
    "light": (lambda classes, backbone="efficientnet-lite0", **o: LightDecoder(classes, backbone, **o), 32),
    "ddrnet23slim": (DdrNet23Slim, 64),
    "m2nist-fcn": (lambda classes, **o: M2nistFcn(classes, **o), 1),
}


def build(name, classes, **options):
    """ValueError with the names there are, or with what an option must be."""
    if name not in NETS:
        raise ValueError(f"there is no network {name}; there are: {', '.join(NETS)}")
    try:
        net = NETS[name][0](classes, **options)
    except TypeError as error:  # an option that this network does not have
        raise ValueError(f"{name}: {error}") from error
    net.multiple = NETS[name][1]
    return net


def normalisation(net):
    """mean and std, three values each, of 0..255 pictures: the encoder's own, else 127.5."""
    own = getattr(net, "backbone", net)
    return tuple(getattr(own, "mean", (127.5,) * 3)), tuple(getattr(own, "std", (127.5,) * 3))
