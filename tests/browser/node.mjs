// The page's decoder under Node, for machines without a browser: lines of JavaScript come in, lines of JSON go out. It
// lies in the folder of the page, whose thread it is: the same modules, graphs and WebAssembly, on one thread.

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

globalThis.fetch = async (address) => new Response(await readFile(new URL(address)));
globalThis.self = { postMessage: ({ answer, error }) => settle(answer, error) };
await import("./worker.js");

let settle;
const ask = (kind, request) => new Promise((resolve, reject) => {
  settle = (answer, error) => (error ? reject(new Error(error)) : resolve(answer));
  self.onmessage({ data: { kind, ...request } });
});
const { fields, models } = JSON.parse(await readFile(new URL("fields.json", import.meta.url)));
const open = (k) => ask("open", { about: fields[k], model: models[fields[k].model], choice: "wasm" });
globalThis.page = { fields, decoder: { ask }, open };

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await eval(line).then((value) => ({ value }), (error) => ({ error: String(error.stack) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();  // the runtime would go on
