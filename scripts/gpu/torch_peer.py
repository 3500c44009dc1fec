# SPDX-License-Identifier: MIT
"""What users would run in Kerb's place on a GPU: the same ONNX file in PyTorch, channels last, half precision, as CUDA graph and torch.compile.

    python torch_peer.py MODEL.onnx WIDTH HEIGHT cuda-graph|max-autotune|plain

A process that measures when it is told to, so that it can take turns with others: it prints `ready NAME` once everything is compiled, then for every
line `NAME RUNS` on standard input one line of JSON with the times of so many runs in milliseconds; a line `quit` ends it. torch.compile works under a
lock, one such process at a time, because measuring is part of it. plain: on the processor, single precision, for rehearsals.
"""
import argparse
import fcntl
import json
import os
import sys
import tempfile
import time

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn
from torch.nn import functional as F

MODES = {"nearest": "nearest", "linear": "bilinear"}


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def pads(values, kernel):
    """(top, left, bottom, right) of an ONNX node -> what torch's F.pad takes, and whether they are equal on both sides."""
    top, left, bottom, right = values or (0, 0, 0, 0)
    return (left, right, top, bottom), top == bottom and left == right


def ints(values):
    return [int(v) for v in values] if values else None


def first(values):
    return float(values[0]) if values else None


