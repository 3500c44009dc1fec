# SPDX-License-Identifier: MIT
"""What an ONNX file weighs: learned parameters, and the arithmetic of one picture, from the graph's shapes at a size that is named. Two operations a
multiply-accumulate; convolutions, transposed ones and matrix products are counted, activations, sums, norms, pools and resizes are not."""
import math
import tempfile

import onnx
from onnx import shape_inference

LEARNED = {"Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (1, 2), "MatMul": (0, 1), "BatchNormalization": (1, 2), "PRelu": (1,)}  # operator: inputs that can be learned
PASSED = ("DequantizeLinear", "Identity", "Cast", "Transpose", "Reshape")  # between a weight and its operator


def constants(graph):
    """name -> dims of what the file holds."""
    found = {t.name: tuple(t.dims) for t in graph.initializer}
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            found[node.output[0]] = tuple(value.dims)
    return found


def parameters(path):
    """Numbers that training chose. A norm that is folded into its convolution has become that one's bias."""
    graph = onnx.load(path, load_external_data=False).graph
    known, maker = constants(graph), {out: node for node in graph.node for out in node.output}

    def source(name):
        while name not in known and name in maker and maker[name].op_type in PASSED:
            name = maker[name].input[0]
        return name

    counted = {source(node.input[i]) for node in graph.node for i in LEARNED.get(node.op_type, ()) if i < len(node.input)}
    return sum(math.prod(known[name]) for name in counted if name in known)


def at_size(path, width, height):
    """The graph for pictures of height x width: shape arithmetic is worked out by ONNX Runtime, which folds what has become constant. -> (nodes, name -> dims)"""
    import onnxruntime
    model = onnx.load(path)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    channels_last = dims[3].dim_value in (1, 3) and dims[1].dim_value not in (1, 3)
    for dim, side in zip((dims[1], dims[2]) if channels_last else (dims[2], dims[3]), (height, width)):
        if dim.dim_value and dim.dim_value != side:
            raise ValueError(f"{path}: the input is fixed at {dim.dim_value}, not {side}")
        dim.dim_value = side
    dims[0].dim_value = 1
    for value in model.graph.output:  # what was said of a symbolic size
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    with tempfile.TemporaryDirectory() as folder:
        sized, folded = f"{folder}/sized.onnx", f"{folder}/folded.onnx"
        onnx.save(model, sized)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level, options.optimized_model_filepath = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC, folded
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        onnxruntime.InferenceSession(sized, options, providers=["CPUExecutionProvider"])
        graph = shape_inference.infer_shapes(onnx.load(folded)).graph
    found = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in [*graph.value_info, *graph.input, *graph.output]}
    return graph.node, found | {t.name: tuple(t.dims) for t in graph.initializer}


def products(node, of):
    """Multiply-accumulates of a node; `of(name)` gives dims. None: it has none that are counted."""
    if node.op_type == "Conv":
        weight, out = of(node.input[1]), of(node.output[0])
        return math.prod(out) * math.prod(weight[1:])
    if node.op_type == "ConvTranspose":
        weight, x = of(node.input[1]), of(node.input[0])
        return math.prod(x) * math.prod(weight[1:])
    if node.op_type in ("Gemm", "MatMul"):
        turned = any(a.name == "transA" and a.i for a in node.attribute)
        return math.prod(of(node.output[0])) * of(node.input[0])[-2 if turned else -1]
    return None


def gflop(path, width, height):
    """ValueError where a shape cannot be told."""
    nodes, shapes = at_size(path, width, height)

    def of(name):
        dims = shapes.get(name)
        if not dims or 0 in dims:
            raise ValueError(f"{path}: the shape of {name} cannot be told at {width}x{height}")
        return dims

    return 2 * sum(products(node, of) or 0 for node in nodes) / 1e9
