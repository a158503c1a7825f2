"""The image that a visitor has chosen: an example, or an upload and its way off the disk."""

import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Upload:
    """A visitor's file in Gradio's upload folder. Gradio has checked that it lies there.

    It is this visitor's alone, see `server.SeparateUpload`: whoever has it may remove it.
    """

    path: Path
    name: str  # as the visitor's computer calls it: escape it


@dataclass(frozen=True)
class Example:
    """One of the images in examples/; its name starts with its class."""

    path: Path
    label: str

    @property
    def name(self) -> str:
        return f"Example: {self.label.lower()}"

    @property
    def pathology(self) -> str:
        return self.path.stem.partition("-")[0]

    def reference_mask(self) -> np.ndarray:
        """bool (H, W), the outline that comes with the data set."""
        path = self.path.parents[1] / "masks" / self.path.name
        return np.asarray(Image.open(path).convert("L")) > 127


def upload_area(**options) -> gr.File:
    """A gr.File whose handlers receive an Upload, or a list of them where it takes several files;
    options go to gr.File.

    On its own, gr.File would leave an empty temporary file behind at each call.
    """
    area = gr.File(**options)
    # Not by a subclass, for which Gradio writes a .pyi file into this folder.
    area.preprocess = _as_uploads if area.file_count == "multiple" else _as_upload
    area.async_move_resource_to_block_cache = _only_uploads(area)
    return area


def _only_uploads(area: gr.File) -> Callable:
    """A caller of the API may name an address, which Gradio would fetch whole, however large."""
    move = area.async_move_resource_to_block_cache

    async def move_unless_address(path: str | Path | None) -> str | None:
        if str(path).lower().startswith(("http:", "https:")):
            raise gr.Error("Upload the file itself, not its address.")
        return await move(path)

    return move_unless_address


def _as_upload(payload) -> Upload | None:
    """payload: Gradio's FileData, or None."""
    if payload is None:
        return None
    path = Path(payload.path)
    return Upload(path, payload.orig_name or path.name)


def _as_uploads(payload) -> list[Upload]:
    """payload: a list of Gradio's FileData, or None."""
    return [_as_upload(each) for each in payload or ()]


def find_examples(folder: Path) -> dict[str, Example]:
    """label → example, of all images in folder/images, in the order of their names."""
    examples, count = {}, {}
    for path in sorted((folder / "images").glob("*.png")):
        kind = path.stem.partition("-")[0].capitalize()
        count[kind] = count.get(kind, 0) + 1
        label = f"{kind} {count[kind]}"
        examples[label] = Example(path, label)
    return examples


def copy_upload(image: Upload | Example | None) -> Upload | Example | None:
    """A copy that another tab may remove; an example, or an upload that is gone, as it is."""
    if not isinstance(image, Upload) or not image.path.exists():
        return image
    folder = image.path.parent.with_name(secrets.token_hex(32))
    folder.mkdir(mode=0o700)
    return Upload(Path(shutil.copy(image.path, folder)), image.name)


def remove_upload(image: Upload | Example | None) -> None:
    """Take an upload off the disk, with the folder that Gradio made for it."""
    if isinstance(image, Upload):
        image.path.unlink(missing_ok=True)
        with suppress(OSError):  # swept already
            image.path.parent.rmdir()
