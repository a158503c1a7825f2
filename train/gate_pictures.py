"""Pictures that are no breast ultrasound, in two halves that share no source, for train/gate.py.

python -m train gate-pictures --packages PACKAGES --out PICTURES

PACKAGES holds the unpacked packages of train/README.md, a folder each. What is drawn here follows
from the seed; each half has its own kinds of chart, noise, and font.
"""

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from busmtl.images import ImageError, decode

HALVES = ("build", "heldout")
LONGEST_SIDE = 640  # px of a stored picture
SLICES = 10  # of a volume along each axis
PER_SOURCE = 40  # pictures at most

# (half, kind, pattern in PACKAGES)
FILES = (
    ("build", "photograph", "mate-backgrounds/**/nature/*.jpg"),
    ("build", "photograph", "plasma-workspace-wallpapers/**/contents/screenshot.jpg"),
    ("build", "photograph", "skimage/data/*.png"),
    ("build", "photograph", "skimage/data/*.jpg"),
    ("build", "drawing", "plasma-workspace-wallpapers/**/contents/screenshot.png"),
    ("build", "drawing", "ukui-wallpapers/**/*.png"),
    ("build", "drawing", "ukui-wallpapers/**/*.jpg"),
    ("build", "drawing", "gnome-backgrounds/**/*.webp"),
    ("build", "drawing", "mate-backgrounds/**/desktop/*.png"),
    ("build", "drawing", "oxygen-icon-theme/**/256x256/apps/*.png"),
    ("build", "drawing", "oxygen-icon-theme/**/128x128/devices/*.png"),
    ("build", "radiograph", "pydicom_data/**/RG1_UNCR.dcm"),
    ("build", "photograph", "lomiri-wallpapers-16.04/**/*.jpg"),
    ("heldout", "photograph", "lomiri-wallpapers-20.04/**/*.jpg"),
    ("heldout", "photograph", "sklearn/datasets/images/*.jpg"),
    ("heldout", "photograph", "matplotlib/**/grace_hopper.jpg"),
    ("heldout", "photograph", "opencv-doc/**/examples/**/*.jpg"),
    ("heldout", "photograph", "opencv-doc/**/examples/**/*.png"),
    ("heldout", "drawing", "faenza-icon-theme/**/apps/96/*.png"),
    ("heldout", "drawing", "gnome-icon-theme/**/256x256/devices/*.png"),
    ("heldout", "drawing", "sway-backgrounds/**/*1366x768.png"),
    ("heldout", "radiograph", "pydicom_data/**/RG3_UNCR.dcm"),
    ("heldout", "CT", "pydicom_data/**/693_UNCR.dcm"),
    ("heldout", "CT", "pydicom_data/**/explicit_VR-UN.dcm"),
    ("heldout", "CT", "pydicom/**/J2K_pixelrep_mismatch.dcm"),
    ("heldout", "CT", "pydicom/**/CT_small.dcm"),
    ("heldout", "MR", "pydicom_data/**/MR2_UNCR.dcm"),
    ("heldout", "MR", "pydicom_data/**/MR-SIEMENS-DICOM-WithOverlays.dcm"),
    ("heldout", "MR", "pydicom_data/**/emri_small.dcm"),
)
# Shown twice, masks and test patterns, or no photograph: of packages that hold more than one kind.
LEFT_OUT = (
    *("right", "left0", "left1", "mask", "trimap", "shape_sample", "aloeR", "aloeGT", "leuvenB"),
    *("basketball2", "rubberwhale2", "graf3", "LR_06", "ela_modified", "plant_result"),
    *("logo", "phantom", "chessboard_RGB", "color.png", "multipage", "polygonstanford"),
    *("Logo", "_char0", "digits", "/templ.", "/tmpl.", "peilin", "analogpattern", "umang"),
)
KIND_OF = {  # what such packages hold beside photographs
    **dict.fromkeys(("HappyFish", "WindowsLogo", "Blender", "cards", "chessboard"), "drawing"),
    **dict.fromkeys(("detect_blob", "ellipses", "gradient", "ml.png", "smarties"), "drawing"),
    **dict.fromkeys(("starry_night", "input.png", "horse", "plant.png"), "drawing"),
    **dict.fromkeys((f"pic{number}" for number in range(1, 7)), "drawing"),
    **dict.fromkeys(("imageText", "notes", "text.png", "page.png"), "page of text"),
    **dict.fromkeys(("LR_05", "sudoku", "stanford.png", "text_"), "page of text"),
}
VOLUMES = (
    ("build", "MR", "nilearn/**/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"),
    ("build", "MR", "dipy/**/S0_10slices.nii.gz"),
    ("build", "MR", "nibabel/**/example4d.nii.gz"),
    ("build", "CT", "cranium/**/matrix.dat"),
    ("heldout", "MR", "mricron-data/**/ch2.nii.gz"),
    ("heldout", "MR", "mricron-data/**/ch2better.nii.gz"),
    ("heldout", "MR", "mricron-data/**/inia19-t1-brain.nii.gz"),
)
CRANIUM_SHAPE = (108, 256, 256)  # int16; invesalius-examples, whose .inv3 is a tar.gz
MANUALS = ("libtasn1.pdf", "shared-mime-info-spec.pdf")  # held-out pages of text
STYLES = {
    "build": ("default", "ggplot", "seaborn-v0_8-whitegrid", "Solarize_Light2"),
    "heldout": ("dark_background", "grayscale", "bmh", "fivethirtyeight"),
}


