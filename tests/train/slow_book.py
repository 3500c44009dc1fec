# SPDX-License-Identifier: MIT
"""The picture book: what is counted against a computation by hand and PyTorch's own counter; accuracy by `kerb eval` against PyTorch on CamVid; a book made twice."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

from train_case import BUILD, ROOT, Scratch

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import checkpoint
import count
import export
import measure
from data import folder, open_data
from nets import build
from nets.layers import parameters
from train import normalisation_of, trained

DATA = pathlib.Path(os.environ.get("KERB_DATA", "/nowhere"))
KERB = [ROOT / "scripts/run", "kerb"]


class Commands(Scratch):
    def run_it(self, *command, **options):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=1500, **options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done


class Counts(Commands):
    def test_by_hand(self):
        """A strided convolution, a depthwise one, and a transposed one, at a size that the file was not written at."""
        net = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.ConvTranspose2d(8, 4, 4, 2, 1)).eval()
        export.write_onnx(net, self.root / "net.onnx", (32, 16), True)
        self.assertEqual(count.parameters(self.root / "net.onnx"), (75 * 8 + 8) + 9 * 8 + (8 * 4 * 16 + 4))
        products = 48 * 30 * 8 * 75 + 48 * 30 * 8 * 9 + 48 * 30 * 8 * 4 * 16
        self.assertEqual(count.gflop(self.root / "net.onnx", 96, 60), 2 * products / 1e9)

    def test_a_size_that_the_file_does_not_take(self):
        export.write_onnx(nn.Conv2d(3, 2, 1), self.root / "net.onnx", (32, 16), False)
        with self.assertRaisesRegex(ValueError, "fixed at 16, not 24"):
            count.gflop(self.root / "net.onnx", 32, 24)

    def test_against_pytorchs_counter(self):
        for name, options, size in (("light", {"backbone": "efficientnet-lite0"}, (160, 96)), ("fcn8s", {"width": .125}, (100, 75)), ("segnet", {"width": .125}, (96, 64)), ("unet", {"base": 8}, (96, 64)),
                                    ("residual-unet", {"base": 8}, (96, 64)), ("fcdensenet56", {}, (96, 64)), ("deeplabv3plus", {"backbone": "mobilenetv2"}, (96, 64)),
                                    ("ddrnet23slim", {}, (192, 128)), ("m2nist-fcn", {}, (97, 71))):
            with self.subTest(name):
                net = build(name, 11, **options).eval()
                m = net.multiple
                export.write_onnx(net, self.root / "net.onnx", (max(64, 2 * m), max(64, m)), True)
                with FlopCounterMode(display=False) as counter, torch.no_grad():
                    net(torch.zeros(1, export.channels_of(net), size[1], size[0]))
                self.assertAlmostEqual(count.gflop(self.root / "net.onnx", *size), counter.get_total_flops() / 1e9, delta=1e-6)
                kept = count.parameters(self.root / "net.onnx") / parameters(net)  # folded norms; auxiliary heads stay behind
                self.assertTrue(0.85 < kept <= 1, kept)


@unittest.skipUnless((DATA / "camvid/val").is_dir(), "KERB_DATA has no camvid")
@unittest.skipUnless((BUILD / "bin/kerb").exists(), "kerb is not built")
class CamVid(Commands):
    def run_of_camvid(self):
        """KERB_RUN: a trained run; without it a small one, which is trained now."""
        if "KERB_RUN" in os.environ:
            return pathlib.Path(os.environ["KERB_RUN"])
        self.run_it(sys.executable, ROOT / "scripts/train/train.py", "--model", "unet", "--option", "base=8", "--data", "camvid", "--crop", "96x64", "--scale", "0.2,0.4", "--batch", 4, "--epochs", 2,
                    "--lr", "5e-3", "--ema", "0.95", "--eval-every", 2, "--threads", 1, "--workers", 0, "--amp", "off", "--out", self.root / "run")
        return self.root / "run"

    def test_kerb_eval_is_pytorchs(self):
        """Through a decoder, I420, Kerb's scaling and its cpu backend, at a size that is not the pictures': within 0.1 points of mean IoU."""
        run, model = self.run_of_camvid(), self.root / "net.onnx"
        self.run_it(sys.executable, ROOT / "scripts/export/export.py", run, "-o", model, "--longer-side", 640, "--kerb", BUILD / "bin/kerb-net-run")
        found = json.loads(self.run_it(*KERB, "eval", "--model", model, "--dataset", "camvid", "--json", "--quiet", DATA / "camvid").stdout)
        size = found["network_width"], found["network_height"]
        self.assertTrue(size[0] == 480 and abs(size[1] - 360) <= 8, size)
        state = checkpoint.load(run / "best.pt")
        expected = measure.evaluate(trained(state), open_data("camvid", DATA / "camvid", "val"), *normalisation_of(state), size=size)
        self.assertAlmostEqual(100 * found["miou"], 100 * expected["miou"], delta=0.1)
        self.assertAlmostEqual(100 * found["pixel_accuracy"], 100 * expected["pixel_accuracy"], delta=0.1)


@unittest.skipUnless((ROOT / "models/m2nist-fcn.onnx").exists() and (DATA / "mnist").is_dir() and (BUILD / "bin/kerb").exists(), "m2nist-fcn, MNIST or kerb is not here")
class Digits(Commands):
    def test_unseen_digits(self):
        """The model that ships, on digits that training never saw, at M2NIST's size and on a larger canvas."""
        self.run_it(sys.executable, ROOT / "scripts/train/make-m2nist", DATA / "mnist", self.root / "made", "--train", 1, "--val", 300)
        data = open_data("m2nist", self.root / "made", "val")
        for name, seen in (("own", data), ("large", Larger(data))):
            root = folder.write(seen, self.root / name)
            found = json.loads(self.run_it(*KERB, "eval", "--model", ROOT / "models/m2nist-fcn.onnx", "--dataset", "folder", "--json", "--quiet", root).stdout)
            iou = [c["iou"] for label, c in found["classes"].items() if label != "background"]
            self.assertEqual(len(iou), 10)
            self.assertGreater(sum(iou) / 10, 0.80, name)


