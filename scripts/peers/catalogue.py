# SPDX-License-Identifier: MIT
"""The networks of scripts/bench-peers, and where what is made for them lies. Nothing is made here (prepare.py), and nothing but Python is needed."""
import dataclasses
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/export"))
from environment import DATA, WORK  # noqa: E402

VIDEO = DATA / "video/highway_540p25.mp4"
PRECISIONS = ("f32", "bf16", "int8")
# Who can be asked for what. ONNX Runtime has no bf16 on processors; ncnn's and PyTorch's integers want a way of calibrating of their own.
CANDIDATES = {"kerb": PRECISIONS, "onnxruntime": ("f32", "int8"), "openvino": PRECISIONS, "ncnn": ("f32", "bf16"), "pytorch": ("f32", "bf16")}
PEERS = tuple(name for name in CANDIDATES if name != "kerb")


@dataclasses.dataclass(frozen=True)
class Net:
    name: str
    width: int
    height: int
    model: pathlib.Path | None = None  # None: of random weights (scripts/export/peer_nets.py)
    card_file: pathlib.Path | None = None
    gray: bool = False
    agreement: float = 0  # what `kerb calibrate` is asked for. Random weights: every layer in int8, as NNCF does it, since their near ties are no measure

    @property
    def folder(self):
        return WORK / self.name

    def file(self, kind):
        """float.onnx: the network at its fixed size; float.json: its card; float.pt: its weights; kerb.onnx: int8 by `kerb calibrate`; openvino.xml: int8 by NNCF; ncnn.param."""
        return self.folder / kind

    @property
    def random(self):
        return self.model is None

    def card(self):
        return json.loads(self.file("float.json").read_text())

    @property
    def frames(self):
        """Folder of PNG files of the network's size: calibrate-NN.png, check-NN.png."""
        return WORK / "frames" / f"{self.width}x{self.height}{'-gray' if self.gray else ''}"


def card_for_random():
    """ImageNet's mean and std of values 0..1, as published networks have them; for values 0..255 here."""
    return {"card": 1, "input": {"scale": 1, "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "fit": "stretch"}}


def known():
    """name -> Net, in the order of the report: those of published architectures, TwinLiteNet, the models that ship."""
    random = (("fcn8s-vgg16", 512, 256), ("fcn-resnet18", 1024, 512), ("deeplabv3-resnet50", 512, 256), ("deeplabv3p-mobilenetv2", 512, 256), ("unet-32", 512, 256),
              ("lraspp-mobilenetv3", 1024, 512))
    shipped = (("drive", 640, 352), ("drive-tiny", 640, 352), ("road", 640, 352), ("drive-free", 320, 192), ("m2nist-fcn", 84, 64))
    nets = [Net(*n) for n in random]
    nets.append(Net("twinlitenet", 640, 360, DATA / "models/twinlitenet_360x640.onnx", ROOT / "tests/run/twinlitenet.json", agreement=0.995))
    nets += [Net(name, w, h, ROOT / f"models/{name}.onnx", ROOT / f"models/{name}.json", name == "m2nist-fcn", 0.995) for name, w, h in shipped]
    return {n.name: n for n in nets}


def check_frames(net):
    """How many held-out frames say how often labels agree: half a million pixels, of 4 frames at least."""
    return min(max(4, -(-(1 << 19) // (net.width * net.height))), 32)


def has_bf16():
    """Does this processor multiply bf16? (oneDNN emulates it elsewhere, far slower than f32.)"""
    words = set(pathlib.Path("/proc/cpuinfo").read_text().split())
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
