# SPDX-License-Identifier: MIT
"""A writer of very small ONNX files: what protobuf's wire format needs, and no package.

    model(path)                     the colour model: a pixel's class is its strongest channel (red, green or blue). One 1x1 convolution, 64x36.
    model(path, operator="NoSuch")  the same with an operator in it that nobody has
    nearest(path, classes)          a pixel's class is the one whose colour is nearest: pictures painted in class colours say what it shall find
    sloped(path, names)             two classes; the score of the second is (red - 128) / 40, of the first 0
"""
import json
import struct


def _varint(n):
    out = b""
    while True:
        byte = n & 0x7F
        n >>= 7
        if not n:
            return out + bytes([byte])
        out += bytes([byte | 0x80])


def _int(field, value):
    return _varint(field << 3) + _varint(value)


def _bytes(field, value):
    value = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _tensor(name, dims, floats):
    data = struct.pack(f"<{len(floats)}f", *floats)
    return b"".join(_int(1, d) for d in dims) + _int(2, 1) + _bytes(8, name) + _bytes(9, data)


def _value(name, dims):
    shape = b"".join(_bytes(1, _bytes(2, d) if isinstance(d, str) else _int(1, d)) for d in dims)
    return _bytes(1, name) + _bytes(2, _bytes(1, _int(1, 1) + _bytes(2, shape)))


def _node(operator, inputs, outputs, name):
    return b"".join(_bytes(1, i) for i in inputs) + b"".join(_bytes(2, o) for o in outputs) + _bytes(3, name) + _bytes(4, operator)


def model(path, width=64, height=36, operator=None, card=True, classes=3):
    """width and height may be names: sides that are free. Classes beyond the three are in no picture that has colour."""
    identity = [1.0 if i // 3 == i % 3 else 0.0 for i in range(3 * classes)]
    nodes = [_node("Conv", ["image", "weight"], ["scores" if not operator else "inner"], "colours")]
    if operator:
        nodes.append(_node(operator, ["inner"], ["scores"], "the_odd_one"))
    graph = b"".join(_bytes(1, n) for n in nodes) + _bytes(2, "tiny") + _bytes(5, _tensor("weight", [classes, 3, 1, 1], identity))
    graph += _bytes(11, _value("image", [1, 3, height, width])) + _bytes(12, _value("scores", [1, classes, height, width]))
    with open(path, "wb") as f:
        f.write(_int(1, 8) + _bytes(2, "tiny_onnx.py") + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _int(2, 13)))
    if card:
        named = [{"name": n, "color": c} for n, c in (("red", [255, 0, 0]), ("green", [0, 255, 0]), ("blue", [0, 0, 255]))]
        named += [{"name": f"class number {i}", "color": [i * 37 % 256, i * 91 % 256, i * 53 % 256]} for i in range(3, classes)]
        with open(str(path).replace(".onnx", ".json"), "w") as f:
            json.dump({"card": 1, "name": "strongest channel", "classes": named}, f)
    return path


def _write(path, weights, bias, width, height, card):
    n = len(bias)
    graph = _bytes(1, _node("Conv", ["image", "weight", "bias"], ["scores"], "colours")) + _bytes(2, "tiny")
    graph += _bytes(5, _tensor("weight", [n, 3, 1, 1], weights)) + _bytes(5, _tensor("bias", [n], bias))
    graph += _bytes(11, _value("image", [1, 3, height, width])) + _bytes(12, _value("scores", [1, n, height, width]))
    with open(path, "wb") as f:
        f.write(_int(1, 8) + _bytes(2, "tiny_onnx.py") + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _int(2, 13)))
    if card:
        with open(str(path).replace(".onnx", ".json"), "w") as f:
            json.dump({"card": 1, "input": {"scale": 1}, **card}, f)
    return path


def nearest(path, classes, width=64, height=36, card=True):
    """classes: as in a card, with "color": [r, g, b]. |x - c|^2 is least where 2 x c - |c|^2 is greatest."""
    weights = [2.0 * v for c in classes for v in c["color"]]
    bias = [-float(sum(v * v for v in c["color"])) for c in classes]
    return _write(path, weights, bias, width, height, {"classes": classes} if card else {})


def sloped(path, classes, width=64, height=36):
    return _write(path, [0.0, 0.0, 0.0, 1 / 40, 0.0, 0.0], [0.0, -128 / 40], width, height, {"classes": classes})
