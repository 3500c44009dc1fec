#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SIGKILL at random moments of a recording: every file can be played, up to the frame that was reported as written, and its labels are in step.

KERB_TEST_COUNT kills (6); KERB_TEST_SEED (the time). Every third recording is split into files. The last line is the figures, as JSON.
"""
import json
import os
import random
import subprocess
import threading
import time

import kerb_case
import recordings
from kerb_case import NEEDS_FFMPEG, NEEDS_FFPROBE, KerbCase

COUNT = int(os.environ.get("KERB_TEST_COUNT", 6))
SEED = int(os.environ.get("KERB_TEST_SEED", time.time()))
FPS = 50


class Kill(KerbCase):
    def record_and_kill(self, seconds, split):
        """Returns the last report of the process."""
        reports = []
        arguments = ["--split-minutes", "0.01"] if split else []
        process = subprocess.Popen([str(kerb_case.KERB), "record", f"test:?size=160x90&live=1&fps={FPS}", "-o", str(self.output), "--model", str(self.model), "--threads", "1",
                                    "--quiet", "--json-progress", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder)
        reader = threading.Thread(target=lambda: [reports.append(line) for line in process.stdout if line.endswith("\n")])
        reader.start()
        end = time.monotonic() + 60
        while not any('"written":0' not in r for r in reports) and time.monotonic() < end and process.poll() is None:
            time.sleep(0.005)
        time.sleep(seconds)
        self.assertIsNone(process.poll(), "kerb ended by itself")
        process.kill()
        process.wait(20)
        reader.join()
        text = process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        self.assertEqual(text, "")
        return json.loads(reports[-1])

    @NEEDS_FFPROBE
    @NEEDS_FFMPEG
    def test_kill(self):
        chance = random.Random(SEED)
        lost, behind, files_all = [], [], 0
        for n in range(COUNT):
            for old in self.folder.glob("*out*.mkv*"):
                old.unlink()
            seconds, split = chance.uniform(0, 1.6), n % 3 == 2
            with self.subTest(n=n, seed=SEED, seconds=seconds):
                report = self.record_and_kill(seconds, split)
                files = sorted(self.folder.glob("out*.mkv"))
                self.assertGreater(len(files), 0)
                frames = sum(recordings.check_cut(self, f, 1 / FPS, f == files[-1]) for f in files)
                files_all += len(files)
                lost.append(max(0, report["written"] - frames))
                behind.append(report["frames"] - report["left_out"] - frames)
                self.assertLessEqual(lost[-1], 1)
                self.assertEqual(report["left_out"] + report["unencoded"], 0)
        behind.sort()
        print(json.dumps({"kills": COUNT, "seed": SEED, "playable": len(lost), "files": files_all, "lost_of_written_max": max(lost, default=None),
                          "of_those_that_came_not_in_the_file": {"median": behind[len(behind) // 2], "max": behind[-1]} if behind else None}), flush=True)


if __name__ == "__main__":
    kerb_case.main()
