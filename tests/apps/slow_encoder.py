#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An encoder that does not keep up with a live source (slow_encoder.c): nothing else waits for it, what is left out is counted everywhere, and the file is whole."""
import json
import os
import signal
import subprocess
import time
import unittest

import kerb_case
import recordings
from kerb_case import BUILD, NEEDS_FFMPEG, KerbCase, has_element

STEP = 1 / 50
WAITING = 100  # two seconds of frames


@NEEDS_FFMPEG
@unittest.skipUnless(has_element("x264enc"), "x264enc is not installed")
class SlowEncoder(KerbCase):
    def test_left_out(self):
        door, log = self.folder / "shut", self.folder / "log"
        env = {**os.environ, "KERB_SLOW_ENCODER": str(door), "GST_REGISTRY": str(self.folder / "registry.bin"),
               "GST_PLUGIN_PATH": f"{os.environ.get('GST_PLUGIN_PATH', BUILD / 'gst')}:{BUILD / 'lib/tests/gst'}"}
        with open(log, "w") as errors:
            process = subprocess.Popen([str(kerb_case.KERB), "record", kerb_case.SMALL + "&live=1&fps=50", "-o", str(self.output), "--model", str(self.model), "--threads", "1",
                                        "--encoder", "vaapih264enc", "--json", "--json-progress"], stdout=subprocess.PIPE, stderr=errors, text=True, env=env)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.addCleanup(door.unlink, missing_ok=True)  # a door that stays shut would hold the process

        def until(condition):
            end = time.monotonic() + 60
            for line in process.stdout:
                state = json.loads(line)
                if condition(state):
                    return state
                self.assertLess(time.monotonic(), end, state)
            self.fail(log.read_text())

        until(lambda s: s["written"] >= 30)
        door.touch()
        shut = until(lambda s: s["left_out"] >= 20)
        self.assertGreaterEqual(shut["waiting"], WAITING - 2)
        self.assertLessEqual(shut["waiting"], WAITING)  # memory has a bound
        self.assertGreater(shut["frames"], shut["encoded"] + 100)  # neither camera nor network have waited
        door.unlink()
        now = until(lambda s: s["waiting"] < 5)
        until(lambda s: s["written"] >= now["written"] + 30)
        process.send_signal(signal.SIGINT)
        report = json.loads(process.stdout.read().splitlines()[-1])
        self.assertEqual(process.wait(30), 0, log.read_text())
        said, counted = log.read_text(), report["recording"]
        left_out = counted["left_out"]
        self.assertEqual((counted["frames"], counted["unencoded"]), (counted["written"] + left_out, 0))
        self.assertEqual(said.count("the encoder is slower than the source"), 1)
        self.assertIn(f"{left_out} frames were left out because the encoder was too slow", report["losses"])
        # In the file: as many as are told, each at its own time; what is left out is no gap of the source.
        times, complaints = recordings.times(self.output, "v:0")
        self.assertEqual((complaints, len(times)), ("", counted["written"]))
        self.assertEqual(recordings.times(self.output, "v:1")[0][-30:], times[-30:])
        self.assertEqual(round(times[-1] / STEP) + 1 - len(times), left_out)
        lines = recordings.facts(self.output)
        self.assertEqual(sum(int(line.get("left_out", 0)) for line in lines), left_out)
        self.assertEqual({line["gap_ms"] for line in lines}, {"0"})


if __name__ == "__main__":
    kerb_case.main()
