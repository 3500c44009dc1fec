#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The viewer: every pixel format, windows of many sizes, and a display that is real, and goes away."""
import os
import shutil
import subprocess
import unittest

import kerb_case
import tiny_onnx
from kerb_case import NEEDS_FFMPEG, NEEDS_FFPROBE, SMALL
from view_case import ViewCase, near


@NEEDS_FFMPEG
class Picture(ViewCase):
    def test_formats(self):
        """Every format and matrix shows the same colour; odd sizes too."""
        color = (200, 60, 40)
        for name, pix_fmt, extra in (("i420", "yuv420p", ["-colorspace", "smpte170m"]), ("709", "yuv420p", ["-colorspace", "bt709"]), ("full", "yuvj420p", []),
                                     ("422", "yuv422p", []), ("gray", "gray", []), ("rgb", "rgb24", [])):
            with self.subTest(name=name):
                path = self.folder / f"{name}.mkv"
                matrix = "bt709" if name == "709" else "smpte170m"
                subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=0x%02x%02x%02x:size=642x362:rate=5:duration=1" % color, "-vf",
                                f"scale=out_color_matrix={'bt709' if name == '709' else 'bt601'}:out_range={'full' if name in ('full', 'gray') else 'limited'},format={pix_fmt}",
                                "-colorspace", matrix, "-color_primaries", "bt709", "-color_trc", "bt709", "-c:v", "ffv1", str(path)], check=True)
                self.view("key l o\nkey M\nshot frame.png", source=path)
                pixel = self.shot("frame.png")[300, 180]
                want = (99, 99, 99) if name == "gray" else color
                self.assertTrue(near(pixel, want, 8), (name, pixel))

    def test_many_classes_in_any_window(self):
        """150 classes: in a small window and a large one the legend stays clear of the edges, and of the corner's row."""
        many = tiny_onnx.model(self.folder / "many.onnx", classes=150)
        script = "".join(f"resize {w} {h}\nshot with{w}.png\nkey l\nshot without{w}.png\nkey l\n" for w, h in ((160, 90), (320, 180), (1280, 720)))
        self.view("key M\nsleep 2.1\n" + script, model=many, source=self.images([(200, 60, 40)]))
        for w, h, edge, row in ((160, 90, 5, 0), (320, 180, 5, 20), (1280, 720, 8, 30)):
            a, b = self.shot(f"with{w}.png"), self.shot(f"without{w}.png")
            self.assertEqual((a.width, a.height), (w, h))
            changed = [(x, y) for y in range(h) for x in range(0, w, 2) if a[x, y] != b[x, y]]
            self.assertTrue(changed)
            self.assertGreaterEqual(min(x for x, y in changed), edge, w)
            self.assertLess(max(x for x, y in changed), w - edge)
            self.assertGreaterEqual(min(y for x, y in changed), edge)
            if row: self.assertLess(max(y for x, y in changed), h - edge - row)

    @unittest.skipUnless(shutil.which("Xvfb") and shutil.which("xvfb-run"), "Xvfb is not installed")
    def test_x11(self):
        subprocess.run(["xvfb-run", "-a", str(kerb_case.KERB), "view", SMALL, "--model", str(self.model), "--frames", "3", "--screenshot", "x.png"], check=True,
                       cwd=self.folder, timeout=90, env={**os.environ, "SDL_VIDEODRIVER": "x11"})
        self.assertGreater(kerb_case.png(self.folder / "x.png")[0], 100)


@NEEDS_FFPROBE
@unittest.skipUnless(shutil.which("Xvfb"), "Xvfb is not installed")
class Display(ViewCase):
    def test_display_goes_away(self):
        """The recording that runs is finished."""
        read, write = os.pipe()
        server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24"], pass_fds=[write], stderr=subprocess.DEVNULL)
        self.addCleanup(server.kill)
        os.close(write)
        with os.fdopen(read) as pipe:
            display = ":" + pipe.readline().strip()
        view = subprocess.Popen([str(kerb_case.KERB), "view", SMALL + "&live=1", "--model", str(self.model), "--record", str(self.output)], stderr=subprocess.PIPE, text=True,
                                cwd=self.folder, env={**os.environ, "SDL_VIDEODRIVER": "x11", "DISPLAY": display})
        self.addCleanup(view.stderr.close)
        self.addCleanup(view.kill)
        self.wait_for(lambda: self.output.exists() and self.output.stat().st_size > 2000)
        server.terminate()
        self.assertEqual(view.wait(30), 7)
        self.assertIn("display is gone", view.stderr.read())
        times, facts = self.probe()
        self.assertGreater(len(times), 2)
        self.assertEqual(facts["complaints"], "")
        self.assertIsNotNone(facts["duration"])



if __name__ == "__main__":
    kerb_case.main()
