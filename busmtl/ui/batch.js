// The tab "Batch": its table is sorted here, and files dropped or pasted while it is open are its
// own (this file stands before page.js, which would hand them to "Analyse").
(() => {
  const MAX_UPLOAD_BYTES = 64 * 1024 ** 2; // page.py's max_file_size
  const collator = new Intl.Collator(undefined, { numeric: true });

  const compare = (column, sign) => (a, b) => {
    const [x, y] = [a, b].map((row) => row.cells[column].dataset.value);
    if (!x || !y) return !x - !y; // empty ones last, whichever way
    const numbers = x - y;
    return sign * (Number.isNaN(numbers) ? collator.compare(x, y) : numbers);
  };

  addEventListener("click", (event) => {
    const head = event.target.closest?.("#batch-table th[aria-sort]");
    if (!head) return;
    const sign = head.ariaSort === "ascending" ? -1 : 1;
    for (const other of head.parentNode.children) other.ariaSort = "none";
    head.ariaSort = sign > 0 ? "ascending" : "descending";
    const body = head.closest("table").tBodies[0];
    body.append(...[...body.rows].sort(compare(head.cellIndex, sign)));
  });

  const input = () => document.querySelector("#batch-files input[type=file]");
  const isTooLarge = (file) => file.size > MAX_UPLOAD_BYTES;

  // The server would refuse all of them together, in its own words.
  const leaveOutLarge = (files) => {
    const left = files.filter(isTooLarge);
    document.querySelector("#batch-large")?.remove();
    if (left.length) {
      const sentence = document.createElement("p");
      [sentence.id, sentence.role] = ["batch-large", "alert"];
      sentence.textContent =
        `Too large and not taken: ${left.map((file) => file.name).join(", ")}. ` +
        "An upload may have 64 MB: split it.";
      document.querySelector("#batch-files").after(sentence);
    }
    return files.filter((file) => !isTooLarge(file));
  };

  const give = (files) => {
    const chosen = new DataTransfer();
    for (const file of leaveOutLarge([...files])) chosen.items.add(file);
    input().files = chosen.files;
    if (chosen.files.length) input().dispatchEvent(new Event("change", { bubbles: true }));
  };

  const take = (event, files) => {
    if (!document.querySelector("#batch")?.checkVisibility() || !files?.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (input()) give(files);
  };

  const check = (event) => {
    if (event.target !== input() || ![...event.target.files].some(isTooLarge)) return;
    event.stopImmediatePropagation();
    give(event.target.files);
  };

  addEventListener("paste", (event) => take(event, event.clipboardData?.files));
  addEventListener("drop", (event) => take(event, event.dataTransfer?.files), true);
  addEventListener("change", check, true);
})();
