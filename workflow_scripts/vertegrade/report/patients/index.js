"use strict";
(() => {
  const table = document.getElementById("table"), body = table.tBodies[0], rows = [...body.rows];
  const search = document.getElementById("search"), show = document.getElementById("show");
  const boxes = [...body.querySelectorAll(".mark")];
  const key = (box) => `vertegrade-qc/${box.dataset.scan}/${box.dataset.image}`;
  const store = (() => { try { return window.localStorage; } catch { return null; } })();
  const kept = (box) => { try { return JSON.parse(store.getItem(key(box))); } catch { return null; } };

  function controls(box) {
    const said = kept(box) || { mark: box.dataset.mark, note: box.dataset.note };
    box.dataset.mark = said.mark;
    const select = document.createElement("select"), note = document.createElement("input");
    for (const mark of ["", "pass", "doubt", "fail"]) select.add(new Option(mark || "no mark", mark));
    select.value = said.mark;
    select.setAttribute("aria-label", `Mark of scan ${box.dataset.scan}`);
    note.value = said.note;
    note.placeholder = "note";
    note.setAttribute("aria-label", `Note on scan ${box.dataset.scan}`);
    const keep = () => {
      box.dataset.mark = select.value;
      if (store) store.setItem(key(box), JSON.stringify({ mark: select.value, note: note.value }));
      box.dataset.note = note.value;
    };
    box.dataset.note = said.note;
    select.addEventListener("change", keep);
    note.addEventListener("change", keep);
    box.firstElementChild.textContent = box.dataset.scan;
    box.classList.add("ready");
    box.append(select, note);
  }

  function chosen(row) {
    const wanted = show.value, marks = [...row.querySelectorAll(".mark")].map((box) => box.dataset.mark);
    if (wanted === "unmarked") return marks.includes("");
    if (wanted.startsWith("mark-")) return marks.includes(wanted.slice(5));
    return !wanted || row.dataset.tags.split(" ").includes(wanted);
  }

  function filter() {
    const text = search.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const ids = [row.cells[0].textContent, ...[...row.querySelectorAll(".mark")].map((box) => box.dataset.scan)];
      row.hidden = !(chosen(row) && ids.join(" ").toLowerCase().includes(text));
      count += !row.hidden;
    }
    document.getElementById("shown").textContent = `${count} of ${rows.length} patients`;
  }

  function save() {
    const cell = (text) => {
      const flat = text.replace(/\s+/g, " ").trim();
      return flat.includes('"') ? `"${flat.replaceAll('"', '""')}"` : flat;
    };
    const said = boxes.filter((box) => box.dataset.mark || box.dataset.note);
    const lines = said.map((box) => [box.dataset.scan, box.dataset.mark, cell(box.dataset.note)].join("\t"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([["scan_id\tmark\tnote", ...lines, ""].join("\n")], { type: "text/plain" }));
    link.download = "qc.tsv";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  boxes.forEach(controls);
  sortable(table, table.tHead.rows[0].querySelectorAll("[data-key]"));
  search.addEventListener("input", filter);
  show.addEventListener("change", filter);
  document.getElementById("export").addEventListener("click", save);
  document.getElementById("controls").hidden = false;
  filter();
})();