def write_pictures(packages: Path, out: Path, seed: int = 0) -> dict[tuple[str, str], int]:
    """OUT/half/kind/number-name.png; returns the number of pictures by (half, kind)."""
    random = np.random.default_rng(seed)
    counts: dict[tuple[str, str], int] = {}
    seen = set()
    for half, kind, name, image in _all(packages, random):
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        if image.tobytes() in seen:
            continue
        seen.add(image.tobytes())
        kinds = (kind, "grey photograph") if kind == "photograph" else (kind,)
        for each in kinds:
            number = counts[half, each] = counts.get((half, each), 0) + 1
            folder = out / half / each
            folder.mkdir(parents=True, exist_ok=True)
            stored = image.convert("L") if each.startswith("grey") else image
            stored.save(folder / f"{number:03}-{name}.png")
    return counts


def _all(
    packages: Path, random: np.random.Generator
) -> Iterator[tuple[str, str, str, Image.Image]]:
    """(half, kind, name, RGB image)."""
    for half, kind, pattern in FILES:
        for path in _spread(packages, pattern):
            image = _read(path)
            if image is not None:
                yield half, _kind(path, kind), path.stem, image
    for half, kind, pattern in VOLUMES:
        for path in _found(packages, pattern):
            volume = _read_volume(path)
            for number, plane in enumerate(_slices(volume)):
                yield half, kind, f"{path.parts[-1].partition('.')[0]}-{number}", _scaled(plane)
            if kind == "CT":
                for number, plane in enumerate(_projections(volume)):
                    yield half, "radiograph", f"projection-{number}", _scaled(plane)
    yield from _pages_of_manuals(packages)
    for half in HALVES:
        for number in range(40):
            yield half, "chart", str(number), chart(half, random)
            yield half, "blank or noise", str(number), blank(half, number, random)
        if half == "build":
            for number in range(30):
                yield half, "page of text", str(number), page_of_text(random)
                yield half, "radiograph", f"drawn-{number}", drawn_mammogram(random)


# ---- pictures of packages


def _found(packages: Path, pattern: str) -> list[Path]:
    found = [path for path in sorted(packages.glob(pattern)) if path.is_file()]
    return [path for path in found if not any(part in str(path) for part in LEFT_OUT)]


