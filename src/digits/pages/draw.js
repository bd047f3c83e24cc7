"use strict";
// The page: strokes on the paper become ink, ink becomes 28 x 28 pixels, and each network answers.

const INK = 280; // pixels a side of the ink that the networks get, whatever the screen's size
const MARGIN = 40; // around a drawing that is kept
const SURE = 0.8; // the least calibrated probability that is called sure
const PATCH = 4; // pixels a side of what is covered to see which pixels decided
const IDLE_MS = 200; // the pause in writing after which that is computed
const FOR = [240, 125, 40], AGAINST = [50, 145, 255]; // as in page.css
const BUDGET_MS = 10; // for how long at a time it may keep the page from answering

const byId = (id) => document.getElementById(id);
const paper = byId("paper"), pen = byId("pen"), verdict = byId("verdict");
const networks = JSON.parse(byId("networks-data").textContent).map(withWeights);
const classes = networks[0].classes; // the same of all
document.body.classList.toggle("words", classes.some((name) => name.length > 2));

// --- Writing. A stroke is {width, points}, in pixels of the ink.

const inkCanvas = document.createElement("canvas");
inkCanvas.width = inkCanvas.height = INK;
const ink = inkCanvas.getContext("2d", { willReadFrequently: true });
let strokes = [], cleared = []; // what Clear took, for Undo
let current = null; // the stroke that is being written, and by which pointer
let cursor = null; // where the keyboard's pen is: {x, y, isDown}
let changed = false;

function trace(strokes, context, scale, colour) {
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, INK, INK);
  context.strokeStyle = colour;
  context.lineCap = context.lineJoin = "round";
  for (const { width, points } of strokes) {
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(...points[0]);
    // Through the middle of each piece, so that corners of the pointer's path are rounded.
    for (let i = 1; i + 1 < points.length; i++) {
      const [x, y] = points[i], [nextX, nextY] = points[i + 1];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    const [x, y] = points[points.length - 1];
    context.lineTo(points.length > 1 ? x : x + 0.1, y); // a line of no length leaves no dot
    context.stroke();
  }
}

function showStrokes() {
  const side = Math.round(paper.clientWidth * devicePixelRatio);
  if (paper.width !== side) paper.width = paper.height = side;
  const context = paper.getContext("2d");
  trace(strokes, context, side / INK, getComputedStyle(paper).color);
  if (cursor) {
    context.beginPath();
    context.arc(cursor.x, cursor.y, pen.value / 2, 0, 7);
    context.lineWidth = 1.5;
    context.stroke();
  }
}

function position(event) {
  const box = paper.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top].map((c) => (c * INK) / box.width);
}

function begin(point) {
  const stroke = { width: Number(pen.value), points: [point] };
  strokes.push(stroke);
  change();
  return stroke;
}

paper.addEventListener("pointerdown", (event) => {
  if (current || event.button > 0) return;
  event.preventDefault(); // no selection, no scrolling
  paper.focus({ preventScroll: true, focusVisible: false });
  paper.setPointerCapture(event.pointerId);
  cursor = null;
  current = { pointer: event.pointerId, stroke: begin(position(event)) };
});

paper.addEventListener("pointermove", (event) => {
  if (event.pointerId !== current?.pointer) return;
  const passed = event.getCoalescedEvents?.() ?? [];
  for (const each of passed.length ? passed : [event]) current.stroke.points.push(position(each));
  change();
});

for (const type of ["pointerup", "pointercancel"]) {
  paper.addEventListener(type, (event) => {
    if (event.pointerId !== current?.pointer) return;
    current = null;
    change();
  });
}

const isWriting = () => Boolean(current || cursor?.isDown);

function undo() {
  if (current) return;
  if (strokes.length) strokes.pop();
  else [strokes, cleared] = [cleared, []];
  cursor = null;
  change();
}

