"use strict";
/* The list of units, and the page of one unit. The address says what is shown: #NETWORK/LAYER/UNIT is a unit,
   #find?q=...&network=...&layer=...&order=... a search. */

(() => {
  const get = (id) => document.getElementById(id);
  const { element, digits } = toolbox;
  const STEP = 48;
  const FIELDS = ["q", "network", "layer", "order"];
  const INPUTS = { q: "search", network: "network", layer: "layer", order: "order" };
  let networks = [];
  let all = [];
  let shown = STEP;

  async function start() {
    ({ networks } = await toolbox.load("browse"));
    all = networks.flatMap((network) =>
      network.layers.flatMap((layer) =>
        layer.units.map(([unit, concept, category, iou, label]) => ({
          network,
          layer: layer.name,
          unit,
          concept,
          category,
          iou,
          label,
          address: `${network.name}/${layer.name}/${unit}`,
          words: `${network.name} ${network.title} ${layer.name} ${concept} ${category} ${label}`.toLowerCase(),
        })),
      ),
    );
    options("network", [["", "all"], ...networks.map(({ name, title }) => [name, title])]);
    for (const [field, id] of Object.entries(INPUTS)) {
      get(id).addEventListener("input", () => {
        if (field === "network") fillLayers("");
        shown = STEP;
        history.replaceState(
          null,
          "",
          `#find?${new URLSearchParams(FIELDS.map((name) => [name, get(INPUTS[name]).value]))}`,
        );
        list();
      });
    }
    get("more").addEventListener("click", () => {
      shown += STEP;
      list();
    });
    addEventListener("hashchange", route);
    addEventListener("keydown", press);
    await route();
  }

  const options = (id, pairs) =>
    get(id).replaceChildren(...pairs.map(([value, text]) => element("option", { value, text })));

  function fillLayers(chosen) {
    const network = networks.find(({ name }) => name === get("network").value);
    options("layer", [["", "all"], ...(network ? network.layers.map(({ name }) => [name, name]) : [])]);
    get("layer").value = chosen;
  }

  async function route() {
    const address = decodeURIComponent(location.hash.slice(1));
    const found = all.find((each) => each.address === address);
    [get("list").hidden, get("unit").hidden] = [Boolean(found), !found];
    if (found) return showUnit(found);
    const asked = new URLSearchParams(address.startsWith("find?") ? address.slice(5) : "");
    get("search").value = asked.get("q") || "";
    get("network").value = asked.get("network") || "";
    fillLayers(asked.get("layer") || "");
    get("order").value = asked.get("order") || "iou";
    list();
    if (address && !address.startsWith("find?"))
      get("count").textContent = `There is no unit ${address} here. All units:`;
  }

  /* The units that fit all words of the search; a number is that of a unit, or a digit that is a class. */
  function fitting() {
    const words = get("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const isNumber = (word) => /^\d+$/.test(word);
    const fits = (each) =>
      words.every((word) =>
        isNumber(word) ? [String(each.unit), each.label].includes(word) : each.words.includes(word),
      );
    const found = all.filter(
      (each) =>
        fits(each) &&
        (!get("network").value || each.network.name === get("network").value) &&
        (!get("layer").value || each.layer === get("layer").value),
    );
    return get("order").value === "iou" ? found.sort((a, b) => b.iou - a.iou) : found;
  }

  function list() {
    const found = fitting();
    document.title = "Browse: what the units answer to";
    get("count").textContent = `${found.length} of ${all.length} units.`;
    const network = networks.find(({ name }) => name === get("network").value);
    get("told").textContent = network ? `The inputs: ${network.told}.` : "";
    get("cards").replaceChildren(...found.slice(0, shown).map((each) => element("li", {}, card(each))));
    get("more").hidden = found.length <= shown;
  }

  const named = ({ concept, iou }) => (concept ? `${concept}, IoU ${digits(iou)}` : "no concept");

  function card(each) {
    const link = element("a", { href: `#${each.address}` });
    if (!each.network.name.startsWith("mnist1d")) {
      const [source, alt] = [
        `units/${each.address}.webp`,
        `Three patches that excite unit ${each.unit} of ${each.layer} most`,
      ];
      link.append(element("div", { class: "crop" }, element("img", { src: source, alt, loading: "lazy" })));
    }
    link.append(
      element("b", { text: `${each.layer}, unit ${each.unit}` }),
      element("br"),
      each.network.title,
      element("br"),
      each.concept ? named(each) : "",
      each.concept ? element("br") : "",
      each.label ? `most for class ${each.label}` : "",
    );
    return link;
  }

  /* The page of one unit. */
  async function showUnit(each) {
    const tables = await toolbox.load(`units/${each.network.name}/${each.layer}`);
    const table = tables.find(({ unit }) => unit === each.unit);
    const name = `${each.layer}, unit ${each.unit}`;
    document.title = `${name} of ${each.network.title}`;
    const at = tables.indexOf(table);
    const beside = (step, text) => {
      const other = tables[(at + step + tables.length) % tables.length].unit;
      return element("a", { href: `#${each.network.name}/${each.layer}/${other}`, "data-step": step, text });
    };
    get("unit").replaceChildren(
      element(
        "p",
        {},
        element("a", { href: "#find?", text: "All units" }),
        " · ",
        beside(-1, "Previous (left arrow)"),
        " · ",
        beside(1, "Next (right arrow)"),
      ),
      element("h1", { text: name, tabindex: "-1" }),
      facts(each, table),
      ...(table.curves ? signals(table) : pictures(each, table)),
      ...near(each, table),
    );
    get("unit").querySelector("h1").focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  function facts(each, table) {
    const rows = [
      ["network", each.network.title],
      ["inputs", each.network.told],
    ];
    if (table.concept)
      rows.push([
        "concept",
        `${table.concept} (${table.category}): IoU ${digits(table.iou)}, ` +
          `at most ${digits(table.ceiling)} for areas of these sizes`,
      ]);
    else if ("iou" in table) rows.push(["concept", "none: the mask of the unit meets none of them"]);
    if (table.silent)
      rows.push(["threshold", "0: the unit is silent nearly everywhere, so its mask is all that is above 0"]);
    if (table.class) rows.push(["class", `${table.class} has the largest mean answer`]);
    const list = element(
      "dl",
      { class: "facts" },
      ...rows.flatMap(([term, text]) => [element("dt", { text: term }), element("dd", { text })]),
    );
    const live = element("a", { href: `live.html#${each.network.name}`, text: "Run this network live" });
    return element("div", {}, list, ...(each.network.live ? [live] : []));
  }

  function pictures(each, table) {
    const source = `units/${each.address}`;
    const [first, last] = [table.values[0], table.values.at(-1)].map((value) => digits(value));
    const alt =
      `Nine columns, strongest answer first, from ${first} to ${last}: the patch that excited the unit, ` +
      "what in it did, in red and blue, and the whole input with the patch framed";
    const made = `The input made to excite unit ${each.unit}`;
    return [
      element("h2", { text: "What excites it most" }),
      element("p", {
        class: "soft",
        text:
          "Each column is one input, its answer above it. First row: the patch that the unit reads. " +
          "Second: what in it made the answer (deconvnet), red for more, blue for less, each map in its own scale. " +
          "Third: the whole input with a frame around the patch, which deep in a network is all of it.",
      }),
      element(
        "div",
        { class: "strip", tabindex: 0, role: "group", "aria-label": "Nine inputs with their answers" },
        element("div", { class: "scores" }, ...table.values.map((value) => element("span", { text: digits(value) }))),
        element("img", { src: `${source}.webp`, alt, width: 576, height: 192 }),
      ),
      element("h2", { text: "The input made to excite it" }),
      element("p", {
        class: "soft",
        text: "Gradient ascent from noise on the mean answer of the unit before its ReLU, 32 steps.",
      }),
      element("img", { src: `${source}-made.webp`, alt: made, class: "pixel made" }),
    ];
  }

  /* A signal as a curve; the samples that the unit reads are shaded, those that made the answer coloured. */
  function curve(values, field, marks, alt) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const x = (i) => 6 + 7 * i;
    const y = (value) => 8 + (74 * (high - value)) / (high - low || 1);
    const limit = Math.max(...marks.map(Math.abs)) || 1;
    const dots = marks
      .map((mark, i) =>
        mark
          ? `<circle cx="${x(i)}" cy="${y(values[i])}" r="${2 + (4 * Math.abs(mark)) / limit}"
      fill="${mark > 0 ? "#d6604d" : "#4393c3"}"/>`
          : "",
      )
      .join("");
    const shade = field
      ? `<rect x="${x(field[0])}" y="2" width="${7 * (field[1] - field[0] - 1)}" height="86" fill="var(--line)"/>`
      : "";
    const drawn = element("div");
    drawn.innerHTML = `<svg viewBox="0 0 285 90" role="img" width="285" height="90"><title></title>${shade}
      <polyline points="${values.map((value, i) => `${x(i)},${y(value)}`).join(" ")}"
        fill="none" stroke="var(--accent)" stroke-width="1.5"/>${dots}</svg>`;
    drawn.querySelector("title").textContent = alt;
    return drawn.firstChild;
  }

  function signals(table) {
    const items = table.curves.map(({ signal, map, field }, i) =>
      element(
        "li",
        { class: "panel" },
        curve(signal, field, map, `Signal ${i + 1} of nine, answer ${digits(table.values[i])}`),
        element("span", { class: "soft", text: `answer ${digits(table.values[i])}` }),
      ),
    );
    return [
      element("h2", { text: "What excites it most" }),
      element("p", {
        class: "soft",
        text: "Shaded: the samples that the unit reads. Dots: what made the answer (deconvnet); red: more, blue: less.",
      }),
      element("ul", { class: "cards wide" }, ...items),
      element("h2", { text: "The signal made to excite it" }),
      element("p", {
        class: "soft",
        text: "Gradient ascent from noise on the mean answer of the unit before its ReLU, 32 steps.",
      }),
      curve(table.made, null, [], "The signal made to excite the unit"),
    ];
  }

  function near(each, table) {
    const others = table.near
      .map((unit) => all.find(({ address }) => address === `${each.network.name}/${each.layer}/${unit}`))
      .filter(Boolean);
    const none = element("p", { text: "None: its answers go with those of no other unit." });
    return [
      element("h2", { text: "Units that are near" }),
      element("p", {
        class: "soft",
        text: "Their strongest answers to the inputs rise and fall with its own (largest correlation).",
      }),
      others.length
        ? element("ul", { class: "cards" }, ...others.map((other) => element("li", {}, card(other))))
        : none,
    ];
  }

  /* Left and right lead to the units beside; a slash to the search. */
  function press(event) {
    if (event.target.matches("input, select") || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && !get("unit").hidden) get("unit").querySelector(`[data-step="${step}"]`).click();
    if (event.key === "/" && get("unit").hidden) {
      get("search").focus();
      event.preventDefault();
    }
  }

  document.addEventListener("DOMContentLoaded", () =>
    start().catch((error) => {
      get("count").textContent = `The list could not be read: ${error.message}.`;
    }),
  );
})();
