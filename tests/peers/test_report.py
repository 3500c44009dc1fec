# SPDX-License-Identifier: MIT
"""scripts/bench-peers without its peers: which times count, ratios, means, the Markdown, and the command line."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts/peers"))
import report as reporting  # noqa: E402


def row(candidate, precision, ms, agreement, threads=2, megabytes=100):
    own = {"network_ms": 0.9 * ms} if candidate == "kerb" else {}
    return {"candidate": candidate, "precision": precision, "threads": threads, "median_ms": ms, "min_ms": ms, "n": 3, "agreement": agreement, "peak_bytes": megabytes * 10**6, **own}


def report_of(**nets):
    return {"machine": "a machine", "settings": {"rounds": 3, "seconds": 1.0}, "said": ["bf16: none here"],
            "nets": {name: {"width": 64, "height": 32, "open_s": {"2": {"cold": 1.25, "cached": 0.5}}, "absent": {}, "rows": rows} for name, rows in nets.items()}}


class Compare(unittest.TestCase):
    def test_the_fastest_that_agrees(self):
        found = reporting.compare([row("kerb", "f32", 10, 1, megabytes=50), row("ncnn", "f32", 11, 0.9998, megabytes=10), row("openvino", "f32", 14, 0.9999, megabytes=200),
                                   row("onnxruntime", "f32", 20, 1)])
        self.assertEqual((found["f32"]["peer"], found["f32"]["ratio"]), ("openvino f32", 1.4))  # ncnn's 99.98 % is too little in f32,
        self.assertEqual((found["any"]["peer"], found["any"]["ratio"]), ("ncnn f32", 1.1))      # and enough where any precision may be taken
        self.assertEqual(found["memory"]["ratio"], 4)  # of the peer that f32 is held against

    def test_each_takes_its_fastest_precision(self):
        found = reporting.compare([row("kerb", "f32", 10, 1), row("kerb", "bf16", 6, 0.9991), row("kerb", "int8", 3, 0.9989), row("openvino", "f32", 15, 1),
                                   row("openvino", "bf16", 9, 0.9995), row("openvino", "int8", 4, 0.99)])
        self.assertEqual((found["any"]["kerb"], found["any"]["peer"], found["any"]["ratio"]), ("bf16", "openvino bf16", 1.5))

    def test_int8_is_held_against_openvino_that_agrees_no_better(self):
        rows = [row("kerb", "int8", 4, 0.993), row("openvino", "int8", 6, 0.993), row("onnxruntime", "int8", 1, 0.99)]
        self.assertEqual(reporting.compare(rows)["int8"]["ratio"], 1.5)
        rows[1]["agreement"] = 0.9931
        self.assertNotIn("ratio", reporting.compare(rows)["int8"])
        self.assertIn("99.310%", reporting.compare(rows)["int8"]["why"])
        self.assertIn("why", reporting.compare(rows[:1])["int8"])

    def test_kerb_is_held_to_the_rule_too(self):
        found = reporting.compare([row("kerb", "f32", 1, 0.99), row("openvino", "f32", 15, 1)])
        for comparison in ("f32", "any", "memory"):
            self.assertIn("no Kerb", found[comparison]["why"])
        self.assertIn("no peer", reporting.compare([row("kerb", "f32", 1, 1)])["f32"]["why"])


class Means(unittest.TestCase):
    def test_geometric(self):
        self.assertAlmostEqual(reporting.geometric_mean([0.5, 8]), 2)
        self.assertIsNone(reporting.geometric_mean([]))

    def test_of_the_nets_that_have_a_ratio_and_by_threads(self):
        summary = reporting.summarise(report_of(
            a=[row("kerb", "f32", 10, 1), row("ncnn", "f32", 10, 1), row("kerb", "f32", 10, 1, threads=1), row("ncnn", "f32", 5, 1, threads=1)],
            b=[row("kerb", "f32", 10, 1), row("ncnn", "f32", 40, 1)], c=[row("kerb", "f32", 10, 0.5), row("ncnn", "f32", 1, 1)]))
        self.assertEqual(list(summary), [1, 2])
        two, one = summary[2]["means"]["f32"], summary[1]["means"]["f32"]
        self.assertAlmostEqual(two["mean"], 2)
        self.assertEqual((two["least"], two["nets"]), (1, 2))
        self.assertEqual((one["mean"], one["nets"]), (0.5, 1))
        self.assertIsNone(summary[2]["means"]["int8"]["mean"])


class Markdown(unittest.TestCase):
    def setUp(self):
        report = report_of(first=[row("kerb", "f32", 10, 1), row("ncnn", "f32", 25, 0.99999), row("kerb", "int8", 8, 0.99)],
                           second=[row("kerb", "f32", 10, 1), row("openvino", "f32", 9.96, 0.9)])
        report["nets"]["second"]["absent"]["ncnn f32"] = "it cannot"
        self.lines = reporting.markdown(report).splitlines()

    def test_times_with_agreement(self):
        self.assertIn("| network | kerb f32 | ncnn f32 | kerb int8 | openvino f32 |", self.lines)
        self.assertIn("| first 64x32 | 10.0 (100 %) | 25.0 (99.999 %) | 8.0 (99 %) | – |", self.lines)
        self.assertIn("| second 64x32 | 10.0 (100 %) | – | – | ~~10.0 (90 %)~~ |", self.lines)

    def test_ratios(self):
        self.assertIn("| first | 2.50 | 2.50 | – | 1.00 | ncnn f32 | ncnn f32 / f32 |", self.lines)
        self.assertIn("| **geometric mean** | **2.50** | **2.50** | – | **1.00** |  |  |", self.lines)
        self.assertIn("- second, f32: no peer at 99.99%", self.lines)

    def test_kerb_and_the_absent(self):
        self.assertIn("| first | 2 | 1.25 | 0.50 | 100 | 10.0% |", self.lines)
        self.assertIn("- bf16: none here", self.lines)
        self.assertIn("- second: ncnn f32: it cannot", self.lines)

    def test_all_tables_are_whole(self):
        for line, after in zip(self.lines, self.lines[1:]):
            if line.startswith("|") and after.startswith("|"):
                self.assertEqual(line.count("|"), after.count("|"), after)

    def test_a_share_is_rounded_down(self):
        self.assertEqual([reporting.percent(x) for x in (1, 0.9999999, 0.99899, 0.5)], ["100 %", "99.999 %", "99.899 %", "50 %"])


class CommandLine(unittest.TestCase):
    def run_it(self, *options):
        """With a Python that is not there, and so would have to be made if anything went on."""
        return subprocess.run([sys.executable, ROOT / "scripts/bench-peers", *options], capture_output=True, text=True, env={"PATH": "/nowhere", "KERB_PYTHON": "/nowhere/bin/python"})

    def test_help_makes_nothing(self):
        done = self.run_it("--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("twinlitenet", done.stdout)

    def test_unknown_names(self):
        for option, known in (("--nets", "fcn8s-vgg16"), ("--peers", "openvino"), ("--precisions", "bf16")):
            done = self.run_it(option, "nobody")
            self.assertEqual(done.returncode, 2)
            self.assertIn("nobody", done.stderr)
            self.assertIn(known, done.stderr)

    def test_numbers(self):
        for options in (("--threads", "2,x"), ("--threads", "0"), ("--rounds", "0"), ("--seconds", "-1")):
            self.assertEqual(self.run_it(*options).returncode, 2, options)

    def test_resume_wants_the_same_settings(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "report.json"
            path.write_text(json.dumps({"settings": {"rounds": 1}, "nets": {}}))
            done = self.run_it("--resume", "--json", str(path), "--rounds", "2")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("another --json", done.stderr)


if __name__ == "__main__":
    unittest.main()
