#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recordings: frames, time stamps, sizes, side files, and what may not be overwritten."""
import os
import subprocess
import unittest

import kerb_case
import tiny_onnx
from kerb_case import NEEDS_FFMPEG, NEEDS_FFPROBE, SMALL, KerbCase


class Frames(KerbCase):
    @NEEDS_FFPROBE
    def test_synthetic_drive(self):
        report = self.record(SMALL, "--duration", 1)
        times, facts = self.probe()
        self.assertEqual(times, [n / 25 for n in range(25)])
        self.assertEqual((facts["width"], facts["height"], facts["complaints"]), (64, 36, ""))
        self.assertEqual((report["frames"], report["complete"], report["losses"]), (25, True, None))
        self.assertAlmostEqual(report["seconds"], 1)
        self.assertIn(report["codec"].split(" (")[1][:-1], ("x264enc", "openh264enc", "vp8enc", "jpegenc"))
        self.assertIn(report["codec"], self.stderr)

    @NEEDS_FFPROBE
    def test_time_stamps_between_milliseconds(self):
        self.record("test:?size=64x36&fps=30000/1001", "--duration", 2)
        times, _ = self.probe()
        self.assertEqual(len(times), 60)
        for n, t in enumerate(times):
            self.assertAlmostEqual(t, n * 1001 / 30000, delta=1.01e-6)

    @NEEDS_FFMPEG
    def test_variable_rate_and_late_start(self):
        """A Matroska file whose frames are 40, 100 and 240 ms apart and whose first one comes at 1.5 s; B-frames in it."""
        source = self.folder / "vfr.mkv"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=2", "-vf", "setpts='(1.5+N*0.04+floor(N/3)*0.1+floor(N/7)*0.06)/TB'",
                        "-vsync", "vfr", "-c:v", "libx264", "-bf", "3", "-copyts", str(source)], check=True)
        wanted, _ = self.probe(source)
        self.assertGreater(len({round(b - a, 3) for a, b in zip(wanted, wanted[1:])}), 1)
        self.record(source)
        self.assertEqual(self.probe()[0], wanted)

    @NEEDS_FFPROBE
    def test_odd_sizes(self):
        for size in ("65x37", "1x1", "3x101", "2x2", "17x16", "62x2"):
            with self.subTest(size=size):
                self.record(f"test:?size={size}", "--duration", 0.2, "--force")
                times, facts = self.probe()
                self.assertEqual((f"{facts['width']}x{facts['height']}", len(times), facts["complaints"]), (size, 5, ""))

    def test_visualize(self):
        sizes = set()
        for how in ("overlay", "mask", "side-by-side", "none"):
            report = self.record(SMALL, "--duration", 0.2, "--force", "--visualize", how)
            self.assertEqual(report["frames"], 5)
            sizes.add(self.output.stat().st_size)
        self.assertEqual(len(sizes), 4)

    def test_quiet_and_progress(self):
        quiet = self.kerb("record", SMALL, "-o", self.output, "--model", self.model, "--duration", 0.2, "--quiet")
        self.assertEqual((quiet.stdout, quiet.stderr), ("", ""))
        loud = self.kerb("record", SMALL + "&live=1", "-o", self.output, "--model", self.model, "--duration", 3, "--force")
        self.assertRegex(loud.stderr, r"\d+ %  0:0\d of 0:03, \d+ frames, [\d.]+ fps, network [\d.]+ fps, encoder [\d.]+ fps(, \d+ waiting)?, 0:0\d left\n")
        self.assertIn("network", loud.stderr)
        self.assertIn(str(self.output), loud.stderr)

    def test_free_size_model(self):
        free = tiny_onnx.model(self.folder / "free.onnx", width="w", height="h")
        self.kerb("record", SMALL, "-o", self.output, "--model", free, "--network-size", "32x32", "--duration", 0.2)


