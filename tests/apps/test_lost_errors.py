#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Errors that decodebin loses where an element finds its fault while it is being brought up (apps/source_errors.c): they are said, and nothing hangs.
wide_window.c, preloaded, makes the moment long enough for it to happen every time."""
import os
import struct

import kerb_case
from kerb_case import BUILD, KerbCase

WINDOW = BUILD / "lib/tests/wide_window.so"


def box(name, *content):
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), name) + data


class LostErrors(KerbCase):
    def setUp(self):
        super().setUp()
        preload = f"{WINDOW} {os.environ['LD_PRELOAD']}" if os.environ.get("LD_PRELOAD") else str(WINDOW)
        self.wide = {"LD_PRELOAD": preload}

    def test_movie_without_tracks(self):
        """qtdemux says so from its own thread, in the moment."""
        video = self.folder / "no-tracks.mp4"
        header = struct.pack(">4x3I2IhH2x", 0, 0, 1000, 0, 0x10000, 0x100, 0)
        video.write_bytes(box(b"ftyp", b"isom\0\0\2\0isommp41") + box(b"moov", box(b"mvhd", header.ljust(100, b"\0"))) + box(b"mdat", bytes(64)))
        for env in ({}, self.wide):
            self.refused(3, "record", video, "-o", self.output, "--model", self.model, says="cannot be read", env=env)
            self.assertEqual(self.leftovers(), [])

    def test_good_video(self):
        """What plays goes on playing."""
        self.assertEqual(self.record(kerb_case.SMALL, "--duration", 1, "--no-labels", "--no-facts")["frames"], 25)
        again = self.folder / "again.mkv"
        self.kerb("record", self.output, "-o", again, "--model", self.model, env=self.wide)
        self.assertEqual(len(self.probe(again)[0]), 25)


if __name__ == "__main__":
    kerb_case.main()
