# SPDX-License-Identifier: MIT
"""Makes what scripts/bench-peers needs of a network, in build/peers/NAME, where it is not there yet: the model at its fixed size, frames, and what each engine reads.

    prepare.py NAME KIND...      in a process of its own: PyTorch, ONNX and NNCF hold a lot of memory

KINDs: float, frames, input (the tensor that is timed), ncnn, openvino (int8, quantised by NNCF), kerb (int8, by `kerb calibrate`). What cannot be made leaves KIND.txt, which says why; delete it to try again.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import catalogue
from catalogue import ROOT, VIDEO, WORK

sys.path.insert(0, str(ROOT / "scripts/export"))
CALIBRATION_FRAMES = 24
LEAST_OPSET = 13  # from which weights are quantised by channel
GIVE_UP_S = 1500  # for one file of one network


def said(words):
    print(words, flush=True)


def write_float(net):
    """Also of models whose sides are free: no engine then has to find out at run time what is always the same."""
    import onnx
    import onnx.version_converter
    path, card = net.file("float.onnx"), net.file("float.json")
    new = path.with_name("new.onnx")
    if net.random:
        import peer_nets
        peer_nets.export(net.name, new, net.width, net.height)
        new.with_suffix(".pt").replace(net.file("float.pt"))
        card.write_text(json.dumps(catalogue.card_for_random(), indent=2) + "\n")
    else:
        model = onnx.load(str(net.model))
        if model.opset_import[0].version < LEAST_OPSET:
            model = onnx.version_converter.convert_version(model, LEAST_OPSET)
        dims = model.graph.input[0].type.tensor_type.shape.dim
        for dim, value in zip(dims, (1, dims[1].dim_value, net.height, net.width)):
            dim.dim_value = value
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
        onnx.save(onnx.shape_inference.infer_shapes(model), str(new))
        shutil.copy(net.card_file, card)
    new.replace(path)


def write_frames(net):
    """Calibration frames of the first two thirds of the drive, frames to check of the last third: none lies beside one of the other kind."""
    import cv2
    import labels
    net.frames.mkdir(parents=True, exist_ok=True)
    count = int(cv2.VideoCapture(str(VIDEO)).get(cv2.CAP_PROP_FRAME_COUNT)) if VIDEO.exists() else 0
    if not count:
        raise RuntimeError(f"{VIDEO} cannot be read: KERB_DATA says where real frames are")
    first_to_check, checks = 2 * count // 3, catalogue.check_frames(net)
    wanted = {i * first_to_check // CALIBRATION_FRAMES: f"calibrate-{i:02}.png" for i in range(CALIBRATION_FRAMES)}
    wanted |= {first_to_check + 1 + i * (count - first_to_check - 1) // checks: f"check-{i:02}.png" for i in range(checks)}
    for index, rgb in labels.video_frames(VIDEO, 0):
        if index in wanted:
            picture = cv2.resize(rgb[..., ::-1], (net.width, net.height), interpolation=cv2.INTER_AREA)
            if net.gray:
                picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
            cv2.imwrite(str(net.frames / wanted[index]), picture)


def write_input(net):
    import numpy as np

    import engines
    np.save(net.file("input.npy"), engines.tensor_of(net, net.frames / "check-00.png"))


def write_ncnn(net):
    scratch = net.folder / "pnnx"
    scratch.mkdir(exist_ok=True)
    link = scratch / "net.onnx"
    link.unlink(missing_ok=True)
    link.symlink_to(net.file("float.onnx").resolve())
    channels = 1 if net.gray else 3
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(["pnnx", "net.onnx", f"inputshape=[1,{channels},{net.height},{net.width}]", "fp16=0"], cwd=scratch, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", env={**os.environ, "PATH": path}, timeout=GIVE_UP_S)
    made = scratch / "net.ncnn.param"
    if done.returncode or not made.exists():
        raise RuntimeError(f"pnnx cannot convert it (exit code {done.returncode}): {done.stdout.strip().splitlines()[-1:]}")
    (scratch / "net.ncnn.bin").replace(net.file("ncnn.bin"))
    made.replace(net.file("ncnn.param"))
    shutil.rmtree(scratch)


def write_openvino(net):
    import logging

    import nncf
    import openvino

    import engines
    nncf.set_log_level(logging.ERROR)
    model = openvino.Core().read_model(str(net.file("float.onnx")))
    data = nncf.Dataset([engines.tensor_of(net, f) for f in sorted(net.frames.glob("calibrate-*.png"))])
    quantised = nncf.quantize(model, data, preset=nncf.QuantizationPreset.MIXED, subset_size=CALIBRATION_FRAMES)
    openvino.save_model(quantised, str(net.file("new.xml")), compress_to_fp16=False)
    net.file("new.bin").replace(net.file("openvino.bin"))
    net.file("new.xml").replace(net.file("openvino.xml"))


def write_kerb(net):
    """The report of calibration lies beside the model: kerb-calibration.json."""
    command = [ROOT / "scripts/run", "kerb", "calibrate", "--model", net.file("float.onnx"), "--card", net.file("float.json"), "--frames", net.frames / "calibrate-*.png",
               "--most", CALIBRATION_FRAMES, "--network-size", f"{net.width}x{net.height}", "--agreement", net.agreement, "-o", net.file("kerb.onnx"), "--force", "--json", "--quiet"]
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=GIVE_UP_S)
    if done.returncode:
        raise RuntimeError(f"kerb calibrate ended with {done.returncode}: {done.stderr.strip()}")
    net.file("kerb-calibration.json").write_text(done.stdout)


# kind: (what makes it, the file that is written last)
KINDS = {"float": (write_float, "float.onnx"), "frames": (write_frames, None), "input": (write_input, "input.npy"), "ncnn": (write_ncnn, "ncnn.param"), "openvino": (write_openvino, "openvino.xml"),
         "kerb": (write_kerb, "kerb.onnx")}


ALWAYS = ("float", "frames", "input")


def missing(net, kind):
    """Also where it is older than what it was made from. (Frames depend on the size alone; delete the folder of a network with random weights to have it made anew.)"""
    if kind == "frames":
        return not (net.frames / f"check-{catalogue.check_frames(net) - 1:02}.png").exists()
    made = next((f for f in (net.file(KINDS[kind][1]), net.file(f"{kind}.txt")) if f.exists()), None)
    source = net.model if kind == "float" else net.file("float.onnx")
    return made is None or source is not None and source.exists() and made.stat().st_mtime < source.stat().st_mtime


def why_not(net, kind):
    """What KIND.txt says, or None."""
    note = net.file(f"{kind}.txt")
    return note.read_text().strip() if note.exists() else None


def prepare(net, kinds):
    net.folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        if missing(net, kind):
            said(f"{net.name}: making {kind}")
            net.file(f"{kind}.txt").unlink(missing_ok=True)
            try:
                KINDS[kind][0](net)
            except Exception as error:  # whatever a converter raises: the others go on without it
                lines = str(error).strip().splitlines() or [type(error).__name__]
                if kind in ALWAYS:
                    sys.exit(f"{net.name}: {kind}: {lines[0]}")
                net.file(f"{kind}.txt").write_text(lines[0] + "\n")
                said(f"{net.name}: {kind}: {lines[0]}")


def in_a_process(net, kinds):
    """Whether what every candidate needs is there afterwards."""
    if not any(missing(net, kind) for kind in kinds):
        return True
    return subprocess.run([sys.executable, __file__, net.name, *kinds]).returncode == 0


def random_models(names=None):
    """name -> (ONNX file, width, height, scale, mean, std) of the networks with random weights, made where missing."""
    WORK.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, net in catalogue.known().items():
        if net.random and (names is None or name in names) and in_a_process(net, ["float"]):
            said_by_card = net.card()["input"]
            found[name] = (net.file("float.onnx"), net.width, net.height, *(said_by_card[k] for k in ("scale", "mean", "std")))
    return found


if __name__ == "__main__":
    prepare(catalogue.known()[sys.argv[1]], sys.argv[2:])