function clear() {
  if (strokes.length) cleared = strokes;
  strokes = [];
  current = cursor = pixels = null;
  change();
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

paper.addEventListener("keydown", (event) => {
  const step = ARROWS[event.key];
  if (!step && event.key !== " ") return;
  event.preventDefault();
  cursor ??= { x: INK / 2, y: INK / 4, stroke: null, isDown: false };
  if (step) {
    const moved = (value, by) => Math.min(Math.max(value + 7 * by, 0), INK);
    cursor.x = moved(cursor.x, step[0]);
    cursor.y = moved(cursor.y, step[1]);
    if (cursor.isDown) cursor.stroke.points.push([cursor.x, cursor.y]);
  } else {
    cursor.isDown = !cursor.isDown;
    if (cursor.isDown) cursor.stroke = begin([cursor.x, cursor.y]);
  }
  change();
});
paper.addEventListener("blur", () => { cursor = null; change(); });

addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z") undo();
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (event.key === "Escape") clear();
  else if (classes.includes(event.key)) keep(event.key);
  else return;
  event.preventDefault();
});
byId("clear").addEventListener("click", clear);
byId("undo").addEventListener("click", undo);
addEventListener("resize", showStrokes);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showStrokes);

// --- Reading.

let pixels = null; // 784 in [0, 1] as the networks see the drawing; null where nothing is written
let answers = []; // of each network: its calibrated probabilities

/** Answer in the next frame, once for all that has happened until then. */
function change() {
  if (!changed) requestAnimationFrame(update);
  changed = true;
}

function update() {
  changed = false;
  const start = performance.now();
  pixels = seen(strokes);
  answers = networks.map((network) => pixels && probabilities(network, pixels));
  performance.measure("update", { start });
  showStrokes();
  showAnswers();
  decideLater();
}

/** Return strokes as the networks see them. */
function seen(strokes) {
  trace(strokes, ink, 1, "#000");
  const alphas = ink.getImageData(0, 0, INK, INK).data;
  const values = new Float32Array(INK * INK);
  for (let i = 0; i < values.length; i++) values[i] = alphas[4 * i + 3] / 255;
  const image = mnistForm({ height: INK, width: INK, values });
  return image && Float64Array.from(image, (byte) => byte / 255);
}

const probabilities = (network, pixels) =>
  softmax(logits(network, pixels), network.temperature ?? 1);

/** Read a stroke of nobody's, so that the browser has compiled all of this before one writes. */
function* warmUp() {
  const points = [];
  for (let i = 0; i < 30; i++) {
    points.push([140 + 3 * i * Math.cos(i), 140 + 3 * i * Math.sin(i)]);
    const pixels = seen([{ width: 8 + i, points }]);
    for (const network of networks) {
      probabilities(network, pixels);
      yield;
    }
  }
}

const mostProbable = (probabilities) => probabilities.indexOf(Math.max(...probabilities));
const percent = (share) => (share > 0.995 ? ">99%" : `${Math.round(100 * share)}%`);

const cards = networks.map(({ name }) => {
  const card = byId("network").content.firstElementChild.cloneNode(true);
  card.querySelector("h2").prepend(name);
  card.querySelector("ol").setAttribute("aria-label", `Probabilities by ${name}`);
  byId("networks").append(card);
  return { card, rows: card.querySelectorAll("li") };
});

function showAnswers() {
  byId("invitation").hidden = strokes.length > 0 || cursor !== null;
  const { activeElement } = document;
  byId("clear").disabled = strokes.length === 0;
  byId("undo").disabled = strokes.length + cleared.length === 0;
  for (const button of byId("labels").children) button.disabled = !pixels;
  if (activeElement.disabled) paper.focus({ preventScroll: true }); // the keyboard goes on there
  paint(byId("seen"), pixels);
  // While one writes, a screen reader waits for the end of the stroke.
  verdict.setAttribute("aria-busy", isWriting());
  verdict.classList.toggle("empty", !pixels);
  const mean = classes.map((_, k) =>
    answers.reduce((sum, each) => sum + (each?.[k] ?? 0), 0) / networks.length);
  const first = mostProbable(mean);
  if (pixels) sayFirst(mean, first);
  else say("–", "Nothing is written yet");
  cards.forEach(({ card, rows }, n) => {
    const own = pixels ? mostProbable(answers[n]) : -1;
    rows.forEach((row, k) => {
      const probability = pixels ? answers[n][k] : 0;
      row.classList.toggle("first", k === own);
      row.querySelector("div > div").style.transform = `scaleX(${probability})`;
      row.lastElementChild.textContent = probability < 0.005 ? "" : percent(probability);
    });
    const differs = pixels !== null && own !== first;
    card.classList.toggle("differs", differs);
    card.querySelector("em").textContent = differs ? `reads ${classes[own]}` : "";
  });
}

