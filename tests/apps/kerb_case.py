# SPDX-License-Identifier: MIT
"""What the tests of the command share: a folder of its own for each test, a model, `kerb` itself, and a look into recordings with ffprobe."""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import tiny_onnx

BUILD = pathlib.Path(os.environ.get("KERB_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build/release"))
KERB = BUILD / "bin/kerb"
DATA = pathlib.Path(os.environ.get("KERB_DATA", "/nonexistent"))
SMALL = "test:?size=64x36"  # a drive that costs nothing
NEEDS_FFPROBE = unittest.skipUnless(shutil.which("ffprobe"), "ffprobe is not installed")
NEEDS_FFMPEG = unittest.skipUnless(shutil.which("ffmpeg"), "ffmpeg is not installed")


def has_element(name):
    return subprocess.run(["gst-inspect-1.0", "--exists", name], capture_output=True).returncode == 0


def needs_data(*names):
    return unittest.skipUnless(all((DATA / n).exists() for n in names), f"KERB_DATA ({DATA}) has no {', '.join(names)}")


class KerbCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="kerb-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.model = tiny_onnx.model(self.folder / "tiny.onnx")
        self.output = self.folder / "out.mkv"

    def kerb(self, *arguments, code=0, env=None, timeout=100):
        """Runs `kerb`, expects this exit code. A signal (a crash) never is what is expected."""
        command = [str(KERB), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=self.folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
        return done

    def refused(self, code, *arguments, says=(), env=None):
        """Expects this exit code, words in the message, and no traces of a library's own complaints."""
        done = self.kerb(*arguments, code=code, env=env)
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, done.stderr)
        self.assertTrue(done.stderr.startswith("kerb: "), done.stderr)
        self.assertNotIn("CRITICAL", done.stderr)
        return done

    def record(self, source, *arguments, code=0, env=None, timeout=100):
        """`kerb record` to self.output; returns its JSON summary."""
        done = self.kerb("record", source, "-o", self.output, "--model", self.model, "--json", "--threads", 1, *arguments, code=code, env=env, timeout=timeout)
        self.assertNotIn("CRITICAL", done.stderr)
        self.stderr = done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments):
        """A `kerb record` of an endless drive to self.output, once its recording is there."""
        # A source at its own pace: there is time to interrupt it.
        process = subprocess.Popen([str(KERB), "record", SMALL + "&live=1&fps=50", "-o", str(self.output), "--model", str(self.model), *map(str, arguments)],
                                   stderr=subprocess.PIPE, text=True, cwd=self.folder)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        end = time.monotonic() + 30
        while not (self.output.exists() and self.output.stat().st_size > 2000):
            self.assertIsNone(process.poll(), "kerb ended by itself")
            self.assertLess(time.monotonic(), end, "no recording came")
            time.sleep(0.02)
        return process

    def probe(self, path=None):
        """Time stamps in seconds, one a decoded frame, and the stream's facts. Fails where ffprobe finds fault with the file."""
        done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time:stream=codec_name,width,height:format=duration",
                               "-of", "json", str(path or self.output)], capture_output=True, text=True, check=True)
        report = json.loads(done.stdout)
        facts = {**report["streams"][0], "duration": report["format"].get("duration"), "complaints": done.stderr}
        return [float(f["pts_time"]) for f in report.get("frames", [])], facts

    def without_encoders(self):
        """The environment in which GStreamer has no video encoder at all."""
        found = subprocess.run(["pkg-config", "--variable=pluginsdir", "gstreamer-1.0"], capture_output=True, text=True).stdout.strip()
        system = self.folder / "system"
        system.mkdir()
        for name in ("coreelements", "app", "videoconvertscale", "videoconvert", "videoscale", "videoparsersbad"):
            plugin = pathlib.Path(found, f"libgst{name}.so")
            if plugin.exists():
                (system / plugin.name).symlink_to(plugin)
        return {"GST_PLUGIN_SYSTEM_PATH_1_0": str(system), "GST_REGISTRY": str(self.folder / "registry.bin")}

    def leftovers(self):
        """Half-made recordings that lie about."""
        return [p.name for p in self.folder.iterdir() if p.name.startswith(".")]


def png(path):
    """Width, height and rows of RGB bytes, as ffmpeg reads the file."""
    data = pathlib.Path(path).read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    return width, height, [raw[y * width * 3:(y + 1) * width * 3] for y in range(height)]


def write_ppm(path, width, height, rgb):
    """One colour."""
    pathlib.Path(path).write_bytes(f"P6\n{width} {height}\n255\n".encode() + bytes(rgb) * (width * height))


def main():
    program = unittest.main(verbosity=2, exit=False)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun and len(result.skipped) == result.testsRun else 0)
