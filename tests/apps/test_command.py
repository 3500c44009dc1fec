#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command line itself: help, hints, models, devices, inspect, bench."""
import json
import pathlib
import shutil

import kerb_case
import tiny_onnx
from kerb_case import SMALL, KerbCase

SUBCOMMANDS = ("record", "view", "bench", "eval", "inspect", "calibrate", "devices")


class Help(KerbCase):
    def test_help_names_all(self):
        text = self.kerb("--help").stdout
        for name in SUBCOMMANDS:
            self.assertIn(f"  {name} ", text)

    def test_every_subcommand_has_examples(self):
        for name in SUBCOMMANDS:
            text = self.kerb(name, "--help").stdout
            self.assertIn("Examples:", text)
            self.assertIn(f"kerb {name}", text)
            self.assertEqual(text, self.kerb("help", name).stdout)

    def test_version(self):
        self.assertRegex(self.kerb("--version").stdout, r"^kerb \d+\.\d+\.\d+\n$")

    def test_hints(self):
        self.refused(2, says="record, view, review, bench, eval")
        self.refused(2, "recrod", says="Did you mean record?")
        self.refused(2, "frobnicate", says="kerb --help")
        self.refused(2, "record", SMALL, "-o", self.output, "--forse", says="Did you mean --force?")
        self.refused(2, "view", "--nothing-like-it", says="kerb view --help")
        self.refused(2, "record", "--model", self.model, says=["needs SOURCE", "kerb record --help"])
        self.refused(2, "record", SMALL, "--model", self.model, says="-o FILE.mkv")
        self.refused(2, "record", "a", "b", "-o", self.output, "--model", self.model, says="in quotes")

    def test_values_are_checked(self):
        for option, valid in (("--visualize=cubist", "side-by-side"), ("--precision=f8", "tf32, f16, int8"), ("--device=64", "0 to 63"), ("--fit=tight", "letterbox"), ("--alpha=2", "0 (frame only) to 1"),
                              ("--alpha=nan", "0 (frame only) to 1"), ("--threads=-1", "256"),  ("--network-size=640", "640x"), ("--network-size=0x5", "1 to 16384"),
                              ("--rate=0", "0.001 to 1000"), ("--duration=-1", "seconds")):
            self.refused(2, "record", SMALL, "-o", self.output, "--model", self.model, option, says=[option.split("=")[0], valid.replace("640x", "width x height")])
        self.refused(2, "record", SMALL, "-o", self.output, "--model", self.model, "--cpu-list=1-0", says=["cpu-list", "0-3,6"])

    def test_ways_are_timed_unless_asked_not_to(self):
        for option, files in (("--no-tune", 0), ("--quiet", 1)):
            cache = self.folder / option
            cache.mkdir()
            self.kerb("record", SMALL, "-o", self.output, "--force", "--model", pathlib.Path(__file__).resolve().parents[2] / "models/drive-free.onnx", "--network-size", "320x192", "--backend", "cpu", "--duration", 0.1,
                      option, env={"KERB_PLAN_CACHE": str(cache)})
            self.assertEqual(len(list(cache.iterdir())), files, option)


