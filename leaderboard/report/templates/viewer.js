// The page without a library: its state in the address, the comparison of pictures, the plots, the tables.
"use strict";
const $ = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// ---- The address holds what differs from the defaults, so that a link shows what was seen.
const data = JSON.parse($("viewer-data").textContent);
const defaults = {
  image: data.photographs[0].name, ...data.defaults, mode: "split", split: 50, zoom: 0, x: 0.5, y: 0.5, gain: 8,
  metric: "msssim_competition", hide: "", filter: "", sort: "",
};
const VIEWED = ["image", "a", "b", "mode", "split", "zoom", "x", "y", "gain"];
const state = { ...defaults };
const redraws = [];

const link = () => {
  const differs = Object.keys(defaults).filter((key) => state[key] !== defaults[key]);
  return new URLSearchParams(differs.map((key) => [key, String(state[key])])).toString();
};
let writing = 0;
function change(values) {
  Object.assign(state, values);
  for (const redraw of redraws) redraw(Object.keys(values));
  clearTimeout(writing);
  writing = setTimeout(() => history.replaceState(null, "", "#" + link()), 150);
}
function restore() {
  const found = [...new URLSearchParams(location.hash.slice(1))].filter(([key]) => key in defaults);
  if (!found.length) return;
  const read = { ...defaults };
  for (const [key, value] of found) {
    const typed = typeof defaults[key] === "number" ? Number(value) : value;
    if (!Number.isNaN(typed)) read[key] = typed;
  }
  const photograph = data.photographs.find((one) => one.name === read.image) ?? data.photographs[0];
  read.image = photograph.name;
  for (const side of ["a", "b"]) if (!(read[side] in photograph.versions)) read[side] = defaults[side];
  if (!MODES.includes(read.mode)) read.mode = defaults.mode;
  Object.assign(state, read, {
    split: clamp(read.split, 0, 100), zoom: read.zoom <= 0 ? 0 : clamp(read.zoom, 0.02, 64), gain: clamp(read.gain, 1, 64),
  });
  for (const redraw of redraws) redraw(Object.keys(state));
  if (found.some(([key]) => VIEWED.includes(key))) $("compare").scrollIntoView();
}

// ---- Pictures: data in the page, or files beside it; the last ones stay decoded.
const MODES = ["split", "a", "b", "original", "difference"];
const stage = $("stage");
const pen = stage.getContext("2d");
const decoded = new Map();
function picture(place) {
  if (!decoded.has(place)) {
    const image = new Image();
    const inside = place.startsWith("#") ? $(place.slice(1)) : null;
    image.src = inside ? `data:${inside.type.split(";")[0]};base64,${inside.textContent}` : place;
    image.ready = false;
    image.decode().then(() => { image.ready = true; draw(); }, () => { image.failed = true; draw(); });
    decoded.set(place, image);
    if (decoded.size > 12) decoded.delete(decoded.keys().next().value);
  }
  return decoded.get(place);
}

