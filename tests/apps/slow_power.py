#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Power cuts: a file system in an image is recorded onto; at a random moment the image is copied as it is on the disk, mounted (the journal is replayed)
and played: at most two seconds are lost. Needs root and loop devices.

KERB_TEST_COUNT cuts (2); KERB_TEST_SEED (the time). What the page cache holds is not in the image: the image is opened with O_DIRECT by the loop device.
The last line is the figures, as JSON.
"""
import json
import os
import random
import shutil
import subprocess
import threading
import time

import kerb_case
import recordings
from kerb_case import NEEDS_FFMPEG, NEEDS_FFPROBE, KerbCase

COUNT = int(os.environ.get("KERB_TEST_COUNT", 2))
SEED = int(os.environ.get("KERB_TEST_SEED", time.time()))
FPS = 25


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


class Power(KerbCase):
    def mount(self, image, at, *options):
        at.mkdir(exist_ok=True)
        done = run("losetup", "--find", "--show", "--direct-io=on", image)
        if done.returncode:
            self.skipTest(f"loop devices are not to be had here: {done.stderr.strip()}")
        device = done.stdout.strip()
        done = run("mount", *options, device, at)
        if done.returncode:
            run("losetup", "--detach", device)
            self.skipTest(f"mounting is not allowed here: {done.stderr.strip()}")
        return device

    def unmount(self, device, at):
        run("umount", at)
        run("losetup", "--detach", device)

    def setUp(self):
        super().setUp()
        if os.geteuid():
            self.skipTest("only root may mount an image")
        if not shutil.which("mkfs.ext4"):
            self.skipTest("mkfs.ext4 is not installed")

    def cut(self, chance, n):
        image, copy = self.folder / f"disk{n}.img", self.folder / f"copy{n}.img"
        with open(image, "wb") as f:
            f.truncate(64 << 20)
        self.assertEqual(run("mkfs.ext4", "-q", "-F", image).returncode, 0)
        at = self.folder / "disk"
        device = self.mount(image, at)
        process = None
        try:
            reports = []
            process = subprocess.Popen([str(kerb_case.KERB), "record", f"test:?size=320x180&live=1&fps={FPS}", "-o", str(at / "out.mkv"), "--model", str(self.model), "--threads", "1",
                                        "--quiet", "--json-progress", *(["--split-minutes", "0.02"] if n % 2 else [])], stdout=subprocess.PIPE, text=True, cwd=self.folder)
            reader = threading.Thread(target=lambda: [reports.append((time.monotonic(), line)) for line in process.stdout if line.endswith("\n")])
            reader.start()
            end = time.monotonic() + 60
            while not any('"written":0' not in r for _, r in reports) and time.monotonic() < end and process.poll() is None:
                time.sleep(0.01)
            time.sleep(2.2 + chance.uniform(0, 3))  # earlier there may be nothing on the disk yet
            written = json.loads(reports[-1][1])["written"]
            self.assertEqual(run("cp", "--sparse=always", image, copy).returncode, 0)
        finally:
            if process:
                process.kill()
                process.wait(20)
                reader.join()
                process.stdout.close()
            self.unmount(device, at)
        device = self.mount(copy, at)
        try:
            # A file whose name reached the disk before its first bytes may be there and empty; what counts is what can be played.
            files = [f for f in sorted(at.glob("out*.mkv")) if f.stat().st_size]
            self.assertGreater(len(files), 0, list(at.iterdir()))
            frames = sum(recordings.check_cut(self, f, 1 / FPS, f == files[-1]) for f in files)
        finally:
            self.unmount(device, at)
            image.unlink()
            copy.unlink()
        return (written - frames) / FPS

    @NEEDS_FFPROBE
    @NEEDS_FFMPEG
    def test_power_cut(self):
        chance = random.Random(SEED)
        lost = []
        for n in range(COUNT):
            with self.subTest(n=n, seed=SEED):
                lost.append(self.cut(chance, n))
                self.assertLessEqual(lost[-1], 2.0)
        print(json.dumps({"cuts": COUNT, "seed": SEED, "playable": len(lost), "lost_s_median": sorted(lost)[len(lost) // 2] if lost else None, "lost_s_max": max(lost, default=None)}), flush=True)


if __name__ == "__main__":
    kerb_case.main()