function sayFirst(mean, first) {
  const rest = mean.map((value, k) => (k === first ? -1 : value));
  const second = mostProbable(rest);
  const isSure = mean[first] >= SURE;
  let text = isSure
    ? `I am ${percent(mean[first])} sure`
    : `I am not sure: ${percent(mean[first])}, or ${classes[second]} with ${percent(mean[second])}`;
  if (networks.length > 1) {
    const others = networks.filter((_, n) => mostProbable(answers[n]) !== first);
    text += others.length
      ? `. The networks disagree: ${others.length} of ${networks.length} read another digit.`
      : `. ${networks.length === 2 ? "Both" : `All ${networks.length}`} networks agree.`;
  }
  verdict.classList.toggle("unsure", !isSure);
  say(classes[first], text);
}

function say(digit, text) {
  const [strong, span] = verdict.children;
  // Only what changes is announced.
  if (strong.textContent !== digit) strong.textContent = digit;
  if (span.textContent !== text) span.textContent = text;
}

/** Paint 28 x 28 pixels, and over them what decided: above 0 for the digit, below against it. */
function paint(canvas, shown, decided = null) {
  const context = canvas.getContext("2d"), image = context.createImageData(SIDE, SIDE);
  const scale = decided ? Math.max(...decided.map(Math.abs), 0.1) : 1; // in nats
  for (let i = 0; i < SIDE * SIDE; i++) {
    const grey = shown ? 255 * shown[i] : 0, share = decided ? decided[i] / scale : 0;
    const colour = share > 0 ? FOR : AGAINST, weight = Math.abs(share);
    const ground = decided ? 0.45 * grey : grey;
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = ground * (1 - weight) + colour[c] * weight;
    }
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// --- Which pixels decided, by occlusion (Zeiler & Fergus, "Visualizing and understanding
// convolutional networks", ECCV 2014): cover a patch and see how much the digit loses.

let waiting = 0; // the timer of what is computed next

function decideLater() {
  clearTimeout(waiting);
  const dimmed = pixels && pixels.map((each) => 0.45 * each);
  document.querySelectorAll(".decided").forEach((canvas) => paint(canvas, dimmed));
  if (pixels) waiting = setTimeout(() => compute(occlusions()), isWriting() ? 2 * IDLE_MS : IDLE_MS);
}

/** Compute step by step, until one writes again. */
function compute(work) {
  const end = performance.now() + BUDGET_MS;
  while (performance.now() < end) if (work.next().done) return;
  waiting = setTimeout(compute, 0, work);
}

/** Cover one patch after the other, of each network; paint when all are known. */
function* occlusions() {
  for (let n = 0; n < networks.length; n++) {
    const digit = mostProbable(answers[n]);
    // Against the next best, because a probability near 1 hardly changes.
    const certainty = (values) =>
      values[digit] - Math.max(...values.filter((_, k) => k !== digit));
    const whole = certainty(logits(networks[n], pixels));
    const sums = new Float64Array(SIDE * SIDE), counts = new Float64Array(SIDE * SIDE);
    for (let top = 2 - PATCH; top < SIDE; top += 2) {
      for (let left = 2 - PATCH; left < SIDE; left += 2) {
        const covered = patch(top, left);
        if (!covered.some((i) => pixels[i] > 0)) continue;
        const others = pixels.slice();
        for (const i of covered) others[i] = 0;
        const lost = whole - certainty(logits(networks[n], others));
        for (const i of covered) {
          sums[i] += lost;
          counts[i] += 1;
        }
        yield;
      }
    }
    const decided = sums.map((sum, i) => (counts[i] ? (sum / counts[i]) * Math.sqrt(pixels[i]) : 0));
    const canvas = cards[n].card.querySelector(".decided");
    paint(canvas, pixels, decided);
    canvas.dataset.done = digit;
  }
}

function patch(top, left) {
  const places = [];
  for (let y = Math.max(top, 0); y < Math.min(top + PATCH, SIDE); y++) {
    for (let x = Math.max(left, 0); x < Math.min(left + PATCH, SIDE); x++) places.push(y * SIDE + x);
  }
  return places;
}

// --- Keeping drawings, and saving them as a ZIP of PNGs in one folder a digit.

let kept = []; // {path: in the ZIP, png: bytes, item: its place in the list}
let isSaved = true;

function keep(name) {
  if (!pixels || current) return;
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  // With a margin, since what touches a picture's border is not taken for a digit.
  canvas.width = canvas.height = INK + 2 * MARGIN;
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(inkCanvas, MARGIN, MARGIN);
  const address = canvas.toDataURL("image/png"), text = atob(address.split(",")[1]);
  // By the time of keeping, names of several people's drawings differ, and saving a drawing again
  // gives the same file.
  const time = new Date().toISOString().replace(/[-:.Z]/g, "");
  const item = byId("kept-drawing").content.firstElementChild.cloneNode(true);
  const [button, picture, label] = item.querySelectorAll("button, img, span");
  button.title = `Remove this ${name}`;
  picture.src = address;
  picture.alt = `Remove this drawing of ${name}`;
  label.textContent = name;
  button.addEventListener("click", () => {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    removeKept((each) => each.item === item);
    (next?.firstElementChild ?? byId("keep-title")).focus();
  });
  byId("kept").append(item);
  kept.push({
    path: `drawings/${name.replaceAll("/", "-")}/${time}.png`,
    png: Uint8Array.from(text, (c) => c.charCodeAt(0)),
    item,
  });
  strokes = [];
  clear();
  showKept();
}

function removeKept(isRemoved) {
  kept.filter(isRemoved).forEach(({ item }) => item.remove());
  kept = kept.filter((each) => !isRemoved(each));
  showKept();
}

function showKept() {
  isSaved = kept.length === 0;
  byId("save").disabled = byId("remove").disabled = kept.length === 0;
  const number = kept.length === 1 ? "1 drawing is" : `${kept.length} drawings are`;
  byId("status").textContent = kept.length
    ? `${number} kept until this page is closed.` : "Nothing is kept yet.";
}

for (const button of byId("labels").children) {
  button.addEventListener("click", () => keep(button.textContent));
}
byId("remove").addEventListener("click", () => {
  removeKept(() => true);
  byId("keep-title").focus();
});
byId("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(zip(kept), { type: "application/zip" }));
  link.download = "drawings.zip";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  isSaved = true;
  const number = kept.length === 1 ? "the drawing" : `all ${kept.length} drawings`;
  byId("status").textContent = `Saved: drawings.zip with ${number}. More can be added, and saved with these.`;
});
addEventListener("beforeunload", (event) => { if (!isSaved) event.preventDefault(); });

