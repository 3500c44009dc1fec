#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`kerb view`: keys, mouse, dropped files and screens, played by --script into SDL's dummy driver. What is on the screen is looked at, pixel by pixel."""
import json
import math
import os
import pathlib
import signal
import subprocess
import unittest

import kerb_case
import tiny_onnx
from kerb_case import NEEDS_FFMPEG, NEEDS_FFPROBE, SMALL
from view_case import BLACK, BLUE, DRIVE, GREEN, RED, Shot, ViewCase, near

class Options(ViewCase):
    def test_bad_source(self):
        self.refused(3, "view", "none.mp4", "--model", self.model, "--headless", "--frames", 1, says="none.mp4")
        self.refused(2, "view", SMALL, "--model", self.model, "--classes", "mauve", "--headless", "--frames", 1, says="mauve")

    def test_no_display(self):
        """Said with what to do, whatever SDL falls back to."""
        for env in ({"SDL_VIDEODRIVER": "x11", "DISPLAY": ":9999"}, {"DISPLAY": "", "WAYLAND_DISPLAY": "", "SDL_VIDEODRIVER": ""}):
            done = self.kerb("view", SMALL, "--model", self.model, code=2, env=env)
            for word in ("kerb: there is no display", "/dev/dri", "kerb record", "--headless"):
                self.assertIn(word, done.stderr)

    def test_headless_needs_an_end(self):
        self.refused(2, "view", SMALL, "--model", self.model, "--headless", says=["--frames", "--script"])

    def test_script_is_checked(self):
        for text, line in (("key a\nfrobnicate", 2), ("move 1", 1), ("\n\nresize a b", 3), ("sleep nan", 1), ("key", 1)):
            (self.folder / "bad").write_text(text)
            self.refused(2, "view", SMALL, "--model", self.model, "--headless", "--script", "bad", says=f"line {line} of bad")
        self.refused(2, "view", SMALL, "--model", self.model, "--headless", "--script", "none", says="none")

    def test_help_lists_keys(self):
        text = self.kerb("view", "--help").stdout
        for word in ("Keys:", "space", "opacity", "screenshot", "recording", "full screen", "divider"):
            self.assertIn(word, text)

    @NEEDS_FFMPEG
    def test_frames_and_screenshot(self):
        """Without --headless, as before: SDL's own variable does."""
        self.kerb("view", DRIVE, "--model", self.model, "--frames", 3, "--screenshot", "shot.png", "--visualize", "mask", env={"SDL_VIDEODRIVER": "dummy"})
        shot = self.shot("shot.png")
        self.assertEqual((shot.width, shot.height), (640, 360))
        for pixel in shot.area(20, 60, 400, 300):
            self.assertTrue(any(near(pixel, c, 60) for c in (RED, GREEN, BLUE)) or max(pixel) < 256, pixel)
        self.assertTrue(near(shot[200, 10], BLUE))  # the sky


class Keys(ViewCase):
    def test_every_key(self):
        """One after the other, and what each has changed."""
        steps = (("p", "paused", False), ("space", "paused", True), ("m", "mode", "mask"), ("M", "mode", "overlay"), ("[", "opacity", 0.45), ("]", "opacity", 0.5),
                 ("-", "opacity", 0.45), ("+", "opacity", 0.5), ("=", "opacity", 0.55), ("2", "classes", ["red", "blue"]), ("9", "classes", ["red", "blue"]),
                 ("a", "classes", ["red", "green", "blue"]), ("l", "legend", False), ("i", "stats", True), ("o", "corner", False), ("?", "help", True), ("h", "help", False),
                 ("f", "paused", True), ("f11", "paused", True), ("x", "paused", True), ("right", "time", 5.2), ("left", "time", 0.2), ("up", "time", 60.2), ("down", "time", 0.2),
                 (".", "time", 0.4), (",", "time", 0.2))
        # A second's pause after the first key would be many frames: at 5 frames a second a key is a frame at most.
        states = self.view("key .\n" + "".join(f"key {key}\nstate\n" for key, _, _ in steps), source="test:?size=64x36&fps=5")
        at = None
        for (key, name, want), state in zip(steps, states):
            if name == "time":
                at = state["time"] if at is None else at + {"right": 5, "left": -5, "up": 60, "down": -60, ".": 0.2, ",": -0.2}[key]
                self.assertAlmostEqual(state["time"], at, places=6, msg=key)
            elif name == "opacity":
                self.assertAlmostEqual(state[name], want, places=5, msg=key)
            else:
                self.assertEqual(state[name], want, key)

    def test_escape(self):
        (self.folder / "s").write_text("key escape\nstate\n")
        self.assertEqual(self.kerb("view", SMALL, "--model", self.model, "--headless", "--script", "s").stdout, "")

    def test_documented(self):
        """Every key of the help stands in docs/kerb.md."""
        document = (pathlib.Path(__file__).resolve().parents[2] / "docs/kerb.md").read_text()
        for key in ("space", "`p`", "`.` `,`", "← →", "↓ ↑", "`[` `]`", "`m` `M`", "`1` … `9`", "`a`", "`l`", "`i`", "`o`", "`s`", "`r`", "`f`, F11", "`?` `h`", "`q`, Esc"):
            self.assertIn(key, document)


