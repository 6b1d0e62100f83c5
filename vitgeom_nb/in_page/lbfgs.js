// Bound-constrained L-BFGS with a proximal term that falls to 0: vitgeom_nb/equivalence/proximal_lbfgs.py for one image.

class ProximalLBFGS {
  constructor(anchor) {
    Object.assign(this, { anchor, x: anchor, gradient: null, direction: null, value: Infinity, pairs: [] });
    Object.assign(this, { mu: 0, curvature: 0, length: 1, since: 0, failures: 0 });
  }

  // the next trial point; the same point where it can go no further
  step(x, value, gradient) {
    const first = this.value === Infinity, old = this.x;
    if (first) {
      this.curvature = dot(gradient, gradient) / Math.max(2 * value, 1e-30);
      this.mu = 0.01 * this.curvature;
    }
    const away = minus(old, this.anchor), there = minus(x, this.anchor), move = minus(x, old);
    const rise = first ? 0 : value - this.value + (this.mu / 2) * (dot(there, there) - dot(away, away));
    const slope = first ? 0 : dot(this.gradient, move) + this.mu * dot(away, move);
    const accepted = first || rise <= 1e-4 * slope;
    this.failures = accepted ? 0 : this.failures + 1;
    const stuck = this.failures === 10;
    if (accepted && !first) this.pairs = [{ s: move, y: minus(gradient, this.gradient) }, ...this.pairs].slice(0, 20);
    if (stuck) this.pairs = [];
    if (accepted) Object.assign(this, { x, gradient, value });
    this.cut(accepted);
    let factor = -slope / (2 * (rise - slope));
    factor = Number.isNaN(factor) ? 0.1 : Math.min(0.5, Math.max(0.1, factor));
    if (accepted || stuck) { this.direction = this.aim(); this.length = 1; } else this.length *= factor;
    if (this.failures > 20) return x;
    return this.x.map((v, i) => clamped(v + this.length * this.direction[i]));
  }

  total() { return Float64Array.from(this.gradient, (g, i) => g + this.mu * (this.x[i] - this.anchor[i])); }

  // less of the proximal term where its problem is solved well enough, or has had its time
  cut(accepted) {
    const total = this.total(), since = this.since + (accepted ? 1 : 0);
    const left = norm(total.map((g, i) => clamped(this.x[i] - g) - this.x[i]));
    const cut = accepted && (left <= 3 * this.mu * norm(minus(this.x, this.anchor)) || since > 30);
    if (cut) this.mu = this.mu / 10 < 1e-8 * this.curvature ? 0 : this.mu / 10;
    this.since = cut ? 0 : since;
  }

  // the quasi-Newton direction over the pixels that the box leaves free
  aim() {
    const total = this.total(), { x, mu } = this;
    const free = total.map((g, i) => ((x[i] <= 0 && g > 0) || (x[i] >= 1 && g < 0) ? 0 : 1));
    const downhill = total.map((g, i) => -g * free[i]);
    const fallback = 1 / Math.max(this.curvature + mu, 1e-30);
    const used = [];
    for (const pair of this.pairs) {
      const s = Float64Array.from(pair.s, (v, i) => v * free[i]);
      const y = Float64Array.from(pair.y, (v, i) => v * free[i] + mu * s[i]);
      const sy = dot(s, y), yy = dot(y, y);
      if (sy > 1e-10 * Math.sqrt(Math.max(dot(s, s) * yy, 1e-60))) used.push({ s, y, sy, yy });
    }
    const scale = used.length ? used[0].sy / used[0].yy : fallback;
    let q = downhill.slice();
    for (const p of used) { p.a = dot(p.s, q) / p.sy; q = q.map((v, i) => v - p.a * p.y[i]); }
    q = q.map((v) => v * scale);
    for (const p of used.reverse()) { const b = dot(p.y, q) / p.sy; q = q.map((v, i) => v + (p.a - b) * p.s[i]); }
    return dot(q, downhill) > 0 ? q : downhill.map((v) => v * fallback);
  }
}

// Adam, for pairs that would not arrive in time
class Adam {
  constructor(anchor, rate) { Object.assign(this, { rate, m: new Float64Array(anchor.length), v: new Float64Array(anchor.length), t: 0 }); }

  step(x, gradient) {
    this.t += 1;
    const { m, v, t } = this;
    return x.map((p, i) => {
      m[i] = 0.9 * m[i] + 0.1 * gradient[i];
      v[i] = 0.999 * v[i] + 0.001 * gradient[i] ** 2;
      return clamped(p - (this.rate * (m[i] / (1 - 0.9 ** t))) / (Math.sqrt(v[i] / (1 - 0.999 ** t)) + 1e-8));
    });
  }
}