class OnnxNet(nn.Module):
    """Runs a graph node by node, weights as parameters. What depends on shapes alone is computed once, with the first input, and kept."""

    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        self.nodes = [(n.op_type, list(n.input), list(n.output), attributes(n) | {"outputs": len(n.output)}) for n in graph.node]
        self.outputs = [o.name for o in graph.output]
        self.constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        self.input = next(i.name for i in graph.input if i.name not in self.constants)
        self.tensors = nn.ParameterDict()
        self.names, self.lists = {}, {}

    def weight(self, name):
        """A constant of floats, as a parameter (made at the first use)."""
        if name not in self.names:
            self.names[name] = f"p{len(self.names)}"
            self.tensors[self.names[name]] = nn.Parameter(torch.from_numpy(np.array(self.constants[name])), requires_grad=False)
        return self.tensors[self.names[name]]

    def numbers(self, name):
        """A small constant as a list of Python's numbers: torch.compile follows these, and not numpy's."""
        if name not in self.lists:
            self.lists[name] = np.asarray(self.constants[name]).reshape(-1).tolist()
        return self.lists[name]

    def prepare(self, x):
        """Folds what is known (shapes, constants) by running once; nodes that only did that are gone afterwards."""
        values = {self.input: x}
        kept = []
        for op, inputs, outputs, a in self.nodes:
            known = [self.constants.get(i) for i in inputs if i]
            if op == "Constant":
                self.constants[outputs[0]] = numpy_helper.to_array(a["value"])
            elif op == "Shape":
                self.constants[outputs[0]] = np.array(values[inputs[0]].shape if inputs[0] in values else self.constants[inputs[0]].shape, np.int64)
            elif op == "ConstantOfShape":
                fill = numpy_helper.to_array(a["value"]) if "value" in a else np.zeros(1, np.float32)
                self.constants[outputs[0]] = np.full(known[0], fill[0], fill.dtype)
            elif known and all(k is not None for k in known):
                model = onnx.helper.make_model(onnx.helper.make_graph([onnx.helper.make_node(op, inputs, outputs, **{k: v for k, v in a.items() if k != "outputs"})], "fold", [], [
                    onnx.helper.make_empty_tensor_value_info(o) for o in outputs]), opset_imports=[onnx.helper.make_opsetid("", 17)])
                for i in set(inputs) - {""}:
                    model.graph.initializer.append(numpy_helper.from_array(np.asarray(self.constants[i]), i))
                for name, value in zip(outputs, ReferenceEvaluator(model).run(None, {})):
                    self.constants[name] = value
            else:
                kept.append((op, inputs, outputs, a))
                for name, value in zip(outputs, self.step(op, inputs, a, values)):
                    values[name] = value
        self.nodes = kept
        return [values[o] for o in self.outputs]

    def forward(self, x):
        values = {self.input: x}
        for op, inputs, outputs, a in self.nodes:
            for name, value in zip(outputs, self.step(op, inputs, a, values)):
                values[name] = value
        return [values[o] for o in self.outputs]

    def step(self, op, inputs, a, values):
        def get(i, default=None):
            name = inputs[i] if i < len(inputs) else ""
            if not name:
                return default
            return values[name] if name in values else self.weight(name)

        def const(i):
            return self.numbers(inputs[i]) if i < len(inputs) and inputs[i] else None
        run = getattr(self, f"op_{op.lower()}", None)
        if run is None:
            raise NotImplementedError(f"the PyTorch peer has no {op}")
        result = run(get, const, a, len(inputs))
        return result if isinstance(result, (list, tuple)) else [result]

    # Convolutions and pooling
    def op_conv(self, get, const, a, n):
        x, w = get(0), get(1)
        amounts, equal = pads(a.get("pads"), w.shape[2:])
        if not equal:
            x = F.pad(x, amounts)
        padding = (amounts[2], amounts[0]) if equal else 0
        return F.conv2d(x, w, get(2), tuple(a.get("strides", (1, 1))), padding, tuple(a.get("dilations", (1, 1))), a.get("group", 1))

    def op_convtranspose(self, get, const, a, n):
        amounts, _ = pads(a.get("pads"), None)
        return F.conv_transpose2d(get(0), get(1), get(2), tuple(a.get("strides", (1, 1))), (amounts[2], amounts[0]), tuple(a.get("output_padding", (0, 0))),
                                  a.get("group", 1), tuple(a.get("dilations", (1, 1))))

    def op_maxpool(self, get, const, a, n):
        amounts, equal = pads(a.get("pads"), None)
        x = get(0) if equal else F.pad(get(0), amounts, value=float("-inf"))
        return F.max_pool2d(x, tuple(a["kernel_shape"]), tuple(a.get("strides", (1, 1))), (amounts[2], amounts[0]) if equal else 0, tuple(a.get("dilations", (1, 1))),
                            bool(a.get("ceil_mode", 0)), return_indices=a["outputs"] > 1)

    def op_maxunpool(self, get, const, a, n):
        size = ints(const(2))
        return F.max_unpool2d(get(0), get(1), tuple(a["kernel_shape"]), tuple(a.get("strides", (1, 1))), 0, size[2:] if size else None)

    def op_averagepool(self, get, const, a, n):
        amounts, _ = pads(a.get("pads"), None)
        return F.avg_pool2d(get(0), tuple(a["kernel_shape"]), tuple(a.get("strides", (1, 1))), (amounts[2], amounts[0]), bool(a.get("ceil_mode", 0)),
                            bool(a.get("count_include_pad", 0)))

    def op_globalaveragepool(self, get, const, a, n):
        return F.adaptive_avg_pool2d(get(0), 1)

    def op_batchnormalization(self, get, const, a, n):
        return F.batch_norm(get(0), get(3), get(4), get(1), get(2), False, 0, a.get("epsilon", 1e-5))

    def op_resize(self, get, const, a, n):
        sizes, mode = ints(const(3)), MODES[a.get("mode", b"nearest").decode()]
        align = a.get("coordinate_transformation_mode", b"half_pixel") == b"align_corners" if mode == "bilinear" else None
        if sizes:
            return F.interpolate(get(0), size=sizes[2:], mode=mode, align_corners=align)
        return F.interpolate(get(0), scale_factor=tuple(float(s) for s in const(2)[2:]), mode=mode, align_corners=align)

    # Everything else
    def op_relu(self, get, const, a, n): return F.relu(get(0))
    def op_prelu(self, get, const, a, n): return F.prelu(get(0), get(1).reshape(-1))
    def op_leakyrelu(self, get, const, a, n): return F.leaky_relu(get(0), a.get("alpha", 0.01))
    def op_sigmoid(self, get, const, a, n): return torch.sigmoid(get(0))
    def op_hardsigmoid(self, get, const, a, n): return torch.clamp(get(0) * a.get("alpha", 0.2) + a.get("beta", 0.5), 0, 1)
    def op_hardswish(self, get, const, a, n): return F.hardswish(get(0))
    def op_tanh(self, get, const, a, n): return torch.tanh(get(0))
    def op_sqrt(self, get, const, a, n): return torch.sqrt(get(0))
    def op_softmax(self, get, const, a, n): return torch.softmax(get(0), a.get("axis", -1))
    def op_add(self, get, const, a, n): return get(0) + get(1)
    def op_sub(self, get, const, a, n): return get(0) - get(1)
    def op_mul(self, get, const, a, n): return get(0) * get(1)
    def op_div(self, get, const, a, n): return get(0) / get(1)
    def op_matmul(self, get, const, a, n): return get(0) @ get(1)
    def op_concat(self, get, const, a, n): return torch.cat([get(i) for i in range(n)], a["axis"])
    def op_transpose(self, get, const, a, n): return get(0).permute(*a["perm"])
    def op_reshape(self, get, const, a, n): return get(0).reshape([get(0).shape[i] if d == 0 else d for i, d in enumerate(ints(const(1)))])
    def op_flatten(self, get, const, a, n): return torch.flatten(get(0), a.get("axis", 1))
    def op_expand(self, get, const, a, n): return get(0).expand(torch.broadcast_shapes(get(0).shape, tuple(ints(const(1)))))
    def op_identity(self, get, const, a, n): return get(0)
    def op_dropout(self, get, const, a, n): return get(0)
    def op_squeeze(self, get, const, a, n): return get(0).squeeze(tuple(ints(const(1)) or a.get("axes")))
    def op_unsqueeze(self, get, const, a, n): return get(0).unsqueeze((ints(const(1)) or a.get("axes"))[0])
    def op_reducemean(self, get, const, a, n): return get(0).mean(tuple(a.get("axes") or ints(const(1))), keepdim=bool(a.get("keepdims", 1)))
    def op_reducemax(self, get, const, a, n): return get(0).amax(tuple(a.get("axes") or ints(const(1))), keepdim=bool(a.get("keepdims", 1)))
    def op_reducesum(self, get, const, a, n): return get(0).sum(tuple(a.get("axes") or ints(const(1))), keepdim=bool(a.get("keepdims", 1)))
    def op_argmax(self, get, const, a, n): return get(0).argmax(a.get("axis", 0), keepdim=bool(a.get("keepdims", 1)))
    def op_depthtospace(self, get, const, a, n): return F.pixel_shuffle(get(0), a["blocksize"])

    def op_clip(self, get, const, a, n):
        return torch.clamp(get(0), a.get("min", first(const(1))), a.get("max", first(const(2))))

    def op_pad(self, get, const, a, n):
        amounts = ints(const(1)) or list(a["pads"])
        rank = len(amounts) // 2
        flat = [v for axis in reversed(range(rank)) for v in (amounts[axis], amounts[rank + axis])]
        return F.pad(get(0), flat)

    def op_slice(self, get, const, a, n):
        x = get(0)
        starts, ends, axes, steps = ints(const(1)), ints(const(2)), ints(const(3)), ints(const(4))
        for i, axis in enumerate(axes or range(len(starts))):
            index = [slice(None)] * x.dim()
            index[axis] = slice(starts[i], min(ends[i], x.shape[axis]), steps[i] if steps else 1)
            x = x[tuple(index)]
        return x

    def op_split(self, get, const, a, n):
        return list(torch.split(get(0), ints(const(1)) or list(a["split"]), a.get("axis", 0)))


