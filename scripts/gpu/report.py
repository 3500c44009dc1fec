# SPDX-License-Identifier: MIT
"""The report of scripts/gpu-check: sections that steps write into as they go, the table of figures, one Markdown file. Written after every step, so that a
run that is cut off leaves what it found."""
import threading


class Section:
    """What one step says. Any thread."""

    def __init__(self, title):
        self.title, self.state, self.seconds, self.lines = title, "not run", 0.0, []

    def say(self, *lines):
        self.lines += lines
        for line in lines:
            print(f"  [{self.title}] {line}", flush=True)

    def code(self, text, most=30):
        rows = text.rstrip().splitlines()
        if len(rows) > most:
            rows = rows[:most // 3] + [f"... ({len(rows) - most} lines) ..."] + rows[-(most - most // 3):]
        self.lines += ["", "```", *rows, "```"]

    def table(self, head, rows):
        self.lines += ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(str(c) for c in row) + " |" for row in rows), ""]
        for row in rows:
            print(f"  [{self.title}] " + "  ".join(str(c) for c in row), flush=True)


class Report:
    def __init__(self, path, title, note):
        self.path, self.title, self.note = path, title, note
        self.sections, self.figures = [], []
        self.lock = threading.Lock()

    def section(self, title):
        with self.lock:
            self.sections.append(Section(title))
            return self.sections[-1]

    def figure(self, what, must, measured, ok):
        """A row of the table of figures. ok None: measured, and nothing was demanded."""
        with self.lock:
            self.figures.append((what, must, str(measured), "" if ok is None else "yes" if ok else "**no**"))
        print(f"  [figure] {what}: {measured} (must: {must}){'' if ok is None else ': ok' if ok else ': NOT REACHED'}", flush=True)

    def write(self):
        with self.lock:
            out = [f"# {self.title}", "", *self.note, ""]
            out += ["## Figures", "", "| what | must show | measured | reached |", "|---|---|---|---|"]
            out += ["| " + " | ".join(row) + " |" for row in self.figures] or ["| nothing was measured | | | |"]
            out += ["", "## Steps", "", "| step | | seconds |", "|---|---|---|"]
            out += [f"| {s.title} | {s.state} | {s.seconds:.0f} |" for s in self.sections]
            for s in self.sections:
                if s.lines:
                    out += ["", f"## {s.title}", "", *s.lines]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text("\n".join(out).rstrip() + "\n")
