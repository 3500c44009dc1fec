#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains a segmentation network. docs/training.md explains every choice; scripts/export/export.py makes the ONNX file and its card.

    pip install -r scripts/train/requirements.txt
    scripts/train/train.py --model light --backbone efficientnet-lite0 --pretrained --data camvid --epochs 60 --out runs/drive
    scripts/train/train.py --resume runs/drive            # goes on after a kill, to the same result on the same machine
    torchrun --nproc-per-node 4 scripts/train/train.py ...  # several GPUs

OUT/last.pt is written after every epoch, OUT/best.pt where the mean IoU on the validation split (of the weights' moving average) is the best so far; OUT/log.jsonl has a
line an epoch, OUT/curve.png their picture, OUT/events* is for TensorBoard. Exit code 0 done, 1 stopped by what the message says (NaN loss, damaged checkpoint, full disk),
2 wrong usage, 3 unsound data, 130 interrupted (last.pt is whole).
"""
import argparse
import copy
import ctypes
import json
import math
import os
import pathlib
import random
import sys
import time

import numpy as np
import torch
from torch import distributed
from tqdm import tqdm

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import checkpoint  # noqa: E402
import losses  # noqa: E402
import measure  # noqa: E402
from augment import Augment, as_tensor  # noqa: E402
from data import DATA, DataError, check_classes, open_data  # noqa: E402
from nets import NETS, build, normalisation  # noqa: E402
from nets.backbones import BACKBONES  # noqa: E402


class Stopped(Exception):
    """Training cannot go on; the message says why and what is kept."""


# ---- options


def size(text):
    w, _, h = text.partition("x")
    return int(w), int(h)


def pair(text):
    a, _, b = text.partition(",")
    return float(a), float(b)


def parser_of():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    g = p.add_argument_group("network")
    g.add_argument("--model", default="light", choices=NETS, metavar="NAME", help=", ".join(NETS))
    g.add_argument("--backbone", choices=BACKBONES, metavar="NAME", help=", ".join(BACKBONES))
    g.add_argument("--pretrained", action="store_true", help="the encoder begins with weights from its package (docs/training.md)")
    g.add_argument("--init", type=pathlib.Path, metavar="OUT", help="begins with the weights of another run (best.pt of a folder, or a checkpoint), where names and shapes are the same")
    g.add_argument("--freeze", type=int, default=0, metavar="N", help="the encoder's stem and first N blocks stay as they are (EfficientNet-Lite; 3: up to stride 4)")
    g.add_argument("--width", type=float, help="slims FCN and SegNet (a factor), or sets the width of light and deeplabv3plus (channels)")
    g.add_argument("--option", action="append", default=[], metavar="KEY=JSON", help="any further option of the network (fine=0, output_stride=8, base=32)")
    g = p.add_argument_group("data")
    g.add_argument("--data", default="camvid", choices=DATA, metavar="NAME", help=", ".join(DATA))
    g.add_argument("--root", type=pathlib.Path, help="its folder (default: KERB_DATA/NAME)")
    g.add_argument("--merge", action="append", default=[], metavar="NAME=CLASS,...", help="one class of several; what no --merge names becomes the background (road=road)")
    g.add_argument("--split", default="train", help="train, or train+val for the final weights of a recipe")
    g.add_argument("--crop", type=size, default=(416, 320), metavar="WxH", help="size that is trained on (default 416x320)")
    g.add_argument("--scale", type=pair, default=(0.6, 1.8), metavar="A,B", help="pictures are scaled by A to B before the crop")
    g.add_argument("--weather", type=float, default=0.0, help="share of pictures with made fog, rain, snow, night or glare")
    g.add_argument("--no-flip", action="store_true", help="digits and text must not be mirrored")
    g.add_argument("--plain", action="store_true", help="no change of light, colour, sharpness or noise")
    g = p.add_argument_group("loss")
    g.add_argument("--loss", default="ce", help="ce, focal, ohem, dice, and sums: ce+0.5*dice")
    g.add_argument("--class-weights", default="none", choices=("none", "median", "log", "sqrt"))
    g.add_argument("--border", type=float, default=0, metavar="W0", help="border weights of U-Net (its w0 is 10); ce only")
    g.add_argument("--teacher", type=pathlib.Path, metavar="OUT", help="a run whose network, of the same classes, teaches this one (losses.distilled)")
    g.add_argument("--teach", type=float, default=0.5, metavar="W", help="share of what the teacher says in the loss, 0 to 1 (0.5)")
    g = p.add_argument_group("training")
    g.add_argument("--epochs", type=int, default=60)
    g.add_argument("--batch", type=int, default=8, help="pictures a step, on each device")
    g.add_argument("--optimizer", default="adamw", choices=("adamw", "sgd"))
    g.add_argument("--lr", type=float, default=1.5e-3, help="of what is new; a pretrained encoder gets --encoder-lr times it")
    g.add_argument("--encoder-lr", type=float, default=0.2, help="default 0.2")
    g.add_argument("--weight-decay", type=float, default=1e-2)
    g.add_argument("--schedule", default="cosine", choices=("cosine", "poly", "step"), help="poly: (1 - t)^0.9; step: a tenth at 60 and at 85 %%")
    g.add_argument("--warm-up", type=float, default=0.05, help="share of the steps")
    g.add_argument("--ema", type=float, default=0.995, help="decay of the weights' moving average a step, which is what is judged and exported; 0: none")
    g.add_argument("--amp", default="auto", choices=("auto", "off", "bf16", "fp16"), help="mixed precision; auto: bf16 where the processor or GPU has it")
    g.add_argument("--seed", type=int, default=1)
    g.add_argument("--workers", type=int, default=1, help="processes that prepare pictures")
    g.add_argument("--threads", type=int, default=0, help="of PyTorch; 0: its own choice")
    g.add_argument("--device", default="auto", help="auto, cpu, cuda")
    g.add_argument("--eval-every", type=int, default=5, help="epochs")
    g.add_argument("--eval-size", type=size, metavar="WxH", help="the validation pictures are judged with the network at this size (default: their own), as Kerb will run it")
    g.add_argument("--out", type=pathlib.Path, help="folder of the run")
    g.add_argument("--resume", type=pathlib.Path, metavar="OUT", help="goes on with a run; its options are kept, --epochs may not change")
    return p


def parse_options(argv=None):
    p = parser_of()
    o = p.parse_args(argv)
    if not o.out and not o.resume:
        p.error("--out says where the run is kept (or --resume which one goes on)")
    if o.epochs < 1 or o.batch < 1 or min(o.crop) < 8:
        p.error("epochs and batch are 1 or more, the crop's sides 8 or more")
    return o


def net_options(o):
    options = {"backbone": o.backbone} if o.backbone else {}
    if o.pretrained:
        options["pretrained"] = True
    if o.width:
        options["width"] = int(o.width) if o.width >= 8 else o.width
    for item in o.option:
        key, _, value = item.partition("=")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


# ---- what a step is fed with


class Prepared(torch.utils.data.Dataset):
    """Pair i of epoch e, changed by a generator of (seed, epoch, i): the same whoever prepares it, so that a resumed run sees what the first would have."""

    def __init__(self, data, augment, mean, std, seed, border, grey):
        self.data, self.augment, self.mean, self.std, self.seed, self.border, self.grey, self.epoch = data, augment, mean, std, seed, border, grey, 0

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        picture, labels = self.augment(*self.data[i], np.random.default_rng((self.seed, self.epoch, i)))
        x = as_tensor(picture, self.mean, self.std)
        weights = losses.border_weights(labels, self.border) if self.border else np.zeros(0, np.float32)
        return x[:1] if self.grey else x, torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(weights)


class Joined:
    """Several splits as one."""

    def __init__(self, parts):
        self.parts, self.classes = parts, parts[0].classes
        self.index = [(p, i) for p in parts for i in range(len(p))]

    def __len__(self):
        return len(self.index)

    def name(self, i):
        part, k = self.index[i]
        return part.name(k)

    def __getitem__(self, i):
        part, k = self.index[i]
        return part[k]


def order(n, seed, epoch, rank, world, batch):
    """This process's share of epoch's order, in whole batches of all processes together (fewer than one: repeated to make one)."""
    each = np.random.default_rng((seed, epoch)).permutation(n)
    whole = batch * world
    if n < whole:
        each = np.resize(each, whole)
    return each[:len(each) // whole * whole][rank::world].tolist()


# ---- how weights move


def parameter_groups(net, o):
    """Encoder and the rest, each with and without weight decay (norms and biases have none)."""
    groups = {}
    for name, p in net.named_parameters():
        if not p.requires_grad:
            continue
        slow = (o.pretrained or o.init) and name.startswith("backbone.")
        groups.setdefault((slow, p.dim() > 1), []).append(p)
    return [{"params": ps, "lr": o.lr * (o.encoder_lr if slow else 1), "weight_decay": o.weight_decay if decay else 0.0} for (slow, decay), ps in groups.items()]


def factor(kind, warm, done, steps):
    """Of the learning rate at step `done` of `steps`, after a linear beginning of `warm` steps."""
    if done < warm:
        return (done + 1) / warm
    t = (done - warm) / max(1, steps - warm)
    if kind == "poly":
        return max(0.0, 1 - t) ** 0.9
    if kind == "step":
        return 0.1 ** ((t >= 0.6) + (t >= 0.85))
    return 0.5 * (1 + math.cos(math.pi * min(1, t)))


def best_of(source):
    return source / "best.pt" if source.is_dir() else source


def trained(state):
    """The network of a checkpoint, ready for use: the moving average where there is one."""
    options = argparse.Namespace(**state["options"])
    options.pretrained = False
    net = build(options.model, len(state["classes"]), **net_options(options))
    net.load_state_dict(state["average"] or state["net"])
    return net.eval()


def normalisation_of(state):
    return tuple(state["mean"]), tuple(state["std"])


def begin_with(net, source):
    """Takes over what another run learned, the moving average where it has one. CheckpointError where nothing fits."""
    path = best_of(source)
    state = checkpoint.load(path)
    theirs, mine = state["average"] or state["net"], net.state_dict()
    if hasattr(net, "slim_state"):
        net.slim_state(theirs)
    fits = {k: v for k, v in theirs.items() if k in mine and mine[k].shape == v.shape}
    if not fits:
        raise checkpoint.CheckpointError(f"{path} has no tensor of the same name and shape: it is of another network")
    net.load_state_dict(mine | fits)
    print(f"begins with {len(fits)} of {len(mine)} tensors of {path}", flush=True)


class Average:
    """Exponential moving average of all weights (norms' statistics too); younger than 1 / (1 - decay) steps it follows faster."""

    def __init__(self, net, decay):
        self.net, self.decay, self.n = copy.deepcopy(net).eval(), decay, 0
        for p in self.net.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def add(self, net):
        self.n += 1
        d = min(self.decay, (1 + self.n) / (10 + self.n))
        for mine, new in zip(self.net.state_dict().values(), net.state_dict().values()):
            mine.lerp_(new, 1 - d) if mine.is_floating_point() else mine.copy_(new)


# ---- the run


class Run:
    def __init__(self, o):
        self.o = o
        self.world, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        self.main = self.rank == 0
        self.device = torch.device(o.device if o.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
        if self.world > 1:
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
            if self.device.type == "cuda":
                self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
                torch.cuda.set_device(self.device)
        if o.threads:
            torch.set_num_threads(o.threads)
        random.seed(o.seed)
        np.random.seed(o.seed)
        torch.manual_seed(o.seed)
        parts = [open_data(o.data, o.root, s, o.merge) for s in o.split.split("+")]
        self.train = parts[0] if len(parts) == 1 else Joined(parts)
        self.val = open_data(o.data, o.root, "val", o.merge)
        check_classes(self.train)
        self.classes = self.train.classes
        self.net = build(o.model, len(self.classes), **net_options(o)).to(self.device)
        self.net.grey = self.net_grey()
        if o.init and not o.resume:
            begin_with(self.net, o.init)
        if o.freeze:
            if not hasattr(getattr(self.net, "backbone", None), "freeze"):
                raise ValueError("--freeze: only EfficientNet-Lite's blocks can be frozen")
            self.net.backbone.freeze(o.freeze)
        self.mean, self.std = normalisation(self.net)
        self.channels_last = self.device.type == "cpu" or torch.cuda.is_available()
        if self.channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
        augment = Augment(*o.crop, scale=o.scale, flip=0 if o.no_flip else 0.5, weather=o.weather, **({"light": 0, "color": 0, "gamma": 0, "blur": 0, "noise": 0, "jpeg": 0, "aspect": 0} if o.plain else {}))
        if self.net.grey:
            augment.fill = (0, 0, 0)
        self.prepared = Prepared(self.train, augment, self.mean, self.std, o.seed, o.border, self.net.grey)
        self.loss = losses.parse(o.loss, losses.class_weights(o.class_weights, self.train, len(self.classes))).to(self.device)
        self.teacher = self.open_teacher() if o.teacher else None
        groups = parameter_groups(self.net, o)
        self.optimizer = torch.optim.AdamW(groups) if o.optimizer == "adamw" else torch.optim.SGD(groups, momentum=0.9, nesterov=True)
        self.rates = [g["lr"] for g in groups]
        self.average = Average(self.net, o.ema) if o.ema else None
        self.wrapped = torch.nn.parallel.DistributedDataParallel(self.net) if self.world > 1 else self.net
        self.amp = self.choose_amp()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp == torch.float16)
        self.steps_each = max(1, len(self.train) // (o.batch * self.world))
        self.epoch = self.step = 0
        self.best, self.log, self.writer = -1.0, [], None

    def net_grey(self):
        first = next(m for m in self.net.modules() if isinstance(m, torch.nn.Conv2d))
        return first.in_channels == 1

    def open_teacher(self):
        state = checkpoint.load(best_of(self.o.teacher))
        if state["classes"] != self.classes or normalisation_of(state) != (tuple(self.mean), tuple(self.std)):
            raise ValueError(f"--teacher {self.o.teacher}: other classes or another normalisation than {self.o.model} on {self.o.data}")
        net = trained(state).to(self.device)
        return net.to(memory_format=torch.channels_last) if self.channels_last else net

    def choose_amp(self):
        if self.o.amp == "off":
            return None
        if self.o.amp == "fp16":
            return torch.float16
        fast = torch.cuda.is_bf16_supported() if self.device.type == "cuda" else "avx512_bf16" in cpu_flags() or "amx_bf16" in cpu_flags()
        return torch.bfloat16 if self.o.amp == "bf16" or fast else None

    def judged(self):
        return self.average.net if self.average else self.net

    def state(self):
        return {"net": self.net.state_dict(), "average": self.average.net.state_dict() if self.average else None, "average_steps": self.average.n if self.average else 0,
                "optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict(), "epoch": self.epoch, "step": self.step, "best": self.best, "log": self.log,
                "torch_rng": torch.get_rng_state(), "classes": self.classes, "mean": list(self.mean), "std": list(self.std), "pictures": len(self.train), "made": getattr(self.train, "made", None),
                "options": {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in vars(self.o).items()}}

    def restore(self, state):
        self.net.load_state_dict(state["net"])
        if self.average:
            self.average.net.load_state_dict(state["average"])
            self.average.n = state["average_steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.step, self.best, self.log = state["epoch"], state["step"], state["best"], state["log"]
        torch.set_rng_state(state["torch_rng"])

    def run(self):
        if self.main:
            self.o.out.mkdir(parents=True, exist_ok=True)
            count = sum(p.numel() for p in self.net.parameters())
            print(f"{self.o.model}: {count / 1e6:.2f} M parameters, {len(self.train)} + {len(self.val)} pictures, {self.device}, {str(self.amp or 'float32').removeprefix('torch.')}", flush=True)
            self.open_tensorboard()
        while self.epoch < self.o.epochs:
            began = time.time()
            loss = self.run_epoch()
            self.epoch += 1
            entry = {"epoch": self.epoch, "step": self.step, "loss": round(loss, 5), "seconds": round(time.time() - began, 1)}
            if self.main and (self.epoch % self.o.eval_every == 0 or self.epoch == self.o.epochs):
                found = measure.evaluate(self.judged(), self.val, self.mean, self.std, self.o.eval_size, self.device)
                entry |= {k: found[k] for k in ("miou", "pixel_accuracy", "mean_accuracy")} | {"iou": found["iou"]} | measure.without_background(found["iou"], self.classes)
            if self.main:
                self.report(entry)
            if self.world > 1:
                distributed.barrier()

    def run_epoch(self):
        self.prepared.epoch = self.epoch
        mine = order(len(self.train), self.o.seed, self.epoch, self.rank, self.world, self.o.batch)
        # A generator of its own: the loader otherwise draws its seed from PyTorch's, which dropout uses, and resumed runs would differ.
        loader = torch.utils.data.DataLoader(self.prepared, self.o.batch, sampler=mine, num_workers=self.o.workers, generator=torch.Generator().manual_seed(self.o.seed),
                                             drop_last=True, pin_memory=self.device.type == "cuda")
        self.wrapped.train()
        total, steps = 0.0, self.o.epochs * self.steps_each
        bar = tqdm(loader, f"epoch {self.epoch + 1}/{self.o.epochs}", leave=False, disable=not self.main or not sys.stderr.isatty())
        for x, labels, border in bar:
            scale = factor(self.o.schedule, max(1, round(self.o.warm_up * steps)), self.step, steps)
            for group, rate in zip(self.optimizer.param_groups, self.rates):
                group["lr"] = rate * scale
            loss = self.run_step(x, labels, border)
            if not math.isfinite(loss):
                raise Stopped(f"the loss is {loss} at step {self.step} (epoch {self.epoch + 1}): the weights of {self.o.out}/last.pt, from the end of epoch {self.epoch}, are the last good "
                              "ones; try a lower --lr, a longer --warm-up, or --amp off")
            total += loss
            self.step += 1
            bar.set_postfix(loss=f"{loss:.3f}")
        return total / max(1, len(loader))

    def run_step(self, x, labels, border):
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        x, labels = x.to(self.device, memory_format=layout, non_blocking=True), labels.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, self.amp or torch.bfloat16, enabled=self.amp is not None):
            scores = self.wrapped(x)
        loss = self.loss(scores, labels, border.to(self.device) if border.numel() else None)
        if self.teacher:
            with torch.no_grad(), torch.autocast(self.device.type, self.amp or torch.bfloat16, enabled=self.amp is not None):
                said = self.teacher(x)
            loss = (1 - self.o.teach) * loss + self.o.teach * losses.distilled(scores, said)
        value = loss.item()
        if not math.isfinite(value):
            return value
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            self.average.add(self.net)
        return value

    # ---- what is said and kept

    def open_tensorboard(self):
        try:
            from torch.utils.tensorboard import SummaryWriter
            self.writer = SummaryWriter(str(self.o.out))
        except ImportError:
            print("TensorBoard is not installed: no events are written", flush=True)

    def report(self, entry):
        self.log.append(entry)
        line = f"epoch {entry['epoch']:3}  loss {entry['loss']:.4f}  {entry['seconds']:.0f} s"
        if "miou" in entry:
            line += f"  val mIoU {100 * entry['miou']:.2f}  " + (f"without background {100 * entry['miou_without_background']:.2f}  " if "miou_without_background" in entry else "")
            line += " ".join(f"{c['name']} {100 * v:.0f}" for c, v in zip(self.classes, entry["iou"]) if v is not None)
        better = entry.get("miou", -1) > self.best
        if better:
            self.best = entry["miou"]
        checkpoint.save(self.o.out / "last.pt", self.state())
        if better:
            checkpoint.save(self.o.out / "best.pt", self.state())
        with open(self.o.out / "log.jsonl", "a") as f:
            f.write(json.dumps(entry) + "\n")
        print(line, flush=True)  # what is said is kept
        draw_curve(self.log, self.o.out / "curve.png", f"{self.o.model} on {self.o.data}")
        if self.writer:
            self.write_events(entry)

    def write_events(self, entry):
        self.writer.add_scalar("loss", entry["loss"], self.step)
        if "miou" in entry:
            self.writer.add_scalar("val/mIoU", entry["miou"], self.step)
            for k in range(min(3, len(self.val))):
                self.writer.add_image(f"val/{self.val.name(k)}", predicted(self, k), self.step, dataformats="HWC")
        self.writer.flush()


def predicted(run, k):
    """Picture, truth and prediction side by side, RGB uint8."""
    picture, truth = run.val[k]
    net = run.judged()
    was = net.training
    labels = measure.labels_of(net.eval(), picture, run.mean, run.std, run.o.eval_size, run.device)
    net.train(was)
    colors = np.zeros((256, 3), np.uint8)
    for i, c in enumerate(run.classes):
        colors[i] = c["color"]
    return np.concatenate([picture, colors[truth], colors[labels]], 1)


def draw_curve(log, path, title):
    """Loss and mean IoU over epochs as a PNG; without matplotlib there is none."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    figure, left = plt.subplots(figsize=(7, 4), dpi=100)
    left.plot([e["epoch"] for e in log], [e["loss"] for e in log], color="tab:gray", label="loss")
    left.set_xlabel("epoch")
    left.set_ylabel("training loss")
    judged = [e for e in log if "miou" in e]
    if judged:
        right = left.twinx()
        right.plot([e["epoch"] for e in judged], [100 * e["miou"] for e in judged], "o-", color="tab:blue", markersize=3)
        right.set_ylabel("validation mean IoU, %", color="tab:blue")
    left.set_title(title)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def keep_memory():
    """glibc gives blocks of megabytes back to the kernel with every free(), and the kernel clears them anew with every malloc(): two fifths of a step's time on a CPU.
    The heap keeps them instead (mallopt(3)); elsewhere nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for parameter, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            mallopt(parameter, value)


def cpu_flags():
    try:
        return pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def resumed(o):
    """The run of o.resume with its own options; the machine's (device, workers, threads) are this call's."""
    state = checkpoint.load(o.resume / "last.pt")
    kept = argparse.Namespace(**vars(parse_options(["--out", str(o.resume)])) | state["options"])  # options younger than the run: their defaults
    kept.root = pathlib.Path(kept.root) if kept.root else None
    kept.out, kept.resume = o.resume, o.resume
    kept.teacher = pathlib.Path(kept.teacher) if kept.teacher else None
    kept.crop, kept.scale, kept.eval_size = tuple(kept.crop), tuple(kept.scale), kept.eval_size and tuple(kept.eval_size)
    kept.device, kept.workers, kept.threads = o.device, o.workers, o.threads
    run = Run(kept)
    run.restore(state)
    return run


def main(argv=None):
    o = parse_options(argv)
    keep_memory()
    try:
        run = resumed(o) if o.resume else Run(o)
        run.run()
        if run.main:
            print(f"best validation mIoU {100 * run.best:.2f}: {run.o.out}/best.pt")
        return 0
    except DataError as error:
        print(f"train: {error}", file=sys.stderr)
        return 3
    except ValueError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    except (Stopped, checkpoint.CheckpointError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"train: interrupted; --resume {o.resume or o.out} goes on from the end of the last whole epoch", file=sys.stderr)
        return 130
    finally:
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
