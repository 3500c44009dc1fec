#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`kerb review`: the data block of the page against sums that are made here from what ffmpeg decodes, and what may go wrong."""
import base64
import functools
import html.parser
import json
import os
import signal
import subprocess
import time
import urllib.parse

import kerb_case
from kerb_case import NEEDS_FFMPEG, KERB, KerbCase

RATE, SECONDS, WIDTH, HEIGHT = 10, 4, 64, 36
CLASSES = [{"name": "background", "rgb": [0, 0, 0]}, {"name": "drivable area", "color": "#00a03c"}, {"name": "car", "rgb": [0, 0, 142]}]


@functools.cache
def label_frames():
    """Maps with a road that narrows, a car that moves, and a border of no class. As bytes, a frame each."""
    frames = []
    for n in range(RATE * SECONDS):
        frame = bytearray(WIDTH * HEIGHT)
        for y in range(HEIGHT):
            for x in range(WIDTH):
                label = 1 if y > 15 and abs(x - 32) < 28 - n // 2 else 0
                if n % 7 < x - 10 < n % 7 + 9 and 12 < y < 30:
                    label = 2
                frame[y * WIDTH + x] = 255 if y < 2 else label
        frames.append(bytes(frame))
    return frames


def time_code(seconds):
    return f"00:00:{int(seconds):02d},{round(seconds % 1 * 1000):03d}"


MADE = {}  # recordings, by what is in them: making one costs more than looking at it


def recording(path, labels=None, facts=None, tags=(), picture=("-c:v:0", "libx264", "-g", "10"), late=0):
    """A recording as ffmpeg makes it, whose tracks are those of `kerb record`."""
    key = repr((path.suffix, labels and hash(tuple(labels)), facts, tags, picture, late))
    if key not in MADE:
        make_recording(path, labels, facts, tags, picture, late)
        MADE[key] = path.read_bytes()
    path.write_bytes(MADE[key])
    return path


def make_recording(path, labels, facts, tags, picture, late):
    inputs, maps, tracks = ["-f", "lavfi", "-i", f"testsrc=size={WIDTH}x{HEIGHT}:rate={RATE}:duration={SECONDS}"], ["-map", "0:v"], list(picture)
    if labels is not None:
        raw = path.with_suffix(".gray")
        raw.write_bytes(b"".join(labels))
        inputs += ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE), "-i", str(raw)]
        maps += ["-map", "1:v"]
        tracks += ["-c:v:1", "ffv1"]
    if facts is not None:
        srt = path.with_suffix(".srt")
        srt.write_text("\n".join(f"{n + 1}\n{time_code(n)} --> {time_code(n + 1)}\n{line}\n" for n, line in enumerate(facts)))
        inputs += ["-i", str(srt)]
        maps += ["-map", f"{1 + (labels is not None)}:s"]
        tracks += ["-c:s", "srt"]
    metadata = [x for name, value in tags for x in ("-metadata", f"{name}={value}")]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *inputs, *maps, *tracks, "-pix_fmt:v:0", "yuv420p", *metadata, "-output_ts_offset", str(late), str(path)], check=True)


class Page(html.parser.HTMLParser):
    """What is in a page: its data, its title, its videos, and everything that names something outside."""

    def __init__(self, path):
        super().__init__()
        self.scripts, self.outside, self.tags, self.title, self.now = {}, [], [], "", None
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        self.data = json.loads(self.scripts["data"])

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.outside += [attributes[a] for a in ("src", "href", "data", "action") if a in attributes]
        self.now = attributes.get("id", "") if tag == "script" else tag
        if tag == "script":
            self.scripts[self.now] = ""

    def handle_endtag(self, tag):
        self.now = None

    def handle_data(self, text):
        if self.now in self.scripts:
            self.scripts[self.now] += text
        elif self.now == "title":
            self.title += text


@NEEDS_FFMPEG
class ReviewCase(KerbCase):
    def setUp(self):
        super().setUp()
        self.drive = self.folder / "drive.mkv"
        self.page = self.folder / "drive.html"

    def review(self, *arguments, page=None):
        self.done = self.kerb("review", *arguments)
        self.assertNotIn("CRITICAL", self.done.stderr)
        return Page(page or self.page)


