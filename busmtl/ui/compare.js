// The slider between two pictures of the tab Compare: its line, and which picture is on which side.
addEventListener("input", ({ target }) => {
  const pair = target.closest?.(".compare .pair");
  if (!pair) return;
  if (target.type === "range") pair.style.setProperty("--split", `${target.value}%`);
  else pair.querySelector(`.${target.dataset.side} use`).setAttribute("href", `#compare-${target.value}`);
});
