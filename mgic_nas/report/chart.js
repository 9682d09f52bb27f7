// Draws the figures as SVG: axes, lines, points, error bars, hover, zoom, legend. Their colours are CSS variables, so
// that the style sheet alone decides what light, dark and print look like. Text is only ever set as text.
const chart = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const NEAR = 26; // pixels between the pointer and the point that it asks for
  const DRAGGED = 8; // pixels from which a drag is a zoom and no click
  const DASHES = { dash: "5 4", dot: "2 3", long: "9 4" };
  const make = (name, attributes = {}, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const round = (value) => Math.round(value * 10) / 10;

  // The same as _text.count(strip=True).
  const count = (value) => {
    const [unit, prefix] = [[1e12, "T"], [1e9, "G"], [1e5, "M"], [1e3, "k"]].find(([least]) => Math.abs(value) >= least * 0.9995) || [1, ""];
    const scaled = Number((value / (prefix === "M" ? 1e6 : unit)).toPrecision(4));
    return prefix ? `${scaled}\u202f${prefix}` : `${scaled}`;
  };
  const nice = (low, high, most) => {
    const rough = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= rough * 0.999);
    const ticks = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(n * step);
    return [ticks, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))];
  };
  const logTicks = ([low, high]) => {
    const decades = high - low;
    if (decades < 0.2) {
      const [ticks] = nice(10 ** low, 10 ** high, 6);
      return ticks.map((value) => [value, count(value)]);
    }
    const labelled = decades < 0.7 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : decades < 1.5 ? [1, 2, 3, 5] : decades < 3 ? [1, 2, 5] : [1];
    const ticks = [];
    for (let power = Math.floor(low) - 1; power <= high; power++) {
      for (const digit of [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]) {
        const value = digit * 10 ** power;
        if (Math.log10(value) >= low && Math.log10(value) <= high) ticks.push([value, labelled.includes(digit) ? count(value) : ""]);
      }
    }
    return ticks;
  };
  const ticksOf = (axis, range, pixels) => {
    if (axis.tickvals && range === axis.range) return axis.tickvals.map((value, i) => [value, axis.ticktext ? axis.ticktext[i] : String(value)]);
    if (axis.tickvals && axis.fixed) return axis.tickvals.map((value, i) => [value, axis.ticktext[i]]);
    if (axis.type === "log") return logTicks(range);
    const [ticks, decimals] = nice(range[0], range[1], Math.max(2, Math.min(axis.ticks || 6, pixels / 45)));
    return ticks.map((value) => [value, value.toFixed(decimals)]);
  };
  const unit = (axis, value) => (axis.type === "log" ? Math.log10(value) : value);

  // Every value of an axis, in its unit, with some room around.
  const whole = (traces, key, axis) => {
    const values = traces.flatMap((t) => t[key]).filter((v) => v !== null && v !== undefined && (axis.type !== "log" || v > 0)).map((v) => unit(axis, v));
    const low = values.reduce((a, b) => Math.min(a, b), Infinity);
    const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
    const pad = Math.max(0.06 * (high - low), axis.type === "log" ? 0.04 : 0.3);
    return [low - pad, high + pad];
  };

  const linePath = (trace, sx, sy, zero) => {
    let path = "";
    let run = [];
    const flush = () => {
      if (!run.length) return;
      path += `M${run[0][0]} ${run[0][1]}`;
      for (const [x, y] of run.slice(1)) path += trace.line.shape === "hv" ? `H${x}V${y}` : `L${x} ${y}`;
      if (zero !== undefined) path += `V${zero}H${run[0][0]}Z`;
      run = [];
    };
    trace.x.forEach((x, i) => {
      if (x === null || trace.y[i] === null) flush();
      else run.push([round(sx(x)), round(sy(trace.y[i]))]);
    });
    flush();
    return path;
  };
  const drawMarkers = (layer, trace, sx, sy) => {
    const { symbol = "circle", color, size, opacity = 1, rim } = trace.marker;
    const at = trace.x.map((x, i) => [x, trace.y[i]]).filter(([x, y]) => x !== null && y !== null).map(([x, y]) => [round(sx(x)), round(sy(y))]);
    const r = size / 2;
    if (symbol === "circle" && opacity === 1) {
      const dots = at.map(([x, y]) => `M${x} ${y}h0`).join("");
      if (rim) layer.append(make("path", { d: dots, stroke: rim, "stroke-width": size + 3, "stroke-linecap": "round" }));
      layer.append(make("path", { d: dots, stroke: color, "stroke-width": size, "stroke-linecap": "round" }));
    } else if (symbol.startsWith("circle")) {
      const open = symbol === "circle-open";
      const look = open ? { fill: "none", stroke: color, "stroke-width": 1.6 } : { fill: color, "fill-opacity": opacity };
      for (const [x, y] of at) layer.append(make("circle", { cx: x, cy: y, r, ...look }));
    } else {
      const d = at.map(([x, y]) => `M${x} ${y - r}l${r} ${r}l${-r} ${r}l${-r} ${-r}z`).join("");
      const open = symbol === "diamond-open";
      layer.append(make("path", { d, fill: open ? "none" : color, stroke: open ? color : undefined, "stroke-width": 1.4 }));
    }
  };

  // Draws `figure` into `plot`. `state` keeps what the reader did to it: {view, hidden, mark}.
  const draw = (plot, figure, state, hovered, given) => {
    const { data, layout } = figure;
    const width = given || Math.max(plot.clientWidth, 200);
    const narrow = width < 480;
    const height = Math.min(layout.height, narrow ? 380 : Infinity, given ? 370 : Infinity);
    const { l, r, t, b } = layout.margin;
    const left = narrow ? Math.min(l, 50) : l;
    const [right, bottom] = [width - r, height - b];
    const view = state.view || { x: layout.xaxis.range, y: layout.yaxis.range || whole(data, "y", layout.yaxis) };
    if (!layout.yaxis.range && layout.yaxis.zero && !state.view) view.y = [0, view.y[1]];
    const place = (axis, range, from, to) => (value) => from + ((unit(axis, value) - range[0]) / (range[1] - range[0])) * (to - from);
    const sx = place(layout.xaxis, view.x, left, right);
    const sy = place(layout.yaxis, view.y, bottom, t);
    const shown = data.filter((trace) => !state.hidden.has(trace.name));

    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const clip = `clip-${plot.dataset.figure}`;
    const defs = svg.appendChild(make("defs"));
    defs.appendChild(make("clipPath", { id: clip })).append(make("rect", { x: left, y: t, width: right - left, height: bottom - t }));
    const grid = svg.appendChild(make("g", { class: "grid" }));
    const words = svg.appendChild(make("g", { class: "ticks" }));
    let taken = -Infinity;
    for (const [value, label] of ticksOf(layout.xaxis, view.x, right - left)) {
      const x = round(sx(value));
      if (x < left - 1 || x > right + 1) continue;
      if (layout.xaxis.grid !== false) grid.append(make("path", { d: `M${x} ${t}V${bottom}` }));
      const lines = String(label).split("\n");
      const half = Math.max(...lines.map((line) => line.length)) * 3.4;
      if (!label || x - half < taken + 6) continue;
      taken = x + half;
      const text = words.appendChild(make("text", { x, y: bottom + 18, "text-anchor": "middle" }));
      lines.forEach((line, i) => text.append(make("tspan", { x, dy: i ? "1.15em" : 0, class: i ? "minor" : undefined }, line)));
    }
    for (const [value, label] of ticksOf(layout.yaxis, view.y, bottom - t)) {
      const y = round(sy(value));
      if (y < t - 1 || y > bottom + 1) continue;
      grid.append(make("path", { d: `M${left} ${y}H${right}` }));
      words.append(make("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, label));
    }
    svg.append(make("path", { class: "axis", d: `M${left} ${bottom}H${right}` }));
    if (layout.xaxis.title) words.append(make("text", { x: (left + right) / 2, y: bottom + 42, "text-anchor": "middle", class: "title" }, layout.xaxis.title));
    if (layout.yaxis.title) words.append(make("text", { transform: `translate(14 ${(t + bottom) / 2}) rotate(-90)`, "text-anchor": "middle", class: "title" }, layout.yaxis.title));

    for (const line of layout.lines || []) {
      const x = round(sx(line.x));
      if (x < left || x > right) continue;
      svg.append(make("path", { d: `M${x} ${t}V${bottom}`, stroke: line.color, "stroke-width": 1.3, "stroke-dasharray": DASHES.dash }));
      svg.append(make("text", { x, y: t - 6, "text-anchor": "middle", fill: line.color, class: "label" }, line.text));
    }
    if (state.mark !== undefined && layout.marks) {
      const x = round(sx(state.mark));
      if (x >= left && x <= right) svg.append(make("path", { d: `M${x} ${t}V${bottom}`, stroke: "var(--ink)", "stroke-width": 1.4 }));
    }
    const layer = svg.appendChild(make("g", { fill: "none", "clip-path": `url(#${clip})` }));
    const over = svg.appendChild(make("g"));
    for (const trace of shown) {
      if (trace.fill) layer.append(make("path", { d: linePath(trace, sx, sy, round(sy(view.y[0]))), fill: trace.fill, stroke: "none" }));
      if (trace.line) layer.append(make("path", { d: linePath(trace, sx, sy), stroke: trace.line.color, "stroke-width": trace.line.width, "stroke-dasharray": DASHES[trace.line.dash], "stroke-linejoin": "round" }));
      if (trace.bars) {
        const d = trace.x.map((x, i) => {
          const [px, up, down] = [round(sx(x)), round(sy(trace.y[i] + trace.bars[i])), round(sy(trace.y[i] - trace.bars[i]))];
          return `M${px} ${down}V${up}M${px - 3} ${up}h6M${px - 3} ${down}h6`;
        });
        layer.append(make("path", { d: d.join(""), stroke: trace.marker.color, "stroke-width": 1.2 }));
      }
      if (trace.marker) drawMarkers(layer, trace, sx, sy);
      (trace.text || []).forEach((text, i) => {
        const [x, y] = [sx(trace.x[i]), sy(trace.y[i])];
        if (x < left || x > right || y < t || y > bottom) return;
        const { color, size = 12, weight, above } = trace.label;
        over.append(make("text", { x: x + (above ? -8 : 7), y: y + (above ? -9 : 14), "text-anchor": above ? "end" : "start", fill: color, style: `font-size:${size}px;font-weight:${weight || 400}` }, text));
      });
    }
    const ring = svg.appendChild(make("circle", { r: 8, class: "ring", visibility: "hidden" }));
    const box = svg.appendChild(make("rect", { class: "box", visibility: "hidden" }));

    const points = [];
    for (const trace of shown) {
      if (!trace.hover) continue;
      trace.x.forEach((x, i) => {
        if (x === null || trace.y[i] === null) return;
        const [px, py] = [sx(x), sy(trace.y[i])];
        if (px >= left - 1 && px <= right + 1 && py >= t - 1 && py <= bottom + 1) points.push([px, py, trace, i]);
      });
    }
    const nearest = (x, y) => {
      let best = null;
      let least = NEAR ** 2;
      for (const point of points) {
        const distance = (point[0] - x) ** 2 + (point[1] - y) ** 2;
        if (distance <= least) [best, least] = [point, distance]; // of equally near ones the last, which is drawn on top
      }
      return best;
    };
    const show = (point) => {
      if (!point) {
        ring.setAttribute("visibility", "hidden");
        hovered(null);
        return;
      }
      const [x, y, trace, i] = point;
      for (const [key, value] of [["cx", x], ["cy", y], ["visibility", "visible"]]) ring.setAttribute(key, value);
      const rect = svg.getBoundingClientRect();
      const factor = rect.width / width;
      hovered({ trace, i, x: rect.left + x * factor, y: rect.top + y * factor });
    };
    return { svg, box, width, height, left, right, top: t, bottom, view, layout, nearest, show, points };
  };

  // The same as _text.fixed.
  const fixed = (value, decimals) => (Math.round(Number((value * 10 ** decimals).toPrecision(12))) / 10 ** decimals).toFixed(decimals);
  const text = (trace, i, trials) => {
    if (trace.hover === "@trials") return trials[trace.ids[i]] || "";
    if (Array.isArray(trace.hover)) return trace.hover[i];
    const values = { x: trace.x[i], y: trace.y[i], id: trace.ids && trace.ids[i] };
    return trace.hover.replace(/\{(x|y|id)(?::(\d))?\}/g, (_, name, decimals) => (decimals ? fixed(values[name], Number(decimals)) : String(values[name])));
  };

  return { draw, text, whole, count, DRAGGED };
})();
