"""Decoding: every supported kind of image by its pixels, every bad one by its sentence."""

import io
import os
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from busmtl.images import (
    MAX_FILE_BYTES,
    MAX_PIXELS,
    MIN_SIDE,
    DecodedImage,
    ImageError,
    decode,
)

SIZE_HW = (36, 48)

# Damaged files make Pillow warn before it gives up.
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning"
)


def encode(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def ramp(low=0, high=255, dtype=np.uint8):
    """Values rising over (H, W) from low to high, both included."""
    return np.linspace(low, high, SIZE_HW[0] * SIZE_HW[1]).reshape(SIZE_HW).astype(dtype)


def filled(mode, colour):
    return Image.new(mode, (SIZE_HW[1], SIZE_HW[0]), colour)


def grey_image():
    return Image.fromarray(ramp())


def png_chunk(kind, content):
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def png(width, height, bit_depth, colour_type, rows=b""):
    """A PNG file of the given header, for kinds that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunks + png_chunk(b"IEND", b"")


def pixel(decoded, row=0, column=0):
    return tuple(int(value) for value in decoded.image_rgb_u8[row, column])


def is_about(colour, expected, tolerance):
    return all(abs(a - b) <= tolerance for a, b in zip(colour, expected, strict=True))


# ---- Where an image can come from -------------------------------------------------------------


def test_path_bytes_pil_and_array_give_the_same(tmp_path):
    path = tmp_path / "image.png"
    data = encode(grey_image(), "PNG")
    path.write_bytes(data)
    expected = np.repeat(ramp()[:, :, None], 3, axis=2)
    for source in (path, str(path), data, grey_image(), ramp(), expected):
        decoded = decode(source)
        assert np.array_equal(decoded.image_rgb_u8, expected)
        assert decoded.image_rgb_u8.dtype == np.uint8
        assert decoded.size_hw == SIZE_HW
        assert decoded.spacing_mm is None
        assert decoded.warnings == ()


def test_content_decides_and_not_the_name(tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(encode(grey_image(), "PNG"))
    assert np.array_equal(decode(path).image_rgb_u8[:, :, 0], ramp())


def test_array_is_copied():
    array = np.zeros((*SIZE_HW, 3), np.uint8)
    decoded = decode(array)
    array[:] = 9
    assert decoded.image_rgb_u8.max() == 0


def test_smallest_allowed_image():
    assert decode(np.zeros((MIN_SIDE, MIN_SIDE), np.uint8)).size_hw == (MIN_SIDE, MIN_SIDE)


# ---- File formats and pixel modes -------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats_keep_every_value(file_format, options):
    decoded = decode(encode(grey_image().convert("RGB"), file_format, **options))
    assert np.array_equal(decoded.image_rgb_u8, np.repeat(ramp()[:, :, None], 3, axis=2))
    assert decoded.warnings == ()


def test_jpeg():
    decoded = decode(encode(grey_image(), "JPEG", quality=95))
    assert np.abs(decoded.image_rgb_u8[:, :, 0].astype(int) - ramp()).max() < 12


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize(("low", "high"), [(0, 4095), (1000, 1200), (0, 65535)])
def test_16_bit_grey_is_scaled_by_its_own_range(file_format, low, high):
    decoded = decode(encode(Image.fromarray(ramp(low, high, np.uint16)), file_format))
    grey = decoded.image_rgb_u8[:, :, 1]
    assert (grey[0, 0], grey[-1, -1]) == (0, 255)
    assert np.abs(grey.astype(int) - np.linspace(0, 255, grey.size).reshape(SIZE_HW)).max() < 2
    assert len(decoded.warnings) == 1
    assert "8 bits" in decoded.warnings[0]
    assert str(low) in decoded.warnings[0] and str(high) in decoded.warnings[0]


@pytest.mark.parametrize("dtype", [">u2", "<i4", "<f4"])
def test_other_deep_grey_images_from_pil(dtype):
    image = Image.fromarray(ramp(-500 if dtype != ">u2" else 500, 3000, dtype))
    assert image.mode in ("I;16B", "I", "F")
    grey = decode(image).image_rgb_u8[:, :, 0]
    assert (grey[0, 0], grey[-1, -1]) == (0, 255)
    assert grey[18, 0] in (127, 128)


def test_float_tiff_with_nan_and_infinity():
    values = ramp(0, 1, np.float32)
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -np.inf
    grey = decode(encode(Image.fromarray(values), "TIFF")).image_rgb_u8[:, :, 0]
    assert [int(value) for value in grey[0, :3]] == [0, 255, 0]
    assert grey[18, 0] in (127, 128)
    assert grey[-1, -1] == 255


def test_16_bit_tiff_that_stores_white_as_zero():
    stored = Image.fromarray(ramp(0, 4095, np.uint16))
    grey = decode(encode(stored, "TIFF", tiffinfo={262: 0})).image_rgb_u8[:, :, 0]
    assert (grey[0, 0], grey[-1, -1]) == (255, 0)


@pytest.mark.parametrize("value", [0, 700, np.nan])
def test_constant_deep_image_turns_black(value):
    dtype = np.float32 if np.isnan(value) else np.uint16
    with np.errstate(all="raise"):
        decoded = decode(Image.fromarray(np.full(SIZE_HW, value, dtype)))
    assert decoded.image_rgb_u8.max() == 0


def test_8_bit_grey_is_not_scaled():
    grey = decode(encode(Image.fromarray(ramp(50, 90)), "PNG")).image_rgb_u8
    assert (grey.min(), grey.max()) == (50, 90)


def test_16_bit_rgb_png_is_scaled_by_its_own_range():
    left, right = struct.pack(">HHH", 0, 0x0200, 0x0400), struct.pack(">HHH", *[0x0800] * 3)
    half = SIZE_HW[1] // 2
    rows = (b"\0" + left * half + right * half) * SIZE_HW[0]
    decoded = decode(png(SIZE_HW[1], SIZE_HW[0], 16, 2, rows))
    assert (pixel(decoded), pixel(decoded, -1, -1)) == ((0, 64, 128), (255, 255, 255))
    assert "16 bits per channel" in decoded.warnings[0]


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF"])
def test_1_bit(file_format):
    decoded = decode(encode(Image.fromarray(ramp() > 127), file_format))
    assert (pixel(decoded), pixel(decoded, -1, -1)) == ((0, 0, 0), (255, 255, 255))


def palette_image():
    """Left half colour 0, right half colour 1."""
    image = filled("P", 0)
    image.putpalette([10, 20, 30, 200, 210, 220])
    image.paste(1, (24, 0, 48, 36))
    return image


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF"])
def test_palette(file_format):
    decoded = decode(encode(palette_image(), file_format))
    assert (pixel(decoded), pixel(decoded, 0, 47)) == ((10, 20, 30), (200, 210, 220))


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_transparent_palette_colour_turns_black(transparency):
    decoded = decode(encode(palette_image(), "PNG", transparency=transparency))
    assert (pixel(decoded), pixel(decoded, 0, 47)) == ((10, 20, 30), (0, 0, 0))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize(("alpha", "expected"), [(0, 0), (51, 40), (255, 200)])
def test_rgba_and_la_lie_over_black(file_format, alpha, expected):
    rgba = decode(encode(filled("RGBA", (200, 200, 200, alpha)), file_format))
    la = decode(encode(filled("LA", (200, alpha)), file_format))
    assert pixel(rgba) == pixel(la) == (expected,) * 3


@pytest.mark.parametrize(("mode", "colour"), [("L", 77), ("RGB", (77, 77, 77)), ("1", 1)])
def test_transparent_key_colour_turns_black(mode, colour):
    assert pixel(decode(encode(filled(mode, colour), "PNG", transparency=colour))) == (0, 0, 0)


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
@pytest.mark.parametrize(
    ("cmyk", "rgb"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0, 0, 0, 155), (100, 100, 100)),
        ((255, 0, 0, 0), (0, 255, 255)),
    ],
)
def test_cmyk(file_format, cmyk, rgb):
    # In JPEG these are Adobe's inverted values.
    assert is_about(pixel(decode(encode(filled("CMYK", cmyk), file_format))), rgb, 3)


def test_ycck_jpeg():
    # Inverted inks of 200, 128, 128, read as Y, Cb, Cr, are the inverted grey of 255 - 200.
    data = bytearray(encode(filled("CMYK", (55, 127, 127, 0)), "JPEG"))
    assert is_about(pixel(decode(bytes(data))), (200, 128, 128), 3)
    data[data.index(b"Adobe") + 11] = 2  # the colour transform: from none to YCCK
    assert is_about(pixel(decode(bytes(data))), (55, 55, 55), 3)


@pytest.mark.parametrize(
    ("file_format", "options"), [("JPEG", {}), ("TIFF", {"compression": "tiff_lzw"})]
)
def test_ycbcr(file_format, options):
    image = filled("RGB", (40, 160, 90)).convert("YCbCr")
    assert is_about(pixel(decode(encode(image, file_format, **options))), (40, 160, 90), 4)


def test_lab_tiff():
    image = filled("RGB", (140, 90, 110)).convert("LAB")
    assert is_about(pixel(decode(encode(image, "TIFF"))), (140, 90, 110), 4)


# ---- EXIF rotation ----------------------------------------------------------------------------


def marked_corner():
    """Black, 36 high and 48 wide, with white at the stored top left."""
    image = filled("L", 0)
    image.paste(255, (0, 0, 8, 8))
    return image


def with_orientation(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "size_hw", "corner"),
    [
        (1, (36, 48), (0, 0)),
        (2, (36, 48), (0, -1)),
        (3, (36, 48), (-1, -1)),
        (4, (36, 48), (-1, 0)),
        (5, (48, 36), (0, 0)),
        (6, (48, 36), (0, -1)),
        (7, (48, 36), (-1, -1)),
        (8, (48, 36), (-1, 0)),
    ],
)
def test_exif_rotation(file_format, orientation, size_hw, corner):
    data = encode(marked_corner(), file_format, exif=with_orientation(orientation))
    for source in (data, Image.open(io.BytesIO(data))):
        decoded = decode(source)
        assert decoded.size_hw == size_hw
        corners = {
            (row, column): pixel(decoded, row, column)[0] > 200
            for row in (0, -1)
            for column in (0, -1)
        }
        assert [place for place, is_white in corners.items() if is_white] == [corner]


def test_exif_rotation_of_a_16_bit_image():
    image = Image.fromarray(ramp(0, 4095, np.uint16))
    decoded = decode(encode(image, "PNG", exif=with_orientation(6)))
    assert decoded.size_hw == (48, 36)
    assert (pixel(decoded, 0, -1)[0], pixel(decoded, -1, 0)[0]) == (0, 255)


def test_damaged_exif_does_not_cost_the_image():
    decoded = decode(encode(grey_image(), "PNG", exif=b"Exif\0\0garbage"))
    assert np.array_equal(decoded.image_rgb_u8[:, :, 0], ramp())
    assert len(decoded.warnings) == 1 and "rotation" in decoded.warnings[0]


# ---- Frames and colour ------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "MPO"])
def test_first_of_several_frames_with_a_warning(file_format):
    first, others = filled("RGB", (200, 200, 200)), [filled("RGB", (i, i, i)) for i in (0, 60)]
    data = encode(first, file_format, save_all=True, append_images=others)
    decoded = decode(data)
    assert is_about(pixel(decoded), (200, 200, 200), 3)
    assert len(decoded.warnings) == 1
    assert "3 frames" in decoded.warnings[0] and "frame 1" in decoded.warnings[0]


def test_counting_tiff_pages_stops_early_and_leaves_the_image_where_it_was():
    pages = [filled("L", i) for i in range(105)]
    image = Image.open(io.BytesIO(encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])))
    image.seek(3)
    decoded = decode(image)
    assert pixel(decoded) == (3, 3, 3)
    assert "at least 100 frames" in decoded.warnings[0] and "frame 4" in decoded.warnings[0]
    assert image.tell() == 3


def with_coloured_rows(colour, rows):
    array = np.full((100, 100, 3), 80, np.uint8)
    array[:rows] = colour
    return array


def test_colour_doppler_has_a_warning():
    decoded = decode(with_coloured_rows((220, 40, 10), rows=5))
    assert len(decoded.warnings) == 1 and "grey only" in decoded.warnings[0]
    assert pixel(decoded) == (220, 40, 10)  # kept for the display


@pytest.mark.parametrize(("colour", "rows"), [((90, 80, 70), 100), ((220, 40, 10), 1)])
def test_slight_tint_and_small_marks_have_none(colour, rows):
    assert decode(with_coloured_rows(colour, rows)).warnings == ()


# ---- Bad input, by name -----------------------------------------------------------------------


def damaged_bytes(data, at, count=40):
    return data[:at] + bytes(255 - value for value in data[at : at + count]) + data[at + count :]


NOT_READABLE = "cannot be read as a PNG"
DAMAGED = "incomplete, damaged"
TOO_SMALL = "at least 32 px"
BAD_BYTES = {
    "empty": (b"", "empty"),
    "text": (b"patient,diagnosis\nSmith,benign\n" * 40, NOT_READABLE),
    "gif": (encode(grey_image(), "GIF"), NOT_READABLE),
    "ppm": (encode(grey_image(), "PPM"), NOT_READABLE),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>', NOT_READABLE),
    "pdf": (encode(grey_image(), "PDF"), NOT_READABLE),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300), NOT_READABLE),
    "zip": (b"PK\x03\x04" + bytes(200), NOT_READABLE),
    "dicom": (bytes(128) + b"DICM" + bytes(300), "DICOM file holds no image"),
    "dicom that is a tiff too": (b"II*\0" + bytes(124) + b"DICM" + bytes(300), "holds no image"),
    "truncated png": (encode(grey_image(), "PNG")[:-40], DAMAGED),
    "truncated jpeg": (encode(grey_image(), "JPEG")[:-40], DAMAGED),
    "damaged png": (damaged_bytes(encode(grey_image(), "PNG"), 50), DAMAGED),
    "png without pixels": (png(64, 64, 8, 0), DAMAGED),
    "zero-sized png": (png(0, 0, 8, 0), NOT_READABLE),
    "1-pixel": (encode(Image.new("L", (1, 1)), "PNG"), TOO_SMALL),
    "one side too small": (encode(Image.new("L", (500, MIN_SIDE - 1)), "PNG"), TOO_SMALL),
    "too many bytes": (bytes(MAX_FILE_BYTES + 1), "larger than 20 MB"),
}


@pytest.mark.parametrize("name", BAD_BYTES)
def test_bad_file(name, tmp_path):
    data, expected = BAD_BYTES[name]
    path = tmp_path / "<img src=x>Smith.png"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(ImageError, match=expected) as caught:
            decode(source)
        text = str(caught.value)
        assert "Smith" not in text and str(tmp_path) not in text
        assert text[0].isupper() and text.endswith(".")


def a_missing_file(folder):
    return folder / "Smith.png"


def a_folder(folder):
    return folder


def a_pipe(folder):
    os.mkfifo(folder / "Smith.png")
    return folder / "Smith.png"


def a_name_that_is_too_long(folder):
    return folder / ("Smith" * 100)


def a_name_with_a_null(folder):
    return f"{folder}/Smith\0.png"


def a_file_below_a_file(folder):
    (folder / "Smith").write_bytes(b"x")
    return folder / "Smith" / "x.png"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (a_missing_file, "not found"),
        (a_folder, "folder"),
        (a_pipe, "not an ordinary file"),
        (a_name_that_is_too_long, "could not be opened"),
        (a_name_with_a_null, "could not be opened"),
        (a_file_below_a_file, "could not be opened"),
    ],
)
def test_bad_path(make, expected, tmp_path):
    with pytest.raises(ImageError, match=expected) as caught:
        decode(make(tmp_path))
    assert "Smith" not in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_too_large_file_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "image.png"
    with open(path, "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    monkeypatch.setattr("builtins.open", lambda *args: pytest.fail("the file was opened"))
    with pytest.raises(ImageError, match="larger than 20 MB"):
        decode(path)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((0, 0), np.uint8), TOO_SMALL),
        (np.zeros((64, 0, 3), np.uint8), TOO_SMALL),
        (np.zeros((1, 1, 3), np.uint8), TOO_SMALL),
        (np.zeros((64, 64, 1), np.uint8), "shape"),
        (np.zeros((64, 64, 4), np.uint8), "shape"),
        (np.zeros((2, 64, 64, 3), np.uint8), "shape"),
        (np.zeros(64, np.uint8), "shape"),
        (np.zeros((), np.uint8), "shape"),
        (np.zeros((64, 64), np.uint16), "uint16"),
        (np.zeros((64, 64), np.float32), "float32"),
        (np.zeros((64, 64), bool), "bool"),
        (np.broadcast_to(np.uint8(0), (8000, 8000)), "40 megapixels"),
    ],
)
def test_bad_array(array, expected):
    with pytest.raises(ImageError, match=expected):
        decode(array)


@pytest.mark.parametrize("source", [None, 7, [[1, 2], [3, 4]], io.BytesIO(b"x")])
def test_something_else_entirely(source):
    with pytest.raises(ImageError, match="no image"):
        decode(source)


def test_zero_sized_pil_image():
    with pytest.raises(ImageError, match=TOO_SMALL):
        decode(Image.new("RGB", (0, 0)))


def huge_bmp(width, height):
    data = bytearray(encode(grey_image(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def huge_jpeg(width, height):
    data = bytearray(encode(grey_image(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def huge_png(width, height):
    return png(width, height, 8, 2)


# Above our limit; above the size at which Pillow warns; above the one at which it raises.
@pytest.mark.parametrize("side", [6400, 12_000, 60_000])
@pytest.mark.parametrize("make", [huge_png, huge_bmp, huge_jpeg])
def test_too_many_pixels_are_refused_by_the_header(make, side, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded pixels"))
    assert side * side > MAX_PIXELS
    with pytest.raises(ImageError, match="40 megapixels"):
        decode(make(side, side))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [12_000, 100_000])
def test_huge_png_header(side):
    with pytest.raises(ImageError, match="40 megapixels"):
        decode(huge_png(side, side))


def test_tiff_whose_tags_all_claim_the_whole_file(monkeypatch):
    monkeypatch.setattr("busmtl.images._MAX_BYTES_READ", 10_000_000)
    claimed = 1_000_000
    values = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 64, 279: 64 * 64}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items()]
    one_claim = [struct.pack("<HHII", 40_000, 7, claimed, 8)]
    many_claims = [struct.pack("<HHII", 40_000 + i, 7, claimed, 8) for i in range(20)]

    def tiff(tags):
        directory = struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4)
        return b"II*\0" + struct.pack("<I", 8 + claimed) + bytes(claimed) + directory

    assert decode(tiff(entries + one_claim)).size_hw == (64, 64)
    with pytest.raises(ImageError, match=NOT_READABLE):
        decode(tiff(entries + many_claims))


# ---- Truncation and damage, everywhere in the file --------------------------------------------


def sweep_files():
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
    image, exif = Image.fromarray(noise), with_orientation(3)
    return {
        "png": encode(image, "PNG", exif=exif),
        "png of 16 bits": encode(Image.fromarray(ramp(0, 4095, np.uint16)), "PNG"),
        "animated png": encode(image, "PNG", save_all=True, append_images=[palette_image()]),
        "jpeg": encode(image, "JPEG", exif=exif),
        "progressive jpeg": encode(image, "JPEG", progressive=True),
        "cmyk jpeg": encode(image.convert("CMYK"), "JPEG"),
        "bmp": encode(image, "BMP"),
        "palette bmp": encode(palette_image(), "BMP"),
        "tiff": encode(image, "TIFF", exif=exif),
        "compressed tiff": encode(image, "TIFF", compression="tiff_lzw"),
        "tiff of 16 bits": encode(Image.fromarray(ramp(0, 4095, np.uint16)), "TIFF"),
        "tiff of two pages": encode(image, "TIFF", save_all=True, append_images=[image]),
        "webp": encode(image, "WEBP", exif=exif),
        "animated webp": encode(image, "WEBP", save_all=True, append_images=[grey_image()]),
    }


SWEEP_FILES = sweep_files()


def decode_or_none(data):
    """The decoded image, or None for an ImageError; any other exception fails the test."""
    try:
        return decode(data)
    except ImageError:
        return None


@pytest.mark.parametrize("name", SWEEP_FILES)
def test_truncated_anywhere(name):
    data = SWEEP_FILES[name]
    whole = decode(data)
    decoded_lengths = []
    for length in range(0, len(data), max(1, len(data) // 150)):
        decoded = decode_or_none(data[:length])
        if decoded is not None:  # only what follows the first frame's pixels was lost
            assert np.array_equal(decoded.image_rgb_u8, whole.image_rgb_u8)
            decoded_lengths.append(length)
    assert all(length > 0.4 * len(data) for length in decoded_lengths)


@pytest.mark.parametrize("name", SWEEP_FILES)
def test_damaged_anywhere(name):
    data, chance = SWEEP_FILES[name], random.Random(0)
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(chance.choice([1, 2, 8])):
            # Half of the hits fall on the header.
            end = len(data) if chance.random() < 0.5 else min(200, len(data))
            damaged[chance.randrange(end)] = chance.randrange(256)
        decoded = decode_or_none(bytes(damaged))
        assert decoded is None or isinstance(decoded, DecodedImage)
