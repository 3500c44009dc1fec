#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One loss of each kind; and faults one after the other in one recording (KERB_TEST_COUNT, default 15): each is recovered from in time (frames are in the files again), no frame
is lost or doubled that is not told, nothing leaks. With a seed (KERB_TEST_SEED), which is printed."""
import json
import os
import pathlib
import random
import signal
import time

import camera_case
import recordings
from camera_case import CameraCase, Fault, numbers
from kerb_case import NEEDS_FFMPEG

COUNT = int(os.environ.get("KERB_TEST_COUNT", "15"))
SEED = int(os.environ.get("KERB_TEST_SEED", "1"))
KINDS = ("die", "elsewhere", "stall", "eio", "slow", "half", "short", "stuck")


class Losses(CameraCase):
    TIMEOUT = 0.3

    def ends(self, process, code=0):
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), code, self.log.read_text())
        return json.loads(self.summary.read_text())

    def check(self, report, losses):
        """Every frame that the camera gave is in the recording once, in order, but for those that are told as lost; the files can be played."""
        found, out = numbers(self.labels), report["outages"]
        self.assertEqual(sorted(set(found)), found)
        self.assertEqual(len(found), report["frames"])
        self.assertEqual(out["given_frames"], self.camera.get("given"))
        self.assertEqual(out["passed_frames"], report["frames"])
        self.assertEqual((out["faults"], out["gaps"]), (losses, losses))
        times, facts = self.probe()
        self.assertEqual(len(times), len(found))
        self.assertEqual(facts["complaints"], "")
        self.assertEqual(self.camera.get("open_now"), 0)
        return times

    def check_gaps(self, times, least):
        """The facts tell every gap of the source in the second in which it ends, as long as the time stamps say; returns their number."""
        told, frame_s = {}, 1 / 30
        for line in recordings.facts(self.output):
            told[int(line["t"])] = int(line["gap_ms"])
        gaps = [(b, b - a - frame_s) for a, b in zip(times, times[1:]) if b - a > 0.1]
        for second in told:
            here = [length_s for end, length_s in gaps if int(end) == second]
            self.assertAlmostEqual(told[second], 1000 * sum(here), delta=1 + len(here), msg=(second, told, gaps))
        self.assertGreaterEqual(len(gaps), least)

    @NEEDS_FFMPEG
    def test_unplugged_and_back_elsewhere(self):
        process = self.begin("--timeout", self.TIMEOUT)
        self.camera.unplug()
        self.wait(lambda: "is lost" in self.log.read_text(), process)
        self.camera.plug(3)
        self.assertLess(self.returns(process), 2)
        times = self.check(self.ends(process), 1)
        log = self.log.read_text()
        self.assertRegex(log, r"is back as .*/video3, NV12 64 x 36, 30 fps: a gap of 0\.\d\d s")
        self.check_gaps(times, 1)

    @NEEDS_FFMPEG
    def test_silent(self):
        process = self.begin("--timeout", self.TIMEOUT)
        self.camera.set(fault=Fault.STALL)
        self.wait(lambda: "time-out" in self.log.read_text(), process)
        self.camera.set(fault=Fault.FINE)
        self.assertLess(self.returns(process), 2)
        self.check_gaps(self.check(self.ends(process), 1), 1)

    @NEEDS_FFMPEG
    def test_silent_for_a_moment(self):
        """No loss, as it is back before the time-out; but a gap."""
        process = self.begin("--timeout", 3)
        self.camera.set(fault=Fault.STALL)
        time.sleep(0.5)
        self.camera.set(fault=Fault.FINE)
        self.grows(process)
        times = self.check(self.ends(process), 0)
        self.check_gaps(times, 1)

    def test_driver_that_does_not_return(self):
        """The old stream cannot be stopped: it is left alone, and what comes next does not wait for it."""
        process = self.begin("--timeout", self.TIMEOUT)
        self.camera.set(fault=Fault.STUCK)
        self.wait(lambda: "does not let go" in self.log.read_text(), process)
        self.camera.set(fault=Fault.FINE)
        self.assertLess(self.returns(process), 2)
        self.check(self.ends(process), 1)

    def test_other_mode(self):
        process = self.begin("--timeout", self.TIMEOUT)
        self.camera.unplug()
        self.camera.set(fault=Fault.LOST_MODE)
        self.camera.plug(0)
        self.assertLess(self.returns(process), 2)
        report = self.ends(process)
        self.check(report, 1)
        self.assertIn("no mode NV12 64 x 36, 30 fps any more: MJPEG", self.log.read_text())

    def test_does_not_come_back(self):
        process = self.begin("--timeout", self.TIMEOUT, "--reconnect", 0.5)
        self.camera.unplug()
        self.assertEqual(process.wait(30), 4)
        self.assertIn("did not come back within 0.5 seconds", self.log.read_text())
        self.assertEqual(len(self.probe()[0]), self.frames())

    def test_ended_while_away(self):
        process = self.begin("--timeout", self.TIMEOUT)
        self.camera.unplug()
        self.wait(lambda: "is lost" in self.log.read_text(), process)
        report = self.ends(process)
        self.assertEqual((report["outages"]["faults"], report["outages"]["gaps"]), (1, 0))
        self.assertEqual(len(self.probe()[0]), report["frames"])


class Faults(CameraCase):
    def resources(self, process):
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]), len(os.listdir(f"/proc/{process.pid}/fd"))

    def fault(self, process, kind):
        """One fault; returns the seconds from its end until a frame that was taken after it is in the files, picture and labels."""
        camera = self.camera
        losses = self.log.read_text().count("is lost")
        lost = lambda: self.log.read_text().count("is lost") > losses
        if kind in ("die", "elsewhere", "half"):
            camera.unplug()
            self.wait(lost, process)
            camera.set(fault=Fault.HALF if kind == "half" else Fault.FINE)
            camera.plug(self.random.randrange(1, 9) if kind == "elsewhere" else 0)
            if kind == "half":
                time.sleep(0.3)
        elif kind == "slow":
            camera.set(fault=Fault.SLOW)
            time.sleep(0.5)
        else:
            camera.set(fault={"stall": Fault.STALL, "eio": Fault.EIO, "short": Fault.SHORT, "stuck": Fault.STUCK}[kind])
            if kind == "short":
                time.sleep(0.4)
            else:
                self.wait(lost, process)
        camera.set(fault=Fault.FINE)
        last, bytes_then, began = camera.get("number"), self.output.stat().st_size, time.monotonic()
        self.wait(lambda: self.latest() > last and self.output.stat().st_size > bytes_then, process)
        return time.monotonic() - began

    def test_faults(self):
        self.random = random.Random(SEED)
        print(f"seed {SEED}, {COUNT} faults", flush=True)
        process = self.begin("--timeout", 0.5)
        recoveries, early = [], None
        for i in range(COUNT):
            recoveries.append(self.fault(process, KINDS[i % len(KINDS)] if i < len(KINDS) else self.random.choice(KINDS)))
            if i == min(COUNT // 2, 50):
                early = self.resources(process)
            time.sleep(0.05)
        late = self.resources(process)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 0, self.log.read_text()[-2000:])
        report = json.loads(self.summary.read_text())
        found, out = numbers(self.labels), report["outages"]
        recoveries.sort()
        p50, p99 = recoveries[len(recoveries) // 2], recoveries[min(len(recoveries) - 1, len(recoveries) * 99 // 100)]
        print(f"recovery p50 {p50:.2f} s, p99 {p99:.2f} s, longest {recoveries[-1]:.2f} s; {out}; RSS {early[0]} -> {late[0]} kB, {early[1]} -> {late[1]} files; given "
              f"{self.camera.get('given')}, recorded {len(found)}", flush=True)
        self.assertLessEqual(p99, 2)
        self.assertEqual(len(found), report["frames"])
        self.assertEqual(out["passed_frames"], report["frames"])
        self.assertGreaterEqual(out["given_frames"], out["passed_frames"])
        self.assertEqual(sorted(set(found)), found)
        self.assertEqual(out["faults"], out["gaps"])
        self.assertLess(late[0] - early[0], 20000 + 20 * COUNT)
        self.assertLessEqual(late[1], early[1] + 8)
        self.assertEqual(self.camera.get("open_now"), 0)


if __name__ == "__main__":
    camera_case.main()
