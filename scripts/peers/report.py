# SPDX-License-Identifier: MIT
"""What the times of scripts/bench-peers mean: the best peer under a rule of agreement, ratios and their geometric means; as Markdown and as a chart.

A report is {"machine", "settings", "said", "nets": {name: {"width", "height", "open_s", "absent": {candidate: why}, "rows": [row]}}}; a row is one candidate with one number of threads:
{"candidate", "precision", "threads", "median_ms", "min_ms", "n", "agreement", "peak_bytes"}, Kerb's with "network_ms" too. Nothing is measured here.
"""
import math

LEAST_F32 = 0.9999  # share of labels that are ONNX Runtime's in f32, below which a time in f32 does not count
LEAST_ANY = 0.999   # the same where any precision may be taken
# comparison: (its heading, what it is)
COMPARISONS = {
    "f32": ("f32", f"best peer in f32 / Kerb in f32, agreement of each at least {LEAST_F32:.2%}"),
    "any": ("fastest", f"fastest peer / Kerb in its fastest precision, agreement of each at least {LEAST_ANY:.1%}"),
    "int8": ("int8", "OpenVINO int8 (NNCF) / Kerb int8 (kerb calibrate), where Kerb's agreement is at least OpenVINO's"),
    "memory": ("memory", "peak memory of that best f32 peer's process / of Kerb's in f32"),
}


def best(rows, least):
    """The fastest of the rows that agree often enough; None where none does."""
    return min((r for r in rows if r["agreement"] >= least), key=lambda r: r["median_ms"], default=None)


def geometric_mean(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def outcome(kerb, peer, least, figure="median_ms"):
    """{"ratio", "peer", "kerb"}: above 1 is better for Kerb; or {"why"} there is none."""
    if not kerb:
        return {"why": f"no Kerb at {least:.2%}"}
    if not peer:
        return {"why": f"no peer at {least:.2%}"}
    return {"ratio": peer[figure] / kerb[figure], "peer": f"{peer['candidate']} {peer['precision']}", "kerb": kerb["precision"]}


def compare(rows):
    """The comparisons of one network with one number of threads."""
    kerb = [r for r in rows if r["candidate"] == "kerb"]
    peers = [r for r in rows if r["candidate"] != "kerb"]
    in_precision = lambda some, precision: [r for r in some if r["precision"] == precision]  # noqa: E731
    ours, theirs = best(in_precision(kerb, "f32"), LEAST_F32), best(in_precision(peers, "f32"), LEAST_F32)
    found = {"f32": outcome(ours, theirs, LEAST_F32), "any": outcome(best(kerb, LEAST_ANY), best(peers, LEAST_ANY), LEAST_ANY),
             "memory": outcome(ours, theirs, LEAST_F32, "peak_bytes")}
    ours, theirs = (next(iter(in_precision(some, "int8")), None) for some in (kerb, [r for r in peers if r["candidate"] == "openvino"]))
    if ours and theirs and ours["agreement"] < theirs["agreement"]:
        found["int8"] = {"why": f"Kerb agrees less: {ours['agreement']:.3%}, OpenVINO {theirs['agreement']:.3%}"}
    else:
        found["int8"] = outcome(ours, theirs, 0) if ours and theirs else {"why": "not both were measured"}
    return found


def summarise(report):
    """threads -> {"nets": {name: comparisons}, "means": {comparison: {"mean", "least", "nets"}}}"""
    summary = {}
    for threads in sorted({r["threads"] for net in report["nets"].values() for r in net["rows"]}):
        nets = {name: compare([r for r in net["rows"] if r["threads"] == threads]) for name, net in report["nets"].items()}
        means = {}
        for comparison in COMPARISONS:
            ratios = [found[comparison]["ratio"] for found in nets.values() if "ratio" in found[comparison]]
            means[comparison] = {"mean": geometric_mean(ratios), "least": min(ratios, default=None), "nets": len(ratios)}
        summary[threads] = {"nets": nets, "means": means}
    return summary


# ------------------------------------------------------------------------------------------------------------------------ Markdown

def percent(share):
    """Rounded down, so that 100 % is all of them."""
    return f"{math.floor(round(share * 1e5, 6)) / 1e3:.3f}".rstrip("0").rstrip(".") + " %"


def threads_of(n):
    return f"{n} thread" if n == 1 else f"{n} threads"


def counts(row):
    """In int8 Kerb and OpenVINO are compared with each other, whatever the agreement."""
    return row["precision"] == "int8" or row["agreement"] >= (LEAST_F32 if row["precision"] == "f32" else LEAST_ANY)


def table(head, lines):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(line) + " |" for line in lines)]