def graphed(net, x):
    """A function that replays one run."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            net(x)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        net(x)
    return graph.replay


def times_ms(run, runs, kind):
    out = []
    if kind != "plain":
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        for _ in range(runs):
            begin.record()
            run()
            end.record()
            end.synchronize()
            out.append(begin.elapsed_time(end))
        return out
    for _ in range(runs):
        began = time.perf_counter()
        run()
        out.append((time.perf_counter() - began) * 1e3)
    return out


def candidate(o):
    """A function that runs the network once."""
    device, kind = ("cpu", torch.float32) if o.kind == "plain" else ("cuda", torch.half)
    net = OnnxNet(o.model).eval()
    torch.manual_seed(1)
    x = torch.rand(1, 3, o.height, o.width)
    with torch.no_grad():
        net.prepare(x)
        net = net.to(device=device, dtype=kind, memory_format=torch.channels_last)
        x = x.to(device=device, dtype=kind, memory_format=torch.channels_last)
        torch.backends.cudnn.benchmark = True
        if o.kind == "plain":
            return lambda: net(x)
        if o.kind == "cuda-graph":
            return graphed(net, x)
        with open(os.path.join(tempfile.gettempdir(), "kerb-gpu-compile.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            compiled = torch.compile(net, mode="max-autotune")
            for _ in range(4):
                compiled(x)
            torch.cuda.synchronize()
        return lambda: compiled(x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("width", type=int)
    parser.add_argument("height", type=int)
    parser.add_argument("kind", choices=("cuda-graph", "max-autotune", "plain"))
    o = parser.parse_args()
    run = candidate(o)
    print("ready", o.kind, flush=True)
    with torch.no_grad():
        for line in sys.stdin:
            if line.strip() == "quit":
                return
            runs = int(line.split()[1])
            times_ms(run, 3, o.kind)
            print(json.dumps(times_ms(run, runs, o.kind)), flush=True)


if __name__ == "__main__":
    main()