class SideFiles(KerbCase):
    @NEEDS_FFMPEG
    def test_labels(self):
        """The colour model's labels are what ffmpeg's picture says: the strongest channel."""
        raw, lossless = self.folder / "labels.gray", self.folder / "labels.mkv"
        self.kerb("record", SMALL, "-o", self.output, "--model", self.model, "--duration", 0.2, "--labels-out", raw)
        self.kerb("record", SMALL, "-o", self.output, "--model", self.model, "--duration", 0.2, "--labels-out", lossless, "--force")
        labels = raw.read_bytes()
        self.assertEqual(len(labels), 5 * 64 * 36)
        self.assertLessEqual(set(labels), {0, 1, 2})
        self.assertEqual(labels[:64], b"\2" * 64)  # the sky
        decoded = subprocess.run(["ffmpeg", "-v", "error", "-i", str(lossless), "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, check=True).stdout
        self.assertEqual(decoded, labels)
        self.kerb("record", "test:?size=65x37", "-o", self.output, "--model", self.model, "--duration", 0.2, "--labels-out", raw, "--force")
        self.assertEqual(len(raw.read_bytes()), 5 * 65 * 37)  # rows are not filled up
        self.assertLessEqual(set(raw.read_bytes()), {0, 1, 2})

    @NEEDS_FFMPEG
    def test_sheet(self):
        sheet = self.folder / "sheet.png"
        report = self.record(SMALL, "--duration", 0.5, "--sheet", sheet)
        self.assertEqual(report["sheet"], str(sheet))
        width, height, rows = kerb_case.png(sheet)
        panel_height, top = 360, 66
        self.assertEqual((width, height), (1328, 2 * panel_height + 124))
        mask = {rows[y][3 * x:3 * x + 3] for y in range(height - 16 - panel_height, height - 16) for x in range(16, 656)}
        self.assertEqual(mask, {b"\xff\0\0", b"\0\xff\0", b"\0\0\xff"})
        for x in range(16, 600, 40):  # the sky is blue to the model: half of it in the overlay
            frame, overlay = rows[top][3 * x:3 * x + 3], rows[top][3 * (x + 656):3 * (x + 656) + 3]
            for a, b, c in zip(frame, overlay, b"\0\0\xff"):
                self.assertAlmostEqual(b, (a + c) / 2, delta=1)

    def test_sheet_without_font(self):
        sheet = self.folder / "sheet.png"
        done = self.kerb("record", SMALL, "-o", self.output, "--model", self.model, "--duration", 0.2, "--sheet", sheet, env={"KERB_FONT": "/nonexistent.ttf"})
        self.assertIn("fonts-dejavu-core", done.stderr)
        self.assertTrue(sheet.exists())


class Overwriting(KerbCase):
    def test_not_without_force(self):
        self.output.write_text("precious")
        self.refused(2, "record", SMALL, "-o", self.output, "--model", self.model, says=["there already", "--force"])
        self.assertEqual(self.output.read_text(), "precious")
        for option in ("--sheet", "--labels-out"):
            self.refused(2, "record", SMALL, "-o", self.folder / "new.mkv", option, self.output, "--model", self.model, says="--force")
        self.assertEqual(self.output.read_text(), "precious")
        self.kerb("record", SMALL, "-o", self.output, "--model", self.model, "--duration", 0.2, "--force")
        self.assertGreater(self.output.stat().st_size, 500)

    def test_a_failure_keeps_the_old_recording(self):
        self.output.write_text("precious")
        (self.folder / "bad.mp4").write_bytes(b"no video" * 100)
        self.refused(3, "record", "bad.mp4", "-o", self.output, "--model", self.model, "--force", says="bad.mp4")
        self.refused(3, "record", SMALL, "-o", self.output, "--model", "none.onnx", "--force", says="none.onnx")
        self.assertEqual(self.output.read_text(), "precious")
        self.assertEqual(self.leftovers(), [])

    def test_not_onto_the_source(self):
        self.record(SMALL, "--duration", 0.2)
        link = self.folder / "link.mkv"
        link.symlink_to(self.output)
        self.refused(2, "record", self.output, "-o", link, "--model", self.model, "--force", says="the source itself")

    def test_a_link_stays_one(self):
        target, link = self.folder / "target.mkv", self.folder / "link.mkv"
        target.write_text("old")
        link.symlink_to(target)
        self.kerb("record", SMALL, "-o", link, "--model", self.model, "--duration", 0.2, "--force")
        self.assertTrue(link.is_symlink())
        self.assertGreater(target.stat().st_size, 500)

    def test_not_writable(self):
        self.refused(5, "record", SMALL, "-o", self.folder / "none/out.mkv", "--model", self.model, says="none")
        self.refused(5, "record", SMALL, "-o", "/proc/kerb.mkv", "--model", self.model, says="/proc/kerb.mkv")
        self.refused(2, "record", SMALL, "-o", self.folder, "--model", self.model, says="is a folder")
        self.refused(5, "record", SMALL, "-o", self.output, "--labels-out", "/proc/l.mkv", "--model", self.model, says="/proc/l.mkv")

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_forbidden_folder(self):
        closed = self.folder / "closed"
        closed.mkdir(mode=0o500)
        self.refused(5, "record", SMALL, "-o", closed / "out.mkv", "--model", self.model, says="closed")

    @NEEDS_FFPROBE
    def test_into_a_pipe(self):
        """What cannot be renamed is written to as it is, in a form that needs no going back."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        copy = subprocess.Popen(["cp", str(pipe), str(self.folder / "copy.mkv")])
        self.kerb("record", SMALL, "-o", pipe, "--model", self.model, "--duration", 0.4)
        self.assertEqual(copy.wait(20), 0)
        self.assertEqual(len(self.probe(self.folder / "copy.mkv")[0]), 10)


if __name__ == "__main__":
    kerb_case.main()
