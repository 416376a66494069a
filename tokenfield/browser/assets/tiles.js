// Pictures of overlapping tiles, each with a set of tokens of its own, blended by a partition of unity.

import { cover, shares } from "./geometry.js";

export class Tiles {
  constructor(field, model, tokens, pyramid) {
    Object.assign(this, { field, model, tokens, pyramid });
    const [rows, columns, ...own] = field.tokens.shape;
    this.columns = columns;
    this.own = own;                                             // shape of one tile's tokens
    this.size = own.reduce((a, b) => a * b, 1);
    this.count = this.size / own[own.length - 1];               // tokens of a tile
  }

  tokensOf(row, column) {
    const begin = (row * this.columns + column) * this.size;
    return [this.tokens.subarray(begin, begin + this.size), this.own];
  }

  /** Values (C, side, side) of a tile of the pyramid. */
  async tile({ level, i, j }) {
    const side = this.pyramid.tile(level), scale = 2 ** level, channels = this.field.channels;
    const inside = (index, size) => Array.from({ length: side }, (_, k) => (index * side + k + 0.5) / scale)
      .map((at) => Math.min(at, size - 0.5 / scale));
    const rows = shares(this.field.axes[0], inside(i, this.pyramid.height));
    const columns = shares(this.field.axes[1], inside(j, this.pyramid.width));
    const out = new Float32Array(channels * side * side);
    for (const down of rows) {
      for (const across of columns) {
        const { values } = await this.model.run("grid", {
          tokens: this.tokensOf(down.tile, across.tile),
          y: [down.local, [down.local.length]],
          x: [across.local, [across.local.length]],
        });
        add(out, values, side, down, across);
      }
    }
    return { data: out, shape: [channels, side, side] };
  }

  /** The tokens of the tile that counts most at a pixel: [{ token, weight }]; its first one where nothing attends. */
  async attention({ y, x }) {
    const [row, column] = [y, x].map((at, k) => {
      const [first, weight] = cover(this.field.axes[k], at);
      return weight < 0.5 ? first + 1 : first;
    });
    const local = [y, x].map((at, k) => {
      const axis = this.field.axes[k];
      return (at - axis.starts[[row, column][k]]) * (2 / axis.tile) - 1;
    });
    const first = (row * this.columns + column) * this.count;
    if (!this.model.sessions.attention) return [{ token: first, weight: null }];
    const { weights } = await this.model.run("attention",
      { tokens: this.tokensOf(row, column), coords: [Float32Array.from(local), [1, 2]] });
    return Array.from(weights.data, (weight, k) => ({ token: first + k, weight }));
  }

  /** After a token changed, or all (null): the pixels that depend on it, null for all. */
  changed(token) {
    if (token === null) return null;
    const tile = Math.floor(token / this.count);
    const [row, column] = [Math.floor(tile / this.columns), tile % this.columns], [down, across] = this.field.axes;
    return [down.starts[row], across.starts[column], down.starts[row] + down.tile, across.starts[column] + across.tile];
  }
}

function add(out, { data, shape: [channels, h, w] }, side, down, across) {
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < h; y++) {
      const to = (c * side + down.index[y]) * side, from = (c * h + y) * w;
      for (let x = 0; x < w; x++) out[to + across.index[x]] += down.weight[y] * across.weight[x] * data[from + x];
    }
  }
}
