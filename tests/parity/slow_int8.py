# SPDX-License-Identifier: MIT
"""Models quantised by ONNX Runtime's quantize_static(), on the CPU backend in integers, against ONNX Runtime.

Small random networks (convolutions of all kinds, residual, pool, concatenation, resize, squeeze and excite; padding by one side, ConvTranspose, average pools,
shuffled channels) and models/drive-free.onnx, with u8 and with symmetric i8 activations, weights by tensor and by channel. The oracle is ONNX Runtime without graph optimisations, which computes QuantizeLinear
and DequantizeLinear as the standard says, in floats; how often ONNX Runtime's own integer kernels agree with that is printed beside (without VNNI
those saturate in 16 bits). Skips (77) without onnx and ONNX Runtime; KERB_PYTHON may name a Python that has them.
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
except ImportError as missing:
    other = os.environ.get("KERB_PYTHON")
    if other and other != sys.executable:
        os.execv(other, [other] + sys.argv)
    print(f"skipped: {missing}; KERB_PYTHON may name a Python that has onnx and onnxruntime")
    sys.exit(77)

LEAST_AGREEMENT = 0.98  # of labels. Scores are made of a few hundred integers' steps, so near ties are common in nets of random weights
LEAST_EQUAL = 0.98      # of scores that are equal to the bit or within a hundredth of the largest; a step apart counts as not


class Net:
    """A random float network, layer by layer."""

    def __init__(self, seed):
        self.random, self.nodes, self.constants, self.n = np.random.default_rng(seed), [], [], 0

    def name(self):
        self.n += 1
        return f"v{self.n}"

    def constant(self, array):
        name = self.name()
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op, inputs, **attributes):
        out = self.name()
        self.nodes.append(helper.make_node(op, inputs, [out], name=f"{op}_{out}", **attributes))
        return out

    def conv(self, x, ic, oc, k=3, group=1, stride=1, dilation=1, act="Relu"):
        depth = ic // group * k * k
        w = self.random.standard_normal((oc, ic // group, k, k)).astype(np.float32) * (2 / depth) ** 0.5
        b = self.random.standard_normal(oc).astype(np.float32) * 0.2
        pad = (k - 1) * dilation // 2
        y = self.node("Conv", [x, self.constant(w), self.constant(b)], kernel_shape=[k, k], pads=[pad] * 4, strides=[stride] * 2,
                      dilations=[dilation] * 2, group=group)
        if act == "Clip":
            return self.node("Clip", [y, self.constant(np.float32(0)), self.constant(np.float32(6))])
        return self.node(act, [y]) if act else y

    def save(self, path, out, channels, height, width):
        graph = helper.make_graph(self.nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, height, width])],
                                  [helper.make_tensor_value_info(out, TensorProto.FLOAT, [1, channels, None, None])], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(onnx.shape_inference.infer_shapes(model), path)


def random_net(path, seed, height=48, width=72):
    net = Net(seed)
    wide = [16, 24, 33, 40][seed % 4]
    x = net.conv("x", 3, wide, stride=2, act=["Relu", "Clip"][seed % 2])
    low = net.conv(x, wide, wide, group=wide, act="Clip")
    y = net.conv(low, wide, 2 * wide, k=1)
    z = net.conv(y, 2 * wide, 2 * wide, act=None)
    y = net.node("Relu", [net.node("Add", [z, y])])
    y = net.node("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2])
    y = net.conv(y, 2 * wide, 2 * wide, dilation=2, group=2 if seed % 3 == 0 else 1)
    gate = net.node("GlobalAveragePool", [y])
    gate = net.node("Sigmoid", [net.conv(gate, 2 * wide, 2 * wide, k=1, act=None)])
    y = net.node("Mul", [y, gate])
    mode = ["nearest", "linear"][seed % 2]
    y = net.node("Resize", [y, "", net.constant(np.array([1, 1, 2, 2], np.float32))], mode=mode,
                 coordinate_transformation_mode="asymmetric" if mode == "nearest" else "half_pixel", nearest_mode="floor")
    y = net.node("Concat", [y, low], axis=1)
    y = net.conv(y, 3 * wide, 32, act="Relu")
    y = net.conv(y, 32, 6, k=1, act=None)
    net.save(path, y, 6, height, width)
    return height, width


def moving_net(path, seed, height=48, width=72):
    """What numbers are moved by between convolutions: padding by one side as TensorFlow's exporters write it, ConvTranspose, shuffled channels."""
    net = Net(seed)
    wide = [16, 24, 32, 40][seed % 4]

    def pad(x, top, left, bottom, right):
        return net.node("Pad", [x, net.constant(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))])

    def bare(x, ic, oc, group=1, stride=2):
        w = net.random.standard_normal((oc, ic // group, 3, 3)).astype(np.float32) * (2 / (ic // group * 9)) ** 0.5
        y = net.node("Conv", [x, net.constant(w), net.constant(np.zeros(oc, np.float32))], kernel_shape=[3, 3], strides=[stride] * 2, group=group)
        return net.node("Relu", [y])

    def up(x, ic, oc, k):  # of one group: ONNX Runtime cannot quantise the bias of several
        w = net.random.standard_normal((ic, oc, k, k)).astype(np.float32) * (2 * 4 / (ic * k * k)) ** 0.5
        b = net.random.standard_normal(oc).astype(np.float32) * 0.2
        p = (k - 1) // 2
        extra = [1, 1] if k % 2 else [0, 0]
        y = net.node("ConvTranspose", [x, net.constant(w), net.constant(b)], kernel_shape=[k, k], strides=[2, 2], pads=[p] * 4, output_padding=extra)
        return net.node("Relu", [y])

    x = bare(pad(net.conv("x", 3, wide, k=1, act=None), 0, 0, 1, 1), wide, wide)
    x = bare(pad(x, 1, 0, 0, 1), wide, wide, group=wide)
    y = net.node("AveragePool", [x], kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], count_include_pad=seed % 2)
    y = net.conv(y, wide, wide, k=1)
    y = net.node("Reshape", [y, net.constant(np.array([1, 2, wide // 2, height // 4, width // 4], np.int64))])
    y = net.node("Transpose", [y], perm=[0, 2, 1, 3, 4])
    y = net.node("Reshape", [y, net.constant(np.array([1, wide, height // 4, width // 4], np.int64))])
    y = up(net.conv(y, wide, wide), wide, wide, [2, 3, 4, 4][seed % 4])
    y = up(y, wide, 16, [4, 2, 3, 2][seed % 4])
    net.save(path, net.conv(y, 16, 6, k=1, act=None), 6, height, width)
    return height, width


class Frames(CalibrationDataReader):
    def __init__(self, name, arrays):
        self.feeds = iter([{name: a} for a in arrays])

    def get_next(self):
        return next(self.feeds, None)


def ort(path, arrays, optimised):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {session.get_inputs()[0].name: a})[0] for a in arrays])


def kerb(build, path, arrays, shape):
    done = subprocess.run([os.path.join(build, "bin", "kerb-net-run"), "--backend", "cpu", "--precision", "int8", "--size",
                           f"{arrays[0].shape[3]}x{arrays[0].shape[2]}", path],
                          input=b"".join(a.tobytes() for a in arrays), stdout=subprocess.PIPE, check=True)
    return np.frombuffer(done.stdout, np.float32).reshape(shape)


def compare(name, build, path, arrays):
    expected, integers = ort(path, arrays, False), ort(path, arrays, True)
    got = kerb(build, path, arrays, expected.shape)
    largest = np.abs(expected).max()
    equal, theirs = (float(np.mean(np.abs(a - expected) <= 0.01 * largest)) for a in (got, integers))
    same = float(np.mean(got.argmax(2) == expected.argmax(2))) if expected.shape[2] > 1 else float(np.mean((got > 0) == (expected > 0)))
    ok = equal >= LEAST_EQUAL and same >= LEAST_AGREEMENT
    print(f"{'ok' if ok else 'FAILED'} {name}: scores equal {equal:.4%} (ONNX Runtime's integers {theirs:.4%}), labels {same:.4%}")
    return ok


def main():
    build, source = os.environ.get("KERB_BUILD", "build/release"), os.environ.get("KERB_SOURCE", ".")
    onnxruntime.set_default_logger_severity(3)
    ok = True
    with tempfile.TemporaryDirectory() as folder:
        models = [(f"random {seed}", (random_net, seed)) for seed in range(4)] + [(f"moving {seed}", (moving_net, seed)) for seed in range(4)]
        drive = os.path.join(source, "models", "drive-free.onnx")
        if os.path.exists(drive):
            models.append(("drive-free", None))
        for name, made in models:
            path = os.path.join(folder, "net.onnx") if made else drive
            random = np.random.default_rng((made[1] if made else 0) or 9)
            if made:
                made[0](path, made[1])
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            x = session.get_inputs()[0]
            shape = [d if isinstance(d, int) else free for d, free in zip(x.shape, (1, 3, 176, 320))]
            smooth = [np.repeat(np.repeat(random.random((*shape[:2], shape[2] // 8, shape[3] // 8), np.float32), 8, 2), 8, 3) for _ in range(4)]
            for signed, per_channel in ((False, True), (True, True), (False, False)):
                quantised = os.path.join(folder, f"q{int(signed)}{int(per_channel)}.onnx")
                kind = QuantType.QInt8 if signed else QuantType.QUInt8
                quantize_static(path, quantised, Frames(x.name, smooth), quant_format=QuantFormat.QDQ, activation_type=kind,
                                weight_type=QuantType.QInt8, per_channel=per_channel, extra_options={"ActivationSymmetric": signed})
                ok = compare(f"{name}, {'i8' if signed else 'u8'}, by {'channel' if per_channel else 'tensor'}", build, quantised, smooth[:2]) and ok
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
