"use strict";
/* How the page shows what `live` holds. */

const Views = (() => {
  const get = (id) => document.getElementById(id);
  const { element, digits } = toolbox;
  const percent = (share) => `${digits(100 * share, 1)} %`;

  function drawInput() {
    const { net, pixels, cursor } = live;
    const canvas = get("picture");
    if (net.signal) Signal.draw(canvas, pixels, live.isCovered, cursor[1], net.range);
    else Colour.picture(canvas, pixels, net.input, net.range);
    canvas.setAttribute(
      "aria-label",
      `The input of the network, ${get("example").selectedOptions[0]?.text || "a loaded picture"}`,
    );
    if (net.signal || document.activeElement !== canvas) return;
    const pen = canvas.getContext("2d");
    const [h, w] = net.patch().patch;
    pen.strokeStyle = "#d95f02";
    pen.strokeRect(cursor[1] - Math.floor(w / 2) + 0.5, cursor[0] - Math.floor(h / 2) + 0.5, w - 1, h - 1);
  }

  /* One bar per class; the mark is where it was with nothing covered. */
  function drawBars() {
    const rows = live.net.classes.map((name, i) => {
      const [now, before] = [live.prediction, live.before].map(({ probabilities }) => probabilities[i]);
      return [
        element("span", { text: name }),
        element(
          "span",
          { class: "bar" },
          element("i", { style: `width:${100 * now}%` }),
          element("b", { style: `left:calc(${100 * before}% - ${3 * before}px)` }),
        ),
        element("span", { class: "value", text: percent(now) }),
      ];
    });
    get("bars").replaceChildren(...rows.flat());
  }

  /* How the probability of the target went down as more was covered. */
  function drawFall() {
    const share = live.isCovered.reduce((sum, each) => sum + each, 0) / live.isCovered.length;
    const [before, now] = [live.before, live.prediction].map(({ probabilities }) => probabilities[live.target]);
    const [first, last] = [live.before, live.prediction].map(({ logits }) => logits[live.target]);
    live.trace.push([share, now]);
    const name = live.net.classes[live.target];
    const points = live.trace.map(([x, y]) => `${40 + 240 * x},${8 + 80 * (1 - y)}`).join(" ");
    const fell =
      `${name}: ${percent(before)} with nothing covered, ${percent(now)} with ${percent(share)} of the input covered ` +
      `(score ${digits(first)}, now ${digits(last)}).`;
    const said = share ? fell : `${name}: ${percent(now)} (score ${digits(last)}). Cover a part, and the curve begins.`;
    get("fall").innerHTML = `<svg viewBox="0 0 300 112" role="img"><title></title>
      <path d="M40 8V88H280" fill="none" stroke="var(--line)"/><text x="34" y="13" text-anchor="end">100 %</text>
      <text x="34" y="92" text-anchor="end">0 %</text><text x="40" y="105">0</text>
      <text x="280" y="105" text-anchor="end">all covered</text>
      <polyline points="${points}" fill="none" stroke="var(--accent)" stroke-width="2"/>
      <circle cx="${40 + 240 * share}" cy="${8 + 80 * (1 - now)}" r="4" fill="var(--mark)"/></svg>`;
    get("fall").querySelector("title").textContent =
      `Probability of ${name} against the share of the input that is covered`;
    get("fall").prepend(element("p", { class: "soft", text: said }));
  }

  function drawMap(id, title, meaning, signed) {
    const table = live.colours[signed ? "diverging" : "sequential"];
    const limit = Colour.map(get(id), live.maps[id], live.net.input.slice(0, 2), table, signed);
    const ends = signed
      ? `blue \u2212${limit.toPrecision(2)}, red +${limit.toPrecision(2)}`
      : `from 0 to ${limit.toPrecision(2)}`;
    get(id).classList.remove("old");
    get(id).setAttribute("aria-label", `${title} for ${live.net.classes[live.target]}, ${ends}`);
    get(id).nextElementSibling.replaceChildren(scale(table), `${title}: ${meaning}. Colours: ${ends}.`);
  }

  /* The colours of a map, from its lowest value to its highest. */
  function scale(table) {
    const stops = table.filter((_, at) => at % 15 === 0).map((colour) => `rgb(${colour.join()})`);
    return element("span", { class: "scale", style: `background: linear-gradient(to right, ${stops.join()})` });
  }

  /* All units of the chosen layer, each a picture in one common scale. */
  function drawUnits() {
    const { values, shape } = live.net.activations(live.pixels).find(({ name }) => name === live.layer);
    const channels = shape.at(-1);
    const grid = shape.length === 3 ? shape.slice(0, 2) : [1, 1];
    const limit = Colour.largest(values);
    const inBrowse = live.about.browse.includes(`${live.name}/${live.layer}`);
    get("channels").classList.toggle("strips", live.net.signal && shape.length === 3);
    get("scale").replaceChildren(
      scale(live.colours.sequential),
      `${channels} units of ${live.layer}. Colours: from 0 to ` +
        `${limit.toPrecision(2)}, the largest answer of the layer.${inBrowse ? " A unit leads to its page." : ""}`,
    );
    get("channels").replaceChildren(
      ...Array.from({ length: channels }, (_, unit) => {
        const canvas = element("canvas", { role: "img", "aria-label": `Answers of unit ${unit}` });
        const own = values.filter((_, at) => at % channels === unit);
        Colour.map(canvas, own, grid, live.colours.sequential, false, limit);
        const href = inBrowse ? `browse.html#${live.name}/${live.layer}/${unit}` : null;
        return element("a", { href }, canvas, `${unit}`);
      }),
    );
  }

  return { drawInput, drawBars, drawFall, drawMap, drawUnits };
})();