// ---- Geometry: zoom is device pixels for a pixel of the picture, 0 fits; x and y are the middle, 0 to 1.
const photograph = () => data.photographs.find((one) => one.name === state.image);
const fitting = () => Math.min(stage.width / photograph().width, stage.height / photograph().height);
const scale = () => state.zoom || fitting();
const isZoomed = () => scale() > fitting() * 1.001;
function middle(x = state.x, y = state.y, at = scale()) {
  const inside = (value, extent, shown) => shown >= extent * at ? 0.5 : clamp(value, shown / (2 * extent * at), 1 - shown / (2 * extent * at));
  return { x: inside(x, photograph().width, stage.width), y: inside(y, photograph().height, stage.height) };
}
// The place of the picture under (px, py) stays there.
function zoomTo(wanted, px = stage.width / 2, py = stage.height / 2) {
  const { width, height } = photograph();
  const before = scale();
  const at = clamp(wanted || fitting(), Math.min(1, fitting()), Math.max(64, fitting()));
  const old = middle();
  const keep = (value, extent, p, shown) => value + (p - shown / 2) * (1 / before - 1 / at) / extent;
  const { x, y } = middle(keep(old.x, width, px, stage.width), keep(old.y, height, py, stage.height), at);
  const round = (value) => Math.round(value * 1e5) / 1e5;
  const fits = Math.abs(at / fitting() - 1) < 0.001;
  change(fits ? { zoom: 0, x: 0.5, y: 0.5 } : { zoom: Math.round(at * 1e4) / 1e4, x: round(x), y: round(y) });
}
function pan(dx, dy) {
  const old = middle();
  const { x, y } = middle(old.x - dx / (photograph().width * scale()), old.y - dy / (photograph().height * scale()));
  change({ x: Math.round(x * 1e5) / 1e5, y: Math.round(y * 1e5) / 1e5 });
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(stage.clientWidth * ratio), Math.round(stage.clientHeight * ratio)];
  if (stage.width !== width || stage.height !== height) Object.assign(stage, { width, height });
  const { versions, width: across, height: down } = photograph();
  const at = scale();
  const { x, y } = middle();
  const left = Math.round(width / 2 - x * across * at);
  const top = Math.round(height / 2 - y * down * at);
  const paint = (side, from, to, how) => {
    const place = versions[side === "original" ? side : state[side]]?.place;
    const image = place && picture(place);
    if (!image?.ready) return !image || image.failed ? "missing" : "loading";
    pen.save();
    pen.beginPath();
    pen.rect(from, 0, to - from, height);
    pen.clip();
    pen.globalCompositeOperation = how;
    // a pixel enlarged is a square; a picture made smaller is averaged
    pen.imageSmoothingEnabled = at < 1;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, left, top, across * at, down * at);
    pen.restore();
    return "shown";
  };
  pen.globalCompositeOperation = "source-over";
  pen.clearRect(0, 0, width, height);
  stage.style.filter = state.mode === "difference" ? `brightness(${state.gain})` : "";
  stage.classList.toggle("zoomed", isZoomed());
  const found = [];
  if (state.mode === "split") {
    const cut = Math.round(width * state.split / 100);
    found.push(paint("a", 0, cut, "source-over"), paint("b", cut, width, "source-over"));
  } else if (state.mode === "difference") {
    found.push(paint("a", 0, width, "source-over"), paint("b", 0, width, "difference"));
  } else found.push(paint(state.mode, 0, width, "source-over"));
  stage.dataset.shows = found.includes("missing") ? "missing" : found.includes("loading") ? "loading" : "all";
  $("notice").textContent = { missing: "This picture is not beside the page any more.", loading: "Loading …", all: "" }[stage.dataset.shows];
  $("divider").style.left = `${state.split}%`;
  $("divider").hidden = state.mode !== "split";
}

// ---- The controls show the state and change it.
const label = (side) => data.labels[side];
function controls(changed) {
  const { versions } = photograph();
  $("choose-image").value = state.image;
  for (const side of ["a", "b"]) {
    for (const option of $(`choose-${side}`).options) option.disabled = !(option.value in versions);
    $(`choose-${side}`).value = state[side];
    $(`says-${side}`).textContent = `${label(state[side])}${versions[state[side]]?.says ? ": " + versions[state[side]].says : ""}`;
  }
  for (const radio of document.querySelectorAll("input[name=mode]")) radio.checked = radio.value === state.mode;
  $("split").value = state.split;
  $("gain").value = String(state.gain);
  $("split-row").hidden = state.mode !== "split";
  $("gain-row").hidden = state.mode !== "difference";
  draw();
  $("zoom-says").textContent = `${Math.round(scale() * 100)} %`;
  const says = {
    split: `${label(state.a)} on the left, ${label(state.b)} on the right`, a: label(state.a), b: label(state.b), original: "Original",
    difference: `Difference of ${label(state.a)} and ${label(state.b)}, ${state.gain} times`,
  }[state.mode];
  const spoken = `${state.image}: ${says}`;
  if (changed.some((key) => ["image", "a", "b", "mode", "gain"].includes(key))) $("shown").textContent = spoken;
}
redraws.push((changed) => changed.some((key) => VIEWED.includes(key)) && controls(changed));

const flip = () => change({ mode: state.mode === "b" ? "a" : "b" });
function turn(by) {
  const names = data.photographs.map((one) => one.name);
  const image = names[(names.indexOf(state.image) + by + names.length) % names.length];
  change({ image, zoom: 0, x: 0.5, y: 0.5 });
}
const nearest = (event) => event.target.closest("[data-do]")?.dataset.do;
const actions = {
  in: () => zoomTo(scale() * 1.5), out: () => zoomTo(scale() / 1.5), fit: () => zoomTo(0), actual: () => zoomTo(1),
  flip, next: () => turn(1), previous: () => turn(-1),
  swap: () => change({ a: state.b, b: state.a }),
  copy: async () => {
    const address = location.href.split("#")[0] + "#" + link();
    try {
      await navigator.clipboard.writeText(address);
      $("copied").textContent = "Link copied.";
    } catch {
      history.replaceState(null, "", "#" + link());
      $("copied").textContent = "The link is in the address bar.";
    }
  },
};
$("compare").addEventListener("click", (event) => actions[nearest(event)]?.());
$("choose-image").addEventListener("change", (event) => change({ image: event.target.value, zoom: 0, x: 0.5, y: 0.5 }));
for (const side of ["a", "b"]) $(`choose-${side}`).addEventListener("change", (event) => change({ [side]: event.target.value }));
for (const radio of document.querySelectorAll("input[name=mode]")) radio.addEventListener("change", () => change({ mode: radio.value }));
$("split").addEventListener("input", (event) => change({ split: Number(event.target.value) }));
$("gain").addEventListener("change", (event) => change({ gain: Number(event.target.value) }));