class Model(KerbCase):
    def test_environment(self):
        for command in (["record", SMALL, "-o", self.output, "--duration", 0.1], ["bench", "--frames", 2], ["inspect"], ["eval", "--flicker", SMALL, "--frames", 2],
                        ["view", SMALL, "--frames", 1, "--headless"]):
            with self.subTest(command=command[0]):
                done = self.kerb(*command, env={"KERB_MODEL": str(self.model)})
                self.assertNotIn("no --model", done.stderr)  # who has set it knows
                self.refused(3, *command, env={"KERB_MODEL": str(self.folder / "none.onnx")}, says=["KERB_MODEL", "none.onnx"])
        self.assertEqual(json.loads(self.kerb("inspect", "--json", env={"KERB_MODEL": str(self.model)}).stdout)["file"], str(self.model))

    def test_default(self):
        """Nothing named at all: the best that is in models/ of the source tree, said once."""
        models = pathlib.Path(__file__).resolve().parents[2] / "models"
        name = "drive.onnx" if (models / "drive.onnx").exists() else "drive-free.onnx"
        report = json.loads(self.kerb("inspect", "--json", env={"KERB_MODEL": ""}).stdout)
        self.assertEqual(report["file"], str(models / name))
        done = self.kerb("record", SMALL, "-o", self.output, "--duration", 0.1, env={"KERB_MODEL": ""})
        self.assertEqual(done.stderr.count(str(models / name)), 1, done.stderr)
        done = self.kerb("record", SMALL, "-o", self.output, "--duration", 0.1, "--force", "--quiet", env={"KERB_MODEL": ""})
        self.assertNotIn(name, done.stderr)

    def test_deleted_default(self):
        """Beside a libkerb without drive.onnx, drive-free.onnx is taken, and what it is good for is said; without both, what to do."""
        alone = self.folder / "tree/lib"
        alone.mkdir(parents=True)
        for library in (kerb_case.BUILD / "lib").glob("libkerb.so*"):
            shutil.copy2(library, alone)
        models = self.folder / "tree/models"
        models.mkdir()
        for suffix in (".onnx", ".json"):
            if self.model.with_suffix(suffix).exists():
                shutil.copy(self.model.with_suffix(suffix), models / f"drive-free{suffix}")
        env = {"KERB_MODEL": "", "LD_LIBRARY_PATH": str(alone)}
        done = self.kerb("record", SMALL, "-o", self.output, "--duration", 0.1, env=env)
        for word in (str(models / "drive-free.onnx"), "synthetic town", "drive.onnx is not there"):
            self.assertIn(word, done.stderr)
        shutil.rmtree(models)
        for command in (["record", SMALL, "-o", self.output, "--force"], ["bench"], ["inspect"]):
            self.refused(3, *command, env=env, says=["no model", "drive.onnx", "--model", "KERB_MODEL"])
        self.refused(2, "inspect", "a.onnx", "b.onnx", env=env, says="b.onnx")

    def test_missing(self):
        self.refused(3, "record", SMALL, "-o", self.output, "--model", self.folder / "none.onnx", says="none.onnx")
        self.assertFalse(self.output.exists())
        self.assertEqual(self.leftovers(), [])

    def test_not_onnx(self):
        """Each is named for what it is, with the way to an ONNX file."""
        cases = {"empty.onnx": (b"", "empty"), "text.onnx": (b"hello, this is no model\n" * 20, "not an ONNX model"), "cut.onnx": (self.model.read_bytes()[:100], "cut"),
                 "net.pth": (b"PK\x03\x04" + b"." * 30 + b"net/data.pkl" + bytes(200), ("PyTorch", "torch.onnx.export")),
                 "net.tflite": (b"\x1c\0\0\0TFL3" + bytes(200), ("TensorFlow Lite", "tf2onnx")),
                 "net.engine": (b"ptrt" + bytes(200), ("TensorRT", "ONNX"))}
        for name, (data, says) in cases.items():
            path = self.folder / name
            path.write_bytes(data)
            for command in (["inspect", path], ["record", SMALL, "-o", self.output, "--model", path], ["bench", "--model", path]):
                with self.subTest(name=name, command=command[0]):
                    self.refused(3, *command, says=(name, *([says] if isinstance(says, str) else says)))

    def test_unsupported_operator(self):
        path = tiny_onnx.model(self.folder / "odd.onnx", operator="NoSuch")
        for command in (["inspect", path], ["record", SMALL, "-o", self.output, "--model", path]):
            self.refused(3, *command, says=["NoSuch", "the_odd_one"])

    def test_unknown_class_backend_palette(self):
        self.refused(2, "record", SMALL, "-o", self.output, "--model", self.model, "--backend", "abacus", says="abacus")
        for option in ("--palette=beige", "--labels=none.txt"):
            self.refused(3, "record", SMALL, "-o", self.output, "--model", self.model, option, says=option.split("=")[1])
        self.refused(2, "record", SMALL, "-o", self.output, "--model", self.model, "--classes", "green,mauve", says=["mauve", "red, green, blue"])
        self.refused(2, "view", SMALL, "--model", self.model, "--classes", "mauve", says="mauve", env={"SDL_VIDEODRIVER": "dummy"})
        self.assertEqual(self.leftovers() + [p for p in self.folder.iterdir() if p == self.output], [])

    def test_no_cpu_module(self):
        """Without it the reference runs, and says that it is slow."""
        alone = self.folder / "alone"  # modules are also looked for beside libkerb.so: a copy of it has none there
        alone.mkdir()
        for library in (kerb_case.BUILD / "lib").glob("libkerb.so*"):
            shutil.copy2(library, alone)
        done = self.kerb("record", SMALL, "-o", self.output, "--model", self.model, "--duration", 0.2, "--json",
                         env={"KERB_MODULE_PATH": str(alone), "LD_LIBRARY_PATH": str(alone)})
        self.assertIn("slow", done.stderr)
        self.assertIn("kerb-cpu.so", done.stderr)
        self.assertIn("ref", json.loads(done.stdout)["backend"])
        self.refused(6, "record", SMALL, "-o", self.output, "--force", "--model", self.model, "--backend", "cpu", says="kerb-cpu.so",
                     env={"KERB_MODULE_PATH": str(alone), "LD_LIBRARY_PATH": str(alone)})


