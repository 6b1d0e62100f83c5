// What the panels ask for. Each method takes (network, arguments, pace), where pace(progress) tells and lets Stop in.

const said = (network, out) => {
  const p = softmax(out.logits), order = [...p.keys()].sort((a, b) => p[b] - p[a]).slice(0, 5);
  return { label: order[0], top: order.map((k) => ({ label: k, name: network.parts.classes[k], share: p[k] })) };
};

const flat = (given) => Float32Array.from(given);

const see = async (network, { x }) => {
  const out = await network.forward(x);
  return { ...said(network, out), norm: norm(out.embedding), embedding: out.embedding };
};

// cosines of the embedding to those of the recorded samples, which are embedded once
const nearest = async (network, { x, samples }, pace) => {
  network.known ??= [];
  for (let k = network.known.length; k < samples.length; k++) {
    network.known.push((await network.forward(samples[k])).embedding);
    await pace({ done: k + 1, of: samples.length });
  }
  const { embedding } = await network.forward(x);
  return { cosines: network.known.map((other) => cosine(embedding, other)) };
};

// sign of the gradient of log sum exp of the other logits less the logit of the label: that of cross-entropy
const fgsmDirection = async (network, x, label) => {
  const { logits } = await network.forward(x);
  const others = softmax(logits.map((z, k) => (k === label ? -Infinity : z)));
  const v = flat(others);
  v[label] = -1;
  return (await network.pull(x, null, v)).gradient.map(Math.sign);
};

const moved = (x, epsilon, d) => along(x, Math.fround(epsilon), d);

const fgsm = async (network, { x, jump, seed }, pace) => {
  const label = largest((await network.forward(x)).logits);
  let start = x;
  if (jump) {
    const u = normal(seed, x.length), size = norm(u) / Math.sqrt(u.length);
    start = along(x, 0.05 / size, u);
  }
  const at = async (epsilon) => largest((await network.forward(moved(start, epsilon, direction))).logits);
  const direction = await fgsmDirection(network, start, label), grid = 100, most = 0.1;
  if (largest((await network.forward(start)).logits) !== label) {
    return { label, start, direction, epsilon: 0, outcome: "already wrong" };
  }
  let low = 0, high = null;
  for (let k = 1; k <= grid && high === null; k++) {
    const epsilon = (k * most) / grid;
    if ((await at(epsilon)) !== label) high = epsilon; else low = epsilon;
    await pace({ done: k, of: grid });
  }
  if (high === null) return { label, start, direction, epsilon: null, outcome: "never wrong" };
  for (let k = 0; k < 4; k++) {  // brackets of 0.001 down to less than 0.0001
    const middle = (low + high) / 2;
    if ((await at(middle)) !== label) high = middle; else low = middle;
    await pace({ done: grid, of: grid });
  }
  return { label, start, direction, epsilon: high, outcome: "crossed" };
};

const move = async (network, { x, s, d, clamp }) => {
  const there = along(x, s, d), shown = clamp ? there.map(clamped) : there;
  const [here, out] = [await network.forward(x), await network.forward(shown)];
  return { ...said(network, out), pixels: shown, change: norm(minus(out.embedding, here.embedding)),
    cosine: cosine(out.embedding, here.embedding), psnr: peak(shown, x) };
};

