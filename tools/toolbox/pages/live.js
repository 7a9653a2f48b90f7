"use strict";
/* The page of the running network. `live` holds what is shown; whatever changes calls `refresh`. */

const live = { changes: 0, settled: 0 };

(() => {
  const get = (id) => document.getElementById(id);
  const { element, digits } = toolbox;
  const percent = (share) => `${digits(100 * share, 1)} %`;
  const nextTurn = () => new Promise((resolve) => setTimeout(resolve, 0));

  async function start() {
    const [about, colours, faces] = await Promise.all(["live", "colours", "faces"].map(toolbox.load));
    if (about.missing) {
      get("state").textContent = `The networks cannot run here: ${about.missing}. Browse works without it.`;
      return;
    }
    await new Promise((resolve, reject) => {
      document.head.append(element("script", { src: "tf.min.js", onload: resolve, onerror: reject }));
    });
    await chooseBackend();
    Object.assign(live, { about, colours, faces });
    faces.background.noise = toolbox.numbers(faces.background.noise);
    about.networks.forEach(({ name, title }) => get("network").append(element("option", { value: name, text: title })));
    listen();
    get("page").hidden = false;
    await open(named(location.hash.slice(1)) ? location.hash.slice(1) : about.networks[0].name);
  }

  const named = (name) => live.about.networks.find((network) => network.name === name);

  /* The graphics card where it computes with 32 bits; otherwise the processor. `?backend=cpu` asks for the latter. */
  async function chooseBackend() {
    const asked = new URLSearchParams(location.search).get("backend");
    await tf.ready();
    const exact = tf.getBackend() !== "webgl" || tf.env().getBool("WEBGL_RENDER_FLOAT32_ENABLED");
    if (asked || !exact) await tf.setBackend(asked || "cpu");
  }

  async function open(name) {
    live.changes += 1;
    const [description, examples] = await Promise.all(
      [`networks/${name}`, named(name).examples].map(toolbox.load));
    live.net?.dispose();
    Object.assign(live, { name, net: new Network(description), examples, label: -1, cursor: [0, 0], trace: [] });
    live.layer = live.net.cam;
    live.drawn = description.input.join() === "48,48,1";
    get("network").value = name;
    history.replaceState(null, "", `#${name}`);
    fillSelects();
    fillSliders();
    const signal = live.net.signal;
    get("columns").classList.toggle("signal", signal);
    get("picture").classList.toggle("signal", signal);
    [get("file-label").hidden, get("mode-label").hidden] = [signal, !signal];
    get("hint").textContent = signal
      ? "Drag to bend the signal. Keys: left and right choose a sample, up and down move it, space covers it."
      : "Drag to cover parts with grey. Keys: the arrows move the frame, space covers what is in it.";
    choose(live.drawn ? "drawn" : "0");
  }

  function fillSelects() {
    const options = (id, pairs) => get(id).replaceChildren(...pairs.map(([value, text]) => element("option", { value, text })));
    options("target", [["-1", "the predicted class"], ...live.net.classes.map((name, i) => [i, name])]);
    options("layer", live.net.layers.slice(0, -1).map(({ name }) => [name, name]));
    get("layer").value = live.layer;
    const drawn = live.drawn ? [["drawn", "a drawn face"]] : [];
    options("example", [...drawn, ...live.examples.map(({ title }, i) => [i, title])]);
  }

  /* The generator's parameters, the middle of each range to begin with. */
  function fillSliders() {
    get("sliders").replaceChildren();
    if (!live.drawn) return;
    const { sliders, classes } = live.faces;
    live.face = { label: classes.indexOf("happy"), mark: live.name.endsWith("confounded") ? classes.indexOf("happy") : -1, set: {} };
    const pick = (text, values, chosen, change) => element("label", {}, element("span", { text }),
      element("select", { onchange: (event) => { change(Number(event.target.value)); drawFace(); } },
        ...values.map(([value, name]) => element("option", { value, text: name, selected: value === chosen }))));
    const names = classes.map((name, i) => [i, name]);
    get("sliders").append(
      element("h2", { text: "The drawn face" }),
      pick("expression", names, live.face.label, (value) => { live.face.label = value; }),
      pick("watermark", [[-1, "none"], ...names.map(([i, name]) => [i, `${i + 1}, for ${name}`])], live.face.mark,
        (value) => { live.face.mark = value; }));
    for (const [name, { low, high, step, meaning }] of Object.entries(sliders)) {
      live.face.set[name] = step === 1 ? Math.floor((low + high) / 2) : (low + high) / 2;
      get("sliders").append(slider(name, low, high, step, meaning));
    }
    Object.assign(live.face.set, { noise: 0, light: 0 });
    get("sliders").querySelectorAll("input").forEach((input) => {
      input.value = live.face.set[input.name];
      input.nextSibling.value = Number(input.value).toFixed(2);
    });
  }

  function slider(name, low, high, step, meaning) {
    const shown = element("output");
    const change = ({ target }) => {
      live.face.set[name] = Number(target.value);
      shown.value = Number(target.value).toFixed(2);
      drawFace();
    };
    const input = element("input", { type: "range", name, min: low, max: high, step, title: meaning, oninput: change });
    return element("label", { title: meaning }, element("span", { text: name.replace("_", " ") }), input, shown);
  }

  function drawFace() {
    get("example").value = "drawn";
    show(Face.draw(live.faces, live.face.label, live.face.set, live.face.mark));
  }

  /* A drawn face, or one of the stored inputs. */
  function choose(which) {
    get("example").value = which;
    if (which === "drawn") return drawFace();
    const { pixels, values } = live.examples[Number(which)];
    show(pixels ? Float32Array.from(atob(pixels), (letter) => letter.charCodeAt(0) / 255) : toolbox.numbers(values).slice());
  }

  /* A picture of the reader's, its middle square at the size of the input. */
  async function loadPicture(file) {
    if (!file) return;
    let image;
    try { image = await createImageBitmap(file); } catch {
      get("state").textContent = `${file.name} is no picture that this browser can read.`;
      return;
    }
    const [rows, columns, channels] = live.net.input;
    const scale = Math.max(columns / image.width, rows / image.height);
    const pen = element("canvas", { width: columns, height: rows }).getContext("2d");
    pen.drawImage(image, (columns - scale * image.width) / 2, (rows - scale * image.height) / 2, scale * image.width, scale * image.height);
    const { data } = pen.getImageData(0, 0, columns, rows);
    const grey = (at) => (0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) / 255;
    show(Float32Array.from({ length: live.net.size }, (_, at) =>
      (channels === 1 ? grey(4 * at) : data[4 * Math.floor(at / channels) + (at % channels)] / 255)));
  }

  /* A new input, with nothing covered. */
  function show(pixels) {
    Object.assign(live, { original: pixels, pixels: pixels.slice(), trace: [] });
    live.isCovered = new Uint8Array(pixels.length / live.net.input[2]);
    refresh();
  }

  /* Cover the patch whose middle is at a place. */
  function cover(row, column) {
    const [h, w] = live.net.signal ? [1, 1] : live.net.patch().patch;
    const [top, left] = [row - Math.floor(h / 2), column - Math.floor(w / 2)];
    live.pixels = live.net.covered(live.pixels, top, left, h, w);
    const [rows, columns] = live.net.input;
    for (let r = Math.max(top, 0); r < Math.min(top + h, rows); r++) {
      live.isCovered.fill(1, r * columns + Math.max(left, 0), r * columns + Math.min(left + w, columns));
    }
    refresh();
  }

  /* Everything that follows from the input: the cheap parts at once, the maps one after another. */
  async function refresh() {
    const change = (live.changes += 1);
    const stale = async () => { await nextTurn(); return change !== live.changes; };
    drawInput();
    if (await stale()) return;
    live.prediction = live.net.predict(live.pixels);
    const { probabilities } = live.prediction;
    live.target = live.label >= 0 ? live.label : probabilities.indexOf(Math.max(...probabilities));
    if (!live.isCovered.some(Boolean)) live.before = live.prediction;
    drawBars();
    drawFall();
    live.maps = {};
    drawUnits();
    if (await stale()) return;
    live.maps.saliency = live.net.saliency(live.pixels, live.target);
    drawMap("saliency", "Saliency", "how the score changes with each value", true);
    if (await stale()) return;
    const cam = live.net.centres[live.layer] ? live.layer : live.net.cam;
    live.maps["grad-cam"] = live.net.gradCam(live.pixels, live.target, cam);
    drawMap("grad-cam", `Grad-CAM at ${cam}`, "which places of the layer push the score up", false);
    const paused = async (share) => {
      get("occlusion").nextElementSibling.textContent = `Occlusion: ${Math.round(100 * share)} % done`;
      return stale();
    };
    const windows = live.windows || coarse();
    live.maps.occlusion = await live.net.occlusion(live.pixels, live.target, { ...windows, paused });
    if (live.maps.occlusion === null) return;
    drawMap("occlusion", "Occlusion", `how far the score falls when ${windows.patch.join(" × ")} values are covered`, true);
    live.settled = change;
  }

  /* The course's patch; for a picture at twice the course's stride, for a quarter of the time. */
  function coarse() {
    const { patch, stride } = live.net.patch();
    return { patch, stride: live.net.signal ? stride : stride.map((side) => 2 * side) };
  }

  function drawInput() {
    const { net, pixels, cursor } = live;
    const canvas = get("picture");
    if (net.signal) Signal.draw(canvas, pixels, live.isCovered, cursor[1], net.range);
    else Colour.picture(canvas, pixels, net.input, net.range);
    canvas.setAttribute("aria-label", `The input of the network, ${get("example").selectedOptions[0]?.text || "a loaded picture"}`);
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
        element("span", { class: "bar" }, element("i", { style: `width:${100 * now}%` }), element("b", { style: `left:calc(${100 * before}% - ${3 * before}px)` })),
        element("span", { class: "value", text: percent(now) })];
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
    const text = `${name}: ${percent(before)} with nothing covered, ${percent(now)} with ${percent(share)} of the input covered`;
    const said = `${text} (score ${digits(first)}, now ${digits(last)}).`;
    get("fall").innerHTML = `<svg viewBox="0 0 300 112" role="img"><title></title>
      <path d="M40 8V88H280" fill="none" stroke="var(--line)"/><text x="34" y="13" text-anchor="end">100 %</text>
      <text x="34" y="92" text-anchor="end">0 %</text><text x="40" y="105">0</text>
      <text x="280" y="105" text-anchor="end">all covered</text>
      <polyline points="${points}" fill="none" stroke="var(--accent)" stroke-width="2"/>
      <circle cx="${40 + 240 * share}" cy="${8 + 80 * (1 - now)}" r="4" fill="var(--mark)"/></svg>`;
    get("fall").querySelector("title").textContent = `Probability of ${name} against the share of the input that is covered`;
    get("fall").prepend(element("p", { class: "soft", text: said }));
  }

  function drawMap(id, title, meaning, signed) {
    const table = live.colours[signed ? "diverging" : "sequential"];
    const limit = Colour.map(get(id), live.maps[id], live.net.input.slice(0, 2), table, signed);
    const ends = signed ? `blue \u2212${limit.toPrecision(2)}, red +${limit.toPrecision(2)}` : `from 0 to ${limit.toPrecision(2)}`;
    get(id).setAttribute("aria-label", `${title} for ${live.net.classes[live.target]}, ${ends}`);
    get(id).nextElementSibling.textContent = `${title}: ${meaning}. Colours: ${ends}.`;
  }

  /* All units of the chosen layer, each a picture in one common scale. */
  function drawUnits() {
    const { values, shape } = live.net.activations(live.pixels).find(({ name }) => name === live.layer);
    const channels = shape.at(-1);
    const grid = shape.length === 3 ? shape.slice(0, 2) : [1, 1];
    const limit = Colour.largest(values);
    const inBrowse = live.about.browse.includes(`${live.name}/${live.layer}`);
    get("channels").classList.toggle("strips", live.net.signal && shape.length === 3);
    get("scale").textContent = `${channels} units of ${live.layer}. Colours from 0 to ${limit.toPrecision(2)}, the largest answer of the layer.`
      + (inBrowse ? " A unit leads to its page." : "");
    get("channels").replaceChildren(...Array.from({ length: channels }, (_, unit) => {
      const canvas = element("canvas", { role: "img", "aria-label": `Answers of unit ${unit}` });
      const own = values.filter((_, at) => at % channels === unit);
      Colour.map(canvas, own, grid, live.colours.sequential, false, limit);
      const href = inBrowse ? `browse.html#${live.name}/${live.layer}/${unit}` : null;
      return element("a", { href }, canvas, `${unit}`);
    }));
  }

  /* Where on the input the pointer is. */
  function place(event) {
    const box = get("picture").getBoundingClientRect();
    const [rows, columns] = live.net.input;
    const within = (share, side) => Math.min(Math.max(Math.floor(share * side), 0), side - 1);
    return [within((event.clientY - box.top) / box.height, rows), within((event.clientX - box.left) / box.width, columns)];
  }

  function point(event) {
    if (!(event.buttons & 1)) return;
    if (!live.net.signal) return cover(...(live.cursor = place(event)));
    const [sample, value] = Signal.at(get("picture"), event, live.net.size, live.net.range);
    live.cursor = [0, sample];
    if (get("mode").value === "cover") return cover(0, sample);
    bend(sample, value);
  }

  function bend(sample, value) {
    live.original = live.original.slice();
    live.original[sample] = value;
    const keep = live.pixels.slice();
    keep[sample] = value;
    Object.assign(live, { pixels: keep });
    live.isCovered[sample] = 0;
    refresh();
  }

  const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

  function press(event) {
    const { net, cursor } = live;
    if (event.key === " ") cover(...cursor);
    else if (!(event.key in MOVES)) return;
    else if (net.signal && MOVES[event.key][0]) {
      const value = live.pixels[cursor[1]] - (MOVES[event.key][0] * (net.range[1] - net.range[0])) / 60;
      bend(cursor[1], Math.min(Math.max(value, net.range[0]), net.range[1]));
    } else {
      const step = net.signal ? 1 : 2;
      live.cursor = cursor.map((at, axis) => Math.min(Math.max(at + step * MOVES[event.key][axis], 0), net.input[axis] - 1));
      drawInput();
    }
    event.preventDefault();
  }

  function listen() {
    const on = (id, kind, act) => get(id).addEventListener(kind, act);
    on("network", "change", ({ target }) => open(target.value));
    on("target", "change", ({ target }) => { live.label = Number(target.value); live.trace = []; refresh(); });
    on("example", "change", ({ target }) => choose(target.value));
    on("layer", "change", ({ target }) => { live.layer = target.value; refresh(); });
    on("file", "change", ({ target }) => loadPicture(target.files[0]));
    on("uncover", "click", () => show(live.original));
    on("picture", "pointerdown", (event) => { get("picture").setPointerCapture(event.pointerId); point(event); });
    on("picture", "pointermove", point);
    on("picture", "keydown", press);
    on("picture", "focus", () => drawInput());
    on("picture", "blur", () => drawInput());
    on("theme", "click", () => drawInput());
    addEventListener("resize", () => drawInput());
    addEventListener("hashchange", () => { if (named(location.hash.slice(1))) open(location.hash.slice(1)); });
  }

  document.addEventListener("DOMContentLoaded", () => start().then(
    () => { if (live.net) get("state").textContent = `The network runs in this page (TensorFlow.js ${tf.version_core}, ${tf.getBackend()}).`; },
    (error) => { get("state").textContent = `The page could not start: ${error.message || "a file is missing from this folder"}.`; }));
})();
