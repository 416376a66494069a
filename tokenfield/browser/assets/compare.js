// What lies to the right of the line: the photograph's pixels, or what bicubic interpolation makes of them.

const NEGATIVE = -0.5;  // the cubic kernel of Keys (1981), as image programs have it
const LARGEST = 4096;   // pixels a side of a field that is decoded whole, where there is no photograph

export class Comparison {
  constructor(stage, picture, decoder, controls) {
    Object.assign(this, { stage, picture, decoder, ...controls });
    this.share = 0.5;
    this.offer();
    this.beside.onchange = () => this.choose(this.beside.value);
    this.dragging();
    picture.overlays.unshift((context, size) => this.draw(context, size));
  }

  offer() {
    const { field } = this.picture, choices = [["", "nothing"]];
    if (field.photograph) choices.push(["pixels", "the photograph's pixels"], ["bicubic", "bicubic of the photograph"]);
    else if (Math.max(...field.size) <= LARGEST) choices.push(["bicubic", "bicubic of the field's own size"]);
    this.beside.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
    this.box.hidden = choices.length < 2;
    this.choose("");
  }

  /** The next choice, for the key. */
  cycle() {
    this.beside.selectedIndex = (this.beside.selectedIndex + 1) % this.beside.options.length;
    this.choose(this.beside.value);
    return this.beside.selectedOptions[0].textContent;
  }

  async choose(what) {
    this.what = what;
    this.divider.hidden = !what;
    this.smooth = null;
    if (what && !this.source) this.source = await this.load();
    this.stage.redraw();
  }

  /** The pixels compared with, as a canvas. */
  async load() {
    const { field } = this.picture, canvas = document.createElement("canvas");
    if (field.photograph) {
      const image = new Image();
      image.src = field.photograph;
      await image.decode();
      Object.assign(canvas, { width: image.naturalWidth, height: image.naturalHeight });
      canvas.getContext("2d").drawImage(image, 0, 0);
    } else {
      const { rgba, height, width } = await this.decoder.ask("native");
      Object.assign(canvas, { width, height });
      canvas.getContext("2d").putImageData(new ImageData(rgba, width, height), 0, 0);
    }
    return canvas;
  }

  draw(context, { width, height, ratio }) {
    if (!this.what || !this.source) return;
    const line = Math.round(this.share * width * ratio) / ratio, picture = this.picture;
    context.save();
    context.beginPath();
    context.rect(line, 0, width - line, height);
    context.clip();
    context.clearRect(line, 0, width - line, height);
    const [a, b] = [picture.place(0, 0), picture.place(...picture.field.size)];
    const still = [picture.scale, picture.y, picture.x, width, height, this.share].join();
    if (this.what === "bicubic" && this.smooth?.still === still) {
      context.drawImage(this.smooth.canvas, this.smooth.x / ratio, 0, this.smooth.canvas.width / ratio, height);
    } else {
      context.imageSmoothingEnabled = this.what === "bicubic" || picture.scale * ratio < 1;
      context.drawImage(this.source, a.x, a.y, b.x - a.x, b.y - a.y);
      if (this.what === "bicubic" && picture.scale * ratio > 1) this.whenStill(still, line, width, height, ratio);
    }
    context.restore();
  }

  /** Interpolates what is seen once nothing has moved for a moment. */
  whenStill(still, line, width, height, ratio) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const [from, wide, tall] = [Math.round(line * ratio), Math.round(width * ratio), Math.round(height * ratio)];
      if (wide <= from) return;
      const size = this.picture.field.size, { source } = this;
      const along = (n, first, place, pixels, side) => Array.from({ length: n }, (_, k) =>
        (place((first + k + 0.5) / ratio) * pixels) / side - 0.5);
      const y = along(tall, 0, (at) => this.picture.at(0, at).y, source.height, size[0]);
      const x = along(wide - from, from, (at) => this.picture.at(at, 0).x, source.width, size[1]);
      this.smooth = { still, x: from, canvas: bicubic(source, y, x) };
      this.stage.redraw();
    }, 120);
  }

  dragging() {
    const { divider } = this, set = (share) => {
      this.share = Math.min(1, Math.max(0, share));
      divider.style.left = `${100 * this.share}%`;
      divider.setAttribute("aria-valuenow", Math.round(100 * this.share));
      this.stage.redraw();
    };
    divider.onpointerdown = (event) => divider.setPointerCapture(event.pointerId);
    divider.onpointermove = (event) => {
      if (!divider.hasPointerCapture(event.pointerId)) return;
      const box = divider.parentElement.getBoundingClientRect();
      set((event.clientX - box.left) / box.width);
    };
    divider.onkeydown = (event) => {
      const step = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, Home: -1, End: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      set(this.share + step);
    };
  }
}

/** The four pixels and weights of every position (in pixels, 0 at the first one's centre), ends repeated. */
function taps(positions, count) {
  const kernel = (t) => (t <= 1 ? (NEGATIVE + 2) * t ** 3 - (NEGATIVE + 3) * t ** 2 + 1
    : NEGATIVE * (t ** 3 - 5 * t ** 2 + 8 * t - 4));
  return positions.map((at) => {
    const first = Math.floor(at) - 1;
    return [0, 1, 2, 3].map((k) => [Math.min(count - 1, Math.max(0, first + k)), kernel(Math.abs(at - first - k))]);
  });
}

/** Bicubic interpolation of a canvas on a grid of positions; transparent outside of it. */
export function bicubic(source, y, x) {
  const { width, height } = source, pixels = source.getContext("2d").getImageData(0, 0, width, height).data;
  const rows = new Map(), across = taps(x, width), image = new ImageData(x.length, y.length);
  const line = (row) => {  // one row of the source at all columns
    if (!rows.has(row)) {
      const values = new Float32Array(3 * x.length);
      across.forEach((four, k) => four.forEach(([column, weight]) => {
        for (let c = 0; c < 3; c++) values[3 * k + c] += weight * pixels[4 * (row * width + column) + c];
      }));
      rows.set(row, values);
    }
    return rows.get(row);
  };
  taps(y, height).forEach((four, j) => {
    if (y[j] < -0.5 || y[j] > height - 0.5) return;
    const lines = four.map(([row, weight]) => [line(row), weight]);
    for (let k = 0; k < x.length; k++) {
      if (x[k] < -0.5 || x[k] > width - 0.5) continue;
      const at = 4 * (j * x.length + k);
      for (let c = 0; c < 3; c++) image.data[at + c] = lines.reduce((sum, [v, weight]) => sum + weight * v[3 * k + c], 0);
      image.data[at + 3] = 255;
    }
  });
  const canvas = Object.assign(document.createElement("canvas"), { width: x.length, height: y.length });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
