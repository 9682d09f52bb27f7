// A stand-in for a browser's document, enough for the page's script: node -e "$(cat dom.js)" report.html
// Prints what was drawn in every figure: the attributes and texts of its SVG.
const fs = require("fs"), page = fs.readFileSync(process.argv[1], "utf8");
const element = (name) => ({
  name, attributes: {}, children: [], style: {}, dataset: {}, hidden: false,
  setAttribute(key, value) { this.attributes[key] = String(value); },
  append(...items) { this.children.push(...items); },
  appendChild(item) { this.children.push(item); return item; },
  replaceChildren(...items) { this.children = items; },
  addEventListener() {},
  getBoundingClientRect: () => ({ left: 0, top: 0, width: 900, height: 400 }),
  closest: () => null,
});
const inside = (id) => {
  const [, type, textContent] = page.match(new RegExp(`<script type="([^"]*)" id="${id}">([^]*?)</script>`));
  return { type, textContent };
};
const names = [...new Set([...page.matchAll(/data-figure="([\w-]+)"/g)].map(([, name]) => name))];
const plots = names.map((name) => ({ ...element("div"), dataset: { figure: name }, clientWidth: 900 }));
global.window = { addEventListener() {}, matchMedia: () => ({ addEventListener() {} }), scrollX: 0, scrollY: 0 };
global.location = { pathname: "/report.html", reload() {} };
global.sessionStorage = { getItem: () => null, setItem() {}, removeItem() {} };
global.document = {
  getElementById: (id) => (id === "data" ? inside(id) : null),
  querySelector: () => null,
  querySelectorAll: (wanted) => (wanted === ".plot" ? plots : []),
  createElement: element,
  createElementNS: (_, name) => element(name),
  addEventListener() {},
  documentElement: { clientWidth: 900, dataset: {} },
  body: element("body"),
};
eval(page.slice(page.lastIndexOf("<script>") + 8, page.lastIndexOf("</script>")));
const all = (node) => [node, ...(node.children || []).flatMap(all)];
process.on("exit", () => {
  const found = plots.map((plot) => {
    const nodes = all(plot);
    const points = plot.drawn ? plot.drawn.points : [];
    return {
      figure: plot.dataset.figure,
      attributes: nodes.flatMap((node) => Object.values(node.attributes || {})).filter((v) => /NaN|undefined|Infinity/.test(v)),
      texts: nodes.map((node) => node.textContent).filter((text) => text !== undefined),
      points: points.length,
      silent: points.filter(([, , trace, i]) => trace.hover === "@trials" && !trace.ids.hasOwnProperty(i)).length,
    };
  });
  console.log(JSON.stringify(found));
});
