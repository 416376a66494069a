// Values to colours.

// Viridis (Smith and van der Walt, 2015) at nine places: even in lightness, and safe for the colour-blind.
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129],
  [92, 200, 99], [170, 220, 50], [253, 231, 37]];

/** Colour of t in [0, 1], beyond which the ends go on. */
export function shade(t) {
  const at = Math.min(1, Math.max(0, t)) * (VIRIDIS.length - 1), k = Math.min(VIRIDIS.length - 2, Math.floor(at));
  return [0, 1, 2].map((c) => VIRIDIS[k][c] + (at - k) * (VIRIDIS[k + 1][c] - VIRIDIS[k][c])).concat(255);
}

/** Values (C, H, W) in [0, 1] as RGBA, rounded to 8 bits; fewer than three channels are grey. */
export function toPixels({ data, shape: [channels, h, w] }) {
  const rgba = new Uint8ClampedArray(4 * h * w).fill(255), area = h * w;
  for (let c = 0; c < 3; c++) {
    const from = channels >= 3 ? c * area : 0;
    for (let k = 0; k < area; k++) rgba[4 * k + c] = 255 * data[from + k];
  }
  return rgba;
}
