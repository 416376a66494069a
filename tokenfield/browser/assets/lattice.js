// Pictures whose tokens stand on a lattice of cells. Where tokens have functions of their own, those of a block of cells
// are made once and kept, and a tile of any level is a few small matrix products. Elsewhere a tile is decoded from the
// tokens around it.

import { BLOCK, gapsOf } from "./geometry.js";

const KEPT = 24;  // blocks of functions in memory, some 5 MB each

export class Lattice {
  constructor(field, model, tokens, pyramid) {
    Object.assign(this, { field, model, tokens, pyramid });
    [this.rows, this.columns, this.width] = field.tokens.shape;
    this.blocks = new Map();
  }

  /** Values (C, side, side) of a tile at a level that is decoded. */
  async tile({ level, i, j }) {
    const side = this.pyramid.tile(level), samples = this.field.cell * 2 ** level;
    const [y, x] = [gapsOf(i, side, samples), gapsOf(j, side, samples)];
    const span = Math.max(1, this.field.cell / samples);
    const { values } = await this.cells(y, x, span);
    return crop(values, y.skip, x.skip, side);
  }

  /** Runs the network over gaps that lie in one block. */
  async cells(y, x, span) {
    const middle = (axis, cells) => Math.min(cells - 1, Math.max(0, axis.lower + (axis.gaps > 1 ? 1 : 0)));
    const block = await this.block(Math.floor(middle(y, this.rows) / BLOCK), Math.floor(middle(x, this.columns) / BLOCK));
    const near = (axis, first, count) => [axis.lower - first, Math.min(axis.gaps + 1, count - (axis.lower - first))];
    const [row, g] = near(y, block.top, block.shape[0]), [column, h] = near(x, block.left, block.shape[2]);
    const outside = (axis, n, cells) => Float32Array.from({ length: n }, (_, k) => {
      const at = axis.lower + k;
      return at < 0 || at >= cells ? 1 : 0;
    });
    return this.model.run("cells", {
      functions: part(block, row, g, column, h),
      y: [y.places, [y.places.length]],
      x: [x.places, [x.places.length]],
      span: [Float32Array.of(span, span), [2]],
      outside_y: [outside(y, g, this.rows), [g]],
      outside_x: [outside(x, h, this.columns), [h]],
      sharpness: [Float32Array.of(this.field.sharpness ?? 0), [1]],
    });
  }

  /** Functions of a block and of one anchor around it; `top` and `left` are the first anchor's row and column. */
  async block(i, j) {
    const key = `${i} ${j}`;
    let block = this.blocks.get(key);
    if (block) this.blocks.delete(key);
    else block = await this.make(i, j);
    this.blocks.set(key, block);  // the newest last
    if (this.blocks.size > KEPT) this.blocks.delete(this.blocks.keys().next().value);
    return block;
  }

  async make(i, j) {
    const window = (at, cells) => {
      const first = at * BLOCK, after = Math.min(cells, first + BLOCK), reach = this.field.reach;
      return [Math.max(0, first - reach), Math.min(cells, after + reach)];
    };
    const [top, bottom] = window(i, this.rows), [left, right] = window(j, this.columns);
    const { functions } = await this.model.run("functions", { tokens: this.part(top, left, bottom, right) });
    return { ...functions, top: top - 1, left: left - 1, window: [top, left, bottom, right] };
  }

  /** Tokens of rows [top, bottom) and columns [left, right), and their shape. */
  part(top, left, bottom, right) {
    const shape = [bottom - top, right - left, this.width], line = shape[1] * shape[2];
    const tokens = new Float32Array(shape[0] * line);
    for (let row = top; row < bottom; row++) {
      const begin = (row * this.columns + left) * this.width;
      tokens.set(this.tokens.subarray(begin, begin + line), (row - top) * line);
    }
    return [tokens, shape];
  }

