// SPDX-License-Identifier: MIT
// The review page: figures, video, legend, lists and keys. The timeline is drawn by charts.js. All text goes in as textContent: names are anybody's.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const el = id => document.getElementById(id);
const series = data.series, steps = series.shares.length ? series.shares[0].length : (series.flicker || series.fps || [0]).length;
const hidden = new Set();
const state = { t: 0, hover: null, from: 0, to: data.length_s, stacked: true };

function make(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  if (text != null) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// 75.26 -> "1:15", with tenths where wanted.
function clock(seconds, tenths) {
  const total = tenths ? Math.floor(seconds * 10 + 1e-6) / 10 : Math.floor(seconds + 1e-6);
  const h = Math.floor(total / 3600), m = Math.floor(total / 60) % 60, s = total % 60;
  const rest = (s < 10 ? "0" : "") + (tenths ? s.toFixed(1) : String(Math.floor(s)));
  return h ? `${h}:${String(m).padStart(2, "0")}:${rest}` : `${m}:${rest}`;
}

function spoken(seconds) {
  const s = Math.floor(seconds % 60), m = Math.floor(seconds / 60) % 60, h = Math.floor(seconds / 3600);
  return (h ? `${h} hours ` : "") + (m ? `${m} minutes ` : "") + `${s} seconds`;
}

const stepAt = t => Math.max(0, Math.min(steps - 1, Math.floor(t / data.step_s)));
const known = values => values ? values.filter(v => v !== null) : [];
const mean = values => values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
const quantile = (values, q) => values.length ? [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))] : null;
const least = values => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = values => values.reduce((a, b) => Math.max(a, b), -Infinity);
const percent = v => v === null || v === undefined ? "–" : (v >= 9.95 || v === 0 ? v.toFixed(0) : v >= 0.095 ? v.toFixed(1) : v.toFixed(2)) + " %";

const marks = [...data.gaps.map(g => ({ t: g.t, length_s: g.length_s, kind: "gap", text: `gap of ${g.length_s.toFixed(g.length_s < 10 ? 1 : 0)} s` })),
               ...data.events.map(e => ({ t: e.t, length_s: 0, kind: "event", text: e.name }))].sort((a, b) => a.t - b.t);

function thumbAt(t) {
  let low = 0, high = data.thumbs.length - 1;
  if (high < 0) return null;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (data.thumbs[middle].t <= t + 1e-3) low = middle; else high = middle - 1;
  }
  return data.thumbs[low];
}
const thumbSource = thumb => "data:image/jpeg;base64," + thumb.jpeg;

// ------------------------------------------------------------------------------------------------------------------ video

const video = el("video");
const player = { part: -1, wanted: null, playing: false };

// An embedded video becomes a Blob when its part is first played; then its text is let go.
function partSource(index) {
  const part = data.parts[index];
  if (part.link) return part.link;
  if (!part.embedded) return null;
  if (!part.url) {
    const holder = el(part.embedded), text = holder.textContent, bytes = new Uint8Array(text.length * 3 / 4 - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0));
    for (let from = 0, to = 0; from < text.length; from += 65536) {
      const piece = atob(text.slice(from, from + 65536));
      for (let i = 0; i < piece.length; i++) bytes[to++] = piece.charCodeAt(i);
    }
    part.url = URL.createObjectURL(new Blob([bytes], { type: part.mime }));
    holder.remove();
  }
  return part.url;
}

function partAt(t) {
  let index = 0;
  data.parts.forEach((part, i) => { if (t >= part.start_s - 1e-6) index = i; });
  return index;
}

function show(t) {
  state.t = Math.max(0, Math.min(data.length_s, t));
  const source = thumbAt(state.t), still = el("still");
  if (!still.hidden && source && still.dataset.t !== String(source.t)) {
    still.src = thumbSource(source);
    still.dataset.t = source.t;
  }
  el("clock").textContent = `${clock(state.t, true)} / ${clock(data.length_s)}`;
  const track = el("track");
  track.setAttribute("aria-valuenow", state.t.toFixed(1));
  track.setAttribute("aria-valuetext", `${spoken(state.t)}, ${describe(state.t)}`);
  updateLegend();
  charts.follow();
}

function describe(t) {
  const step = stepAt(t), parts = [];
  if (series.free_road && series.free_road[step] !== null) parts.push(`free road ${percent(series.free_road[step])}`);
  const top = data.classes.map((c, i) => [c.name, series.shares[i][step]]).filter(x => x[1] > 0).sort((a, b) => b[1] - a[1]).slice(0, 3);
  return parts.concat(top.map(x => `${x[0]} ${percent(x[1])}`)).join(", ");
}

