#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Cameras: what they can do and which mode is chosen, and trouble in words, on the stand-in camera (camera_case.py)."""
import json
import signal
import threading
import time

import camera_case
from camera_case import LINK, CameraCase, Fault, holes, numbers

LOAD = 4  # times as slow as an idle machine: tests share it with others


class Modes(CameraCase):
    def test_formats(self):
        """Every format's frames arrive in order and none is missing; raw ones straight in buffers of kerbseg's."""
        for name in ("auto", "YUYV", "NV12", "MJPEG"):
            with self.subTest(format=name):
                given, userptr = self.camera.get("given"), self.camera.get("userptr")
                report = self.record("--camera-format", name, "--duration", 0.5)
                found = numbers(self.labels)
                self.assertEqual(found, list(range(found[0], found[0] + report["frames"])))
                self.assertGreaterEqual(report["frames"], 15)
                self.assertEqual(self.camera.get("open_now"), 0)
                self.assertEqual(report["outages"]["faults"], 0)
                if name != "MJPEG":
                    self.assertEqual(self.camera.get("userptr") - userptr, self.camera.get("given") - given)
                self.assertIn("NV12" if name == "auto" else name, self.stderr)

    def test_first_frame(self):
        """Within a second after the first look at the camera: its modes are listed, the model is opened, and it streams. The first look is the first open(), by the
        camera's own clock, and the first frame the first one that was fetched."""
        began = time.monotonic()
        process = self.begin()
        written_s, first_s = time.monotonic() - began, (self.camera.get("fetched_ms") - self.camera.get("opened_ms")) % 2**32 / 1000
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), 0)
        print(f"first frame {first_s:.3f} s after open, in the file {written_s:.3f} s after start", flush=True)
        self.assertTrue(0 < first_s < 1 * LOAD, first_s)
        self.assertLess(written_s, 2 * LOAD)

    def check_missed(self, *arguments, frames=10):
        """What the camera took is in the recording, or counted as missed: exactly, by the numbers in the pictures. Returns the numbers."""
        process = self.begin(*arguments)
        self.grows(process, frames)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), 0)
        report = json.loads(self.summary.read_text())
        found, out = numbers(self.labels), report["outages"]
        self.assertEqual(out["faults"], 0)
        self.assertIn(self.camera.get("given") - out["given_frames"], (0, 1))  # fetched, and not handed on any more
        self.assertEqual((out["passed_frames"], report["frames"] + report["recording"]["left_out"]), (len(found), len(found)))
        self.assertGreaterEqual(out["missed_frames"], holes(found))
        if out["given_frames"] == out["passed_frames"]:  # else some were on their way when it was told to end
            self.assertEqual(out["missed_frames"], holes(found))
        self.assertLessEqual(out["missed_frames"], self.camera.get("missed"))
        return found

    def test_missed(self):
        """A camera that is too fast, and one that misses frames at once (v4l2src numbers the first two frames 0 and 2, with a hole and without)."""
        for fault, first in ((Fault.FINE, [1, 2, 3]), (Fault.HASTY, [1, 5, 6])):
            before = self.camera.get("number")
            self.camera.set(fault=fault, fps=10)  # so that a busy machine is not late by a frame
            self.assertEqual([n - before for n in self.check_missed(frames=3)[:3]], first)
            self.camera.set(given=0, missed=0)
        self.camera.set(fault=Fault.FINE, fps=2000)
        self.check_missed("--encoder", "jpegenc", "--no-facts", frames=300)
        self.assertGreater(self.camera.get("missed"), 0)

    def test_mjpeg_where_raw_is_slow(self):
        self.camera.set(formats=1 | 4 | 8)
        self.record("--duration", 0.2)
        self.assertIn("MJPEG 64 x 36, 30 fps", self.stderr)
        self.camera.set(formats=1 | 4)
        self.record("--duration", 0.2)
        self.assertIn("YUYV 64 x 36, 30 fps", self.stderr)

    def test_many_formats(self):
        """As the kernel's vivid has them."""
        self.camera.set(formats=7 | 256)
        camera, = json.loads(self.kerb("devices", "--json", env=self.camera.env).stdout)["cameras"]
        self.assertTrue(camera["usable"], camera)
        self.assertEqual(len({m["format"] for m in camera["modes"]}), 103)
        self.assertEqual(camera["modes"][camera["chosen_mode"]]["format"], "NV12")

    def test_no_foreign_buffers(self):
        for formats, fault in ((1 | 16, Fault.FINE), (1, Fault.NO_USERPTR)):
            self.camera.set(formats=formats, fault=fault)
            self.assertGreaterEqual(self.record("--duration", 0.3)["frames"], 9)
            self.assertEqual(self.camera.get("userptr"), 0)

    def test_no_such_mode(self):
        for wish, says in (("MJPEG@1920x1080@30", ["MJPEG 64 x 36, 30 fps", "nearest"]), ("NV12@64x36@120", "NV12 64 x 36, 30 fps"), ("BGR", "nearest"),
                           ("H263", "YUYV"), ("YUYV@x", "1280x720"), ("YUYV@64x36@fast", "MJPEG@1280x720@30"), ("YUYV@64x36@30@1", "MJPEG@1280x720@30")):
            self.refused(2, "record", self.camera.source, "-o", self.output, "--model", self.model, "--camera-format", wish, says=says, env=self.camera.env)

    def test_absurd_answers(self):
        self.camera.set(fault=Fault.ABSURD)
        cameras = json.loads(self.kerb("devices", "--json", env=self.camera.env).stdout)["cameras"]
        self.assertEqual(len(cameras), 1)
        self.assertLessEqual(len(cameras[0]["modes"]), 1000)
        for mode in cameras[0]["modes"]:
            self.assertTrue(1 <= mode["width"] <= 16384 and 1 <= mode["height"] <= 16384 and 0 <= mode["fps"] <= 1000, mode)
        self.assertIn({"format": "NV12", "width": 64, "height": 36, "fps": 30.0, "readable": True}, cameras[0]["modes"])
        done = self.kerb("record", self.camera.source, "-o", self.output, "--model", self.model, "--duration", 0.2, env=self.camera.env) # v4l2src complains, and goes on
        self.assertIn("NV12 64 x 36, 30 fps", done.stderr)
        for bit, what in ((32, "formats"), (64, "sizes"), (128, "rates")):
            self.camera.set(formats=7 | bit)
            self.refused(4, "record", self.camera.source, "-o", self.output, "--force", "--model", self.model, says=f"{what} without end", env=self.camera.env)
            self.assertIn("without end", self.kerb("devices", env=self.camera.env).stdout)

    def test_devices(self):
        camera, = json.loads(self.kerb("devices", "--json", env=self.camera.env).stdout)["cameras"]
        self.assertEqual((camera["name"], camera["driver"], camera["usable"]), ("Stand-in Camera", "fake", True))
        self.assertEqual(camera["stable_path"], f"{self.camera.folder}/dev/{LINK}")
        self.assertEqual(camera["path"], f"{self.camera.folder}/dev/video0")
        self.assertEqual([(m["format"], m["width"], m["fps"]) for m in camera["modes"]],
                         [("YUYV", 64, 30), ("YUYV", 32, 30), ("NV12", 64, 30), ("NV12", 32, 30), ("MJPEG", 64, 30), ("MJPEG", 32, 30)])
        self.assertEqual(camera["modes"][camera["chosen_mode"]]["format"], "NV12")
        text = self.kerb("devices", env=self.camera.env).stdout
        for word in (LINK, "Stand-in Camera", "MJPEG  64 x 36", "30 fps", "chosen"):
            self.assertIn(word, text)
        self.camera.set(fault=Fault.BUSY)
        self.assertIn("in use", self.kerb("devices", env=self.camera.env).stdout)
        self.camera.unplug()
        self.assertIn("no camera", self.kerb("devices", env=self.camera.env).stdout)


