#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a recording holds (tracks, tags, facts), how files follow each other, which are kept, and which encoder it is."""
import json
import signal

import kerb_case
import recordings
from kerb_case import NEEDS_FFMPEG, NEEDS_FFPROBE, SMALL, KerbCase, has_element
from recordings import LIVE, FilesCase


class Tracks(KerbCase):
    @NEEDS_FFPROBE
    @NEEDS_FFMPEG
    def test_tracks_and_tags(self):
        side = self.folder / "labels.gray"
        card = json.loads((self.folder / "tiny.json").read_text())
        self.record(SMALL, "--duration", 2.2, "--labels-out", side, "--confidence", "--title", "Träger & Söhne", "--threads", 1)
        pictures, maps, confidence = (recordings.times(self.output, f"v:{n}") for n in range(3))
        self.assertEqual(len(pictures[0]), 55)
        self.assertEqual(maps, pictures)
        self.assertEqual(confidence, pictures)
        self.assertEqual(recordings.labels(self.output), side.read_bytes())
        self.assertGreater(len(set(recordings.labels(self.output, 1, track=2))), 1)
        tags = recordings.tags(self.output)
        self.assertEqual(tags["title"], "Träger & Söhne")
        self.assertEqual(json.loads(tags["KERB_MODEL_CARD"]), card)
        self.assertEqual(tags["KERB_MODEL"], "tiny.onnx")
        classes = json.loads(tags["KERB_CLASSES"])
        self.assertEqual([(c["index"], c["name"], c["rgb"]) for c in classes], [(0, "red", [255, 0, 0]), (1, "green", [0, 255, 0]), (2, "blue", [0, 0, 255])])
        self.assertAlmostEqual(tags["duration"], 2.2, delta=1e-6)

    @NEEDS_FFMPEG
    def test_facts(self):
        """Shares are those of the label track; one line a second."""
        self.record(SMALL, "--duration", 2.2)
        lines = recordings.facts(self.output)
        self.assertEqual([line["t"] for line in lines], ["0", "1", "2"])
        maps, size = recordings.labels(self.output), 64 * 36
        for second, line in enumerate(lines):
            self.assertEqual((line["gap_ms"], line["age_p50_ms"], line["age_max_ms"]), ("0", "0", "0"))
            self.assertGreater(float(line["fps"]), 0)
            self.assertGreater(float(line["encode_fps"]), 0)
            counted = b"".join(maps[n * size:(n + 1) * size] for n in range(second * 25, min(second * 25 + 25, 55), 5))  # five times a second
            for index, name in enumerate(("red", "green", "blue")):
                self.assertAlmostEqual(float(line.get(name, "0%")[:-1]), 100 * counted.count(index) / len(counted), delta=0.051)

    def test_json_progress(self):
        done = self.kerb("record", LIVE, "-o", self.output, "--model", self.model, "--duration", 1, "--json-progress", "--json", "--quiet")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertGreater(len(lines), 3)
        self.assertEqual(sorted(line["written"] for line in lines[:-1]), [line["written"] for line in lines[:-1]])
        self.assertEqual((lines[-1]["frames"], lines[-1]["recording"]["written"], lines[-1]["recording"]["left_out"]), (50, 50, 0))
        self.assertGreaterEqual(set(lines[0]), {"frames", "encoded", "written", "waiting", "inference_fps", "encode_fps", "bytes", "file"})


class Files(FilesCase):
    @NEEDS_FFPROBE
    @NEEDS_FFMPEG
    def test_split(self):
        """No frame between files is lost, each begins at 0 and tells where it belongs, and numbers go on in the next run."""
        whole = self.folder / "whole.gray"
        self.record(SMALL, "--duration", 3, "--split-minutes", 1 / 60, "--labels-out", whole)
        self.assertEqual(self.names(), ["out-00001.mkv", "out-00002.mkv", "out-00003.mkv"])
        together = b""
        for n, name in enumerate(self.names()):
            path = self.folder / name
            self.assertEqual(recordings.check_cut(self, path, 1 / 25, last=False), 25)
            tags = recordings.tags(path)
            self.assertEqual((tags["KERB_PART"], float(tags["KERB_START_SECONDS"])), (str(n + 1), n))
            self.assertAlmostEqual(tags["duration"], 1, delta=1e-6)
            together += recordings.labels(path)
        self.assertEqual(together, whole.read_bytes())
        self.record(SMALL, "--duration", 0.2, "--split-minutes", 1)
        self.assertEqual(self.names()[-1], "out-00004.mkv")

    @NEEDS_FFMPEG
    def test_event(self):
        """SIGUSR1: the file and its neighbours are renamed, those further away are not; a kill right after it changes nothing."""
        process = self.begin("--split-minutes", 0.01, "--protect-seconds", 0.4)
        self.wait_for("out-00004.mkv", process)
        process.send_signal(signal.SIGUSR1)
        self.wait_for("out-00006.mkv", process)
        process.kill()
        process.wait(20)
        text = process.stderr.read()
        self.assertIn("is kept", text)
        names = self.names()
        self.assertEqual(names[:2], ["out-00001.mkv", "out-00002.mkv"])
        self.assertTrue(any(n.endswith("-event.mkv") for n in names[2:5]), names)
        self.assertIn("out-00004-event.mkv", names)  # or the file of the next second at the latest
        self.assertIn("out-00003-event.mkv", names)
        self.assertEqual(names[-1], "out-00006.mkv")
        lines = recordings.facts(self.folder / "out-00004-event.mkv")
        self.assertEqual([line.get("event") for line in lines if "event" in line], ["signal"])

    def test_refused(self):
        for arguments, says in ((["--split-minutes", -1], "--split-minutes"), (["--split-minutes", "nan"], "--split-minutes"), (["--keep-gb", 0.000001], "--keep-gb"),
                                (["--keep-gb", -5], "--keep-gb"), (["--protect-seconds", -1], "--protect-seconds"), (["--label-encoder", "png"], "ffv1, zlib")):
            self.refused(2, "record", SMALL, "-o", self.output, "--model", self.model, *arguments, says=says)
        self.refused(2, "record", SMALL, "-o", self.folder, "--model", self.model, "--split-minutes", 1, says="is a folder")
        self.refused(2, "record", SMALL, "-o", "/dev/null", "--model", self.model, "--split-minutes", 1, says="cannot be split")
        self.refused(5, "record", SMALL, "-o", self.folder / "none/out.mkv", "--model", self.model, "--split-minutes", 1, says="none")
        self.assertEqual(self.names(), [])


class Encoders(KerbCase):
    def test_refused(self):
        self.refused(2, "record", SMALL, "-o", self.output, "--model", self.model, "--encoder", "x265enc", says=["x264enc", "Installed here"])
        absent = next((e for e in ("nvh264enc", "vah264enc", "v4l2h264enc") if not has_element(e)), None)
        if absent:
            self.refused(7, "record", SMALL, "-o", self.output, "--model", self.model, "--encoder", absent, says=[absent, "gstreamer1.0-plugins", "hardware"])
        if has_element("x264enc"):
            self.refused(2, "record", "test:?size=65x37", "-o", self.output, "--model", self.model, "--encoder", "x264enc", says=["65 x 37", "even sizes"])
        self.assertFalse(self.output.exists())


if __name__ == "__main__":
    kerb_case.main()
