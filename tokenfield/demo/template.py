"""How the page looks and what moves on it: plain CSS and JavaScript, in the page itself, nothing from anywhere else."""

STYLE = """
:root { color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #23252a; --faint: #6d717a; --line: #e4e2dd;
  --accent: #c9472a; --well: #eceae5; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #141518; --card: #1b1d21; --ink: #e7e6e3; --faint: #9a9ea8; --line: #2d3036;
  --accent: #f0785a; --well: #0d0e10; } }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%;
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 4rem 1.5rem 5rem; }
h1 { font-size: clamp(1.9rem, 5vw, 2.9rem); line-height: 1.12; letter-spacing: -.022em; margin: 0 0 1.2rem;
  font-weight: 650; }
h2 { font-size: 1.35rem; letter-spacing: -.012em; margin: 4.2rem 0 .5rem; font-weight: 640; }
p { max-width: 44rem; margin: .5rem 0 1.2rem; }
.lead { font-size: 1.12rem; }
.faint, figcaption, .hint { color: var(--faint); font-size: .86rem; }
a { color: var(--accent); }
code { font: .88em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
img { display: block; max-width: 100%; height: auto; }
figure { margin: 0; min-width: 0; }
figcaption { margin-top: .45rem; line-height: 1.4; }
figcaption b, .hint b { color: var(--ink); font-weight: 560; }

.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1px;
  background: var(--line);
  border: 1px solid var(--line); border-radius: 10px; overflow: hidden; margin: 2rem 0 0; padding: 0; }
.facts div { background: var(--card); padding: .95rem 1.1rem; }
.facts dt { color: var(--faint); font-size: .82rem; line-height: 1.35; }
.facts dd { margin: 0 0 .15rem; font-size: 1.5rem; font-weight: 620; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.facts div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }

.stage { margin: 1.2rem 0 0; }
.view { position: relative; overflow: hidden; background: var(--well); border-radius: 10px; touch-action: pan-y;
  user-select: none; -webkit-user-select: none; cursor: ew-resize; max-height: 82vh; margin: 0 auto; }
.view.zoomed { cursor: grab; touch-action: none; }
.layer { position: absolute; inset: 0; transform-origin: 0 0; isolation: isolate; }
.layer img { position: absolute; inset: 0; width: 100%; height: 100%; -webkit-user-drag: none; }
.view.zoomed img { image-rendering: pixelated; }
.view.difference { cursor: default; }
.view.difference .layer { filter: brightness(var(--gain, 16)); }
.view.difference .over { mix-blend-mode: difference; clip-path: none !important; }
.rule { position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px; background: #fff; left: 50%;
  box-shadow: 0 0 0 .5px rgba(0,0,0,.35); pointer-events: none; }
.rule::after { content: "\\2039\\2009\\203a"; position: absolute; top: 50%; left: -14px; width: 30px;
  margin-top: -15px;
  border-radius: 50%; background: #fff; color: #555; font: 600 17px/27px system-ui, sans-serif; height: 30px;
  text-align: center; box-shadow: 0 1px 5px rgba(0,0,0,.4); }
.view.difference .rule, .view.difference .tag { display: none; }
.tag { position: absolute; top: .7rem; padding: .12rem .55rem; border-radius: 5px; background: rgba(15,16,18,.62);
  color: #fff; font-size: .78rem; pointer-events: none; }
.tag.a { left: .7rem; } .tag.b { right: .7rem; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem 1.3rem; margin: .8rem 0 0;
  font-size: .86rem;
  color: var(--faint); }
.controls .set { display: inline-flex; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.controls button { font: inherit; color: inherit; background: var(--card); border: 0;
  border-left: 1px solid var(--line);
  padding: .28rem .75rem; cursor: pointer; }
.controls button:first-child { border-left: 0; }
.controls button[aria-pressed=true] { background: var(--ink); color: var(--paper); }
.controls label { display: inline-flex; align-items: center; gap: .5rem; }
.controls input { accent-color: var(--accent); width: 8rem; }
.controls .numbers { margin-left: auto; color: var(--ink); font-variant-numeric: tabular-nums; }
.strip { display: grid; grid-template-columns: repeat(auto-fit, minmax(6.2rem, 1fr)); gap: .6rem; margin: 1rem 0 0; }
.strip figure { cursor: pointer; }
.strip img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 7px;
  outline: 2px solid transparent; outline-offset: 2px; }
.strip figure[aria-current=true] img { outline-color: var(--accent); }
.strip button { all: unset; display: block; cursor: pointer; width: 100%; }
.strip button:focus-visible img { outline-color: var(--ink); }
.strip.single { display: none; }
.strip figcaption { line-height: 1.25; }
html:not(.js) .stage > .view, html:not(.js) .controls { display: none; }
html:not(.js) .strip { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); }
html:not(.js) .strip img { aspect-ratio: auto; margin-bottom: .3rem; }
.js .strip .second { display: none; }

.table { overflow-x: auto; margin: 1.6rem 0 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th { font-weight: 500; color: var(--faint); text-align: right; vertical-align: bottom; line-height: 1.3; }
td { text-align: right; } th:first-child, td:first-child { text-align: left; }
th, td { padding: .38rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
tr.mean td { font-weight: 600; border-bottom: 0; }
.row { display: grid; gap: 1rem; margin: 1.2rem 0 0; }
.row.three { grid-template-columns: repeat(3, minmax(0, 1fr)); }
.row.tokens { grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: .9rem .6rem; }
.row.tokens i { display: inline-block; width: .6em; height: .6em; border-radius: 50%; margin-right: .45em; }
.row.shots { grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
.row img { width: 100%; border-radius: 7px; }
.exact { image-rendering: pixelated; }
@media (max-width: 52rem) { .facts { grid-template-columns: 1fr 1fr; } .facts div:last-child { grid-column: 1 / -1; } }
@media (max-width: 46rem) { .row.tokens { grid-template-columns: repeat(4, minmax(0, 1fr)); } main {
  padding-top: 2.4rem; } }
svg { width: 100%; height: auto; max-width: 46rem; margin: 1.4rem 0 0; overflow: visible; }
svg text { fill: var(--faint); font-size: 12px; } svg .value { fill: var(--ink); font-weight: 560; }
svg .grid { stroke: var(--line); } svg .batches { fill: none; stroke: var(--faint); stroke-width: 1; opacity: .55; }
svg .unseen { fill: none; stroke: var(--accent); stroke-width: 2; } svg .dot { fill: var(--accent); }
.about { margin-top: 4.5rem; padding-top: 1.4rem; border-top: 1px solid var(--line); }
.about dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.4rem; font-size: .86rem; margin: 0; }
.about dt { color: var(--faint); } .about dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 30rem) { .about dl { grid-template-columns: 1fr; } .about dd { margin-bottom: .5rem; } }
"""

