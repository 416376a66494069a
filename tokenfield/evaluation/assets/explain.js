document.documentElement.classList.add("js");
const models = JSON.parse(document.getElementById("data").textContent);
const find = (s) => document.querySelector(".explain " + s), clamp = (v, lo, hi) => Math.min(hi, Math.max(lo, v));
const photo = find(".photo"), image = find(".photo img"), over = find(".photo canvas"), board = find(".tokens canvas");
const SIZE = 640; over.width = over.height = board.width = board.height = SIZE;
let model = models[0], picture = model.pictures[0], head = -1;   // head -1 is the mean over heads
let pixel = null, token = null, held = null, ready = null;        // chosen pixel; token pointed at; token kept; data

const STOPS = [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];
const heat = (v) => {                                              // a map's colour, as in the figures
  const at = clamp(v, 0, 1) * (STOPS.length - 1), i = Math.min(at | 0, STOPS.length - 2), t = at - i;
  return STOPS[i].map((c, k) => Math.round(c + t * (STOPS[i + 1][k] - c)));
};
const bytes = async (src) => {                                     // the grey values of a picture in the page
  const img = new Image(); img.src = src; await img.decode();
  const canvas = new OffscreenCanvas(img.width, img.height), pen = canvas.getContext("2d");
  pen.drawImage(img, 0, 0);
  const rgba = pen.getImageData(0, 0, img.width, img.height).data, grey = new Uint8Array(rgba.length / 4);
  for (let i = 0; i < grey.length; i++) grey[i] = rgba[4 * i];
  return { grey, width: img.width };
};
const count = () => model.labels.length;
const mapOf = (k) => {                                             // removal map of token k, 0 .. 1
  const { grey, width } = ready.maps, n = picture.side, columns = width / n, out = new Float32Array(n * n);
  const top = (k / columns | 0) * n, left = k % columns * n;
  for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) out[y * n + x] = grey[(top + y) * width + left + x] / 255;
  return out;
};
const query = () => {                                              // number of the chosen pixel in the lattice
  const q = model.queries; return clamp(pixel.y * q | 0, 0, q - 1) * q + clamp(pixel.x * q | 0, 0, q - 1);
};
const weights = () => {                       // of the chosen pixel and head: over the tokens, last over those not here
  const r = count() + 1, { grey, width } = ready.attention, out = new Float32Array(r), row = query() * width;
  const from = head < 0 ? 0 : head, to = head < 0 ? model.heads : head + 1;
  for (let h = from; h < to; h++) for (let k = 0; k < r; k++) {
    const root = grey[row + h * r + k] / 255; out[k] += root * root / (to - from);
  }
  return out;
};
const centre = (k) => {                                            // of what a token governs, in 0 .. 1
  if (model.places) return model.places[k].map((v, a) => (v + .5) / model.grid[a]);
  const n = picture.side, map = mapOf(k); let s = 1e-9, y = 0, x = 0;
  for (let i = 0; i < n * n; i++) { const w = map[i] ** 2; s += w; y += w * (i / n | 0); x += w * (i % n); }
  return [(y / s + .5) / n, (x / s + .5) / n];
};
const placed = () => model.places && count() === model.tokens;      // all tokens, on the board where they act
const shape = () => {                                              // rows and columns of the board
  if (placed()) return model.grid;
  const columns = Math.ceil(Math.sqrt(count())); return [Math.ceil(count() / columns), columns];
};
const ground = (canvas, dim) => {                                  // the photograph, dark, for something to light up on
  const pen = canvas.getContext("2d"); pen.imageSmoothingEnabled = false;
  pen.filter = `grayscale(1) brightness(${dim})`; pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  pen.filter = "none"; pen.imageSmoothingEnabled = true;
};
const glow = (v) => 255 * Math.min(1, 1.4 * Math.sqrt(v));         // opacity of a map's value
const paint = (canvas, n, values, alpha) => {
  const small = new OffscreenCanvas(n, n), pen = small.getContext("2d"), data = pen.createImageData(n, n);
  for (let i = 0; i < n * n; i++) data.data.set([...heat(values[i]), alpha(values[i])], 4 * i);
  pen.putImageData(data, 0, 0);
  canvas.getContext("2d").drawImage(small, 0, 0, canvas.width, canvas.height);
};
const percent = (v) => (100 * v).toFixed(v < .1 ? 1 : 0) + " %";