def _spread(packages: Path, pattern: str) -> list[Path]:
    """At most PER_SOURCE of them, from all over the list; opencv-doc's photographs all."""
    found = _found(packages, pattern)
    step = 1 if "opencv" in pattern else -(-len(found) // PER_SOURCE) or 1
    return found[::step]


def _kind(path: Path, kind: str) -> str:
    return next((other for part, other in KIND_OF.items() if path.name.startswith(part)), kind)


def _read(path: Path) -> Image.Image | None:
    try:
        return Image.fromarray(decode(path).image_rgb_u8)
    except ImageError:
        return None


def _read_volume(path: Path) -> np.ndarray:
    """float (X, Y, Z)."""
    if path.name == "matrix.dat":
        return np.fromfile(path, np.int16).reshape(CRANIUM_SHAPE).clip(-200, 400).astype(float)
    import nibabel  # not among the requirements: this script alone reads NIfTI

    volume = np.asarray(nibabel.load(path).dataobj, dtype=float)
    return volume[..., 0] if volume.ndim == 4 else volume


def _slices(volume: np.ndarray) -> Iterator[np.ndarray]:
    """Upright planes across each axis that has more than a few, from its middle 60 %."""
    for axis, length in enumerate(volume.shape):
        places = np.linspace(0.2 * length, 0.8 * length, min(SLICES, length), dtype=int)
        for place in np.unique(places):
            plane = np.rot90(np.take(volume, place, axis))
            if min(plane.shape) >= 48:
                yield plane


def _projections(volume: np.ndarray) -> Iterator[np.ndarray]:
    """Through the volume, as X-rays go."""
    for axis in (1, 2):
        for power in (1.0, 2.0, 0.5):
            yield (np.clip(volume + 200, 0, None) ** power).mean(axis)


def _scaled(plane: np.ndarray) -> Image.Image:
    low, high = np.percentile(plane, (0.5, 99.5))
    values = np.clip((plane - low) / ((high - low) or 1), 0, 1) * 255
    image = Image.fromarray(values.astype(np.uint8)).convert("RGB")
    factor = 320 / max(image.size)
    return image.resize([round(side * factor) for side in image.size], Image.Resampling.BICUBIC)


def _pages_of_manuals(packages: Path) -> Iterator[tuple[str, str, str, Image.Image]]:
    for name in MANUALS:
        for path in sorted(packages.glob(f"**/{name}")):
            command = ["pdftoppm", "-r", "70", "-l", "15", "-png", str(path), str(path)]
            subprocess.run(command, check=True)
            for page in sorted(path.parent.glob(f"{name}-*.png")):
                yield "heldout", "page of text", page.stem, Image.open(page).convert("RGB")


# ---- drawn pictures


def chart(half: str, random: np.random.Generator) -> Image.Image:
    """One matplotlib figure; the halves differ in styles and kinds of chart."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    draw = {"build": _chart_to_build, "heldout": _chart_held_out}[half]
    buffer = io.BytesIO()
    with pyplot.style.context(random.choice(STYLES[half])):
        size = random.uniform(3, 7, 2)
        figure, axes = pyplot.subplots(figsize=size)
        draw(axes, random)
        axes.set_title("".join(random.choice(list("abcdefg hij"), 14)))
        figure.savefig(buffer, dpi=int(random.integers(60, 110)))
        pyplot.close(figure)
    return Image.open(buffer).convert("RGB")


def _chart_to_build(axes, random: np.random.Generator) -> None:
    kind = random.integers(4)
    values = random.normal(size=(4, 30)).cumsum(1)
    if kind == 0:
        axes.plot(values.T)
    elif kind == 1:
        axes.bar(np.arange(30), np.abs(values[0]))
    elif kind == 2:
        axes.scatter(*random.normal(size=(2, int(random.integers(20, 600)))))
    else:
        axes.pie(np.abs(values[0, :6]) + 0.1)


def _chart_held_out(axes, random: np.random.Generator) -> None:
    kind = random.integers(5)
    if kind == 0:
        axes.hist(random.gamma(2, size=400), bins=25)
    elif kind == 1:
        axes.boxplot(random.normal(size=(40, 6)))
    elif kind == 2:
        axes.matshow(random.integers(0, 50, (6, 6)))
    elif kind == 3:
        axes.step(np.sort(random.random(40)), np.linspace(0, 1, 40))
    else:
        axes.contour(random.normal(size=(20, 20)).cumsum(0).cumsum(1))


def page_of_text(random: np.random.Generator) -> Image.Image:
    """Words in lines, dark on bright or bright on dark, with a heading."""
    dark = random.random() < 0.3
    ground, ink = (20, 235) if dark else (int(random.integers(235, 256)), int(random.integers(60)))
    width, height = random.integers(300, 640, 2)
    image = Image.new("RGB", (int(width), int(height)), (ground,) * 3)
    draw = ImageDraw.Draw(image)
    size = int(random.integers(9, 24))
    font = ImageFont.load_default(size)
    letters = list("etaoinshrdlucmfwyp      ")
    for top in range(10, int(height) - size, int(size * random.uniform(1.3, 2))):
        count = int(random.integers(width // size, 2 * width // size))
        draw.text((12, top), "".join(random.choice(letters, count)), (ink,) * 3, font)
    return image


def blank(half: str, number: int, random: np.random.Generator) -> Image.Image:
    """Nothing but a tone, a ramp, or noise; the halves differ in how each is made."""
    height, width = random.integers(200, 500, 2)
    rows, columns = np.indices((height, width))
    level = random.uniform(0, 255, 3) if number % 3 == 0 else np.full(3, random.uniform(0, 255))
    kind = number % 4
    if half == "build":
        field = (
            np.zeros((height, width)),
            120 * (rows / height * random.normal() + columns / width * random.normal()),
            random.normal(0, random.uniform(3, 90), (height, width)),
            _smooth(random.normal(0, 60, (height, width)), random.uniform(0.6, 12)),
        )[kind]
    else:
        distance = np.hypot(rows / height - 0.5, columns / width - 0.5)
        field = (
            random.integers(-2, 3, (height, width)),
            -200 * distance**2,
            random.uniform(-1, 1, (height, width)) * random.uniform(10, 120),
            _smooth(random.exponential(50, (height, width)), random.uniform(0.6, 12)),
        )[kind]
    values = np.clip(level + np.asarray(field)[:, :, None], 0, 255)
    return Image.fromarray(values.astype(np.uint8))


def _smooth(field: np.ndarray, sigma: float) -> np.ndarray:
    """As strong as before, without its fine detail."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(field, sigma)
    return (smooth - smooth.mean()) * (50 / (smooth.std() or 1))


def drawn_mammogram(random: np.random.Generator) -> Image.Image:
    """Like a mammogram in shape alone: cloudy tissue in half an ellipse at one edge, on black."""
    height, width = int(random.integers(400, 600)), int(random.integers(250, 450))
    rows, columns = np.indices((height, width))
    reach = np.hypot(
        (rows / height - random.uniform(0.4, 0.6)) / random.uniform(0.35, 0.5),
        columns / width / random.uniform(0.5, 0.95),
    )
    inside = np.clip((1 - reach) * random.uniform(3, 10), 0, 1) ** 0.5
    clouds = sum(
        _smooth(random.normal(size=(height, width)), sigma) * sigma**0.5 for sigma in (2, 6, 20)
    )
    tissue = 110 + clouds * random.uniform(0.05, 0.25) * (1 - reach.clip(0, 1))
    values = np.clip(inside * tissue * random.uniform(0.7, 1.4), 0, 255).astype(np.uint8)
    image = Image.fromarray(values if random.random() < 0.5 else values[:, ::-1].copy())
    return image.convert("RGB")
