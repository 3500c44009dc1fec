# SPDX-License-Identifier: MIT
"""AddressSanitizer only: one recording with all its side files, one refusal and a report leak nothing, with whole stacks, so that suppressions can name functions.

The other tests of the command run without LeakSanitizer: whole stacks cost them tens of seconds, and short ones end in g_malloc() for leaks
of libraries and of ours alike.
"""
import os
import pathlib

import kerb_case
from kerb_case import KerbCase, SMALL

SUPPRESSIONS = pathlib.Path(__file__).resolve().parents[1] / "lsan.supp"


class Leaks(KerbCase):
    def setUp(self):
        super().setUp()
        self.kerb("devices")
        self.kerb("record", SMALL, "-o", self.output, "--model", self.model, "--duration", 0.1)  # GStreamer's registry is there from now on
        self.addCleanup(os.environ.update, {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")})
        os.environ["ASAN_OPTIONS"] = "detect_leaks=1:detect_odr_violation=0:intercept_tls_get_addr=0:fast_unwind_on_malloc=0:malloc_context_size=60"
        os.environ["LSAN_OPTIONS"] = f"suppressions={SUPPRESSIONS}:print_suppressions=0"

    def test_recording(self):
        self.kerb("record", SMALL, "-o", self.output, "--model", self.model, "--duration", 0.3, "--force", "--sheet", self.folder / "sheet.png",
                  "--labels-out", self.folder / "labels.mkv")
        self.kerb("record", self.output, "-o", self.folder / "again.mkv", "--model", self.model)

    def test_view(self):
        """Panels, steps and seeks, another source, another model, one that is none, and a recording."""
        (self.folder / "bad.onnx").write_bytes(b"no model")
        (self.folder / "script").write_text(f"key i ? m . , right s\nresize 400 300\nmove 50 50\nkey space r\nframes 3\nkey r\ndrop {self.output}\ndrop {self.folder}/bad.onnx\n"
                                            f"drop {self.folder}/none.mp4\nstate\nquit\n")
        self.kerb("view", SMALL, "--model", self.model, "--headless", "--script", "script", "--screenshot", "shot.png")

    def test_refusal_and_report(self):
        self.refused(3, "record", self.folder / "nothing.mp4", "-o", self.folder / "none.mkv", "--model", self.model, says="nothing.mp4")
        self.kerb("inspect", self.model)
        self.kerb("devices", "--json")

    def test_evaluation(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        self.kerb("eval", "--model", root / "models/drive-free.onnx", "--dataset", "test", "test:?size=64x36", "--frames", 3, "--flicker", "--mask-age", 1, "--sheet", "s.html")
        self.refused(2, "eval", "--model", self.model, "--dataset", "test", "test:?size=64x36", "--frames", 3, says="no class of the model")


if __name__ == "__main__":
    kerb_case.main()
