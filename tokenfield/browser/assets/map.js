// A picture field as a map: pan and zoom without end. Tiles are decoded once per level, the middle of what is seen
// first; while those of a level are on their way, what is known of other levels stands in.

import { HIGHEST, Pyramid } from "./geometry.js";

const KEPT = 320;      // tiles in memory, at most 256 kB each
const SHARPER = 0.25;  // a level is stretched by 2^0.25 at most before the next one is decoded

export class Picture {
  constructor(stage, field, decoder) {
    Object.assign(this, { stage, field, decoder, pyramid: new Pyramid(field) });
    this.tiles = new Map();  // key -> { canvas, version }
    this.version = 0;
    this.overlays = [];      // called with the context after the picture is drawn
    this.busy = false;
    this.fit();
  }

  // The view: `scale` pixels of the page per pixel of the picture, and which of these is in the middle.

  /** All of the picture. */
  fit() {
    const { width, height } = this.stage.size();
    this.scale = Math.min(width / this.field.size[1], height / this.field.size[0]);
    this.y = this.field.size[0] / 2;
    this.x = this.field.size[1] / 2;
    this.stage.redraw();
  }

  /** The picture's own pixels, each one of the screen's. */
  actual() {
    const { width, height, ratio } = this.stage.size();
    this.zoom(1 / ratio / this.scale, width / 2, height / 2);
    const whole = (at, side) => Math.round(at - (side * ratio) / 2) + (side * ratio) / 2;
    this.x = whole(this.x, width);  // on whole pixels of the screen, so that nothing is blurred
    this.y = whole(this.y, height);
    this.stage.redraw();
  }

  move(dx, dy) {
    this.x = Math.min(this.field.size[1], Math.max(0, this.x - dx / this.scale));
    this.y = Math.min(this.field.size[0], Math.max(0, this.y - dy / this.scale));
    this.stage.redraw();
  }

  zoom(factor, x, y) {
    const { width, height, ratio } = this.stage.size(), before = this.at(x, y);
    const least = Math.min(1, Math.min(width / this.field.size[1], height / this.field.size[0])) / 4;
    this.scale = Math.min(2 ** HIGHEST / ratio, Math.max(least, this.scale * factor));
    const after = this.at(x, y);
    this.x += before.x - after.x;
    this.y += before.y - after.y;
    this.move(0, 0);
  }

  /** Position in the picture under a point of the page. */
  at(x, y) {
    const { width, height } = this.stage.size();
    return { x: this.x + (x - width / 2) / this.scale, y: this.y + (y - height / 2) / this.scale };
  }

  /** What is under a point of the page, for `attention`, and what to call it; null beside the picture. */
  target(x, y) {
    const at = this.at(x, y), [height, width] = this.field.size;
    if (at.y < 0 || at.x < 0 || at.y >= height || at.x >= width) return null;
    return { ...at, name: `Pixel ${Math.floor(at.y)}, ${Math.floor(at.x)}` };
  }

  /** Point of the page over a position in the picture. */
  place(y, x) {
    const { width, height } = this.stage.size();
    return { x: (x - this.x) * this.scale + width / 2, y: (y - this.y) * this.scale + height / 2 };
  }

  /** The visible box of the picture: top, left, bottom, right. */
  box() {
    const { width, height } = this.stage.size(), [first, last] = [this.at(0, 0), this.at(width, height)];
    return [first.y, first.x, last.y, last.x];
  }

  get level() {
    const { ratio } = this.stage.size();
    return Math.min(HIGHEST, Math.max(this.pyramid.top(), Math.ceil(Math.log2(this.scale * ratio) - SHARPER)));
  }

  get zoomText() { return `${this.scale >= 10 ? Math.round(this.scale) : this.scale.toPrecision(2)} ×`; }

  // Drawing.

  draw(context) {
    const { width, height, ratio } = this.stage.size(), level = this.level, box = this.box();
    const wanted = this.pyramid.touching(level, box), missing = [];
    context.imageSmoothingQuality = "high";
    for (const tile of wanted) {
      const own = this.tiles.get(keyOf(tile));
      if (own?.version !== this.version) missing.push(tile);
      if (own) this.paint(context, tile, tile, own);
      else if (!this.paintBelow(context, tile)) this.paintAbove(context, tile, 3);
    }
    this.missing = missing;
    if (missing.length) this.decodeNext();
    for (const overlay of this.overlays) overlay(context, { width, height, ratio });
  }

