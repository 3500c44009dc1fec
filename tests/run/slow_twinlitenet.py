# SPDX-License-Identifier: MIT
"""One real frame through TwinLiteNet: kerb-segment-frame against an independent path (OpenCV resizes, ONNX Runtime runs, numpy decides).

Both see the same RGB frame, so what may differ is rounding. Skips (77) without ONNX Runtime, OpenCV,
KERB_DATA; KERB_PYTHON may name a Python that has the two. Usage: slow_twinlitenet.py [BACKEND...] (default: ref, and cpu where it is built).
"""
import os
import subprocess
import sys
import tempfile

try:
    import cv2
    import numpy as np
    import onnxruntime
except ImportError as missing:
    other = os.environ.get("KERB_PYTHON")
    if other and other != sys.executable:  # a virtual environment's python is often a link to the system's
        os.execv(other, [other] + sys.argv)
    print(f"skipped: {missing}; KERB_PYTHON may name a Python that has onnxruntime and cv2")
    sys.exit(77)

LEAST_AGREEMENT = 0.995  # of pixels; those that differ lie on edges between classes, where scores are equal but for rounding


def oracle(model, rgb):
    """Labels (0 background, 1 drivable area, 2 lane) and the probability of each pixel's label, as anyone would compute them."""
    height, width = rgb.shape[:2]
    x = cv2.resize(rgb.astype(np.float32), (640, 360), interpolation=cv2.INTER_LINEAR) / 255
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    heads = session.run(["da", "ll"], {"images": x.transpose(2, 0, 1)[None].astype(np.float32)})
    labels, confidence = np.zeros((height, width), np.uint8), np.zeros((height, width), np.float32)
    for label, scores in enumerate(heads, 1):
        scores = cv2.resize(scores[0].transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_LINEAR)
        probability = 1 / (1 + np.exp(scores[..., 0] - scores[..., 1]))
        foreground = scores[..., 1] > scores[..., 0]
        labels[foreground] = label
        confidence = np.where(foreground, probability, confidence)
        if label == 1:
            confidence = np.where(foreground, probability, 1 - probability)
    return labels, confidence


def main():
    data, build, source = (os.environ.get(name, "") for name in ("KERB_DATA", "KERB_BUILD", "KERB_SOURCE"))
    model = os.path.join(data, "models", "twinlitenet_360x640.onnx")
    if not os.path.exists(model):
        print("skipped: KERB_DATA has no models/twinlitenet_360x640.onnx")
        return 77
    video = cv2.VideoCapture(os.path.join(data, "video", "highway_540p25.mp4"))
    frame = None
    for _ in range(100):
        ok, frame = video.read()
        if not ok:
            print("highway_540p25.mp4 cannot be decoded")
            return 1
    rgb = np.ascontiguousarray(frame[..., ::-1])
    height, width = rgb.shape[:2]
    expected, probability = oracle(model, rgb)
    shares = [float(np.mean(expected == i)) for i in range(3)]
    assert shares[1] > 0.05 and shares[2] > 0.001, f"the oracle sees no road: {shares}"
    backends = sys.argv[1:] or ["ref"] + (["cpu"] if os.path.exists(os.path.join(build, "modules", "kerb-cpu.so")) else [])
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("frame.rgb", "labels.raw", "confidence.raw")]
        rgb.tofile(paths[0])
        for backend in backends:
            subprocess.run([os.path.join(build, "bin", "kerb-segment-frame"), model, os.path.join(source, "tests/run/twinlitenet.json"), backend, str(width),
                            str(height)] + paths, check=True)
            labels = np.fromfile(paths[1], np.uint8).reshape(height, width)
            confidence = np.fromfile(paths[2], np.uint8).reshape(height, width) / 255
            same = labels == expected
            off = float(np.mean(np.abs(confidence - probability)[same]))
            print(f"{backend}: {100 * same.mean():.4f} % of {labels.size} labels agree; confidence is off by {off:.4f} on average; "
                  f"background {shares[0]:.3f}, drivable {shares[1]:.3f}, lane {shares[2]:.3f}")
            failed |= same.mean() < LEAST_AGREEMENT or off > 0.01
    return 1 if failed else 0


sys.exit(main())