function seek(t, play) {
  const to = Math.max(0, Math.min(data.length_s, t)), index = partAt(to), part = data.parts[index], source = partSource(index);
  if (play !== undefined) player.playing = play;
  if (source) {
    const at = Math.max(0, Math.min(to - part.start_s, Math.max(0, part.length_s - 0.001)));
    if (player.part !== index) {
      player.part = index;
      player.wanted = at;
      video.src = source;
      video.playbackRate = Number(el("speed").value);
    } else if (video.readyState >= 1) {
      video.currentTime = at;
    } else {
      player.wanted = at;
    }
    if (player.playing) video.play().catch(() => {}); else video.pause();
  }
  show(to);
}

video.addEventListener("loadedmetadata", () => {
  video.playbackRate = Number(el("speed").value);
  if (player.wanted !== null) video.currentTime = player.wanted;
  player.wanted = null;
});
video.addEventListener("ended", () => {
  if (player.part + 1 < data.parts.length && partSource(player.part + 1)) seek(data.parts[player.part + 1].start_s, true);
});
video.addEventListener("error", () => {
  const part = data.parts[player.part];
  notice(part && part.link ? `The video ${decodeURIComponent(part.link)} cannot be played. It has to lie beside this page.` : "This browser cannot play the video.");
});
for (const type of ["play", "pause", "ended"]) video.addEventListener(type, () => {
  player.playing = !video.paused && !video.ended;
  el("play-shape").setAttribute("d", player.playing ? "M3 2h4v12H3zM9 2h4v12H9z" : "M4 2v12l10-6z");
  el("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
  if (player.playing) tick();
});
video.addEventListener("seeked", () => { if (video.paused) follow(); });
video.addEventListener("click", () => toggle());

function follow() {
  const part = data.parts[player.part];
  if (part && player.wanted === null && !video.seeking) show(part.start_s + Math.min(video.currentTime, part.length_s));
}
function tick() {
  follow();
  if (player.playing) requestAnimationFrame(tick);
}
function toggle() {
  if (player.playing) { player.playing = false; video.pause(); return; }
  const end = state.t >= data.length_s - 0.05;
  seek(end ? 0 : state.t, true);
}
function jump(direction) {
  const list = direction > 0 ? marks.filter(m => m.t > state.t + 0.05) : marks.filter(m => m.t < state.t - 1).reverse();
  if (list.length) seek(list[0].t);
}
function notice(text) {
  el("notice").textContent = text;
  el("notice").hidden = false;
}

// --------------------------------------------------------------------------------------------------------- figures, lists

function tile(label, value, unit) {
  const item = make("li"), figure = make("b", value);
  if (unit) figure.append(" ", make("small", unit));
  item.append(figure, make("span", label));
  el("tiles").append(item);
}

function fillTiles() {
  tile("length", clock(data.length_s));
  const free = known(series.free_road), flicker = known(series.flicker), p50 = known(series.age_p50_ms), max = known(series.age_max_ms), fps = known(series.fps);
  if (free.length) {
    tile(data.free_road_of === "ahead" ? "free road ahead, mean" : "road, share of picture", percent(mean(free)).replace(" %", ""), "%");
    tile(data.free_road_of === "ahead" ? "free road ahead, minimum" : "road, minimum", percent(least(free)).replace(" %", ""), "%");
  }
  if (flicker.length) tile("flicker, mean", percent(mean(flicker)).replace(" %", ""), "%");
  if (p50.length) tile("mask age, median", quantile(p50, 0.5).toFixed(0), "ms");
  if (max.length) tile("mask age, maximum", most(max).toFixed(0), "ms");
  if (fps.length) tile("frame rate, median", quantile(fps, 0.5).toFixed(1), "fps");
  const lost = data.gaps.reduce((a, g) => a + g.length_s, 0);
  tile(data.gaps.length === 1 ? "gap" : "gaps", String(data.gaps.length), data.gaps.length ? `${lost.toFixed(1)} s` : "");
  tile(data.events.length === 1 ? "event" : "events", String(data.events.length));
}

function fillAbout() {
  const first = data.parts[0], about = [];
  if (first.date) about.push(first.date.replace("T", " ").replace(/Z$/, " UTC"));
  if (data.title && data.title !== data.name) about.push(data.title);
  if (first.width) about.push(`${first.width} × ${first.height}`);
  if (first.codec) about.push(first.codec);
  about.push(data.parts.length === 1 ? "1 file" : `${data.parts.length} files`);
  if (data.model) about.push(String(data.model));
  el("about").textContent = about.join(" · ");
  if (first.width) document.documentElement.style.setProperty("--aspect", `${first.width} / ${first.height}`);
  const ahead = data.free_road_of === "ahead";
  el("footer").textContent = (series.free_road ? (ahead ? "Free road ahead: share of road classes in the middle third of the lowest third of the picture. " : "Road: share of road classes in the whole picture. ") : "")
    + (series.flicker ? "Flicker: share of pixels whose class differs from the frame before. " : "")
    + `Each value is a mean over ${data.step_s} s. Made by kerb review; this page asks for nothing from elsewhere.`;
}

function fillMarks() {
  if (!marks.length) el("marks").append(make("li", "none", { class: "hint" }));
  for (const mark of marks.slice(0, 2000)) {
    const item = make("li"), button = make("button", null, { type: "button", class: mark.kind });
    button.append(make("time", clock(mark.t, true)), make("b", mark.text));
    button.addEventListener("click", () => seek(mark.t, true));
    item.append(button);
    el("marks").append(item);
  }
}

function fillParts() {
  for (const part of data.parts) {
    const item = make("li", part.file);
    const facts = [`from ${clock(part.start_s)}`, clock(part.length_s, true), `${part.frames} frames`];
    if (part.codec && !part.mime) facts.push(`${part.codec}: no video that browsers play`);
    if (part.cut) facts.push(`used up to here: ${part.cut}`);
    item.append(make("small", facts.join(" · ")));
    el("parts").append(item);
  }
}

function fillShares() {
  const body = el("shares").tBodies[0];
  data.classes.forEach((c, i) => {
    const values = series.shares[i], max = most(known(values)), at = (values.indexOf(max) + 0.5) * data.step_s, row = make("tr"), where = make("td");
    const button = make("button", clock(at), { type: "button", "aria-label": `Play where ${c.name} takes most` });
    button.addEventListener("click", () => seek(at, true));
    where.append(button);
    row.append(make("td", c.name), make("td", percent(mean(known(values)))), make("td", percent(max)), where);
    body.append(row);
  });
}

// ----------------------------------------------------------------------------------------------------------------- legend

const legend = [];
function fillLegend() {
  data.classes.forEach((c, i) => {
    const item = make("li"), button = make("button", null, { type: "button", "aria-pressed": "true", title: c.name });
    const name = make("span", c.name), share = make("em"), bar = make("u");
    button.style.setProperty("--color", c.color);
    button.append(make("i"), name, share, bar);
    button.addEventListener("click", event => {
      if (event.altKey || event.shiftKey) { // this one alone
        hidden.clear();
        data.classes.forEach((_, k) => { if (k !== i) hidden.add(k); });
      } else if (!hidden.delete(i)) hidden.add(i);
      refreshLegend();
    });
    item.append(button);
    el("classes").append(item);
    legend.push({ button, share, bar });
  });
  if (!data.classes.length) el("classes").append(make("li", "no class is known", { class: "hint" }));
}
function refreshLegend() {
  legend.forEach((entry, i) => entry.button.setAttribute("aria-pressed", String(!hidden.has(i))));
  charts.draw();
}
function updateLegend() {
  const step = stepAt(state.hover === null ? state.t : state.hover);
  legend.forEach((entry, i) => {
    const value = series.shares[i][step], text = percent(value);
    if (entry.share.textContent !== text) {
      entry.share.textContent = text;
      entry.bar.style.setProperty("--share", String((value || 0) / 100));
    }
  });
}

// ------------------------------------------------------------------------------------------------------------------- keys

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input")) return;
  const onButton = event.target.matches("button"), far = event.shiftKey ? 10 : 1, view = state.to - state.from;
  const actions = {
    " ": () => toggle(), "k": () => toggle(),
    "ArrowLeft": () => seek(state.t - far), "ArrowRight": () => seek(state.t + far),
    "PageUp": () => seek(state.t - view / 10), "PageDown": () => seek(state.t + view / 10),
    "Home": () => seek(0), "End": () => seek(data.length_s),
    "n": () => jump(1), "p": () => jump(-1),
    "+": () => charts.zoom(0.5), "=": () => charts.zoom(0.5), "-": () => charts.zoom(2), "0": () => charts.zoom(Infinity),
    "f": () => fullScreen(),
  };
  const onTrack = event.target === el("track");
  if ((onButton && event.key === " ") || (!onTrack && /^(Home|End|Page)/.test(event.key))) return;
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}
function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen(); else video.requestFullscreen().catch(() => {});
}
function turnTheme() {
  const dark = getComputedStyle(document.documentElement).getPropertyValue("--ground").trim() === "#101216";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  charts.draw();
}
