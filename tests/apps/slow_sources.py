#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SOURCE: files that are missing or damaged, images, changes on the way, cameras, test:."""
import subprocess

import kerb_case
from kerb_case import NEEDS_FFMPEG, NEEDS_FFPROBE, KerbCase


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


class Files(KerbCase):
    def refuses(self, source, says, code=3):
        self.refused(code, "record", source, "-o", self.output, "--model", self.model, says=says)
        self.assertFalse(self.output.exists())
        self.assertEqual(self.leftovers(), [])

    def test_missing_empty_foreign(self):
        self.refuses("none.mp4", "none.mp4: No such file")
        (self.folder / "empty.mp4").write_bytes(b"")
        self.refuses("empty.mp4", "empty.mp4 is empty")
        (self.folder / "text.mp4").write_text("this is no video\n" * 100)
        self.refuses("text.mp4", "text.mp4")
        (self.folder / "noise.mp4").write_bytes(bytes((i * 7919 >> 3) & 255 for i in range(5000)))
        self.refuses("noise.mp4", "noise.mp4")

    @NEEDS_FFMPEG
    def test_zero_frames(self):
        """Containers that say there is video, and hold none."""
        for kind in ("mp4", "mkv", "avi"):
            with self.subTest(kind=kind):
                ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25", "-frames:v", "0", "-c:v", "libx264", self.folder / f"zero.{kind}")
                self.refuses(f"zero.{kind}", f"zero.{kind}")

    @NEEDS_FFMPEG
    def test_odd_sizes(self):
        """4:2:0 video whose last column and row have half a chroma sample; down to one pixel."""
        for width, height in ((35, 27), (1, 1), (3, 1), (1, 5)):
            with self.subTest(width=width, height=height):
                ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=0.4", "-vf", f"scale={width}:{height}", "-pix_fmt", "yuv420p", "-c:v", "ffv1",
                       self.folder / "odd.mkv")
                self.record(self.folder / "odd.mkv", "--force", "--labels-out", "odd.gray")
                times, facts = self.probe()
                self.assertEqual((len(times), facts["width"], facts["height"]), (10, width, height))
                self.assertEqual((self.folder / "odd.gray").stat().st_size, 10 * width * height)

    def test_lost_camera(self):
        self.refuses("/dev/video987", "/dev/video987", code=4)

    def test_nobody_answers(self):
        self.refuses("rtsp://127.0.0.1:9/none", "rtsp://127.0.0.1:9/none", code=4)
        self.refuses("http://127.0.0.1:9/none.mp4", "http://127.0.0.1:9/none.mp4", code=3)

    def test_synthetic_options(self):
        for text, says in (("test:fog", "night"), ("test:?size=x", "1280x720"), ("test:?seed=-1", "seed"), ("test:?fps=0", "fps"), ("test:?speed=9", "speed"), ("test:?live=2", "live")):
            self.refuses(text, says, code=2)
        sizes = set()
        for text in ("test:?size=64x36", "test:night?size=64x36", "test:rain?size=64x36&seed=5"):
            self.record(text, "--duration", 0.2, "--force")
            sizes.add(self.output.read_bytes()[-2000:])
        self.assertEqual(len(sizes), 3)

    @NEEDS_FFMPEG
    def test_no_video_track(self):
        sound = self.folder / "sound.mkv"
        ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "flac", sound)
        self.refuses(sound, "no video track")

    @NEEDS_FFMPEG
    def test_audio(self):
        both = self.folder / "both.mkv"
        for codec in ("libvorbis", "pcm_s16le", "mp3"):
            with self.subTest(codec=codec):
                ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=1", "-f", "lavfi", "-i", "sine=duration=1", "-c:v", "libx264", "-c:a", codec, both)
                counts = []
                for option in ([], ["--audio"]):
                    self.record(both, "--force", *option)
                    streams = subprocess.run(["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=codec_type,nb_read_packets", "-of", "csv=p=0", str(self.output)],
                                             capture_output=True, text=True, check=True).stdout.split()
                    counts.append([s.split(",")[0] for s in streams])
                self.assertEqual(counts, [["video", "video", "subtitle"], ["video", "video", "audio", "subtitle"]])
                self.assertEqual(self.probe()[0], self.probe(both)[0])

    @NEEDS_FFMPEG
    def test_missing_decoder(self):
        source = self.folder / "h265.mkv"
        ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=0.4", "-c:v", "libx264", source)
        self.refused(3, "record", source, "-o", self.output, "--model", self.model, says=["H.264", "gstreamer1.0-libav"],
                     env={"GST_PLUGIN_FEATURE_RANK": "avdec_h264:NONE,openh264dec:NONE,vah264dec:NONE,vaapih264dec:NONE,v4l2h264dec:NONE"})

    @NEEDS_FFMPEG
    def test_interlaced(self):
        source = self.folder / "interlaced.mkv"
        ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=0.4", "-vf", "setfield=tff", "-flags", "+ilme+ildct", "-c:v", "mpeg2video", source)
        self.record(source)
        self.assertEqual(len(self.probe()[0]), 10)

    @NEEDS_FFMPEG
    def test_ten_bits(self):
        source = self.folder / "ten.mkv"
        ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=0.4", "-pix_fmt", "yuv420p10le", "-c:v", "ffv1", source)
        self.record(source)
        self.assertEqual(len(self.probe()[0]), 10)


