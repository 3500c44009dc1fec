// SPDX-License-Identifier: MIT
// The timeline: one canvas with thumbnails, marks and charts above one time axis; pointer and zoom. Starts the page, at the end.
const charts = (() => {
  const track = el("track"), canvas = make("canvas", null, { "aria-hidden": "true" }), context = canvas.getContext("2d");
  const cursor = make("div", null, { class: "cursor" }), head = make("div", null, { class: "head" }), tip = make("div", null, { id: "tip" });
  const LEFT = 48, RIGHT = 10, AXIS = 22, images = new Map();
  let width = 0, height = 0, lanes = [], colors = {};
  cursor.hidden = tip.hidden = true;
  track.append(canvas, cursor, head, tip);

  const plot = () => width - LEFT - RIGHT;
  const xOf = t => LEFT + (t - state.from) / (state.to - state.from) * plot();
  const timeOf = x => Math.max(0, Math.min(data.length_s, state.from + (x - LEFT) / plot() * (state.to - state.from)));

  // A round number that divides a range into about n.
  function nice(range, n) {
    const rough = range / n, power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find(f => f * power >= rough * 0.999);
  }
  function niceTime(range, n) {
    return [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400].find(s => s >= range / n) || 28800;
  }
  function topOf(...lists) {
    const max = most(lists.flatMap(known));
    return max > 0 ? Math.ceil(max / nice(max, 3) - 1e-9) * nice(max, 3) : 1;
  }

  function plan() {
    const small = width < 640;
    lanes = [];
    if (data.thumbs.length) lanes.push({ kind: "thumbs", height: small ? 44 : 64 });
    if (marks.length) lanes.push({ kind: "marks", height: 20 });
    if (data.classes.length) lanes.push({ kind: "shares", height: small ? 150 : 190, title: "classes, % of picture", unit: "%", top: 100 });
    if (series.free_road) lanes.push({ kind: "line", height: small ? 78 : 92, title: data.free_road_of === "ahead" ? "free road ahead, %" : "road, % of picture", unit: "%", top: 100, lines: [{ values: series.free_road, color: "--free", fill: true }] });
    if (series.flicker) lanes.push({ kind: "line", height: small ? 66 : 76, title: "flicker, % of pixels", unit: "%", top: topOf(series.flicker), lines: [{ values: series.flicker, color: "--warn", fill: true }] });
    const ages = [{ values: series.age_max_ms, color: "--alarm", name: "maximum" }, { values: series.age_p50_ms, color: "--strong", name: "median", fill: true }].filter(l => l.values);
    if (ages.length) lanes.push({ kind: "line", height: small ? 70 : 84, title: "mask age, ms", unit: "ms", top: topOf(...ages.map(l => l.values)), lines: ages });
    const rates = [{ values: series.encode_fps, color: "--faint", name: "recorded" }, { values: series.fps, color: "--strong", name: "segmented" }].filter(l => l.values);
    if (rates.length) lanes.push({ kind: "line", height: small ? 66 : 76, title: "frame rate, fps", unit: "fps", top: topOf(...rates.map(l => l.values)), lines: rates });
    let y = 0;
    for (const lane of lanes) {
      lane.y = y;
      y += lane.height + 10;
    }
    height = y + AXIS;
  }

  function size() {
    width = Math.max(240, track.clientWidth);
    plan();
    const scale = window.devicePixelRatio || 1;
    canvas.style.height = height + "px";
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    draw();
  }

  // --------------------------------------------------------------------------------------------------------------- drawing

  // Values as one a pixel column at most: [x, value, least, most]. Unknown steps break the line.
  function columns(values) {
    const first = Math.max(0, Math.floor(state.from / data.step_s) - 1), last = Math.min(values.length - 1, Math.ceil(state.to / data.step_s) + 1), runs = [];
    let run = [], bucket = null;
    const flush = () => { if (bucket) run.push([bucket.x / bucket.n, bucket.sum / bucket.n, bucket.least, bucket.most]); bucket = null; };
    for (let i = first; i <= last; i++) {
      if (values[i] === null) {
        flush();
        if (run.length) runs.push(run);
        run = [];
        continue;
      }
      const x = xOf(Math.min((i + 0.5) * data.step_s, data.length_s)), v = values[i];
      if (bucket && Math.floor(bucket.first) !== Math.floor(x)) flush();
      if (!bucket) bucket = { first: x, x: 0, n: 0, sum: 0, least: v, most: v };
      bucket.x += x; bucket.n++; bucket.sum += v; bucket.least = Math.min(bucket.least, v); bucket.most = Math.max(bucket.most, v);
    }
    flush();
    if (run.length) runs.push(run);
    return runs;
  }

  function clip(lane, paint) {
    context.save();
    context.beginPath();
    context.rect(LEFT, lane.y, plot(), lane.height);
    context.clip();
    paint();
    context.restore();
  }

  function drawLine(lane, line) {
    const yOf = v => lane.y + lane.height - Math.min(1, v / lane.top) * (lane.height - 16), color = line.rgb || colors[line.color];
    clip(lane, () => {
      for (const run of columns(line.values)) {
        context.beginPath();
        if (run.length === 1) context.rect(run[0][0] - 1, yOf(run[0][1]) - 1, 2, 2);
        run.forEach(([x, v], i) => i ? context.lineTo(x, yOf(v)) : context.moveTo(x, yOf(v)));
        context.lineWidth = 1.6;
        context.lineJoin = "round";
        context.strokeStyle = color;
        context.stroke();
        context.globalAlpha = 0.16;
        context.fillStyle = color;
        if (line.fill) {
          context.lineTo(run[run.length - 1][0], lane.y + lane.height);
          context.lineTo(run[0][0], lane.y + lane.height);
          context.fill();
        }
        if (run.some(p => p[2] !== p[3])) { // many steps in a pixel: their range
          context.beginPath();
          run.forEach(([x, , , high], i) => i ? context.lineTo(x, yOf(high)) : context.moveTo(x, yOf(high)));
          for (let i = run.length - 1; i >= 0; i--) context.lineTo(run[i][0], yOf(run[i][2]));
          context.fill();
        }
        context.globalAlpha = 1;
      }
    });
  }

  function drawStack(lane) {
    const yOf = v => lane.y + lane.height - Math.min(100, v) / 100 * (lane.height - 16);
    const shown = data.classes.map((_, i) => i).filter(i => !hidden.has(i)), below = new Array(steps).fill(0), layers = [];
    for (const i of shown) {
      const low = below.slice(), high = below.map((b, k) => series.shares[i][k] === null ? null : b + series.shares[i][k]);
      high.forEach((v, k) => { if (v !== null) below[k] = v; });
      layers.push({ i, low: columns(low.map((v, k) => high[k] === null ? null : v)), high: columns(high) });
    }
    clip(lane, () => {
      for (const layer of layers) {
        context.fillStyle = data.classes[layer.i].color;
        context.strokeStyle = colors["--card"];
        context.lineWidth = 0.6;
        layer.high.forEach((run, r) => {
          const floor = layer.low[r], half = data.step_s / 2 / (state.to - state.from) * plot();
          context.beginPath();
          context.moveTo(run[0][0] - half, yOf(run[0][1]));
          run.forEach(([x, v]) => context.lineTo(x, yOf(v)));
          context.lineTo(run[run.length - 1][0] + half, yOf(run[run.length - 1][1]));
          context.lineTo(floor[floor.length - 1][0] + half, yOf(floor[floor.length - 1][1]));
          for (let k = floor.length - 1; k >= 0; k--) context.lineTo(floor[k][0], yOf(floor[k][1]));
          context.lineTo(floor[0][0] - half, yOf(floor[0][1]));
          context.closePath();
          context.fill();
          context.stroke();
        });
      }
    });
  }

  function drawFrame(lane) {
    const ticks = lane.height > 120 ? 4 : 2, yOf = v => lane.y + lane.height - v / lane.top * (lane.height - 16);
    context.strokeStyle = colors["--line"];
    context.fillStyle = colors["--faint"];
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let i = 0; i <= ticks; i++) {
      const v = lane.top * i / ticks, y = Math.round(yOf(v)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, y);
      context.lineTo(LEFT + plot(), y);
      context.stroke();
      context.fillText(Number(v.toPrecision(3)) + (lane.unit === "%" ? " %" : ""), LEFT - 7, Math.min(y, lane.y + lane.height - 4));
    }
  }
  function drawTitle(lane) {
    context.textAlign = "left";
    context.textBaseline = "top";
    context.fillStyle = colors["--ink"];
    context.fillText(lane.title, LEFT + 2, lane.y);
    let x = LEFT + 14 + context.measureText(lane.title).width;
    for (const line of (lane.lines || []).filter(l => l.name).reverse()) {
      context.fillStyle = colors[line.color];
      context.fillRect(x, lane.y + 5, 10, 3);
      context.fillText(line.name, x + 14, lane.y);
      x += 26 + context.measureText(line.name).width;
    }
  }

  function drawThumbs(lane) {
    const first = data.parts.find(p => p.width) || { width: 16, height: 9 }, wide = lane.height * first.width / first.height;
    clip(lane, () => {
      for (let x = LEFT; x < LEFT + plot(); x += wide + 2) {
        const thumb = thumbAt(timeOf(x + wide / 2));
        let image = images.get(thumb.t);
        if (!image) {
          image = new Image();
          image.src = thumbSource(thumb);
          images.set(thumb.t, image);
        }
        if (image.complete && image.naturalWidth) context.drawImage(image, x, lane.y, wide, lane.height);
        else image.addEventListener("load", draw, { once: true });
      }
    });
  }

  function drawMarks(lane) {
    clip(lane, () => {
      context.fillStyle = colors["--soft"];
      context.fillRect(LEFT, lane.y + 6, plot(), 8);
      for (const mark of marks) {
        const x = xOf(mark.t);
        context.fillStyle = colors[mark.kind === "gap" ? "--alarm" : "--warn"];
        if (mark.kind === "gap") {
          context.fillRect(x, lane.y + 5, Math.max(3, xOf(mark.t + mark.length_s) - x), 10);
        } else {
          context.beginPath();
          context.moveTo(x, lane.y + 2); context.lineTo(x + 7, lane.y + 10); context.lineTo(x, lane.y + 18); context.lineTo(x - 7, lane.y + 10);
          context.fill();
        }
      }
    });
  }

  function drawTimes() {
    const step = niceTime(state.to - state.from, plot() / 90), bottom = height - AXIS;
    context.strokeStyle = colors["--line"];
    context.fillStyle = colors["--faint"];
    context.textBaseline = "top";
    for (let t = Math.ceil(state.from / step - 1e-6) * step; t <= state.to + 1e-6; t += step) {
      const x = Math.round(xOf(t)) + 0.5;
      context.beginPath();
      context.moveTo(x, bottom - 8);
      context.lineTo(x, bottom);
      context.stroke();
      context.textAlign = x < LEFT + 14 ? "left" : x > LEFT + plot() - 14 ? "right" : "center";
      context.fillText(clock(t, step < 1), x, bottom + 3);
    }
    for (const part of data.parts.slice(1)) { // where a file ends and the next begins
      const x = Math.round(xOf(part.start_s)) + 0.5;
      if (x < LEFT || x > LEFT + plot()) continue;
      context.setLineDash([2, 4]);
      context.strokeStyle = colors["--faint"];
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, bottom);
      context.stroke();
      context.setLineDash([]);
    }
  }

  function draw() {
    if (!width) return;
    const style = getComputedStyle(document.documentElement);
    for (const name of ["--ink", "--faint", "--line", "--card", "--soft", "--strong", "--free", "--warn", "--alarm"]) colors[name] = style.getPropertyValue(name).trim();
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
    for (const lane of lanes) {
      if (lane.kind === "thumbs") drawThumbs(lane);
      else if (lane.kind === "marks") drawMarks(lane);
      else {
        drawFrame(lane);
        if (lane.kind === "shares" && state.stacked) drawStack(lane);
        else if (lane.kind === "shares") data.classes.forEach((c, i) => { if (!hidden.has(i)) drawLine(lane, { values: series.shares[i], rgb: c.color }); });
        else lane.lines.forEach(line => drawLine(lane, line));
        drawTitle(lane);
      }
    }
    drawTimes();
    place();
  }

  // --------------------------------------------------------------------------------------------------- playhead and pointer

  function place() {
    const x = xOf(state.t);
    head.hidden = x < LEFT - 1 || x > LEFT + plot() + 1;
    head.style.left = x - 1 + "px";
    if (state.hover !== null) cursor.style.left = xOf(state.hover) + "px";
  }

  // The playhead stays in view.
  function follow() {
    const view = state.to - state.from;
    if (state.t < state.from || state.t > state.to) {
      state.from = Math.max(0, Math.min(data.length_s - view, state.t - view * 0.1));
      state.to = state.from + view;
      draw();
    } else place();
  }

  function zoom(factor, around = state.t) {
    const least = Math.min(data.length_s, Math.max(2, 4 * data.step_s)), view = Math.max(least, Math.min(data.length_s, (state.to - state.from) * factor));
    const share = state.to > state.from ? (around - state.from) / (state.to - state.from) : 0.5;
    state.from = Math.max(0, Math.min(data.length_s - view, around - view * Math.max(0, Math.min(1, share))));
    state.to = state.from + view;
    draw();
  }

  function row(name, value, color) {
    const line = make("div"), swatch = make("i");
    if (color) {
      swatch.style.setProperty("--color", color);
      line.append(swatch);
    }
    line.append(make("span", name), make("b", value));
    return line;
  }

  function fillTip(t) {
    const step = stepAt(t), thumb = thumbAt(t), near = marks.find(m => t >= m.t - (state.to - state.from) / plot() * 6 && t <= m.t + m.length_s + (state.to - state.from) / plot() * 6);
    tip.replaceChildren();
    if (thumb) tip.append(make("img", null, { src: thumbSource(thumb), alt: "" }));
    tip.append(row("time", clock(t, true)));
    if (near) tip.append(make("div", near.text, { class: "mark" }));
    const top = data.classes.map((c, i) => ({ c, v: series.shares[i][step], i })).filter(x => x.v > 0 && !hidden.has(x.i)).sort((a, b) => b.v - a.v).slice(0, 5);
    for (const { c, v } of top) tip.append(row(c.name, percent(v), c.color));
    const value = (values, unit, digits) => values && values[step] !== null ? values[step].toFixed(digits) + " " + unit : null;
    for (const [name, text] of [[data.free_road_of === "ahead" ? "free road ahead" : "road", series.free_road && series.free_road[step] !== null ? percent(series.free_road[step]) : null],
      ["flicker", series.flicker && series.flicker[step] !== null ? percent(series.flicker[step]) : null], ["mask age, median", value(series.age_p50_ms, "ms", 0)],
      ["mask age, maximum", value(series.age_max_ms, "ms", 0)], ["frame rate", value(series.fps, "fps", 1)]]) if (text) tip.append(row(name, text));
    return top;
  }

  function hover(event) {
    const box = track.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    if (x < LEFT - 4 || x > width - RIGHT + 4) { leave(); return; }
    state.hover = timeOf(x);
    cursor.hidden = tip.hidden = false;
    const top = fillTip(state.hover);
    el("readout").textContent = `${clock(state.hover, true)}  ${top.slice(0, 3).map(o => `${o.c.name} ${percent(o.v)}`).join(" · ")}`;
    tip.style.left = (x + 234 > width ? Math.max(0, x - 232) : x + 16) + "px";
    tip.style.top = Math.max(0, Math.min(y + 12, height - tip.offsetHeight)) + "px";
    place();
    updateLegend();
  }
  function leave() {
    state.hover = null;
    cursor.hidden = tip.hidden = true;
    el("readout").textContent = "";
    updateLegend();
  }

  track.addEventListener("pointermove", hover);
  track.addEventListener("pointerleave", leave);
  track.addEventListener("click", event => seek(timeOf(event.clientX - track.getBoundingClientRect().left), true));
  track.addEventListener("wheel", event => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, timeOf(event.clientX - track.getBoundingClientRect().left));
  }, { passive: false });
  new ResizeObserver(() => { if (track.clientWidth !== width) size(); }).observe(track);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return { size, draw, follow, zoom };
})();

