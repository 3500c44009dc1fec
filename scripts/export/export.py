#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checkpoint of scripts/train/train.py -> ONNX (opset 17) and its model card, checked against PyTorch through ONNX Runtime and through Kerb.

    scripts/export/export.py runs/drive -o models/drive.onnx [--width 640 | --longer-side 640 | --size 640x352 [--fixed]] [--int8 [--frames 100]]

Writes drive.onnx, drive.json (the card: card.py) and drive-curve.png (how training went). --longer-side, or --size, is what the card tells Kerb; the file itself takes any
size, but for --fixed. --int8 writes a QDQ model (int8, symmetric, per channel; ranges from pictures of the training data). Files appear whole or not at all. Exit code 0;
1 the check failed (nothing is written); 2 wrong usage; 3 checkpoint or data.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/train"))
import card  # noqa: E402
import checkpoint  # noqa: E402
from augment import as_tensor  # noqa: E402
from data import DataError, open_data  # noqa: E402
from train import best_of, trained  # noqa: E402

OPSET = 17
LEAST = {"ONNX Runtime": 0.9999, "Kerb": 0.9999}  # share of pixels with the same label


class Failed(Exception):
    """The check failed; the message says by how much."""


# ---- PyTorch


def channels_of(net):
    return next(m for m in net.modules() if isinstance(m, torch.nn.Conv2d)).in_channels


def write_onnx(net, path, size, free):
    x = torch.zeros(1, channels_of(net), size[1], size[0])
    axes = {"image": {2: "height", 3: "width"}, "scores": {2: "height", 3: "width"}} if free else None
    torch.onnx.export(net, x, str(path), opset_version=OPSET, input_names=["image"], output_names=["scores"], dynamic_axes=axes, dynamo=False)


# ---- checks


