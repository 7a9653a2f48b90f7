"use strict";
/* A network of the course, run by TensorFlow.js: what it answers, and what its maps say.
   Pictures are (rows, columns, channels) as flat numbers; a signal is a picture of one row. */

class Network {
  constructor(description) {
    Object.assign(this, description);
    this.size = this.input.reduce((product, side) => product * side, 1);
    this.layers = this.layers.map((layer) => (layer.kernel ? { ...layer, ...Network.weights(layer) } : layer));
    this.middle = (this.range[0] + this.range[1]) / 2;
  }

  static weights({ kernel, bias, shape }) {
    return { weights: tf.tensor(toolbox.numbers(kernel), shape), biases: tf.tensor1d(toolbox.numbers(bias)) };
  }

  dispose() {
    for (const { weights, biases } of this.layers) tf.dispose([weights, biases].filter(Boolean));
  }

  /* One layer; the last one stops before its softmax, so that the score is the logit. */
  static step(layer, x) {
    if (layer.kind === "pooling") return Network.pooled(x, layer);
    if (layer.kind === "average") return x.mean([1, 2]);
    if (layer.kind === "flatten") return x.reshape([x.shape[0], -1]);
    const product =
      layer.kind === "dense" ? x.matMul(layer.weights) : x.conv2d(layer.weights, layer.strides, layer.padding);
    const sum = product.add(layer.biases);
    return layer.activation === "relu" ? sum.relu() : sum;
  }

  /* Windows side by side. Of equal largest values the first one is followed back, as in TensorFlow. */
  static pooled(x, { size: [h, w], by }) {
    const [count, rows, columns, channels] = x.shape;
    const [high, wide] = [Math.floor(rows / h), Math.floor(columns / w)];
    const cells = x
      .slice([0, 0, 0, 0], [count, high * h, wide * w, channels])
      .reshape([count * high, h, wide, w * channels]);
    const parts = [];
    for (let i = 0; i < h; i++) {
      for (let j = 0; j < w; j++) parts.push(cells.slice([0, i, 0, j * channels], [count * high, 1, wide, channels]));
    }
    const joined = by === "mean" ? tf.addN(parts).div(h * w) : parts.reduce((largest, part) => largest.maximum(part));
    return joined.reshape([count, high, wide, channels]);
  }

  /* The logits that follow from what layer number `start` reads. */
  logits(x, start = 0) {
    return this.layers.slice(start).reduce((y, layer) => Network.step(layer, y), x);
  }

  batch(pixels) {
    return tf.tensor4d(pixels, [pixels.length / this.size, ...this.input]);
  }

  /* The output of every layer, probabilities last: [{name, shape, values}]. */
  activations(pixels) {
    return tf.tidy(() => {
      let x = this.batch(pixels);
      return this.layers.map((layer) => {
        x = Network.step(layer, x);
        const shown = layer.activation === "softmax" ? x.softmax() : x;
        return { name: layer.name, shape: shown.shape.slice(1), values: shown.dataSync() };
      });
    });
  }

  /* Logits and probabilities of one picture. */
  predict(pixels) {
    return tf.tidy(() => {
      const logits = this.logits(this.batch(pixels));
      return { logits: logits.dataSync(), probabilities: logits.softmax().dataSync() };
    });
  }

  score(x, label, start = 0) {
    return this.logits(x, start).slice([0, label], [-1, 1]).sum();
  }

  /* M = dS_c/dx, summed over the channels. */
  saliency(pixels, label) {
    return tf.tidy(() =>
      tf
        .grad((x) => this.score(x, label))(this.batch(pixels))
        .sum(3)
        .dataSync(),
    );
  }

