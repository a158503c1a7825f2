// Saving: the server puts a finished file into the page, and this hands it to the browser. Each has
// an id of its own, since Gradio leaves alone what is to show the same text again.
(() => {
  let saved = null; // id of the last one

  const save = ({ file, type, name }) => {
    const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };

  new MutationObserver(() => {
    const ready = document.querySelector("#ready-file [data-id]");
    if (!ready || ready.dataset.id === saved) return;
    saved = ready.dataset.id;
    save(ready.dataset);
  }).observe(document, { subtree: true, childList: true, attributeFilter: ["data-id"] });
})();

// Two points on the picture give the scale, two corners the crop. Both only fill number fields,
// which can be typed into as well; "Apply" then sends them.
window.pointer = (() => {
  let points = [];
  let finish = null; // what the second point does; null while the pointer is not asked for

  const frame = () => document.querySelector("#picture .frame");
  const field = (id) => document.querySelector(`#${id} input`);
  const fill = (id, value) => {
    field(id).value = value;
    field(id).dispatchEvent(new Event("input", { bubbles: true }));
  };

  // In px of the analysed image, (0, 0) at its upper left corner.
  const place = (event) => {
    const { left, top, width, height } = frame().getBoundingClientRect();
    const share = (value) => Math.min(1, Math.max(0, value));
    return {
      x: share((event.clientX - left) / width) * frame().dataset.width,
      y: share((event.clientY - top) / height) * frame().dataset.height,
    };
  };

  const draw = (shape) => {
    frame().querySelector(".pointer")?.remove();
    if (!shape) return;
    const { width, height } = frame().dataset;
    frame().insertAdjacentHTML(
      "beforeend",
      `<svg class="pointer" viewBox="0 0 ${width} ${height}" aria-hidden="true">
        <path class="halo" d="${shape}"/><path d="${shape}"/></svg>`,
    );
  };
  const line = ([a, b]) => `M${a.x},${a.y} L${b.x},${b.y}`;
  const box = ([a, b]) => `M${a.x},${a.y} H${b.x} V${b.y} H${a.x} Z`;

  const setScale = ([a, b]) => {
    const length = Math.hypot(b.x - a.x, b.y - a.y);
    const known = Number(field("known-length").value);
    if (length >= 1 && known > 0) fill("scale", Number((known / length).toPrecision(4)));
  };
  const setCrop = ([a, b]) => {
    const { left, top } = frame().dataset;
    fill("crop-left", Math.floor(Math.min(a.x, b.x)) + Number(left));
    fill("crop-top", Math.floor(Math.min(a.y, b.y)) + Number(top));
    fill("crop-right", Math.ceil(Math.max(a.x, b.x)) + Number(left));
    fill("crop-bottom", Math.ceil(Math.max(a.y, b.y)) + Number(top));
  };

  const stop = () => {
    finish = null;
    points = [];
    frame()?.classList.remove("pointing");
  };
  const start = (shape, then) => {
    if (!frame()) return;
    stop();
    draw(null);
    frame().classList.add("pointing");
    frame().scrollIntoView({ block: "nearest", behavior: "smooth" });
    finish = { shape, then };
  };

  addEventListener("click", (event) => {
    if (!finish || !frame()?.contains(event.target)) return;
    points.push(place(event));
    draw(finish.shape([points[0], points.at(-1)]));
    if (points.length < 2) return;
    finish.then(points);
    stop();
  });
  addEventListener("pointermove", (event) => {
    if (finish && points.length === 1 && frame()) draw(finish.shape([points[0], place(event)]));
  });
  addEventListener("keydown", (event) => {
    if (!finish || event.key !== "Escape") return;
    stop();
    draw(null);
  });

  return { measure: () => start(line, setScale), crop: () => start(box, setCrop) };
})();
