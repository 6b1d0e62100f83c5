// What scrolls must be reachable by keyboard: whatever is wider than its frame becomes a tab stop.
(() => {
  const reach = () => {
    document.querySelectorAll(".bd-article pre, .bd-article .output, .bd-article mjx-container[display], .pst-scrollable-table-container")
      .forEach((e) => { if (e.scrollWidth > e.clientWidth) e.tabIndex = 0; else e.removeAttribute("tabindex"); });
  };
  window.addEventListener("load", () => { reach(); window.MathJax?.startup?.promise?.then(reach); });
  window.addEventListener("resize", reach);
})();
