"""From whatever holds an image to uint8 RGB pixels, or to a sentence that says why not.

Training, app, and command line all decode here. NumPy and Pillow only, but for DICOM, which has
a module of its own. No sentence in this module names a file, since file names of medical images
can name a patient.
"""

import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import PurePath

import numpy as np
from PIL import Image, ImageOps

from .preprocess import to_input
from .variants import INPUT_SIZE

MAX_FILE_BYTES = 20 * 1024**2
MAX_PIXELS = 40_000_000
MIN_SIDE = 32  # px
MAX_SPACING_MM = 5.0  # a pixel: far above any ultrasound image, where lesions are of this size
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".dcm")
START_BYTES = 132  # by which a DICOM file is told

_PILLOW_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_MAX_PAGES_COUNTED = 100
# Far above what any real file needs: Pillow reads each strip of a TIFF in blocks of 64 KB.
_MAX_BYTES_READ = 512 * 1024**2

# Colour Doppler fills percents of the pixels; the coloured callipers and texts on the BUSI images,
# and the noise of JPEG on grey ones, stay below one percent at this difference between channels.
_COLOUR_SPREAD = 40  # of 255
_COLOUR_SHARE = 0.01

_TOO_MANY_PIXELS = (
    f"The image has more than {MAX_PIXELS // 1_000_000} megapixels. Make it smaller and try again."
)


class ImageError(ValueError):
    """The image cannot be used; the text is a sentence for the user, free of paths and names."""