  /** Draws the part of a known tile `source` that a tile covers. */
  paint(context, tile, source, { canvas }) {
    const { ratio } = this.stage.size(), span = this.pyramid.span(tile.level), [h, w] = this.field.size;
    const [top, left] = [tile.i * span, tile.j * span];
    const [bottom, right] = [Math.min(h, top + span), Math.min(w, left + span)];
    const wide = this.pyramid.span(source.level), samples = canvas.width / wide;
    const from = [(left - source.j * wide) * samples, (top - source.i * wide) * samples,
      (right - left) * samples, (bottom - top) * samples];
    const [a, b] = [this.place(top, left), this.place(bottom, right)];
    const edge = (at) => Math.round(at * ratio) / ratio;  // neighbours meet on whole pixels of the screen
    const whole = Math.abs(samples - this.scale * ratio) < 1e-6;
    context.imageSmoothingEnabled = !whole;
    context.drawImage(canvas, ...from, edge(a.x), edge(a.y), edge(b.x) - edge(a.x), edge(b.y) - edge(a.y));
  }

  paintBelow(context, tile) {
    for (let up = 1; tile.level - up >= this.pyramid.top(); up++) {
      const span = this.pyramid.span(tile.level), wide = this.pyramid.span(tile.level - up);
      const source = { level: tile.level - up, i: Math.floor((tile.i * span) / wide), j: Math.floor((tile.j * span) / wide) };
      const known = this.tiles.get(keyOf(source));
      if (known) {
        this.paint(context, tile, source, known);
        return true;
      }
    }
    return false;
  }

  /** What is known of finer levels, as after zooming out. */
  paintAbove(context, tile, levels) {
    if (levels === 0 || tile.level >= HIGHEST) return;
    const span = this.pyramid.span(tile.level), fine = this.pyramid.span(tile.level + 1), parts = Math.round(span / fine);
    for (let k = 0; k < parts * parts; k++) {
      const part = { level: tile.level + 1, i: tile.i * parts + Math.floor(k / parts), j: tile.j * parts + (k % parts) };
      if (part.i * fine >= this.field.size[0] || part.j * fine >= this.field.size[1]) continue;
      const known = this.tiles.get(keyOf(part));
      if (known) this.paint(context, part, part, known);
      else this.paintAbove(context, part, levels - 1);
    }
  }

  async decodeNext() {
    if (this.busy || this.closed) return;
    this.busy = true;
    try {
      while (this.missing.length && !this.closed) {
        const tile = this.missing[0], version = this.version;
        const { rgba, side } = await this.decoder.ask("tile", { tile });
        if (this.closed) return;
        this.keep(tile, rgba, side, version);
        this.firstPicture ??= performance.now();  // since the page was asked for, for benchmarks
        this.stage.drawNow();  // says anew what is missing
      }
    } catch (error) {
      this.stage.say(error.message);
    } finally {
      this.busy = false;
    }
    this.wholePicture ??= performance.now();
  }

  keep(tile, rgba, side, version) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    canvas.getContext("2d").putImageData(new ImageData(rgba, side, side), 0, 0);
    this.tiles.delete(keyOf(tile));
    this.tiles.set(keyOf(tile), { canvas, version });
    if (this.tiles.size > KEPT) this.tiles.delete(this.tiles.keys().next().value);
  }

  /** Decodes anew what tokens changed: a box of pixels, or everything. */
  changed(box) {
    this.version += 1;
    for (const [key, known] of this.tiles) {
      const [level, i, j] = key.split(" ").map(Number), span = this.pyramid.span(level);
      const apart = box && (i * span >= box[2] || (i + 1) * span <= box[0] || j * span >= box[3] || (j + 1) * span <= box[1]);
      if (apart && known.version === this.version - 1) known.version = this.version;
    }
    this.stage.redraw();
  }

  /** Whether all that is seen is decoded. */
  get whole() { return !this.busy && !this.stage.frame && this.missing?.length === 0; }

  close() { this.closed = true; }
}

function keyOf({ level, i, j }) { return `${level} ${i} ${j}`; }
