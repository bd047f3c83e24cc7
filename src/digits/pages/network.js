"use strict";
// Networks and the preparation of a drawing: numbers only and no document, so that Node can check
// them. Values are of double precision; weights are those of model.pt, of single precision.

// --- Inference: what digits/draw.py has written of each network.

/** Decode a network's weights, float32 in base64, once. */
function withWeights(network) {
  const text = atob(network.weights);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return { ...network, weights: new Float32Array(bytes.buffer) };
}

/** Return the logits of an image, 784 pixels in [0, 1]; an ensemble's are log-probabilities. */
function logits(network, pixels) {
  const all = network.members.map((member) => {
    let values = Float64Array.from(pixels, (pixel) => (pixel - member.mean) / member.std);
    for (const layer of member.layers) values = LAYERS[layer.op](layer, values, network.weights);
    return values;
  });
  if (all.length === 1) return all[0];
  const probabilities = all.map((each) => softmax(each));
  return probabilities[0].map((_, k) =>
    Math.log(probabilities.reduce((sum, each) => sum + each[k], 0) / all.length));
}

/** Return probabilities; a temperature above 1 makes them less certain (Guo et al. 2017). */
function softmax(values, temperature = 1) {
  const highest = Math.max(...values);
  const powers = values.map((value) => Math.exp((value - highest) / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** Each layer maps values, channel by channel and row by row, to new ones. */
const LAYERS = {
  relu: (_, values) => values.map((value) => (value > 0 ? value : 0)),

  scale({ channels, weight, bias }, values, weights) {
    const size = values.length / channels;
    return values.map((value, i) => {
      const channel = Math.floor(i / size);
      return value * weights[weight + channel] + weights[bias + channel];
    });
  },

  linear(layer, values, weights) {
    return product(layer, values, 1, values.length, layer.out, weights);
  },

  conv(layer, values, weights) {
    const { kernel: [high, wide], stride: [down, right], padding: [top, left] } = layer;
    const [channels, height, width] = layer.in;
    const [channelsOut, rows, columns] = layer.out;
    const length = channels * high * wide;
    // What the kernel sees at each place, one place after the other; outside the image 0.
    const patches = new Float64Array(rows * columns * length);
    let p = 0;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const firstY = row * down - top, firstX = column * right - left;
        for (let c = 0; c < channels; c++) {
          for (let y = firstY; y < firstY + high; y++) {
            const start = (c * height + y) * width, inside = y >= 0 && y < height;
            for (let x = firstX; x < firstX + wide; x++, p++) {
              if (inside && x >= 0 && x < width) patches[p] = values[start + x];
            }
          }
        }
      }
    }
    return product(layer, patches, rows * columns, length, channelsOut, weights);
  },

  pool({ mean, channels, width, rows, columns }, values) {
    const out = new Float64Array(channels * rows.length * columns.length);
    const size = values.length / channels;
    let place = 0;
    for (let c = 0; c < channels; c++) {
      for (const [top, bottom] of rows) {
        for (const [left, right] of columns) {
          let sum = 0, highest = -Infinity;
          for (let y = top; y < bottom; y++) {
            for (let x = left; x < right; x++) {
              const value = values[c * size + y * width + x];
              sum += value;
              if (value > highest) highest = value;
            }
          }
          out[place++] = mean ? sum / ((bottom - top) * (right - left)) : highest;
        }
      }
    }
    return out;
  },
};

/** Multiply `number` inputs of a length by a matrix of `numOut` rows, and add the bias. */
function product({ weight, bias }, inputs, number, length, numOut, weights) {
  const out = new Float64Array(numOut * number), last = numOut - 1;
  // Four rows at once read each input once; at the end a row may be computed twice.
  for (let o = 0; o < numOut; o += 4) {
    const o1 = Math.min(o + 1, last), o2 = Math.min(o + 2, last), o3 = Math.min(o + 3, last);
    const w0 = weight + o * length, w1 = weight + o1 * length;
    const w2 = weight + o2 * length, w3 = weight + o3 * length;
    for (let n = 0; n < number; n++) {
      const start = n * length;
      let a = weights[bias + o], b = weights[bias + o1];
      let c = weights[bias + o2], d = weights[bias + o3];
      for (let i = 0; i < length; i++) {
        const value = inputs[start + i];
        a += value * weights[w0 + i];
        b += value * weights[w1 + i];
        c += value * weights[w2 + i];
        d += value * weights[w3 + i];
      }
      out[o * number + n] = a;
      out[o1 * number + n] = b;
      out[o2 * number + n] = c;
      out[o3 * number + n] = d;
    }
  }
  return out;
}

// --- Preparation: digits/predict/mnist_form.py step by step, and Pillow's resizing.

const SIDE = 28, BOX = 20, DETAIL = 100, EDGE = Math.fround(0.2), THINNEST = 1.7, THICKEST = 3.6;

/**
 * Bring ink to the form of MNIST's images: in a box of 20 x 20, centred by its mass, in strokes of
 * MNIST's width. A plane is {height, width, values}, its values from 0 (ground) to 1 (full ink).
 * Return 784 bytes, or null if there is no ink.
 */
function mnistForm(plane) {
  let ink = plane, boxed = inBox(ink, BOX);
  for (let turn = 0; turn < 2; turn++) {
    if (!boxed) return null;
    const width = strokeWidth(boxed), wanted = Math.min(Math.max(width, THINNEST), THICKEST);
    const excess = ((width - wanted) / 2 / (1 - wanted / BOX) * DETAIL) / BOX;
    if (Math.abs(excess) < 0.4) break;
    ink = thickened(inBox(ink, DETAIL), -excess);
    boxed = inBox(ink, BOX);
  }
  return boxed && centred(boxed);
}

function newPlane(height, width) {
  return { height, width, values: new Float32Array(height * width) };
}

/** Return the ink's box, so that its longer side has `side` pixels. */
function inBox({ height, width, values }, side) {
  let top = height, bottom = -1, left = width, right = -1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (values[y * width + x] <= EDGE) continue;
      if (y < top) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  if (bottom < 0) return null;
  const cut = newPlane(bottom - top + 1, right - left + 1);
  for (let y = 0; y < cut.height; y++) {
    const start = (top + y) * width + left;
    cut.values.set(values.subarray(start, start + cut.width), y * cut.width);
  }
  const factor = side / Math.max(cut.height, cut.width);
  const [newHeight, newWidth] = [cut.height, cut.width].map((length) =>
    Math.max(1, roundToEven(length * factor)));
  const filter = factor > 1 ? BICUBIC : AREA;
  // Columns are resized as the rows of the plane on its side.
  const rows = resizedRows(cut, newWidth, filter);
  const found = turned(resizedRows(turned(rows), newHeight, filter));
  found.values.forEach((value, i) => { found.values[i] = Math.min(Math.max(value, 0), 1); });
  return found;
}

/** As Python rounds: halves to the even number. */
function roundToEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

function turned({ height, width, values }) {
  const plane = newPlane(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) plane.values[x * height + y] = values[y * width + x];
  }
  return plane;
}

