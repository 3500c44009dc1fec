#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`kerb eval`: its figures against plain_metrics.py on small data sets in each layout; what comes out beside them; and what it refuses."""
import json
import math
import os

import kerb_case
import plain_metrics
import small_png
import tiny_onnx
from eval_case import CAMVID, CITY_COLORS, CITYSCAPES, EvalCase, blobs, disturbed

W, H = 64, 36
COLORS = [c for _, c in CAMVID]


class Measures(EvalCase):
    def compare(self, report, frames, width, names, unknown=()):
        """The whole report against the second implementation. Void is None."""
        n = len(names)
        counts = plain_metrics.confusion(frames, n)
        want = plain_metrics.scores(counts)
        self.assertEqual(report["frames"], len(frames))
        self.assertEqual(report["confusion"], {"classes": names, "counts": counts})
        for key in ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"):
            self.same(report[key], want[key], key)
        f1 = [plain_metrics.boundary_f1(t, p, width, n) for t, p in frames]
        self.same(report["boundary_f1"], plain_metrics.mean([m for _, m in f1]), "boundary_f1")
        self.assertEqual(list(report["classes"]), names)
        for c, name in enumerate(names):
            of = report["classes"][name]
            for key in ("iou", "accuracy", "precision"):
                self.same(of[key], want[key][c], f"{name} {key}")
            self.same(of["boundary_f1"], plain_metrics.mean([by[c] for by, _ in f1]), f"{name} boundary_f1")
            self.assertEqual(of["pixels"], sum(counts[c]))
            self.assertEqual(of["in_model"], name not in unknown)

    def test_camvid(self):
        """Void (11) counts nowhere, a class that nobody has (cyclist) is null; tolerances of 1.5 and of just 3 pixels, which "nearer than" leaves out."""
        names = [n for n, _ in CAMVID]
        for width, height in ((160, 120), (320, 240)):
            self.classes_model(CAMVID, width, height)
            frames = []
            for seed in range(3 if width < 200 else 1):
                truth = blobs(seed, width, height, list(range(10)) + [11])
                frames.append((truth, disturbed(seed, [3 if v == 11 else v for v in truth], width, range(10))))
            root = self.data_set(f"camvid{width}", frames, width, COLORS)
            with self.subTest(width=width):
                report = self.evaluate(root, "camvid")
                judged = [([None if v == 11 else v for v in t], p) for t, p in frames]
                self.compare(report, judged, width, names)
                self.assertIsNone(report["classes"]["cyclist"]["iou"])
                self.assertIsNone(report["soft_dice"])
                self.assertEqual(sorted(w["miou"] for w in report["worst"]), [w["miou"] for w in report["worst"]])
                one = plain_metrics.scores(plain_metrics.confusion([judged[report["worst"][0]["index"]]], 11))
                self.same(report["worst"][0]["miou"], one["miou"], "worst")

    def test_all_right(self):
        self.classes_model(CAMVID, W, H)
        truth = blobs(5, W, H, range(11))
        report = self.evaluate(self.data_set("right", [(truth, truth)], W, COLORS), "camvid")
        for key in ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "boundary_f1"):
            self.assertEqual(report[key], 1.0)

    def cities(self, layout):
        ids = [i for _, i in CITYSCAPES]
        self.classes_model([(n, c) for (n, _), c in zip(CITYSCAPES, CITY_COLORS)], W, H, ids=ids)
        ignored = [0, 1, 4, 6, 9, 14, 18, 29]  # ignoreInEval
        frames = []
        for seed in range(2):
            truth = blobs(seed, W, H, ids + ignored)
            frames.append((truth, disturbed(seed, [ids.index(v) if v in ids else 0 for v in truth], W, range(19))))
        root = None
        for i, frame in enumerate(frames):
            root = self.data_set("cities", [frame], W, CITY_COLORS, **layout(i))
        return root, [([ids.index(v) if v in ids else None for v in t], p) for t, p in frames]

    def test_cityscapes(self):
        names = [n for n, _ in CITYSCAPES]
        flat = {"images": "images", "labels": "labelIds"}
        root, frames = self.cities(lambda i: {**flat, "image": f"aachen_{i:06}_000019.png", "label": f"aachen_{i:06}_000019.png"})
        saved = self.folder / "saved"
        self.compare(self.evaluate(root, "cityscapes", "--save", saved), frames, W, names)
        ids = [i for _, i in CITYSCAPES]
        for i, (_, prediction) in enumerate(frames):
            self.assertEqual(small_png.read(saved / f"aachen_{i:06}_000019.png"), (W, H, bytes(ids[p] for p in prediction)))

    def test_cityscapes_layout(self):
        """leftImg8bit/SPLIT/CITY and gtFine/SPLIT/CITY; another split is not touched."""
        def official(i):
            city, split = ("aachen", "bochum")[i], "val"
            return {"images": f"leftImg8bit/{split}/{city}", "labels": f"gtFine/{split}/{city}", "image": f"{city}_000000_000019_leftImg8bit.png",
                    "label": f"{city}_000000_000019_gtFine_labelIds.png"}
        root, frames = self.cities(official)
        self.compare(self.evaluate(root, "cityscapes"), frames, W, [n for n, _ in CITYSCAPES])
        self.refused(3, "eval", "--model", self.folder / "net.onnx", "--dataset", "cityscapes", "--split", "test", root, says=["leftImg8bit/SPLIT", "now test"])

    def test_kitti_road(self):
        """Red is judged, blue is road. Two classes: MaxF, AP and soft Dice follow from the probabilities."""
        classes = [{"name": "background", "color": [0, 0, 0], "background": True}, {"name": "road", "color": [128, 64, 128]}]
        tiny_onnx.sloped(self.folder / "net.onnx", classes, W, H)
        root = self.folder / "kitti"
        for folder in ("training/image_2", "training/gt_image_2"):
            (root / folder).mkdir(parents=True)
        levels = [0, 31, 77, 120, 141, 177, 222, 255]
        red, truth = [levels[v] for v in blobs(1, W, H, range(8), 30)], blobs(2, W, H, [0, 1, 2], 20)
        small_png.write(root / "training/image_2/um_000000.png", W, H, b"".join(bytes((v, 9, 9)) for v in red), kind=small_png.RGB)
        colors = [(255, 0, 0), (255, 0, 255), (0, 0, 0)]
        small_png.write_rgb(root / "training/gt_image_2/um_road_000000.png", W, truth, colors)
        report = self.evaluate(root, "kitti-road")
        judged = [None if v == 2 else v for v in truth]
        self.compare(report, [(judged, [int(v > 128) for v in red])], W, ["background", "road"])
        steps = {}
        for v in levels:
            p = 1 / (1 + math.exp(-(v - 128) / 40))
            won = 255 * max(p, 1 - p)
            self.assertGreater(abs(won - math.floor(won) - 0.5), 0.02, "choose levels whose probabilities are not between two steps")
            steps[v] = (round(won) if v > 128 else 255 - round(won)) / 255
        max_f, ap, dice = plain_metrics.curve([(t, steps[v]) for t, v in zip(judged, red) if t is not None])
        self.same(report["road"]["max_f"], max_f)
        self.same(report["road"]["ap"], ap)
        self.same(report["soft_dice"], dice)
        self.assertFalse(report["road"]["ap_is_lower_bound"])
        self.assertEqual(report["road"]["view"], "perspective")

    def test_kitti_many_classes(self):
        """What is not road is background, whatever the model calls it."""
        self.classes_model(CAMVID, W, H)
        root = self.folder / "kitti"
        for folder in ("images", "gt"):
            (root / folder).mkdir(parents=True)
        prediction, truth = blobs(3, W, H, range(11)), blobs(4, W, H, [0, 1])
        small_png.write_rgb(root / "images/um_000003.png", W, prediction, COLORS)
        small_png.write_rgb(root / "gt/um_lane_000003.png", W, truth, [(255, 0, 0), (255, 0, 255)])
        report = self.evaluate(root, "kitti-road")
        self.compare(report, [(truth, [int(v == 3) for v in prediction])], W, ["background", "road"])
        self.assertTrue(report["road"]["ap_is_lower_bound"])
        self.assertIsNone(report["soft_dice"])

    def test_folder(self):
        """classes.json: numbers, names and what is not judged are its own."""
        theirs = [("way", (200, 0, 0)), ("green", (0, 200, 0)), ("sky", (0, 0, 200))]
        self.classes_model(theirs, W, H)
        truth, prediction = blobs(6, W, H, [0, 1, 2, None]), blobs(7, W, H, [0, 1, 2])
        numbers = {0: 40, 1: 7, 2: 200, None: 99}
        root = self.data_set("mine", [(truth, prediction)], W, [c for _, c in theirs], value_of=numbers.get)
        (root / "classes.json").write_text(json.dumps({"classes": [{"name": n, "id": i, "color": list(c)} for (n, c), i in zip(theirs, (40, 7, 200))], "ignore": [99]}))
        self.compare(self.evaluate(root, "folder"), [(truth, prediction)], W, ["way", "green", "sky"])
        # Without classes.json the numbers are the model's label indices, and 255 is void.
        (root / "classes.json").unlink()
        small_png.write_map(root / "labels/f000.png", W, [255 if v is None else v for v in truth])
        self.compare(self.evaluate(root, "folder"), [(truth, prediction)], W, ["way", "green", "sky"])


