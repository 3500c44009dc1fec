#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""gst-launch with kerbseg backend=cuda on the stand-in: whole once, then with the n-th call failing, for n over the whole run. It may fail, but must end
in time, not crash, and leave nothing alive (the stand-in's own check at exit). The last line: `N passed, N failed, N skipped`."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["KERB_SOURCE"], "tests", "apps"))
import tiny_onnx

FRAMES, POINTS, LIMIT_S = 6, 24, 120
CODES = (2, 719, 1, 700)


def run(folder, words):
    pipeline = f"videotestsrc num-buffers={FRAMES} ! video/x-raw,format=I420,width=64,height=48 ! kerbseg model-file={folder}/net.onnx backend=cuda ! fakesink sync=false"
    environment = dict(os.environ, KERB_STANDIN=f"check {words}", XDG_CACHE_HOME=folder)
    return subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], env=environment, capture_output=True, text=True, timeout=LIMIT_S)


def judge(done):
    """None where all is well, else what is not."""
    summary = re.search(r"kerb-standin: (\d+) calls, (\d+) leaks, (\d+) misuses", done.stderr)
    if done.returncode not in (0, 1, 255):  # 255: gst-launch's own for a pipeline that does not start
        return f"exit code {done.returncode}"
    if not summary:
        return "the stand-in was not used"
    if summary[2] != "0" or summary[3] != "0":
        return summary[0]
    return None


def main():
    if not shutil.which("gst-launch-1.0"):
        print("no gst-launch-1.0")
        return 77
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        tiny_onnx.model(f"{folder}/net.onnx", 64, 48)
        run(folder, "")  # fills the plan cache
        whole = run(folder, "")
        why = judge(whole) or (f"exit code {whole.returncode}" if whole.returncode else None)
        if why:
            print(f"not one run without failures is whole: {why}\n{whole.stderr}")
            print("0 passed, 1 failed, 0 skipped")
            return 1
        calls = int(re.search(r"(\d+) calls", whole.stderr)[1])
        print(f"{calls} calls")
        for i in range(POINTS):
            n, code = 1 + i * calls // POINTS, CODES[i % len(CODES)]
            try:
                why = judge(run(folder, f"fail={n} code={code}"))
            except subprocess.TimeoutExpired:
                why = f"hung for {LIMIT_S} s"
            passed += why is None
            failed += why is not None
            if why:
                print(f"fail={n} code={code}: {why}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