SCRIPT = """
document.documentElement.classList.add("js");
for (const stage of document.querySelectorAll(".stage")) {
  const find = (s) => stage.querySelector(s), all = (s) => [...stage.querySelectorAll(s)];
  const [view, layer, under, over, rule] = [".view", ".layer", ".under", ".over", ".rule"].map(find);
  const clamp = (v, lo, hi) => Math.min(hi, Math.max(lo, v));
  let cut = .5, zoom = 1, x = 0, y = 0;               // divider, enlargement, and what lies in the top left corner
  const draw = () => {
    const w = view.clientWidth, h = view.clientHeight;
    x = clamp(x, 0, w - w / zoom); y = clamp(y, 0, h - h / zoom);
    layer.style.transform = `scale(${zoom}) translate(${-x}px, ${-y}px)`;
    over.style.clipPath = `inset(0 0 0 ${100 * (x + cut * w / zoom) / w}%)`;
    rule.style.left = `${100 * cut}%`;
    view.classList.toggle("zoomed", zoom > 1);
  };
  const enlarge = (to, cx, cy) => {                   // (cx, cy), in the view, stays where it is
    x += cx / zoom - cx / to; y += cy / zoom - cy / to; zoom = to; draw();
    for (const b of all("[data-zoom]")) b.setAttribute("aria-pressed", +b.dataset.zoom === zoom);
  };
  const show = (item) => {
    const [a, b] = item.querySelectorAll("img");
    under.src = a.src; over.src = b.src; under.alt = a.alt; over.alt = b.alt;
    const ratio = a.getAttribute("width") / a.getAttribute("height");
    view.style.aspectRatio = ratio; view.style.maxWidth = `calc(82vh * ${ratio})`;
    if (find(".numbers")) find(".numbers").textContent = item.dataset.numbers || "";
    for (const other of all(".strip figure")) other.setAttribute("aria-current", other === item);
    x = y = 0; draw();
  };
  for (const item of all(".strip figure")) item.addEventListener("click", () => show(item));
  for (const b of all("[data-zoom]"))
    b.addEventListener("click", () => enlarge(+b.dataset.zoom, view.clientWidth / 2, view.clientHeight / 2));
  for (const b of all("[data-mode]")) b.addEventListener("click", () => {
    view.classList.toggle("difference", b.dataset.mode === "difference");
    for (const o of all("[data-mode]")) o.setAttribute("aria-pressed", o === b);
    const gain = find(".gain"); if (gain) gain.hidden = b.dataset.mode !== "difference";
  });
  const gain = find(".gain input");
  if (gain) gain.addEventListener("input", () => {
    view.style.setProperty("--gain", gain.value); find(".gain output").textContent = gain.value;
  });
  const divider = find(".divide input");
  if (divider) divider.addEventListener("input", () => { cut = divider.value / 100; draw(); });
  let held = null;
  view.addEventListener("pointerdown", (e) => {
    const box = view.getBoundingClientRect(), at = e.clientX - box.left;
    const near = Math.abs(at - cut * box.width) < 28 && !view.classList.contains("difference");
    held = { pan: zoom > 1 && !near, px: e.clientX, py: e.clientY };
    view.setPointerCapture(e.pointerId); move(e);
  });
  const move = (e) => {
    if (!held) return;
    const box = view.getBoundingClientRect();
    if (held.pan) { x -= (e.clientX - held.px) / zoom; y -= (e.clientY - held.py) / zoom; }
    else { cut = clamp((e.clientX - box.left) / box.width, 0, 1); if (divider) divider.value = 100 * cut; }
    held.px = e.clientX; held.py = e.clientY; draw();
  };
  view.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) view.addEventListener(end, () => { held = null; });
  view.addEventListener("dblclick", (e) => {
    const box = view.getBoundingClientRect();
    enlarge(zoom >= 8 ? 1 : zoom * 2, e.clientX - box.left, e.clientY - box.top);
  });
  new ResizeObserver(draw).observe(view);
  show(find(".strip figure"));
}
"""