class Drives(EvalCase):
    """What looks from frame to frame."""

    def test_flicker(self):
        """By truth: of the pixels whose truth stays, the share whose label does not. By change: of all pixels."""
        self.classes_model(CAMVID, W, H)
        frames = [([0] * W * H, [0] * W * H) for _ in range(4)]
        frames[1][1][:100] = [3] * 100            # 100 flick on ...
        frames[2][0][:40] = [11] * 40             # ... and off again; 40 of them are void in frame 2
        frames[3] = ([0] * (W * H - 64) + [5] * 64, [0] * (W * H - 64) + [5] * 64)  # a row truly changes
        root = self.data_set("drive", frames, W, COLORS)
        report = self.evaluate(root, "camvid", "--flicker")
        pixels = W * H
        changed, steady, any_change = 100 + 60 + 0, pixels + (pixels - 40) + (pixels - 40 - 64), 100 + 100 + 64
        self.assertEqual(report["flicker"]["pairs"], 3)
        self.assertEqual(report["flicker"]["by"], "truth")
        self.same(report["flicker"]["share"], changed / steady)
        self.same(report["flicker"]["by_truth"], changed / steady)
        self.same(report["flicker"]["by_change"], any_change / (3 * pixels))
        self.assertNotIn("flicker", self.evaluate(root, "camvid"))
        # The same drive without labels: a folder of images as SOURCE.
        bare = self.evaluate(root / "images", None, "--flicker")
        self.same(bare["flicker"]["by_change"], any_change / (3 * pixels))
        self.assertNotIn("miou", bare)

    def test_still_picture(self):
        self.classes_model(CAMVID, W, H)
        truth = blobs(1, W, H, range(11))
        root = self.data_set("still", [(truth, truth)] * 3, W, COLORS)
        report = self.evaluate(root, "camvid", "--flicker", "--mask-age", 2)
        for key in ("share", "by_truth", "by_motion", "by_change"):
            self.assertEqual(report["flicker"][key], 0, key)
        self.assertEqual(report["mask_age"], {"frames": 2, "miou_own": 1.0, "miou_held": 1.0, "miou_carried": 1.0, "not_carried": 0})
        bare = self.evaluate(root / "images", None, "--flicker")
        self.assertEqual((bare["flicker"]["by"], bare["flicker"]["share"], bare["flicker"]["pairs"]), ("motion", 0, 2))

    def test_mask_age(self):
        """A mask that is N frames old, on the frames that have one."""
        self.classes_model(CAMVID, W, H)
        frames = [(blobs(10 + i, W, H, range(11)), blobs(20 + i, W, H, range(11))) for i in range(5)]
        root = self.data_set("ages", frames, W, COLORS)
        for age in (1, 3):
            got = self.evaluate(root, "camvid", "--mask-age", age)["mask_age"]
            own = plain_metrics.scores(plain_metrics.confusion(frames[age:], 11))["miou"]
            held = plain_metrics.scores(plain_metrics.confusion([(frames[i][0], frames[i - age][1]) for i in range(age, 5)], 11))["miou"]
            self.same(got["miou_own"], own)
            self.same(got["miou_held"], held)
            self.assertIn("miou_carried", got)

    def test_interval(self):
        """Every second frame is inferred: the others are judged by the mask before, which is what --mask-age says of it; the baseline has them all."""
        self.classes_model(CAMVID, W, H)
        frames = [(blobs(10 + i, W, H, range(11)), blobs(20 + i, W, H, range(11))) for i in range(4)]
        root = self.data_set("thin", frames, W, COLORS)
        report = self.evaluate(root, "camvid", "--inference-interval", 2, "--baseline", "--flicker")
        thinned = [(frames[i][0], frames[i - i % 2][1]) for i in range(4)]
        self.assertEqual(report["confusion"]["counts"], plain_metrics.confusion(thinned, 11))
        self.assertEqual((report["inference_interval"], report["smoothing"], report["carry"]), (2, "off", False))
        plain = plain_metrics.scores(plain_metrics.confusion(frames, 11))["miou"]
        self.same(report["baseline"]["miou"], plain)
        self.same(report["baseline"]["miou_change"], report["miou"] - plain)
        self.same(report["baseline"]["flicker_ratio"], report["flicker"]["share"] / report["baseline"]["flicker"]["share"])

    def test_latest(self):
        """Frames at their own pace: nothing is lost, and every mask has its age."""
        self.classes_model(CAMVID, W, H)
        root = self.data_set("latest", [([0] * W * H, [3] * W * H)] * 12, W, COLORS)
        report = self.evaluate(root, "camvid", "--live-mode", "latest", "--carry", "--rate", 50)
        self.assertEqual(report["frames"] + report["frames_without_mask"], 12)
        self.assertGreater(report["frames"], 0)
        self.assertEqual(report["confusion"]["counts"][0][3], report["frames"] * W * H)
        self.assertTrue(0 <= report["age_ms"]["p50"] <= report["age_ms"]["p99"] <= report["age_ms"]["max"])

    def test_sizes_change(self):
        """Frames of several sizes are no drive: nothing is compared across, and everything is judged."""
        self.classes_model(CAMVID, W, H)
        root = self.data_set("sizes", [([0] * W * H, [3] * W * H)] * 2, W, COLORS)
        small_png.write_rgb(root / "images/f002.png", 32, [5] * 32 * 18, COLORS)
        small_png.write_map(root / "labels/f002.png", 32, [5] * 32 * 18)
        report = self.evaluate(root, "camvid", "--flicker", "--mask-age", 1)
        self.assertEqual(report["flicker"]["pairs"], 1)
        self.assertEqual(report["confusion"]["counts"][0][3], 2 * W * H)
        self.assertEqual(report["confusion"]["counts"][5][5], 32 * 18)

    def test_synthetic(self):
        """kerbtestsrc's labels pad is the truth; classes come from the model that is in the tree."""
        demo = os.path.join(os.path.dirname(__file__), "../../models/drive-free.onnx")
        report = self.evaluate("test:night?seed=12&size=320x180", "test", "--frames", 4, "--flicker", model=demo)
        self.assertEqual((report["frames"], report["width"], report["height"]), (4, 320, 180))
        self.assertEqual(list(report["classes"]), ["sky", "building", "tree", "terrain", "pavement", "road", "lane marking", "car", "pedestrian"])
        self.assertGreater(report["classes"]["road"]["iou"], 0.9)
        self.assertEqual(sum(map(sum, report["confusion"]["counts"])), 4 * 320 * 180)
        again = self.evaluate("test:night?seed=12&size=320x180", "test", "--frames", 4, "--flicker", "--baseline", model=demo)
        self.assertEqual(again["confusion"], report["confusion"])
        self.assertEqual(again["baseline"]["miou_change"], 0)
        self.assertEqual(again["baseline"]["flicker_ratio"], 1)


