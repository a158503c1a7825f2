"""DICOM: every kind of file by its pixels, the spacing by its source, bad files by their sentence.

The files are written here with pydicom, or are the examples that come with it.
"""

import dataclasses
import io
import json
import random
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    UltrasoundImageStorage,
)

from busmtl.images import MAX_PIXELS, DecodedImage, ImageError, decode

SIZE_HW = (36, 48)
NAME = "Mustermann^Erika"
ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(
    path
    for path in (Path(pydicom.data.__file__).parent / "test_files").rglob("*")
    if path.is_file() and path.suffix != ".py"
)

# Damaged files make pydicom warn before it gives up.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def ramp(low=0, high=255, dtype=np.uint8):
    """Values rising over (H, W) from low to high, both included."""
    return np.linspace(low, high, SIZE_HW[0] * SIZE_HW[1]).reshape(SIZE_HW).astype(dtype)


def colours():
    """uint8 (H, W, 3)"""
    return np.stack([ramp(), ramp()[::-1], np.full(SIZE_HW, 90, np.uint8)], axis=-1)


def dataset(pixels, photometric="MONOCHROME2", **elements):
    """pixels: (H, W), (H, W, 3), or, with NumberOfFrames, one dimension more."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = UltrasoundImageStorage, "1.2.3"
    made.PatientName, made.PatientID = NAME, NAME
    made.StudyDescription = made.InstitutionName = made.ImageComments = NAME
    is_grey = photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    made.SamplesPerPixel = 1 if is_grey else 3
    if not is_grey:
        made.PlanarConfiguration = 0
    made.PhotometricInterpretation = photometric
    height_axis = 1 if "NumberOfFrames" in elements else 0
    made.Rows, made.Columns = pixels.shape[height_axis : height_axis + 2]
    made.BitsAllocated = made.BitsStored = 8 * pixels.itemsize
    made.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    made.PixelData = pixels.tobytes()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    made.HighBit = made.BitsStored - 1
    return made


def save(made, syntax=ExplicitVRLittleEndian):
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    if made.BitsAllocated == 8 and not syntax.is_implicit_VR:
        made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = syntax.is_encapsulated
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def save_rle(made):
    stored = pydicom.dcmread(io.BytesIO(save(made)))
    stored.compress(RLELossless, generate_instance_uid=False)
    buffer = io.BytesIO()
    stored.save_as(buffer)
    return buffer.getvalue()


def pillow_frame(pixels, file_format, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, **options)
    return buffer.getvalue()


def grey_of(decoded):
    assert (decoded.image_rgb_u8 == decoded.image_rgb_u8[..., :1]).all()
    return decoded.image_rgb_u8[..., 0].astype(int)


# ---- Pixels -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian],
    ids=["explicit", "implicit", "deflated"],
)
def test_grey_as_it_is_stored(syntax, tmp_path):
    data = save(dataset(ramp()), syntax)
    path = tmp_path / "image.png"
    path.write_bytes(data)
    for source in (data, path, str(path)):
        decoded = decode(source)
        assert np.array_equal(grey_of(decoded), ramp())
        assert decoded.size_hw == SIZE_HW
        assert decoded.image_rgb_u8.dtype == np.uint8
        assert decoded.spacing_mm is None and decoded.warnings == ()


def test_big_endian():
    made = dataset(ramp(0, 4095, np.uint16), BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    made.PixelData = ramp(0, 4095, np.uint16).astype(">u2").tobytes()
    expected = np.rint(ramp(0, 4095, np.uint16) / 4095 * 255)
    assert np.array_equal(grey_of(decode(save(made, ExplicitVRBigEndian))), expected)


@pytest.mark.parametrize("start", [132, 128 + 4 + 12], ids=["with group length", "without"])
def test_no_preamble(start):
    assert np.array_equal(grey_of(decode(save(dataset(ramp()))[start:])), ramp())


def test_no_file_meta():
    data = save(dataset(ramp()))
    start = data.index(b"\x08\0\x16\0")  # SOPClassUID, the first element of the data set
    assert np.array_equal(grey_of(decode(data[start:])), ramp())


def test_monochrome1_is_inverted():
    assert np.array_equal(grey_of(decode(save(dataset(ramp(), "MONOCHROME1")))), 255 - ramp())


def test_rgb_in_both_planar_configurations():
    assert np.array_equal(decode(save(dataset(colours(), "RGB"))).image_rgb_u8, colours())
    planes = dataset(colours(), "RGB", PlanarConfiguration=1)
    planes.PixelData = np.moveaxis(colours(), 2, 0).tobytes()
    assert np.array_equal(decode(save(planes)).image_rgb_u8, colours())


def test_rgb_of_16_bits():
    deep = colours().astype(np.uint16) * 257
    assert np.array_equal(decode(save(dataset(deep, "RGB"))).image_rgb_u8, colours())


def test_ybr_full():
    ybr = convert_color_space(colours(), "RGB", "YBR_FULL")
    decoded = decode(save(dataset(ybr, "YBR_FULL"))).image_rgb_u8
    assert np.abs(decoded.astype(int) - colours()).max() <= 3


def test_ybr_full_422():
    flat = np.full((*SIZE_HW, 3), (200, 60, 30), np.uint8)
    ybr = convert_color_space(flat, "RGB", "YBR_FULL").reshape(-1, 2, 3)
    made = dataset(flat, "YBR_FULL_422")  # per two pixels: Y Y B R
    made.PixelData = np.column_stack([ybr[:, 0, 0], ybr[:, 1, 0], ybr[:, 0, 1:]]).tobytes()
    decoded = decode(save(made)).image_rgb_u8
    assert np.abs(decoded.astype(int) - flat).max() <= 3


@pytest.mark.parametrize("stored_as", ["16 bits", "8 bits in a table of 16"])
def test_palette(stored_as):
    factor = 257 if stored_as == "16 bits" else 1
    made = dataset(ramp(), "PALETTE COLOR")
    tables = {"Red": np.arange(256), "Green": 255 - np.arange(256), "Blue": np.full(256, 90)}
    for colour, table in tables.items():
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        data = (table * factor).astype("<u2").tobytes()
        setattr(made, f"{colour}PaletteColorLookupTableData", data)
    expected = np.stack([table[ramp()] for table in tables.values()], axis=-1)
    assert np.array_equal(decode(save(made)).image_rgb_u8, expected)


@pytest.mark.parametrize("pixels", [ramp(), ramp(0, 65535, np.uint16), colours()], ids=str)
def test_rle(pixels):
    made = dataset(pixels, "RGB" if pixels.ndim == 3 else "MONOCHROME2")
    if pixels.itemsize == 2:
        made.WindowCenter, made.WindowWidth = 32768, 65536
    plain = decode(save(made))
    assert np.array_equal(decode(save_rle(made)).image_rgb_u8, plain.image_rgb_u8)


@pytest.mark.parametrize(
    ("pixels", "photometric"), [(ramp(), "MONOCHROME2"), (colours(), "YBR_FULL_422")], ids=str
)
def test_baseline_jpeg(pixels, photometric):
    made = dataset(pixels, photometric)
    made.PixelData = encapsulate([pillow_frame(pixels, "JPEG", quality=100, subsampling=0)])
    decoded = decode(save(made, JPEGBaseline8Bit)).image_rgb_u8
    expected = pixels if pixels.ndim == 3 else pixels[..., None]
    assert np.abs(decoded.astype(int) - expected).max() <= 4


@pytest.mark.parametrize(
    ("pixels", "photometric"),
    [
        (ramp(), "MONOCHROME2"),
        (ramp(0, 65535, np.uint16), "MONOCHROME2"),
        (colours(), "YBR_RCT"),
        (colours(), "YBR_ICT"),
        (colours(), "RGB"),
    ],
    ids=str,
)
def test_jpeg_2000(pixels, photometric):
    made = dataset(pixels, photometric)
    mct = {"mct": int(photometric != "RGB")} if pixels.ndim == 3 else {}
    frame = pillow_frame(pixels, "JPEG2000", irreversible=False, no_jp2=True, **mct)
    made.PixelData = encapsulate([frame])
    decoded = decode(save(made, JPEG2000Lossless)).image_rgb_u8
    expected = pixels if pixels.itemsize == 1 else np.rint(pixels / 257)
    assert np.array_equal(
        decoded, expected if pixels.ndim == 3 else decoded * 0 + expected[..., None]
    )


# ---- Grey values --------------------------------------------------------------------------------


def test_more_than_8_bits_without_a_window_are_scaled_with_a_warning():
    decoded = decode(save(dataset(ramp(100, 1100, np.int16), BitsStored=16)))
    assert (grey_of(decoded).min(), grey_of(decoded).max()) == (0, 255)
    assert len(decoded.warnings) == 1 and "from 100 to 1100" in decoded.warnings[0]


def test_8_bits_in_16():
    decoded = decode(save(dataset(ramp(dtype=np.uint16), BitsStored=8)))
    assert np.array_equal(grey_of(decoded), ramp()) and decoded.warnings == ()


@pytest.mark.parametrize("function", [None, "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("slope", [2, -1])
def test_rescale_and_window(function, slope):
    stored = ramp(-1000, 1000, np.int16)
    elements = {"RescaleSlope": slope, "RescaleIntercept": 10, "WindowCenter": [300, 0]}
    elements |= {"WindowWidth": [400, 1]} | ({"VOILUTFunction": function} if function else {})
    values = stored.astype(float) * slope + 10
    if function == "SIGMOID":
        expected = 255 / (1 + np.exp(-4 * (values - 300) / 400))
    else:
        low, width = (100, 400) if function else (300 - 0.5 - 199.5, 399)
        expected = np.clip((values - low) / width, 0, 1) * 255
    decoded = decode(save(dataset(stored, **elements)))
    assert np.abs(grey_of(decoded) - expected).max() <= 0.51
    assert decoded.warnings == ()


def lut(table, first=0, bits=8):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(table), first, bits])
    item.add_new("LUTData", "OW", np.asarray(table, "<u2").tobytes())
    return [item]


def test_luts():
    halved = lut(np.arange(256) // 2)
    made = dataset(ramp(), ModalityLUTSequence=halved)
    assert np.array_equal(grey_of(decode(save(made))), ramp() // 2)
    made.VOILUTSequence = lut(65535 - 257 * np.arange(100), first=20, bits=16)
    expected = 255 - np.clip(ramp().astype(int) // 2 - 20, 0, 99)
    assert np.array_equal(grey_of(decode(save(made))), expected)


def test_invalid_window_is_ignored_with_a_warning():
    decoded = decode(save(dataset(ramp(), WindowCenter=100, WindowWidth=0)))
    assert np.array_equal(grey_of(decoded), ramp())
    assert len(decoded.warnings) == 1 and "window" in decoded.warnings[0]


# ---- Frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
def test_frames(compressed):
    frames = np.stack([np.full(SIZE_HW, value, np.uint8) for value in (10, 20, 30)])
    made, syntax = dataset(frames, NumberOfFrames=3), ExplicitVRLittleEndian
    if compressed:
        made.PixelData = encapsulate([pillow_frame(frame, "JPEG") for frame in frames])
        syntax = JPEGBaseline8Bit
    data = save(made, syntax)
    for frame, value in enumerate((10, 20, 30)):
        decoded = decode(data, frame=frame)
        assert (grey_of(decoded) == value).all()
        assert f"3 frames; only frame {frame + 1}" in decoded.warnings[0]
    assert (grey_of(decode(data)) == 10).all()
    for frame in (-1, 3):
        with pytest.raises(ImageError, match="no frame"):
            decode(data, frame=frame)


def test_only_dicom_has_frames_to_choose():
    with pytest.raises(ImageError, match="Only of DICOM"):
        decode(pillow_frame(ramp(), "PNG"), frame=1)


# ---- Spacing ------------------------------------------------------------------------------------


def region(delta_x_cm, delta_y_cm, x1=40, **changes):
    made = Dataset()
    made.RegionSpatialFormat = 1
    made.PhysicalUnitsXDirection = made.PhysicalUnitsYDirection = 3
    made.RegionLocationMinX0 = made.RegionLocationMinY0 = 0
    made.RegionLocationMaxX1, made.RegionLocationMaxY1 = x1, 30
    made.PhysicalDeltaX, made.PhysicalDeltaY = delta_x_cm, delta_y_cm
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    return made


ALL_SPACINGS = {
    "PixelSpacing": [0.3, 0.4],
    "ImagerPixelSpacing": [0.5, 0.6],
    "NominalScannedPixelSpacing": [0.7, 0.8],
}


def test_spacing_in_order_of_trust():
    elements = {"SequenceOfUltrasoundRegions": [region(0.02, 0.01)]} | ALL_SPACINGS
    for expected in [(0.1, 0.2), (0.3, 0.4), (0.5, 0.6), (0.7, 0.8), None]:
        decoded = decode(save(dataset(ramp(), **elements)))
        assert decoded.spacing_mm == (expected and pytest.approx(expected))
        assert decoded.warnings == ()
        elements = dict(list(elements.items())[1:])


def test_the_largest_2d_region_in_cm_counts():
    regions = [
        region(0.01, 0.01, x1=20),
        region(0.02, 0.03, x1=30),
        region(0.04, 0.04, x1=40, RegionSpatialFormat=2),  # M-mode
        region(0.05, 0.05, x1=40, PhysicalUnitsXDirection=4),  # seconds
    ]
    decoded = decode(save(dataset(ramp(), SequenceOfUltrasoundRegions=regions)))
    assert decoded.spacing_mm == pytest.approx((0.3, 0.2))
    decoded = decode(save(dataset(ramp(), SequenceOfUltrasoundRegions=regions[2:])))
    assert decoded.spacing_mm is None


@pytest.mark.parametrize("delta_cm", [0.0, -0.01, 0.6, float("nan"), float("inf")])
def test_implausible_spacing_is_ignored_with_a_warning(delta_cm):
    elements = {"SequenceOfUltrasoundRegions": [region(0.01, delta_cm)]}
    decoded = decode(save(dataset(ramp(), **elements)))
    assert decoded.spacing_mm is None
    assert len(decoded.warnings) == 1 and "pixel size" in decoded.warnings[0]
    decoded = decode(save(dataset(ramp(), PixelSpacing=[0.3, 0.4], **elements)))
    assert decoded.spacing_mm == (0.3, 0.4)
    assert len(decoded.warnings) == 1 and "Check the millimetres" in decoded.warnings[0]


def test_spacing_that_is_not_a_number_does_not_cost_the_image():
    data = save(dataset(ramp(), PixelSpacing=[1.25, 1.75])).replace(b"1.25\\1.75", b"wide\\tall")
    assert b"wide" in data
    decoded = decode(data)
    assert decoded.spacing_mm is None and "pixel size" in decoded.warnings[0]


# ---- The header stays private -------------------------------------------------------------------


@pytest.fixture
def private_file():
    regions = [region(0.02, 0.01, RegionFlags=0)]
    frames = np.stack([ramp(), ramp()])
    made = dataset(frames, NumberOfFrames=2, SequenceOfUltrasoundRegions=regions)
    made.WindowCenterWidthExplanation = NAME
    made.private_block(0x0011, NAME, create=True).add_new(1, "LO", NAME)
    return save(made)


def test_no_name_in_image_prediction_warnings_or_logs(
    private_file, predictor_for, recwarn, caplog, capfd
):
    assert NAME.encode() in private_file
    decoded = decode(private_file)
    prediction = predictor_for("lite0-mtl").predict(private_file)
    assert prediction.spacing_mm == pytest.approx((0.1, 0.2))
    as_json = json.dumps(dataclasses.asdict(prediction), default=lambda array: array.tolist())
    said = [repr(vars(decoded)), as_json, repr(decoded.warnings), caplog.text, *capfd.readouterr()]
    said += [str(warning.message) for warning in recwarn]
    assert not any("Mustermann" in text for text in said)
    assert b"Mustermann" not in decoded.image_rgb_u8.tobytes()


def test_no_name_in_errors(private_file):
    places = range(0, len(private_file), 37)
    for data in [private_file[:length] for length in places]:
        try:
            decode(data)
        except ImageError as error:
            assert "Mustermann" not in str(error)
            assert error.__cause__ is None or "Mustermann" not in repr(error.__cause__)


def test_pydicom_waits_for_a_dicom_file(tmp_path):
    (tmp_path / "image.dcm").write_bytes(save(dataset(ramp())))
    (tmp_path / "image.png").write_bytes(pillow_frame(ramp(), "PNG"))
    script = (
        "import sys, busmtl, busmtl.images as images\n"
        f"for name in ('image.png', 'image.dcm'):\n"
        f"    images.decode({str(tmp_path)!r} + '/' + name); print('pydicom' in sys.modules)"
    )
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]


# ---- Bad input ----------------------------------------------------------------------------------


def refused(data, match):
    with pytest.raises(ImageError, match=match) as caught:
        decode(data)
    assert str(caught.value)[0].isupper() and str(caught.value).endswith(".")


DAMAGED = "incomplete, damaged"


def without(keyword):
    made = dataset(ramp())
    made.PixelData = made.PixelData  # keeps its VR for `save`
    data = io.BytesIO(save(made))
    stored = pydicom.dcmread(data)
    del stored[keyword]
    changed = io.BytesIO()
    stored.save_as(changed)
    return changed.getvalue()


@pytest.mark.parametrize("keyword", ["PixelData", "Rows", "Columns"])
def test_no_image(keyword):
    refused(without(keyword), "holds no image")


@pytest.mark.parametrize("keyword", ["BitsAllocated", "BitsStored", "PhotometricInterpretation"])
def test_incomplete_header(keyword):
    refused(without(keyword), DAMAGED)


def test_doses_are_no_image():
    refused(save(dataset(ramp(), SOPClassUID="1.2.840.10008.5.1.4.1.1.481.2")), "holds no image")


@pytest.mark.parametrize("bits", [1, 32])
def test_other_depths(bits):
    refused(save(dataset(ramp(), BitsAllocated=bits)), "8 nor in 16 bits")


@pytest.mark.parametrize("syntax", [JPEGLSLossless, MPEG2MPML])
def test_unsupported_compression(syntax):
    refused(save(dataset(ramp(), PixelData=encapsulate([b"1234"])), syntax), "compressed in a way")


@pytest.mark.parametrize(("photometric", "samples"), [("HSV", 3), ("RGB", 1), ("MONOCHROME2", 3)])
def test_unsupported_colours(photometric, samples):
    made = dataset(colours(), photometric, SamplesPerPixel=samples)
    refused(save(made), "colours of the DICOM file")


def test_too_small():
    refused(save(dataset(np.zeros((1, 1), np.uint8))), "at least 32 px")


def peak_bytes(data, match):
    tracemalloc.start()
    refused(data, match)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_announced_size_is_not_allocated(syntax):
    stored = encapsulate([b"1234"]) if syntax.is_encapsulated else b"1234"
    made = dataset(ramp(), Rows=60_000, Columns=60_000, PixelData=stored)
    assert MAX_PIXELS < 60_000**2
    assert peak_bytes(save(made, syntax), "40 megapixels") < 10_000_000


@pytest.mark.parametrize("file_format", ["JPEG", "JPEG2000"])
def test_frame_that_announces_another_size(file_format):
    options = {"no_jp2": True} if file_format == "JPEG2000" else {}
    frame = bytearray(pillow_frame(ramp(), file_format, **options))
    if file_format == "JPEG":
        struct.pack_into(">HH", frame, frame.index(b"\xff\xc0") + 5, 9000, 9000)
    else:
        struct.pack_into(">II", frame, frame.index(b"\xff\x51") + 6, 9000, 9000)
    made = dataset(ramp(), PixelData=encapsulate([bytes(frame)]))
    syntax = JPEGBaseline8Bit if file_format == "JPEG" else JPEG2000Lossless
    assert peak_bytes(save(made, syntax), DAMAGED) < 10_000_000


def test_rle_that_unpacks_to_far_more_than_the_image():
    frame = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\0" * 1_000_000
    made = dataset(ramp(), PixelData=encapsulate([frame]))
    assert peak_bytes(save(made, RLELossless), DAMAGED) < 20_000_000


def test_deflated_data_are_inflated_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("busmtl.dicom._MAX_INFLATED_BYTES", 1_000_000)
    data = save(dataset(ramp()), DeflatedExplicitVRLittleEndian)
    assert np.array_equal(grey_of(decode(data)), ramp())
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(bytes(50_000_000)) + deflater.flush()
    assert peak_bytes(data[:start] + bomb, DAMAGED) < 10_000_000
    lying_length = struct.pack("<I", len(data[:start] + bomb) - 144)
    assert peak_bytes(data[:140] + lying_length + data[144:start] + bomb, DAMAGED) < 10_000_000
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    nested = deflater.compress(data[132:start] + bomb) + deflater.flush()
    assert peak_bytes(data[:start] + nested, DAMAGED) < 10_000_000


def test_a_sequence_of_very_many_items():
    data, items = save(dataset(ramp())), b"\xfe\xff\0\xe0\0\0\0\0" * 100_001
    start = data.index(b"\x28\0\x02\0US")
    sequence = b"\x18\0\x11\x60SQ\0\0" + struct.pack("<I", len(items)) + items
    refused(data[:start] + sequence + data[start:], DAMAGED)


def sweep_files():
    regions = [region(0.02, 0.01)]
    plain = dataset(ramp(0, 999, np.uint16), SequenceOfUltrasoundRegions=regions, WindowCenter=9)
    plain.WindowWidth = 99
    jpeg = dataset(ramp(), PixelData=encapsulate([pillow_frame(ramp(), "JPEG")]))
    j2k = dataset(ramp(), PixelData=encapsulate([pillow_frame(ramp(), "JPEG2000", no_jp2=True)]))
    return {
        "plain": save(plain),
        "deflated": save(dataset(ramp()), DeflatedExplicitVRLittleEndian),
        "rle": save_rle(dataset(colours(), "RGB")),
        "jpeg": save(jpeg, JPEGBaseline8Bit),
        "jpeg 2000": save(j2k, JPEG2000Lossless),
    }


SWEEP_FILES = sweep_files()


@pytest.mark.parametrize("name", SWEEP_FILES)
def test_damaged_or_truncated_anywhere(name):
    data, chance = SWEEP_FILES[name], random.Random(0)
    assert decode(data).size_hw == SIZE_HW
    tries = [data[:length] for length in range(0, len(data), max(1, len(data) // 100))]
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(chance.choice([1, 2, 8])):
            end = len(data) if chance.random() < 0.3 else min(900, len(data))
            damaged[chance.randrange(end)] = chance.randrange(256)
        tries.append(bytes(damaged))
    for damaged in tries:
        try:
            assert isinstance(decode(damaged), DecodedImage)
        except ImageError as error:
            assert str(error).endswith(".")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_that_come_with_pydicom(path):
    try:
        decoded = decode(path)
    except ImageError as error:
        assert str(error).endswith(".")
    else:
        assert decoded.image_rgb_u8.dtype == np.uint8 and decoded.image_rgb_u8.std() > 0


def test_many_of_the_examples_are_read():
    names = ["MR_small", "MR_small_RLE", "MR_small_jp2klossless", "MR_small_bigendian"]
    first, *others = (
        decode(path).image_rgb_u8 for name in names for path in EXAMPLES if path.stem == name
    )
    assert len(others) == 3 and all(np.array_equal(first, other) for other in others)
    palette, ybr = (
        decode(next(path for path in EXAMPLES if path.stem == f"examples_{kind}"))
        for kind in ("palette", "ybr_color")
    )
    assert palette.spacing_mm == pytest.approx((0.26229, 0.26229), abs=1e-5)
    assert "30 frames" in ybr.warnings[0]
