# SPDX-License-Identifier: MIT
"""What takes turns in scripts/bench-peers: Kerb's element, and the peers in processes of their own. Each is a Candidate: measure() adds a turn's times, labels() gives its label
maps of the frames to check, as (frames, height, width), peak_bytes is the most memory its process has held. A candidate that cannot raises Absent, which says why."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

import labels
import prepare
from catalogue import ROOT, check_frames
from engines import peak_bytes

BUILD = ROOT / "build" / os.environ.get("KERB_PRESET", "release")
SPINNING, SPIN_S = ("ncnn", "pytorch"), 0.25  # OpenMP's threads look for work for up to 200 ms before they sleep: not in the next one's turn
HERE = pathlib.Path(__file__).resolve().parent


class Absent(Exception):
    """One line, for the user."""


def refuse_what_could_not_be_made(net, kind):
    why = prepare.why_not(net, kind) if kind else None
    if why:
        raise Absent(why)


class Candidate:
    def __init__(self, name, net, precision, threads):
        self.name, self.net, self.precision, self.threads = name, net, precision, threads
        self.times, self.peak_bytes = [], 0  # a turn's times in ms; Kerb's turns give a median each

    @property
    def key(self):
        return f"{self.name} {self.precision}"

    def close(self):
        pass


class Peer(Candidate):
    def __init__(self, name, net, precision, threads):
        super().__init__(name, net, precision, threads)
        refuse_what_could_not_be_made(net, {("ncnn", "f32"): "ncnn", ("ncnn", "bf16"): "ncnn", ("openvino", "int8"): "openvino", ("onnxruntime", "int8"): "kerb"}.get((name, precision)))
        if name == "pytorch" and not net.random:
            raise Absent("there is no PyTorch source of its weights")
        command = [sys.executable, HERE / "engines.py", name, net.name, precision, str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        state = self.answer()
        if state != "ready":
            self.close()
            raise Absent(state)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise Absent(f"its process ended by signal {signal.Signals(-code).name}" if code < 0 else f"its process ended with exit code {code}")
        return json.loads(line)

    def ask(self, **words):
        try:
            print(json.dumps(words), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # answer() says what became of it
        return self.answer()

    def measure(self, seconds):
        self.times += self.ask(seconds=seconds)
        if self.name in SPINNING:
            time.sleep(SPIN_S)
        self.peak_bytes = peak_bytes(self.process.pid)

    def labels(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/labels.npy"
            self.ask(labels=path)
            return np.load(path)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Kerb(Candidate):
    """The whole path: an I420 frame into the element, the overlay out. One process a turn: `kerb bench`; its plans are kept in plan_cache between turns."""

    def __init__(self, net, precision, threads, plan_cache):
        super().__init__("kerb", net, precision, threads)
        refuse_what_could_not_be_made(net, "kerb" if precision == "int8" else None)
        self.model, self.asked = (net.file("kerb.onnx"), "auto") if precision == "int8" else (net.file("float.onnx"), precision)  # auto: integers where they are fast
        self.environment = {"KERB_PLAN_CACHE": str(plan_cache)}
        self.network_times, self.open_s, self.backend = [], {}, ""
        self.open_s["cold"] = self.bench("--frames", 1)["element"]["open_s"]

    def bench(self, *options):
        size = f"{self.net.width}x{self.net.height}"
        command = [ROOT / "scripts/run", "kerb", "bench", "--element", "--json", "--quiet", "--model", self.model, "--size", size, "--network-size", size, "--backend", "cpu",
                   "--threads", self.threads, "--precision", self.asked, *options]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=err, env={**os.environ, **self.environment})
            seen = 0
            while process.poll() is None:
                # The last look counts, not the highest: before exec() it is this process's own memory.
                seen = peak_bytes(process.pid) or seen
                try:
                    process.wait(0.1)
                except subprocess.TimeoutExpired:
                    pass
            out.seek(0), err.seek(0)
            if process.returncode:
                raise Absent(f"kerb bench ended with {process.returncode}: {err.read().strip()}")
            self.peak_bytes = max(self.peak_bytes, seen)
            report = json.load(out)
        self.backend, self.machine = report["element"]["backend"], report["machine"]
        return report

    def measure(self, seconds):
        element = self.bench("--seconds", seconds)["element"]
        self.times.append(element["frame_ms"]["median"])
        self.network_times.append(element["stages_ms"]["net"]["median"])
        self.open_s.setdefault("cached", element["open_s"])

    def labels(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/labels.gray"
            try:
                labels.launch(BUILD, "multifilesrc", f"location={self.net.frames}/check-%02d.png", "caps=image/png,framerate=25/1", "!", "pngdec", "!", "kerbseg", "name=s",
                              f"model-file={self.model}", "backend=cpu", f"precision={self.asked}", f"threads={self.threads}", "!", "fakesink", "sync=false",
                              "s.labels", "!", "filesink", f"location={path}", **self.environment)
                maps = labels.read_maps(path, self.net.width, self.net.height)
            except (RuntimeError, OSError, ValueError) as error:
                raise Absent(f"no labels: {error}") from error
            if len(maps) != check_frames(self.net):
                raise Absent(f"{len(maps)} label maps came for {check_frames(self.net)} frames")
            return np.array(maps)
