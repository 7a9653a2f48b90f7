"use strict";
/* Where the input of the network comes from, and how a reader changes it. Each change ends in `live.refresh`. */

const Inputs = (() => {
  const get = (id) => document.getElementById(id);
  const { element } = toolbox;

  /* The generator's parameters, the middle of each range to begin with. */
  function fillSliders() {
    get("sliders").replaceChildren();
    if (!live.drawn) return;
    const { sliders, classes } = live.faces;
    live.face = {
      label: classes.indexOf("happy"),
      mark: live.name.endsWith("confounded") ? classes.indexOf("happy") : -1,
      set: {},
    };
    const pick = (text, values, chosen, change) =>
      element(
        "label",
        {},
        element("span", { text }),
        element(
          "select",
          {
            onchange: (event) => {
              change(Number(event.target.value));
              drawFace();
            },
          },
          ...values.map(([value, name]) => element("option", { value, text: name, selected: value === chosen })),
        ),
      );
    const names = classes.map((name, i) => [i, name]);
    get("sliders").append(
      element("h2", { text: "The drawn face" }),
      pick("expression", names, live.face.label, (value) => {
        live.face.label = value;
      }),
      pick(
        "watermark",
        [[-1, "none"], ...names.map(([i, name]) => [i, `${i + 1}, for ${name}`])],
        live.face.mark,
        (value) => {
          live.face.mark = value;
        },
      ),
    );
    for (const [name, { low, high, step, meaning }] of Object.entries(sliders)) {
      live.face.set[name] = step === 1 ? Math.floor((low + high) / 2) : (low + high) / 2;
      get("sliders").append(slider(name, low, high, step, meaning));
    }
    Object.assign(live.face.set, { noise: 0, light: 0 });
    get("sliders")
      .querySelectorAll("input")
      .forEach((input) => {
        input.value = live.face.set[input.name];
        input.nextSibling.value = told(input);
      });
  }

  const told = ({ value, step }) => Number(value).toFixed(step === "1" ? 0 : 2);

  function slider(name, low, high, step, meaning) {
    const shown = element("output");
    const change = ({ target }) => {
      live.face.set[name] = Number(target.value);
      shown.value = told(target);
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
    show(
      pixels
        ? Float32Array.from(atob(pixels), (letter) => letter.charCodeAt(0) / 255)
        : toolbox.numbers(values).slice(),
    );
  }

  /* A picture of the reader's, its middle square at the size of the input. */
  async function loadPicture(file) {
    if (!file) return;
    let image;
    try {
      image = await createImageBitmap(file);
    } catch {
      get("state").textContent = `${file.name} is no picture that this browser can read.`;
      return;
    }
    const [rows, columns, channels] = live.net.input;
    const scale = Math.max(columns / image.width, rows / image.height);
    const pen = element("canvas", { width: columns, height: rows }).getContext("2d");
    pen.drawImage(
      image,
      (columns - scale * image.width) / 2,
      (rows - scale * image.height) / 2,
      scale * image.width,
      scale * image.height,
    );
    const { data } = pen.getImageData(0, 0, columns, rows);
    get("example").value = "";
    const grey = (at) => (0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) / 255;
    show(
      Float32Array.from({ length: live.net.size }, (_, at) =>
        channels === 1 ? grey(4 * at) : data[4 * Math.floor(at / channels) + (at % channels)] / 255,
      ),
    );
  }

  /* A new input, with nothing covered. */
  function show(pixels) {
    Object.assign(live, { original: pixels, pixels: pixels.slice(), trace: [] });
    live.isCovered = new Uint8Array(pixels.length / live.net.input[2]);
    live.refresh();
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
    live.refresh();
  }

  /* Where on the input the pointer is. */
  function place(event) {
    const box = get("picture").getBoundingClientRect();
    const [rows, columns] = live.net.input;
    const within = (share, side) => Math.min(Math.max(Math.floor(share * side), 0), side - 1);
    return [
      within((event.clientY - box.top) / box.height, rows),
      within((event.clientX - box.left) / box.width, columns),
    ];
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
    live.refresh();
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
      live.cursor = cursor.map((at, axis) =>
        Math.min(Math.max(at + step * MOVES[event.key][axis], 0), net.input[axis] - 1),
      );
      Views.drawInput();
    }
    event.preventDefault();
  }

  return { fillSliders, choose, loadPicture, show, point, press };
})();