const AREA = { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
const BICUBIC = {
  support: 2,
  weight(x) {
    const t = Math.abs(x), a = -0.5;
    if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
  },
};

/** Resize each row, as Pillow does. */
function resizedRows(plane, width, filter) {
  if (width === plane.width) return plane;
  const resized = newPlane(plane.height, width);
  const scale = plane.width / width, stretch = Math.max(scale, 1);
  for (let x = 0; x < width; x++) {
    const centre = (x + 0.5) * scale, support = filter.support * stretch;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), plane.width);
    const weights = [];
    for (let i = first; i < end; i++) weights.push(filter.weight((i - centre + 0.5) / stretch));
    const total = weights.reduce((a, b) => a + b, 0);
    for (let y = 0; y < plane.height; y++) {
      let sum = 0;
      for (let i = first; i < end; i++) {
        sum += (plane.values[y * plane.width + i] * weights[i - first]) / total;
      }
      resized.values[y * width + x] = sum;
    }
  }
  return resized;
}

/** Return the mean width of strokes in pixels: twice the area over the contour's length. */
function strokeWidth({ height, width, values }) {
  const at = (y, x) => (y < 0 || x < 0 || y >= height || x >= width ? 0 : values[y * width + x]);
  let area = 0, contour = 0;
  for (let y = -1; y < height; y++) {
    for (let x = -1; x < width; x++) {
      area += at(y, x);
      contour += Math.hypot(at(y + 1, x) - at(y, x), at(y, x + 1) - at(y, x));
    }
  }
  return (2 * area) / Math.max(contour, 1e-6);
}

/** Make strokes thicker by `amount` pixels on each side, or thinner where it is below 0. */
function thickened(plane, amount) {
  const reach = Math.ceil(Math.abs(amount)), margin = 2 * reach + 1, limit = amount > 0 ? 1 : 0;
  const padded = newPlane(plane.height + 2 * margin, plane.width + 2 * margin);
  for (let y = 0; y < plane.height; y++) {
    const row = plane.values.subarray(y * plane.width, (y + 1) * plane.width);
    padded.values.set(row, (y + margin) * padded.width + margin);
  }
  const isInDisk = (y, x) => y * y + x * x <= amount * amount + 0.5;
  const disk = [];
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) if (isInDisk(y, x)) disk.push([y, x]);
  }
  disk.sort((a, b) => Math.hypot(...b) - Math.hypot(...a)); // the outermost decide soonest
  const step = ([y, x]) => y * padded.width + x;
  const steps = disk.map(step);
  const entering = disk.filter(([y, x]) => !isInDisk(y, x + 1)).map(step);
  const leaving = disk.filter(([y, x]) => !isInDisk(y, x - 1)).map(step);
  const extreme = (place, steps, found) => {
    for (let i = 0; i < steps.length && found !== limit; i++) {
      const value = padded.values[place + steps[i]];
      if (amount > 0 ? value > found : value < found) found = value;
    }
    return found;
  };
  const changed = newPlane(padded.height, padded.width);
  for (let y = reach; y < padded.height - reach; y++) {
    let found = limit;
    for (let x = reach; x < padded.width - reach; x++) {
      const place = y * padded.width + x;
      // From one pixel to the next most of the disk stays, and what decided mostly as well.
      const isOpen = found === limit ||
        (found !== 1 - limit && leaving.some((i) => padded.values[place - 1 + i] === found));
      found = isOpen ? extreme(place, steps, padded.values[place]) : extreme(place, entering, found);
      changed.values[place] = found;
    }
  }
  return changed;
}

function centred({ height, width, values }) {
  let mass = 0, sumY = 0, sumX = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = values[y * width + x];
      mass += value;
      sumY += y * value;
      sumX += x * value;
    }
  }
  // In MNIST the centre of mass is in [13.5, 14.5), counted from the first pixel's centre.
  const start = (centre, length) =>
    Math.min(Math.max(Math.ceil(13.5 - centre - 1e-4), 0), SIDE - length);
  const top = start(sumY / mass, height), left = start(sumX / mass, width);
  const image = new Uint8Array(SIDE * SIDE);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = Math.fround(values[y * width + x] * 255);
      image[(top + y) * SIDE + left + x] = roundToEven(value);
    }
  }
  return image;
}