class Reports(EvalCase):
    def setUp(self):
        super().setUp()
        self.classes_model(CAMVID, W, H)
        frames = []
        for i in range(8):
            truth = blobs(i, W, H, list(range(11)) + [11])
            frames.append((truth, disturbed(i, [0 if v == 11 else v for v in truth], W, range(11))))
        self.root = self.data_set("camvid", frames, W, COLORS)

    def test_text(self):
        text = self.kerb("eval", "--model", self.folder / "net.onnx", "--dataset", "camvid", self.root).stdout
        for word in ("mean IoU", "boundary F1", "cyclist", "8 frames"):
            self.assertIn(word, text)

    def test_sheets(self):
        report = self.evaluate(self.root, "camvid", "--sheet", "worst.html")
        page = (self.folder / "worst.html").read_text()
        self.assertEqual(page.count("data:image/png;base64,"), 6)
        for word in ("net.onnx", "pedestrian", f"{100 * report['miou']:.1f} %", report["worst"][0]["frame"]):
            self.assertIn(word, page)
        for word in ("src=\"http", "href=", "<script"):
            self.assertNotIn(word, page)
        self.evaluate(self.root, "camvid", "--sheet", "worst.png")
        self.assertTrue((self.folder / "worst.png").read_bytes().startswith(b"\x89PNG"))

    @kerb_case.NEEDS_FFMPEG
    def test_sheet_colours(self):
        """The third panel is the truth, the second the prediction: pixel by pixel in class colours."""
        self.data_set("one", [([3] * W * H, [0] * W * H)], W, COLORS)
        self.evaluate(self.folder / "one", "camvid", "--sheet", "one.png")
        _, height, rows = kerb_case.png(self.folder / "one.png")
        row = rows[height - 40]
        for panel, color in ((1, COLORS[0]), (2, COLORS[3])):
            x = 12 + panel * (384 + 12) + 100
            self.assertEqual(tuple(row[3 * x:3 * x + 3]), color)
        x = 12 + 3 * (384 + 12) + 100
        self.assertGreater(row[3 * x], 2 * row[3 * x + 1])  # wrong: red

    def test_frames(self):
        self.assertEqual(self.evaluate(self.root, "camvid", "--frames", 3)["frames"], 3)

    def test_storage(self):
        self.refused(5, "eval", "--model", self.folder / "net.onnx", "--dataset", "camvid", "--sheet", "none/sheet.png", self.root, says="none")
        (self.folder / "file").write_text("")
        self.refused(5, "eval", "--model", self.folder / "net.onnx", "--dataset", "camvid", "--save", "file/below", self.root, says="file/below")