@NEEDS_FFMPEG
class Picture(ViewCase):
    def test_views(self):
        """All views of a picture that is red: frame, mask, both, and split where the mouse says."""
        source = self.images([(200, 60, 40)])
        states = self.view("key l o\nshot overlay.png\nkey m\nshot mask.png\nkey m\nshot both.png\nkey m m\npress 160 200\nmove 160 100\nrelease 160 100\n"
                           "state\nmove 600 20\nshot split.png\nkey m\nshot frame.png\nstate\nkey M\nstate", source=source)
        frame, overlay, mask, both, split = (self.shot(f"{n}.png") for n in ("frame", "overlay", "mask", "both", "split"))
        self.assertEqual((frame.width, frame.height), (640, 360))
        self.assertTrue(near(frame[300, 180], (200, 60, 40), 6), frame[300, 180])
        self.assertTrue(near(overlay[300, 180], (228, 30, 20), 6), overlay[300, 180])  # half and half
        self.assertTrue(near(mask[300, 180], RED, 6), mask[300, 180])
        self.assertTrue(near(both[100, 180], (200, 60, 40), 6) and near(both[500, 180], RED, 6))
        self.assertTrue(near(both[100, 20], BLACK, 2))  # aspect is kept
        self.assertTrue(near(split[140, 300], (200, 60, 40), 6) and near(split[200, 300], RED, 6), (split[140, 300], split[200, 300]))
        self.assertAlmostEqual(states[0]["divider"], 0.25, delta=0.01)
        self.assertEqual([s["mode"] for s in states], ["split: frame | mask", "frame", "split: frame | mask"])

    def test_toggles_while_paused(self):
        """A class is painted, is not, is again; and the frame number stays."""
        source = self.images([(200, 60, 40), (60, 200, 40)])
        states = self.view("key l o m\nstate\nkey 1\nshot off.png\nstate\nkey 1\nshot on.png\nkey a\nstate\nkey a\nstate", source=source)
        self.assertTrue(near(self.shot("off.png")[300, 180], BLACK, 4))
        self.assertTrue(near(self.shot("on.png")[300, 180], RED, 6))
        self.assertEqual([s["classes"] for s in states], [["red", "green", "blue"], ["green", "blue"], [], ["red", "green", "blue"]])
        self.assertEqual({s["shown"] for s in states}, {1})

    def test_opacity(self):
        source = self.images([(200, 60, 40)])
        states = self.view("key l o [ [ [ [ [ [ [ [ [ [ [\nstate\nshot none.png\nkey ] ]\nwheel 1\nstate\nwheel -1\nstate", source=source)
        self.assertEqual([round(s["opacity"], 2) for s in states], [0, 0.15, 0.1])
        self.assertTrue(near(self.shot("none.png")[300, 180], (200, 60, 40), 6))

    def test_legend(self):
        """It names the classes, and a click in it is a toggle."""
        states = self.view("shot with.png\nclick 600 20\nstate\nkey l\nstate\nclick 600 20\nstate", source=self.images([(200, 60, 40)]))
        self.assertEqual(states[0]["classes"], ["green", "blue"])
        self.assertEqual((states[1]["legend"], states[2]["classes"]), (False, ["green", "blue"]))
        panel = self.shot("with.png").area(500, 16, 630, 50)
        self.assertTrue(any(near(p, RED, 20) for p in panel) and any(near(p, GREEN, 20) for p in panel) and any(min(p) > 200 for p in panel))

    def test_mouse_over(self):
        states = self.view("move 200 200\nstate\nmove 600 20\nstate", source=self.images([(200, 60, 40)]))
        self.assertRegex(states[0]["hover"], r"^red  \d+ %$")
        self.assertIsNone(states[1]["hover"])  # over the legend

    def test_mouse_over_confidence(self):
        """The softmax of the colour model's three channels at the picture's one colour."""
        states = self.view("move 200 200\nstate", source=self.images([(2, 1, 0)]))
        # network input is what the card says of mean and std: none, so 0..1
        e = [math.exp(c / 255) for c in (2, 1, 0)]
        self.assertEqual(states[0]["hover"], f"red  {100 * e[0] / sum(e):.0f} %")


