"use strict";
/* The page of the running network. `live` holds what is shown; whatever changes calls `refresh`. */

const live = { changes: 0, settled: 0 };

(() => {
  const get = (id) => document.getElementById(id);
  const { element } = toolbox;
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
    live.refresh = refresh;
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
    const [description, examples] = await Promise.all([`networks/${name}`, named(name).examples].map(toolbox.load));
    live.net?.dispose();
    Object.assign(live, { name, net: new Network(description), examples, label: -1, cursor: [0, 0], trace: [] });
    live.layer = live.net.cam;
    live.drawn = description.input.join() === "48,48,1";
    get("network").value = name;
    history.replaceState(null, "", `#${name}`);
    fillSelects();
    Inputs.fillSliders();
    const signal = live.net.signal;
    get("columns").classList.toggle("signal", signal);
    get("picture").classList.toggle("signal", signal);
    [get("file-label").hidden, get("mode-label").hidden] = [signal, !signal];
    get("hint").textContent = signal
      ? "Drag to bend the signal. Keys: left and right choose a sample, up and down move it, space covers it."
      : "Drag to cover parts with grey. Keys: the arrows move the frame, space covers what is in it.";
    Inputs.choose(live.drawn ? "drawn" : "0");
  }

  function fillSelects() {
    const options = (id, pairs) =>
      get(id).replaceChildren(...pairs.map(([value, text]) => element("option", { value, text })));
    options("target", [["-1", "the predicted class"], ...live.net.classes.map((name, i) => [i, name])]);
    options(
      "layer",
      live.net.layers.slice(0, -1).map(({ name }) => [name, name]),
    );
    get("layer").value = live.layer;
    const drawn = live.drawn ? [["drawn", "a drawn face"]] : [];
    options("example", [...drawn, ...live.examples.map(({ title }, i) => [i, title])]);
  }

  /* Everything that follows from the input: the cheap parts at once, the maps one after another. */
  async function refresh() {
    const change = (live.changes += 1);
    const stale = async () => {
      await nextTurn();
      return change !== live.changes;
    };
    Views.drawInput();
    for (const id of ["saliency", "grad-cam", "occlusion"]) get(id).classList.add("old");
    if (await stale()) return;
    if (live.known !== live.original) {
      Object.assign(live, { before: live.net.predict(live.original), known: live.original });
    }
    live.prediction = live.isCovered.some(Boolean) ? live.net.predict(live.pixels) : live.before;
    const { probabilities } = live.before;
    live.target = live.label >= 0 ? live.label : probabilities.indexOf(Math.max(...probabilities));
    Views.drawBars();
    Views.drawFall();
    live.maps = {};
    Views.drawUnits();
    if (await stale()) return;
    live.maps.saliency = live.net.saliency(live.pixels, live.target);
    Views.drawMap("saliency", "Saliency", "how the score changes with each value", true);
    if (await stale()) return;
    const cam = live.net.centres[live.layer] ? live.layer : live.net.cam;
    live.maps["grad-cam"] = live.net.gradCam(live.pixels, live.target, cam);
    Views.drawMap("grad-cam", `Grad-CAM at ${cam}`, "which places of the layer push the score up", false);
    const paused = async (share) => {
      get("occlusion").nextElementSibling.textContent = `Occlusion: ${Math.round(100 * share)} % done`;
      return stale();
    };
    const windows = live.windows || coarse();
    const occlusion = await live.net.occlusion(live.pixels, live.target, { ...windows, paused });
    if (occlusion === null) return;
    live.maps.occlusion = occlusion;
    Views.drawMap(
      "occlusion",
      "Occlusion",
      `how far the score falls when ${windows.patch.join(" × ")} values are covered, in steps of ${windows.stride[0]}`,
      true,
    );
    live.settled = change;
  }

  /* The course's patch; for a picture at twice the course's stride, for a quarter of the time. */
  function coarse() {
    const { patch, stride } = live.net.patch();
    return { patch, stride: live.net.signal ? stride : stride.map((side) => 2 * side) };
  }

  function listen() {
    const on = (id, kind, act) => get(id).addEventListener(kind, act);
    on("network", "change", ({ target }) => open(target.value));
    on("target", "change", ({ target }) => {
      live.label = Number(target.value);
      live.trace = [];
      refresh();
    });
    on("example", "change", ({ target }) => Inputs.choose(target.value));
    on("layer", "change", ({ target }) => {
      live.layer = target.value;
      refresh();
    });
    on("file", "change", ({ target }) => Inputs.loadPicture(target.files[0]));
    on("uncover", "click", () => Inputs.show(live.original));
    on("picture", "pointerdown", (event) => {
      get("picture").setPointerCapture(event.pointerId);
      Inputs.point(event);
    });
    on("picture", "pointermove", Inputs.point);
    on("picture", "keydown", Inputs.press);
    on("picture", "focus", () => Views.drawInput());
    on("picture", "blur", () => Views.drawInput());
    on("theme", "click", () => Views.drawInput());
    addEventListener("resize", () => Views.drawInput());
    addEventListener("hashchange", () => {
      if (named(location.hash.slice(1))) open(location.hash.slice(1));
    });
  }

  document.addEventListener("DOMContentLoaded", () =>
    start().then(
      () => {
        if (!live.net) return;
        const place = tf.getBackend() === "webgl" ? "graphics card" : "processor";
        const library = `TensorFlow.js ${tf.version_core} (Google, Apache License 2.0)`;
        get("state").textContent = `The network runs in this page, by ${library}, on the ${place}.`;
      },
      (error) => {
        get("state").textContent =
          `The page could not start: ${error.message || "a file is missing from this folder"}.`;
      },
    ),
  );
})();
