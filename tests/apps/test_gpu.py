#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command on a GPU, which is the stand-in of CUDA's runtime (tests/cuda/standin): devices, bench, recordings, and what becomes of them when the GPU
fails in the middle."""
import csv
import json
import unittest

import kerb_case
from kerb_case import BUILD, NEEDS_FFPROBE, SMALL, KerbCase

STANDIN = BUILD / "standin"


def machine(words="", **more):
    """An environment in which the GPU is the stand-in, which is like these words say (tests/cuda/standin/standin.h)."""
    return {"KERB_MODULE_PATH": f"{STANDIN}:{BUILD / 'modules'}", "KERB_CUDNN": str(STANDIN / "libkerb-standin.so"), "KERB_STANDIN": words, "KERB_PLAN_CACHE": "off", **more}


@unittest.skipUnless((STANDIN / "kerb-cuda.so").exists(), "the stand-in of CUDA's runtime is not built (no CUDA headers)")
class Gpu(KerbCase):
    def backends(self, words=""):
        return json.loads(self.kerb("devices", "--json", env=machine(words)).stdout)["backends"]

    def test_devices(self):
        found = [d for d in self.backends("devices=2 sm=87 memory=8G integrated") if d["name"] == "cuda"]
        self.assertEqual([d["id"] for d in found], [0, 1])
        for d in found:
            self.assertTrue(d["usable"], d)
            self.assertTrue(d["integrated"])
            self.assertEqual(d["precisions"][0], "f16")
            self.assertGreater(d["memory_bytes"], 7 << 30)
        text = self.kerb("devices", env=machine("devices=2 integrated")).stdout
        self.assertIn("cuda 1 ", text)
        self.assertIn("shared with the processor", text)
        gone = [d for d in self.backends("nodriver") if d["name"] == "cuda"]
        self.assertEqual(len(gone), 1)
        self.assertFalse(gone[0]["usable"])
        self.assertIn("driver", gone[0]["remedy"])

    def test_no_gpu(self):
        """backend=cuda fails, with the reason; auto takes the processor, and says so once."""
        self.refused(6, "record", SMALL, "-o", self.output, "--model", self.model, "--backend", "cuda", says="driver", env=machine("nodriver"))
        self.assertFalse(self.output.exists())
        report = self.record(SMALL, "--duration", 0.2, env=machine("nodriver"))
        self.assertNotIn("cuda", report["backend"])

    def test_bench(self):
        timeline = self.folder / "timeline.csv"
        run = ("bench", "--model", self.model, "--backend", "cuda", "--frames", 12, "--size", "64x36", "--json")
        report = json.loads(self.kerb(*run, env=machine(KERB_CUDA_TIMELINE=str(timeline))).stdout)
        for path in ("library", "element"):
            r = report[path]
            self.assertIn("cuda", r["backend"])
            self.assertEqual(r["host_copy_bytes"], 0, path)  # frames in page-locked memory, results too
            self.assertGreater(r["up_bytes"], 64 * 36)
            self.assertGreater(r["device_bytes"], 0)
            self.assertGreater(r["pinned_bytes"], 0)
            self.assertTrue(r["replays"])
        with open(timeline, newline="") as f:
            rows = list(csv.DictReader(f))
        self.assertGreater(len(rows), 10)
        for row in rows:
            times = [float(row[name]) for name in ("up_begin", "up_end", "in_begin", "out_end", "down_begin", "down_end")]
            self.assertEqual(times, sorted(times), row)
        single = json.loads(self.kerb(*run, "--library", env=machine(KERB_CUDA_GRAPHS="0")).stdout)["library"]
        self.assertFalse(single["replays"])

    def test_shared_memory(self):
        """A GPU that shares the processor's memory copies nothing at all."""
        r = json.loads(self.kerb("bench", "--model", self.model, "--backend", "cuda", "--frames", 5, "--size", "64x36", "--json", env=machine("integrated sm=87")).stdout)
        for path in ("library", "element"):
            self.assertEqual((r[path]["up_bytes"], r[path]["down_bytes"], r[path]["host_copy_bytes"]), (0, 0, 0), path)

    @NEEDS_FFPROBE
    def test_record(self):
        report = self.record(SMALL, "--duration", 1, "--backend", "cuda", env=machine())
        self.assertIn("cuda", report["backend"])
        self.assertEqual((report["frames"], report["complete"], len(self.probe()[0])), (25, True, 25))

    @NEEDS_FFPROBE
    def test_lost_gpu_finishes_the_recording(self):
        """An illegal address in the middle: the file is whole, and the exit code says what happened."""
        report = self.record(SMALL, "--duration", 100, "--backend", "cuda", code=6, env=machine("fail=30 only=cudaGraphLaunch code=700"), timeout=60)
        times, facts = self.probe()
        self.assertEqual(facts["complaints"], "")
        self.assertEqual(report["exit_code"], 6)
        self.assertGreater(len(times), 5)
        self.assertIn("GPU", self.stderr)

    @NEEDS_FFPROBE
    def test_one_fault_loses_no_video(self):
        report = self.record(SMALL, "--duration", 1, "--backend", "cuda", env=machine("fail=20 only=cudaGraphLaunch code=801"))
        self.assertEqual((report["frames"], report["complete"], len(self.probe()[0])), (25, True, 25))

    def test_out_of_memory(self):
        self.refused(7, "record", SMALL, "-o", self.output, "--model", self.model, "--backend", "cuda", says="memory", env=machine("memory=64K"))


if __name__ == "__main__":
    kerb_case.main()
