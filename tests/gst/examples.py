#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/appsink.c and docs/appsink.py as a user runs them, against labels that `kerb record` writes into a file: the same frames, the same shares."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BUILD, SOURCE = pathlib.Path(os.environ["KERB_BUILD"]), pathlib.Path(os.environ["KERB_SOURCE"])
MODEL = SOURCE / "models/drive-free.onnx"
NAMES = [c["name"] for c in json.loads(MODEL.with_suffix(".json").read_text())["classes"]]


def python_with_gi():
    """One that has GObject's introspection: Debian's own, where this one has not."""
    code = "import gi, numpy; gi.require_version('GstApp', '1.0'); gi.require_version('GstVideo', '1.0')"
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run([python, "-c", code], capture_output=True).returncode == 0:
            return python
    return None


PYTHON = python_with_gi()


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """The three largest classes of each of ten frames, from the label file."""
        with tempfile.TemporaryDirectory() as folder:
            raw = pathlib.Path(folder, "labels.gray")
            subprocess.run([BUILD / "bin/kerb", "record", "test:?size=320x180", "--duration", "0.4", "-o", pathlib.Path(folder, "out.mkv"), "--labels-out", raw, "--model", MODEL, "-q"],
                           check=True)
            labels = raw.read_bytes()
        cls.wanted = []
        for n in range(10):
            frame = labels[n * 320 * 180:(n + 1) * 320 * 180]
            most = sorted(range(len(NAMES)), key=lambda i: (-frame.count(i), i))[:3]
            cls.wanted.append("".join(f"  {NAMES[i]} {100 * frame.count(i) / len(frame):.1f} %" for i in most))

    def check(self, command, line):
        done = subprocess.run([*command, str(MODEL), self.video()], capture_output=True, text=True, timeout=100)
        self.assertEqual((done.returncode, "CRITICAL" in done.stderr), (0, False), done.stderr)
        self.assertEqual(done.stdout.splitlines(), [line.format(n / 25) + w for n, w in enumerate(self.wanted)])
        done = subprocess.run([*command, str(MODEL) + "x"], capture_output=True, text=True, timeout=100)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("drive-free.onnxx", done.stderr)

    def video(self):
        """The same drive as an uncompressed file: what goes in is what the label file is of."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name, "drive.avi")
        subprocess.run(["gst-launch-1.0", "-q", "kerbtestsrc", "num-buffers=10", "!", "video/x-raw,format=I420,width=320,height=180,framerate=25/1", "!", "avimux", "!", "filesink",
                        f"location={path}"], check=True)
        return str(path)

    def test_c(self):
        self.check([str(BUILD / "bin/kerb-appsink")], "{:.3f} s, labels 0 ms old:")

    @unittest.skipUnless(PYTHON, "no Python with gi, GstApp, GstVideo and numpy")
    def test_python(self):
        self.check([PYTHON, str(SOURCE / "docs/appsink.py")], "{:.3f} s:")


if __name__ == "__main__":
    unittest.main(verbosity=2)
