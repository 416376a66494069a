// Fields that are seen from somewhere: objects, whose coordinates are rays, and globes, whose coordinates lie on a sphere.

import { camera, cross, direction, earthCoordinates, orthographic } from "./geometry.js";
import { shade } from "./colour.js";

/** An object; a view is { azimuth, elevation, zoom } in degrees. */
export class Views {
  constructor(field, model, tokens) {
    Object.assign(this, { field, model, tokens });
  }

  /** The tokens that the ray through (y, x) in [-1, 1] of a view is made of. */
  attention({ view, y, x }) {
    const seen = camera(view.azimuth, view.elevation, this.field.distance);
    const along = direction(seen, y, x, Math.tan(this.field.angle / 2) / view.zoom, 1);
    return attention(this, [...along, ...cross(seen.origin, along)]);
  }

  /** RGBA of a view of `side` x `side` pixels. */
  async draw(view, side) {
    const { angle, distance, rays } = this.field;
    const seen = camera(view.azimuth, view.elevation, distance), half = Math.tan(angle / 2) / view.zoom;
    const rgba = new Uint8ClampedArray(4 * side * side).fill(255), axis = Float32Array.from(seen.back, (v) => -v);
    for (let first = 0; first < side * side; first += rays) {
      const origins = new Float32Array(3 * rays), directions = new Float32Array(3 * rays);
      for (let k = 0; k < rays; k++) {
        const pixel = Math.min(first + k, side * side - 1);
        const y = (2 * (Math.floor(pixel / side) + 0.5)) / side - 1, x = (2 * ((pixel % side) + 0.5)) / side - 1;
        origins.set(seen.origin, 3 * k);
        directions.set(direction(seen, y, x, half, 1), 3 * k);
      }
      const { values } = await this.model.run("rays", {
        tokens: [this.tokens, this.field.tokens.shape],
        origins: [origins, [rays, 3]],
        directions: [directions, [rays, 3]],
        axis: [axis, [3]],
      });
      for (let k = 0; k < Math.min(rays, side * side - first); k++) {
        for (let c = 0; c < 3; c++) rgba[4 * (first + k) + c] = 255 * values.data[3 * k + c];
      }
    }
    return rgba;
  }
}

/** Weights of all tokens at one coordinate: [{ token, weight }]; the first one's where nothing attends to tokens. */
async function attention({ model, tokens, field }, coords) {
  if (!model.sessions.attention) return [{ token: 0, weight: null }];
  const { weights } = await model.run("attention",
    { tokens: [tokens, field.tokens.shape], coords: [Float32Array.from(coords), [1, coords.length]] });
  return Array.from(weights.data, (weight, token) => ({ token, weight }));
}

/** A globe; a view is { latitude, longitude, zoom, variable }. */
export class Globe {
  constructor(field, model, tokens) {
    Object.assign(this, { field, model, tokens });
  }

  /** Physical values of a variable at places [latitude, longitude] in degrees. */
  async values(places, variable) {
    const { sphere, offset, scale } = this.field, axes = sphere ? 3 : 2, channels = offset.length;
    const coords = Float32Array.from(places.flatMap((place) => earthCoordinates(place, sphere)));
    const { values } = await this.model.run("points",
      { tokens: [this.tokens, this.field.tokens.shape], coords: [coords, [places.length, axes]] });
    return Float32Array.from(places, (_, k) => values.data[k * channels + variable] / scale[variable] + offset[variable]);
  }

  /** RGBA of a view of `side` x `side` pixels; transparent beside the globe, grey where the data had no value. */
  async draw(view, side) {
    const rgba = new Uint8ClampedArray(4 * side * side), pixels = [], places = [];
    for (let pixel = 0; pixel < side * side; pixel++) {
      const y = 1 - (2 * (Math.floor(pixel / side) + 0.5)) / side, x = (2 * ((pixel % side) + 0.5)) / side - 1;
      const place = orthographic(y / view.zoom, x / view.zoom, view.latitude, view.longitude);
      if (place) [pixels.push(pixel), places.push(place)];
    }
    const { low, high } = this.field, v = view.variable;
    for (let first = 0; first < places.length; first += 4096) {
      const some = places.slice(first, first + 4096), values = await this.values(some, v);
      some.forEach((place, k) => {
        const known = this.known(place, v);
        rgba.set(known ? shade((values[k] - low[v]) / (high[v] - low[v])) : [128, 128, 128, 255], 4 * pixels[first + k]);
      });
    }
    return rgba;
  }

  /** The tokens that a place is made of. */
  attention({ place }) {
    return attention(this, earthCoordinates(place, this.field.sphere));
  }

  /** Whether the data had a value in the cell around a place. */
  known([latitude, longitude], variable) {
    const { mask, size: [rows, columns], latitudes, longitudes } = this.field;
    if (!mask) return true;
    const place = (at, [first, last], n) => Math.round(((at - first) / (last - first)) * (n - 1));
    const row = place(latitude, latitudes, rows), column = place(longitude, longitudes, columns);
    const inside = row >= 0 && row < rows && column >= 0 && column < columns;
    return inside && mask[(variable * rows + row) * columns + column] === 1;
  }
}
