#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Cameras on the network: an RTSP server (tests/camera/rtsp_server.c) and Motion JPEG over HTTP (here), which are recorded, die and come back. Loopback only."""
import http.server
import json
import signal
import socket
import subprocess
import threading
import time
import unittest

import camera_case
from camera_case import BUILD, CameraCase

SERVER = BUILD / "lib/tests/rtsp_server"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Network(CameraCase):
    def ends(self, process):
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), 0, self.log.read_text())
        report = json.loads(self.summary.read_text())
        times, facts = self.probe()
        self.assertEqual(len(times), report["frames"])
        self.assertEqual(times, sorted(set(times)))
        self.assertEqual(facts["complaints"], "")
        return report, times

    def dies_and_comes_back(self, source, stop, start):
        """One loss in a recording: it goes on in the same file, with a gap of true length."""
        process = self.begin("--timeout", 1, source=source)
        self.grows(process, by=20)
        stop()
        self.wait(lambda: "is lost" in self.log.read_text(), process)
        time.sleep(0.5)
        start()
        self.returns(process)
        self.grows(process, by=10)
        report, times = self.ends(process)
        self.assertEqual((report["outages"]["faults"], report["outages"]["gaps"]), (1, 1))
        self.assertGreater(max(b - a for a, b in zip(times, times[1:])), 0.5)


@unittest.skipUnless(SERVER.exists(), "libgstrtspserver-1.0-dev is not installed")
class Rtsp(Network):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.server = None
        self.serve()
        self.addCleanup(self.kill)

    def serve(self):
        self.server = subprocess.Popen([str(SERVER), str(self.port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.assertEqual(self.server.stdout.readline(), "ready\n")

    def kill(self):
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()

    @property
    def address(self):
        return f"rtsp://127.0.0.1:{self.port}/live"

    def test_stream(self):
        process = self.begin(source=self.address)
        self.grows(process, by=45)
        report, times = self.ends(process)
        self.assertEqual(report["outages"]["faults"], 0)
        steps = sorted(b - a for a, b in zip(times, times[1:]))
        self.assertAlmostEqual(steps[len(steps) // 2], 1 / 30, delta=0.005)

    def test_dies_and_comes_back(self):
        self.dies_and_comes_back(self.address, self.kill, self.serve)

    def test_no_such_stream(self):
        self.refused(4, "record", self.address + "x", "-o", self.output, "--model", self.model, says=self.address + "x")


class MotionJpeg(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            while not self.server.stopping:
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(self.server.jpeg) + self.server.jpeg + b"\r\n")
                time.sleep(1 / 30)
        except OSError:
            pass  # kerb has gone

    def log_message(self, *_):
        pass


class Http(Network):
    def setUp(self):
        super().setUp()
        jpeg = self.folder / "frame.jpg"
        subprocess.run(["gst-launch-1.0", "-q", "videotestsrc", "num-buffers=1", "!", "video/x-raw,width=64,height=36", "!", "jpegenc", "!", "filesink",
                        f"location={jpeg}"], check=True)
        self.jpeg, self.port, self.server = jpeg.read_bytes(), free_port(), None
        self.serve()
        self.addCleanup(self.stop)

    def serve(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), MotionJpeg)
        self.server.daemon_threads, self.server.stopping, self.server.jpeg = True, False, self.jpeg
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.stopping = True
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/video.mjpg"

    def test_stream(self):
        process = self.begin(source=self.address)
        self.grows(process, by=45)
        report, _ = self.ends(process)
        self.assertEqual(report["outages"]["faults"], 0)

    def test_dies_and_comes_back(self):
        self.dies_and_comes_back(self.address, self.stop, self.serve)


if __name__ == "__main__":
    camera_case.main()