const match = async (network, { x, target, most = 300, steps = null }, pace) => {
  const t = (await network.forward(target)).embedding, scale = Math.max(dot(t, t), 1e-30);
  const whole = norm(minus((await network.forward(x)).embedding, t));
  // the goal as a loss, and how often it is asked whether the pace will do: MinimumChange of the package
  const budget = steps ?? most, window = Math.min(100, Math.max(10, Math.floor(budget / 8)));
  const enough = Math.min((0.1 * whole) ** 2 / 2, 0.001 * scale) / scale;
  let solver = new ProximalLBFGS(x), adam = null, point = x, best = null, lowest = Infinity, before = null;
  const history = [];
  for (let k = 1; k <= budget; k++) {
    const { embedding } = await network.forward(point), error = minus(embedding, t), distance = norm(error);
    const { gradient } = await network.pull(point, error);
    const now = { step: k, cosine: cosine(embedding, t), residual: distance / Math.max(whole, 1e-30), loss: distance ** 2 / 2,
      psnr: peak(point, x), pixels: point };
    history.push({ cosine: now.cosine, residual: now.residual });
    const arrived = now.cosine >= 0.999 && now.residual <= 0.1;
    if (!best || arrived || now.loss < best.loss) best = now;
    await pace({ ...now, arrived });
    if (arrived && steps === null) return { ...best, arrived, evaluations: k, history };
    let next;
    if (adam) next = adam.step(point, gradient);
    else {
      lowest = Math.min(lowest, now.loss / scale);
      before ??= lowest;
      next = solver.step(point, now.loss / scale, gradient.map((g) => g / scale));
      if (next.every((v, i) => v === point[i])) next = point.map((v, i) => clamped(v - 0.03 * Math.sign(gradient[i])));
    }
    if (k % window === 0 && !adam) {
      if (lowest * (lowest / before) ** ((budget - k) / window) > enough) {
        const still = lowest > 0.9 * before, rate = still ? 0.03 : Math.min(0.03, Math.max(0.01, 3 / Math.max(1, budget - k)));
        adam = new Adam(x, rate);
        next = still ? x : point.map((v, i) => clamped(v - rate * Math.sign(gradient[i])));
      }
      before = lowest;
    }
    point = next;
  }
  return { ...best, arrived: false, evaluations: history.length, history, last: point };
};

// singular values and vectors of a small square matrix by rotations of its columns (Jacobi): A = P diag(values) Q^T
const smallSVD = (A) => {
  const n = A.length, C = Array.from({ length: n }, (_, j) => Float64Array.from({ length: n }, (_, i) => A[i][j]));
  const Q = Array.from({ length: n }, (_, j) => { const e = new Float64Array(n); e[j] = 1; return e; });
  for (let sweep = 0, off = 1; sweep < 60 && off > 1e-15; sweep++) {
    off = 0;
    for (let i = 0; i < n - 1; i++) for (let j = i + 1; j < n; j++) {
      const a = dot(C[i], C[i]), b = dot(C[j], C[j]), c = dot(C[i], C[j]), size = Math.sqrt(a * b);
      if (!(Math.abs(c) > 1e-16 * size)) continue;
      off = Math.max(off, Math.abs(c) / size);
      const zeta = (b - a) / (2 * c), t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
      const cs = 1 / Math.sqrt(1 + t * t), sn = cs * t;
      for (const M of [C, Q]) for (let k = 0; k < n; k++) {
        const p = M[i][k], q = M[j][k];
        M[i][k] = cs * p - sn * q; M[j][k] = sn * p + cs * q;
      }
    }
  }
  const order = [...C.keys()].sort((i, j) => norm(C[j]) - norm(C[i]));
  const values = order.map((i) => norm(C[i]));
  return { values, left: order.map((i, k) => C[i].map((v) => v / Math.max(values[k], 1e-300))), right: order.map((i) => Q[i]) };
};

const orthogonal = (vector, basis) => {
  const before = norm(vector);
  let w = Float64Array.from(vector);
  for (let twice = 0; twice < 2; twice++) for (const b of basis) { const c = dot(b, w); w = w.map((v, i) => v - c * b[i]); }
  const size = norm(w);
  return size > 1e-6 * before ? [w.map((v) => v / size), size] : [w.fill(0), 0];
};

