"use strict";
// These heads of a table become buttons that sort its rows: up first, then down; aria-sort tells of it.
// Cells sort by the number in data-v, by the number that begins a cell of class "number", or by their text. Cells without
// a number, or empty, are last both ways.
function sortable(table, heads) {
  const body = table.tBodies[0], compare = new Intl.Collator("en", { numeric: true }).compare;

  function key(cell) {
    const text = cell.dataset.v ?? cell.textContent.trim();
    if (cell.dataset.v === undefined && !cell.classList.contains("number")) return text;
    const number = parseFloat(text.replace("−", "-"));
    return Number.isNaN(number) ? "" : number;
  }

  function sort(head) {
    const down = head.getAttribute("aria-sort") === "ascending", place = head.cellIndex;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const order = (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      return (typeof a === "number" && typeof b === "number" ? a - b : compare(a, b)) * (down ? -1 : 1);
    };
    const keyed = [...body.rows].map((row) => [key(row.cells[place]), row]);
    body.append(...keyed.sort(([a], [b]) => order(a, b)).map(([, row]) => row));
  }

  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head));
    head.replaceChildren(button);
  }
}
