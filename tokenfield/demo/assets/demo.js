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
