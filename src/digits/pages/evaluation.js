"use strict";
// A cell of the confusion matrix, or the form below it, chooses which images are shown.

const AT_ONCE = 20; // images that "Show more" adds
const byId = (id) => document.getElementById(id);
const { classes, counts, images } = JSON.parse(byId("content").textContent);
images.forEach((image, tile) => (image.tile = tile)); // they are the first tiles of the sprite
const form = document.querySelector(".filters");
const matrix = document.querySelector(".matrix");
const cells = [...matrix.querySelectorAll("button")];
const columns = Number(getComputedStyle(document.querySelector(".mistakes")).getPropertyValue("--columns"));
const percent = (share) => `${(100 * share).toFixed(2)}%`;
let chosen = []; // what the form asks for, in its order
let numShown = 0;

function place(element, tile, prefix = "-") {
  element.style.setProperty(`-${prefix}x`, tile % columns);
  element.style.setProperty(`-${prefix}y`, Math.floor(tile / columns));
}

function tileOf(tile, label) {
  const element = document.createElement("div");
  element.className = "tile";
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", label);
  place(element, tile);
  return element;
}

/** Three training images of one class. */
function nearest(tiles, name) {
  const figure = document.createElement("figure"), row = document.createElement("div");
  figure.className = "nearest";
  figure.append(document.createElement("figcaption"), row);
  figure.firstChild.textContent = `nearest of class ${name}`;
  tiles.forEach((tile, i) => row.append(tileOf(tile, `Training image of class ${name}, number ${i + 1} by distance`)));
  return figure;
}

function item(image) {
  const { tile, index, confidence, number } = image;
  const [name, given] = [classes[image.true], classes[image.predicted]];
  const title = image.true === image.predicted ? name : `${name} predicted as ${given}`;
  const shown = tileOf(tile, `Image ${index}, ${title}, ${percent(confidence)}`);
  if (number === undefined) {
    const element = document.createElement("li"), caption = document.createElement("small");
    caption.textContent = image.true === image.predicted ? percent(confidence) : `${name} as ${given}, ${percent(confidence)}`;
    element.append(shown, caption);
    return element;
  }
  const element = byId("explained").content.firstElementChild.cloneNode(true);
  element.querySelector("b").textContent = title;
  element.querySelector(".sure").textContent = percent(confidence);
  element.querySelector("small").textContent = `image ${index}`;
  element.querySelector(".tile").replaceWith(shown);
  const decided = element.querySelector(".decided");
  place(decided, tile);
  place(decided, number, "-decided-");
  image.nearest.forEach((tiles, i) => element.append(nearest(tiles, i ? given : name)));
  return element;
}

function more() {
  const next = chosen.slice(numShown, numShown + AT_ONCE);
  byId("images").append(...next.map(item));
  numShown += next.length;
  byId("more").hidden = numShown >= chosen.length;
}

/** Show what the form says: mistakes, unless it asks for one class predicted as itself. */
function update() {
  const { true: label, predicted, confidence, order } = Object.fromEntries(new FormData(form));
  const [low, high] = confidence.split(" ").map(Number);
  const fits = (t, p) => (label === "" || t === +label) && (predicted === "" || p === +predicted);
  const isCorrect = label !== "" && label === predicted;
  chosen = images.filter((image) =>
    fits(image.true, image.predicted) && (isCorrect || image.true !== image.predicted) &&
    image.confidence >= low && (image.confidence < high || high === 1));
  const key = order.replace("-", ""), sign = order === key ? 1 : -1;
  // Within a class, the most confident first.
  chosen.sort((a, b) => sign * (a[key] - b[key]) || b.confidence - a.confidence);
  let total = 0;
  counts.forEach((row, t) => row.forEach((count, p) => {
    if (fits(t, p) && (isCorrect || t !== p)) total += count;
  }));
  const names = [label, predicted].map((value) => (value === "" ? "any class" : classes[value]));
  const what = label + predicted === "" ? "All mistakes" : `${names[0]} predicted as ${names[1]}`;
  byId("status").textContent = `${what}: ${chosen.length === total ? total : `${chosen.length} shown of ${total}`} ${total === 1 ? "image" : "images"}`;
  cells.forEach((cell) => cell.setAttribute("aria-pressed", cell.dataset.true === label && cell.dataset.predicted === predicted));
  byId("images").replaceChildren();
  numShown = 0;
  more();
}

matrix.classList.toggle("words", classes.some((name) => name.length > 2));
cells.forEach((cell, i) => {
  cell.tabIndex = i ? -1 : 0; // the arrow keys move among them
  cell.addEventListener("click", () => {
    form.elements.true.value = cell.dataset.true;
    form.elements.predicted.value = cell.dataset.predicted;
    form.elements.confidence.value = "0 1";
    form.elements.order.value = cell.className ? "confidence" : "-confidence";
    update();
    const { top } = byId("status").getBoundingClientRect();
    if (top < 0 || top > innerHeight - 200) byId("status").scrollIntoView();
  });
});
matrix.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -classes.length, ArrowDown: classes.length }[event.key];
  const next = step && cells[cells.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
form.addEventListener("change", update);
form.addEventListener("reset", () => setTimeout(update)); // when it has been reset
byId("more").addEventListener("click", more);
update();
