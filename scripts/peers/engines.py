# SPDX-License-Identifier: MIT
"""One peer with one network, in a process of its own, that runs when it is told to and sleeps otherwise.

    engines.py PEER NET PRECISION THREADS

First it writes "ready", or a line that says why not. Then it answers each line of JSON on standard input with one on standard output:
{"seconds": s} with the times of its runs in ms; {"labels": FILE} with "done", when the label maps of the frames to check are in FILE (.npy).
"""
import json
import os
import pathlib
import sys
import time

import catalogue
from catalogue import ROOT

WARM_UP = 2


def tensor_of(net, path):
    """The network's input of a PNG file of its size."""
    import cv2
    import labels
    said = net.card()["input"]
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if net.gray else cv2.IMREAD_COLOR)
    return labels.network_input(picture if net.gray else picture[..., ::-1], net.width, net.height, said.get("scale", 1 / 255), said.get("mean", 0), said.get("std", 1))


# An engine is a function (net, precision, threads) -> (prepare, run, outputs): prepare(x) takes the input, run() is what is timed, outputs() gives the last run's arrays.

def onnxruntime(net, precision, threads):
    import onnxruntime as engine
    options = engine.SessionOptions()
    options.intra_op_num_threads = threads
    session = engine.InferenceSession(str(net.file("kerb.onnx" if precision == "int8" else "float.onnx")), options, providers=["CPUExecutionProvider"])
    feed, last = {}, []
    return (lambda x: feed.update({session.get_inputs()[0].name: x})), (lambda: last.__setitem__(slice(None), session.run(None, feed))), lambda: last


def openvino(net, precision, threads):
    import openvino as engine
    core = engine.Core()
    model = core.read_model(str(net.file("openvino.xml" if precision == "int8" else "float.onnx")))
    # What an int8 model leaves in float is computed as fast as the processor can.
    arithmetic = "bf16" if precision == "bf16" or precision == "int8" and catalogue.has_bf16() else "f32"
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": arithmetic, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    return (lambda x: request.set_input_tensor(engine.Tensor(x))), request.infer, lambda: [request.get_output_tensor(i).data for i in range(len(compiled.outputs))]


def ncnn(net, precision, threads):
    import numpy as np

    import ncnn as engine
    loaded = engine.Net()
    loaded.opt.num_threads = threads
    loaded.opt.use_fp16_packed = loaded.opt.use_fp16_storage = loaded.opt.use_fp16_arithmetic = False
    loaded.opt.use_bf16_storage = precision == "bf16"
    if loaded.load_param(str(net.file("ncnn.param"))) or loaded.load_model(str(net.file("ncnn.bin"))):
        raise RuntimeError("ncnn cannot load it")
    source, sinks, last, kept = loaded.input_names()[0], loaded.output_names(), [], {}

    def run():
        extractor = loaded.create_extractor()
        extractor.input(source, kept["x"])
        last[:] = [extractor.extract(sink) for sink in sinks]
        if any(status for status, _ in last):
            raise RuntimeError("ncnn cannot run it")
    return (lambda x: kept.update(x=engine.Mat(x[0]).clone())), run, lambda: [np.array(mat)[None] for _, mat in last]


def pytorch(net, precision, threads):
    import torch
    sys.path.insert(0, str(ROOT / "scripts/export"))
    import peer_nets
    torch.set_num_threads(threads)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    module = peer_nets.with_weights(net.name, net.file("float.pt")).to(kind, memory_format=torch.channels_last)
    kept = {}

    def prepare(x):
        kept["x"] = torch.from_numpy(x).to(kind, memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            kept["y"] = module(kept["x"])
    return prepare, run, lambda: [kept["y"].float().numpy()]


def peak_bytes(process):
    """Most resident memory of a process so far. Not ru_maxrss, which begins with what the parent had."""
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def answer(words, to):
    print(json.dumps(words), file=to, flush=True)


def serve(peer, net, precision, threads, to):
    import numpy as np
    try:
        take, run, outputs = {"onnxruntime": onnxruntime, "openvino": openvino, "ncnn": ncnn, "pytorch": pytorch}[peer](net, precision, threads)
        x = np.load(net.file("input.npy"))
        take(x)
        for _ in range(WARM_UP):
            run()
    except Exception as error:  # whatever it is, it is this engine's with this network: the others go on
        return answer(f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}", to)
    answer("ready", to)
    for line in sys.stdin:
        asked = json.loads(line)
        if "labels" in asked:
            import labels
            maps = []
            for path in sorted(net.frames.glob("check-*.png")):
                frame = tensor_of(net, path)
                take(frame)
                run()
                maps.append(labels.layered(outputs())[0])
            np.save(asked["labels"], np.stack(maps))
            take(x)
            answer("done", to)
            continue
        times, end = [], time.perf_counter() + asked["seconds"]
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1e3)
        answer(times, to)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")  # engines write on standard output as they like
    os.dup2(2, 1)
    serve(sys.argv[1], catalogue.known()[sys.argv[2]], sys.argv[3], int(sys.argv[4]), answers)