@NEEDS_FFMPEG
class Time(ViewCase):
    def colors(self, n):
        """n frames that can be told apart by their brightness."""
        return self.images([(40 + 8 * i, 20, 20) for i in range(n)])

    def frame(self, name):
        return round((self.shot(name)[300, 180][0] - 40) / 8)

    def test_steps(self):
        states = self.view("key l o M\nshot 0.png\nkey .\nshot 1.png\nkey . .\nshot 3.png\nkey ,\nshot 2.png\nkey , ,\nshot 00.png\nkey ,\nstate\nkey . space\nframes 3\nkey space\nstate",
                           source=self.colors(20))
        self.assertEqual([self.frame(f"{n}.png") for n in ("0", "1", "3", "2", "00")], [0, 1, 3, 2, 0])
        self.assertEqual((states[0]["time"], states[0]["paused"]), (0, True))
        self.assertGreaterEqual(states[1]["time"], 4 * 0.04 - 1e-9)

    def test_seek(self):
        """5 s of images at 2 a second; past the ends there is nothing."""
        states = self.view("key right\nstate\nkey right\nstate\nkey left\nstate\nkey left\nkey left\nstate\nkey up\nstate\nkey down\nstate", "--rate", "2", source=self.colors(24))
        self.assertEqual([s["time"] for s in states], [5, 10, 5, 0, 11.5, 0])

    def test_end(self):
        """The end stands; space begins again."""
        states = self.view("key space\nsleep 1\nstate\nkey space\nsleep 0.05\nkey space\nstate\nkey , ,\nstate", "--rate", "25", source=self.colors(5))
        self.assertTrue(states[0]["ended"])
        self.assertAlmostEqual(states[0]["time"], 0.16)
        self.assertFalse(states[1]["ended"])

    def test_video(self):
        """Steps and seeks in a video with B-frames, where a decoder must begin earlier."""
        path = self.folder / "b.mkv"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=12", "-c:v", "libx264", "-bf", "3", "-g", "40", str(path)], check=True)
        states = self.view("key . . . .\nstate\nkey ,\nstate\nkey right\nstate\nkey , ,\nstate\nkey .\nstate\nkey right right\nstate\nkey ,\nstate", source=path)
        for state, want in zip(states, (0.4, 0.3, 5.3, 5.1, 5.2, 11.9, 11.8)):
            self.assertAlmostEqual(state["time"], want, delta=0.002, msg=[s["time"] for s in states])
        self.assertAlmostEqual(states[0]["length"], 12, delta=0.2)

    def test_live_cannot(self):
        states = self.view("key right\nstate\nkey ,\nstate\nkey space\nstate", source=DRIVE + "&live=1", pause=False)
        self.assertIn("live", states[0]["notice"])
        self.assertIn("live", states[1]["notice"])
        self.assertTrue(states[1]["paused"])
        self.assertFalse(states[2]["paused"])

    def test_stale_in_red(self):
        """A live view that stands grows old, and says so in red."""
        states = self.view("frames 5\nstate\nkey space\nsleep 0.4\nstate\nshot old.png", source=DRIVE + "&live=1", pause=False)
        self.assertLess(states[0]["age_ms"], states[1]["age_ms"] - 300)
        self.assertEqual((states[0]["stale"], states[1]["stale"]), (states[0]["age_ms"] > 200, True))
        red = [p for p in self.shot("old.png").area(10, 325, 200, 355) if p[0] > 200 and p[1] < 140]
        self.assertTrue(red)