// Golub-Kahan bidiagonalisation J V = U B with full reorthogonalisation, until k residuals are small
const singular = async (network, { x, k, seed = 0, tolerance = 1e-4 }, pace) => {
  const pull = async (u) => (await network.pull(x, flat(u))).gradient, push = (v) => network.push(x, flat(v));
  const U = [], V = [], alpha = [], beta = [];
  const start = await pull(normal(seed, network.dim)), size = norm(start);
  V.push(Float64Array.from(start, (v) => v / size));
  for (let j = 0; j < network.dim; j++) {
    const [u, a] = orthogonal(await push(V[j]), U);
    await pace(null);
    const [v, b] = orthogonal(await pull(u), V);
    U.push(u); V.push(v); alpha.push(a); beta.push(b);
    const last = j + 1 === network.dim || b === 0;
    if (!last && (j + 1 < k + 5 || (j + 1 - k) % 5)) { await pace({ products: 2 * j + 3, values: [] }); continue; }
    const B = alpha.map((_, r) => alpha.map((_, c) => (r === c ? alpha[r] : c === r + 1 ? beta[r] : 0)));
    const { values, left, right } = smallSVD(B), residuals = left.map((p) => b * Math.abs(p[j]));
    const found = values.filter((s, i) => i < k && residuals[i] <= Math.max(tolerance * s, 2e-7 * values[0])).length;
    await pace({ products: 2 * j + 3, values: values.slice(0, k), found });
    if (found < Math.min(k, j + 1) && !last) continue;
    const vectors = right.slice(0, k).map((q) => {
      const w = new Float64Array(x.length);
      for (let r = 0; r <= j; r++) { const c = q[r], basis = V[r]; for (let i = 0; i < w.length; i++) w[i] += c * basis[i]; }
      return flat(w);
    });
    return { values: values.slice(0, k), residuals: residuals.slice(0, k), vectors, products: 2 * j + 3 };
  }
};

// a random direction less what the embedding answers to: conjugate gradients on w - J^T y
const blind = async (network, { x, seed, steps = 60 }, pace) => {
  let r = Float64Array.from(normal(seed, x.length)), p = null, gamma = 0;
  const size = norm(r);
  r = r.map((v) => v / size);
  let s = await network.push(x, flat(r));
  const first = norm(s);
  for (let k = 0; k < steps; k++) {
    const now = dot(s, s);
    p = p ? s.map((v, i) => v + (now / gamma) * p[i]) : s;
    gamma = now;
    const q = (await network.pull(x, flat(p))).gradient, step = gamma / dot(q, q);
    r = r.map((v, i) => v - step * q[i]);
    s = await network.push(x, flat(r));
    await pace({ done: k + 1, of: steps });
    if (norm(s) < 1e-5 * first) break;
  }
  const left = norm(r);
  return { vector: flat(r.map((v) => v / left)), slope: norm(s) / left, kept: left, random: first };
};

const angle = (a, b) => {
  const [p, q] = [norm(a), norm(b)], m = a.map((v, i) => v / p - b[i] / q), s = a.map((v, i) => v / p + b[i] / q);
  return 2 * Math.atan2(norm(m), norm(s));
};

// embeddings along the line from x to a second picture, in the plane of their first two principal components
const bend = async (network, { x, y, points = 33 }, pace) => {
  const d = minus(y, x), outs = [];
  for (let k = 0; k < points; k++) {
    outs.push(await network.forward(along(x, k / (points - 1), d)));
    await pace({ done: k + 1, of: points });
  }
  const z = outs.map((o) => Float64Array.from(o.embedding)), mean = z[0].map((_, i) => z.reduce((s, e) => s + e[i], 0) / points);
  const centred = z.map((e) => minus(e, mean)), gram = centred.map((a) => centred.map((b) => dot(a, b)));
  const { values, right } = smallSVD(gram);
  const plane = centred.map((_, k) => [0, 1].map((c) => right[c][k] * Math.sqrt(values[c])));
  const steps = z.slice(1).map((e, k) => minus(e, z[k]));
  const angles = steps.slice(1).map((e, k) => angle(e, steps[k]));
  const way = steps.reduce((s, e) => s + norm(e), 0), chord = norm(minus(z[points - 1], z[0]));
  return { plane, angles, straight: chord / way, share: (values[0] + values[1]) / values.reduce((a, b) => a + b, 0),
    said: outs.map((o) => said(network, o).top[0]) };
};

const evaluate = async (network, { graph, ...given }) =>
  network.run(graph, Object.fromEntries(Object.entries(given).map(([k, v]) => [k, flat(v)])));

const METHODS = { see, nearest, fgsm, move, match, singular, blind, bend, evaluate };
