#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`kerb eval`, at length: how classes come together, every form of label picture, and real data (KERB_DATA)."""
import subprocess
import sys

import kerb_case
import plain_metrics
import small_png
import tiny_onnx
from eval_case import CAMVID, EvalCase, blobs
from kerb_case import DATA, needs_data

W, H = 64, 36
COLORS = [c for _, c in CAMVID]
ROOT = kerb_case.pathlib.Path(__file__).resolve().parents[2]


class Labels(EvalCase):
    def test_label_pictures(self):
        """Palettes, few bits, 16 bits, grey as RGB, alpha, and colours of the classes: all say the same."""
        theirs = [("way", (200, 0, 0)), ("green", (0, 200, 0)), ("sky", (0, 0, 200))]
        self.classes_model(theirs, W, H)
        truth, prediction = blobs(6, W, H, [0, 1, 2]), blobs(7, W, H, [0, 1, 2])
        root = self.data_set("forms", [(truth, prediction)], W, [c for _, c in theirs])
        path, wanted = root / "labels/f000.png", self.evaluate(root, "folder")["confusion"]
        two_bits = bytes(truth[i] << 6 | truth[i + 1] << 4 | truth[i + 2] << 2 | truth[i + 3] for i in range(0, len(truth), 4))
        palette = [(9, 9, 9), (0, 200, 0), (200, 0, 0)]  # its colours mean nothing
        forms = {
            "palette": (bytes(truth), small_png.PALETTE, 8, palette), "palette, 2 bits": (two_bits, small_png.PALETTE, 2, palette), "2 bits": (two_bits, small_png.GRAY, 2, None),
            "16 bits": (b"".join(bytes((0, v)) for v in truth), small_png.GRAY, 16, None), "grey RGB": (bytes(v for v in truth for _ in range(3)), small_png.RGB, 8, None),
            "grey, alpha": (b"".join(bytes((v, 255)) for v in truth), small_png.GRAY_ALPHA, 8, None),
            "colours": (b"".join(bytes(theirs[v][1]) for v in truth), small_png.RGB, 8, None),
            "colours, alpha": (b"".join(bytes(theirs[v][1]) + b"\x80" for v in truth), small_png.RGBA, 8, None),
        }
        for name, (data, kind, depth, colors) in forms.items():
            with self.subTest(form=name):
                small_png.write(path, W, H, data, kind=kind, depth=depth, palette=colors)
                self.assertEqual(self.evaluate(root, "folder")["confusion"], wanted)


