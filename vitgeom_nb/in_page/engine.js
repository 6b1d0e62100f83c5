"use strict";
// In the worker: the runtime, the networks it has, and one evaluation at a time.

class Stopped extends Error {}

const bytesOf = (text) => Uint8Array.fromBase64?.(text) ?? Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

const unpacked = async (text) => {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

// values of some bytes each from their planes of first bytes, second bytes, and so on
const joined = (planes, width) => {
  const count = planes.length / width, out = new Uint8Array(planes.length);
  for (let p = 0; p < width; p++) for (let k = 0, at = p * count; k < count; k++) out[width * k + p] = planes[at + k];
  return out.buffer;
};

// the value of each of the 65,536 numbers in half precision, by its bits
const halves = () => Float32Array.from({ length: 65536 }, (_, bits) => {
  const exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
  return (bits >> 15 ? -1 : 1) * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
});

// the file of weights that the graphs name: float32, whatever the precision in which they travelled
const weightsOf = async ({ precision, weights, constants }) => {
  const [own, rest] = await Promise.all([unpacked(weights), unpacked(constants)]), more = new Uint8Array(joined(rest, 4));
  let values = joined(own, precision === "half" ? 2 : 4);
  if (precision === "half") {
    const table = halves(), bits = new Uint16Array(values), wide = new Float32Array(bits.length);
    for (let k = 0; k < bits.length; k++) wide[k] = table[bits[k]];
    values = wide.buffer;
  }
  const file = new Uint8Array(values.byteLength + more.length);
  file.set(new Uint8Array(values));
  file.set(more, values.byteLength);
  return file;
};

// lets messages in, so that a reader's Stop is heard between two evaluations
const breath = () => new Promise((done) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => { port1.close(); done(); };
  port2.postMessage(0);
});

let ort = null;
const startRuntime = async (parts) => {
  const [module, wasm] = await Promise.all([unpacked(parts.module), unpacked(parts.wasm)]);
  const address = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
  ort = await import(address);
  URL.revokeObjectURL(address);
  ort.env.wasm.numThreads = 1;  // several need headers that pages opened as files have not
  ort.env.wasm.wasmBinary = wasm;
  ort.env.logLevel = "error";
};

class Network {
  constructor(name, parts) {
    Object.assign(this, { name, parts, dim: parts.dim, classes: parts.classes.length, sessions: {}, weights: null });
    this.shape = [1, 3, parts.size, parts.size];
    this.zero = { u: new Float32Array(parts.dim), v: new Float32Array(this.classes) };
  }

  // a graph becomes a session when it is first asked for
  async session(graph) {
    if (!this.sessions[graph]) {
      this.weights ??= await weightsOf(this.parts);
      Object.assign(this.parts, { weights: null, constants: null });
      this.sessions[graph] = await ort.InferenceSession.create(await unpacked(this.parts.graphs[graph]), {
        executionProviders: ["wasm"], externalData: [{ path: "weights.bin", data: this.weights }],
      });
    }
    return this.sessions[graph];
  }

  async run(graph, given) {
    const session = await this.session(graph), feeds = {};
    for (const [name, data] of Object.entries(given)) {
      feeds[name] = new ort.Tensor("float32", data, name === "x" || name === "d" ? this.shape : [1, data.length]);
    }
    const out = await session.run(feeds), found = {};
    for (const [name, tensor] of Object.entries(out)) { found[name] = tensor.data.slice(); tensor.dispose(); }
    return found;
  }

  forward(x) { return this.run("forward", { x }); }
  pull(x, u, v) { return this.run("pull", { x, u: u ?? this.zero.u, v: v ?? this.zero.v }); }
  async push(x, d) { return (await this.run("push", { x, d })).change; }
}

const dot = (a, b) => { let s = 0; for (let i = 0; i < a.length; i++) s += a[i] * b[i]; return s; };
const norm = (a) => Math.sqrt(dot(a, a));
const minus = (a, b) => a.map((v, i) => v - b[i]);
const cosine = (a, b) => dot(a, b) / Math.max(norm(a) * norm(b), 1e-30);
const clamped = (v) => Math.min(1, Math.max(0, v));
const along = (x, s, d) => x.map((v, i) => v + s * d[i]);
const peak = (a, b) => { const d = minus(a, b); return -10 * Math.log10(dot(d, d) / d.length); };
const largest = (z) => z.reduce((best, v, i) => (v > z[best] ? i : best), 0);
const softmax = (z) => {
  const top = z[largest(z)], e = Float64Array.from(z, (v) => Math.exp(v - top));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
};

// normally distributed numbers, the same ones for the same seed
const normal = (seed, count) => {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  return Float64Array.from({ length: count }, () =>
    Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
};
