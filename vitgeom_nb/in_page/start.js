(() => {
  "use strict";
  // Nothing but this is loaded before a reader asks: parts come as scripts, which a page opened as a file may load too.
  const root = document.querySelector(".vg-own:not([data-ready])");
  if (!root) return;
  const show = (name) => root.querySelector(`[data-show="${name}"]`), arrived = {}, waiting = {};
  window.vitgeomPart = (name, parts) => { arrived[name] = parts; };
  const fetched = (name, folder = root.dataset.parts) => waiting[name] ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = `${folder}/${name}.js`;
    script.onload = () => { script.remove(); delete waiting[name]; const parts = arrived[name]; delete arrived[name]; done(parts); };
    script.onerror = () => { script.remove(); delete waiting[name]; failed(new Error(`${name}.js could not be loaded; reload the page and try again.`)); };
    document.head.append(script);
  });
  const wanted = new URLSearchParams(location.hash.startsWith("#setting:") ? location.hash.slice(9) : "");
  const network = root.querySelector("#vg-network"), other = root.querySelector("#vg-other"), button = root.querySelector('[data-do="load"]');
  const names = [...network.options].map((o) => o.value);
  network.value = names.includes(wanted.get("network")) ? wanted.get("network") : names[0];
  other.value = names.includes(wanted.get("second")) ? wanted.get("second") : names.find((n) => n !== network.value) ?? names[0];
  const sizes = JSON.parse(root.dataset.sizes), mega = (name) => (sizes[name] / 1e6).toFixed(1);
  const weigh = () => { show("size").textContent = `${(([network.value, "runtime", "samples", "worker", "page"].reduce((sum, n) => sum + (sizes[n] ?? 0), 0)) / 1e6).toFixed(0)} MB; nothing is sent anywhere`; };
  network.addEventListener("change", weigh);
  weigh();
  if ([...wanted.keys()].length) {
    show("status").textContent = "This link restores a setting: load the network to see it.";
    root.scrollIntoView();
  }
  const missing = typeof WebAssembly !== "object" || typeof DecompressionStream !== "function" || typeof OffscreenCanvas !== "function";
  if (missing) show("status").textContent = "This browser lacks WebAssembly, decompression or canvases in workers; below is a recorded frame.";
  button.disabled = missing;
  button.addEventListener("click", async () => {
    if (button.disabled) return;
    button.disabled = true;
    const began = performance.now(), say = (text) => { show("status").textContent = text; };
    try {
      say("Loading the page's own scripts …");
      if (!window.vitgeomOwn) await fetched("page");
      await window.vitgeomOwn({ root, fetched, wanted, mega, say, began });
    } catch (error) { say(error.message); button.disabled = false; }
  });
  root.querySelector(".vg-load").hidden = false;
  root.dataset.ready = Math.round(performance.now());
})();