@dataclass(frozen=True)
class DecodedImage:
    """An image as the networks' preprocessing takes it.

    image_rgb_u8: uint8 (H, W, 3) in [0, 255], upright, a copy of its own.
    spacing_mm: (between rows, between columns), mm per px; None where the file does not state it,
        as in all formats but DICOM.
    warnings: sentences for the user on what was changed or left out.
    frame_count: frames to choose from, which only DICOM files have more than one of.
    """

    image_rgb_u8: np.ndarray
    spacing_mm: tuple[float, float] | None
    warnings: tuple[str, ...]
    frame_count: int = 1
    _inputs: dict[int, np.ndarray] = field(default_factory=dict, init=False, compare=False)

    def input_u8(self, size: int = INPUT_SIZE) -> np.ndarray:
        """Grey uint8 (size, size), see `to_input`: made once, however many networks look at it."""
        if size not in self._inputs:
            self._inputs[size] = to_input(self.image_rgb_u8, size)
        return self._inputs[size]

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W) in px."""
        return self.image_rgb_u8.shape[:2]


def decode(
    source: str | os.PathLike | bytes | Image.Image | np.ndarray, frame: int = 0
) -> DecodedImage:
    """Decode a path, the bytes of a file, a PIL image, or a uint8 (H, W) or (H, W, 3) array.

    Files may be PNG, JPEG, BMP, TIFF, WebP, or DICOM, told by content and not by name. EXIF
    rotation is applied; of several frames the first is taken; more than 8 bits are scaled from
    the image's own minimum and maximum to 0 and 255; transparent places turn black. How DICOM is
    read: `busmtl.dicom`.

    frame: which frame of a DICOM file, from 0; other sources have only 0.

    Raises ImageError, and nothing else, for what cannot be used.
    """
    if isinstance(source, (str, os.PathLike)):
        source = _read_file(source)
    if isinstance(source, bytes):
        check_file_size(len(source))
        if is_dicom(source):
            return _from_dicom(source, frame)
    if frame != 0:
        raise ImageError("Only of DICOM files can a frame be chosen. Leave the choice out.")
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _from_pil(source)
    if isinstance(source, bytes):
        return _from_bytes(source)
    raise ImageError("There is no image here. Give a file, a PIL image, or a uint8 array.")


def _read_file(path: str | os.PathLike) -> bytes:
    # The system's own error texts hold the path: "from None" keeps it out of logs as well.
    try:
        status = os.stat(path)
        _check_file(status)
        with open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES + 1)  # it may have grown since
    except FileNotFoundError:
        raise ImageError("The file was not found. Check its name and try again.") from None
    except ImageError:
        raise
    except (OSError, ValueError):  # no permission, a name that no file can have
        raise ImageError(
            "The file could not be opened. Check its name and that you may read it."
        ) from None


def _check_file(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ImageError("This is a folder, not an image. Choose an image file in it.")
    if not stat.S_ISREG(status.st_mode):  # opening a pipe could wait for ever
        raise ImageError("This is not an ordinary file. Choose an image file.")
    check_file_size(status.st_size)


def check_file_size(size_bytes: int) -> None:
    """Raises ImageError for an empty file and for one above MAX_FILE_BYTES."""
    if size_bytes == 0:
        raise ImageError("The file is empty (0 bytes). Export or download it again.")
    if size_bytes > MAX_FILE_BYTES:
        raise ImageError(
            f"The file is larger than {MAX_FILE_BYTES // 1024**2} MB. "
            "Save the image smaller or with compression and try again."
        )


def check_image_size(height: int, width: int) -> None:
    """Raises ImageError for an image that is too small or too large; sizes in px."""
    if min(height, width) < MIN_SIDE:
        raise ImageError(
            f"The image is {width} × {height} px; each side must have at least {MIN_SIDE} px. "
            "Use a larger image."
        )
    if height * width > MAX_PIXELS:
        raise ImageError(_TOO_MANY_PIXELS)


def is_plausible_spacing(spacing_mm: float) -> bool:
    """Whether a pixel may have this side, in mm."""
    return 0 < spacing_mm <= MAX_SPACING_MM  # which NaN is not


def _from_array(array: np.ndarray) -> DecodedImage:
    is_grey = array.ndim == 2
    is_rgb = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (is_grey or is_rgb):
        raise ImageError(
            f"The array is {array.dtype} of shape {array.shape}. "
            "Give uint8 values from 0 to 255 of shape (H, W) or (H, W, 3)."
        )
    check_image_size(*array.shape[:2])
    return _finish(array.copy(), [])


class _MeteredFile(io.BytesIO):
    """A file in memory that ends a decoder's work when it has read far too much.

    Every tag of a TIFF may claim the whole file as its value, and Pillow keeps all the copies:
    without a limit a file of 20 MB fills any memory.
    """

    bytes_read = 0

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(size)
        self.bytes_read += len(chunk)
        if self.bytes_read > _MAX_BYTES_READ:
            raise OSError("the file is read over and over")
        return chunk


def _from_bytes(data: bytes) -> DecodedImage:
    try:
        image = Image.open(_MeteredFile(data), formats=_PILLOW_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # Pillow's own limit lies above ours, so there is no need to change it for the process.
        raise ImageError(_TOO_MANY_PIXELS) from None
    except Exception as error:  # as in _from_pil
        raise ImageError(
            "The file cannot be read as a PNG, JPEG, BMP, TIFF, WebP, or DICOM image: it is of "
            "another kind, incomplete, or damaged. Export the image again in one of these formats."
        ) from error
    return _from_pil(image)


def has_image_name(path: PurePath, start: Callable[[], bytes]) -> bool:
    """Whether a file in a folder or a zip is meant as an image: by the end of its name, or, since
    PACS export DICOM under bare names, by "DICM" in its first START_BYTES, which `start` reads.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    is_index = path.name.upper() == "DICOMDIR"  # of other files, without an image
    return not is_index and start()[128:START_BYTES] == b"DICM"


def is_dicom(data: bytes) -> bool:
    """Whether the bytes are DICOM's: "DICM" at 128, or, in the rare file without it, a first
    element of group 2 or 8, with which no other format here starts.
    """
    without_preamble = data[:2] in (b"\x02\0", b"\x08\0") and data[3:4] == b"\0"
    return data[128:132] == b"DICM" or without_preamble


def _from_dicom(data: bytes, frame: int) -> DecodedImage:
    from .dicom import read_dicom  # it builds on this module

    image = read_dicom(data, frame)
    decoded = _finish(image.pixels_u8, list(image.warnings), image.spacing_mm)
    return replace(decoded, frame_count=image.frame_count)


def _from_pil(image: Image.Image) -> DecodedImage:
    check_image_size(image.height, image.width)  # from the header: no pixel is decoded yet
    try:
        return _decode_pixels(image)
    except Exception as error:
        # Damaged files make Pillow raise OSError, SyntaxError, struct.error, EOFError, zlib.error,
        # MemoryError, KeyError, and more: there is no closed list.
        raise ImageError(
            "The image is incomplete, damaged, or of an unusual kind. Export it again, best as PNG."
        ) from error


