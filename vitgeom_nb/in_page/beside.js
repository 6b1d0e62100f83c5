// the network that an explorer shows is that of its button
document.addEventListener("input", ({ target }) => {
  const link = target.id.endsWith("-network") && target.closest(".vg-explorer")?.querySelector(".vg-beside");
  if (link) link.href = JSON.parse(link.dataset.links)[target.value];
});
