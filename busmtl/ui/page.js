// Files that are pasted, or dropped anywhere on the page, go the same way as picked ones.
// A file above MAX_FILE_BYTES (set by page.py) is cut one byte beyond it: the server then says in
// the result's place that it is too large, sooner than after the whole upload.
(() => {
  const areas = () => [...document.querySelectorAll("[id$=upload]")]; // each tab's has such an id
  const input = () =>
    areas().find((area) => area.checkVisibility())?.querySelector("input[type=file]");
  const shortened = (file) =>
    file.size > MAX_FILE_BYTES ? new File([file.slice(0, MAX_FILE_BYTES + 1)], file.name) : file;

  const take = (event, files) => {
    if (!files?.length) return;
    event.preventDefault(); // or the browser would leave the page to open a dropped file
    if (!input()) return; // an image is being analysed
    event.stopPropagation();
    const chosen = new DataTransfer();
    chosen.items.add(shortened(files[0]));
    input().files = chosen.files;
    input().dispatchEvent(new Event("change", { bubbles: true }));
  };

  const isTooLarge = (event) =>
    event.target === input() && event.target.files[0]?.size > MAX_FILE_BYTES + 1;

  addEventListener("paste", (event) => take(event, event.clipboardData?.files));
  addEventListener("drop", (event) => take(event, event.dataTransfer?.files), true);
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("change", (event) => isTooLarge(event) && take(event, event.target.files), true);
})();