class Damage(KerbCase):
    def setUp(self):
        super().setUp()
        self.video = self.folder / "video.mp4"
        ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=4", "-c:v", "libx264", "-g", "10", "-movflags", "faststart", self.video)

    @NEEDS_FFMPEG
    def test_cut(self):
        data = self.video.read_bytes()
        self.video.write_bytes(data[:len(data) * 6 // 10])
        report = self.record(self.video)
        self.assertIn("missing", report["losses"])
        self.assertIn("warning", self.stderr)
        times, facts = self.probe()
        self.assertTrue(20 < len(times) < 90, len(times))
        self.assertEqual(times, [n / 25 for n in range(len(times))])
        self.assertEqual(facts["complaints"], "")

    @NEEDS_FFMPEG
    def test_cut_before_the_index(self):
        ffmpeg("-i", self.video, "-c", "copy", "-movflags", "-faststart", self.folder / "late.mp4")
        data = (self.folder / "late.mp4").read_bytes()
        (self.folder / "late.mp4").write_bytes(data[:len(data) // 2])
        self.refused(3, "record", "late.mp4", "-o", self.output, "--model", self.model, says="late.mp4")

    @NEEDS_FFMPEG
    def test_holes(self):
        """Some frames' bytes are gone: the others are recorded, at their times, and the loss is counted."""
        data = bytearray(self.video.read_bytes())
        begin = data.find(b"mdat") + len(data) // 3
        data[begin:begin + 6000] = bytes(6000)
        self.video.write_bytes(data)
        report = self.record(self.video)
        self.assertGreater(report["lost_frames"] + report["damaged_frames"], 0)
        self.assertRegex(report["losses"], r"\d+ (of \d+ )?frames")
        times, _ = self.probe()
        self.assertEqual(len(times), report["frames"])
        self.assertTrue(50 <= len(times) <= 100, len(times))
        self.assertLessEqual(set(times), {n / 25 for n in range(100)})

    @NEEDS_FFMPEG
    def test_size_change(self):
        """Two sizes in one H.264 stream: all frames are there, in the first size, and it is said."""
        parts = []
        for i, size in enumerate(("96x64", "160x120")):
            parts.append(self.folder / f"{i}.h264")
            ffmpeg("-f", "lavfi", "-i", f"testsrc=size={size}:rate=25:duration=0.4", "-c:v", "libx264", "-bf", "0", "-bsf:v", "h264_mp4toannexb", parts[-1])
        both = self.folder / "both.h264"
        both.write_bytes(b"".join(p.read_bytes() for p in parts))
        report = self.record(both)
        times, facts = self.probe()
        self.assertEqual((facts["width"], facts["height"], len(times)), (96, 64, 20))
        self.assertEqual(report["scaled_frames"], 10)
        self.assertIn("160 x 120", self.stderr)


class Images(KerbCase):
    COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]

    def images(self, sizes, name="frame{}.ppm"):
        folder = self.folder / "images"
        folder.mkdir(exist_ok=True)
        for i, (width, height) in enumerate(sizes):
            kerb_case.write_ppm(folder / name.format(i + 1), width, height, self.COLORS[i % 3])
        return folder

    def labels(self, source, *arguments):
        self.record(source, "--labels-out", "labels.gray", "--force", *arguments)
        data = (self.folder / "labels.gray").read_bytes()
        return [data[i] for i in range(32 * 24 // 2, len(data), 32 * 24)]

    @NEEDS_FFPROBE
    def test_order_and_rate(self):
        """frame10 comes after frame9, and the labels are the pictures' colours."""
        folder = self.images([(32, 24)] * 11)
        wanted = [i % 3 for i in range(11)]
        for source in (folder, f"{folder}/*.ppm", f"{folder}/frame?*.ppm"):
            self.assertEqual(self.labels(source, "--rate", 10), wanted)
            self.assertEqual(self.probe()[0], [n / 10 for n in range(11)])

    @NEEDS_FFPROBE
    def test_sizes_differ(self):
        folder = self.images([(32, 24), (64, 48), (31, 25)])
        report = self.record(folder)
        self.assertEqual(report["scaled_frames"], 2)
        _, facts = self.probe()
        self.assertEqual((facts["width"], facts["height"]), (32, 24))

    def test_one_is_damaged(self):
        folder = self.images([(32, 24)] * 3)
        (folder / "frame2.ppm").write_bytes(b"P6 this is not one")
        report = self.record(folder)
        self.assertEqual(report["frames"], 2)
        self.assertIn("frame2.ppm", self.stderr)
        self.assertIn("1 images could not be read", report["losses"])

    def test_nothing_there(self):
        (self.folder / "hollow").mkdir()
        for source in ("hollow", "hollow/*.png"):
            self.refused(3, "record", source, "-o", self.output, "--model", self.model, says="no image")

    def test_single(self):
        folder = self.images([(32, 24)])
        self.assertEqual(self.labels(folder / "frame1.ppm"), [0])


if __name__ == "__main__":
    kerb_case.main()