const draw = () => {
  if (!ready) return;
  const pen = over.getContext("2d"), shown = token ?? held; pen.clearRect(0, 0, SIZE, SIZE);
  const all = pixel && ready.attention ? weights() : null, w = all && all.subarray(0, count());
  const ranked = w ? [...w.keys()].sort((a, b) => w[b] - w[a]) : [...picture.largest.keys()].sort(
    (a, b) => picture.largest[b] - picture.largest[a]);
  if (shown !== null) {                                            // what this token governs, over the photograph
    pen.fillStyle = "rgba(0,0,0,.45)"; pen.fillRect(0, 0, SIZE, SIZE);
    paint(over, picture.side, mapOf(shown), glow);
  } else if (w) {                                                  // where the tokens act that this pixel looks at
    const most = w[ranked[0]] || 1;
    for (const k of ranked.slice(0, 12)) {
      if (!w[k]) continue;
      const [y, x] = centre(k), radius = 3 + 22 * Math.sqrt(w[k] / most);
      pen.beginPath(); pen.moveTo(pixel.x * SIZE, pixel.y * SIZE); pen.lineTo(x * SIZE, y * SIZE);
      pen.strokeStyle = "rgba(0,0,0,.25)"; pen.lineWidth = 3; pen.stroke();
      pen.strokeStyle = `rgba(255,255,255,${.25 + .55 * w[k] / most})`; pen.lineWidth = 1.5; pen.stroke();
      pen.beginPath(); pen.arc(x * SIZE, y * SIZE, radius, 0, 7);
      pen.fillStyle = `rgba(${heat(.35 + .6 * w[k] / most)},.8)`; pen.fill();
      pen.strokeStyle = "rgba(0,0,0,.5)"; pen.stroke();
    }
  }
  if (pixel) {
    const x = pixel.x * SIZE, y = pixel.y * SIZE;
    for (const [colour, width] of [["rgba(0,0,0,.7)", 5], ["#fff", 2]]) {
      pen.strokeStyle = colour; pen.lineWidth = width; pen.beginPath();
      pen.moveTo(x - 14, y); pen.lineTo(x + 14, y); pen.moveTo(x, y - 14); pen.lineTo(x, y + 14); pen.stroke();
    }
  }
  const [rows, columns] = shape(), cell = [SIZE / rows, SIZE / columns], ink = board.getContext("2d");
  const values = w || Float32Array.from(picture.areas), most = Math.max(...values, 1e-9);
  ink.clearRect(0, 0, SIZE, SIZE);
  if (placed()) ground(board, .7);
  for (let k = 0; k < count(); k++) {
    const [i, j] = placed() ? model.places[k] : [k / columns | 0, k % columns];
    const level = Math.sqrt(values[k] / most);
    ink.fillStyle = `rgba(${heat(level)},${placed() ? w ? .35 + .65 * level : .6 : 1})`;
    ink.fillRect(j * cell[1] + 1, i * cell[0] + 1, cell[1] - 2, cell[0] - 2);
    if (k !== shown) continue;
    ink.strokeStyle = "#fff"; ink.lineWidth = 4;
    ink.strokeRect(j * cell[1] + 2, i * cell[0] + 2, cell[1] - 4, cell[0] - 4);
  }
  find(".of-photo").innerHTML = shown !== null ? `<b>Without token ${model.labels[shown]}</b>: what changes` : w ?
    w.some((v) => v) ? "<b>The pixel, and where the tokens act that it looks at</b>" :
    "<b>The pixel</b>; the tokens that it looks at are not on this page" :
    `<b>What was encoded</b>: ${picture.psnr} dB come back`;
  find(".of-tokens").innerHTML = `<b>${w ? "Attention weights" : "Area of each token"}</b>`
    + (count() < model.tokens ? ` of ${count()} of ${model.tokens} tokens` : "") + `, largest ${percent(most)}; `
    + (placed() ? "tokens at their places" : model.places ? "in the model's order" :
      "tokens have no places: in the model's order");
  say(w, all && all[count()], shown); best(w, ranked, shown);
};
const say = (w, elsewhere, shown) => {
  let text = "";
  if (shown !== null) text = `Token ${model.labels[shown]}: 90 % of what it changes lies on ` +
    `${percent(picture.areas[shown])} of the picture; the largest change is ${picture.largest[shown]} of 1.`;
  else if (w) {
    const none = w.filter((v) => v === 0).length, missing = model.tokens - count();
    text = `This pixel gives 90 % of its attention to ${picture.enough[head + 1][query()]} of ${model.tokens} tokens`;
    if (!missing) text += none ? `; ${none} get none, or too little to be kept.` : ".";
    else text += `; of its attention ${percent(elsewhere)} goes to the ${missing} tokens that are not on this page`
      + (none < count() ? "." : `, and none to the ${count()} that are.`);
  } else if (pixel) text = model.without;
  else text = model.heads ? "Click the photograph, or point at a token." : model.without + " Point at a token.";
  find(".says").textContent = text;
};
const best = (w, ranked, shown) => {
  const row = find(".best"); row.replaceChildren();
  for (const k of ranked.filter((k) => !w || w[k]).slice(0, 6)) {
    const [figure, canvas, text] = ["figure", "canvas", "figcaption"].map((name) => document.createElement(name));
    canvas.width = canvas.height = 2 * picture.side; ground(canvas, .4);
    paint(canvas, picture.side, mapOf(k), glow);
    text.innerHTML = `<b>${model.labels[k]}</b> ${w ? "weight" : "area"} ${percent(w ? w[k] : picture.areas[k])}`;
    figure.setAttribute("aria-current", k === shown); figure.append(canvas, text);
    figure.addEventListener("click", () => { held = held === k ? null : k; token = null; draw(); }); row.append(figure);
  }
};
const show = async (chosen) => {
  picture = chosen; held = token = ready = null; image.src = picture.photo; await image.decode();
  const [maps, attention] = await Promise.all([picture.maps, picture.attention].map((src) => src && bytes(src)));
  if (picture === chosen) { ready = { maps, attention }; strip(); draw(); }
};
const buttons = (where, names, current, choose) => find(where).replaceChildren(...names.map((name, k) => {
  const b = document.createElement("button"); b.type = "button"; b.textContent = name;
  b.setAttribute("aria-pressed", k === current()); b.addEventListener("click", () => { choose(k); }); return b;
}));
const controls = () => {
  const heads = model.heads > 1 ? ["all heads", ...Array.from({ length: model.heads }, (_, h) => `head ${h + 1}`)] : [];
  buttons(".models", models.length > 1 ? models.map((m) => m.name) : [], () => models.indexOf(model), (k) => {
    const at = model.pictures.indexOf(picture); model = models[k]; head = -1; controls(); show(model.pictures[at]); });
  buttons(".heads", heads, () => head + 1, (k) => { head = k - 1; controls(); draw(); });
};
const strip = () => {
  const items = model.pictures.length > 1 ? model.pictures : [];
  find(".strip").replaceChildren(...items.map((p) => {
    const [figure, text] = ["figure", "figcaption"].map((name) => document.createElement(name)), img = new Image();
    img.src = p.photo; img.alt = text.textContent = p.name; figure.append(img, text);
    figure.setAttribute("aria-current", p === picture); figure.addEventListener("click", () => show(p));
    return figure;
  }));
};
const at = (e, element) => {
  const box = element.getBoundingClientRect();
  const x = (e.clientX - box.left) / box.width, y = (e.clientY - box.top) / box.height;
  return { x: clamp(x, 0, .9999), y: clamp(y, 0, .9999) };
};
const pick = (e) => { pixel = snapped(at(e, photo)); held = token = null; draw(); };
const snapped = ({ x, y }) => {                                    // to the pixels whose attention the page holds
  const [sy, sx] = [y, x].map((v) => (clamp(v * model.queries | 0, 0, model.queries - 1) + .5) / model.queries);
  return { x: sx, y: sy };
};
photo.addEventListener("pointerdown", (e) => { photo.setPointerCapture(e.pointerId); pick(e); });
photo.addEventListener("pointermove", (e) => { if (e.buttons) pick(e); });
photo.addEventListener("keydown", (e) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
  if (!step) return;
  e.preventDefault(); pixel ??= { x: .5, y: .5 }; held = token = null;
  const [y, x] = [pixel.y, pixel.x].map((v, a) => clamp(v + step[a] / model.queries, 0, .9999));
  pixel = { x, y }; draw();
});
const pointed = (e) => {
  const p = at(e, board), [rows, columns] = shape(), i = p.y * rows | 0, j = p.x * columns | 0;
  if (placed()) return model.places.findIndex((q) => q[0] === i && q[1] === j);
  const k = i * columns + j; return k < count() ? k : -1;
};
board.addEventListener("pointermove", (e) => { const k = pointed(e); token = k < 0 ? null : k; draw(); });
board.addEventListener("pointerleave", () => { token = null; draw(); });
board.addEventListener("click", (e) => { const k = pointed(e); held = k < 0 || held === k ? null : k; draw(); });
const start = new URLSearchParams(location.hash.slice(1));         // #x=0.3&y=0.6 or #token=5 opens the page there
if (start.has("model")) model = models[+start.get("model")] || model;
if (model.heads) pixel = snapped({ x: +(start.get("x") ?? .5), y: +(start.get("y") ?? .5) });
controls();
show(model.pictures[0]).then(() => {
  const k = model.labels.indexOf(start.get("token"));
  if (k >= 0) { held = k; draw(); }
});
