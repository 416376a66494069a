// While the object is being turned, the page asks for views so small that they come within GOAL milliseconds, which it
// learns from how long the last ones took; at rest it asks once for a large one. There is never more than one request on
// its way, so a slow machine shows fewer views and not old ones.
"use strict";
const GOAL = 90;                      // milliseconds per view while something moves
const find = id => document.getElementById(id);
const canvas = find("view"), paper = canvas.getContext("2d");
let about, camera = { azimuth: 30, elevation: 25, zoom: 1 }, size = 64, wanted = false, busy = false, rest = 0;
let spinning = false, moved = performance.now();

function sharpest() { return Math.min(about.largest, Math.max(2 * about.size, 128)); }

async function draw(pixels) {
  const query = new URLSearchParams({ object: find("object").value, support: find("support").value,
    azimuth: camera.azimuth.toFixed(2), elevation: camera.elevation.toFixed(2), zoom: camera.zoom.toFixed(3),
    size: pixels });
  const begun = performance.now();
  const reply = await fetch("/view?" + query).catch(() => null);
  if (!reply) { find("facts").textContent = "no answer: is tokenfield still running?"; return; }
  if (!reply.ok) { find("facts").textContent = await reply.text(); return; }
  const bitmap = await createImageBitmap(await reply.blob());
  paper.imageSmoothingEnabled = true;
  paper.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const took = performance.now() - begun, rendering = Number(reply.headers.get("Server-Timing").split("=")[1]);
  find("facts").textContent = `azimuth ${((camera.azimuth % 360 + 360) % 360).toFixed(0)}\u00b0, elevation ` +
    `${camera.elevation.toFixed(0)}\u00b0, ${pixels} \u00d7 ${pixels} rays rendered in ${rendering.toFixed(0)} ms`;
  document.body.dataset.drawn = pixels;
  return took;
}

async function loop() {               // one request at a time, always for the newest camera
  if (busy) return;
  busy = true;
  while (wanted) {
    wanted = false;
    const took = await draw(size);
    if (took) {                       // time grows with the number of pixels, the square of the side
      const next = size * Math.sqrt(GOAL / took);
      size = Math.round(Math.min(sharpest(), Math.max(16, about.smallest, (size + next) / 2)) / 8) * 8;
    }
  }
  busy = false;
  clearTimeout(rest);
  if (!spinning) rest = setTimeout(async () => { if (!busy && !wanted) { busy = true; await draw(sharpest());
    busy = false; if (wanted) loop(); } }, 180);
}
function ask() { wanted = true; loop(); }

function turn(azimuth, elevation) {
  camera.azimuth += azimuth;
  camera.elevation = Math.max(-89, Math.min(89, camera.elevation + elevation));
  ask();
}
function zoom(factor) { camera.zoom = Math.max(0.5, Math.min(8, camera.zoom * factor)); ask(); }

canvas.addEventListener("pointerdown", e => { canvas.setPointerCapture(e.pointerId); canvas.focus(); });
canvas.addEventListener("pointermove", e => {
  if (e.buttons & 1) turn(-e.movementX * 0.5 / camera.zoom, e.movementY * 0.5 / camera.zoom);
});
canvas.addEventListener("wheel", e => { e.preventDefault(); zoom(Math.exp(-e.deltaY / 600)); }, { passive: false });
canvas.addEventListener("keydown", e => {
  const act = { ArrowLeft: () => turn(-6, 0), ArrowRight: () => turn(6, 0), ArrowUp: () => turn(0, 6),
    ArrowDown: () => turn(0, -6), "+": () => zoom(1.15), "=": () => zoom(1.15), "-": () => zoom(1 / 1.15) }[e.key];
  if (act) { e.preventDefault(); act(); }
});
find("spin").addEventListener("click", () => {
  spinning = !spinning;
  find("spin").setAttribute("aria-pressed", spinning);
  moved = performance.now();
  if (spinning) requestAnimationFrame(spin); else ask();
});
function spin(now) {
  if (!spinning) return;
  camera.azimuth += (now - moved) * 0.03;
  moved = now;
  ask();
  requestAnimationFrame(spin);
}

function showSupport() {
  const given = find("given"), count = Number(find("support").value);
  given.replaceChildren(...Array.from({ length: count }, (_, i) => {
    const image = new Image();
    image.src = "/support?" + new URLSearchParams({ object: find("object").value, view: i });
    image.alt = `given view ${i + 1}`;
    return image;
  }));
  ask();
}

(async () => {
  about = await (await fetch("/about.json")).json();
  find("title").textContent = `A ${about.kind} by ${about.model}`;
  about.objects.forEach((name, i) => find("object").add(new Option(name, i)));
  about.numbers.forEach(n => find("support").add(new Option(n, n, n === about.support, n === about.support)));
  camera.elevation = about.elevation;
  size = Math.min(64, about.size);
  for (const id of ["object", "support"]) find(id).addEventListener("change", showSupport);
  showSupport();
})();