  /* M(p) = ReLU(sum_k alpha_k A_k(p)), alpha_k the mean over p of dS_c/dA_k(p), enlarged to the picture. */
  gradCam(pixels, label, name = this.cam) {
    const after = this.layers.findIndex((layer) => layer.name === name) + 1;
    const small = tf.tidy(() => {
      const A = this.layers.slice(0, after).reduce((x, layer) => Network.step(layer, x), this.batch(pixels));
      const alpha = tf
        .grad((x) => this.score(x, label, after))(A)
        .mean([1, 2], true);
      return { values: A.mul(alpha).sum(3).relu().dataSync(), shape: A.shape.slice(1, 3) };
    });
    return this.enlarged(small, this.centres[name]);
  }

  /* Linear interpolation between positions that lie at first, first + apart, ... in the picture. */
  enlarged({ values, shape }, centres) {
    const [across, down] = [1, 0].map((axis) => Network.neighbours(this.input[axis], shape[axis], centres[axis]));
    const at = (row, [before, next, share]) =>
      values[row * shape[1] + before] * (1 - share) + values[row * shape[1] + next] * share;
    const picture = new Float32Array(this.input[0] * this.input[1]);
    down.forEach(([above, below, share], row) =>
      across.forEach((column, number) => {
        picture[row * this.input[1] + number] = at(above, column) * (1 - share) + at(below, column) * share;
      }),
    );
    return picture;
  }

  static neighbours(side, parts, [first, apart]) {
    return Array.from({ length: side }, (_, pixel) => {
      const place = Math.min(Math.max((pixel - first) / apart, 0), parts - 1);
      const before = Math.min(Math.floor(place), Math.max(parts - 2, 0));
      return [before, Math.min(before + 1, parts - 1), place - before];
    });
  }

  /* Where patches begin along a side; the last one touches the border. */
  static starts(side, patch, stride) {
    const found = [];
    for (let start = 0; start < side - patch; start += stride) found.push(start);
    return [...found, side - patch];
  }

  /* The picture with the rectangle set to the middle of the input range. */
  covered(pixels, row, column, h, w) {
    const copy = pixels.slice();
    const channels = this.input[2];
    for (let r = Math.max(row, 0); r < Math.min(row + h, this.input[0]); r++) {
      const from = (r * this.input[1] + Math.max(column, 0)) * channels;
      copy.fill(this.middle, from, (r * this.input[1] + Math.min(column + w, this.input[1])) * channels);
    }
    return copy;
  }

  /* M(p) = mean over the patches that contain p of S_c(x) - S_c(x with the patch covered). `paused` is waited for
     between batches and ends the work by returning true. */
  async occlusion(pixels, label, { patch, stride, together = Network.together(), paused = async () => false }) {
    const [rows, columns] = this.input;
    const places = Network.starts(rows, patch[0], stride[0]).flatMap((row) =>
      Network.starts(columns, patch[1], stride[1]).map((column) => [row, column]),
    );
    const [sum, times] = [new Float64Array(rows * columns), new Float64Array(rows * columns)];
    const whole = this.predict(pixels).logits[label];
    for (let start = 0; start < places.length; start += together) {
      if (await paused(start / places.length)) return null;
      const part = places.slice(start, start + together);
      const copies = new Float32Array(part.length * this.size);
      part.forEach(([row, column], i) => copies.set(this.covered(pixels, row, column, ...patch), i * this.size));
      const scores = tf.tidy(() => this.logits(this.batch(copies)).slice([0, label], [-1, 1]).dataSync());
      part.forEach(([row, column], i) => {
        for (let r = row; r < row + patch[0]; r++) {
          for (let c = column; c < column + patch[1]; c++) {
            sum[r * columns + c] += whole - scores[i];
            times[r * columns + c] += 1;
          }
        }
      });
    }
    return Float32Array.from(sum, (value, at) => value / times[at]);
  }

  /* Copies in one pass: few without a graphics card, so that the page keeps answering. */
  static together() {
    return tf.getBackend() === "cpu" ? 2 : 32;
  }

  /* A seventh of each side, and a quarter of the patch: the course's own choice. */
  patch() {
    const patch = this.input.slice(0, 2).map((side) => Math.max(1, Math.round(side / 7)));
    return { patch, stride: patch.map((side) => Math.max(1, Math.round(side / 4))) };
  }
}