def times_table(report, threads):
    """A column a candidate; the agreement stands beside each time, and what agrees too seldom is struck through."""
    rows = {name: {f"{r['candidate']} {r['precision']}": r for r in net["rows"] if r["threads"] == threads} for name, net in report["nets"].items()}
    columns = list(dict.fromkeys(key for by_key in rows.values() for key in by_key))

    def cell(row):
        if row is None:
            return "–"
        text = f"{row['median_ms']:.1f} ({percent(row['agreement'])})"
        return text if counts(row) else f"~~{text}~~"
    lines = [[f"{name} {report['nets'][name]['width']}x{report['nets'][name]['height']}", *(cell(by_key.get(c)) for c in columns)] for name, by_key in rows.items()]
    return table(["network", *columns], lines)


def ratios_table(part):
    def cell(found):
        return f"{found['ratio']:.2f}" if "ratio" in found else "–"
    lines = [[name, *(cell(found[c]) for c in COMPARISONS), found["f32"].get("peer", "–"), f"{found['any'].get('peer', '–')} / {found['any'].get('kerb', '–')}"]
             for name, found in part["nets"].items()]

    def mean(figure, of):
        return [f"**{of}**", *(f"**{part['means'][c][figure]:.2f}**" if part["means"][c][figure] else "–" for c in COMPARISONS), "", ""]
    return table(["peer / Kerb", *(heading for heading, _ in COMPARISONS.values()), "best f32 peer", "fastest: peer / Kerb"],
                 [*lines, mean("mean", "geometric mean"), mean("least", "least")])


def kerb_table(report):
    """Of Kerb in f32: opening, memory, and what is not the network."""
    lines = []
    for name, net in report["nets"].items():
        for row in (r for r in net["rows"] if (r["candidate"], r["precision"]) == ("kerb", "f32")):
            opened = net["open_s"].get(str(row["threads"]), {})
            outside = 1 - row["network_ms"] / row["median_ms"]
            lines.append([name, str(row["threads"]), *(f"{opened[k]:.2f}" if k in opened else "–" for k in ("cold", "cached")), f"{row['peak_bytes'] / 1e6:.0f}", f"{outside:.1%}"])
    return table(["Kerb f32", "threads", "open cold, s", "cached, s", "peak memory, MB", "of the frame outside the network"], lines)


def markdown(report):
    settings, summary = report["settings"], summarise(report)
    lines = ["# Kerb's whole path against the network alone elsewhere", "",
             f"{report['machine']}. Rounds: {settings['rounds']}, in turns of {settings['seconds']:g} s. Median ms; in parentheses the agreement, how many labels of held-out frames",
             "are those of ONNX Runtime with the float model in f32. Struck through: it agrees too seldom to count.", ""]
    for threads, part in sorted(summary.items(), reverse=True):
        lines += [f"## {threads_of(threads)}", "", *times_table(report, threads), "", *ratios_table(part), ""]
        lines += [f"- {name}, {COMPARISONS[c][0]}: {found[c]['why']}" for name, found in part["nets"].items() for c in COMPARISONS if "why" in found[c] and c != "memory"] + [""]
    lines += [*(f"- {heading}: {what}" for heading, what in COMPARISONS.values()), "", *kerb_table(report), ""]
    absent = [f"- {name}: {candidate}: {why}" for name, net in report["nets"].items() for candidate, why in net["absent"].items()]
    lines += ["Not there:", "", *(f"- {line}" for line in report["said"]), *absent, ""]
    return "\n".join(lines)


# --------------------------------------------------------------------------------------------------------------------------- chart

def chart(report, path):
    """A PNG: a panel a number of threads, a group of bars a network; the line is where Kerb and the peer are as fast."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    summary, shown = summarise(report), ("f32", "any", "int8")
    figure, panels = pyplot.subplots(len(summary), 1, figsize=(1.5 + 1.1 * max(len(report["nets"]), 5), 3.6 * len(summary)), squeeze=False, layout="constrained")
    for panel, (threads, part) in zip(panels[:, 0], sorted(summary.items(), reverse=True)):
        for i, comparison in enumerate(shown):
            mean, xs = part["means"][comparison]["mean"], [n + 0.27 * (i - 1) for n in range(len(part["nets"]))]
            ratios = [found[comparison].get("ratio", 0) for found in part["nets"].values()]
            bars = panel.bar(xs, ratios, 0.25, label=f"{COMPARISONS[comparison][0]} (geometric mean {mean:.2f})" if mean else f"{COMPARISONS[comparison][0]} (none)")
            panel.bar_label(bars, [f"{r:.2f}" if r else "" for r in ratios], fontsize=7, padding=1)
        panel.axhline(1, color="black", linewidth=0.8)
        panel.set_xticks(range(len(part["nets"])), part["nets"], rotation=20, ha="right")
        panel.set_ylabel("peer's network / Kerb's whole path")
        panel.set_title(threads_of(threads), fontsize=10, pad=24)
        panel.legend(fontsize=8, ncols=len(shown), loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
        panel.margins(y=0.1)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