def _decode_pixels(image: Image.Image) -> DecodedImage:
    warnings = []
    has_deep_colour = _has_deep_colour(image)  # known only before the pixels are read
    image.load()
    upright = _turn_upright(image, warnings)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        pixels = _scale_by_own_range(upright, _white_is_zero(image), warnings)
    else:
        pixels = np.array(_to_rgb(upright))
        if has_deep_colour:
            pixels = _stretch(pixels, warnings)
    _warn_of_frames(image, warnings)
    return _finish(pixels, warnings)


def _turn_upright(image: Image.Image, warnings: list[str]) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels are loaded and sound: only the EXIF block is damaged
        warnings.append(
            "The file's note on its rotation is damaged. Check that the image is the right way up."
        )
        return image


def _white_is_zero(image: Image.Image) -> bool:
    """Whether a TIFF stores white as 0: Pillow turns that round for 8 bits but not for 16."""
    photometric = getattr(image, "tag_v2", {}).get(262)
    return photometric == 0


def _scale_by_own_range(image: Image.Image, inverted: bool, warnings: list[str]) -> np.ndarray:
    """Grey of any depth, float with NaN or infinity too → uint8 (H, W)."""
    values = np.array(image, dtype=np.float64)  # float64 holds every 32-bit integer
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    warnings.append(
        f"The image has more than 8 bits per pixel: its values from {low:g} to {high:g} "
        "were scaled to 0 to 255."
    )
    np.clip(values, low, high, out=values)  # NaN stays NaN
    values -= low
    values *= 255 / ((high - low) or 1)  # a constant image turns black
    if inverted:
        values = 255 - values
    return np.rint(np.nan_to_num(values, copy=False)).astype(np.uint8)


def _has_deep_colour(image: Image.Image) -> bool:
    """16 bits a channel, with colour or alpha: Pillow keeps the upper 8 of them."""
    grey = image.mode in ("I", "F") or image.mode.startswith("I;16")
    return not grey and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _stretch(pixels_u8: np.ndarray, warnings: list[str]) -> np.ndarray:
    """uint8 (H, W, 3) → the same from the smallest value to the largest, all channels alike."""
    low, high = int(pixels_u8.min()), int(pixels_u8.max())
    warnings.append(
        f"The image has 16 bits per channel. It was read at 8, and its {high - low + 1} levels "
        "were stretched to the full range. Export it as grey if fine detail is lost."
    )
    values = (pixels_u8.astype(np.float32) - low) * (255 / ((high - low) or 1))
    return np.rint(values).astype(np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    """8-bit modes to RGB, laid over black where transparent.

    Black is the background of ultrasound, and black under a cut-out sector adds no edge or bright
    field that the networks never saw; Pillow alone would uncover whatever lies under the alpha.
    """
    if not image.has_transparency_data:
        return image.convert("RGB")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")


def _warn_of_frames(image: Image.Image, warnings: list[str]) -> None:
    frames = _count_frames(image)
    if frames > 1:
        number = f"at least {frames}" if frames == _MAX_PAGES_COUNTED else frames
        warnings.append(f"The file holds {number} frames; only frame {image.tell() + 1} is used.")


def _count_frames(image: Image.Image) -> int:
    if not getattr(image, "is_animated", False):
        return 1
    if image.format != "TIFF":
        return image.n_frames
    # Pillow counts TIFF pages by visiting all, in time that grows with their square: a small file
    # of many empty pages would hold the process up for minutes.
    current, pages = image.tell(), 1
    try:
        while pages < _MAX_PAGES_COUNTED:
            image.seek(pages)
            pages += 1
    except EOFError:
        pass
    image.seek(current)
    return pages


def _finish(
    pixels_u8: np.ndarray, warnings: list[str], spacing_mm: tuple[float, float] | None = None
) -> DecodedImage:
    """uint8 (H, W) or (H, W, 3), which the result takes over, with what was noted on the way."""
    if pixels_u8.ndim == 2:
        pixels_u8 = np.repeat(pixels_u8[:, :, None], 3, axis=2)
    elif _is_coloured(pixels_u8):
        warnings.append(
            "The image is coloured, as in colour Doppler, but the networks see it in grey only. "
            "Prefer the plain B-mode image."
        )
    return DecodedImage(pixels_u8, spacing_mm, tuple(warnings))


def _is_coloured(image_rgb_u8: np.ndarray) -> bool:
    red, green, blue = np.moveaxis(image_rgb_u8, 2, 0)  # far faster than max(axis=2)
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    return (highest - lowest > _COLOUR_SPREAD).mean() > _COLOUR_SHARE
