(() => {
  const data = JSON.parse(document.getElementById("charts-data").textContent);
  const vertebrae = data.vertebrae, page = (row) => `patients/${encodeURIComponent(row.patient)}.html`;

  function element(name, text, parent) {
    const made = document.createElement(name);
    made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }

  // What is known of a vertebra, beside its chart.
  function tell(panel, index) {
    const row = vertebrae[index], picture = data.pictures[index];
    panel.image.hidden = !picture;
    if (picture) panel.image.src = picture;
    panel.image.alt = `Crop of ${row.level} of scan ${row.scan}, from the side`;
    panel.head.textContent = `${row.level} of scan ${row.scan}, ${row.split} split`;
    const truth = row.grade + (row.shape ? `, ${row.shape}` : "") + (row.loss ? `, ${row.loss} of height lost` : "");
    const lines = [["True grade", truth]];
    for (const method of data.methods) {
      const of = row.of[method];
      const range = of && of.interval ? ` (${of.interval})` : "", p = of && of.p ? `, P(fracture) ${of.p}` : "";
      lines.push([method, of ? `grade ${of.grade}, severity ${of.severity}${range}${p}` : "no grade"]);
    }
    const place = row.place && row.place.map((number) => number.toFixed(2).replace("-", "−"));
    if (place) lines.push(["On the map", `${place[0]} along, ${place[1]} across`]);
    if (row.flags) lines.push(["Flags", row.flags]);
    panel.facts.replaceChildren();
    for (const [name, text] of lines) { element("dt", name, panel.facts); element("dd", text, panel.facts); }
    panel.link.href = page(row);
    panel.link.textContent = `Page of patient ${row.patient}`;
    panel.link.hidden = false;
  }

  function panelOf(board, step) {
    const box = element("div", "", board), said = element("div", "", box), panel = {};
    box.className = "panel";
    said.setAttribute("role", "status");
    panel.head = element("p", "Point at a vertebra, or step through them.", said);
    panel.image = element("img", "", said);
    panel.image.hidden = true;
    panel.facts = element("dl", "", said);
    panel.link = element("a", "", box);
    panel.link.hidden = true;
    const buttons = element("div", "", box);
    buttons.className = "buttons";
    for (const [text, by] of [["Previous", -1], ["Next", 1]]) {
      const button = element("button", text, buttons);
      button.type = "button";
      button.setAttribute("aria-label", `${text} vertebra`);
      button.addEventListener("click", () => step(by));
    }
    board.classList.add("with-panel");
    return panel;
  }

  // The value nearest to a place of the drawing, in pixels; null where none is near.
  function nearest(view, values, x, y, alone) {
    const [left, top] = view.origin(), across = view.scale("x"), up = view.scale("y");
    let best = null, least = alone ? Infinity : 30;
    if (alone && (x < left || y < top || y > top + view.height())) return null;
    values.forEach((value, place) => {
      const away = Math.hypot(across(value.x) + left - x, alone ? 0 : up(value.y) + top - y);
      if (away < least) { least = away; best = place; }
    });
    return best;
  }

  // Steps go along the chart; on a map of several splits through the test split alone, as the others are background.
  function live(chart, figure, panel) {
    const spec = { ...data.specs[figure.dataset.figure], width: "container" };
    const kept = spec.data.values.filter((value) => (value.split ?? "test") === "test");
    const values = [...spec.data.values], order = kept.sort((a, b) => a.x - b.x || a.y - b.y || a.i - b.i);
    const box = document.createElement("div"), drawing = element("div", "", box);
    box.className = "live";
    box.tabIndex = 0;
    box.setAttribute("role", "application");
    box.setAttribute("aria-label", `${figure.querySelector("img").alt} Arrows go from vertebra to vertebra, Enter opens.`);
    drawing.setAttribute("aria-hidden", "true"); // Vega gives it a role and a name that say nothing, and unnamed symbols
    figure.prepend(box);
    const state = { current: -1 };
    vegaEmbed(drawing, spec, { mode: "vega-lite", ast: true, actions: false, renderer: "svg", tooltip: false }).then(({ view }) => {
      figure.querySelector("img").hidden = true;
      const show = (index) => {
        if (index === state.current) return;
        state.current = index;
        tell(panel, index);
        view.signal("current", index).runAsync();
      };
      const open = () => { if (state.current >= 0) window.location.href = page(vertebrae[state.current]); };
      const at = (event) => {
        const place = box.querySelector("svg").getBoundingClientRect();
        const x = event.clientX - place.left, y = event.clientY - place.top;
        return nearest(view, values, x, y, chart.dataset.nearest === "x");
      };
      state.step = (by) => {
        const place = order.findIndex((value) => value.i === state.current);
        const next = place < 0 ? (by > 0 ? 0 : order.length - 1) : Math.min(Math.max(place + by, 0), order.length - 1);
        show(order[next].i);
      };
      box.addEventListener("pointermove", (event) => { const found = at(event); if (found !== null) show(values[found].i); });
      box.addEventListener("click", (event) => {
        const found = at(event);
        if (found === null) return;
        const known = values[found].i === state.current && event.pointerType !== "touch";
        show(values[found].i);
        if (known) open(); // a finger only chooses; the link beside the chart opens
      });
      box.addEventListener("keydown", (event) => {
        const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, End: order.length, Home: -order.length }[event.key];
        if (by === undefined && event.key !== "Enter") return;
        event.preventDefault();
        if (by === undefined) open(); else state.step(by);
      });
    });
    return state;
  }

  function choices(chart, figures, show) {
    const selects = {};
    for (const [name, text] of [["method", "Method"], ["against", "Against"]]) {
      const values = [...new Set(figures.map((figure) => figure.dataset[name]))];
      if (values.length < 2) continue;
      const label = element("label", `${text} `, chart.querySelector(".choices"));
      const select = document.createElement("select");
      for (const value of values) select.add(new Option(value, value));
      select.addEventListener("change", show);
      label.append(select);
      selects[name] = select;
    }
    return selects;
  }

  function start(chart) {
    const figures = [...chart.querySelectorAll("figure")], states = new Map();
    if (!figures.length) return;
    let shown = null;
    const panel = panelOf(chart.querySelector(".board"), (by) => states.get(shown).step?.(by));
    const selects = choices(chart, figures, () => show());
    function show() {
      const fits = (figure) => Object.entries(selects).every(([name, select]) => figure.dataset[name] === select.value);
      shown = figures.find(fits) ?? figures.find((figure) => figure.dataset.method === selects.method?.value) ?? figures[0];
      for (const figure of figures) figure.hidden = figure !== shown;
      if (!states.has(shown)) states.set(shown, live(chart, shown, panel));
    }
    show();
  }

  // Charts are drawn when a reader comes near, so that the page opens at once.
  const watch = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) { watch.unobserve(target); start(target); }
    }
  }, { rootMargin: "600px" });

  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("charts").classList.add("ready");
    document.querySelectorAll(".chart").forEach((chart) => watch.observe(chart));
    for (const table of document.querySelectorAll("table.sortable")) sortable(table, table.tHead.rows[0].cells);
  });
})();
