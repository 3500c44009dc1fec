# SPDX-License-Identifier: MIT
"""Labels of equal pictures by Kerb's element and by other engines: frames, input tensors, argmax, and the element's labels pad. For scripts/bench-peers and check-parity."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def labels_of(scores):
    """argmax over axis 1; one channel: its sign (logits). Class by class: numpy's argmax is slow over a short outer axis."""
    import numpy as np
    if scores.shape[1] == 1:
        return (scores[:, 0] > 0).astype(np.uint8)
    best, labels = scores[:, 0].copy(), np.zeros(scores[:, 0].shape, np.uint8)
    for c in range(1, scores.shape[1]):
        labels[scores[:, c] > best] = c
        np.maximum(best, scores[:, c], out=best)
    return labels


def layered(outputs):
    """One label map of all outputs, as a model without a card's word means them: later ones lie over earlier ones, channel 0 of each is background."""
    labels, first = labels_of(outputs[0]), outputs[0].shape[1]
    for scores in outputs[1:]:
        over = labels_of(scores)
        labels[over > 0] = over[over > 0] + (first - 1)
        first += scores.shape[1] - 1
    return labels


def video_frames(path, count):
    """RGB frames; count spreads over the whole video, 0: all."""
    import cv2
    video = cv2.VideoCapture(str(path))
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    chosen = set(range(total)) if not count or count >= total else {i * total // count for i in range(count)}
    index = 0
    while True:
        ok, bgr = video.read()
        if not ok:
            return
        if index in chosen:
            yield index, bgr[..., ::-1]
        index += 1


def network_input(picture, width, height, scale=1 / 255, mean=0.0, std=1.0):
    """(value * scale - mean) / std, as model cards say it. picture: RGB, or gray without a third axis."""
    import cv2
    import numpy as np
    small = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32) * np.float32(scale)
    small = small.reshape(height, width, -1)
    return np.ascontiguousarray(((small - np.float32(mean)) / np.float32(std)).astype(np.float32).transpose(2, 0, 1)[None])


def kerb_environment(build):
    return {**os.environ, "KERB_MODULE_PATH": str(build / "modules"), "GST_PLUGIN_PATH": str(build / "gst"),
            "LD_LIBRARY_PATH": f"{build / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"}


def launch(build, *pipeline, **environment):
    """gst-launch-1.0 -v with Kerb's plugin of a build tree; returns what it says. RuntimeError with that where it fails. environment: variables besides."""
    command = ["gst-launch-1.0", "-v", *map(str, pipeline)]
    done = subprocess.run(command, env={**kerb_environment(build), **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr}")
    return done.stdout


def read_maps(path, width, height):
    """GRAY8 as GStreamer writes it: rows of a multiple of four bytes."""
    import numpy as np
    stride = (width + 3) // 4 * 4
    return np.memmap(path, np.uint8, "r").reshape(-1, height, stride)[:, :, :width]


