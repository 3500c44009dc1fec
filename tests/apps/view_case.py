# SPDX-License-Identifier: MIT
"""What the viewer's tests share: --script played into SDL's dummy driver, and screenshots looked at pixel by pixel."""
import json
import time

import kerb_case
from kerb_case import KerbCase

DRIVE = "test:?size=640x360"  # as large as the smallest window: a pixel is a pixel
RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


def near(pixel, color, within=40):
    """Colours that have been through YUV are not what they were."""
    return all(abs(a - b) <= within for a, b in zip(pixel, color))


class Shot:
    def __init__(self, path):
        self.width, self.height, self.rows = kerb_case.png(path)

    def __getitem__(self, at):
        x, y = at
        return tuple(self.rows[y][3 * x:3 * x + 3])

    def __eq__(self, other):
        return self.rows == other.rows

    def area(self, x0, y0, x1, y1):
        return [self[x, y] for y in range(y0, y1, 3) for x in range(x0, x1, 3)]


class ViewCase(KerbCase):
    def setUp(self):
        super().setUp()
        self.photos = self.folder / "photos"

    def view(self, script, *arguments, source=DRIVE, code=0, pause=True, model=None):
        """Plays a script; returns the states that it printed. Screenshots lie in the test's folder."""
        path = self.folder / "script"
        path.write_text(script + "\nquit\n")
        done = self.kerb("view", source, "--model", model or self.model, "--threads", 1, "--headless", "--script", path, *(["--pause"] if pause else []), *arguments, code=code)
        self.assertNotIn("CRITICAL", done.stderr)
        self.stderr = done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def shot(self, name):
        return Shot(self.folder / name)

    def images(self, colors, size=(320, 180)):
        """A folder with a picture of each colour: a video of which every frame is known."""
        self.photos.mkdir(exist_ok=True)
        for i, color in enumerate(colors):
            kerb_case.write_ppm(self.photos / f"{i}.ppm", *size, color)
        return self.photos

    def wait_for(self, condition):
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end, "it never came")
            time.sleep(0.02)
