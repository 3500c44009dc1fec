# SPDX-License-Identifier: MIT
"""Training and export as commands: it learns; a killed run goes on to the very same weights; and what bad input, a NaN, a damaged checkpoint or a full disk get."""
import json
import pathlib
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from train_case import BUILD, ROOT, make_folder

import onnx
import torch
from PIL import Image

import card
import checkpoint
from train import parse_options, trained

SMALL = ["--model", "unet", "--option", "base=4", "--data", "folder", "--crop", "48x32", "--scale", "1,1", "--batch", "2", "--threads", "1", "--workers", "0", "--amp", "off", "--eval-every", "1"]


class Training(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        make_folder(self.root / "data", split="train", n=8)
        make_folder(self.root / "data", split="val", n=2, seed=9)
        self.out = self.root / "run"

    def tearDown(self):
        self.folder.cleanup()

    def command(self, *arguments, small=SMALL):
        return [sys.executable, ROOT / "scripts/train/train.py", *small, "--root", self.root / "data", "--out", self.out, *map(str, arguments)]

    def run_it(self, command, expect=0, **options):
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=1200, **options)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def export(self, *arguments, expect=0, run=None):
        return self.run_it([sys.executable, ROOT / "scripts/export/export.py", run or self.out, "-o", self.root / "net.onnx", "--kerb", BUILD / "bin/kerb-net-run", *arguments], expect)

    def test_it_learns_and_is_exported(self):
        self.run_it(self.command("--epochs", 12, "--lr", "5e-3", "--ema", "0.9", "--loss", "ce+0.5*dice", "--class-weights", "median"))
        log = [json.loads(line) for line in (self.out / "log.jsonl").read_text().splitlines()]
        self.assertEqual([e["epoch"] for e in log], list(range(1, 13)))
        self.assertGreater(max(e["miou"] for e in log), 0.9)
        done = self.export("--size", "64x32")
        self.assertIn("Kerb: 100.0", done.stdout)
        found = json.loads((self.root / "net.json").read_text())
        self.assertEqual((found["input"]["width"], found["input"]["multiple"]), (64, 16))
        self.assertEqual([c["id"] for c in found["classes"]], [0, 7])
        self.assertGreater(found["accuracy"]["mIoU"], 90)
        self.assertLess((self.root / "net-curve.png").stat().st_size, 60000)
        with Image.open(self.root / "net-curve.png") as curve:
            self.assertEqual(curve.size, (700, 400))
        model = onnx.load(self.root / "net.onnx")
        self.assertNotIn("BatchNormalization", {n.op_type for n in model.graph.node}, "norms are folded into the convolutions")
        self.assertLess((self.root / "net.onnx").stat().st_size, 4 * sum(p.numel() for p in trained(checkpoint.load(self.out / "best.pt")).parameters()) + 40000)
        self.same_options(found["recipe"].split(" && ")[0], self.out)

    def same_options(self, command, run):
        """The card's command asks for the very run that was made."""
        program, *words = shlex.split(command)
        self.assertEqual(program, "scripts/train/train.py")
        asked, had = vars(parse_options(words)), checkpoint.load(run / "best.pt")["options"]
        for key in had.keys() - card.MACHINE - {"init", "teacher"}:
            same = list(had[key]) if isinstance(had[key], (tuple, list)) else had[key]
            self.assertEqual(list(asked[key]) if isinstance(asked[key], (tuple, list)) else asked[key], same, key)

    def test_runs_that_follow_each_other(self):
        """--init of another run: classes merged, two commands, the last one's size rule."""
        first, self.out = self.out, self.root / "second"
        self.run_it([*self.command("--epochs", 1, "--out", first, "--pretrained", "--backbone", "efficientnet-lite0", small=[*SMALL[4:], "--model", "light"])])
        self.run_it(self.command("--epochs", 2, "--init", first, "--merge", "it=thing", "--backbone", "efficientnet-lite0", "--freeze", 3, small=[*SMALL[4:], "--model", "light"]))
        self.export("--longer-side", 64, "--size", "64x32", expect=2)
        self.export("--longer-side", 64)
        found = json.loads((self.root / "net.json").read_text())
        self.assertEqual((found["input"]["longer_side"], found["input"]["multiple"], "width" in found["input"]), (64, 32, False))
        self.assertEqual([c["name"] for c in found["classes"]], ["background", "it"])
        self.assertTrue(found["classes"][0]["background"])
        self.assertIn("Apache-2.0", found["data"])
        one, two, export = found["recipe"].split(" && ")
        self.same_options(one, first)
        self.same_options(two, self.out)
        self.assertIn("--init runs/run", two)
        self.assertEqual(export, "scripts/export/export.py runs/second -o net.onnx --longer-side 64")
        shutil.rmtree(first)
        done = self.export("--longer-side", 64, expect=3)
        self.assertIn("run", done.stderr)

    def test_eval_in_kerb_is_the_same(self):
        """The network at the pictures' own size: what the element's path gives differs by rounding alone."""
        kerb = BUILD / "bin/kerb"
        if not kerb.exists():
            self.skipTest(f"{kerb} is not built")
        self.run_it(self.command("--epochs", 6, "--lr", "5e-3", "--ema", "0.9"))
        self.export("--size", "48x32")
        done = self.run_it([kerb, "eval", "--model", self.root / "net.onnx", "--dataset", "folder", "--split", "val", "--json", self.root / "data"])
        best = max(json.loads(line)["miou"] for line in (self.out / "log.jsonl").read_text().splitlines())
        self.assertAlmostEqual(json.loads(done.stdout)["miou"], best, delta=0.001)

    def test_killed_and_resumed_is_the_same(self):
        self.run_it(self.command("--epochs", 4))
        whole = checkpoint.load(self.out / "last.pt")
        self.out = self.root / "killed"
        process = subprocess.Popen([str(c) for c in self.command("--epochs", 4)], stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line.startswith("epoch   2"):
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        self.assertLess(checkpoint.load(self.out / "last.pt")["epoch"], 4)
        self.run_it([sys.executable, ROOT / "scripts/train/train.py", "--resume", self.out, "--threads", "1", "--workers", "0"])
        resumed = checkpoint.load(self.out / "last.pt")
        self.assertEqual(resumed["epoch"], 4)
        for name, tensor in whole["net"].items():
            self.assertTrue(torch.equal(tensor, resumed["net"][name]), name)

    def test_begins_with_and_learns_from_another_run(self):
        self.run_it(self.command("--epochs", 6, "--lr", "5e-3", "--ema", "0.9"))
        first, self.out = self.out, self.root / "second"
        done = self.run_it(self.command("--epochs", 1, "--lr", "1e-9", "--init", first))
        self.assertRegex(done.stdout, r"begins with (\d+) of \1 tensors")
        known, new = (max(json.loads(line)["miou"] for line in (run / "log.jsonl").read_text().splitlines()) for run in (first, self.out))
        self.assertAlmostEqual(new, known, delta=0.05)  # norms' statistics move
        self.out = self.root / "taught"
        self.run_it(self.command("--epochs", 16, "--lr", "1e-2", "--ema", "0.9", "--teacher", first, "--teach", "1", "--seed", "3"))
        self.assertGreater(max(json.loads(line)["miou"] for line in (self.out / "log.jsonl").read_text().splitlines()), 0.8)  # from the teacher alone
        self.out = self.root / "wrong"
        self.run_it(self.command("--epochs", 1, "--init", self.root / "nowhere"), expect=1)
        self.assertIn("EfficientNet-Lite", self.run_it(self.command("--epochs", 1, "--freeze", 2), expect=2).stderr)

    def test_two_processes_learn_as_one(self):
        """torchrun: both halves of a batch give the gradient of the whole, so one weight comes out whoever computes it (norms see half a batch, hence the tolerance)."""
        together = ["--epochs", 8, "--lr", "5e-3", "--ema", "0.9", "--batch", "1"]
        self.run_it([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *self.command(*together)[1:]])
        log = [json.loads(line) for line in (self.out / "log.jsonl").read_text().splitlines()]
        self.assertEqual([e["epoch"] for e in log], list(range(1, 9)))  # one process writes
        self.assertEqual(log[-1]["step"], 8 * 4)
        self.assertGreater(max(e["miou"] for e in log), 0.5)

    def test_nan_keeps_the_last_good_weights(self):
        self.run_it(self.command("--epochs", 1))
        state = checkpoint.load(self.out / "last.pt")
        state["options"] |= {"epochs": 3, "lr": 1e30}
        checkpoint.save(self.out / "last.pt", state)
        kept = (self.out / "last.pt").read_bytes()
        done = self.run_it([sys.executable, ROOT / "scripts/train/train.py", "--resume", self.out, "--threads", "1", "--workers", "0"], expect=1)
        self.assertIn("the loss is", done.stderr)
        self.assertRegex(done.stderr, r"at step \d+ .*last good")
        self.assertEqual((self.out / "last.pt").read_bytes(), kept)

    def test_interrupted(self):
        process = subprocess.Popen([str(c) for c in self.command("--epochs", 500)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line.startswith("epoch   1"):
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, said)
        self.assertIn("--resume", said)
        self.assertGreaterEqual(checkpoint.load(self.out / "last.pt")["epoch"], 1)

    def test_damaged_checkpoint(self):
        self.run_it(self.command("--epochs", 1))
        whole = (self.out / "last.pt").read_bytes()
        for damaged in (whole[:len(whole) // 2], b"", b"no checkpoint at all", whole[:len(whole) // 2] + b"\xff" * 5 + whole[len(whole) // 2 + 5:]):
            (self.out / "last.pt").write_bytes(damaged)
            done = self.run_it([sys.executable, ROOT / "scripts/train/train.py", "--resume", self.out], expect=1)
            self.assertIn("last.pt is damaged or no checkpoint", done.stderr)
        done = self.export(expect=3, run=self.out / "last.pt")
        self.assertIn("damaged", done.stderr)
        self.assertFalse((self.root / "net.onnx").exists())

    def test_full_disk(self):
        """Files may not grow past a limit, as on a full disk: what was saved before stays whole."""
        self.run_it(self.command("--epochs", 1))
        limit = (self.out / "last.pt").stat().st_size // 2

        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        state = checkpoint.load(self.out / "last.pt")
        state["options"]["epochs"] = 2
        checkpoint.save(self.out / "last.pt", state)
        before = (self.out / "last.pt").read_bytes()
        done = self.run_it([sys.executable, ROOT / "scripts/train/train.py", "--resume", self.out, "--threads", "1", "--workers", "0"], expect=1, preexec_fn=small_files)
        self.assertIn("could not be written", done.stderr)
        self.assertEqual((self.out / "last.pt").read_bytes(), before)
        self.assertFalse((self.out / "last.pt.part").exists())

    def test_interrupted_export_leaves_nothing_half(self):
        self.run_it(self.command("--epochs", 1))
        (self.root / "net.onnx").write_bytes(b"what was there")
        process = subprocess.Popen([sys.executable, str(ROOT / "scripts/export/export.py"), str(self.out), "-o", str(self.root / "net.onnx"), "--size", "640x480"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        beside = self.root / "net.part.onnx"
        while not beside.exists() and process.poll() is None:
            time.sleep(0.02)
        process.kill()
        process.communicate()
        self.assertEqual((self.root / "net.onnx").read_bytes(), b"what was there")

    def test_unsound_data(self):
        for f in (self.root / "data/train/images").iterdir():
            f.unlink()
        done = self.run_it(self.command(), expect=3)
        self.assertIn("no pictures", done.stderr)

    def test_wrong_usage(self):
        for wrong, word in ((["--loss", "hinge"], "ce, focal"), (["--option", "base=4", "--option", "depth=9"], "depth"), (["--model", "fcn8s", "--backbone", "resnet18"], "backbone")):
            done = self.run_it(self.command(*wrong), expect=2)
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
