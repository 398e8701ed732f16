// Python's spelling of what is no finite number; unmeasured sorts below everything.
const number = (text) => ({ inf: Infinity, nan: -Infinity })[text] ?? Number(text);

// Headers of a sortable table become buttons; numbers sort as numbers, ties keep their order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const byName = new Intl.Collator("en", { numeric: true }).compare;
  const byNumber = (a, b) => (number(a) > number(b)) - (number(a) < number(b));
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key;
      const compare = head.classList.contains("n") ? byNumber : byName;
      const order = (a, b) => compare(key(a), key(b));
      body.append(...[...body.rows].sort((a, b) => (up ? order(a, b) : order(b, a))));
    });
  });
}
