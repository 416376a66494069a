// Objects and globes: turned by dragging, drawn coarsely at once and finer while nothing moves.

import { orthographic, placeName } from "./geometry.js";

const SHARES = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1];
const LARGEST = 512, PATIENCE = 40;  // pixels a side; milliseconds that a view may take while it is turned

export class Turning {
  constructor(stage, field, decoder) {
    Object.assign(this, { stage, field, decoder });
    this.globe = field.kind === "globe";
    this.first = 0;     // which share a new view begins with
    this.fit();
  }

  fit() {
    const { azimuth = 0, elevation = 0 } = this.field;
    this.view = this.globe ? { latitude: 20, longitude: 10, zoom: 1, variable: this.view?.variable ?? 0 }
      : { azimuth, elevation, zoom: 1 };
    this.changed();
  }

  actual() { this.fit(); }

  get side() {
    const { width, height } = this.stage.size();
    return Math.min(width, height);
  }

  move(dx, dy) {
    const degrees = (this.globe ? 57.3 * 2 : 180) / this.side / this.view.zoom, view = this.view;
    const [around, above] = this.globe ? ["longitude", "latitude"] : ["azimuth", "elevation"];
    view[around] = (view[around] - dx * degrees + 540) % 360 - 180;
    view[above] = Math.min(89, Math.max(-89, view[above] + dy * degrees));
    this.changed();
  }

  zoom(factor) {
    this.view.zoom = Math.min(64, Math.max(0.5, this.view.zoom * factor));
    this.changed();
  }

  get zoomText() { return `${this.view.zoom.toPrecision(2)} ×`; }

  /** A share of the finest picture, as pixels a side. */
  pixels(share) {
    const { ratio } = this.stage.size();
    return Math.max(16, Math.round(Math.min(LARGEST, this.side * ratio) * share));
  }

  changed() {
    this.version = (this.version ?? 0) + 1;
    this.next = this.first;
    this.stage.redraw();
    this.refine();
  }

  async refine() {
    if (this.busy || this.closed) return;
    this.busy = true;
    try {
      while (this.next < SHARES.length && !this.closed) {
        const version = this.version, share = this.next, begun = performance.now();
        const { rgba, side } = await this.decoder.ask("view", { view: this.view, side: this.pixels(SHARES[share]) });
        const took = performance.now() - begun;
        if (this.closed) return;
        this.canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
        this.canvas.getContext("2d").putImageData(new ImageData(rgba, side, side), 0, 0);
        if (share === this.first && took > PATIENCE && this.first > 0) this.first -= 1;
        if (share === this.first && took < PATIENCE / 5 && this.first < SHARES.length - 1) this.first += 1;
        if (version === this.version) this.next = share + 1;
        this.stage.drawNow();
      }
    } catch (error) {
      this.stage.say(error.message);
    } finally {
      this.busy = false;
    }
  }

  draw(context) {
    if (!this.canvas) return;
    const { width, height } = this.stage.size(), side = this.side;
    context.imageSmoothingEnabled = true;
    context.drawImage(this.canvas, (width - side) / 2, (height - side) / 2, side, side);
  }

  /** (y, x) in [-1, 1] of the view under a point of the page. */
  at(x, y) {
    const { width, height } = this.stage.size();
    return { x: (2 * (x - width / 2)) / this.side, y: (2 * (y - height / 2)) / this.side };
  }

  /** What is under a point of the page, for `attention`, and what to call it; null beside the object or globe. */
  target(x, y) {
    const at = this.at(x, y), { view } = this;
    if (!this.globe) return Math.max(Math.abs(at.x), Math.abs(at.y)) < 1 ? { ...at, view, name: "This ray" } : null;
    const place = orthographic(-at.y / view.zoom, at.x / view.zoom, view.latitude, view.longitude);
    return place && { place, name: placeName(place) };
  }

  get whole() { return !this.busy && this.next >= SHARES.length; }

  close() { this.closed = true; }
}
