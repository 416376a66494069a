// The page's side of the thread that decodes: requests with answers, one on its way at a time for what is seen.

export class Decoder {
  constructor() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.waiting = new Map();
    this.next = 0;
    this.worker.onmessage = ({ data: { id, answer, error } }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) resolve(answer);
      else reject(new Error(error));
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.values()) reject(new Error(event.message || "the decoder stopped"));
      this.waiting.clear();
    };
  }

  /** Whether nothing is on its way. */
  get idle() { return this.waiting.size === 0; }

  /** Ends the thread; what is on its way is never answered. */
  close() { this.worker.terminate(); }

  ask(kind, request = {}) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, kind, ...request });
    });
  }
}
