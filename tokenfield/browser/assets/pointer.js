// Mouse, pen, fingers, wheel and keys on the canvas, as a few gestures that every kind of view understands:
// move(dx, dy), zoom(factor, x, y), click(x, y), key(name). Lengths are in pixels of the page.

const STEP = 64, STILL = 5;  // an arrow key moves so far; less than this is a click
const KEYS = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };

export function listen(canvas, gestures) {
  const down = new Map();
  let moved = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const middle = () => {
    const all = [...down.values()];
    return { x: all.reduce((sum, p) => sum + p.x, 0) / all.length, y: all.reduce((sum, p) => sum + p.y, 0) / all.length };
  };
  const spread = () => {
    const [a, b] = [...down.values()];
    return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    if (!down.size) moved = 0;
    down.set(event.pointerId, place(event));
    if (down.size > 1) moved = Infinity;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!down.has(event.pointerId)) return gestures.hover?.(place(event));
    const [before, apart] = [middle(), spread()];
    down.set(event.pointerId, place(event));
    const after = middle(), [dx, dy] = [after.x - before.x, after.y - before.y];
    moved += Math.hypot(dx, dy);
    if (moved < STILL) return undefined;
    gestures.move(dx, dy);
    if (apart > 0) gestures.zoom(spread() / apart, after.x, after.y);
    return undefined;
  });
  const up = (event) => {
    if (!down.delete(event.pointerId)) return;
    const at = place(event);
    if (event.type === "pointerup" && !down.size && moved < STILL) gestures.click(at.x, at.y);
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * [1, 16, 240][event.deltaMode], at = place(event);
    gestures.zoom(2 ** (-pixels / 240), at.x, at.y);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (KEYS[event.key]) gestures.move(...KEYS[event.key]);
    else if (event.key === "+" || event.key === "=") gestures.zoom(2 ** 0.5, width / 2, height / 2);
    else if (event.key === "-") gestures.zoom(2 ** -0.5, width / 2, height / 2);
    else if (!gestures.key(event.key)) return;
    event.preventDefault();
  });
}