/** Return the parts of a ZIP file that stores drawings as they are (PKWARE's APPNOTE). */
function zip(drawings) {
  const parts = [], directory = [];
  let offset = 0;
  for (const { path, png } of drawings) {
    const name = new TextEncoder().encode(path);
    // Version, flags (names are UTF-8), no compression, 1 January 1980, then sum and sizes.
    const common = [[20, 2], [0x800, 2], [0, 2], [0, 2], [33, 2], [crc32(png), 4],
      [png.length, 4], [png.length, 4], [name.length, 2], [0, 2]];
    const header = fields([[0x04034b50, 4], ...common]);
    parts.push(header, name, png);
    // No comment, first disk, attributes, place.
    const more = [[0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]];
    directory.push(fields([[0x02014b50, 4], [20, 2], ...common, ...more]), name);
    offset += header.length + name.length + png.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0), number = drawings.length;
  const end = fields([[0x06054b50, 4], [0, 2], [0, 2], [number, 2], [number, 2], [size, 4],
    [offset, 4], [0, 2]]);
  return [...parts, ...directory, end];
}

/** Lay out [value, bytes] one after the other, the lowest byte first. */
function fields(values) {
  return Uint8Array.from(values.flatMap(([value, length]) =>
    Array.from({ length }, (_, i) => (value >>> (8 * i)) & 255)));
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

byId("calibration").textContent =
  `A digit is called sure from a probability of ${percent(SURE)}. ` +
  networks.map(({ name, temperature }) => (temperature
    ? `The probabilities of ${name} are calibrated on its validation images (temperature ${temperature.toFixed(2)}).`
    : `The probabilities of ${name} are its own, not calibrated: its validation images were not found.`
  )).join(" ");
update();
compute(warmUp());