@NEEDS_FFMPEG
class Window(ViewCase):
    def test_resize_keeps_aspect(self):
        states = self.view("key l o M\nresize 400 400\nstate\nshot tall.png\nresize 160 90\nshot tiny.png\nresize 1920 1080\nkey i ?\nstate\nshot large.png", source=self.images([(200, 60, 40)]))
        tall = self.shot("tall.png")
        self.assertEqual((tall.width, tall.height, states[0]["window"]), (400, 400, [400, 400]))
        self.assertTrue(near(tall[200, 20], BLACK, 2) and near(tall[200, 200], (200, 60, 40), 6) and near(tall[390, 395], BLACK, 2))
        self.assertEqual(self.shot("tiny.png").width, 160)
        self.assertEqual((self.shot("large.png").width, states[1]["help"], states[1]["stats"]), (1920, True, True))

    def test_screenshot_never_overwrites(self):
        """Three within a second are three files, named by time, and what was there stays."""
        shots = self.folder / "shots"
        shots.mkdir()
        states = self.view("key s\nstate\nkey s s", "--folder", shots, source=self.images([(200, 60, 40)]))
        names = sorted(p.name for p in shots.iterdir())
        self.assertEqual(len(names), 3)
        for name in names:
            self.assertRegex(name, r"^kerb-\d{8}-\d{6}(-\d)?\.png$")
            self.assertTrue(near(Shot(shots / name)[300, 180], (228, 30, 20), 6))
            self.assertIn(name, self.stderr)
        self.assertRegex(states[0]["notice"], r"^screenshot: .*kerb-.*\.png$")

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_screenshot_read_only(self):
        shots = self.folder / "shots"
        shots.mkdir(mode=0o555)
        states = self.view("key s\nstate", "--folder", shots)
        self.assertIn("no screenshot", states[0]["notice"])

    def test_screenshot_nowhere(self):
        states = self.view("key s\nstate\nkey r\nstate", "--folder", self.folder / "none", code=5)  # a recording that failed is told by the exit code
        self.assertIn("no screenshot", states[0]["notice"])
        self.assertIn("no recording", states[1]["notice"])
        self.assertIn("none", self.stderr)


@NEEDS_FFMPEG
class Drop(ViewCase):
    def test_video(self):
        self.images([(200, 60, 40)])
        other = self.folder / "other.mkv"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=0x3030e0:size=80x60:rate=5:duration=2", "-c:v", "ffv1", str(other)], check=True)
        states = self.view(f"key l o m 1\ndrop {other}\nstate\nshot other.png", source=self.photos)
        self.assertEqual((states[0]["source"], states[0]["video"]), (str(other), [80, 60]))
        self.assertEqual(states[0]["classes"], ["green", "blue"])  # what was chosen stays where the classes do
        self.assertTrue(near(self.shot("other.png")[300, 180], BLUE, 10))

    def test_model(self):
        """Another model, with classes of its own, at the same place in the video."""
        other = tiny_onnx.model(self.folder / "other.onnx")
        classes = [{"name": n, "color": c} for n, c in (("one", [10, 200, 200]), ("two", [0, 0, 0]), ("three", [90, 90, 90]))]
        (self.folder / "other.json").write_text(json.dumps({"card": 1, "name": "other", "classes": classes}))
        states = self.view(f"key l o m . .\nstate\ndrop {other}\nstate\nshot other.png", source=self.images([(200, 60, 40)] * 4))
        self.assertEqual((states[1]["model"], states[1]["classes"]), (str(other), ["one", "two", "three"]))
        self.assertTrue(near(self.shot("other.png")[300, 180], (10, 200, 200), 6))
        self.assertEqual([s["time"] for s in states], [0.08, 0.08])

    def test_what_is_neither(self):
        """Is told, and what ran goes on."""
        source = self.images([(200, 60, 40)] * 4)
        (self.folder / "letter.txt").write_text("hello " * 100)
        (self.folder / "bad.onnx").write_bytes(b"no model")
        for name in ("letter.txt", "none.mp4", "bad.onnx"):
            with self.subTest(name=name):
                states = self.view(f"key .\ndrop {self.folder / name}\nstate\nkey .\nstate", source=source)
                self.assertEqual([(s["source"], s["model"]) for s in states], [(str(source), str(self.model))] * 2)
                self.assertIn(name, states[0]["notice"])
                self.assertIn(name, self.stderr)
                self.assertEqual([s["time"] for s in states], [0.04, 0.08])


