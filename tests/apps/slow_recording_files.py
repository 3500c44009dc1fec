#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recordings, the rest of it: rings of files, keys, two processes at once, limits of disks, encoders that are there or not."""
import os
import pty
import shutil
import subprocess
import time

import kerb_case
import recordings
from kerb_case import NEEDS_FFMPEG, NEEDS_FFPROBE, SMALL, KerbCase, has_element
from recordings import FilesCase


class Tracks(KerbCase):
    @NEEDS_FFMPEG
    def test_without_ffv1(self):
        """zlib, which needs no plugin, holds the same labels; and sizes that are no multiple of 4."""
        for size in ("64x36", "65x37"):
            kept = {}
            for encoder in ("ffv1", "zlib") if has_element("avenc_ffv1") else ("zlib",):
                self.record(f"test:?size={size}", "--duration", 0.4, "--force", "--label-encoder", encoder, "--labels-out", self.folder / "side.gray")
                kept[encoder] = recordings.labels(self.output)
                self.assertEqual(kept[encoder], (self.folder / "side.gray").read_bytes(), (size, encoder))

    @NEEDS_FFPROBE
    def test_left_out_tracks(self):
        self.record(SMALL, "--duration", 0.2, "--no-labels", "--no-facts")
        streams = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", str(self.output)], capture_output=True, text=True, check=True)
        self.assertEqual(streams.stdout.split(), ["video"])

    @NEEDS_FFMPEG
    def test_clean_and_overlay(self):
        frames = []
        for how in ("clean", "overlay"):
            self.record(SMALL, "--duration", 0.2, "--force", "--video", how, "--encoder", "jpegenc")
            frames.append(recordings.labels(self.output, 1, track=0))
        self.assertGreater(sum(abs(a - b) for a, b in zip(*frames)) / len(frames[0]), 5)
        self.refused(2, "record", SMALL, "-o", self.output, "--force", "--model", self.model, "--video", "clean", "--visualize", "mask", says="contradict")
        self.refused(2, "record", SMALL, "-o", self.output, "--force", "--model", self.model, "--video", "blurred", says="overlay, clean")


class Files(FilesCase):
    def test_ring(self):
        """The oldest goes first, by number and not by a clock that jumped; what is foreign, protected, or a link stays."""
        precious, elsewhere = self.folder / "out-00001.mkv", self.folder / "elsewhere"
        precious.write_text("not of Kerb's")
        self.record(SMALL, "--duration", 1, "--split-minutes", 0.01, "--force")
        first = self.names()
        self.assertEqual(first, ["out-00001.mkv", "out-00002.mkv", "out-00003.mkv"])
        os.rename(self.folder / "out-00002.mkv", self.folder / "out-00002-event.mkv")
        self.record(SMALL, "--duration", 0.2, "--split-minutes", 1)
        shutil.copy(self.folder / "out-00004.mkv", elsewhere)
        (self.folder / "out-00000.mkv").symlink_to(elsewhere)  # not a number of ours either
        (self.folder / "out-00005.mkv").symlink_to(elsewhere)
        os.utime(self.folder / "out-00003.mkv", (4e9, 4e9))  # the oldest by number, the newest by its clock
        size = (self.folder / "out-00004.mkv").stat().st_size
        keep = (self.folder / "out-00002-event.mkv").stat().st_size + 3 * size
        self.record(SMALL, "--duration", 0.2, "--split-minutes", 1, "--keep-gb", keep / 1e9)
        self.assertEqual(self.names(), ["out-00000.mkv", "out-00001.mkv", "out-00002-event.mkv", "out-00004.mkv", "out-00005.mkv", "out-00006.mkv"])
        self.assertEqual(precious.read_text(), "not of Kerb's")
        self.assertTrue(elsewhere.exists())

    @NEEDS_FFPROBE
    def test_ring_while_it_runs(self):
        report = self.record("test:?size=160x90", "--duration", 8, "--split-minutes", 0.01, "--keep-gb", 0.0004)
        self.assertGreater(report["recording"]["files"], 8)
        self.assertLessEqual(sum(p.stat().st_size for p in self.folder.glob("out*")), 400_000)
        self.assertGreaterEqual(len(self.names()), 3)
        for name in self.names():
            recordings.check_cut(self, self.folder / name, 1 / 25, last=False)

    @NEEDS_FFMPEG
    def test_key(self):
        """`e` on the terminal marks, `q` ends; afterwards the terminal is as it was."""
        control, terminal = pty.openpty()
        self.addCleanup(os.close, control)
        before = subprocess.run(["stty", "-a"], stdin=terminal, capture_output=True, text=True).stdout
        process = self.begin("--split-minutes", 1, stdin=terminal, preexec_fn=lambda: (os.setsid(), __import__("fcntl").ioctl(terminal, 0x540E, 0)))
        self.wait_for("out-00001.mkv", process)
        time.sleep(0.3)
        os.write(control, b"xe")
        self.wait_for("out-00001-event.mkv", process)
        os.write(control, b"q")
        self.assertEqual(process.wait(20), 0, process.stderr.read())
        self.assertEqual(subprocess.run(["stty", "-a"], stdin=terminal, capture_output=True, text=True).stdout, before)
        os.close(terminal)
        self.assertEqual(recordings.facts(self.folder / "out-00001-event.mkv")[-1].get("event"), "key")

    @NEEDS_FFPROBE
    def test_two_at_once(self):
        """Two processes with the same name: no file of one is the other's."""
        both = [self.begin("--split-minutes", 0.01, "--duration", 2) for _ in range(2)]
        for process in both:
            self.assertEqual(process.wait(60), 0, process.stderr.read())
        self.assertEqual(sum(recordings.check_cut(self, self.folder / name, 1 / 50, last=False) for name in self.names()), 200)
        self.assertEqual(self.leftovers(), [])

    def test_full_device(self):
        """A device that takes nothing, as every output that is none."""
        self.refused(5, "record", SMALL, "-o", "/dev/full", "--model", self.model, "--duration", 1, says="disk is full")

    def test_file_size_limit(self):
        """A file system that takes no larger file (here: a limit of the process): said, and what is there can be played."""
        done = subprocess.run(["sh", "-c", 'ulimit -f 64; exec "$@"', "sh", str(kerb_case.KERB), "record", "test:?size=160x90", "-o", str(self.output), "--model", str(self.model), "--quiet"],
                              capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("--split-minutes", done.stderr)
        self.assertGreater(len(recordings.times(self.output, "v:0")[0]), 3)


class Encoders(KerbCase):
    def test_override(self):
        for name, codec in (("vp8enc", "VP8"), ("jpegenc", "Motion JPEG"), ("openh264enc", "H.264"), ("x264enc", "H.264")):
            if has_element(name):
                self.assertEqual(self.record(SMALL, "--duration", 0.2, "--force", "--encoder", name)["codec"], f"{codec} ({name})")

    def test_none_installed(self):
        """GStreamer without any encoder: which packages to install, exit code 7, nothing left behind."""
        env = self.without_encoders()
        self.refused(7, "record", SMALL, "-o", self.output, "--model", self.model, says=["no video encoder", "gstreamer1.0-plugins-ugly"], env=env)
        self.assertFalse(self.output.exists())
        # The maps alone need no encoder.
        self.kerb("record", SMALL, "-o", "/dev/null", "--model", self.model, "--labels-out", self.folder / "labels.mkv", "--duration", 0.2, code=7, env=env)
        self.assertEqual(self.leftovers(), [])


if __name__ == "__main__":
    kerb_case.main()