(function start() {
  fillAbout();
  fillTiles();
  fillLegend();
  fillMarks();
  fillParts();
  fillShares();
  const playable = data.parts.some(p => p.embedded || p.link);
  video.hidden = !playable;
  el("still").hidden = playable || !data.thumbs.length;
  for (const id of ["play", "speed", "full"]) el(id).disabled = !playable;
  for (const id of ["previous", "next"]) el(id).disabled = !marks.length;
  el("track").setAttribute("aria-valuemax", data.length_s.toFixed(1));
  el("play").addEventListener("click", toggle);
  el("previous").addEventListener("click", () => jump(-1));
  el("next").addEventListener("click", () => jump(1));
  el("full").addEventListener("click", fullScreen);
  el("speed").addEventListener("change", () => { video.playbackRate = Number(el("speed").value); });
  el("all").addEventListener("click", () => { hidden.clear(); refreshLegend(); });
  el("none").addEventListener("click", () => { data.classes.forEach((_, i) => hidden.add(i)); refreshLegend(); });
  el("stack").addEventListener("click", () => {
    state.stacked = !state.stacked;
    el("stack").setAttribute("aria-pressed", String(state.stacked));
    el("stack").textContent = state.stacked ? "stacked" : "lines";
    charts.draw();
  });
  el("closer").addEventListener("click", () => charts.zoom(0.5));
  el("wider").addEventListener("click", () => charts.zoom(2));
  el("whole").addEventListener("click", () => charts.zoom(Infinity));
  el("theme").addEventListener("click", turnTheme);
  document.addEventListener("keydown", key);
  charts.size();
  seek(0, false);
})();