def inputs_for(net, size, n=3, seed=1):
    """Smooth pictures, as networks see: noise at several scales."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        x = torch.zeros(1, channels_of(net), size[1], size[0])
        for cells in (4, 16, 64):
            coarse = torch.from_numpy(rng.normal(size=(1, x.shape[1], cells, cells)).astype(np.float32))
            x += torch.nn.functional.interpolate(coarse, size=x.shape[2:], mode="bilinear", align_corners=False)
        yield x


def by_onnxruntime(path, xs):
    import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [session.run(None, {"image": x.numpy()})[0] for x in xs]


def by_kerb(tool, path, size, xs, like):
    command = [str(tool), "--backend", "cpu", "--size", f"{size[0]}x{size[1]}", str(path)]
    done = subprocess.run(command, input=b"".join(x.numpy().tobytes() for x in xs), stdout=subprocess.PIPE, env=os.environ | {"KERB_MODULE_PATH": str(tool.parents[1] / "modules")})
    if done.returncode:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}")
    return list(np.frombuffer(done.stdout, np.float32).reshape(len(xs), *like.shape))


def compare(name, size, expected, got):
    """Prints how near two engines are. Labels may differ where two scores are equal but for rounding, so scores count too."""
    same = np.mean([(e.argmax(1) == g.argmax(1)).mean() for e, g in zip(expected, got)])
    far = max(float(np.abs(e - g).max() / max(np.ptp(e), 1e-30)) for e, g in zip(expected, got))
    print(f"{size[0]}x{size[1]}: {name}: {100 * same:.4f} % of labels as in PyTorch, scores at most {far:.1e} of their range apart")
    if same < LEAST[name] and far > 1e-4:
        raise Failed(f"{name} differs from PyTorch: {100 * same:.4f} % of labels agree ({100 * LEAST[name]} % are needed)")


def check(net, path, sizes, tool):
    for size in sizes:
        xs = list(inputs_for(net, size))
        with torch.no_grad():
            expected = [net(x).numpy() for x in xs]
        compare("ONNX Runtime", size, expected, by_onnxruntime(path, xs))
        if tool.exists():
            compare("Kerb", size, expected, by_kerb(tool, path, size, xs, expected[0]))
        else:
            print(f"{size[0]}x{size[1]}: Kerb: not checked: {tool} is not built (scripts/build)")


# ---- int8


def quantize(net, source, target, state, frames):
    """QDQ by ONNX Runtime's tools: symmetric int8, weights per channel, activations by the ranges of `frames` training pictures."""
    from onnxruntime import quantization as q
    o = state["options"]
    data = open_data(o["data"], None if o["root"] in (None, "None") else o["root"], o["split"].split("+")[0], o.get("merge", ()))
    grey = channels_of(net) == 1

    class Reader(q.CalibrationDataReader):
        def __init__(self):
            step = max(1, len(data) // frames)
            self.items = iter(range(0, min(len(data), step * frames), step))

        def get_next(self):
            i = next(self.items, None)
            if i is None:
                return None
            m, x = net.multiple, as_tensor(data[i][0], state["mean"], state["std"])[None]
            h, w = (s // m * m for s in x.shape[2:])
            return {"image": (x[:, :1] if grey else x)[:, :, :h, :w].numpy()}

    with tempfile.TemporaryDirectory() as folder:
        prepared = pathlib.Path(folder) / "prepared.onnx"
        q.shape_inference.quant_pre_process(str(source), str(prepared))
        q.quantize_static(str(prepared), str(target), Reader(), quant_format=q.QuantFormat.QDQ, per_channel=True, activation_type=q.QuantType.QInt8,
                          weight_type=q.QuantType.QInt8, op_types_to_quantize=["Conv", "Add", "MaxPool", "Concat", "Relu", "Clip"],
                          extra_options={"ActivationSymmetric": True, "WeightSymmetric": True})


# ---- files


def place(files, out):
    """{suffix: bytes, or the path of a file that moves} under the names that belong to `out`, the model last: an interrupted export leaves none, or what was there."""
    for suffix, content in files.items():
        target = out.with_name(out.stem + suffix)
        part = content if isinstance(content, pathlib.Path) else target.with_name(target.name + ".part")
        try:
            if part != content:
                part.write_bytes(content)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def size_of(text):
    w, _, h = text.partition("x")
    return int(w), int(h)


def command(o, run):
    """This export as the recipe names it."""
    out = f"models/{o.out.name}" if o.out.parent.name == "models" else o.out.name
    size = ["--width", str(o.width)] if o.width else ["--longer-side", str(o.longer_side)] if o.longer_side else ["--size", "x".join(map(str, o.size))] if o.size else []
    return ["scripts/export/export.py", f"runs/{run}", "-o", out, *size, *(["--fixed"] if o.fixed else []), *(["--int8", "--frames", str(o.frames)] if o.int8 else [])]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", type=pathlib.Path, help="folder of a run (its best.pt is taken) or a checkpoint")
    p.add_argument("-o", "--out", type=pathlib.Path, required=True)
    p.add_argument("--size", type=size_of, metavar="WxH", help="what the card says; default: the pictures' own, rounded to the network's multiple")
    p.add_argument("--width", type=int, metavar="PX", help="the card says the width, the height follows from the frame's shape")
    p.add_argument("--longer-side", type=int, metavar="PX", help="the card leaves the size to the frame's, the longer side at most this")
    p.add_argument("--fixed", action="store_true", help="the file takes that size alone (default: any)")
    p.add_argument("--int8", action="store_true")
    p.add_argument("--frames", type=int, default=100, help="pictures for the ranges of int8")
    p.add_argument("--kerb", type=pathlib.Path, default=ROOT / "build/release/bin/kerb-net-run", help="Kerb's tool for the check")
    o = p.parse_args()
    beside = o.out.with_name(o.out.stem + ".part.onnx")
    try:
        state = checkpoint.load(best_of(o.run))
        net = trained(state)
        m = net.multiple
        if (o.longer_side or o.width) and (o.size or o.fixed or (o.width and o.longer_side) or (o.longer_side or o.width) < m):
            p.error(f"--width or --longer-side goes without the other, --size and --fixed, and is {m} or more")
        size = o.size or tuple(max(m, s // m * m) for s in state["options"]["crop"])
        if size[0] % m or size[1] % m:
            p.error(f"{state['options']['model']} takes sides that are multiples of {m}, not {size[0]}x{size[1]}")
        states = card.chain(o.run, state)
        o.out.parent.mkdir(parents=True, exist_ok=True)
        write_onnx(net, beside, size, not o.fixed)
        check(net, beside, [size] if o.fixed else [size, (max(m, size[0] // 2 // m * m), max(m, size[1] // 2 // m * m))], o.kerb)
        if o.int8:
            quantized = o.out.with_name(o.out.stem + ".int8.part.onnx")
            quantize(net, beside, quantized, state, o.frames)
            os.replace(quantized, beside)
        told = ("width", o.width) if o.width else ("longer_side", o.longer_side) if o.longer_side else ("width", size[0], "height", size[1])
        curve = card.curve_png(o.run, state, o.out.stem)
        text = card.as_json(card.card_of(states, o.out.stem, told, not o.fixed, o.int8, command(o, card.name_of(o.run))))
        place({**({"-curve.png": curve} if curve else {}), ".json": text.encode(), ".onnx": beside}, o.out)
        print(f"wrote {o.out} ({o.out.stat().st_size / 1e6:.1f} MB), {o.out.with_suffix('.json').name}{' and ' + o.out.stem + '-curve.png' if curve else ''}")
        return 0
    except (checkpoint.CheckpointError, DataError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 3
    except (Failed, OSError) as error:
        print(f"export: {error}; {o.out} was not written", file=sys.stderr)
        return 1
    finally:
        beside.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