class Refused(EvalCase):
    def setUp(self):
        super().setUp()
        self.net = self.classes_model(CAMVID, W, H)
        self.root = self.data_set("camvid", [([0] * W * H, [0] * W * H)] * 3, W, COLORS)

    def no(self, code, *arguments, dataset="camvid", says=()):
        self.refused(code, "eval", "--model", self.net, *(["--dataset", dataset] if dataset else []), *arguments, says=says)

    def test_usage(self):
        self.no(2, dataset=None, says="ROOT")
        self.no(2, self.root, dataset=None, says=["--dataset", "--flicker"])
        self.no(2, self.root, dataset="coco", says=["coco", "kitti-road"])
        self.no(2, "a", "b", says="too many")
        self.no(2, "--mask-age", -1, self.root, says="--mask-age")
        self.no(2, "--mask-age", 64, self.root, says="63")
        self.no(2, "--frames", -1, self.root, says="--frames")
        self.no(2, "--inference-interval", 0, self.root, says="--inference-interval")
        self.no(2, "--live-mode", "later", self.root, says=["later", "latest"])
        self.no(2, "--sheet", "sheet.pdf", self.root, says=["sheet.pdf", ".html"])
        self.no(2, self.root, dataset="test", says="test:")
        self.no(2, "test:snow", dataset="test", says="snow")
        for option in (["--sheet", "a.png"], ["--save", "a"], ["--mask-age", 1], ["--map", "a"]):
            self.no(2, "--flicker", *option, self.root / "images", dataset=None, says=[option[0], "--dataset"])

    def test_folders(self):
        self.no(3, self.folder / "none", says=["none", "not a folder"])
        self.no(3, self.folder, says=["images + labels", "SPLIT"])
        for f in (self.root / "images").iterdir():
            f.unlink()
        self.no(3, self.root, says=["images", "no image"])

    def test_missing_labels(self):
        (self.root / "labels/f001.png").unlink()
        (self.root / "labels/f002.png").unlink()
        self.no(3, self.root, says=["2 of 3", "f001.png"])

    def test_wrong_labels(self):
        """Each damage of the second label picture has its own message."""
        path = self.root / "labels/f001.png"
        good = path.read_bytes()
        for says, data in ((["32 x 36", "64 x 36"], lambda: small_png.write_map(path, 32, [0] * 32 * H)), (["value 12", "(5, 1)"], lambda: small_png.write_map(path, W, [0] * 69 + [12] + [0] * (W * H - 70))),
                           (["value 300"], lambda: small_png.write(path, W, H, b"\1\x2c" * W * H, depth=16)),
                           (["colour 1 2 3", "(0, 0)"], lambda: small_png.write(path, W, H, b"\1\2\3" * W * H, kind=small_png.RGB)),
                           (["not a PNG"], lambda: path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))), (["not a PNG"], lambda: path.write_bytes(b"")),
                           (["not a sound PNG"], lambda: path.write_bytes(good[:60])), (["not a sound PNG"], lambda: path.write_bytes(good[:45] + b"\x55" + good[46:])),
                           (["at most 16384"], lambda: small_png.write(path, 20000, 1, bytes(20000)))):
            with self.subTest(says=says):
                data()
                self.no(3, self.root, says=["f001.png", *says])

    def test_wrong_labels_elsewhere(self):
        city = self.data_set("city", [([40] * W * H, [0] * W * H)], W, COLORS, labels="labelIds")
        self.no(3, city, dataset="cityscapes", says=["value 40", "labelIds"])
        kitti = self.data_set("kitti", [([0] * W * H, [0] * W * H)], W, COLORS, labels="gt", image="um_{:06}.png", label="um_road_{:06}.png")
        self.no(3, kitti, dataset="kitti-road", says=["grey", "red"])
        (self.root / "classes.json").write_text('{"classes": [{"name": "sky", "color": "#808080"}], "ignore": ["a"]}')
        self.no(3, self.root, dataset="folder", says=["classes.json", "ignore"])
        (self.root / "classes.json").write_text("{")
        self.no(3, self.root, dataset="folder", says="classes.json")

    def test_unreadable_image(self):
        (self.root / "images/f001.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
        self.no(3, self.root, says=["f001.png", "cannot be read"])

    def test_bad_source(self):
        self.no(3, "--flicker", "none.mp4", dataset=None, says="none.mp4")
        (self.folder / "text.mp4").write_text("hello\n" * 100)
        self.no(3, "--flicker", "text.mp4", dataset=None, says="text.mp4")

    def test_bad_model(self):
        self.refused(3, "eval", "--model", "none.onnx", "--dataset", "camvid", self.root, says="none.onnx")
        self.refused(2, "eval", "--model", self.net, "--dataset", "camvid", "--backend", "abacus", self.root, says="abacus")


if __name__ == "__main__":
    kerb_case.main()
