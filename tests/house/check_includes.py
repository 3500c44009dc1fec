#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may include whom (docs/map.md). Fails with one line for every include that crosses a wall.

Usage: check_includes.py ROOT [--self-test]
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[>"]', re.M)
ROOMS = ("base", "in", "net", "out", "time", "run")

# folder (longest match wins) -> (rooms of the engine it may include, forbidden system headers)
NO_FRAMEWORK = r"^(gst/|glib|gio/|cuda|cudnn|SDL)"
RULES = {
    "engine/base": (("base",), NO_FRAMEWORK),
    "engine/in": (("base", "in"), NO_FRAMEWORK),
    "engine/net": (("base", "net"), NO_FRAMEWORK),
    "engine/out": (("base", "out"), NO_FRAMEWORK),
    "engine/time": (("base", "time"), NO_FRAMEWORK),
    "engine/run": (("base", "in", "net", "out", "time", "run"), NO_FRAMEWORK),
    "cuda/base": (("base",), r"^(gst/|glib|gio/|SDL)"),
    "cuda/in": (("base", "in"), r"^(gst/|glib|gio/|SDL)"),
    "cuda/net": (("base", "net"), r"^(gst/|glib|gio/|SDL)"),
    "cuda/out": (("base", "out"), r"^(gst/|glib|gio/|SDL)"),
    "cuda/run": (("base", "in", "net", "out", "run"), r"^(gst/|glib|gio/|SDL)"),
    "calib": (("base", "in", "net", "out", "run"), NO_FRAMEWORK),
    "plugin": ((), r"^(cuda|cudnn|SDL)"),
    "apps": ((), r"^(cuda|cudnn)"),
    "docs": ((), r"^(gio/|cuda|cudnn|SDL)"),
}


def violations(path, text):
    """path: relative to the root, with slashes. Yields messages."""
    rule = next((r for r in sorted(RULES, key=len, reverse=True) if path.startswith(r + "/")), None)
    if rule is None:
        return
    allowed, forbidden = RULES[rule]
    for kind, header in INCLUDE.findall(text):
        room = header.split("/")[0]
        if kind == '"' and room in ROOMS and "/" in header and room not in allowed:
            yield f"{path}: {rule} may not include {header}"
        if header.startswith("calib/") and rule != "calib" and not (rule == "apps" and header == "calib/calibrate.h"):
            yield f"{path}: only apps may include calib/calibrate.h, and nobody the rest of calib ({header})"
        if kind == '"' and header.startswith("net/onnx/") and rule == "engine/net" and not path.startswith("engine/net/onnx/"):
            yield f"{path}: nothing else in net knows ONNX ({header})"
        if kind == '"' and header.startswith("cuda/") and rule.split("/")[0] != "cuda":
            yield f"{path}: only cuda may include {header}"
        if kind == '"' and header.startswith("cuda/") and rule.startswith("cuda/") and rule != "cuda/run" and header.split("/")[1] not in ("base", rule.split("/")[1]):
            yield f"{path}: {rule} may not include {header}"
        if kind == '"' and header.startswith("..") :
            yield f"{path}: includes go from a room's name, not upwards ({header})"
        if kind == "<" and re.match(forbidden, header):
            yield f"{path}: {rule} may not include <{header}>"


def self_test():
    def n(path, text):
        return len(list(violations(path, text)))
    assert n("engine/in/a.c", '#include "out/out.h"\n') == 1
    assert n("engine/in/a.c", '#include "in/in.h"\n#include "base/error.h"\n#include "kerb.h"\n') == 0
    assert n("engine/net/passes/a.c", '#  include "net/onnx/onnx.h"\n') == 1
    assert n("engine/net/onnx/a.c", '#include "net/onnx/onnx.h"\n') == 0
    assert n("engine/run/a.c", "#include <glib.h>\n") == 1
    assert n("plugin/a.c", '#include "base/error.h"\n') == 1
    assert n("apps/a.c", '#include "kerb.h"\n#include <gst/gst.h>\n') == 0
    assert n("calib/a.c", '#include "net/onnx/model.h"\n#include "calib/plan.h"\n') == 0
    assert n("calib/a.c", '#include <gst/gst.h>\n') == 1
    assert n("apps/a.c", '#include <calib/calibrate.h>\n') == 0
    assert n("apps/a.c", '#include "calib/plan.h"\n') == 1
    assert n("engine/run/a.c", '#include "calib/calibrate.h"\n') == 1
    assert n("engine/out/a.c", '#include "../in/in.h"\n') == 1
    assert n("cuda/in/a.c", '#include "in/in.h"\n#include "cuda/base/cuda.h"\n#include <cuda_runtime_api.h>\n') == 0
    assert n("cuda/in/a.c", '#include "cuda/net/conv.h"\n') == 1
    assert n("cuda/run/a.c", '#include "cuda/net/conv.h"\n#include "run/stages.h"\n') == 0
    assert n("engine/run/a.c", '#include "cuda/base/cuda.h"\n') == 1


def main():
    root = pathlib.Path(sys.argv[1])
    self_test()
    files = [f for top in ("engine", "calib", "cuda", "plugin", "apps", "docs") for f in sorted((root / top).rglob("*")) if f.suffix in (".c", ".h", ".cu", ".cuh")]
    if not files:
        sys.exit(f"no sources below {root}")
    found = [v for f in files for v in violations(f.relative_to(root).as_posix(), f.read_text())]
    print("\n".join(found) or f"{len(files)} files keep the rules")
    sys.exit(bool(found))


main()
