"""From the bytes of a DICOM file to uint8 pixels and their spacing. Section numbers: DICOM PS3.3.

pydicom is imported only when such a file arrives. Of the header it parses `_TAGS` alone, none of
which names a patient, and no error keeps what the library said, which may quote the file.
"""

import io
import math
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .images import ImageError, check_image_size, is_plausible_spacing

if TYPE_CHECKING:
    from pydicom import Dataset

_MAX_INFLATED_BYTES = 256 * 1024**2
_MAX_META_BYTES = 10_000
_MAX_ITEMS = 100_000  # of all sequences and frames: pydicom takes a minute for what 20 MB can hold
_META_START = 132  # behind the preamble and "DICM"; PS3.10, section 7.1

_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_RLE = "1.2.840.10008.1.2.5"
_NATIVE = {"1.2.840.10008.1.2", _EXPLICIT_LITTLE_ENDIAN, "1.2.840.10008.1.2.2", _DEFLATED}
_BY_PILLOW = {  # JPEG baseline and extended (8 bits); JPEG 2000 lossless and lossy
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
}
_RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"  # its pixels are doses

_GREY = {"MONOCHROME1", "MONOCHROME2"}
_COLOUR = {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
_PALETTE = "PALETTE COLOR"
_REGIONS = "SequenceOfUltrasoundRegions"

_TAGS = [
    "SOPClassUID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    *(  # not the segmented tables, a few bytes of which may expand without a limit
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
    _REGIONS,
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
]

_DAMAGED = (
    "The DICOM file is incomplete, damaged, or of an unusual kind. Export the image again, best as "
    "PNG."
)
_NO_IMAGE = "The DICOM file holds no image, as reports and plans do. Choose the image's own file."


@dataclass(frozen=True)
class DicomImage:
    """pixels_u8: uint8 (H, W) or (H, W, 3) in [0, 255].

    spacing_mm: (between rows, between columns), or None where the file does not state it.
    warnings: sentences for the user.
    frame_count: how many frames the file holds, of which this is one.
    """

    pixels_u8: np.ndarray
    spacing_mm: tuple[float, float] | None
    warnings: tuple[str, ...]
    frame_count: int


def read_dicom(data: bytes, frame: int) -> DicomImage:
    """Decode one frame, counted from 0.

    Grey values pass through the modality LUT or rescale (C.11.1) and the first VOI LUT or window
    (C.11.2) of the file; without these, more than 8 bits are scaled from the frame's own minimum
    and maximum. MONOCHROME1 is inverted; colour becomes RGB (C.7.6.3.1.2). For the spacing see
    `spacing_of`.

    Raises ImageError, and nothing else, for what cannot be used.
    """
    try:
        dataset = _read_header(data)
        _check(dataset, frame)
        warnings = []
        pixels_u8 = _decode(dataset, frame, warnings)
        spacing_mm = spacing_of(dataset, warnings)
        return DicomImage(pixels_u8, spacing_mm, tuple(warnings), _frame_count(dataset))
    except ImageError:
        raise
    except Exception:  # damaged files make pydicom raise nearly anything
        raise ImageError(_DAMAGED) from None


def spacing_of(dataset: "Dataset", warnings: list[str]) -> tuple[float, float] | None:
    """(mm between rows, mm between columns), or None; says in warnings what it had to ignore.

    In order of trust: the calibration of the largest 2D region in cm (C.8.5.5), which ultrasound
    machines measure by; Pixel Spacing (10.7.1.3); Imager Pixel Spacing, at the detector instead
    of in the body (C.8.11.4); Nominal Scanned Pixel Spacing, of a scanned film (C.8.6.2).
    """
    found, some_ignored = None, False
    for keyword in (_REGIONS, "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        stated = _stated_spacing_mm(dataset, keyword)
        if stated and all(is_plausible_spacing(side) for side in stated):
            found = stated
            break
        some_ignored |= stated is not None
    if some_ignored:
        warnings.append(
            "The file states a pixel size that cannot be right; it was ignored."
            + (" Check the millimetres." if found else "")
        )
    return found


def _stated_spacing_mm(dataset: "Dataset", keyword: str) -> tuple[float, float] | None:
    """NaN for what cannot be read, such as text or one number alone: not worth the image."""
    try:
        stated = _region_spacing_mm(dataset) if keyword == _REGIONS else dataset.get(keyword)
        if not stated:
            return None
        between_rows, between_columns = stated
        return float(between_rows), float(between_columns)
    except Exception:  # as in `read_dicom`
        return math.nan, math.nan


def _region_spacing_mm(dataset: "Dataset") -> tuple[float, float] | None:
    """C.8.5.5.1: spatial format 1 is 2D, physical units 3 are cm."""
    regions = [
        region
        for region in dataset.get(_REGIONS) or ()
        if region.get("RegionSpatialFormat") == 1
        and region.get("PhysicalUnitsXDirection") == 3
        and region.get("PhysicalUnitsYDirection") == 3
    ]
    if not regions:
        return None
    largest = max(regions, key=_region_area_px)
    return 10 * largest.PhysicalDeltaY, 10 * largest.PhysicalDeltaX


def _region_area_px(region: "Dataset") -> int:
    width = region.RegionLocationMaxX1 - region.RegionLocationMinX0 + 1
    height = region.RegionLocationMaxY1 - region.RegionLocationMinY0 + 1
    return width * height


def _read_header(data: bytes) -> "Dataset":
    """The elements of `_TAGS`, the pixels still as they are stored."""
    from pydicom import dcmread
    from pydicom.uid import UID

    # pydicom would inflate without a limit, so it never meets a deflated file.
    if _DEFLATED.encode() in data:
        data = _inflate(data)
    if data.count(b"\xfe\xff\0\xe0") + data.count(b"\xff\xfe\xe0\0") > _MAX_ITEMS:
        raise ImageError(_DAMAGED)
    dataset = dcmread(io.BytesIO(data), force=True, specific_tags=_TAGS)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little_endian = dataset.original_encoding
        syntax = "1.2.840.10008.1.2" if implicit else _EXPLICIT_LITTLE_ENDIAN
        dataset.file_meta.TransferSyntaxUID = UID(
            syntax if little_endian else "1.2.840.10008.1.2.2"
        )
    return dataset


def _inflate(data: bytes) -> bytes:
    """The data set of a deflated file (PS3.5, section A.5), explicit and little-endian."""
    from pydicom import dcmread

    (length,) = struct.unpack_from("<I", data, _META_START + 8)  # (0002,0000) UL
    start = _META_START + 12 + length
    if length > _MAX_META_BYTES:  # it may hold deflated data
        raise ImageError(_DAMAGED)
    meta = dcmread(io.BytesIO(data[:start]), specific_tags=[]).file_meta
    if meta.TransferSyntaxUID != _DEFLATED:
        raise ImageError(_DAMAGED)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data[start:], _MAX_INFLATED_BYTES)
    if not inflater.eof or _DEFLATED.encode() in inflated:
        raise ImageError(_DAMAGED)
    return inflated


def _check(dataset: "Dataset", frame: int) -> None:
    """Refuse by the header, before a pixel is decoded."""
    if dataset.get("SOPClassUID") == _RT_DOSE:
        raise ImageError(_NO_IMAGE)
    if not dataset.get("PixelData") or "Rows" not in dataset or "Columns" not in dataset:
        raise ImageError(_NO_IMAGE)
    check_image_size(dataset.Rows, dataset.Columns)
    if not 0 <= frame < _frame_count(dataset):
        raise ImageError(f"The file has no frame {frame + 1}. Choose another.")
    photometric = dataset.PhotometricInterpretation
    samples = 3 if photometric in _COLOUR else 1
    if photometric not in {*_GREY, *_COLOUR, _PALETTE} or dataset.SamplesPerPixel != samples:
        raise ImageError(
            "The colours of the DICOM file are stored in a way that is not supported. Export the "
            "image as PNG and try again."
        )
    if dataset.BitsAllocated not in (8, 16):
        raise ImageError(
            "The DICOM file stores its pixels neither in 8 nor in 16 bits. Export the image as "
            "PNG and try again."
        )
    _check_compression(dataset, frame)


def _check_compression(dataset: "Dataset", frame: int) -> None:
    """A compressed frame has a size of its own: a decoder would allocate whatever it claims."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in _NATIVE:
        return
    if syntax != _RLE and syntax not in _BY_PILLOW:
        raise ImageError(
            "The DICOM file is compressed in a way that is not supported. Export it uncompressed, "
            "or the image as PNG, and try again."
        )
    from pydicom.encaps import get_frame

    stored = get_frame(dataset.PixelData, frame, number_of_frames=_frame_count(dataset))
    if syntax == _RLE:
        size_bytes = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
        size_bytes *= dataset.BitsAllocated // 8
        sound = len(stored) <= 2 * size_bytes + 1024  # RLE hardly lengthens even noise
    else:
        with Image.open(io.BytesIO(stored), formats=("JPEG", "JPEG2000")) as picture:
            sound = picture.size == (dataset.Columns, dataset.Rows)
    if not sound:
        raise ImageError(_DAMAGED)


def _frame_count(dataset: "Dataset") -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _decode(dataset: "Dataset", frame: int, warnings: list[str]) -> np.ndarray:
    """One frame → uint8 (H, W) or RGB (H, W, 3)."""
    from pydicom.pixels import apply_color_lut, pixel_array

    count = _frame_count(dataset)
    if count > 1:
        warnings.append(f"The file holds {count} frames; only frame {frame + 1} is used.")
    photometric = dataset.PhotometricInterpretation
    pixels = pixel_array(dataset, index=frame)  # (H, W) or (H, W, 3), YBR already as RGB
    if photometric in _GREY:
        grey = _grey(dataset, pixels, warnings)
        return 255 - grey if photometric == "MONOCHROME1" else grey
    if photometric == _PALETTE:
        # Some machines write 8-bit colours into a table of 16 bits (C.7.6.3.1.6).
        pixels = apply_color_lut(pixels, dataset)
        return _to_u8(pixels, 0, 255 if pixels.max() <= 255 else 65535)
    return _to_u8(pixels, 0, 255 if pixels.itemsize == 1 else 2**dataset.BitsStored - 1)


def _grey(dataset: "Dataset", stored: np.ndarray, warnings: list[str]) -> np.ndarray:
    """Stored values (H, W) → uint8 (H, W) as the file wants them shown."""
    values, low, high = _modality_values(dataset, stored)
    if dataset.get("VOILUTSequence"):
        return _to_u8(*_look_up(dataset.VOILUTSequence[0], values))
    if dataset.get("WindowWidth") is not None and dataset.get("WindowCenter") is not None:
        try:
            return _windowed(dataset, values)
        except (ValueError, IndexError):
            warnings.append("The file's window of grey values is invalid; it was ignored.")
    if dataset.BitsStored > 8:
        low, high = values.min(), values.max()
        warnings.append(
            f"The image has more than 8 bits per pixel: its values from {low:g} to {high:g} "
            "were scaled to 0 to 255."
        )
    return _to_u8(values, low, high)


def _modality_values(dataset: "Dataset", stored: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Values (H, W) after the modality LUT or rescale, and the lowest and highest possible."""
    if dataset.get("ModalityLUTSequence"):
        return _look_up(dataset.ModalityLUTSequence[0], stored)
    slope = float(dataset.get("RescaleSlope") or 1)
    intercept = float(dataset.get("RescaleIntercept") or 0)
    levels = 2**dataset.BitsStored
    low = -levels // 2 if dataset.PixelRepresentation == 1 else 0
    ends = (low * slope + intercept, (low + levels - 1) * slope + intercept)
    return stored * slope + intercept, min(ends), max(ends)


def _look_up(item: "Dataset", values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Values (H, W) through a LUT (C.11.1.1 and C.11.2.1.1), and the LUT's range."""
    _, first, bits = item.LUTDescriptor
    table = item.LUTData
    table = np.frombuffer(table, "<u2") if isinstance(table, bytes) else np.asarray(table)
    places = np.clip(np.rint(values) - int(first), 0, len(table) - 1).astype(np.intp)
    return table[places], 0, 2 ** int(bits) - 1


def _windowed(dataset: "Dataset", values: np.ndarray) -> np.ndarray:
    """Modality values (H, W) through the first window (C.11.2.1.2) → uint8 (H, W)."""
    from pydicom import Dataset
    from pydicom.pixels import apply_windowing

    window = Dataset()  # without the rescale, so that its range is that of 8 bits
    window.PhotometricInterpretation = "MONOCHROME2"
    window.BitsStored, window.PixelRepresentation = 8, 0
    for keyword in ("WindowCenter", "WindowWidth", "VOILUTFunction"):
        if dataset.get(keyword) is not None:
            setattr(window, keyword, dataset.get(keyword))
    return _to_u8(apply_windowing(values, window), 0, 255)


def _to_u8(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values from low to high → uint8 from 0 to 255, the same shape."""
    scaled = (values - float(low)) * (255 / ((high - low) or 1))
    return np.rint(np.clip(np.nan_to_num(scaled), 0, 255)).astype(np.uint8)
