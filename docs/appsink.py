#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads what kerbseg found, frame by frame, in Python: the picture from `src`, the labels from the pad `labels`, as numpy arrays.

    apt install python3-gi python3-numpy gir1.2-gst-plugins-base-1.0
    python3 docs/appsink.py net.onnx drive.mp4

Writes a line a frame: its time and the three classes that take most of the picture. Without a video: a synthetic drive. The pads carry the same frames with the
same time stamps; names of the classes are those of the model's card, net.json beside net.onnx. (Metadata of a type of one's own, as KerbSegMeta is, cannot be read
from Python.)
"""
import json
import pathlib
import sys

import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstApp, GstVideo  # noqa: E402, F401 (GstApp: appsink's own methods)


def plane(sample):
    """The first plane of a frame as rows of bytes. A row is longer than the picture is wide: GStreamer fills it up to 4 bytes, others do more."""
    info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
    buffer = sample.get_buffer()
    meta = GstVideo.buffer_get_video_meta(buffer)
    stride, start = (meta.stride[0], meta.offset[0]) if meta else (info.stride[0], info.offset[0])
    data = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8)[start:]
    return np.lib.stride_tricks.as_strided(data, (info.height, info.width * info.finfo.pixel_stride[0]), (stride, 1))


def pull(sink, bus):
    """The next sample; None at the end. Ends the program where the pipeline has failed: it would wait for ever."""
    while True:
        sample = sink.try_pull_sample(Gst.SECOND // 10)
        if sample or sink.is_eos():
            return sample
        if message := bus.pop_filtered(Gst.MessageType.ERROR):
            sys.exit(message.parse_error()[0].message)


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: appsink.py NET.onnx [VIDEO]")
    model = pathlib.Path(sys.argv[1])
    card = json.loads(model.with_suffix(".json").read_text()) if model.with_suffix(".json").exists() else {}
    names = [c["name"] for c in card.get("classes", [])]

    Gst.init(None)
    source = "filesrc name=source ! decodebin ! videoconvert" if len(sys.argv) > 2 else "kerbtestsrc num-buffers=10"
    pipeline = Gst.parse_launch(f"{source} ! kerbseg name=kerb visualize=none ! appsink name=pictures sync=false  kerb.labels ! appsink name=labels sync=false")
    pipeline.get_by_name("kerb").set_property("model-file", str(model))
    if len(sys.argv) > 2:
        pipeline.get_by_name("source").set_property("location", sys.argv[2])
    pictures, labels, bus = pipeline.get_by_name("pictures"), pipeline.get_by_name("labels"), pipeline.get_bus()
    pipeline.set_state(Gst.State.PLAYING)
    while (picture := pull(pictures, bus)) and (found := pull(labels, bus)):  # in step: what is not read piles up
        pts = found.get_buffer().pts
        assert pts == picture.get_buffer().pts
        pixels = np.bincount(plane(found).ravel(), minlength=256)[:255]  # 255: no class
        most = [i for i in np.argsort(-pixels, kind="stable")[:3] if pixels[i]]
        height, width = plane(found).shape
        print(f"{pts / 1e9:.3f} s:" + "".join(f"  {names[i] if i < len(names) else i} {100 * pixels[i] / width / height:.1f} %" for i in most))
    pipeline.set_state(Gst.State.NULL)


main()
