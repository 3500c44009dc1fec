# SPDX-License-Identifier: MIT
"""The steps of scripts/gpu-check. Each is a function of a Context and the Section that it writes into; an exception is its failure, and nobody else's."""
import dataclasses
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import threading
import time

import timeline

ROOT = pathlib.Path(__file__).resolve().parents[2]
COUNTS = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")
FRAME = (1280, 720)


@dataclasses.dataclass
class Model:
    name: str
    title: str
    path: pathlib.Path
    width: int
    height: int
    parity: bool = True
    speed: bool = True


class Failure(Exception):
    """What a step found wrong, in a sentence."""


class Missing(Exception):
    """What is not there, so that a step cannot be done."""


class Context:
    def __init__(self, options, bundle, scratch, report):
        self.options, self.bundle, self.scratch, self.report = options, bundle, scratch, report
        self.models, self.peers, self.measured, self.running = {}, {}, {}, {}
        self.rehearsal = options.standin or options.backend != "cuda"
        self.deadline = time.monotonic() + options.minutes * 60
        self.environment = dict(os.environ)
        if options.standin:
            self.environment["KERB_BUNDLE_STANDIN"] = "1"
        self.environment.setdefault("KERB_PLAN_CACHE", str(scratch / "plans"))

    def left(self):
        return self.deadline - time.monotonic()

    def run(self, *command, timeout=60, environment=None, data=None, check=True):
        """Runs a command of the bundle. Raises Failure where it fails (unless check is False) or takes too long."""
        words = [str(self.bundle / "run"), *map(str, command)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE if data else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**self.environment, **(environment or {})})
        self.running[threading.get_ident()] = process
        try:
            out, errors = process.communicate(data, timeout=max(min(timeout, self.left()), 1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failure(f"{' '.join(map(str, command))[:200]}: took longer than {timeout:.0f} s") from None
        finally:
            self.running.pop(threading.get_ident(), None)
        done = subprocess.CompletedProcess(command, process.returncode, out, errors)
        done.text = out.decode(errors="replace")
        done.errors = errors.decode(errors="replace")
        if check and done.returncode:
            raise Failure(f"{' '.join(map(str, command))[:200]}: exit code {done.returncode}: {(done.errors or done.text).strip()[-600:]}")
        return done

    def stop(self, thread):
        """Ends what a step runs that is cut off."""
        process = self.running.get(thread)
        if process:
            process.kill()

    def tool(self, name):
        if not (self.bundle / "bin" / name).exists():
            raise Missing(f"{name} is not in the bundle")
        return name

    def bench(self, model, *more, environment=None, timeout=60):
        """kerb bench's report of one model."""
        size = "{}x{}".format(model.width, model.height)
        words = ["kerb", "bench", "--json", "--model", model.path, "--backend", self.options.backend, *(["--size", size] if "--size" not in more else []), *more]
        return json.loads(self.run(*words, environment=environment, timeout=timeout).text)


# ------------------------------------------------------------------------------------------------------------ the machine

def machine(c, section):
    rows = []
    for command in (["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit", "--format=csv,noheader"], ["nvcc", "--version"]):
        if shutil.which(command[0]):
            text = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
            rows.append((command[0], text.splitlines()[-1] if text else "says nothing"))
    for name in ("torch", "onnx", "onnxruntime", "numpy"):
        try:
            rows.append((name, __import__(name).__version__))
        except ImportError:
            rows.append((name, "not there"))
    rows.append(("processor cores", len(os.sched_getaffinity(0))))
    section.table(("", ""), rows)
    section.code(c.run("kerb", "devices", timeout=30).text)
    usable = [d for d in json.loads(c.run("kerb", "devices", "--json", timeout=30).text)["backends"] if d["name"] == c.options.backend and d["usable"]]
    if not usable:
        raise Failure(f"the backend {c.options.backend} cannot be used here")


# -------------------------------------------------------------------------------------------------- kernels, operators

def counted(c, section, what, must, *command, timeout, show=False):
    """A tool whose last line is `N passed, N failed, N skipped`. show: what it prints goes into the report (times)."""
    done = c.run(*command, timeout=timeout, check=False)
    found = COUNTS.findall(done.text + done.errors)
    if not found:
        raise Failure(f"{command[0]}: exit code {done.returncode}, and no count: {(done.errors or done.text).strip()[-500:]}")
    passed, failed, skipped = map(int, found[-1])
    if failed or done.returncode:
        section.code("\n".join(line for line in (done.text + done.errors).splitlines() if "fail" in line.lower() or "not " in line.lower()) or done.text)
    elif show:
        section.code(done.text, 80)
    c.report.figure(what, must, f"{passed} passed, {failed} failed, {skipped} skipped", failed == 0 and passed > 0 and done.returncode == 0)


def kernels(c, section):
    counted(c, section, "own kernels against their twins in C", "0 failed", c.tool("kerb-cuda-kernels"), timeout=60, show=True)


def stages(c, section):
    counted(c, section, "in and out against the CPU's", "0 failed", c.tool("kerb-cuda-stages"), timeout=60, show=True)


def conformance(c, section):
    folder, archive = c.scratch / "cases", c.bundle / "models/onnx_cases.tar.gz"
    if archive.exists():
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        folders, source = [folder], "the bundle's"
    else:  # newer onnx packages hold few of them as files
        import onnx.backend.test
        data = pathlib.Path(onnx.backend.test.__file__).parent / "data"
        folders, source = [data / name for name in ("node", "simple", "pytorch-operator") if (data / name).is_dir()], f"those of pip's onnx {onnx.__version__}"
    section.say(f"Cases: {source}.")
    counted(c, section, "ONNX operators (kerb-conformance)", "0 failed", c.tool("kerb-conformance"), "--backend", c.options.backend, *folders, timeout=100)


def convolutions(c, section):
    import cases
    folder = c.scratch / "convolutions"
    count = 40 if c.rehearsal else 300
    cases.write(folder, count, seed=int(time.time()) % 100000)
    section.say(f"{count} drawn anew for this run; the seed is in the names.")
    counted(c, section, "drawn convolutions against PyTorch in double precision", "0 failed", c.tool("kerb-conformance"), "--backend", c.options.backend, folder, timeout=100)


# ----------------------------------------------------------------------------------------------------------------- parity

def pictures(c, model, count):
    """Camera pictures as the network's input: (count, 1, 3, H, W), 0..1."""
    import numpy as np
    clip = c.bundle / "clips/drive.avi"
    raw = c.scratch / f"{model.name}.rgb"
    source = ["filesrc", f"location={clip}", "!", "avidemux", "!", "jpegdec"] if clip.exists() else ["videotestsrc", f"num-buffers={count}", "pattern=ball"]
    c.run("gst-launch-1.0", "-q", *source, "!", "videoconvert", "!", "videoscale", "!", f"video/x-raw,format=RGB,width={model.width},height={model.height}", "!",
          "filesink", f"location={raw}", timeout=40)
    stride = (3 * model.width + 3) // 4 * 4
    frames = np.fromfile(raw, np.uint8).reshape(-1, model.height, stride)[:, :, :3 * model.width].reshape(-1, model.height, model.width, 3)
    raw.unlink()
    step = max(len(frames) // count, 1)
    return np.ascontiguousarray(frames[::step][:count, None].transpose(0, 1, 4, 2, 3), np.float32) / 255


def outputs(c, model, x, backend, precision, timeout):
    """A list of outputs for each input, by kerb-net-run. Their shapes are those of `like`."""
    done = c.run(c.tool("kerb-net-run"), "--backend", backend, "--precision", precision, "--size", f"{model.width}x{model.height}", model.path, data=x.tobytes(), timeout=timeout)
    return done.stdout


def reference(c, model, x):
    """ONNX Runtime's outputs in f32, or those of Kerb's plain backend where it is not there."""
    import numpy as np
    try:
        import onnxruntime
    except ImportError:
        onnxruntime = None
    if onnxruntime:
        session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
        return "ONNX Runtime", [session.run(None, {session.get_inputs()[0].name: frame}) for frame in x]
    raw = np.frombuffer(outputs(c, model, x, "ref", "f32", 90), np.float32)
    import onnx
    shapes = [[d.dim_value for d in o.type.tensor_type.shape.dim] for o in onnx.load(model.path, load_external_data=False).graph.output]
    return "ref", split(raw, shapes, len(x))


def split(raw, shapes, count):
    import numpy as np
    found, at = [], 0
    for _ in range(count):
        one = []
        for shape in shapes:
            n = int(np.prod(shape))
            one.append(raw[at:at + n].reshape(shape))
            at += n
        found.append(one)
    if at != len(raw):
        raise Failure(f"{len(raw)} values came where {at} were expected")
    return found


LIMITS = {"f32": 0.9999, "tf32": 0.999, "f16": 0.999, "bf16": 0.999}


def parity(c, section):
    import numpy as np
    section.say("Share of pixels with the same argmax, and the greatest distance of two scores as a share of the reference's range.")
    precisions = next(d["precisions"] for d in json.loads(c.run("kerb", "devices", "--json").text)["backends"] if d["name"] == c.options.backend)
    rows, worst = [], {}
    for model in [m for m in c.models.values() if m.parity]:
        try:
            x = pictures(c, model, 2 if c.rehearsal else 4)
            name, wanted = reference(c, model, x)
            shapes = [w.shape for w in wanted[0]]
            for precision in [p for p in LIMITS if p in precisions]:
                got = split(np.frombuffer(outputs(c, model, x, c.options.backend, precision, 60), np.float32), shapes, len(x))
                same = total = 0
                distance = 0.0
                for a, b in zip(got, wanted):
                    for mine, theirs in zip(a, b):
                        same += int((mine.argmax(1) == theirs.argmax(1)).sum())
                        total += theirs.argmax(1).size
                        distance = max(distance, float(np.abs(mine - theirs).max() / max(theirs.max() - theirs.min(), 1e-9)))
                        if not np.isfinite(mine).all():
                            distance = float("inf")
                agreement = same / total
                rows.append((model.title, precision, name, f"{100 * agreement:.4f} %", f"{distance:.2e}"))
                worst.setdefault(precision, []).append((agreement, model.title))
        except (Failure, Missing) as e:
            rows.append((model.title, "", "", f"not run: {str(e)[:300]}", ""))
            worst.setdefault("f32", []).append((0.0, model.title))
    section.table(("network", "precision", "against", "argmax", "distance"), rows)
    for precision, found in worst.items():
        least, title = min(found)
        c.report.figure(f"parity, {precision}, {len(found)} networks", f">= {100 * LIMITS[precision]:.2f} %", f"{100 * least:.4f} % ({title})", least >= LIMITS[precision])


# ------------------------------------------------------------------------------------------------------------------ speed

class Peer:
    """torch_peer.py, compiled and waiting; see there."""

    def __init__(self, c, model, kind):
        self.names, self.why, self.kind, self.log = [], None, kind, c.scratch / f"peer-{model.name}-{kind}.log"
        words = [sys.executable, str(ROOT / "scripts/gpu/torch_peer.py"), str(model.path), str(model.width), str(model.height), kind]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1)
        os.set_blocking(self.process.stdout.fileno(), False)

    def ready(self, timeout):
        """Waits for its first line."""
        end = time.monotonic() + timeout
        while not self.names and self.process.poll() is None and time.monotonic() < end:
            line = self.process.stdout.readline()
            if line.startswith("ready"):
                self.names = line.split()[1:]
            else:
                time.sleep(0.1)
        if not self.names:
            self.why = "not compiled in time" if self.process.poll() is None else self.log.read_text()[-300:].strip()
            self.close()
            return False
        os.set_blocking(self.process.stdout.fileno(), True)
        return True

    def measure(self, name, runs):
        self.process.stdin.write(f"{name} {runs}\n")
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()


def start_peers(c):
    kinds = ["plain"] if c.rehearsal else ["cuda-graph", "max-autotune"] if c.options.compile else ["cuda-graph"]
    for model in [m for m in c.models.values() if m.speed]:
        c.peers[model.name] = [Peer(c, model, kind) for kind in kinds]


def speed_of(c, model, peers, rounds, runs):
    """name -> medians in ms over the rounds, in which all take turns: "net" and "frame" of Kerb, and each peer."""
    found = {}
    for _ in range(rounds):
        report = c.bench(model, "--library", "--visualize", "none", "--frames", runs, "--precision", c.options.precision)["library"]
        found.setdefault("net", []).append(report["stages_ms"]["net"]["median"])
        found.setdefault("frame", []).append(report["frame_ms"]["median"])
        c.measured[model.name] = report
        for peer in peers:
            found.setdefault(peer.kind, []).append(statistics.median(peer.measure(peer.names[0], runs)))
    return {name: statistics.median(values) for name, values in found.items()}


def speed(c, section):
    section.say(f"Medians of interleaved rounds, ms. `net`: the network alone, by the GPU's events, inside the pipelined run; `frame`: from one mask to the next, {c.options.precision}.",
                "PyTorch: the same ONNX file, half precision, channels last. Its compilation ran beside this run's functional tests, one network at a time.")
    rows, ratios, piped = [], [], []
    rounds, runs = (1, 5) if c.rehearsal else (3, 200)
    until = min(time.monotonic() + 130, c.deadline - 120)  # the rest of the step is for measuring
    for model in [m for m in c.models.values() if m.speed]:
        peers = c.peers.get(model.name, [])
        there = [peer for peer in peers if peer.ready(max(until - time.monotonic(), 1))]
        absent = "; ".join(f"{peer.kind}: {peer.why}" for peer in peers if peer.why)
        if absent:
            section.say(f"{model.title}: {absent}")
        try:
            ms = speed_of(c, model, there, rounds, runs)
        except Failure as e:
            rows.append((model.title, f"{model.width}x{model.height}", f"not run: {str(e)[:300]}", "", "", "", ""))
            continue
        theirs = {name: value for name, value in ms.items() if name not in ("net", "frame")}
        best = min(theirs.values(), default=None)
        if best and ms["net"] > 0:
            ratios.append((best / ms["net"], model.title))
        if ms["net"] > 0:
            piped.append((ms["frame"] / ms["net"], model.title))
        rows.append((model.title, f"{model.width}x{model.height}", f"{ms['net']:.3f}", ", ".join(f"{n} {v:.3f}" for n, v in theirs.items()) or "not there",
                     f"{best / ms['net']:.2f}x" if best and ms["net"] > 0 else "", f"{ms['frame']:.3f}", f"{ms['frame'] / ms['net']:.2f}x" if ms["net"] > 0 else ""))
        for peer in there:
            peer.close()
    section.table(("network", "input", "net", "PyTorch", "times as fast", "frame", "frame / net"), rows)
    if ratios:
        least, title = min(ratios)
        c.report.figure(f"network alone against the best of PyTorch, {len(ratios)} networks", ">= 1.2x", f"{least:.2f}x ({title})", least >= 1.2)
    else:
        raise Failure("no network was measured against PyTorch")
    worst, title = max(piped)
    c.report.figure("frame in to mask out, pipelined, against the network alone", "<= 1.1x", f"{worst:.2f}x ({title})", worst <= 1.1)


def element(c, section):
    section.say(f"{FRAME[0]}x{FRAME[1]} I420 in, overlay out: the library with page-locked frames, and kerbseg in a pipeline with its own pool.")
    rows, least, copies = [], None, 0
    for model in [m for m in c.models.values() if m.speed]:
        found = {"library": [], "element": []}
        for _ in range(1 if c.rehearsal else 3):
            report = c.bench(model, "--size", "{}x{}".format(*FRAME), *(("--frames", "5") if c.rehearsal else ("--seconds", "1")), "--precision", c.options.precision, timeout=90)
            for path in found:
                found[path].append(report[path]["fps"])
        mine, whole = statistics.median(found["element"]), statistics.median(found["library"])
        copies = max(copies, report["element"]["host_copy_bytes"])
        least = min(least or (mine / whole, model.title), (mine / whole, model.title))
        moved = report["element"]
        rows.append((model.title, f"{whole:.1f}", f"{mine:.1f}", f"{100 * mine / whole:.1f} %", moved["up_bytes"], moved["down_bytes"], moved["host_copy_bytes"]))
    section.table(("network", "library fps", "element fps", "", "bytes up", "bytes down", "copied on the host"), rows)
    c.report.figure("picture out through kerbseg against the engine's own rate", ">= 95 %", f"{100 * least[0]:.1f} % ({least[1]})", least[0] >= 0.95)
    c.report.figure("bytes copied on the host, a frame", "0", copies, copies == 0)
    clip = c.bundle / "clips/drive.avi"
    if clip.exists():
        model = next(iter(c.models.values()))
        words = ["gst-launch-1.0", "-q", "filesrc", f"location={clip}", "!", "avidemux", "!", "jpegdec", "!", "kerbseg", f"model-file={model.path}", f"backend={c.options.backend}"]
        c.run(*words, "!", "videoconvert", "!", "fakesink", timeout=60)
        section.say(f"`gst-launch-1.0 ... avidemux ! jpegdec ! kerbseg backend={c.options.backend} ! videoconvert ! fakesink` ran to its end.")
        nvdec(c, section, model)


def nvdec(c, section, model):
    """H.264 through NVDEC, frames that never come down."""
    clip = c.bundle / "clips/drive.mp4"
    if c.rehearsal or not clip.exists() or c.run("gst-inspect-1.0", "nvh264dec", check=False, timeout=30).returncode:
        section.say("NVDEC: not run (no nvh264dec here, or no clip).")
        return
    words = ["filesrc", f"location={clip}", "!", "qtdemux", "!", "h264parse", "!", "nvh264dec", "!", "video/x-raw(memory:CUDAMemory)", "!", "kerbseg",
             f"model-file={model.path}", "backend=cuda", "!", "video/x-raw(memory:CUDAMemory)", "!", "fakesink"]
    done = c.run("gst-launch-1.0", "-q", *words, check=False, timeout=60)
    section.say("NVDEC: frames stayed on the GPU from the decoder to the sink." if not done.returncode else f"NVDEC: failed: {done.errors.strip()[-400:]}")


def opening(c, section):
    rows, cold_worst, warm_worst = [], (0, ""), (0, "")
    for model in [m for m in c.models.values() if m.speed]:
        cache = c.scratch / f"cold-{model.name}"
        seconds = []
        for _ in range(2):
            report = c.bench(model, "--library", "--frames", "3", "--precision", c.options.precision, environment={"KERB_PLAN_CACHE": str(cache)}, timeout=90)
            seconds.append(report["library"]["open_s"])
        held = report["library"]
        facts = json.loads(c.run("kerb", "inspect", "--json", model.path, timeout=30).text)
        rows.append((model.title, f"{seconds[0]:.2f}", f"{seconds[1]:.2f}", f"{held['device_bytes'] / 1e6:.1f}", f"{facts['sum_bytes'] / 1e6:.1f}",
                     f"{facts['weight_bytes'] / 1e6:.1f}", f"{held['pinned_bytes'] / 1e6:.1f}"))
        cold_worst, warm_worst = max(cold_worst, (seconds[0], model.title)), max(warm_worst, (seconds[1], model.title))
    section.table(("network", "cold, s", "warm, s", "device memory, MB", "all tensors in f32, MB", "weights in f32, MB", "page-locked, MB"), rows)
    c.report.figure("open, cold", "<= 30 s", f"{cold_worst[0]:.1f} s ({cold_worst[1]})", cold_worst[0] <= 30)
    c.report.figure("open, plans in the cache", "<= 3 s", f"{warm_worst[0]:.2f} s ({warm_worst[1]})", warm_worst[0] <= 3)
    c.report.figure("device memory; sum of all tensors; page-locked", "printed", "see Open and memory", None)


def graphs(c, section):
    rows = []
    for model in [m for m in c.models.values() if m.speed]:
        ms, replays = {"1": [], "0": []}, {}
        for _ in range(1 if c.rehearsal else 2):
            for on in ms:
                report = c.bench(model, "--library", "--visualize", "none", "--frames", "5" if c.rehearsal else "150", "--precision", c.options.precision,
                                 environment={"KERB_CUDA_GRAPHS": on})["library"]
                ms[on].append(report["frame_ms"]["median"])
                replays[on] = report["replays"]
        graph, plain = statistics.median(ms["1"]), statistics.median(ms["0"])
        rows.append((model.title, f"{graph:.3f}", f"{plain:.3f}", f"{plain / graph:.2f}x", f"{replays['1']}, {replays['0']}"))
    section.table(("network", "graph, ms", "single launches, ms", "", "replays"), rows)


def overlap(c, section):
    path = c.scratch / "timeline.csv"
    model = next((m for m in c.models.values() if m.speed), None) or next(iter(c.models.values()))
    c.bench(model, "--library", "--size", "{}x{}".format(*FRAME), "--frames", "8" if c.rehearsal else "60", "--precision", c.options.precision,
            environment={"KERB_CUDA_TIMELINE": str(path)})
    if not path.exists():
        raise Missing("no timeline was written (KERB_CUDA_TIMELINE)")
    rows = timeline.read(path)
    if len(rows) < 8:
        raise Failure(f"the timeline has {len(rows)} frames")
    settled = rows[len(rows) // 2:][:10]
    up, down = timeline.hidden(rows[4:-4])
    picture = c.report.path.with_suffix(".png")
    picture.parent.mkdir(parents=True, exist_ok=True)
    timeline.draw(settled, picture, f"{model.title}, {FRAME[0]}x{FRAME[1]} I420 in, overlay out")
    percent = " and ".join(f"{name} {100 * share:.0f} %" for name, share in (("up", up), ("down", down)) if share is not None)
    section.say(f"{model.title}, {FRAME[0]}x{FRAME[1]}, of {len(rows)} frames. Share of the copies' time beside the computing of another frame: {percent or 'nothing is copied'}. "
                f"The GPU computes {100 * timeline.busy(rows[4:-4]):.0f} % of the time.", "", f"![copy, compute, copy]({picture.name})")


# ----------------------------------------------------------------------------------------------------------------- faults

def refuses(c, section, what, code, words, *command, environment=None, timeout=60):
    done = c.run(*command, environment=environment, check=False, timeout=timeout)
    text = (done.errors or done.text).strip()
    ok = done.returncode == code and any(w in text for w in words)
    section.say(f"- {what}: exit code {done.returncode}{'' if ok else f' (**expected {code}**)'}: {text.splitlines()[-1][:400] if text else 'says nothing'}")
    return ok


def faults(c, section):
    model = list(c.models.values())[-1] if c.rehearsal else max(c.models.values(), key=lambda m: m.path.stat().st_size)
    bench = ["kerb", "bench", "--library", "--frames", "3", "--model", model.path, "--size", "640x360"]
    ok = []
    if c.options.backend == "cuda":
        if not c.options.standin:
            ok.append(refuses(c, section, "no GPU is visible, backend=cuda", 6, ["GPU", "device", "driver"], *bench, "--backend", "cuda", environment={"CUDA_VISIBLE_DEVICES": ""}))
            ok.append(out_of_memory(c, section, bench))
        ok.append(refuses(c, section, "no cuDNN, backend=cuda", 6, ["cuDNN"], *bench, "--backend", "cuda", environment={"KERB_CUDNN": "/nonexistent"}))
        ok.append(refuses(c, section, "a GPU that is not there", 6, ["device", "GPU"], *bench, "--backend", "cuda", "--device", "63"))
    if (c.bundle / "bin/kerb-cuda-faults").exists() and not c.rehearsal:  # a real GPU alone survives reading what is not there
        done = c.run("kerb-cuda-faults", min(c.models.values(), key=lambda m: m.path.stat().st_size).path, check=False, timeout=60)
        section.code(done.text + done.errors)
        ok.append(done.returncode == 0)
    else:
        section.say("- a lost GPU: not run (a rehearsal, or kerb-cuda-faults is not in the bundle)")
    c.report.figure("faults that can be provoked", "as documented", f"{sum(ok)} of {len(ok)}", all(ok) and bool(ok))


def out_of_memory(c, section, bench):
    """All but 200 MB of the GPU's memory belongs to somebody else."""
    hog = subprocess.Popen([sys.executable, "-c", "import torch,sys\nfree=torch.cuda.mem_get_info()[0]\nx=torch.empty(max(free-(200<<20),1),dtype=torch.uint8,device='cuda')\n"
                            "print('held',flush=True)\nsys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if hog.stdout.readline().strip() != "held":
            section.say("- out of memory at the start: not run (PyTorch could not take the memory)")
            return True
        return refuses(c, section, "out of memory at the start", 7, ["memory"], *bench, "--backend", "cuda")
    finally:
        hog.kill()
        hog.wait()


def sanitizer(c, section):
    tool = shutil.which("compute-sanitizer") or next((str(p) for p in pathlib.Path("/usr/local").glob("cuda*/bin/compute-sanitizer")), None)
    if not tool or c.options.standin:
        raise Missing("compute-sanitizer is not here")
    clean, done = 0, 0
    for name, *arguments in (("kerb-cuda-kernels",), ("kerb-cuda-stages", "20")):
        if not (c.bundle / "bin" / name).exists():
            section.say(f"- {name}: not in the bundle")
            continue
        done += 1
        result = c.run(tool, "--tool", "memcheck", "--error-exitcode", "99", name, *arguments, check=False, timeout=60, environment={"KERB_SHORT": "1"})
        text = result.text + result.errors
        summary = [line for line in text.splitlines() if "ERROR SUMMARY" in line]
        section.say(f"- {name}: exit code {result.returncode}, {summary[-1].strip('= ') if summary else text.strip()[-300:]}")
        clean += result.returncode == 0 and bool(summary)
    c.report.figure("compute-sanitizer memcheck", "0 errors", f"{clean} of {done} tools clean", clean == done and done > 0)
