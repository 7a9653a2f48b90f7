"use strict";
/* Numbers as colours: diverging and symmetric about 0 where they have a sign, sequential from 0 where they have none.
   The tables are those of the course's figures (heatproof/display/scales.py). */

const Colour = (() => {
  const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;

  /* Draw (rows, columns) numbers on a canvas, one pixel each. */
  function map(canvas, values, [rows, columns], table, signed, limit = largest(values)) {
    const low = signed ? -limit : 0;
    paint(canvas, rows, columns, (at) => {
      const place = Math.round((255 * (values[at] - low)) / (limit - low));
      return table[Math.min(Math.max(place, 0), 255)];
    });
    return limit;
  }

  /* Draw a picture of one channel or three. */
  function picture(canvas, pixels, [rows, columns, channels], [low, high]) {
    paint(canvas, rows, columns, (at) =>
      [0, 1, 2].map((colour) => {
        const value = pixels[at * channels + Math.min(colour, channels - 1)];
        return (255 * (value - low)) / (high - low);
      }),
    );
  }

  function paint(canvas, rows, columns, colourOf) {
    [canvas.width, canvas.height] = [columns, rows];
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(columns, rows);
    for (let at = 0; at < rows * columns; at++) image.data.set([...colourOf(at), 255], 4 * at);
    pen.putImageData(image, 0, 0);
  }

  return { map, picture, largest };
})();