stage.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = 60 * (window.devicePixelRatio || 1);
  const slides = state.mode === "split" && (event.shiftKey || !isZoomed());
  const move = (dx, dy) => slides && dx ? change({ split: clamp(state.split - Math.sign(dx) * 2, 0, 100) }) : pan(dx * step, dy * step);
  const keys = {
    ArrowLeft: () => move(1, 0), ArrowRight: () => move(-1, 0), ArrowUp: () => move(0, 1), ArrowDown: () => move(0, -1),
    "+": actions.in, "=": actions.in, "-": actions.out, 0: actions.fit, 1: actions.actual, " ": flip, f: flip,
    s: () => change({ mode: "split" }), d: () => change({ mode: "difference" }), o: () => change({ mode: "original" }),
    n: actions.next, p: actions.previous, x: actions.swap,
  };
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  // without a zoom there is nothing to pan, and the page scrolls as ever
  const scrolls = event.key === "ArrowUp" || event.key === "ArrowDown";
  if (!act || (scrolls && !isZoomed())) return;
  event.preventDefault();
  act();
});

// ---- Mouse, pen and fingers: one moves the divider or the picture, two zoom.
const fingers = new Map();
let dragging = "";
const where = (event) => {
  const box = stage.getBoundingClientRect();
  const ratio = stage.width / box.width;
  return { x: (event.clientX - box.left) * ratio, y: (event.clientY - box.top) * ratio };
};
stage.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  stage.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, where(event));
  const reach = (event.pointerType === "mouse" ? 14 : 30) * (window.devicePixelRatio || 1);
  const isNear = Math.abs(where(event).x - stage.width * state.split / 100) < reach;
  dragging = fingers.size > 1 ? "pinch" : state.mode === "split" && (isNear || !isZoomed()) ? "divide" : "pan";
});
stage.addEventListener("pointermove", (event) => {
  const old = fingers.get(event.pointerId);
  if (!old) return;
  const now = where(event);
  if (dragging === "divide") change({ split: Math.round(clamp(100 * now.x / stage.width, 0, 100) * 10) / 10 });
  else if (dragging === "pan" && isZoomed()) pan(now.x - old.x, now.y - old.y);
  else if (dragging === "pinch" && fingers.size === 2) {
    const [still] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const apart = (at) => Math.hypot(at.x - still.x, at.y - still.y);
    pan((now.x - old.x) / 2, (now.y - old.y) / 2);
    if (apart(old) > 0) zoomTo(scale() * apart(now) / apart(old), (now.x + still.x) / 2, (now.y + still.y) / 2);
  }
  fingers.set(event.pointerId, now);
});
for (const name of ["pointerup", "pointercancel"]) {
  stage.addEventListener(name, (event) => { fingers.delete(event.pointerId); dragging = fingers.size ? "pan" : ""; });
}
stage.addEventListener("dblclick", (event) => {
  const { x, y } = where(event);
  if (isZoomed()) zoomTo(0);
  else zoomTo(Math.max(1, fitting() * 4), x, y);
});
stage.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && document.activeElement !== stage) return;
  event.preventDefault();
  const { x, y } = where(event);
  zoomTo(scale() * Math.exp(-event.deltaY * (event.deltaMode ? 0.03 : 0.002)), x, y);
}, { passive: false });
new ResizeObserver(() => controls([])).observe(stage);

document.documentElement.classList.add("scripted");

// ---- Pictures further down wait until the rest is there, yet not until they are scrolled to: a browser that prints may
// not ask for them then. Those of a server do wait, to spare a telephone's bytes; browsers ask for them when they print.
addEventListener("load", () => {
  for (const image of document.images) if (/^(data|file):/.test(image.src)) image.loading = "eager";
});
