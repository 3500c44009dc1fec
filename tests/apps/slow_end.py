#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How recordings end: by signals, with a full disk."""
import json
import os
import shutil
import signal
import subprocess
import time

import kerb_case
import recordings
from kerb_case import NEEDS_FFPROBE, KerbCase


class Signals(KerbCase):
    def ends_well(self, which):
        process = self.start()
        time.sleep(0.5)
        process.send_signal(which)
        text = process.stderr.read()
        self.assertEqual(process.wait(20), 0, text)
        self.assertIn("ending", text)
        times, facts = self.probe()
        self.assertGreater(len(times), 10)
        self.assertEqual(facts["complaints"], "")
        self.assertAlmostEqual(float(facts["duration"]), len(times) / 50, delta=0.001)  # an index and a length were written
        self.assertEqual(self.leftovers(), [])

    @NEEDS_FFPROBE
    def test_sigint(self):
        self.ends_well(signal.SIGINT)

    @NEEDS_FFPROBE
    def test_sigterm(self):
        self.ends_well(signal.SIGTERM)

    @NEEDS_FFPROBE
    def test_sigint_twice(self):
        process = self.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        text = process.stderr.read()
        code = process.wait(20)
        self.assertIn(code, (0, 130), text)  # 0: it was done before the second one came
        if code == 130:
            self.assertIn("stopped at once", text)
        self.assertGreater(len(self.probe()[0]), 5)

    @NEEDS_FFPROBE
    def test_sigint_twice_while_output_hangs(self):
        """A pipe that nobody reads: the first signal cannot be served, the second one must be."""
        pipe = self.folder / "pipe.mkv"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        process = subprocess.Popen([str(kerb_case.KERB), "record", "test:?size=640x360", "-o", str(pipe), "--model", str(self.model)], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)
        self.assertIn("stopped at once", process.stderr.read())

    @NEEDS_FFPROBE
    def test_killed(self):
        """No farewell at all: what was written can be played."""
        process = self.start()
        time.sleep(1)
        process.kill()
        process.wait(20)
        self.assertGreater(len(self.probe()[0]), 5)

    def test_before_the_first_frame(self):
        """A stream that never comes: nothing is left behind."""
        pipe = self.folder / "never.mp4"
        os.mkfifo(pipe)
        process = subprocess.Popen([str(kerb_case.KERB), "record", str(pipe), "-o", str(self.output), "--model", str(self.model)], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)
        self.assertIn("nothing was recorded", process.stderr.read())
        self.assertFalse(self.output.exists())
        self.assertEqual(self.leftovers(), [])


class FullDisk(KerbCase):
    def setUp(self):
        super().setUp()
        self.small = self.folder / "small"
        self.small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(self.small)], capture_output=True).returncode:
            self.skipTest("only root may mount a small disk")
        self.addCleanup(subprocess.run, ["umount", str(self.small)], check=True)

    @NEEDS_FFPROBE
    def test_full(self):
        path = self.small / "out.mkv"
        done = self.kerb("record", "test:?size=320x180", "-o", path, "--model", self.model, "--json", code=5)
        self.assertIn("the disk is full", done.stderr)
        self.assertIn("can be played", done.stderr)
        times, facts = self.probe(path)
        self.assertGreater(len(times), 10)
        self.assertEqual(facts["complaints"], "")
        self.assertAlmostEqual(float(facts["duration"]), len(times) / 25, delta=0.001)  # room for the index was set aside
        self.assertEqual(json.loads(done.stdout)["exit_code"], 5)
        self.assertEqual(sorted(p.name for p in self.small.iterdir()), ["out.mkv"])

    def test_full_before_the_start(self):
        (self.small / "filler").write_bytes(bytes(shutil.disk_usage(self.small).free))
        self.refused(5, "record", "test:?size=64x36", "-o", self.small / "out.mkv", "--model", self.model, says="disk is full")
        self.assertEqual([p.name for p in self.small.iterdir()], ["filler"])

    @NEEDS_FFPROBE
    def test_ring(self):
        """The disk is smaller than --keep-gb: the oldest file goes, and the recording goes on to its end."""
        report = json.loads(self.kerb("record", "test:?size=160x90", "-o", self.small / "out.mkv", "--model", self.model, "--json", "--duration", 6, "--split-minutes", 0.01, "--keep-gb", 1).stdout)
        files = sorted(self.small.iterdir())
        self.assertEqual(report["recording"]["written"], 150)
        self.assertGreater(report["recording"]["bytes"], 300_000)
        self.assertLess(len(files), report["recording"]["files"])
        for path in files:
            recordings.check_cut(self, path, 1 / 25, last=False)

    @NEEDS_FFPROBE
    def test_ring_of_protected_files(self):
        """Nothing may go: the recording ends, finished."""
        self.kerb("record", "test:?size=160x90", "-o", self.small / "out.mkv", "--model", self.model, "--duration", 1, "--split-minutes", 1)
        (self.small / "out-00001.mkv").rename(self.small / "out-00001-event.mkv")
        done = self.kerb("record", "test:?size=320x180", "-o", self.small / "out.mkv", "--model", self.model, "--split-minutes", 1, "--keep-gb", 1, code=5)
        self.assertIn("no unprotected recording left", done.stderr)
        for path in self.small.iterdir():
            recordings.check_cut(self, path, 1 / 25, last=False)
        self.assertEqual(len(list(self.small.iterdir())), 2)

    @NEEDS_FFPROBE
    def test_split_without_ring(self):
        self.kerb("record", "test:?size=320x180", "-o", self.small / "out.mkv", "--model", self.model, "--split-minutes", 0.01, code=5)
        for path in self.small.iterdir():
            recordings.check_cut(self, path, 1 / 25, last=False)

    @NEEDS_FFPROBE
    def test_view_goes_on(self):
        (self.small / "filler").write_bytes(bytes(shutil.disk_usage(self.small).free - 65536))
        (self.folder / "script").write_text("frames 60\nstate\nquit\n")
        done = self.kerb("view", "test:?size=160x90", "--model", self.model, "--threads", 1, "--headless", "--script", self.folder / "script", "--record", self.small / "out.mkv", code=5)
        self.assertIn("the disk is full", done.stderr)
        self.assertIn("the view goes on", done.stderr)
        self.assertEqual(json.loads(done.stdout.splitlines()[-1])["recording"], None)
        self.assertLess(recordings.check_cut(self, self.small / "out.mkv", 1 / 25, last=False), 50)

    def test_sheet_does_not_fit(self):
        free = shutil.disk_usage(self.small).free
        (self.small / "filler").write_bytes(bytes(free - 8192))
        done = self.kerb("record", "test:?size=64x36", "-o", self.output, "--model", self.model, "--duration", 0.2, "--sheet", self.small / "sheet.png", code=5)
        self.assertIn("sheet.png cannot be written", done.stderr)


if __name__ == "__main__":
    kerb_case.main()