  /** The tokens that a pixel is made of: [{ token, weight }]. Beyond the edge stands the last token once more. */
  async attention({ y, x }) {
    const one = (at, cells) => {
      const place = Math.min(cells - 1e-6, Math.max(0, at / this.field.cell)) - 0.5, lower = Math.floor(place);
      return { lower, gaps: 1, places: Float32Array.of(place - lower), skip: 0 };
    };
    const [down, across] = [one(y, this.rows), one(x, this.columns)];
    const { weights } = await this.cells(down, across, 1);
    const found = new Map(), inside = (at, cells) => Math.min(cells - 1, Math.max(0, at));
    for (const [k, weight] of weights.data.entries()) {
      const row = inside(down.lower + (k >> 1), this.rows), column = inside(across.lower + (k & 1), this.columns);
      const token = row * this.columns + column;
      found.set(token, (found.get(token) ?? 0) + weight);
    }
    return [...found].map(([token, weight]) => ({ token, weight }));
  }

  /** After a token changed, or all (null): forgets what depends on it and says which pixels do, null for all. */
  changed(token) {
    if (token === null) {
      this.blocks.clear();
      return null;
    }
    const row = Math.floor(token / this.columns), column = token % this.columns, { reach, cell } = this.field;
    for (const [key, { window: [top, left, bottom, right] }] of this.blocks) {
      if (row >= top && row < bottom && column >= left && column < right) this.blocks.delete(key);
    }
    return [row - reach, column - reach, row + reach + 1, column + reach + 1].map((at) => at * cell);
  }
}

/** Lattices whose tokens have no functions of their own: every tile from the tokens around it. */
export class Windows extends Lattice {
  async tile({ level, i, j }) {
    const side = this.pyramid.tile(level), scale = 2 ** level, { cell, reach, size } = this.field;
    const axis = (index, pixels, cells) => {
      const at = Array.from({ length: side }, (_, k) => Math.min(index * side + k + 0.5, pixels * scale - 0.5) / scale / cell);
      const first = Math.max(0, Math.floor(at[0]) - reach), last = Math.min(cells, Math.floor(at[side - 1]) + reach + 1);
      return { first, last, local: Float32Array.from(at, (place) => (2 * (place - first)) / (last - first) - 1) };
    };
    const y = axis(i, size[0], this.rows), x = axis(j, size[1], this.columns);
    const { values } = await this.model.run("window", {
      tokens: this.part(y.first, x.first, y.last, x.last),
      y: [y.local, [side]],
      x: [x.local, [side]],
      span: [Float32Array.of(1 / scale, 1 / scale), [2]],
    });
    return values;
  }

  /** The token of the cell that a pixel is in; nothing says how much it counts. */
  async attention({ y, x }) {
    return [{ token: Math.floor(y / this.field.cell) * this.columns + Math.floor(x / this.field.cell), weight: null }];
  }
}

/** Rows and columns of a block's functions (M, k, N, C, k) as the input of the network. */
function part({ data, shape: [, k, n, c, l] }, row, g, column, h) {
  const line = h * c * l, cut = new Float32Array(g * k * line);
  for (let a = 0; a < g * k; a++) {
    const begin = ((row * k + a) * n + column) * c * l;
    cut.set(data.subarray(begin, begin + line), a * line);
  }
  return [cut, [g, k, h, c, l]];
}

/** A square of values (C, H, W) from (top, left) on; what lies beyond the lattice repeats the last value. */
export function crop({ data, shape: [c, h, w] }, top, left, side) {
  const cut = new Float32Array(c * side * side);
  for (let channel = 0; channel < c; channel++) {
    for (let y = 0; y < side; y++) {
      const begin = (channel * h + Math.min(h - 1, top + y)) * w, at = (channel * side + y) * side;
      const whole = Math.min(side, w - left);
      cut.set(data.subarray(begin + left, begin + left + whole), at);
      cut.fill(data[begin + w - 1], at + whole, at + side);
    }
  }
  return { data: cut, shape: [c, side, side] };
}
