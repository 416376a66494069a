// Where samples, tiles, cells and blocks lie. No decoding, no drawing; positions are in pixels of the encoded picture.
//
// Level z of a picture has 2^z samples per pixel and axis: 0 is the picture's own size, -1 half of it, 3 eight times as
// many. Levels below `lowest` are means of 2 x 2 samples of the level above them, as a camera with larger pixels sees.

export const BLOCK = 32;      // cells a side whose functions are made at once
const TILE = 256;             // most samples a side of a tile
const SMALL_TILE = 64;        // of pictures whose decoder attends to all tokens of a tile, some thousand times dearer
export const HIGHEST = 16;    // 65536 samples per pixel: float32 tells no more positions apart

/** The pyramid of levels of a picture field: `lowest` level that is decoded, and the tiles of every level. */
export class Pyramid {
  constructor(field) {
    [this.height, this.width] = field.size;
    this.side = field.tile ?? (field.kind === "lattice" ? null : SMALL_TILE);  // where cells do not say it
    this.cell = this.side ? 0 : field.cell;
    this.lowest = 0;
    for (let side = this.cell; side > 1 && side % 2 === 0; side /= 2) this.lowest -= 1;
  }

  /** Samples a side of a tile. */
  tile(level) {
    if (this.side) return this.side;
    const samples = this.cell * 2 ** Math.max(level, this.lowest);  // per cell
    let side = BLOCK * samples;
    while (side > TILE) side /= 2;
    return side;
  }

  /** Pixels of the picture that a tile covers along an axis. */
  span(level) { return this.tile(level) / 2 ** level; }

  /** Samples of a level along (y, x), cut to the picture. */
  extent(level) {
    return [this.height, this.width].map((side) => Math.max(1, Math.round(side * 2 ** level)));
  }

  /** The lowest level on which all of the picture is one tile. */
  top() {
    let level = 0;
    while (this.span(level) < Math.max(this.height, this.width)) level -= 1;
    return level;
  }

  /** The tiles of a level that touch a box of pixels, nearest to its middle first. */
  touching(level, [top, left, bottom, right]) {
    const span = this.span(level), found = [];
    const first = (low) => Math.max(0, Math.floor(low / span));
    const last = (high, side) => Math.min(Math.ceil(side / span), Math.ceil(high / span)) - 1;
    for (let i = first(top); i <= last(bottom, this.height); i++) {
      for (let j = first(left); j <= last(right, this.width); j++) found.push({ level, i, j });
    }
    const [y, x] = [(top + bottom) / 2 / span - 0.5, (left + right) / 2 / span - 0.5];
    const far = (tile) => (tile.i - y) ** 2 + (tile.j - x) ** 2;
    return found.sort((a, b) => far(a) - far(b));
  }
}

/** The samples [0, side) of tile `index` as places among gaps between anchors: see `networks.Cells`.
 *
 * `lower` is the anchor below the first gap, `gaps` how many there are, `places` in [0, 1) of the points in each, and
 * `skip` how many points of the first gap come before the tile.
 */
export function gapsOf(index, side, samples) {
  const before = Math.floor(samples / 2);  // samples of a cell before its anchor, which is in its middle
  if (side >= samples) {                   // whole cells
    const cells = side / samples;
    const places = Float32Array.from({ length: samples }, (_, k) => (before + k + 0.5) / samples - 0.5);
    return { lower: index * cells - 1, gaps: cells + 1, places, skip: samples - before };
  }
  const first = index * side, cell = Math.floor(first / samples);
  const upper = (first - cell * samples + 0.5) / samples >= 0.5;  // half a cell or less lies in one gap
  const places = Float32Array.from({ length: side },
    (_, k) => (first - cell * samples + k + 0.5) / samples + (upper ? -0.5 : 0.5));
  return { lower: cell - (upper ? 0 : 1), gaps: 1, places, skip: 0 };
}

/** Along an axis of overlapping tiles: which tile a position belongs to, and its weight; the next one has the rest. */
export function cover(axis, at) {
  const { starts, tile, shared } = axis, ramp = shared - 1;
  const middle = (k) => (starts[k] + tile + starts[k + 1]) / 2;
  let first = 0;
  while (first < starts.length - 1 && middle(first) + ramp / 2 <= at) first += 1;
  if (first === starts.length - 1) return [first, 1];
  const t = Math.min(1, Math.max(0, (at - (middle(first) - ramp / 2)) / ramp));
  return [first, 1 - t * t * (3 - 2 * t)];
}

/** Positions grouped by the tiles that they touch: [{ tile, index: [...], local: Float32Array, weight: [...] }]. */
export function shares(axis, positions) {
  const groups = new Map();
  const add = (tile, k, weight) => {
    if (weight <= 0) return;
    if (!groups.has(tile)) groups.set(tile, { tile, index: [], weight: [] });
    groups.get(tile).index.push(k);
    groups.get(tile).weight.push(weight);
  };
  positions.forEach((at, k) => {
    const [first, weight] = cover(axis, at);
    add(first, k, weight);
    add(first + 1, k, 1 - weight);
  });
  return [...groups.values()].map((group) => ({
    ...group,
    local: Float32Array.from(group.index, (k) => (positions[k] - axis.starts[group.tile]) * (2 / axis.tile) - 1),
  }));
}

/** A camera that looks at the origin from (azimuth, elevation) in degrees: origin, and columns right, up, back. */
export function camera(azimuth, elevation, distance) {
  const [a, e] = [azimuth, elevation].map((angle) => (angle * Math.PI) / 180);
  const back = [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
  const vertical = Math.abs(back[2]) > 1 - 1e-7 ? [0, 1, 0] : [0, 0, 1];
  const right = unit(cross(vertical, back));
  return { origin: back.map((v) => v * distance), right, up: cross(back, right), back };
}

/** The direction of unit length in which a camera sees (y, x) in [-1, 1] of its picture; `half` is tan(angle / 2). */
export function direction(view, y, x, half, aspect) {
  return unit(view.right.map((r, k) => half * x * r - half * aspect * y * view.up[k] - view.back[k]));
}

/** Latitude and longitude in degrees of a place on the visible half of the globe; null beside the disc. */
export function orthographic(y, x, latitude, longitude) {
  const r = Math.hypot(y, x);
  if (r > 1) return null;
  const phi = (latitude * Math.PI) / 180, cosine = Math.sqrt(1 - r * r);
  const north = Math.asin(Math.max(-1, Math.min(1, cosine * Math.sin(phi) + y * Math.cos(phi))));
  const east = Math.atan2(x, Math.cos(phi) * cosine - y * Math.sin(phi));
  return [(north * 180) / Math.PI, ((((east * 180) / Math.PI + longitude) % 360) + 360) % 360];
}

/** A place on the globe, as people write it. */
export function placeName([latitude, longitude]) {
  return `${Math.abs(latitude).toFixed(1)}° ${latitude < 0 ? "S" : "N"}, ${longitude.toFixed(1)}° E`;
}

/** Coordinates that a model on the sphere takes: a point of the unit sphere, or (y, x) of the plain picture. */
export function earthCoordinates([latitude, longitude], sphere) {
  if (!sphere) return [-latitude / 90, longitude / 180 - 1];
  const [north, east] = [latitude, longitude].map((angle) => (angle * Math.PI) / 180);
  return [Math.cos(north) * Math.cos(east), Math.cos(north) * Math.sin(east), Math.sin(north)];
}

/** The cross product. */
export function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

function unit(v) {
  const length = Math.hypot(...v);
  return v.map((part) => part / length);
}
