// The thread that decodes. One request is answered after the other; `main.js` asks for what it wants to see next.

import { toPixels } from "./colour.js";
import { Pyramid } from "./geometry.js";
import { Lattice, Windows } from "./lattice.js";
import { bytes, loadRuntime, loadTokens, Model } from "./runtime.js";
import { Tiles } from "./tiles.js";
import { Globe, Views } from "./views.js";

const KINDS = { lattice: Lattice, tiles: Tiles, "light-field": Views, globe: Globe };
const KEPT = 64;  // tiles whose values are kept for the levels below them

let runtime, field, pyramid, decoder, own, other;
const models = new Map(), kept = new Map();

const answers = {
  /** Makes the runtime ready. */
  async ready({ choice }) {
    runtime ??= await loadRuntime(choice);
    return {};
  },

  /** Makes a field the current one. */
  async open({ about, model, choice }) {
    const tokens = loadTokens(about.tokens);  // while the runtime is made ready
    runtime ??= await loadRuntime(choice);
    if (!models.has(model.folder)) models.set(model.folder, await Model.load(runtime, model));
    own = await tokens;
    other = null;
    field = about;
    if (about.maskFile) field.mask = await bytes(about.maskFile);
    pyramid = about.kind === "lattice" || about.kind === "tiles" ? new Pyramid(about) : null;
    const kind = model.networks.includes("window") ? Windows : KINDS[about.kind];
    decoder = new kind(about, models.get(model.folder), own.slice(), pyramid);
    kept.clear();
    return { provider: runtime.provider, threads: runtime.threads };
  },

  /** Decodes a little of whatever it is. */
  async trial() {
    if (pyramid) await decoder.tile({ level: 0, i: 0, j: 0 });
    else await decoder.draw({ azimuth: 0, elevation: 0, latitude: 0, longitude: 0, zoom: 1, variable: 0 }, 16);
    return {};
  },

  /** RGBA of a tile of a picture. */
  async tile({ tile }) {
    const values = await valuesOf(tile), rgba = toPixels(values);
    return { rgba, side: values.shape[1] };
  },

  /** RGBA of the whole picture at its own size. */
  async native() {
    const [height, width] = field.size, rgba = new Uint8ClampedArray(4 * height * width);
    for (const tile of pyramid.touching(0, [0, 0, height, width])) {
      const values = await valuesOf(tile), side = values.shape[1], part = toPixels(values);
      for (let y = 0; y < side && tile.i * side + y < height; y++) {
        const whole = Math.min(side, width - tile.j * side);
        rgba.set(part.subarray(4 * y * side, 4 * (y * side + whole)), 4 * ((tile.i * side + y) * width + tile.j * side));
      }
    }
    return { rgba, height, width };
  },

  /** RGBA of a view of an object or a globe. */
  async view({ view, side }) {
    return { rgba: await decoder.draw(view, side), side };
  },

  /** Physical value at a place of a globe, null where the data had none. */
  async value({ place, variable }) {
    return { value: decoder.known(place, variable) ? (await decoder.values([place], variable))[0] : null };
  },

  /** Tokens that a pixel is made of. */
  async attention({ at }) {
    return { found: await decoder.attention(at) };
  },

  /** The numbers of a token. */
  async token({ token }) {
    const width = field.tokens.shape.at(-1);
    return { values: decoder.tokens.slice(token * width, (token + 1) * width) };
  },

  /** Sets one number of a token; null: all of them as they were. */
  async edit({ token, component, value }) {
    const width = field.tokens.shape.at(-1);
    if (token === null) decoder.tokens.set(own);
    else decoder.tokens[token * width + component] = value;
    return changed(token);
  },

  /** Tokens between this field's and another's: t from 0 to 1. */
  async mix({ about, t }) {
    if (other?.file !== about.tokens.file) other = { file: about.tokens.file, tokens: await loadTokens(about.tokens) };
    for (let k = 0; k < own.length; k++) decoder.tokens[k] = own[k] + t * (other.tokens[k] - own[k]);
    return changed(null);
  },
};

function changed(token) {
  kept.clear();
  return { box: decoder.changed ? decoder.changed(token) : null };
}

/** Values of a tile, decoded, or on the low levels the means of four tiles of the level above. */
async function valuesOf(tile) {
  const key = `${tile.level} ${tile.i} ${tile.j}`;
  if (kept.has(key)) return kept.get(key);
  const values = tile.level >= pyramid.lowest ? await decoder.tile(tile) : await meansOf(tile);
  if (tile.level <= pyramid.lowest) {  // what lower levels are made of
    kept.set(key, values);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  }
  return values;
}

async function meansOf({ level, i, j }) {
  const side = pyramid.tile(level), half = side / 2, channels = field.channels;
  const out = new Float32Array(channels * side * side), span = pyramid.span(level + 1);
  for (let k = 0; k < 4; k++) {
    const [row, column] = [2 * i + (k >> 1), 2 * j + (k & 1)];
    if (row * span >= pyramid.height || column * span >= pyramid.width) continue;
    const { data } = await valuesOf({ level: level + 1, i: row, j: column });
    const [bottom, right] = pyramid.extent(level + 1).map((n, a) => n - 1 - [row, column][a] * side);
    for (let c = 0; c < channels; c++) {
      for (let y = 0; y < half; y++) {
        for (let x = 0; x < half; x++) {
          const at = (a, b) => data[(c * side + Math.min(2 * y + a, bottom)) * side + Math.min(2 * x + b, right)];
          out[(c * side + (k >> 1) * half + y) * side + (k & 1) * half + x] =
            (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4;
        }
      }
    }
  }
  return { data: out, shape: [channels, side, side] };
}

let last = Promise.resolve();
self.onmessage = ({ data: { id, kind, ...request } }) => {
  last = last.then(async () => {
    try {
      const answer = await answers[kind](request);
      self.postMessage({ id, answer }, answer.rgba ? [answer.rgba.buffer] : []);
    } catch (error) {
      self.postMessage({ id, error: String(error?.message ?? error) });
    }
  });
};