class Larger:
    """Six pictures of M2NIST in one of 2 x 3."""

    def __init__(self, data):
        self.data, self.classes = data, data.classes

    def __len__(self):
        return len(self.data) // 6

    def name(self, i):
        return f"{i:04}"

    def __getitem__(self, i):
        parts = [self.data[6 * i + k] for k in range(6)]
        join = [[p[side] for p in parts] for side in (0, 1)]
        return tuple(np.concatenate([np.concatenate(side[3 * row:3 * row + 3], 1) for row in (0, 1)], 0) for side in join)


class Page(unittest.TestCase):
    def test_the_page_is_the_books(self):
        """docs/models.md says what docs/models/book.json holds, no more and no less; numbers of models that ship are those of their files."""
        book = json.loads((ROOT / "docs/models/book.json").read_text())
        maker = load_maker()
        text = (ROOT / "docs/models.md").read_text()
        begin, end = (text.index(mark) for mark in maker.MARKS)
        self.assertEqual(text[begin + len(maker.MARKS[0]) + 1:end], maker.page_text(book))
        for name in maker.SHIPPED.keys() & book.keys():
            path = ROOT / f"models/{name}.onnx"
            if path.exists():
                self.assertEqual(count.parameters(path), book[name]["parameters"], name)

    def test_nothing_is_invented(self):
        maker = load_maker()
        cells = maker.row_of("unet", {"parameters": 31e6, "gflop": 1.0, "at": "640x352"})
        self.assertEqual(cells[4:], ["—"] * 5)

    def test_kerbs_size_rule(self):
        maker = load_maker()
        for known, size in (({"longer_side": 640, "multiple": 32}, (640, 352)), ({"longer_side": 640, "multiple": 64}, (640, 384)), ({"width": 320, "height": 192}, (320, 192)), ({"width": 640, "multiple": 32}, (640, 352)),
                            ({"height": 352}, (640, 352)),
                            ({"longer_side": 640, "multiple": 1}, (640, 360)), ({}, (1024, 576))):
            entry = maker.Entry("x", pathlib.Path("/nowhere.onnx"), "camvid", None, False, False)
            entry.card = {"input": known}
            self.assertEqual(maker.network_size(entry), size)

    def test_models_are_small(self):
        self.assertLess(sum(f.stat().st_size for f in (ROOT / "models").iterdir()), 60e6)


def load_maker():
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader
    loader = SourceFileLoader("model_book", str(ROOT / "scripts/model-book"))
    module = module_from_spec(spec_from_loader("model_book", loader))
    loader.exec_module(module)
    return module


if __name__ == "__main__":
    unittest.main()