class Reports(KerbCase):
    def test_inspect(self):
        text = self.kerb("inspect", self.model).stdout
        self.assertIn("Conv", text)
        report = json.loads(self.kerb("inspect", self.model, "--json", "--layers").stdout)
        self.assertEqual([c["name"] for c in report["classes"]], ["red", "green", "blue"])
        self.assertIn("after", self.kerb("inspect", tiny_onnx.model(self.folder / "relu.onnx", operator="Relu"), "--passes").stdout)

    def test_devices(self):
        devices = json.loads(self.kerb("devices", "--json").stdout)["backends"]
        self.assertIn("ref", [d["name"] for d in devices])
        self.assertTrue(any(d["usable"] for d in devices))
        for d in devices:
            self.assertTrue(d["precisions"] if d["usable"] else d["remedy"], d)
            self.assertGreaterEqual(d["id"], 0)
            self.assertIs(type(d["integrated"]), bool)
            self.assertIn("memory_bytes", d)
        self.assertIn("ref", self.kerb("devices").stdout)
        self.refused(2, "devices", "extra", says="extra")

    def test_bench_live(self):
        """A simulated camera: every frame arrives, at the camera's rate, with labels of known age."""
        command = ["bench", "--live", "--model", self.model, "--size", "70x50", "--seconds", 1, "--live-fps", 40]
        report = json.loads(self.kerb(*command, "--json").stdout)
        self.assertEqual((report["frames"], report["lost"], report["live_mode"]), (41, 0, "latest"))
        self.assertGreater(report["fps"], 20)
        self.assertGreaterEqual(report["age_ms"]["median"], 25)  # nothing is younger than one frame where no frame waits
        self.assertGreaterEqual(report["latency_ms"]["max"], report["latency_ms"]["median"])
        held = json.loads(self.kerb(*command, "--live-mode", "hold", "--max-wait", 1000, "--json").stdout)
        self.assertEqual((held["lost"], held["without_labels"], held["live_mode"]), (0, 0, "hold"))
        self.assertIn("latency added", self.kerb(*command, "--carry", "--smoothing", "light", "--max-age", 500).stdout)
        self.refused(2, *command, "--element", says="--element")
        self.refused(2, *command, "--live-mode", "soon", says="every-frame, latest, hold")
        self.refused(2, *command, "--max-wait", -1, says="--max-wait")
        self.refused(2, *command, "--inference-interval", 0, says="--inference-interval")
        self.refused(2, "bench", "--live", "--live-fps", 0, says="--live-fps")

    def test_bench(self):
        report = json.loads(self.kerb("bench", "--model", self.model, "--frames", 20, "--json").stdout)
        for path in ("library", "element"):
            r = report[path]
            self.assertEqual(r["n"], 20)
            self.assertGreater(r["fps"], 0)
            for quantiles in [r["frame_ms"], *(r["stages_ms"][s] for s in ("up", "in", "net", "out", "down", "total"))]:
                self.assertTrue(0 <= quantiles["min"] <= quantiles["median"] <= quantiles["p99"], quantiles)
            self.assertGreaterEqual(r["stages_ms"]["total"]["median"], r["stages_ms"]["net"]["median"])
            self.assertEqual(r["stages_ms"]["smooth"]["p99"], 0)
        self.assertEqual((report["width"], report["height"]), (64, 36))
        only = json.loads(self.kerb("bench", "--model", self.model, "--element", "--seconds", 0.1, "--size", "70x50", "--json").stdout)
        self.assertNotIn("library", only)
        self.assertEqual((only["width"], only["height"]), (70, 50))
        plain = self.kerb("bench", "--model", self.model, "--library", "--frames", 3).stdout
        self.assertIn("median", plain)
        self.assertNotIn("smooth", plain)
        smooth = ["bench", "--model", self.model, "--frames", 5, "--smoothing", "light"]
        report = json.loads(self.kerb(*smooth, "--json").stdout)
        for path in ("library", "element"):
            stages = report[path]["stages_ms"]
            self.assertTrue(0 < stages["smooth"]["min"] and stages["smooth"]["median"] <= stages["out"]["median"], stages)
        self.assertEqual(self.kerb(*smooth).stdout.count("(a part of out)"), 2)
        self.refused(2, "bench", "--model", self.model, "--size", "big", says="--size")
        self.refused(3, "bench", "--model", self.model, "--source", "none.mp4", says="none.mp4")


if __name__ == "__main__":
    kerb_case.main()
