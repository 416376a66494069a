// Tokens: where they act, which ones a pixel is made of, and what changes when one of their numbers does.

const LISTED = 8;      // tokens of a pixel that are listed
const LEAST = 5e-4;    // weight below which a token is not listed: 0.0 %
const CLEAR = 12;      // least distance in pixels of the page between tokens that are drawn

export class Tokens {
  constructor(stage, picture, decoder, controls) {
    Object.assign(this, { stage, picture, decoder, ...controls });
    const { shape } = picture.field.tokens;
    this.width = shape.at(-1);
    this.found = [];
    this.selected = null;
    this.box.hidden = false;
    this.editing.hidden = true;
    this.attended.replaceChildren();
    this.component.max = this.width - 1;
    this.chosen.max = shape.slice(0, -1).reduce((a, b) => a * b, 1) - 1;
    this.chosen.onchange = () => this.select(Math.min(this.chosen.max, Math.max(0, Math.round(this.chosen.valueAsNumber || 0))));
    this.shown.onchange = () => this.stage.redraw();
    this.component.onchange = () => this.read();
    this.value.oninput = () => this.write();
    this.reset.onclick = () => this.restore();
    picture.overlays?.push((context, size) => this.draw(context, size));
  }

  /** Where a token acts, in pixels of the picture: { y, x, r }, and whether it is a cell. */
  where(token) {
    const { field } = this.picture;
    if (field.kind === "lattice") {
      const columns = field.tokens.shape[1], [row, column] = [Math.floor(token / columns), token % columns];
      return { y: (row + 0.5) * field.cell, x: (column + 0.5) * field.cell, r: field.cell / 2, cell: true };
    }
    const place = field.places?.[token];
    return place ? { y: place[0], x: place[1], r: place[2] } : null;
  }

  name(token) {
    const { field } = this.picture, [, columns] = field.tokens.shape;
    if (field.kind === "lattice") return `row ${Math.floor(token / columns)}, column ${token % columns}`;
    if (field.kind !== "tiles") return String(token);
    const count = field.tokens.shape.slice(2, -1).reduce((a, b) => a * b, 1), tile = Math.floor(token / count);
    return `${token % count} of tile ${Math.floor(tile / columns)}, ${tile % columns}`;
  }

  /** Asks which tokens the pixel under a point of the page is made of. */
  async ask(x, y) {
    const at = this.picture.target(x, y);
    if (!at) return;
    const { found } = await this.decoder.ask("attention", { at });
    this.pixel = at;
    this.found = found.sort((a, b) => b.weight - a.weight);
    const listed = ({ weight }) => weight === null || weight > LEAST;
    const buttons = this.found.slice(0, LISTED).filter(listed).map(({ token, weight }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.token = token;
      button.style.setProperty("--share", `${100 * weight}%`);
      button.textContent = weight === null ? this.name(token) : `${(100 * weight).toFixed(1)} %: ${this.name(token)}`;
      button.onclick = () => this.select(token);
      const item = document.createElement("li");
      item.append(button);
      return item;
    });
    this.attended.replaceChildren(...buttons);
    const [first] = this.found;
    const share = first.weight === null ? "no attention here;" : `${(100 * first.weight).toFixed(0)} % from`;
    this.stage.say(`${at.name}: ${share} token ${this.name(first.token)}`);
    this.select(first.token);
    this.stage.redraw();
  }

  async select(token) {
    this.selected = token;
    this.editing.hidden = false;
    this.chosen.value = token;
    this.token.textContent = `Token ${this.name(token)}: ${this.width} numbers`;
    for (const button of this.attended.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", Number(button.dataset.token) === token);
    }
    await this.read();
    this.stage.redraw();
  }

  async read() {
    if (this.selected === null) return;
    const { values } = await this.decoder.ask("token", { token: this.selected });
    const k = Math.min(this.width - 1, Math.max(0, Math.round(this.component.valueAsNumber || 0)));
    const reach = Math.max(3, ...Array.from(values, Math.abs)) * 1.5;
    this.component.value = k;
    Object.assign(this.value, { min: -reach, max: reach });
    this.value.value = values[k];
    this.number.value = values[k].toPrecision(3);
  }

  /** Decodes with the slider's value; while the decoder is at it, only the newest value waits. */
  async write() {
    const value = this.value.valueAsNumber;
    this.number.value = value.toPrecision(3);
    this.next = value;
    if (this.writing) return;
    this.writing = true;
    while (this.next !== undefined) {
      const edit = { token: this.selected, component: Number(this.component.value), value: this.next };
      this.next = undefined;
      this.picture.changed((await this.decoder.ask("edit", edit)).box);
    }
    this.writing = false;
  }

  async restore() {
    this.picture.changed((await this.decoder.ask("edit", { token: null })).box);
    await this.read();
  }

  draw(context) {
    const [top, left, bottom, right] = this.picture.box();
    const mark = (token, weight, ink) => {
      const place = this.where(token);
      if (!place || place.y + place.r < top || place.y - place.r > bottom || place.x + place.r < left ||
        place.x - place.r > right) return;
      const { x, y } = this.picture.place(place.y, place.x), r = Math.max(2, place.r * this.picture.scale);
      context.beginPath();
      if (place.cell) context.rect(x - r, y - r, 2 * r, 2 * r);
      else context.arc(x, y, r, 0, 2 * Math.PI);
      if (weight > 0) {
        context.fillStyle = `rgb(230 159 0 / ${0.4 * Math.min(1, weight)})`;
        context.fill();
      }
      outline(context, ink);
    };
    if (this.shown.checked) this.all(top, left, bottom, right).forEach((token) => mark(token, 0, 1));
    const most = this.found[0]?.weight || 1;
    for (const { token, weight } of this.found) if (weight > 0.02 * most) mark(token, weight / most, 1);
    if (this.selected !== null) mark(this.selected, 0, 2.5);
    if (this.pixel) {
      const { x, y } = this.picture.place(this.pixel.y, this.pixel.x);
      context.beginPath();
      context.arc(x, y, 4, 0, 2 * Math.PI);
      outline(context, 2);
    }
  }

  /** Visible tokens; on a lattice so few that they do not cover the picture. */
  all(top, left, bottom, right) {
    const { field, scale } = this.picture;
    if (field.kind !== "lattice") return (field.places ?? []).map((_, token) => token);
    const [rows, columns] = field.tokens.shape, every = Math.max(1, Math.ceil(CLEAR / (field.cell * scale))), found = [];
    const first = (low) => Math.max(0, Math.floor(low / field.cell / every) * every);
    for (let i = first(top); i < Math.min(rows, bottom / field.cell); i += every) {
      for (let j = first(left); j < Math.min(columns, right / field.cell); j += every) found.push(i * columns + j);
    }
    return found;
  }
}

/** White on black: seen on every picture. */
function outline(context, width) {
  for (const [style, wider] of [["#000b", 2], ["#fff", 0]]) {
    context.strokeStyle = style;
    context.lineWidth = width + wider;
    context.stroke();
  }
}
