#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`kerb review` on files that are cut or damaged, and its page in a real browser (chromium, where it is installed)."""
import json
import subprocess

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


if __name__ == "__main__":
    kerb_case.main()