class Matching(EvalCase):
    """A model's classes and a data set's."""

    def camvid(self, values=range(11)):
        truth, prediction = blobs(1, W, H, list(values), 60), blobs(2, W, H, list(values), 60)
        return self.data_set("camvid", [(truth, prediction)], W, COLORS), truth, prediction

    def test_synonyms_and_order(self):
        """Other words, other order: the same figures."""
        root, truth, prediction = self.camvid()
        want = plain_metrics.confusion([(truth, prediction)], 11)
        other = {"pavement": "Sidewalk", "tree": "vegetation", "pedestrian": "person", "cyclist": "Bicyclist", "sign": "sign_symbol", "pole": "column-pole"}
        self.classes_model([(other.get(n, n), c) for n, c in reversed(CAMVID)], W, H)
        self.assertEqual(self.evaluate(root, "camvid")["confusion"]["counts"], want)

    def test_ids(self):
        """No name fits: the data set's ids do."""
        root, truth, prediction = self.camvid()
        self.classes_model([(f"klasse {i}", c) for i, (_, c) in reversed(list(enumerate(CAMVID)))], W, H, ids=list(range(10, -1, -1)))
        self.assertEqual(self.evaluate(root, "camvid")["confusion"]["counts"], plain_metrics.confusion([(truth, prediction)], 11))

    def test_nameless(self):
        """A model that says nothing is taken in the data set's order, and that is said."""
        root, truth, prediction = self.camvid()
        self.classes_model(CAMVID, W, H, card=False)
        (self.folder / "net.json").write_text('{"input": {"scale": 1}}')
        report = self.evaluate(root, "camvid", "--palette", "voc")
        self.assertIn("no names", self.stderr)
        self.assertEqual(report["confusion"]["counts"], plain_metrics.confusion([(truth, prediction)], 11))

    def test_missing_class(self):
        """It counts, with 0, and that is said; --map ignores it or merges it."""
        root, truth, prediction = self.camvid()
        known = [c for c in CAMVID if c[0] != "fence"]
        self.classes_model(known, W, H)
        report = self.evaluate(root, "camvid")
        self.assertIn("fence", self.stderr)
        self.assertEqual(report["classes"]["fence"]["iou"], 0)
        self.assertFalse(report["classes"]["fence"]["in_model"])
        rule = self.folder / "map.json"
        rule.write_text('{"ignore": ["fence"]}')
        ignored = self.evaluate(root, "camvid", "--map", rule)
        self.assertNotIn("fence", ignored["classes"])
        self.assertEqual(ignored["confusion"]["counts"], [row[:7] + row[8:] for i, row in enumerate(report["confusion"]["counts"]) if i != 7])
        rule.write_text('{"truth": {"fence": "building"}}')
        merged = self.evaluate(root, "camvid", "--map", rule)
        counts = [list(row) for row in report["confusion"]["counts"]]
        counts[1] = [a + b for a, b in zip(counts[1], counts[7])]
        self.assertEqual(merged["confusion"]["counts"], [row[:7] + row[8:] for i, row in enumerate(counts) if i != 7])

    def test_map_model(self):
        """Several classes of the model may be one of the data set's; by name and by number; null is none."""
        root, truth, prediction = self.camvid()
        renamed = {"road": "way", "pavement": "way 2", "car": "thing"}
        self.classes_model([(renamed.get(n, n), c) for n, c in CAMVID], W, H)
        rule = self.folder / "map.json"
        rule.write_text('{"model": {"way": "road", "way 2": 3, "thing": null}}')
        self.assertEqual(self.evaluate(root, "camvid", "--map", rule)["confusion"]["counts"],
                         plain_metrics.confusion([(truth, [3 if p == 4 else None if p == 8 else p for p in prediction])], 11))

    def test_background(self):
        """The model's background is judged on all that the data set knows and the model does not."""
        root, truth, prediction = self.camvid()
        listed = [{"name": "nothing", "color": [0, 0, 0], "background": True}] + [{"name": n, "color": list(c)} for n, c in CAMVID if n in ("road", "sky", "car")]
        tiny_onnx.nearest(self.folder / "net.onnx", listed, W, H)
        three = [0 if v == 0 else 1 if v == 3 else 2 if v == 8 else 3 for v in truth]

        def found(color):
            return min(range(4), key=lambda i: (sum((a - b) ** 2 for a, b in zip(color, listed[i]["color"])), i))
        report = self.evaluate(root, "camvid")
        self.assertEqual(report["confusion"]["classes"], ["sky", "road", "car", "nothing"])
        labels = [listed[found(COLORS[p])]["name"] for p in prediction]
        names = report["confusion"]["classes"]
        self.assertEqual(report["confusion"]["counts"], plain_metrics.confusion([(three, [names.index(name) for name in labels])], 4))

    def test_refused(self):
        root, _, _ = self.camvid()
        self.refused(2, "eval", "--model", self.model, "--dataset", "camvid", root, says=["red, green, blue", "sky, building", "--map"])
        self.classes_model(CAMVID, W, H)
        rule = self.folder / "map.json"
        for text, says in (("{", "line 1"), ("[]", "not an object"), ('{"modell": {}}', "modell"), ('{"model": {"rod": "road"}}', "rod"), ('{"truth": {"road": "moon"}}', "moon"),
                           ('{"ignore": [77]}', "77"), ('{"ignore": [' + ",".join(map(str, range(11))) + "]}", "no class")):
            with self.subTest(text=text):
                rule.write_text(text)
                self.refused(2 if says == "no class" else 3, "eval", "--model", self.folder / "net.onnx", "--dataset", "camvid", "--map", rule, root, says=["map.json", says])
        self.refused(3, "eval", "--model", self.folder / "net.onnx", "--dataset", "camvid", "--map", "none.json", root, says="none.json")


class Real(EvalCase):
    """The demonstration model knows nothing of real roads: what is looked at is the way, not the figures."""

    def setUp(self):
        super().setUp()
        self.net = ROOT / "models/drive-free.onnx"

    @needs_data("camvid/val")
    def test_camvid(self):
        report = self.evaluate(DATA / "camvid/val", "camvid", "--flicker", "--mask-age", 2, model=self.net)
        self.assertEqual(report["frames"], 101)
        self.assertGreater(report["classes"]["sky"]["iou"], 0.5)
        self.assertTrue(0 < report["flicker"]["by_truth"] < 0.5)
        age = report["mask_age"]
        self.assertGreater(age["miou_carried"], age["miou_held"] - 0.02)

    @needs_data("kitti_road")
    def test_kitti(self):
        report = self.evaluate(DATA / "kitti_road", "kitti-road", model=self.net)
        self.assertEqual(report["frames"], 6)
        self.assertGreater(report["road"]["max_f"], 0.2)

    @needs_data("video")
    def test_drive(self):
        report = self.evaluate(DATA / "video/highway_540p25.mp4", None, "--flicker", "--frames", 50, model=self.net)
        self.assertEqual((report["frames"], report["flicker"]["pairs"]), (50, 49))
        self.assertTrue(0 < report["flicker"]["by_motion"] < 0.5)

    def test_cityscapes_scripts(self):
        """Where KERB_PYTHON has cityscapesscripts: its figures and ours are one."""
        done = subprocess.run([sys.executable, ROOT / "scripts/check-metrics", "--no-install", "--build", kerb_case.BUILD], capture_output=True, text=True, timeout=300)
        if done.returncode == 77:
            self.skipTest(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    kerb_case.main()