class Trouble(CameraCase):
    def refuses(self, source, says, *arguments, code=4):
        self.refused(code, "record", source, "-o", self.output, "--model", self.model, *arguments, says=says, env=self.camera.env)
        self.assertFalse(self.output.exists())
        self.assertEqual(self.leftovers(), [])

    def test_at_the_start(self):
        """Each trouble has its own message, with what to do."""
        for fault, says in ((Fault.BUSY, ["in use", "close it"]), (Fault.DENIED, ["permission", "usermod -aG video"]), (Fault.FOREIGN, ["no camera", "Video4Linux"]),
                            (Fault.METADATA, ["no camera", "metadata"])):
            with self.subTest(fault=fault.name):
                self.camera.set(fault=fault)
                self.refuses(self.camera.source, says)
        self.camera.unplug()
        self.refuses(self.camera.source, ["no such camera", "Plug it in"])
        self.refuses("v4l2:///dev/null", "no camera")
        self.refuses(f"v4l2://{self.folder}", "no camera")

    def test_silent_from_the_start(self):
        self.camera.set(fault=Fault.STALL)
        self.refuses(self.camera.source, ["time-out", "sent nothing"], "--timeout", 0.2)

    def test_reconnect_is_no_number(self):
        self.refuses(self.camera.source, "--reconnect", "--reconnect", -3, code=2)
        self.refuses(self.camera.source, "--timeout", "--timeout", -3, code=2)

    def test_awaited_at_the_start(self):
        """With --reconnect a camera may come later."""
        self.camera.unplug()
        timer = threading.Timer(0.7, self.camera.plug, [0])
        timer.start()
        self.addCleanup(timer.join)
        process = self.begin("--reconnect", 20)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), 0)
        self.assertIn("awaited", self.log.read_text())


if __name__ == "__main__":
    camera_case.main()
