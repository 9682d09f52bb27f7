"use strict";
(() => {
  let figures = {};
  let hover = {};
  const plots = [...document.querySelectorAll(".plot")];
  const config = { displaylogo: false, responsive: true, displayModeBar: false, showTips: false };

  // Figures name their colours var(--x), so that the style sheet alone decides what light, dark and print look like.
  const resolved = (value, style) => {
    if (typeof value === "string") {
      return value.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
    }
    if (Array.isArray(value)) return value.map((item) => resolved(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item, style)]));
    }
    return value;
  };

  const draw = (plot, width) => {
    const figure = figures[plot.dataset.figure];
    if (!figure || !window.Plotly) return;
    const { data, layout } = resolved(figure, getComputedStyle(document.documentElement));
    for (const trace of data) {
      if (trace.hovertext === "@trials") trace.hovertext = trace.customdata.map((number) => hover[number]);
    }
    // On a touch screen a finger that scrolls the page must not zoom a figure.
    if (window.matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    if (plot.clientWidth < 480) layout.height = Math.min(layout.height, 380);
    if (width) {
      layout.width = plot.closest(".panels") ? width / 2 - 20 : width;
      layout.height = Math.min(layout.height, 370);
    }
    plot.style.minHeight = "";
    window.Plotly.react(plot, data, layout, config);
  };
  const drawAll = (width) => plots.forEach((plot) => draw(plot, width));

  // A large page holds its data and plotly.js compressed: gzip in base64.
  const unpacked = async (script) => {
    if (script.type !== "application/gzip") return script.textContent;
    const bytes = Uint8Array.from(atob(script.textContent), (character) => character.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const start = async () => {
    ({ figures, hover } = JSON.parse(await unpacked(document.getElementById("data"))));
    const library = document.getElementById("plotly");
    if (library) {
      const script = document.createElement("script");
      script.textContent = await unpacked(library);
      document.head.append(script);
    }
    drawAll();
  };
  start().catch((error) => {
    // A browser from before 2023 cannot decompress: it shows the picture, as without scripts.
    console.error(error);
    for (const still of document.querySelectorAll("noscript")) still.outerHTML = still.textContent;
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  // A4 less its margins, in CSS pixels: the page is laid out for paper only after this event.
  window.addEventListener("beforeprint", () => drawAll(680));
  window.addEventListener("afterprint", () => drawAll());

  for (const group of document.querySelectorAll(".switch")) {
    group.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
      const { target } = group.dataset;
      for (const plot of plots.filter((p) => p.dataset.group === target)) {
        plot.dataset.figure = (plot.dataset.stem || `${target}-`) + button.dataset.value;
        draw(plot);
      }
      for (const unit of document.querySelectorAll(`#${group.closest("section").id} [data-unit]`)) {
        unit.hidden = unit.dataset.unit !== button.dataset.value;
      }
    });
  }

  const copied = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Browsers that give files no clipboard: the old way.
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = text;
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      const done = await copied(code.textContent);
      if (!done) window.getSelection().selectAllChildren(code);
      button.textContent = done ? "Copied" : "Press Ctrl+C";
      setTimeout(() => (button.textContent = "Copy"), 1600);
    });
  }

  const key = (row, column) => {
    const cell = row.cells[column];
    const text = "v" in cell.dataset ? cell.dataset.v : cell.textContent.trim();
    if (text === "") return null;
    const number = Number(text);
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  for (const table of document.querySelectorAll(".sortable")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        const keyed = [...body.rows].map((row) => [key(row, column), row]);
        // What is not there goes to the end, whichever way the rest is sorted.
        keyed.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }

  for (const form of document.querySelectorAll(".filters")) {
    const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
    const { text, state, front } = form.elements;
    const apply = () => {
      const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const content = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
        row.hidden = !(
          wanted.every((word) => content.includes(word)) &&
          (!state.value || row.dataset.state === state.value) &&
          (!front.checked || "front" in row.dataset)
        );
        shown += !row.hidden;
      }
      const all = `${rows.length} trial${rows.length === 1 ? "" : "s"}`;
      form.querySelector("output").textContent = shown === rows.length ? all : `${shown} of ${all}`;
    };
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }
})();
