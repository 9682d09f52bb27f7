(() => {
  let figures = {};
  let trials = {};
  const plots = [...document.querySelectorAll(".plot")];
  const states = new Map(); // figure -> what the reader did to it
  const tip = document.body.appendChild(document.createElement("div"));
  tip.className = "tip";
  tip.hidden = true;

  const tell = (found) => {
    tip.hidden = !found;
    if (!found) return;
    const [first, ...rest] = chart.text(found.trace, found.i, trials).split("\n");
    const heading = document.createElement("b");
    heading.textContent = first;
    tip.replaceChildren(heading, ...(rest.length ? [`\n${rest.join("\n")}`] : []));
    const { width, height } = tip.getBoundingClientRect();
    const room = document.documentElement.clientWidth;
    const beside = found.x + 14 + width > room ? found.x - 14 - width : found.x + 14;
    tip.style.left = `${Math.max(4, Math.min(beside, room - width - 4)) + window.scrollX}px`;
    tip.style.top = `${Math.max(4, found.y - height / 2) + window.scrollY}px`;
  };

  const stateOf = (plot) => {
    const name = plot.dataset.figure;
    if (!states.has(name)) states.set(name, { view: null, hidden: new Set(), mark: undefined });
    return states.get(name);
  };
  const draw = (plot, width) => {
    const figure = figures[plot.dataset.figure];
    if (!figure) return;
    const state = stateOf(plot);
    const drawn = chart.draw(plot, figure, state, tell, width && plot.closest(".panels") ? width / 2 - 20 : width);
    plot.style.minHeight = "";
    plot.drawn = drawn;
    const parts = [drawn.svg];
    if (figure.layout.legend) parts.push(legend(plot, figure, state));
    if (state.view) {
      const reset = document.createElement("button");
      reset.type = "button";
      reset.className = "reset no-print";
      reset.textContent = "Reset the view";
      reset.addEventListener("click", () => {
        state.view = null;
        draw(plot);
      });
      parts.push(reset);
    }
    plot.replaceChildren(...parts);
    follow(plot, drawn, figure, state);
  };
  const legend = (plot, figure, state) => {
    const list = document.createElement("div");
    list.className = "legend";
    for (const trace of figure.data.filter((t) => t.name && t.x.length)) {
      const button = list.appendChild(document.createElement("button"));
      button.type = "button";
      button.setAttribute("aria-pressed", String(!state.hidden.has(trace.name)));
      const { color } = trace.marker || trace.line;
      const swatch = button.appendChild(document.createElement("i"));
      swatch.className = trace.marker ? trace.marker.symbol || "circle" : "stroke";
      swatch.style.color = color;
      button.append(trace.name);
      button.addEventListener("click", () => {
        if (!state.hidden.delete(trace.name)) state.hidden.add(trace.name);
        draw(plot);
      });
    }
    return list;
  };

  // Hover, drag to zoom, double click for all of it; on a touch screen a tap, and fingers scroll the page.
  const follow = (plot, drawn, figure, state) => {
    const { svg, box, view, layout } = drawn;
    const at = (event) => {
      const rect = svg.getBoundingClientRect();
      const factor = drawn.width / rect.width;
      return [(event.clientX - rect.left) * factor, (event.clientY - rect.top) * factor];
    };
    let from = null;
    const clamped = ([x, y]) => [Math.min(Math.max(x, drawn.left), drawn.right), Math.min(Math.max(y, drawn.top), drawn.bottom)];
    const spans = (to) => {
      const wide = Math.abs(to[0] - from[0]) > chart.DRAGGED;
      const high = Math.abs(to[1] - from[1]) > chart.DRAGGED;
      return { x: wide ? [from[0], to[0]].sort((a, b) => a - b) : [drawn.left, drawn.right], y: high ? [from[1], to[1]].sort((a, b) => a - b) : [drawn.top, drawn.bottom], any: wide || high };
    };
    svg.addEventListener("pointermove", (event) => {
      if (!from) {
        drawn.show(drawn.nearest(...at(event)));
        return;
      }
      const { x, y, any } = spans(clamped(at(event)));
      for (const [key, value] of Object.entries({ x: x[0], y: y[0], width: x[1] - x[0], height: y[1] - y[0], visibility: any ? "visible" : "hidden" })) box.setAttribute(key, value);
    });
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch" || layout.still || event.button !== 0) {
        drawn.show(drawn.nearest(...at(event)));
        return;
      }
      from = clamped(at(event));
      svg.setPointerCapture(event.pointerId);
      tell(null);
    });
    svg.addEventListener("pointerup", (event) => {
      if (!from) return;
      const { x, y, any } = spans(clamped(at(event)));
      from = null;
      if (!any) {
        drawn.show(drawn.nearest(...at(event)));
        return;
      }
      const inside = (range, low, high, start, end) => [start, end].map((p) => range[0] + ((p - low) / (high - low)) * (range[1] - range[0]));
      state.view = { x: inside(view.x, drawn.left, drawn.right, ...x), y: inside(view.y, drawn.bottom, drawn.top, y[1], y[0]) };
      draw(plot);
    });
    svg.addEventListener("pointerleave", (event) => from || event.pointerType === "touch" || drawn.show(null));
    svg.addEventListener("dblclick", () => {
      if (layout.still) return;
      state.view = state.view ? null : { x: chart.whole(figure.data, "x", layout.xaxis), y: chart.whole(figure.data, "y", layout.yaxis) };
      tell(null);
      draw(plot);
    });
  };
  const drawAll = (width) => plots.forEach((plot) => draw(plot, width));

  // A large page holds its data compressed: gzip in base64.
  const unpacked = async (script) => {
    if (script.type !== "application/gzip") return script.textContent;
    const bytes = Uint8Array.from(atob(script.textContent), (character) => character.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const start = async () => {
    const script = document.getElementById("data");
    ({ figures, hover: trials } = JSON.parse(script.type === "application/gzip" ? await unpacked(script) : script.textContent));
    drawAll();
    let width = document.documentElement.clientWidth;
    window.addEventListener("resize", () => {
      if (document.documentElement.clientWidth === width) return;
      width = document.documentElement.clientWidth;
      tell(null);
      drawAll();
    });
  };
  const ready = start().catch((error) => {
    // A browser from before 2023 cannot decompress: it shows the picture, as without scripts.
    console.error(error);
    for (const still of document.querySelectorAll("noscript")) still.outerHTML = still.textContent;
  });
  // A4 less its margins, in CSS pixels: the page is laid out for paper only after this event.
  window.addEventListener("beforeprint", () => drawAll(680));
  window.addEventListener("afterprint", () => drawAll());
  document.addEventListener("keydown", (event) => event.key === "Escape" && tell(null));
  document.addEventListener("pointerdown", (event) => event.target.closest(".plot svg") || tell(null));

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

  // The front by MACs or by accuracy: the network that it gives, and a mark in the figure.
  const choices = document.getElementById("choices");
  if (choices) {
    const front = JSON.parse(choices.textContent);
    const form = document.querySelector(".chooser");
    const card = document.querySelector(".chosen");
    const [macs, acc, limit] = ["macs", "acc", "limit"].map((name) => form.querySelector(`[name="${name}"]`));
    const [low, high] = [front[0].macs, front[front.length - 1].macs].map(Math.log);
    const tellChosen = (chosen, most) => {
      limit.textContent = chart.count(most);
      card.querySelector(".big").textContent = chosen ? chosen.text : "none";
      card.querySelector(".small").textContent = chosen ? `trial ${chosen.n}, ${chosen.count} MACs` : "No network of the front reaches that.";
      card.querySelector("code").textContent = chosen ? `import timm, mgic_nas\nnet = ${chosen.line}` : "";
      card.querySelector(".code").hidden = !chosen;
      for (const plot of plots.filter((p) => p.dataset.group === "front")) {
        for (const name of Object.keys(figures).filter((key) => key === "front-macs")) {
          if (!states.has(name)) states.set(name, { view: null, hidden: new Set() });
          states.get(name).mark = chosen ? most : undefined;
        }
        draw(plot);
      }
    };
    const byMacs = () => {
      const most = Math.exp(low + ((high - low) * macs.value) / macs.max) * (1 + 1e-9);
      const within = front.filter((t) => t.macs <= most);
      acc.value = "";
      tellChosen(within[within.length - 1] || front[0], Math.max(most, front[0].macs));
    };
    const byAccuracy = () => {
      if (acc.value === "") {
        byMacs();
        return;
      }
      const chosen = front.find((t) => t.acc >= Number(acc.value) - 1e-9);
      if (chosen) macs.value = Math.ceil(((Math.log(chosen.macs) - low) / (high - low)) * macs.max);
      tellChosen(chosen, chosen ? chosen.macs : front[front.length - 1].macs);
    };
    macs.addEventListener("input", byMacs);
    acc.addEventListener("input", byAccuracy);
    const best = front[front.length - 1];
    limit.textContent = best.count;
    card.querySelector(".big").textContent = best.text;
    card.querySelector(".small").textContent = `trial ${best.n}, ${best.count} MACs`;
    card.querySelector("code").textContent = `import timm, mgic_nas\nnet = ${best.line}`;
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

  // A page that is watched reloads itself, and the reader finds it as it was: scrolled, switched, filtered, zoomed.
  const seconds = Number(document.documentElement.dataset.reload);
  const kept = `reload:${location.pathname}`;
  const recall = () => {
    let before = null;
    try {
      before = JSON.parse(sessionStorage.getItem(kept));
      sessionStorage.removeItem(kept);
    } catch {
      return; // a browser that keeps nothing for files
    }
    if (!before) return;
    for (const [selector, value] of before.pressed) {
      const button = document.querySelector(`${selector} button[data-value="${CSS.escape(value)}"]`);
      if (button) button.click();
    }
    for (const [name, state] of before.states) states.set(name, { ...state, hidden: new Set(state.hidden) });
    for (const [form, name, value] of before.inputs) {
      const input = document.querySelector(`form.${form} [name="${name}"]`);
      if (!input) continue;
      if (input.type === "checkbox") input.checked = value;
      else input.value = value;
      if (form === "filters") input.dispatchEvent(new Event("input", { bubbles: true }));
    }
    drawAll();
    window.scrollTo({ top: before.scroll, behavior: "instant" });
  };
  const reload = () => {
    const state = {
      scroll: window.scrollY,
      pressed: [...document.querySelectorAll(".switch")].map((group) => [`#${group.closest("section").id}`, group.querySelector('[aria-pressed="true"]').dataset.value]),
      states: [...states].map(([name, value]) => [name, { ...value, hidden: [...value.hidden] }]),
      inputs: ["filters"].flatMap((form) => [...document.querySelectorAll(`form.${form} [name]`)].map((input) => [form, input.name, input.type === "checkbox" ? input.checked : input.value])),
    };
    try {
      sessionStorage.setItem(kept, JSON.stringify(state));
    } catch {
      // then it begins at the top
    }
    location.reload();
  };
  ready.then(recall);
  if (seconds) setTimeout(reload, 1000 * seconds);
})();
