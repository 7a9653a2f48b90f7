"use strict";
/* The editor of a signal: a curve on a canvas, bent with the mouse or with the keys. */

const Signal = (() => {
  const EDGE = 10; // above and below the curve; a sample stands in the middle of its share of the width

  /* Which sample and which value a place on the canvas stands for. */
  function at(canvas, event, count, [low, high]) {
    const box = canvas.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const up = 1 - (event.clientY - box.top - EDGE) / (box.height - 2 * EDGE);
    const sample = Math.min(Math.max(Math.floor(across * count), 0), count - 1);
    return [sample, Math.min(Math.max(low + up * (high - low), low), high)];
  }

  /* The curve, its samples, the covered ones and the chosen one. */
  function draw(canvas, values, covered, chosen, [low, high]) {
    const density = window.devicePixelRatio || 1;
    const box = canvas.getBoundingClientRect();
    [canvas.width, canvas.height] = [box.width * density, box.height * density];
    const pen = canvas.getContext("2d");
    pen.scale(density, density);
    const style = getComputedStyle(document.documentElement);
    const x = (i) => ((i + 0.5) / values.length) * box.width;
    const y = (value) => EDGE + (1 - (value - low) / (high - low)) * (box.height - 2 * EDGE);
    const colour = (name) => style.getPropertyValue(name);
    pen.strokeStyle = colour("--line");
    pen.strokeRect(0.5, 0.5, box.width - 1, box.height - 1);
    path(pen, [
      [0, y(0)],
      [box.width, y(0)],
    ]);
    pen.strokeStyle = colour("--accent");
    pen.lineWidth = 2;
    path(
      pen,
      Array.from(values, (value, i) => [x(i), y(value)]),
    );
    values.forEach((value, i) => {
      pen.fillStyle = colour(covered[i] ? "--mark" : "--accent");
      pen.fillRect(x(i) - 3, y(value) - 3, 6, 6);
    });
    pen.strokeStyle = colour("--mark");
    if (chosen >= 0) pen.strokeRect(x(chosen) - 6, y(values[chosen]) - 6, 12, 12);
  }

  function path(pen, points) {
    pen.beginPath();
    points.forEach(([x, y]) => pen.lineTo(x, y));
    pen.stroke();
  }

  return { at, draw };
})();
