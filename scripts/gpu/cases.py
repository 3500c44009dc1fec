# SPDX-License-Identifier: MIT
"""Convolutions that no model asks for, as ONNX backend cases for kerb-conformance: kernels, strides, dilations, groups, odd sizes and channels drawn from a
seed; expected values by PyTorch in double precision. All numbers are positive: kerb-conformance compares relative to each value, and sums that cancel
have none worth comparing."""
import pathlib
import random

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch.nn import functional as F


def draw(rng):
    kernel = rng.choice([(1, 1), (3, 3), (3, 3), (5, 5), (7, 7), (3, 1), (1, 3), (2, 2), (4, 4)])
    transposed = rng.random() < 0.25
    group = 1
    c, k = rng.choice([1, 3, 4, 8, 13, 16, 32, 64, 72]), rng.choice([1, 2, 8, 12, 19, 24, 32, 64])
    if rng.random() < 0.3:
        group = c if rng.random() < 0.5 else rng.choice([g for g in (1, 2, 4) if c % g == 0])
        k = group * rng.choice([1, 2]) if group == c else -(-k // group) * group
    stride = rng.choice([(1, 1), (1, 1), (2, 2), (2, 1)] if not transposed else [(2, 2), (2, 2), (1, 1), (4, 4)])
    dilation = (1, 1) if transposed else rng.choice([(1, 1), (1, 1), (2, 2), (4, 4), (12, 12)])
    pad = [rng.randrange(0, min(4, kernel[i] * dilation[i])) for i in (0, 1, 0, 1)]
    if rng.random() < 0.6 or transposed:
        pad = [p * dilation[i % 2] // 1 for i, p in enumerate([kernel[0] // 2, kernel[1] // 2] * 2)] if not transposed else [0, 0, 0, 0]
    size = (rng.randrange(5, 40), rng.randrange(5, 40))
    return dict(kernel=kernel, transposed=transposed, group=group, c=c, k=k, stride=stride, dilation=dilation, pad=pad, size=size, bias=rng.random() < 0.7)


def is_possible(d):
    return all(d["size"][i] + d["pad"][i] + d["pad"][i + 2] >= d["dilation"][i] * (d["kernel"][i] - 1) + 1 for i in (0, 1)) and d["c"] % d["group"] == 0


def expected(d, x, w, b):
    x, w, b = (None if v is None else torch.from_numpy(v).double() for v in (x, w, b))
    if d["transposed"]:
        return F.conv_transpose2d(x, w, b, d["stride"], 0, 0, d["group"]).float().numpy()
    top, left, bottom, right = d["pad"]
    return F.conv2d(F.pad(x, (left, right, top, bottom)), w, b, d["stride"], 0, d["dilation"], d["group"]).float().numpy()


def write(folder, count, seed):
    """Writes `count` cases below `folder`. The seed is in their names."""
    rng, numbers, written = random.Random(seed), np.random.default_rng(seed), 0
    while written < count:
        d = draw(rng)
        if not is_possible(d):
            continue
        shape = (d["c"], d["k"] // d["group"]) if d["transposed"] else (d["k"], d["c"] // d["group"])
        x = numbers.uniform(0.1, 1, (1, d["c"], *d["size"])).astype(np.float32)
        w = numbers.uniform(0.1, 1, (*shape, *d["kernel"])).astype(np.float32)
        b = numbers.uniform(0.1, 1, d["k"]).astype(np.float32) if d["bias"] else None
        y = expected(d, x, w, b)
        node = helper.make_node("ConvTranspose" if d["transposed"] else "Conv", ["x", "w"] + (["b"] if d["bias"] else []), ["y"], kernel_shape=d["kernel"],
                                strides=d["stride"], dilations=d["dilation"], group=d["group"], pads=d["pad"])
        weights = [numpy_helper.from_array(w, "w")] + ([numpy_helper.from_array(b, "b")] if d["bias"] else [])
        graph = helper.make_graph([node], "conv", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
                                  [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, y.shape)], weights)
        name = (f"{'deconv' if d['transposed'] else 'conv'}_{seed}_{written}_c{d['c']}_k{d['k']}_g{d['group']}_{d['kernel'][0]}x{d['kernel'][1]}"
                f"_s{d['stride'][0]}{d['stride'][1]}_d{d['dilation'][0]}_{d['size'][1]}x{d['size'][0]}")
        case = pathlib.Path(folder) / name
        (case / "test_data_set_0").mkdir(parents=True)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, case / "model.onnx")
        (case / "test_data_set_0/input_0.pb").write_bytes(numpy_helper.from_array(x, "x").SerializeToString())
        (case / "test_data_set_0/output_0.pb").write_bytes(numpy_helper.from_array(y, "y").SerializeToString())
        written += 1
