// The panels: what a reader does, what the worker answers.

window.vitgeomOwn = async ({ root, fetched, wanted, mega, say, began }) => {
  const { rows, bars, table, curve, place, percent } = window.vitgeomDrawing, P = window.vitgeomPicture;
  const $ = (selector) => root.querySelector(selector), show = (name) => $(`[data-show="${name}"]`), button = (name) => $(`[data-do="${name}"]`);
  const own = new AbortController(), on = (target, kind, act) => target.addEventListener(kind, act, { signal: own.signal });
  const state = { network: $("#vg-network").value, x: null, y: null, at: {} };
  const { long, halt, latest } = window.vitgeomRunning(root, say);
  let asking = null;  // the worker, once it is there
  const ask = (task, given) => asking.ask(task, state.network, given);
  const partsOf = async (name, folder) => { say(`Loading ${name} (${mega(name)} MB) …`); return fetched(name, folder); };
  on(button("stop"), "click", halt);

  const fill = (name, pairs) => { show(name).innerHTML = rows(pairs); };
  const draw = (name, pixels, words) => { const c = show(name); c.hidden = false; P.paint(c, pixels); if (words) c.setAttribute("aria-label", words); };
  const grey = (d, gain) => d.map((v) => 0.5 + gain * v);
  const two = (message = "Choose a second picture first.") => { if (!state.y) say(message); return state.y; };

  // ---- pictures
  const known = [], list = $("#vg-sample");
  let samples = [];
  const clear = () => {
    for (const name of ["see", "nearest", "fgsm", "match", "match-history", "blind", "singular", "bend", "bend-plane", "bend-angles", "compare"]) show(name).replaceChildren();
    for (const name of ["fgsm-slide", "fgsm-picture", "match-picture", "match-change", "blind-controls", "blind-picture", "blind-direction", "bend-slide", "bend-picture"]) show(name).hidden = true;
    button("save-match").hidden = true;
    Object.assign(state, { way: null, found: null, matched: null, path: null });
  };
  const seen = latest(async () => {
    const out = await ask("see", { x: state.x });
    show("see").innerHTML = bars(out.top) + `<dl>${rows([["label", out.top[0].name], ["norm of the embedding", out.norm.toFixed(3)]])}</dl>`;
  });
  const put = async (which, pixels, name, sample = null) => {
    await halt();
    if (root.dataset.running) for (const key of ["epsilon", "direction", "radius", "along"]) wanted.delete(key);  // they were for another
    state[which] = pixels;
    state.at[which] = sample;
    P.paint($(`[data-picture="${which}"] canvas`), pixels);
    $(`[data-picture="${which}"] canvas`).setAttribute("aria-label", `${which === "x" ? "Your picture" : "The second picture"}: ${name}`);
    show(`named-${which}`).textContent = name;
    clear();
    if (state.x) await seen();
  };
  // where a slider starts: where the link that brought the reader here had it, once, or where it says most
  const start = (key, most) => { const value = wanted.get(key) ?? most; wanted.delete(key); $(`#vg-${key}`).value = value; };
  const which = () => $('[name="vg-which"]:checked').value;
  const given = async (blob, name) => {
    say(`Shrinking ${name} …`);
    try {
      const { pixels, width, height } = await P.shrunk(blob);
      await put(which(), pixels, name);
      say(`${name}: the centre of ${width} x ${height} pixels, as 64 x 64.`);
    } catch (error) { say(error.message); }
  };
  on(list, "change", () => list.value !== "" && put(which(), known[list.value], samples[list.value].name, Number(list.value)));
  on($("#vg-file"), "change", ({ target }) => target.files[0] && given(target.files[0], target.files[0].name));
  on(root, "dragover", (event) => event.preventDefault());
  on(root, "drop", (event) => { event.preventDefault(); const file = event.dataTransfer.files[0]; if (file) given(file, file.name); else say("What was dropped is no file; save the picture first, and drop its file."); });
  on(document, "paste", (event) => { const file = [...event.clipboardData.files][0]; if (file) given(file, "the pasted picture"); });
  on(button("save-x"), "click", () => P.save(state[which()], "picture-64.png"));
  let film = null;
  const dark = () => { film?.close(); film?.video.remove(); film = null; show("camera").hidden = true; };
  on(button("camera"), "click", async () => {
    try { film = await P.camera(); show("camera").prepend(film.video); show("camera").hidden = false; }
    catch { say("There is no camera here, or the browser may not use it."); }
  });
  on(button("take"), "click", async () => { if (film) { const blob = await film.take(); dark(); await given(blob, "the picture of the camera"); } });
  on(button("no-camera"), "click", dark);

  // ---- 1. what it sees
  const heavy = (name, title, work) => {
    button(name).dataset.heavy = "";
    on(button(name), "click", () => long(title, (step, awaited, stops) => work((task, given, told, network = state.network) => {
      const answer = asking.ask(task, network, given, told);
      stops.push(answer.stop);
      return answer;
    }, step, awaited)));
  };
  heavy("nearest", "Nearest samples", async (asked, step) => {
    const { cosines } = await asked("nearest", { x: state.x, samples: known }, ({ done, of }) => step(done, of));
    const order = [...cosines.keys()].filter((k) => k !== state.at.x).sort((a, b) => cosines[b] - cosines[a]).slice(0, 5);
    show("nearest").innerHTML = table("Nearest samples by the cosine of their embeddings", ["sample", "cosine"], order.map((k) => [samples[k].name, cosines[k].toFixed(4)]));
  });

  // ---- 2. FGSM
  const epsilonAt = () => Number($("#vg-epsilon").value) * state.way.most / 400;
  const walked = latest(async () => {
    if (!state.way) return;
    const { way } = state, epsilon = epsilonAt(), out = await ask("move", { x: way.start, s: Math.fround(epsilon), d: way.direction });
    if (way !== state.way) return;
    draw("fgsm-picture", out.pixels, `The picture moved by ${epsilon.toFixed(4)}`);
    $('output[for="vg-epsilon"]').textContent = epsilon.toFixed(6);
    $("#vg-epsilon").setAttribute("aria-valuetext", `${epsilon.toFixed(6)}, ${out.top[0].name}`);
    fill("fgsm", [["distance to the boundary", way.epsilon === null ? "more than 0.1" : way.epsilon.toFixed(6)], ["outcome", way.outcome], ["label at ε", out.top[0].name],
      ["confidence at ε", percent(out.top[0].share)], ["PSNR of the step", epsilon ? `${out.psnr.toFixed(1)} dB` : "no change"]]);
  });
  heavy("fgsm", "Distance along the sign of the gradient", async (asked, step) => {
    const way = await asked("fgsm", { x: state.x, jump: $("#vg-jump").checked, seed: 0 }, ({ done, of }) => step(done, of));
    way.most = way.epsilon ? Math.min(0.1, 2 * way.epsilon) : 0.1;
    state.way = way;
    show("fgsm-slide").hidden = false;
    start("epsilon", way.epsilon ? Math.ceil((400 * way.epsilon) / way.most) : 0);
    await walked();
  });
  on($("#vg-epsilon"), "input", walked);

  // ---- 3. matching
  heavy("match", "Matching", async (asked, step) => {
    if (!two()) return;
    const history = [];
    const tell = (now, most = 300) => {
      history.push([now.step ?? history.length, now.cosine]);
      step(now.step ?? most, most, `Matching: ${now.step ?? "all"} evaluations`);
      fill("match", [["cosine to the second picture", now.cosine.toFixed(5)], ["distance left", percent(now.residual)], ["PSNR of the change", Number.isFinite(now.psnr) ? `${now.psnr.toFixed(2)} dB` : "no change"]]);
      draw("match-picture", now.pixels);
      draw("match-change", now.pixels.map((v, i) => 0.5 + 5 * (v - state.x[i])));
    };
    let drawn = -1e9;
    const last = { now: null };
    try {
      const out = await asked("match", { x: state.x, target: state.y }, (now) => {
        last.now = now;
        if (performance.now() - drawn > 60) { drawn = performance.now(); tell(now); } else history.push([now.step, now.cosine]);
      });
      history.length = 0;
      out.history.slice(0, -1).forEach((h, k) => history.push([k + 1, h.cosine]));
      state.matched = out.pixels;
      tell({ ...out, step: out.evaluations });
      const { label, top } = await asked("see", { x: out.pixels });
      show("match").insertAdjacentHTML("beforeend", rows([["outcome", out.arrived ? `arrived after ${out.evaluations} evaluations` : "did not arrive"], ["label now", top[0].name], ["evaluations", out.evaluations]].slice(0, 2)));
    } finally {
      state.matched ??= last.now?.pixels ?? null;
      button("save-match").hidden = !state.matched;
      if (history.length > 1) show("match-history").innerHTML = curve(history, { x: "evaluations", y: "cosine", alt: "The cosine to the embedding of the second picture by evaluation." }).html;
    }
  });
  on(button("save-match"), "click", () => P.save(state.matched, "matched-64.png"));

  // ---- 4. blind directions
  const slid = latest(async () => {
    const { found } = state;
    if (!found) return;
    const k = Number($("#vg-direction").value), d = found.vectors[k], r = Number($("#vg-radius").value) / 4;
    const out = await ask("move", { x: state.x, s: Math.fround(r), d });
    if (found !== state.found) return;
    draw("blind-picture", out.pixels);
    draw("blind-direction", grey(d, 12));
    $('output[for="vg-radius"]').textContent = r.toFixed(2);
    $("#vg-radius").setAttribute("aria-valuetext", `${r.toFixed(2)}, ${out.top[0].name}`);
    fill("blind", [["length of the step", Math.abs(r).toFixed(2)], ["change of the embedding", out.change.toFixed(3)], ["to first order", (Math.abs(r) * found.values[k]).toFixed(3)],
      ["cosine to where it was", out.cosine.toFixed(4)], ["label", out.top[0].name]]);
  });
  heavy("singular", "Directions", async (asked, step) => {
    const top = await asked("singular", { x: state.x, k: 10 }, (now) => step(now.found ?? 0, 10, `Directions: ${now.products} products with the Jacobian, ${now.found ?? 0} of 10 values found`));
    const null_ = await asked("blind", { x: state.x, seed: 1 }, ({ done, of }) => step(done, of, `A blind direction: ${done} of at most ${of} steps`));
    state.found = { values: [...top.values, null_.slope], vectors: [...top.vectors, null_.vector] };
    $("#vg-direction").replaceChildren(...top.values.map((s, k) => new Option(`singular direction ${k + 1}`, k)), new Option("blind direction", top.values.length));
    show("blind-controls").hidden = false;
    start("direction", 0);
    start("radius", 4);
    show("singular").innerHTML = table(`How fast the embedding moves along each, after ${top.products} products with the Jacobian`, ["direction", "embedding per pixel value"],
      [...top.values.map((s, k) => [`singular\u00a0${k + 1}`, s.toFixed(4)]), ["random", null_.random.toFixed(4)], ["blind", null_.slope.toPrecision(2)]]);
    await slid();
  });
  on($("#vg-direction"), "change", slid);
  on($("#vg-radius"), "input", slid);

  // ---- 5. bend
  const onLine = () => {
    const { path } = state;
    if (!path) return;
    const k = Number($("#vg-along").value), s = k / 32, angle = path.angles[k - 1];
    draw("bend-picture", state.x.map((v, i) => v + s * (state.y[i] - v)));
    $('output[for="vg-along"]').textContent = `${Math.round(100 * s)} %`;
    $("#vg-along").setAttribute("aria-valuetext", `${Math.round(100 * s)} %, ${path.said[k].name}`);
    place(show("bend-plane"), path.plane, k);
    place(show("bend-angles"), path.turns, k - 1);
    fill("bend", [["label here", `${path.said[k].name}, ${percent(path.said[k].share)}`], ["direction change here", angle === undefined ? "none at an end" : `${((angle * 180) / Math.PI).toFixed(1)}°`],
      ["straight distance over way", path.straight.toFixed(3)], ["share of the plane shown", percent(path.share)]]);
  };
  heavy("bend", "Along the line", async (asked, step) => {
    if (!two()) return;
    const out = await asked("bend", { x: state.x, y: state.y }, ({ done, of }) => step(done, of));
    const plane = curve(out.plane, { x: "first component", y: "second component", equal: true, mark: true, alt: "The path of the embedding in the plane of its first two principal components." });
    const turns = curve(out.angles.map((a, k) => [100 * (k + 1) / 32, (a * 180) / Math.PI]), { x: "way in %", y: "direction change in degrees", zero: true, alt: "The angle between neighbouring steps of the embedding along the way." });
    [show("bend-plane").innerHTML, show("bend-angles").innerHTML] = [plane.html, turns.html];
    state.path = { ...out, plane, turns };
    show("bend-slide").hidden = false;
    start("along", 16);
    onLine();
  });
  on($("#vg-along"), "input", onLine);

  // ---- 6. two networks
  heavy("compare", "Two networks", async (asked, step, awaited) => {
    const names = [state.network, $("#vg-other").value], columns = [];
    for (const [k, network] of names.entries()) {
      const { precision } = await awaited(asking.need(network));
      const out = await asked("see", { x: state.x }, null, network);
      const way = await asked("fgsm", { x: state.x, jump: false, seed: 0 }, ({ done, of }) => step(done + k * 200, 400, `${network}: ${done} of ${of} steps`), network);
      const top = await asked("singular", { x: state.x, k: 3 }, (now) => step(150 + k * 200, 400, `${network}: ${now.products} products`), network);
      columns.push([out.top[0].name, percent(out.top[0].share), out.norm.toFixed(3), way.epsilon === null ? "more than 0.1" : way.epsilon.toFixed(6), ...top.values.map((s) => s.toFixed(3)), precision]);
    }
    const heads = ["label", "confidence", "norm of the embedding", "distance to the boundary", "largest singular value", "second", "third", "precision of the weights"];
    show("compare").innerHTML = table("The same picture in two networks", ["", ...names], heads.map((h, k) => [h, columns[0][k], columns[1][k]]));
  });

  // ---- link, another network, end
  on(button("link"), "click", async () => {
    const setting = new URLSearchParams({ network: state.network, second: $("#vg-other").value });
    const found = { epsilon: state.way, direction: state.found, radius: state.found, along: state.path };
    for (const [key, there] of Object.entries(found)) if (there) setting.set(key, $(`#vg-${key}`).value);
    for (const w of ["x", "y"]) if (state.at[w] !== null && state.at[w] !== undefined) setting.set(w, state.at[w]);
    if ($("#vg-jump").checked) setting.set("jump", 1);
    setting.set("open", [...root.querySelectorAll("details[open]")].map((d) => d.dataset.part).join("."));
    history.replaceState(null, "", `#setting:${setting}`);
    show("link").hidden = false;
    Object.assign($("#vg-link"), { value: location.href }).select();
    try { await navigator.clipboard.writeText(location.href); say("The link is on the clipboard."); } catch { say("Copy the link from the field."); }
  });
  on($("#vg-network"), "change", async () => {
    const name = $("#vg-network").value;
    await halt();
    const there = await long(`Loading ${name}`, async (step, awaited) => {
      state.precision = (await awaited(asking.need(name))).precision;
      state.network = name;
      asking.keep(name);
      clear();
      if (state.x) await seen();
    });
    if (there) say(`${name} is ready; its weights came in ${state.precision} precision.`);
    else $("#vg-network").value = state.network;
  });
  const close = (sentence) => {
    dark();
    asking?.end();
    own.abort();
    clear();
    known.length = 0;
    Object.assign(state, { x: null, y: null });
    delete root.vitgeom;
    show("app").hidden = true;
    show("frame").hidden = false;
    button("load").disabled = false;
    delete root.dataset.running;
    say(sentence);
  };
  on(button("close"), "click", async () => {
    const over = halt();
    asking.end();
    await over;
    close("Closed; the memory is free again.");
  });

  // ---- loading
  const parts = ["worker", "samples", "runtime", state.network];
  const ready = await long("Loading", async (step, awaited) => {
    const sizes = parts.map((name) => Number(mega(name))), whole = sizes.reduce((a, b) => a + b, 0);
    const next = (k) => step(sizes.slice(0, k).reduce((a, b) => a + b, 0), whole, `Loading ${parts[k]}: part ${k + 1} of ${parts.length}`);
    next(0);
    const { source } = await awaited(partsOf("worker"));
    asking = window.vitgeomAsking(source, partsOf, "The computation ended: there may be too little memory; close other pages and load again.");
    next(1);
    ({ samples } = await awaited(partsOf("samples")));
    for (const one of samples) known.push(await awaited(P.exact(P.fromBase64(one.png))));
    next(2);
    await awaited(asking.ask("runtime", null, {}, null, await awaited(partsOf("runtime", root.dataset.runtime))));
    next(3);
    state.precision = (await awaited(asking.need(state.network))).precision;
  });
  if (!ready) { close(show("status").textContent); return; }
  list.replaceChildren(new Option("choose …", ""), ...samples.map((one, k) => new Option(one.name, k)));
  show("app").hidden = false;
  show("frame").hidden = true;
  const first = (key, fallback) => (wanted.has(key) && known[Number(wanted.get(key))] ? Number(wanted.get(key)) : fallback);
  const [x, y] = [first("x", samples.length - 6), first("y", samples.length - 5)];
  await put("y", known[y], samples[y].name, y);
  await put("x", known[x], samples[x].name, x);
  if (wanted.has("open")) {
    const names = wanted.get("open").split(".");
    root.querySelectorAll("details").forEach((d) => { d.open = names.includes(d.dataset.part); });
    root.querySelector("details[open]")?.scrollIntoView({ block: "nearest" });
  }
  $("#vg-jump").checked = wanted.has("jump");
  root.dataset.running = Math.round(performance.now() - began);
  say(`Ready after ${(root.dataset.running / 1000).toFixed(1)} s: ${state.network} computes in this page; its weights came in ${state.precision} precision.`);
  root.vitgeom = { ask: (task, given_, told, network = state.network) => asking.ask(task, network, given_, told), need: asking.need, put, state };
};