class Data(ReviewCase):
    def compare(self, data, frames, free):
        """Shares, flicker and the region ahead of each step, summed up here."""
        step = round(data["step_s"] * RATE)
        self.assertAlmostEqual(data["length_s"], SECONDS, delta=0.002)
        shown = {c["name"]: series for c, series in zip(data["classes"], data["series"]["shares"])}
        self.assertEqual(set(shown), {c["name"] for c in CLASSES})
        for n in range(0, len(frames), step):
            piece, bin_ = frames[n:n + step], n // step
            for label, c in enumerate(CLASSES):
                share = sum(f.count(label) for f in piece) / (len(piece) * WIDTH * HEIGHT)
                self.assertAlmostEqual(shown[c["name"]][bin_], 100 * share, delta=0.0051)
            ahead = [f[y * WIDTH + x] for f in piece for y in range(24, 36) for x in range(21, 43)]
            self.assertAlmostEqual(data["series"]["free_road"][bin_], 100 * sum(a in free for a in ahead) / len(ahead), delta=0.0051)
            changes = [sum(a != b for a, b in zip(frames[k - 1], frames[k])) / (WIDTH * HEIGHT) for k in range(n, n + len(piece)) if k]
            self.assertAlmostEqual(data["series"]["flicker"][bin_], 100 * sum(changes) / len(changes), delta=0.0051)

    def test_of_labels(self):
        frames = label_frames()
        recording(self.drive, frames, tags=[("KERB_CLASSES", json.dumps(CLASSES)), ("KERB_MODEL", "net.onnx"), ("title", "Monday")])
        data = self.review(self.drive).data
        self.compare(data, frames, {1})
        self.assertEqual([(c["name"], c["color"], c["road"], c["label"]) for c in data["classes"]],
                         [("drivable area", "#00a03c", True, 1), ("background", "#000000", False, 0), ("car", "#00008e", False, 2)])
        self.assertEqual((data["title"], data["model"], data["free_road_of"], data["name"]), ("Monday", "net.onnx", "ahead", "drive.mkv"))
        self.assertEqual((data["gaps"], data["events"]), ([], []))
        self.assertNotIn("fps", data["series"])
        self.assertEqual(self.leftovers(), [])

    def test_a_file_that_begins_late(self):
        frames = label_frames()
        recording(self.drive, frames, tags=[("KERB_CLASSES", json.dumps(CLASSES))], late=7)
        data = self.review(self.drive, "--road", "drivable area,car").data
        self.compare(data, frames, {1, 2})
        self.assertEqual(data["thumbs"][0]["t"], 0)

    def test_of_a_real_recording(self):
        """What `kerb record` writes: labels, facts and classes."""
        self.kerb("record", "test:?size=64x36&fps=10", "-o", self.drive, "--model", self.model, "--threads", 1, "--duration", 3)
        raw = subprocess.run(["ffmpeg", "-v", "error", "-i", str(self.drive), "-map", "0:v:1", "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, check=True).stdout
        data = self.review(self.drive).data
        self.assertEqual((data["parts"][0]["frames"], len(raw)), (30, 30 * 64 * 36))
        for c, series in zip(data["classes"], data["series"]["shares"]):
            mean = sum(s for s in series if s is not None) / len(series)
            self.assertAlmostEqual(mean, 100 * raw.count(c["label"]) / len(raw), delta=0.02)
        self.assertTrue(data["parts"][0]["date"])
        known = [v for v in data["series"]["fps"] if v is not None]
        self.assertGreater(len(known), 0)

    def test_of_facts(self):
        """Without labels: what the recorder said, second by second; the road is of the whole picture."""
        facts = [f"t={n} fps={10 - n / 10} age_p50_ms={30 + n} age_max_ms={50 + n} encode_fps=9.5 gap_ms={700 if n == 2 else 0} drivable_area={40 + n}.5% car=3.1%"
                 + (" event=brake" if n == 1 else "") for n in range(SECONDS)]
        recording(self.drive, facts=facts, tags=[("KERB_CLASSES", json.dumps(CLASSES))])
        data = self.review(self.drive).data
        self.assertEqual((data["step_s"], data["free_road_of"]), (1, "frame"))
        series = data["series"]
        self.assertEqual([c["name"] for c in data["classes"]], ["drivable area", "car"])
        self.assertEqual(series["shares"], [[40.5, 41.5, 42.5, 43.5], [3.1] * 4])
        self.assertEqual(series["free_road"], [40.5, 41.5, 42.5, 43.5])
        self.assertEqual((series["fps"], series["encode_fps"]), ([10, 9.9, 9.8, 9.7], [9.5] * 4))
        self.assertEqual((series["age_p50_ms"], series["age_max_ms"]), ([30, 31, 32, 33], [50, 51, 52, 53]))
        self.assertNotIn("flicker", series)
        self.assertEqual((data["events"], data["gaps"]), ([{"t": 1, "name": "brake"}], [{"t": 2, "length_s": 0.7}]))

    def test_facts_speak_of_the_second_before(self):
        """As `kerb record` writes them: a cue comes when its second is over, and says which one that was."""
        recording(self.drive, facts=["nothing", "t=0 car=1%", "t=1 car=2%", "t=2 car=3%"])
        self.assertEqual(self.review(self.drive).data["series"]["shares"], [[1, 2, 3, None]])

    def test_facts_and_labels_without_names(self):
        """A file whose tags are lost: shares of the facts, flicker of the labels."""
        recording(self.drive, label_frames(), facts=["road=41.2% car=3%"] * SECONDS)
        data = self.review(self.drive).data
        self.assertEqual([c["name"] for c in data["classes"]], ["road", "car"])
        self.assertEqual(data["classes"][0]["color"], "#804080")  # as data sets have it
        self.assertEqual(len(data["series"]["flicker"]), SECONDS)

    def test_labels_without_names(self):
        recording(self.drive, label_frames())
        self.assertEqual([c["name"] for c in self.review(self.drive).data["classes"]], ["label 0", "label 1", "label 2"])
        self.assertIn("--labels", self.done.stderr)
        names = self.folder / "names.txt"
        names.write_text("nothing 0 0 0\nlane 9 8 7\nvan 1 2 3\n")
        data = self.review(self.drive, "--labels", names, "--force").data
        self.assertEqual({(c["name"], c["color"]) for c in data["classes"]}, {("nothing", "#000000"), ("lane", "#090807"), ("van", "#010203")})

    def test_gap_between_frames(self):
        source = self.folder / "gap.mkv"
        recording(source, label_frames(), tags=[("KERB_CLASSES", json.dumps(CLASSES))])
        subprocess.run(["ffmpeg", "-v", "error", "-i", str(source), "-map", "0", "-vf", "setpts='PTS+gte(N,20)*1.5/TB'", "-vsync", "vfr", "-c:v:0", "libx264", "-c:v:1", "ffv1",
                        str(self.drive)], check=True)
        data = self.review(self.drive).data
        self.assertEqual(data["gaps"], [{"t": 1.9, "length_s": 1.6}])
        self.assertAlmostEqual(data["length_s"], SECONDS + 1.5, delta=0.002)
        self.assertIsNone(data["series"]["flicker"][int(2.5 / data["step_s"])])

    def test_parts_follow_each_other(self):
        folder = self.folder / "drives"
        folder.mkdir()
        frames = label_frames()
        for n in (10, 9, 1):
            recording(folder / f"part-{n}.mkv", frames if n != 9 else frames[::-1], tags=[("KERB_CLASSES", json.dumps(CLASSES))])
        (folder / ".part-11.mkv.abcdef").write_text("being begun")
        page = self.review(folder, page=folder / "review.html")
        data = page.data
        self.assertEqual([(p["file"], p["start_s"]) for p in data["parts"]], [("part-1.mkv", 0), ("part-9.mkv", 4), ("part-10.mkv", 8)])
        car = [c["name"] for c in data["classes"]].index("drivable area")
        third = len(data["series"]["shares"][car]) // 3
        first, second = data["series"]["shares"][car][:third], data["series"]["shares"][car][third:2 * third]
        self.assertEqual(second, first[::-1])
        self.assertEqual(len([s for s in page.scripts if s.startswith("video-")]), 3)


class Output(ReviewCase):
    TAGS = [("KERB_CLASSES", json.dumps(CLASSES))]

    def probe_video(self, path):
        done = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,nb_frames,start_time:format=format_name", "-of", "json", str(path)],
                              capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def test_embedded(self):
        """The video of the page is the recording's, not encoded again, at the front what a player needs first."""
        recording(self.drive, label_frames(), tags=self.TAGS)
        page = self.review(self.drive)
        self.assertEqual(page.outside, [])
        self.assertNotRegex(page.text.replace(page.scripts["video-0"], ""), r"https?:|url\(|@import|fetch\(|XMLHttp")
        video = base64.b64decode(page.scripts["video-0"], validate=True)
        self.assertLess(video.index(b"moov"), video.index(b"mdat"))
        (self.folder / "video.mp4").write_bytes(video)
        facts = self.probe_video(self.folder / "video.mp4")
        self.assertEqual((facts["streams"][0]["codec_name"], facts["streams"][0]["nb_frames"]), ("h264", str(RATE * SECONDS)))
        packets = [subprocess.run(["ffmpeg", "-v", "error", "-i", str(p), "-map", "0:v:0", "-f", "framemd5", "-"], capture_output=True, text=True, check=True).stdout.split("\n")
                   for p in (self.drive, self.folder / "video.mp4")]
        self.assertEqual(*[[line.split(",")[-1] for line in p if line and line[0] != "#"] for p in packets])

    def test_linked(self):
        recording(self.drive, label_frames(), tags=self.TAGS)
        other = self.folder / "drive.mp4"
        other.write_text("what the drive was recorded from")
        page = self.review(self.drive, "--embed-mb", 0)
        self.assertEqual((page.data["parts"][0]["link"], [s for s in page.scripts if s.startswith("video")]), ("drive.review.mp4", []))
        self.assertEqual(self.probe_video(self.folder / "drive.review.mp4")["streams"][0]["nb_frames"], "40")
        self.assertEqual(other.read_text(), "what the drive was recorded from")
        self.page.unlink()
        self.refused(2, "review", self.drive, "--embed-mb", 0, "--quiet", says=["drive.review.mp4", "--force"])
        self.assertFalse(self.page.exists())
        self.assertEqual(self.leftovers(), [])

    def test_pictures_out_of_order(self):
        recording(self.drive, label_frames(), tags=self.TAGS, picture=("-c:v:0", "libx264", "-bf", "3", "-g", "20"))
        data = self.review(self.drive, "--embed-mb", 0).data
        self.assertEqual((data["gaps"], data["parts"][0]["frames"]), ([], 40))
        times = [[round(t - ts[0], 3) for t in ts] for ts in (self.probe(self.drive)[0], self.probe(self.folder / "drive.review.mp4")[0])]
        self.assertEqual(*times)

    def test_other_codecs(self):
        recording(self.drive, label_frames(), tags=self.TAGS, picture=("-c:v:0", "libvpx"))
        data = self.review(self.drive, "--embed-mb", 0).data
        self.assertEqual(data["parts"][0]["link"], "drive.review.webm")
        self.assertEqual(self.probe_video(self.folder / "drive.review.webm")["streams"][0]["codec_name"], "vp8")
        recording(self.drive, label_frames(), tags=self.TAGS, picture=("-c:v:0", "mjpeg"))
        data = self.review(self.drive, "--force").data
        self.assertNotIn("embedded", data["parts"][0])
        self.assertGreater(len(data["thumbs"]), 2)
        self.assertIn("browsers do not play Motion JPEG", self.done.stderr)

    def test_thumbnails(self):
        recording(self.drive, label_frames(), tags=self.TAGS)
        thumbs = self.review(self.drive).data["thumbs"]
        self.assertEqual([t["t"] for t in thumbs], [0, 1, 2, 3])
        self.assertEqual(len({t["jpeg"] for t in thumbs}), 4)
        for thumb in thumbs:
            self.assertEqual(base64.b64decode(thumb["jpeg"])[:2], b"\xff\xd8")

    def test_hostile_names(self):
        """Names that would be markup stay names: in the title, in the data, and in links."""
        evil = "</script><script>alert(1)</script><!--<b>&amp;\"'"
        names = [{"name": "road<img src=x onerror=alert(1)>", "rgb": [1, 2, 3]}, {"name": evil}, {"name": "car"}]
        drive = self.folder / "<b>a&b%20#?\u00e9'.mkv"
        recording(drive, label_frames(), tags=[("KERB_CLASSES", json.dumps(names)), ("title", evil)])
        path = drive.with_suffix(".html")
        page = self.review(drive, "--embed-mb", 0, page=path)
        self.assertEqual(page.title, drive.name + " \u00b7 drive review")
        self.assertEqual((page.tags.count("img"), page.tags.count("b"), page.tags.count("script")), (1, 0, 2))  # the template's own
        self.assertEqual(page.data["title"], evil)
        self.assertEqual({c["name"] for c in page.data["classes"]}, {n["name"] for n in names})
        link = page.data["parts"][0]["link"]
        self.assertRegex(link, r"^[A-Za-z0-9._~%-]+$")
        self.assertTrue((self.folder / urllib.parse.unquote(link)).exists())

    def test_names_that_are_no_utf8(self):
        drive = self.folder.joinpath(os.fsdecode(b"dr\xffve.mkv"))
        recording(self.drive, label_frames(), tags=self.TAGS)
        self.drive.rename(drive)
        done = subprocess.run([os.fsencode(KERB), b"review", os.fsencode(drive), b"-o", os.fsencode(self.page)], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        Page(self.page)


class Refusals(ReviewCase):
    def test_bad_input(self):
        self.refused(3, "review", self.folder / "none.mkv", says="none.mkv")
        empty, text, folder = self.folder / "empty.mkv", self.folder / "text.mkv", self.folder / "folder"
        empty.touch()
        text.write_text("no recording at all")
        folder.mkdir()
        self.refused(3, "review", empty, says="is empty")
        self.refused(3, "review", text, says="is no recording")
        self.refused(3, "review", folder, says="holds no recording")
        self.refused(3, "review", self.model, says="is no recording")
        head = self.folder / "head.mkv"
        head.write_bytes(b"\x1a\x45\xdf\xa3" + os.urandom(4000))
        self.refused(3, "review", head, "--quiet", says="head.mkv")
        self.refused(2, "review", says="DRIVE")
        self.refused(2, "review", text, "--embed-mb", -1, says="--embed-mb")
        self.refused(2, "review", text, "--embed-bm", says="--embed-mb")
        self.assertEqual(list(self.folder.glob("*.html")), [])
        self.assertEqual(self.leftovers(), [])

    def test_a_video_without_labels(self):
        recording(self.drive)
        self.refused(3, "review", self.drive, "--quiet", says=["neither a label track nor facts", "kerb record"])
        recording(self.drive, facts=["Good evening.", "a = b"])
        self.refused(3, "review", self.drive, "--quiet", says="neither a label track nor facts")
        self.assertEqual(self.leftovers(), [])

    def test_output(self):
        recording(self.drive, label_frames(), tags=Output.TAGS)
        self.page.write_text("precious")
        self.refused(2, "review", self.drive, says=["there already", "--force"])
        self.assertEqual(self.page.read_text(), "precious")
        self.refused(2, "review", self.drive, "-o", self.drive, "--force", says="the recording itself")
        self.refused(2, "review", self.drive, "-o", self.folder, says="is a folder")
        self.refused(5, "review", self.drive, "-o", self.folder / "none/page.html", says="none")
        self.refused(5, "review", self.drive, "-o", "/proc/page.html", says="/proc")
        self.kerb("review", self.drive, "--force", "--quiet")
        self.assertGreater(self.page.stat().st_size, 10000)
        quiet = self.kerb("review", self.drive, "-o", "other.html", "--quiet")
        self.assertEqual((quiet.stdout, quiet.stderr), ("", ""))

    def test_disk_full(self):
        recording(self.drive, label_frames(), tags=Output.TAGS)
        done = subprocess.run(["sh", "-c", f"ulimit -f 16; exec '{KERB}' review '{self.drive}' --quiet"], capture_output=True, text=True,
                              preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertFalse(self.page.exists())
        self.assertEqual(self.leftovers(), [])

    def test_interrupted(self):
        """Nothing half-made stays."""
        recording(self.drive, label_frames(), tags=Output.TAGS)
        process = subprocess.Popen([str(KERB), "review", *[str(self.drive)] * 200, "-o", str(self.page)], stderr=subprocess.PIPE, text=True, cwd=self.folder)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, stderr)
        self.assertIn("stopped", stderr)
        self.assertFalse(self.page.exists())
        self.assertEqual(self.leftovers(), [])


if __name__ == "__main__":
    kerb_case.main()
