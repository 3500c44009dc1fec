#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The convolutions of the model families (scripts/export/seed-models) finalise on cuDNN for sm_87 and sm_90, with no GPU.

All of them take over an hour, so a part of them is tried (another one for each precision and GPU); KERB_PLANS=all tries all. Skips (77) without
cuDNN, or without a Python that has numpy and onnx (KERB_PYTHON may name one; Debian: python3-onnx). Usage: slow_families.py [PRECISION:SM...]
"""
import json
import os
import pathlib
import subprocess
import sys
import time

try:
    import numpy  # noqa: F401
    import onnx  # noqa: F401
except ImportError as missing:
    for other in filter(None, (os.environ.get("KERB_PYTHON"), "/usr/bin/python3")):
        if os.path.exists(other) and not subprocess.run([other, "-c", "import numpy, onnx"], capture_output=True).returncode:
            os.execv(other, [other] + sys.argv)
    print(f"skipped: {missing}; install python3-onnx, or name a Python that has numpy and onnx in KERB_PYTHON")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KERB_BUILD", ROOT / "build/release"))
SEEDS = BUILD / "seeds"
# (precision, SM): how many parts the patterns are cut into; about five patterns of each are tried. int8 takes three times as long to compile.
RUNS = {("fp16", 87): 60, ("fp16", 90): 60, ("bf16", 87): 60, ("bf16", 90): 60, ("tf32", 87): 60, ("tf32", 90): 60, ("int8", 87): 60, ("int8", 90): 60}


def try_part(precision, sm, part, parts, models):
    start = time.monotonic()
    run = subprocess.run([BUILD / "bin/kerb-plans", "--json", "--sm", str(sm), "--precision", precision, "--part", f"{part}/{parts}", *models],
                         capture_output=True, text=True, check=False)
    if run.returncode in (2, 77):
        print(run.stderr.strip())
        sys.exit(run.returncode if run.returncode == 77 else 1)
    result = json.loads(run.stdout)
    print(f"{precision} sm_{sm}, cuDNN {result['cudnn']}: {run.stderr.strip()} ({time.monotonic() - start:.0f} s)", flush=True)
    for pattern in result["patterns"]:
        if pattern["result"] == "failed":
            print(f"  {pattern['pattern']} ({pattern['node']}): {pattern['detail']}")
    if run.returncode and not result["failed"]:
        sys.exit(f"kerb-plans: exit code {run.returncode}\n{run.stderr}")
    return result["passed"], result["failed"]


def main():
    wanted = {(p, int(sm)) for p, sm in (arg.split(":") for arg in sys.argv[1:])} or set(RUNS)
    subprocess.run([sys.executable, ROOT / "scripts/export/seed-models", SEEDS], check=True, stdout=subprocess.DEVNULL)
    models = sorted(str(m) for m in SEEDS.glob("*.onnx"))
    passed = failed = 0
    for i, ((precision, sm), parts) in enumerate(RUNS.items()):
        if (precision, sm) not in wanted:
            continue
        parts = 1 if os.environ.get("KERB_PLANS") == "all" else parts
        of_it = [m for m in models if m.endswith("-int8.onnx") == (precision == "int8")]
        p, f = try_part(precision, sm, i * 7 % parts, parts, of_it)
        passed, failed = passed + p, failed + f
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


main()
