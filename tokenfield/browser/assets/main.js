// The page: which field is open, the canvas it is drawn on, and the controls beside it.

import { Comparison } from "./compare.js";
import { Decoder } from "./decoder.js";
import { Picture } from "./map.js";
import { listen } from "./pointer.js";
import { Tokens } from "./tokens.js";
import { Turning } from "./turning.js";

const TRIAL = 10_000;  // milliseconds in which a graphics card must have decoded something

const find = (id) => document.getElementById(id);

/** The canvas and the line of text on it. */
class Stage {
  constructor(canvas, status) {
    Object.assign(this, { canvas, status, shown: null });
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  size() {
    const ratio = window.devicePixelRatio || 1;
    return { width: this.canvas.clientWidth, height: this.canvas.clientHeight, ratio };
  }

  redraw() {
    this.frame ??= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    if (this.frame) cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const { width, height, ratio } = this.size(), [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, w, h);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.shown?.draw(context);
    find("zoom").value = this.shown?.zoomText ?? "";
  }

  say(text) { this.status.textContent = text; }
}

/** A promise that fails unless the one given is kept in time. */
function within(milliseconds, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(reject, milliseconds, new Error("too slow"));
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

class Page {
  constructor(contents, decoder, choice) {
    this.fields = contents.fields;
    this.models = contents.models;
    this.stage = new Stage(find("view"), find("status"));
    Object.assign(this, { decoder, choice });
    find("field").replaceChildren(...this.fields.map(({ name }, k) => new Option(name, k)));
    find("field").onchange = () => this.open(Number(find("field").value));
    for (const [id, act] of Object.entries({
      fit: () => this.shown?.fit(), actual: () => this.shown?.actual(),
      in: () => this.zoom(2 ** 0.5), out: () => this.zoom(2 ** -0.5),
    })) find(id).onclick = act;
    find("mix").oninput = () => this.mix();
    find("other").onchange = () => this.mix();
    find("variable").onchange = () => this.variable();
    this.listen();
  }

  async open(k) {
    const about = this.fields[k], model = this.models[about.model];
    find("field").value = k;
    this.shown?.close();
    this.stage.say("Loading the decoder …");
    find("title").textContent = about.name;
    document.title = `${about.name} – tokenfield`;
    find("view").setAttribute("aria-label", about.description);
    const opened = await this.openHere(about, model);
    const where = opened.provider === "webgpu" ? "the graphics card" : `${opened.threads} thread${opened.threads > 1 ? "s" : ""}`;
    find("about").textContent = `${about.description}; decoded here, on ${where}`;
    this.about = about;
    const picture = about.kind === "lattice" || about.kind === "tiles";
    this.shown = new (picture ? Picture : Turning)(this.stage, about, this.decoder);
    this.stage.shown = this.shown;
    for (const id of ["comparing", "tokens", "variables"]) find(id).hidden = true;
    this.comparison = picture ? new Comparison(this.stage, this.shown, this.decoder,
      { box: find("comparing"), beside: find("beside"), divider: find("divider") }) : null;
    this.tokens = new Tokens(this.stage, this.shown, this.decoder, Object.fromEntries(
      ["shown", "attended", "editing", "chosen", "token", "component", "value", "number", "reset"].map((id) => [id, find(id)])
        .concat([["box", find("tokens")]])));
    find("shown").parentElement.hidden = !picture;
    find("divider").hidden = true;
    this.offerOthers();
    this.offerVariables();
    this.stage.say("");
    this.stage.redraw();
  }

  /** Opens a field in the decoder's thread; on the processor where the graphics card fails or is slow to begin. */
  async openHere(about, model) {
    const open = () => this.decoder.ask("open", { about, model, choice: this.choice });
    if (this.choice === "wasm") return open();
    try {
      const opened = await open();
      if (opened.provider === "webgpu") await within(TRIAL, this.decoder.ask("trial"));
      return opened;
    } catch (error) {
      console.warn(`decoding on the processor, since the graphics card failed: ${error.message}`);
      this.decoder.close();
      this.decoder = new Decoder();
      this.choice = "wasm";
      return open();
    }
  }

  zoom(factor) {
    const { width, height } = this.stage.size();
    this.shown?.zoom(factor, width / 2, height / 2);
  }

  listen() {
    listen(find("view"), {
      move: (dx, dy) => this.shown?.move(dx, dy),
      zoom: (factor, x, y) => this.shown?.zoom(factor, x, y),
      click: (x, y) => this.tokens?.ask(x, y).catch((error) => this.stage.say(error.message)),
      hover: (at) => this.hover(at),
      key: (name) => this.key(name),
    });
  }

  /** Whether a key means something. */
  key(name) {
    const { width, height } = this.stage.size();
    const keys = {
      0: () => this.shown?.fit(),
      1: () => this.shown?.actual(),
      t: () => find("shown").click(),
      a: () => this.tokens?.ask(width / 2, height / 2),
      c: () => this.comparison && this.stage.say(`Right of the line: ${this.comparison.cycle()}`),
    };
    keys[name]?.();
    return name in keys;
  }

  /** Fields whose tokens are as many and mean the same. */
  offerOthers() {
    const alike = this.fields.filter((other) => other !== this.about && other.model === this.about.model
      && other.kind === this.about.kind && String(other.tokens.shape) === String(this.about.tokens.shape));
    find("mixing").hidden = !alike.length;
    find("mix").value = 0;
    find("other").replaceChildren(...alike.map((other) => new Option(other.name, this.fields.indexOf(other))));
  }

  /** Decodes tokens between two fields; while the decoder is at it, only the newest share waits. */
  async mix() {
    this.share = find("mix").valueAsNumber;
    if (this.mixing) return;
    this.mixing = true;
    while (this.share !== undefined) {
      const request = { about: this.fields[find("other").value], t: this.share };
      this.share = undefined;
      this.shown.changed((await this.decoder.ask("mix", request)).box);
    }
    this.mixing = false;
  }

  offerVariables() {
    const { about } = this;
    if (about.kind !== "globe") return;
    find("variables").hidden = false;
    find("variable").replaceChildren(...about.variables.map((name, k) => new Option(name, k)));
    this.variable();
  }

  variable() {
    const { about } = this, v = Number(find("variable").value), bar = document.createElement("span");
    bar.className = "bar";
    find("scale").replaceChildren(bar, `${about.low[v].toPrecision(4)} to ${about.high[v].toPrecision(4)} ${about.units[v]}`);
    this.shown.view.variable = v;
    this.shown.changed();
  }

  /** The value under the mouse, on a globe. */
  async hover(at) {
    if (this.about?.kind !== "globe" || !this.decoder.idle) return;
    const { view } = this.shown, under = this.shown.target(at.x, at.y);
    if (!under) return this.stage.say("");
    const { value } = await this.decoder.ask("value", { place: under.place, variable: view.variable });
    return this.stage.say(`${under.name}: ${value === null ? "no value" : `${value.toPrecision(4)} ${this.about.units[view.variable]}`}`);
  }
}

try {
  const decoder = new Decoder(), choice = new URLSearchParams(location.search).get("provider");
  decoder.ask("ready", { choice }).catch(() => {});  // while the list of fields is on its way; `open` says what fails
  const answer = await fetch("fields.json");
  if (!answer.ok) throw new Error(`fields.json: ${answer.status} ${answer.statusText}`);
  window.page = new Page(await answer.json(), decoder, choice);
  await window.page.open(0);
} catch (error) {
  find("status").textContent = `This page cannot show its fields: ${error.message}`;
}
