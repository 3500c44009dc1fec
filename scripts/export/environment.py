# SPDX-License-Identifier: MIT
"""The Python with the engines that Kerb is compared with (requirements.txt): found, or made, and entered."""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build/peers"
DATA = pathlib.Path(os.environ.get("KERB_DATA", ROOT / "../shared/data")).resolve()
SKIPPED = 77


def enter(script, install=True, venv=WORK / "venv", requirements="scripts/export/requirements.txt"):
    """Runs `script` again inside that Python: KERB_PYTHON, or `venv` (build/peers/venv), which is made where it lacks. install False: skips (77) instead."""
    python = pathlib.Path(os.environ.get("KERB_PYTHON", venv / "bin/python"))
    if pathlib.Path(sys.executable).parent == python.parent:
        return
    if not python.exists():
        if {"-h", "--help"} & set(sys.argv[1:]):  # nobody waits for several GB to read how a script is used
            print(sys.modules["__main__"].__doc__)
            sys.exit(0)
        if not install:
            print(f"skipped: {python} is not there: set KERB_PYTHON to a Python that has onnxruntime, opencv-python-headless and numpy, "
                  f"or make it: python3 -m venv {venv} && {venv}/bin/pip install onnxruntime opencv-python-headless numpy")
            sys.exit(SKIPPED)
        print(f"making {venv} (this fetches several GB)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", ROOT / requirements], check=True)
    os.execv(python, [str(python), str(script), *sys.argv[1:]])
