#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`kerb calibrate`: a file that Kerb runs, with its card and reports; the same bytes again; what is refused, and that nothing is lost then."""
import json

import kerb_case
import small_png
import tiny_onnx
from kerb_case import KerbCase

TEST = "test:?size=64x36"


def write_png(path, width, height, pixel):
    small_png.write(path, width, height, b"".join(bytes(pixel(x, y)) for y in range(height) for x in range(width)), kind=small_png.RGB)


class Calibrate(KerbCase):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "tiny.int8.onnx"
        self.frames = self.folder / "frames"
        self.frames.mkdir()
        for i in range(8):
            write_png(self.frames / f"{i}.png", 64, 36, lambda x, y, i=i: ((x * 4 + i * 20) % 256, (y * 7 + i * 31) % 256, (x * y + i * 57) % 256))

    def calibrate(self, *arguments, code=0, frames=None):
        return self.kerb("calibrate", "--model", self.model, "--frames", frames or self.frames, "-o", self.out, "--backend", "ref", "--threads", 1, *arguments, code=code)

    def test_a_model_comes_out(self):
        report, page = self.folder / "report.json", self.folder / "report.html"
        said = json.loads(self.calibrate("--json", "--report", report).stdout)
        self.assertEqual(said, json.loads(report.read_text()))
        self.assertEqual((said["frames"], said["held_out"], said["layers_in_float"], said["network_width"]), (6, 2, 0, 64))
        self.assertGreaterEqual(said["agreement"], 0.99)
        self.assertEqual([layer["type"] for layer in said["layers"]], ["Conv"])
        self.assertEqual([(t["name"], t["type"]) for t in said["tensors"]], [("image", "uint8")])
        self.assertEqual(said["bytes_after"], self.out.stat().st_size)
        card = json.loads((self.folder / "tiny.int8.json").read_text())
        self.assertEqual(card["name"], "strongest channel")
        self.assertEqual((card["calibration"]["of"], card["calibration"]["method"], card["calibration"]["frames"]), ("tiny.onnx", "mse", 6))
        done = self.kerb("inspect", self.out, "--json")
        self.assertNotIn("not known", done.stderr)  # the card's new key is one that Kerb knows
        self.assertEqual([c["name"] for c in json.loads(done.stdout)["classes"]], ["red", "green", "blue"])
        before = self.out.read_bytes()
        self.calibrate("--force", "--report", page)
        self.assertEqual(self.out.read_bytes(), before)
        self.assertIn("agreement with float", page.read_text())
        chart = self.folder / "report.png"
        self.calibrate("--force", "--report", chart)
        width, height, rows = kerb_case.png(chart)
        self.assertGreater(width, height)
        self.assertTrue(any(row[3 * x:3 * x + 3] == bytes((74, 144, 217)) for row in rows for x in range(width)))  # the layer's bar
        self.assertEqual(sorted(p.name for p in self.folder.iterdir() if p.name.startswith("tiny.int8")), ["tiny.int8.json", "tiny.int8.onnx"])

    def test_sources_and_labels(self):
        self.calibrate("--duration", 0.4, "--quiet", "--agreement", 0.9, frames=TEST)
        done = self.calibrate("--force", "--duration", 0.4, "--agreement", 0.9, "--json", "--dataset", "folder", "--labelled", self.labelled(), "--signed", frames=TEST)
        said = json.loads(done.stdout)
        self.assertEqual(said["labelled"]["frames"], 2)
        self.assertEqual([t["type"] for t in said["tensors"]], ["int8"])
        for key in ("miou_float", "miou_int8"):
            self.assertGreater(said["labelled"][key], 0.99)  # the model is right by construction, and so are strong colours in 8 bits

    def labelled(self):
        """Two frames of pure colours, and their labels."""
        root = self.folder / "labelled"
        for part in ("images", "labels"):
            (root / part).mkdir(parents=True)
        for i in range(2):
            write_png(root / "images" / f"{i}.png", 64, 36, lambda x, y, i=i: [220 if c == (x // 22 + i) % 3 else 20 for c in range(3)])
            write_png(root / "labels" / f"{i}.png", 64, 36, lambda x, y, i=i: [(x // 22 + i) % 3] * 3)
        return root

    def test_usage(self):
        self.refused(2, "calibrate", "--model", self.model, says="--frames")
        self.refused(2, "calibrate", "--model", self.model, "--frames", self.frames, "-o", "x.mkv", says="NAME.onnx")
        self.refused(2, "calibrate", "--model", self.model, "--frames", self.frames, "-o", self.out, "--method", "luck", says="min-max, percentile, kl, mse")
        self.refused(2, "calibrate", "--model", self.model, "--frames", self.frames, "-o", self.model, "--force", says="float model itself")
        self.refused(2, "calibrate", "--model", self.model, "--frames", self.frames, "-o", self.out, "--agreement", 2, says="outside 0 to 1")
        self.refused(2, "calibrate", "--model", self.model, "--frames", self.frames, "-o", self.out, "--dataset", "folder", says="--labelled")
        self.refused(5, "calibrate", "--model", self.model, "--frames", self.frames, "-o", self.folder / "no/where.onnx", says="cannot be written")
        self.out.write_text("precious")
        self.refused(2, "calibrate", "--model", self.model, "--frames", self.frames, "-o", self.out, says="--force")
        self.assertEqual(self.out.read_text(), "precious")

    def test_bad_input(self):
        empty = self.folder / "empty"
        empty.mkdir()
        arguments = ["-o", self.out, "--backend", "ref"]
        self.refused(3, "calibrate", "--model", self.model, "--frames", empty, *arguments, says="no image")
        self.refused(2, "calibrate", "--model", self.model, "--frames", self.frames / "1.png", *arguments, says="2 frames")
        self.calibrate()
        self.refused(3, "calibrate", "--model", self.out, "--frames", self.frames, "-o", self.folder / "twice.onnx", says=["quantised already", "tiny.int8.onnx"])
        self.refused(2, "record", TEST, "-o", self.output, "--model", self.model, "--precision", "int8", says=["float model", "kerb calibrate --model"])
        odd = tiny_onnx.model(self.folder / "odd.onnx", operator="NoSuch")
        self.refused(3, "calibrate", "--model", odd, "--frames", self.frames, "-o", self.folder / "odd.int8.onnx", says="NoSuch")


if __name__ == "__main__":
    kerb_case.main()
