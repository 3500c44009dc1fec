#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`kerb review` on files that are cut or damaged, and its page in a real browser (chromium, where it is installed)."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import browser
import kerb_case
import test_review
from kerb_case import KERB

TAGS = test_review.Output.TAGS


class Damage(test_review.ReviewCase):
    def test_cut_files(self):
        """At any point: what is there is shown, or it is said that nothing is."""
        whole = test_review.recording(self.folder / "whole.mkv", test_review.label_frames(), facts=["car=3%"] * test_review.SECONDS, tags=TAGS).read_bytes()
        pages = 0
        for share in (0.02, 0.1, 0.3, 0.5, 0.77, 0.95, 0.999):
            self.drive.write_bytes(whole[:int(len(whole) * share)])
            command = [str(KERB), "review", str(self.drive), "--force"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertIn(done.returncode, (0, 3), done.stderr)
            self.assertNotIn("CRITICAL", done.stderr)
            if done.returncode == 0:
                data = test_review.Page(self.page).data
                pages += 1
                self.assertLessEqual(data["length_s"], test_review.SECONDS + 0.01)
                self.assertGreaterEqual(data["length_s"], test_review.SECONDS * (share - 0.3))
        self.assertGreaterEqual(pages, 4)
        self.assertEqual(self.leftovers(), [])

    def test_damaged_files(self):
        whole = bytearray(test_review.recording(self.drive, test_review.label_frames(), facts=["car=3%"] * test_review.SECONDS, tags=TAGS).read_bytes())
        for seed in range(6):
            damaged = bytearray(whole)
            for k in range(40):
                damaged[(seed * 7919 + k * 104729) % len(whole)] ^= 1 << (k % 8)
            damaged[:4] = whole[:4]
            self.drive.write_bytes(damaged)
            done = subprocess.run([str(KERB), "review", str(self.drive), "--force"], capture_output=True, text=True, timeout=60)
            self.assertIn(done.returncode, (0, 3), f"seed {seed}: {done.stderr}")


@unittest.skipUnless(browser.CHROMIUM, "chromium is not installed")
class InABrowser(test_review.ReviewCase):
    @classmethod
    def setUpClass(cls):
        cls.profile = tempfile.TemporaryDirectory(prefix="kerb-browser-", ignore_cleanup_errors=True)
        cls.browser = browser.Browser(cls.profile.name)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.profile.cleanup()

    def show(self, *arguments, **size):
        self.kerb("review", *arguments, "-o", self.page, "--force")
        self.browser.open(self.page, **size)
        self.browser.wait("document.getElementById('video').readyState >= 2")
        return self.browser

    def drive_with_marks(self, tags=TAGS):
        facts = [f"t={n} fps=10 age_p50_ms=30 age_max_ms=45 encode_fps=10 gap_ms=0 car=3%" + (" event=brake" if n == 2 else "") for n in range(test_review.SECONDS)]
        return test_review.recording(self.drive, test_review.label_frames(), facts=facts, tags=tags)

    def click_at(self, seconds):
        """A click on the timeline at that moment, in the middle of its height."""
        x, y = self.browser.js(f"(() => {{ document.getElementById('track').scrollIntoView({{ block: 'center' }});"
                               f"const b = document.getElementById('track').getBoundingClientRect(), left = 48, right = 10;"
                               f"return [b.left + left + (b.width - left - right) * {seconds} / data.length_s, b.top + b.height / 2]; }})()")
        self.browser.click(x, y)

    def check_quiet(self):
        self.assertEqual(self.browser.complaints, [])
        self.assertEqual([r for r in self.browser.requests if not r.startswith(("file:", "data:", "blob:"))], [])

    def check_play(self):
        b = self.browser
        for t in (2.5, 0.7):
            self.click_at(t)
            b.wait("!document.getElementById('video').seeking && !document.getElementById('video').paused")
            now = b.js("document.getElementById('video').currentTime")
            self.assertGreaterEqual(now, t - 0.06)
            self.assertLess(now, t + 1.2)
            b.wait(f"document.getElementById('video').currentTime > {now} + 0.1 || document.getElementById('video').ended")  # it plays
        b.js("document.getElementById('video').pause()")

    def test_click_plays(self):
        b = self.browser
        self.drive_with_marks()
        self.show(self.drive)
        self.check_play()
        self.check_quiet()
        self.assertEqual(b.js("document.getElementById('video').videoWidth"), test_review.WIDTH)

    def test_the_picture_is_that_of_the_moment(self):
        """The frame that is seen after a click is the recording's frame of that time, by a colour that every second has of its own."""
        colors = ("red", "lime", "blue", "yellow")
        inputs = [x for c in colors for x in ("-f", "lavfi", "-i", f"color={c}:size=64x36:rate=10:duration=1")]
        raw = self.folder / "labels.gray"
        raw.write_bytes(b"".join(test_review.label_frames()))
        subprocess.run(["ffmpeg", "-v", "error", *inputs, "-f", "rawvideo", "-pix_fmt", "gray", "-s", "64x36", "-r", "10", "-i", str(raw), "-filter_complex",
                        "[0][1][2][3]concat=n=4[v]", "-map", "[v]", "-map", "4:v", "-c:v:0", "libx264", "-g", "25", "-pix_fmt:v:0", "yuv420p", "-c:v:1", "ffv1", str(self.drive)], check=True)
        b = self.show(self.drive, "--quiet")
        for second, (red, green, blue) in ((2, (0, 0, 1)), (0, (1, 0, 0)), (3, (1, 1, 0)), (1, (0, 1, 0))):
            b.js(f"seek({second}.5, false)")
            b.wait(f"!document.getElementById('video').seeking && Math.abs(document.getElementById('video').currentTime - {second}.5) < 0.05")
            pixel = b.js("(async () => { const v = document.getElementById('video'), c = document.createElement('canvas').getContext('2d');"
                         "await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));"
                         "c.drawImage(v, 0, 0, 8, 8); return [...c.getImageData(4, 4, 1, 1).data]; })()")
            self.assertEqual([round(p / 255) for p in pixel[:3]], [red, green, blue], f"second {second}: {pixel}")

    def test_linked_video(self):
        self.drive_with_marks()
        self.show(self.drive, "--embed-mb", 0)
        self.check_play()
        self.check_quiet()
        self.assertIn((self.folder / "drive.review.mp4").as_uri(), self.browser.requests)

    def test_parts(self):
        """A click in the second file loads it; at the end of the first the second follows."""
        b, parts = self.browser, []
        for n in range(2):
            self.drive = self.folder / f"part-{n}.mkv"
            parts.append(self.drive_with_marks())
        self.show(*parts)
        self.click_at(5.5)
        b.wait("player.part === 1 && !document.getElementById('video').seeking && document.getElementById('video').currentTime >= 1.4")
        b.js("seek(3.6, true)")
        b.wait("player.part === 1 && document.getElementById('video').currentTime > 0")
        self.check_quiet()

    def test_keys_and_legend(self):
        b = self.browser
        self.drive_with_marks()
        self.show(self.drive)
        b.js("document.getElementById('track').focus()")
        b.key("ArrowRight")
        self.assertAlmostEqual(b.js("state.t"), 1, delta=0.01)
        b.key("n", "n")  # the event
        self.assertAlmostEqual(b.js("state.t - data.events[0].t"), 0, delta=0.01)
        b.key("Home")
        self.assertEqual(b.js("state.t"), 0)
        self.assertRegex(b.js("document.getElementById('track').getAttribute('aria-valuetext')"), "^0 seconds, free road .*drivable area")
        b.key(" ", " ")
        b.wait("!document.getElementById('video').paused")
        b.key(" ", " ")
        b.wait("document.getElementById('video').paused")
        b.key("+", "+")
        self.assertLess(b.js("state.to - state.from"), test_review.SECONDS)
        b.js("document.querySelector('#classes button').click()")
        self.assertEqual(b.js("document.querySelector('#classes button').getAttribute('aria-pressed') + hidden.size"), "false1")
        self.check_quiet()

    def test_hostile_names(self):
        evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
        self.drive_with_marks([("KERB_CLASSES", json.dumps([{"name": "road"}, {"name": evil}, {"name": "<b>car"}])), ("title", evil)])
        b = self.show(self.drive)
        self.check_quiet()
        self.assertIn(evil, b.js("document.getElementById('classes').textContent"))
        self.assertEqual(b.js("document.querySelectorAll('#classes b, #classes img, #about *').length"), 0)

    def test_widths(self):
        """Nothing is wider than the window, from a phone to a large screen. KERB_SCREENSHOTS names a folder to look at what it looks like."""
        b = self.browser
        self.drive_with_marks()
        self.show(self.drive)
        for width in (320, 390, 768, 1024, 1440, 2200):
            b.size(width, 1400)
            b.wait(f"innerWidth === {width}")
            b.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            self.assertLessEqual(b.js("document.documentElement.scrollWidth"), width)
            self.assertGreater(b.js("document.querySelector('#track canvas').height"), 300)
            if os.environ.get("KERB_SCREENSHOTS"):
                picture = b.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
                pathlib.Path(os.environ["KERB_SCREENSHOTS"], f"review-{width}.png").write_bytes(test_review.base64.b64decode(picture))
        self.check_quiet()


if __name__ == "__main__":
    kerb_case.main()
