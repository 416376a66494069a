// onnxruntime-web: on the graphics card where the browser has WebGPU and can wait for it inside WebAssembly (JSPI), and
// on the processor elsewhere, with threads where the page is isolated (`tokenfield view` serves it so).

/** Loads the runtime that fits this browser: { ort, provider, threads }. `choice` "wasm" leaves the card alone. */
export async function loadRuntime(choice) {
  const card = choice !== "wasm" && (await hasCard());
  const ort = await import(card ? "./runtime/ort.jspi.min.mjs" : "./runtime/ort.wasm.min.mjs");
  const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  // Nothing is no graph and is refused, but only after the WebAssembly is compiled: it is, while files are on their way.
  if (!card) ort.InferenceSession.create(new Uint8Array(1), { executionProviders: ["wasm"] }).catch(() => {});
  return { ort, provider: card ? "webgpu" : "wasm", threads };
}

async function hasCard() {
  if (!navigator.gpu || !("Suspending" in WebAssembly)) return false;
  try {
    return Boolean(await navigator.gpu.requestAdapter());
  } catch {
    return false;
  }
}

/** The networks of a model: `run(name, inputs)` with arrays and shapes in and out; inputs that it has not are left out. */
export class Model {
  constructor(runtime, sessions) {
    this.ort = runtime.ort;
    this.sessions = sessions;
  }

  static async load(runtime, about) {
    const [weights, ...graphs] = await Promise.all(
      [about.weights, ...about.networks.map((name) => `${about.folder}${name}.onnx`)].map(bytes));
    const external = weights.length ? [{ path: "weights.bin", data: weights }] : [];
    const sessions = {};
    for (const [k, name] of about.networks.entries()) {
      const options = { executionProviders: [runtime.provider], externalData: external };
      sessions[name] = await runtime.ort.InferenceSession.create(graphs[k], options);
    }
    return new Model(runtime, sessions);
  }

  async run(name, inputs) {
    const session = this.sessions[name];
    const feeds = Object.fromEntries(session.inputNames.map((key) =>
      [key, new this.ort.Tensor("float32", ...inputs[key])]));
    const results = await session.run(feeds);
    return Object.fromEntries(Object.entries(results).map(([key, { data, dims }]) => [key, { data, shape: dims }]));
  }
}

/** The bytes of a file of this page. */
export async function bytes(path) {
  const answer = await fetch(new URL(path, import.meta.url));
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Tokens of a field as float32, whatever they are stored in. */
export async function loadTokens({ file, dtype }) {
  const { buffer } = await bytes(file);
  if (dtype === "float32") return new Float32Array(buffer);
  return Float32Array.from(new Uint16Array(buffer), fromHalf);
}

/** A float16 from its 16 bits. */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
