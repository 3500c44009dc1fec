#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real and damaged videos of KERB_DATA: frames and time stamps of a recording are the source's; nothing crashes or hangs."""
import json
import subprocess

import kerb_case
from kerb_case import DATA, NEEDS_FFPROBE, KerbCase, needs_data


class Clips(KerbCase):
    @NEEDS_FFPROBE
    @needs_data("video")
    def test_frames_and_time_stamps(self):
        """Those of every clip, to the microsecond. H.264 with B-frames, MPEG-4 ASP, GIF; 8 to 25 fps."""
        for clip in sorted((DATA / "video").iterdir()):
            with self.subTest(clip=clip.name):
                wanted, facts = self.probe(clip)
                self.record(clip, "--force", timeout=300)
                times, recorded = self.probe()
                self.assertEqual(len(times), len(wanted))
                self.assertLessEqual(max(abs(a - b) for a, b in zip(times, wanted)), 1.01e-6)
                self.assertEqual((recorded["width"], recorded["height"]), (facts["width"], facts["height"]))

    @NEEDS_FFPROBE
    @needs_data("malformed")
    def test_malformed(self):
        """Each is recorded or refused; what is recorded can be played, and has the frames that the summary says."""
        recorded = 0
        for clip in sorted(p for p in (DATA / "malformed").rglob("*") if p.is_file()):
            with self.subTest(clip=clip.name):
                done = subprocess.run([kerb_case.KERB, "record", clip, "-o", self.output, "--model", self.model, "--json", "--force", "--quiet"], capture_output=True, text=True,
                                      timeout=120)
                self.assertIn(done.returncode, (0, 3), done.stderr)
                self.assertNotIn("CRITICAL", done.stderr)
                if done.returncode:
                    self.assertTrue(done.stderr.startswith("kerb: "), done.stderr)
                    continue
                recorded += 1
                times, _ = self.probe()
                self.assertEqual(len(times), json.loads(done.stdout)["frames"])
                self.assertEqual(times, sorted(times))
        self.assertGreater(recorded, 30)

    @NEEDS_FFPROBE
    @needs_data("malformed/h264/BA_MW_D_IDR_LOST.264")
    def test_damage_is_counted(self):
        """Frames whose reference is missing: as many are said to be damaged as ffprobe does not decode. A sound file of the same maker loses none."""
        for name, damaged in (("BA_MW_D_IDR_LOST.264", True), ("BA_MW_D.264", False)):
            with self.subTest(clip=name):
                clip = DATA / "malformed/h264" / name
                counts = subprocess.run(["ffprobe", "-v", "quiet", "-count_frames", "-count_packets", "-select_streams", "v:0", "-show_entries",
                                         "stream=nb_read_frames,nb_read_packets", "-of", "json", str(clip)], capture_output=True, text=True, check=True).stdout
                stream = json.loads(counts)["streams"][0]
                wanted = int(stream["nb_read_packets"]) - int(stream["nb_read_frames"])
                report = self.record(clip, "--force")
                self.assertEqual(report["lost_frames"] + report["damaged_frames"], wanted)
                self.assertEqual(wanted > 0, damaged)
                for text in (report["losses"], self.stderr) if damaged else ():  # which of the two it is, decoders see differently
                    for count, says in ((report["lost_frames"], "lost"), (report["damaged_frames"], "damaged")):
                        if count:
                            self.assertRegex(text, rf"\b{count} .*{says}")


if __name__ == "__main__":
    kerb_case.main()
