// ---- Tables: headers of a sortable table are buttons; numbers sort as numbers, ties keep their order.
// Python's spelling of what is no finite number; unmeasured sorts below everything.
const number = (text) => ({ inf: Infinity, nan: -Infinity, None: -Infinity })[text] ?? Number(text);
const byName = new Intl.Collator("en", { numeric: true }).compare;
const byNumber = (a, b) => (number(a) > number(b)) - (number(a) < number(b));

function sort(table, column, up) {
  const heads = [...table.tHead.rows[0].cells];
  const place = heads.findIndex((head) => head.dataset.column === column);
  if (place < 0) return;
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[place].setAttribute("aria-sort", up ? "ascending" : "descending");
  const compare = heads[place].classList.contains("n") ? byNumber : byName;
  const key = (row) => row.cells[place].dataset.key;
  const order = (a, b) => compare(key(a), key(b));
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => (up ? order(a, b) : order(b, a))));
}
const sortable = document.querySelectorAll("table.sortable");
for (const table of sortable) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      change({ sort: `${table.id}.${head.dataset.column}.${up ? "up" : "down"}` });
    });
  }
}
redraws.push((changed) => {
  if (!changed.includes("sort") || !state.sort) return;
  const [name, column, direction] = state.sort.split(".");
  for (const table of sortable) if (table.id === name) sort(table, column, direction === "up");
});

// ---- The table of images shows the rows that have every word of the filter.
const filter = $("filter");
function filterRows() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...$("images-table").tBodies[0].rows];
  for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  const left = rows.filter((row) => !row.hidden).length;
  $("filtered").textContent = words.length ? `${left} of ${rows.length} rows` : `${rows.length} rows`;
  if (filter.value !== state.filter) filter.value = state.filter;
}
filter.addEventListener("input", () => change({ filter: filter.value }));
redraws.push((changed) => changed.includes("filter") && filterRows());

// ---- Plots: one measure at a time; a series can be hidden; a point says what it is when it is near or has the focus.
const plots = [...document.querySelectorAll(".measure")];
const boxes = [...document.querySelectorAll("input[name=series]")];
const readout = $("readout");
redraws.push((changed) => {
  if (changed.includes("metric")) {
    if (!plots.some((plot) => plot.dataset.measure === state.metric)) state.metric = defaults.metric;
    for (const plot of plots) plot.hidden = plot.dataset.measure !== state.metric;
    for (const radio of document.querySelectorAll("input[name=metric]")) radio.checked = radio.value === state.metric;
  }
  if (changed.includes("hide")) {
    const hidden = state.hide ? state.hide.split("|") : [];
    for (const box of boxes) box.checked = !hidden.includes(box.value);
    for (const series of document.querySelectorAll(".measure [data-series]")) series.classList.toggle("off", hidden.includes(series.dataset.series));
  }
});
for (const radio of document.querySelectorAll("input[name=metric]")) radio.addEventListener("change", () => change({ metric: radio.value }));
for (const box of boxes) {
  box.addEventListener("change", () => change({ hide: boxes.filter((one) => !one.checked).map((one) => one.value).join("|") }));
}
const silent = readout.textContent;
function point(svg, mark) {
  for (const other of svg.querySelectorAll(".on")) other.classList.remove("on");
  mark?.classList.add("on");
  mark?.closest(".series")?.classList.add("on");
  svg.classList.toggle("pointed", Boolean(mark));
  readout.textContent = mark?.dataset.says ?? silent;
}
for (const svg of document.querySelectorAll(".measure svg")) {
  const marks = [...svg.querySelectorAll(".mark")];
  const near = (event) => {
    const box = svg.getBoundingClientRect();
    const unit = svg.viewBox.baseVal.width / box.width;
    const [x, y] = [(event.clientX - box.left) * unit, (event.clientY - box.top) * unit];
    const distance = (mark) => Math.hypot(mark.transform.baseVal[0].matrix.e - x, mark.transform.baseVal[0].matrix.f - y);
    const visible = marks.filter((mark) => !mark.closest(".off"));
    const closest = visible.reduce((best, mark) => (!best || distance(mark) < distance(best) ? mark : best), null);
    point(svg, closest && distance(closest) < 24 * unit ? closest : null);
  };
  svg.addEventListener("pointermove", near);
  svg.addEventListener("pointerdown", near);
  svg.addEventListener("pointerleave", () => point(svg, null));
  for (const series of svg.querySelectorAll(".series")) {
    const own = [...series.querySelectorAll(".mark")];
    let at = 0;
    series.addEventListener("focus", () => point(svg, own[at]));
    series.addEventListener("blur", () => point(svg, null));
    series.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!by || !own.length) return;
      event.preventDefault();
      at = clamp(at + by, 0, own.length - 1);
      point(svg, own[at]);
    });
  }
}

// ---- Begin: what the address says, or the defaults.
for (const redraw of redraws) redraw(Object.keys(state));
restore();
addEventListener("hashchange", restore);