@NEEDS_FFPROBE
class Record(ViewCase):
    def test_key(self):
        """From r to r, playable, with the overlay in it; and the view has gone on."""
        states = self.view("frames 2\nkey r\nframes 10\nstate\nkey r\nframes 5\nsleep 0.5\nstate", "--folder", self.folder, source=SMALL, pause=False)
        self.assertIsNotNone(states[0]["recording"])
        self.assertIsNone(states[1]["recording"])
        (path,) = self.folder.glob("kerb-*.mkv")
        times, facts = self.probe(path)
        self.assertGreaterEqual(len(times), 9)
        self.assertEqual((facts["complaints"], times[0]), ("", 0))
        for a, b in zip(times, times[1:]):
            self.assertAlmostEqual(b - a, 0.04, delta=0.002)
        self.assertEqual(self.leftovers(), [])

    def test_seek_while_recording(self):
        """Leaves no gap in the file."""
        self.view("frames 2\nkey r\nframes 5\nkey right\nframes 5\nkey left\nframes 5\nkey r\nsleep 0.3", "--folder", self.folder, source=SMALL, pause=False)
        (path,) = self.folder.glob("kerb-*.mkv")
        times, _ = self.probe(path)
        self.assertGreaterEqual(len(times), 14)
        for a, b in zip(times, times[1:]):
            self.assertTrue(0 < b - a < 0.1, times)

    def test_from_the_start(self):
        self.view("frames 10", "--record", self.output, source=SMALL, pause=False)
        times, facts = self.probe()
        self.assertGreaterEqual(len(times), 10)
        self.assertEqual(facts["complaints"], "")
        self.refused(2, "view", SMALL, "--model", self.model, "--headless", "--frames", 3, "--record", self.output, says="is there already")


    @NEEDS_FFMPEG
    def test_live_is_painted(self):
        """Also where the first frames had no labels yet."""
        self.view("frames 30", "--record", self.output, "--alpha", 1, source="test:?size=160x90&live=1", pause=False)
        subprocess.run(["ffmpeg", "-v", "error", "-sseof", "-0.3", "-i", str(self.output), "-frames:v", "1", str(self.folder / "last.png")], check=True)
        self.assertTrue(near(self.shot("last.png")[80, 3], BLUE, 60))

    def test_disk_full(self):
        """The recording ends with a message, the view does not; and the exit code tells."""
        states = self.view("frames 20\nsleep 0.3\nstate\nframes 5\nstate\nkey space\nshot on.png", "--record", "/dev/full", source=SMALL, pause=False, code=5)
        self.assertIsNone(states[0]["recording"])
        self.assertIn("recording has ended", states[0]["notice"])
        self.assertGreaterEqual(states[1]["shown"], states[0]["shown"] + 5)
        self.assertIn("/dev/full", self.stderr)
        self.assertIn("the view goes on", self.stderr)

    def test_no_encoder(self):
        """GStreamer without any: key r says what to install, the view goes on, and the exit code tells."""
        system = self.without_encoders()
        script = self.folder / "script"
        script.write_text("frames 2\nkey r\nframes 5\nsleep 0.3\nstate\nframes 5\nstate\nquit\n")
        done = self.kerb("view", SMALL, "--model", self.model, "--headless", "--script", script, "--folder", self.folder, env=system, code=5)
        states = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertIn("no video encoder", states[0]["notice"])
        for word in ("gstreamer1.0-plugins-ugly", "the view goes on"):
            self.assertIn(word, done.stderr)
        self.assertIsNone(states[1]["recording"])
        self.assertGreaterEqual(states[1]["shown"], states[0]["shown"] + 5)
        self.assertEqual((list(self.folder.glob("kerb-*")), self.leftovers()), ([], []))

    def test_interrupted(self):
        """SIGINT ends the view, and finishes what is recorded."""
        view = subprocess.Popen([str(kerb_case.KERB), "view", SMALL + "&live=1", "--model", str(self.model), "--headless", "--frames", "100000", "--record", str(self.output)],
                                stderr=subprocess.PIPE, text=True, cwd=self.folder)
        self.addCleanup(view.stderr.close)
        self.addCleanup(view.kill)
        self.wait_for(lambda: self.output.exists() and self.output.stat().st_size > 2000)
        view.send_signal(signal.SIGINT)
        self.assertEqual(view.wait(30), 0)
        self.assertIsNotNone(self.probe()[1]["duration"])


if __name__ == "__main__":
    kerb_case.main()
