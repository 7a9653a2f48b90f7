"use strict";
/* One schematic face, drawn as the course's generator draws it (heatproof/data/phantom_faces.py).
   Face coordinates: x to the right, y down, the unit is a pixel at scale 1, the origin is the middle of the head.
   A layer is a pair [signed distance, tone]: negative inside, so max intersects two shapes and min joins them. */

const Face = (() => {
  const SIDE = 48;
  const DARK = 0.06;
  const WHITE = 0.97;
  const clip = (value, low, high) => Math.min(Math.max(value, low), high);
  const line = (from, to, count) => Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1));
  const DIGITS = ["bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc"];

  /* First-order distance to an ellipse: f (f - 1) / |grad|, f the scaled radius. */
  function ellipse(x, y, centreX, centreY, radiusX, radiusY) {
    const u = (x - centreX) / radiusX;
    const v = (y - centreY) / radiusY;
    const scaled = Math.hypot(u, v);
    return (scaled * (scaled - 1)) / Math.max(Math.hypot(u / radiusX, v / radiusY), 1e-6);
  }

  /* Distance to a brush drawn along a path of points [x, y, radius]. */
  function stroke(x, y, path) {
    let nearest = 9;
    for (const [px, py, radius] of path) nearest = Math.min(nearest, Math.hypot(x - px, y - py) - radius);
    return nearest;
  }

  /* All that depends on the sliders and not on the pixel. */
  function paths(shape, set) {
    const brow = line(0, 1, 15).map((s) => {
      const height = shape.brow_inner * (1 - s) + shape.brow_outer * s + shape.brow_arch * 4 * s * (1 - s);
      return [2.6 + 7.4 * s, -7.2 - height, 1.15 - 0.5 * s];
    });
    const lid = line(Math.PI, 2 * Math.PI, 17).map((a) => [
      6.4 + 3.5 * Math.cos(a),
      -2.2 + 2.5 * shape.eye * Math.sin(a),
      0.55,
    ]);
    const along = line(-Math.PI / 2, Math.PI / 2, 33).map(Math.sin);
    const outline = along.flatMap((t) => lips(t, shape).map((lip) => [shape.width * t, lip, 0.6]));
    const nose = line(0, 1, 9).map((s) => [0.4 + 1.2 * s, 4.6 - 5.2 * (1 - s) ** 1.5, 0.45]);
    const nostril = line(0, 1, 9).map((s) => [-1.2 + 2.8 * s, 4.8 + 0.5 * Math.sin(Math.PI * s), 0.5]);
    const bridge = line(-1.6, 1.6, 7).map((px) => [px, -2.8, 0.45]);
    const arms = [-1, 1].flatMap((side) => line(11.4, 15, 7).map((px) => [side * px, -3.2, 0.45]));
    return { brow, lid, outline, nose, nostril, glasses: [...bridge, ...arms], shape, set };
  }

  /* Heights of the upper and the lower lip over t in [-1, 1]. */
  function lips(t, shape) {
    const middle = 10.4 + shape.corners * (0.4 - t * t) + shape.wave * Math.sin(Math.PI * t);
    const opening = Math.sqrt(Math.max(1 - t * t, 0));
    return [middle - shape.upper * opening, middle + shape.lower * opening];
  }

  function bodyLayers(x, y, { set, nose, nostril }) {
    const shade = 0.82 * set.skin;
    const wide = x / set.head_width;
    const head = ellipse(wide * (1 + 0.01 * Math.max(y, 0)), y, 0, 0, 15, 18.5);
    const ears = Math.min(ellipse(wide, y, -15, 0, 2.4, 3.8), ellipse(wide, y, 15, 0, 2.4, 3.8));
    const behind = set.hair === 3 ? [[ellipse(wide, y, 0, 3, 18.5, 23), set.hair_tone]] : [];
    return [
      ...behind,
      [ellipse(x, y, 0, 32, 23, 12), set.clothes],
      [Math.max(Math.abs(x) - 5.5, 12 - y), shade],
      [ears, shade],
      [head - 0.5, 0.55 * set.skin],
      [head + 0.5, set.skin],
      ...hairLayers(wide, y, head - 1.6, set),
      [stroke(x, y, nose), shade],
      [stroke(x, y, nostril), 0.55 * set.skin],
    ];
  }

  function hairLayers(x, y, cap, set) {
    if (set.hair === 0) return [];
    if (set.hair === 1) return [[Math.max(cap, y + 12.8 - 0.01 * x * x), set.hair_tone]];
    if (set.hair === 2) return [[Math.max(cap - 0.5, y + 13.2 - 0.022 * (x - 5) ** 2), set.hair_tone]];
    if (set.hair === 3) {
      return [[Math.max(cap - 0.8, y + 15.5 - 0.075 * x * x + 0.004 * Math.abs(x) ** 2.5), set.hair_tone]];
    }
    const angles = line(190, 350, 9).map((degrees) => (degrees * Math.PI) / 180);
    const curls = angles.map((a) => ellipse(x, y, 15 * Math.cos(a), -2 + 16.5 * Math.sin(a), 4, 4));
    return [[Math.min(...curls), set.hair_tone]];
  }

  /* White, pupil, upper lid and brow of the eye on the right; x is mirrored for the other one. */
  function eyeLayers(x, y, gaze, { shape, lid, brow }) {
    const white = ellipse(x, y, 6.4, -2.2, 3.4, 2.5 * shape.eye);
    const pupil = Math.max(Math.hypot(x - 6.4 - gaze, y + 2.2) - 1.55, white);
    return [
      [white - 0.35, 0.35],
      [white, WHITE],
      [pupil, DARK],
      [stroke(x, y, lid), DARK],
      [stroke(x, y, brow), DARK],
    ];
  }

  function mouthLayers(x, y, { shape, outline }) {
    const [upper, lower] = lips(clip(x / shape.width, -1, 1), shape);
    const inside = Math.max(upper - y, y - lower, Math.abs(x) - shape.width);
    const teeth = shape.teeth > 0 ? [[Math.max(inside, y - upper - shape.teeth), WHITE]] : [];
    return [[inside, 0.18], ...teeth, [stroke(x, y, outline), DARK]];
  }

  function glassesLayers(x, y, { set, glasses }) {
    if (set.glasses < 2) return [];
    const rims = [-1, 1].map((side) => Math.abs(ellipse(x, y, side * 6.4, -2.2, 5, 4.6)) - 0.45);
    return [[Math.min(...rims, stroke(x, y, glasses)), 0.1]];
  }

  /* A plain, dotted or striped wall. */
  function backdrop(column, row, set, { discs, angle, wave }) {
    if (set.pattern === 1) {
      const cover = discs.map(([cx, cy, r]) => clip(0.5 - (Math.hypot(column - cx, row - cy) - r) / 3, 0, 1));
      return set.backdrop + 0.06 * cover.reduce((sum, each) => sum + each, 0);
    }
    const along = column * Math.cos(angle) + row * Math.sin(angle);
    return set.backdrop + (set.pattern === 2 ? 0.05 * Math.sin((2 * Math.PI * along) / wave) : 0);
  }

  /* Paint from back to front with coverage clip(1/2 - d, 0, 1), d in pixels. */
  function painted(tone, layers, scale) {
    return layers.reduce((below, [d, above]) => below + clip(0.5 - d * scale, 0, 1) * (above - below), tone);
  }

  /* neutral + strength (class - neutral). */
  function expression(tables, label, strength) {
    const neutral = tables.shapes[tables.classes.indexOf("neutral")];
    const full = tables.shapes[label];
    const names = Object.keys(neutral);
    return Object.fromEntries(names.map((name) => [name, neutral[name] + strength * (full[name] - neutral[name])]));
  }

  /* A digit in the lower right corner, the watermark of the confounded network. */
  function watermark(pixels, code) {
    const ends = {
      a: [41.5, 44.5, 37.5, 37.5],
      b: [44.5, 44.5, 37.5, 41],
      c: [44.5, 44.5, 41, 44.5],
      d: [41.5, 44.5, 44.5, 44.5],
      e: [41.5, 41.5, 41, 44.5],
      f: [41.5, 41.5, 37.5, 41],
      g: [41.5, 44.5, 41, 41],
    };
    const lit = [...DIGITS[code]].map((name) => {
      const ys = line(ends[name][2], ends[name][3], 9);
      return line(ends[name][0], ends[name][1], 9).map((x, i) => [x, ys[i], 0.6]);
    });
    return pixels.map((tone, at) => {
      const [x, y] = [at % SIDE, Math.floor(at / SIDE)];
      const plate = Math.max(Math.abs(x - 43) - 3.5, Math.abs(y - 41) - 5.5);
      return painted(tone, [[plate, 0.15], ...lit.map((path) => [stroke(x, y, path), WHITE])], 1);
    });
  }

  /* One face as 48 x 48 numbers from 0 to 1; `mark` is the class that the watermark names, or -1. */
  function draw(tables, label, set, mark = -1) {
    const known = paths(expression(tables, label, set.strength), set);
    const [angle, from] = [set.rotation, set.light_from].map((degrees) => (degrees * Math.PI) / 180);
    const { background } = tables;
    const pixels = Float64Array.from({ length: SIDE * SIDE }, (_, at) => {
      const [column, row] = [at % SIDE, Math.floor(at / SIDE)];
      const [dx, dy] = [column - 23.5 - set.shift_x, row - 24.5 - set.shift_y];
      const x = (Math.cos(angle) * dx + Math.sin(angle) * dy) / set.scale;
      const y = (Math.cos(angle) * dy - Math.sin(angle) * dx) / set.scale;
      const eyes = [-1, 1].flatMap((side) => eyeLayers(side * x, y, side * set.gaze, known));
      const layers = [...bodyLayers(x, y, known), ...eyes, ...mouthLayers(x, y, known), ...glassesLayers(x, y, known)];
      const tone = painted(backdrop(column, row, set, background), layers, set.scale);
      const light = 1 + (set.light * ((column - 23.5) * Math.cos(from) + (row - 23.5) * Math.sin(from))) / 24;
      return clip(tone * light + set.noise * background.noise[at], 0, 1);
    });
    return Float32Array.from(mark < 0 ? pixels : watermark(pixels, mark));
  }

  return { draw, SIDE };
})();
