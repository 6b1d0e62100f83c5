(() => {
  "use strict";
  if (!window.vitgeomDraw) window.vitgeomDraw = {};

  // A reliability diagram from counts in cells so fine that every number of bins is a union of them.
  window.vitgeomDraw.reliability = (data, at) => {
    const [network, t, m] = at, bins = data.bins[m];
    const cells = data.cells[network][t], [zero, one] = [data.scale.zero, data.scale.one];
    const count = new Float64Array(bins), correct = new Float64Array(bins), sum = new Float64Array(bins);
    let total = 0, right = 0, sure = 0, ece = 0, sece = 0;
    cells.at.forEach((cell, k) => {
      // the cell (a, b] lies in the bin whose right edge is the first that is not left of b
      const bin = Math.ceil(data.edges[cell + 1] * bins - 1e-9) - 1;
      count[bin] += cells.count[k]; correct[bin] += cells.correct[k]; sum[bin] += cells.sum[k] / data.unit;
    });
    for (let b = 0; b < bins; b++) { total += count[b]; right += correct[b]; sure += sum[b]; }
    const x = (v) => zero[0] + v * (one[0] - zero[0]), y = (v) => zero[1] + v * (one[1] - zero[1]);
    const fix = (v) => v.toFixed(1), colour = data.colours[network];
    let overlay = "", dots = "";
    for (let b = 0; b < bins; b++) {
      if (!count[b]) continue;
      const accuracy = correct[b] / count[b], confidence = sum[b] / count[b], share = count[b] / total;
      ece += share * Math.abs(accuracy - confidence); sece += share * (accuracy - confidence);
      const opacity = (0.15 + 0.85 * Math.sqrt(share)).toFixed(3);
      overlay += `<rect x="${fix(x(b / bins))}" y="${fix(y(accuracy))}" width="${fix(x((b + 1) / bins) - x(b / bins))}" ` +
        `height="${fix(y(0) - y(accuracy))}" fill="${colour}" fill-opacity="${opacity}"/>`;
      dots += `<circle cx="${fix(x(confidence))}" cy="${fix(y(accuracy))}" r="2.5" fill="#222222"/>`;
    }
    const sign = (v) => (v >= 0 ? "+" : "-") + Math.abs(v).toFixed(4);
    const readout = [(right / total).toFixed(4), (sure / total).toFixed(4), ece.toFixed(4), sign(sece)];
    const alt = data.alt.replace("{network}", data.names[network]).replace("{bins}", bins)
      .replace("{temperature}", data.temperatures[t]).replace("{ece}", readout[2]).replace("{sece}", readout[3]);
    return [[[null, overlay + dots, alt, data.names[network]]], readout];
  };

  const start = (root) => {
    const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
    const inputs = data.controls.map((c) => root.querySelector(`#${root.id}-${c.name}`));
    const panels = [...root.querySelectorAll(".vg-panel")], values = [...root.querySelectorAll(".vg-readout dd")];
    const play = root.querySelector(".vg-play"), calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    let timer = null;

    const frameAt = (at) => {
      if (data.script) return window.vitgeomDraw[data.script](data, at);
      let k = 0;
      data.controls.forEach((c, i) => { k = k * c.texts.length + at[i]; });
      const [shown, readout] = data.frames[k];
      return [shown.map(([image, over, alt, title]) => [data.pool[image], data.pool[over], alt, title]), readout];
    };
    const show = () => {
      const at = inputs.map((input) => Number(input.value));
      const [shown, readout] = frameAt(at);
      shown.forEach(([image, over, alt, title], i) => {
        const img = panels[i].querySelector("img");
        const svg = panels[i].querySelector("svg");
        if (image !== null && img.getAttribute("src") !== image) img.src = image;
        img.alt = alt;
        panels[i].querySelector(".vg-title").textContent = title;
        if (svg) svg.innerHTML = over;
      });
      readout.forEach((text, i) => { values[i].textContent = text; });
      data.controls.forEach((c, i) => {
        if (inputs[i].type !== "range") return;
        inputs[i].setAttribute("aria-valuetext", c.texts[at[i]]);
        root.querySelector(`output[for="${inputs[i].id}"]`).textContent = c.texts[at[i]];
      });
    };
    const stop = () => { clearInterval(timer); timer = null; if (play) play.textContent = calm.matches ? "Step" : "Play"; };
    inputs.forEach((input) => input.addEventListener("input", () => { stop(); show(); }));
    if (play) {
      const moved = inputs[data.controls.findIndex((c) => c.name === play.dataset.moves)];
      const forward = () => { moved.value = Number(moved.value) + 1; show(); return moved.value !== moved.max; };
      play.addEventListener("click", () => {
        if (timer !== null) return stop();
        if (moved.value === moved.max) { moved.value = 0; show(); }
        else if (calm.matches) forward();
        if (calm.matches) return;
        play.textContent = "Pause";
        timer = setInterval(() => { if (!forward()) stop(); }, Math.max(80, 4000 / (Number(moved.max) + 1)));
      });
      calm.addEventListener("change", stop);
    }
    stop();
    show();
    root.querySelector(".vg-controls").hidden = false;
    root.dataset.ready = Math.round(performance.now());
  };
  document.querySelectorAll(".vg-explorer:not([data-ready])").forEach(start);
})();
