# SPDX-License-Identifier: MIT
"""Looking into recordings that were cut: every track's times, as a decoder sees them."""
import json
import subprocess
import time

import kerb_case

LIVE = kerb_case.SMALL + "&live=1&fps=50"  # at its own pace: there is time to interrupt it


class FilesCase(kerb_case.KerbCase):
    """Recordings of several files, all of whose names begin with "out"."""

    def names(self):
        return sorted(p.name for p in self.folder.glob("out*"))

    def begin(self, *arguments, **how):
        process = subprocess.Popen([str(kerb_case.KERB), "record", LIVE, "-o", str(self.output), "--model", str(self.model), "--threads", "1", *map(str, arguments)],
                                   stderr=subprocess.PIPE, text=True, cwd=self.folder, **how)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    def wait_for(self, name, process):
        end = time.monotonic() + 30
        while not (self.folder / name).exists():
            self.assertIsNone(process.poll(), process.stderr.read() if process.poll() is not None else "")
            self.assertLess(time.monotonic(), end, self.names())
            time.sleep(0.01)


def times(path, track):
    """Time stamps of the frames that can be decoded, and what ffprobe complains about."""
    done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", track, "-show_entries", "frame=pts_time", "-of", "json", str(path)], capture_output=True,
                          text=True)
    return [float(f["pts_time"]) for f in json.loads(done.stdout or "{}").get("frames", [])], done.stderr


def tags(path):
    done = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "format_tags:format=duration", "-of", "json", str(path)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)["format"]
    return {**found.get("tags", {}), "duration": float(found.get("duration", 0))}


def facts(path):
    """The lines of the subtitles, each as a dict."""
    text = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:s", "-f", "srt", "-"], capture_output=True, text=True, check=True).stdout
    return [dict(word.split("=", 1) for word in line.split()) for line in text.splitlines() if line.startswith("t=")]


def labels(path, frames=None, track=1):
    """The raw label maps."""
    return subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-map", f"0:{track}", *(["-frames:v", str(frames)] if frames else []), "-f", "rawvideo", "-pix_fmt", "gray", "-"],
                          capture_output=True, check=True).stdout


def seek(path, seconds):
    """Whether a picture can be had at this time."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-ss", str(seconds), "-i", str(path), "-map", "0:v:0", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True)
    return len(done.stdout) > 0


def check_cut(case, path, step, last):
    """A file that was cut anywhere: it begins at 0, no frame is missing up to the cut, labels are in step, their names are
    in the tags, and one can seek in it. Returns its frames.
    last: nothing follows it; else it must be whole."""
    pictures, complaints = times(path, "v:0")
    maps, _ = times(path, "v:1")
    if not last:
        case.assertEqual(complaints, "", path)
    case.assertGreater(len(pictures), 0, f"{path}: {complaints}")
    for n, t in enumerate(pictures):
        case.assertAlmostEqual(t, n * step, delta=2e-6, msg=f"{path}: frame {n}")
    # The first frames of a live source may pass before there are labels; after that every frame has its own.
    early = pictures.index(maps[0]) if maps and maps[0] in pictures else len(pictures)
    case.assertLessEqual(early * step, 1, path)
    case.assertEqual(maps[:len(pictures) - early], pictures[early:early + len(maps)], path)
    case.assertLessEqual(abs(early + len(maps) - len(pictures)), 1 if last else 0, path)
    case.assertIn("KERB_CLASSES", tags(path), path)
    case.assertTrue(seek(path, pictures[len(pictures) // 2]), path)
    return len(pictures)
