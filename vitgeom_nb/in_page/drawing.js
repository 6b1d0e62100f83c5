// Tables and curves of the panels.

window.vitgeomDrawing = (() => {
  const escape = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  const percent = (share) => (share >= 0.9995 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`);
  const rows = (pairs) => pairs.map(([name, value]) => `<div><dt>${escape(name)}</dt><dd>${escape(value)}</dd></div>`).join("");

  const bars = (top) => `<table class="vg-bars"><caption>Five most probable classes</caption><thead><tr><th scope="col">class</th><th scope="col">confidence</th></tr></thead><tbody>${top
    .map((one) => `<tr><th scope="row">${escape(one.name)}</th><td><span style="width:${(100 * one.share).toFixed(1)}%"></span>${percent(one.share)}</td></tr>`).join("")}</tbody></table>`;

  const table = (caption, heads, lines) => `<table><caption>${escape(caption)}</caption><thead><tr>${heads
    .map((h) => `<th scope="col">${escape(h)}</th>`).join("")}</tr></thead><tbody>${lines.map(([first, ...rest]) =>
    `<tr><th scope="row">${escape(first)}</th>${rest.map((v) => `<td>${escape(v)}</td>`).join("")}</tr>`).join("")}</tbody></table>`;

  const WIDTH = 300, HEIGHT = 210, LEFT = 44, EDGE = 26;
  const nice = (v) => (v === 0 ? "0" : Math.abs(v) >= 100 ? v.toFixed(0) : Math.abs(v) >= 1 ? v.toFixed(1) : v.toPrecision(1));

  // a curve with axes named in words, and a dot that can be moved
  const curve = (points, { x, y, alt, equal = false, mark = false, zero = false }) => {
    const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
    let [a, b, c, d] = [Math.min(...xs), Math.max(...xs), zero ? 0 : Math.min(...ys), Math.max(...ys)];
    if (b - a < 1e-12) b = a + 1;
    if (d - c < 1e-12) d = c + 1;
    let [kx, ky] = [(WIDTH - LEFT - 8) / (b - a), (HEIGHT - EDGE - 20) / (d - c)];
    if (equal) kx = ky = Math.min(kx, ky);
    const at = ([p, q]) => [LEFT + 4 + (p - a) * kx, HEIGHT - EDGE - 4 - (q - c) * ky];
    const path = points.map((p) => at(p).map((v) => v.toFixed(1)).join(",")).join(" ");
    const [top, right] = [c + (HEIGHT - EDGE - 20) / ky, a + (WIDTH - LEFT - 8) / kx];
    const dots = mark ? points.map((p, k) => `<circle cx="${at(p)[0].toFixed(1)}" cy="${at(p)[1].toFixed(1)}" r="${k % 4 ? 1.5 : 3}" fill="#0072B2"/>`).join("") : "";
    const html = `<svg class="vg-curve" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escape(alt)}">
<path d="M${LEFT},12V${HEIGHT - EDGE}H${WIDTH - 4}" fill="none" stroke="#555"/>
<text x="${LEFT - 4}" y="18" text-anchor="end">${nice(top)}</text><text x="${LEFT - 4}" y="${HEIGHT - EDGE}" text-anchor="end">${nice(c)}</text>
<text x="${LEFT}" y="${HEIGHT - 13}">${nice(a)}</text><text x="${WIDTH - 4}" y="${HEIGHT - 13}" text-anchor="end">${nice(right)}</text>
<text x="${(WIDTH + LEFT) / 2}" y="${HEIGHT - 3}" text-anchor="middle">${escape(x)}</text>
<text transform="translate(11,${HEIGHT / 2 - 6}) rotate(-90)" text-anchor="middle">${escape(y)}</text>
<polyline points="${path}" fill="none" stroke="#0072B2" stroke-width="2"/>${dots}<circle class="vg-here" r="6" fill="#D55E00" stroke="#fff" stroke-width="1.5" hidden/></svg>`;
    return { html, at: (k) => at(points[Math.min(points.length - 1, Math.max(0, k))]) };
  };

  const place = (root, drawn, k) => {
    const dot = root.querySelector(".vg-here"), [x, y] = drawn.at(k);
    dot.removeAttribute("hidden");
    dot.setAttribute("cx", x.toFixed(1));
    dot.setAttribute("cy", y.toFixed(1));
  };

  return { bars, curve, escape, percent, place, rows, table };
})();
