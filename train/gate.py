"""The gate in front of the networks: fits it, and measures it on pictures that it has not seen.

python -m train gate --data DATA --pictures PICTURES

PICTURES holds build/KIND/ and heldout/KIND/, from `gate_pictures.py`. Fitted on the training parts
of BUSI and BUS-BRA against build/; measured on their validation parts and on heldout/.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from busmtl.burned_in import has_callipers, has_text
from busmtl.gate import CLASSES, MEASURED, MODEL, Model, features
from busmtl.images import decode

from .data import TITLES, read_image
from .splits import Entry, manifest_hashes, read_manifest

FOLDER = Path(__file__).parent
# kind of picture → the class that the gate takes it for
CLASS_OF = {
    "photograph": "photograph",
    "grey photograph": "photograph",
    "drawing": "drawing",
    "MR": "slice",
    "CT": "slice",
    "radiograph": "radiograph",
    "chart": "chart",
    "page of text": "chart",
    "blank or noise": "blank",
}
# What is burned in → how it is found, and which share of BUS-BRA's validation images was looked at
# beside all of BUSI's (one in so many). `NAME_by_eye.txt` lists the images that show it, of those
# in which it is found: this gives the precision.
BURNED_IN = {"text": (has_text, 4), "callipers": (has_callipers, 1)}
NOT_AT_HAND = ("mammograms",)
HIDDEN = 32
FOLDS = 5
STOPPED_IN_TRAINING = 0.005  # share of ultrasound images that the threshold may cost
COPIES = {"ultrasound": 3, "other": 8}  # changed copies of each picture, beside itself


def write_gate(
    data: Path, pictures: Path, model_path: Path = MODEL, measured_path: Path = MEASURED
):
    """Fit, choose the threshold, measure, and write both files."""
    random = np.random.default_rng(0)
    scans = [entry for name in TITLES for entry in read_manifest(name) if entry.part == "train"]
    x, y, groups = _training_set(scans, data, pictures / "build", random)
    threshold = _threshold(x, y, groups, len(scans))
    model = fit(x, y, threshold)
    np.savez_compressed(model_path, **vars(model))
    measured_path.write_text(json.dumps(measure(model, data, pictures), indent=2) + "\n")


def write_notes(data: Path, measured_path: Path = MEASURED) -> None:
    """Measure anew what is said of burned-in text and callipers; all else in the file stays."""
    measured = json.loads(measured_path.read_text())
    measured["notes"] = _notes(data)
    measured_path.write_text(json.dumps(measured, indent=2) + "\n")


def read_pictures(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """(kind, uint8 (H, W, 3)) of FOLDER/KIND/*.png, as a visitor's file is read."""
    for path in sorted(folder.glob("*/*.png")):
        yield path.parent.name, decode(path).image_rgb_u8


# ---- fitting


def _training_set(
    scans: list[Entry], data: Path, build: Path, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (N, F), class numbers (N,), groups (N,): the scans as they are come first."""
    rows = [(entry.group, 0, features(read_image(data, entry))) for entry in scans]
    for entry in scans:
        image = read_image(data, entry)
        for _ in range(COPIES["ultrasound"]):
            rows.append((entry.group, 0, features(_changed_scan(image, random))))
    for number, (kind, image) in enumerate(read_pictures(build)):
        label = CLASSES.index(CLASS_OF[kind])
        for each in (image, *(_changed(image, random) for _ in range(COPIES["other"]))):
            rows.append((f"other {number}", label, features(each)))
    groups, labels, x = zip(*rows, strict=True)
    return np.stack(x), np.array(labels), np.array(groups)


def fit(x: np.ndarray, y: np.ndarray, min_ultrasound: float) -> Model:
    """Classes weigh alike, ultrasound as much as all others together."""
    from sklearn.neural_network import MLPClassifier

    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-3
    counts = np.bincount(y)
    weights = 1 / counts[y]
    weights[y == 0] *= len(counts) - 1
    network = MLPClassifier(HIDDEN, alpha=1.0, max_iter=300, random_state=0)
    standard = np.clip((x - mean) / scale, -6, 6)
    network.fit(standard, y, sample_weight=weights / weights.mean())
    (hidden, out), (hidden_bias, out_bias) = network.coefs_, network.intercepts_
    arrays = (mean, scale, hidden, hidden_bias, out, out_bias)
    return Model(*(each.astype(np.float32) for each in arrays), min_ultrasound)


def _threshold(x: np.ndarray, y: np.ndarray, groups: np.ndarray, scans: int) -> float:
    """The probability of ultrasound that all but STOPPED_IN_TRAINING of the scans reach in
    cross-validation, at most 0.5.
    """
    from sklearn.model_selection import GroupKFold

    probs = np.zeros(len(y))
    for kept, left in GroupKFold(FOLDS, shuffle=True, random_state=0).split(x, y, groups):
        probs[left] = fit(x[kept], y[kept], 0.5).probs(x[left])[:, 0]
    return float(min(0.5, np.quantile(probs[:scans], STOPPED_IN_TRAINING)))


def _changed(image_rgb_u8: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A part of it, turned, in grey half of the time, brighter or darker, stored again."""
    image = Image.fromarray(image_rgb_u8)
    image = _part(image, random, 0.35)
    if random.random() < 0.5:
        image = ImageOps.mirror(image)
    if random.random() < 0.3:
        image = image.rotate(90 * int(random.integers(1, 4)), expand=True)
    if random.random() < 0.6:
        image = image.convert("L").convert("RGB")
    if random.random() < 0.15:
        image = ImageOps.invert(image)
    if random.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2)))
    return _stored_again(image, random)


def _changed_scan(image_rgb_u8: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As others export their scans: cropped, on the scanner's screen, tinted, with Doppler, two
    views side by side.
    """
    image = _part(Image.fromarray(image_rgb_u8), random, 0.6)
    if random.random() < 0.5:
        image = ImageOps.mirror(image)
    if random.random() < 0.1:
        image = _side_by_side(image)
    if random.random() < 0.25:
        image = _on_a_screen(image, random)
    if random.random() < 0.1:
        image = _with_doppler(image, random)
    if random.random() < 0.1:
        image = ImageOps.colorize(image.convert("L"), "black", _tint(random))
    return _stored_again(image, random)


def _part(image: Image.Image, random: np.random.Generator, least: float) -> Image.Image:
    if random.random() < 0.3:
        return image
    width, height = (max(32, round(side * random.uniform(least, 1))) for side in image.size)
    left, top = (
        random.integers(0, max(1, image.width - width)),
        random.integers(0, max(1, image.height - height)),
    )
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))


def _stored_again(image: Image.Image, random: np.random.Generator) -> np.ndarray:
    """uint8 (H, W, 3) with another brightness and contrast, another size, after JPEG."""
    image = ImageEnhance.Brightness(image).enhance(random.uniform(0.7, 1.35))
    image = ImageEnhance.Contrast(image).enhance(random.uniform(0.75, 1.3))
    if random.random() < 0.5:
        factor = random.uniform(0.5, 1.3)
        image = image.resize([max(32, round(side * factor)) for side in image.size])
    if random.random() < 0.5:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(random.integers(50, 96)))
        image = Image.open(buffer)
    return np.asarray(image.convert("RGB"))


def _side_by_side(image: Image.Image) -> Image.Image:
    both = Image.new("RGB", (2 * image.width + 6, image.height))
    both.paste(image, (0, 0))
    both.paste(ImageOps.mirror(image), (image.width + 6, 0))
    return both


def _on_a_screen(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Black margins with text, a grey scale, and ruler marks."""
    width, height = (round(side * random.uniform(1.1, 1.6)) for side in image.size)
    left = int(random.integers(0, width - image.width + 1))
    top = int(random.integers(0, height - image.height + 1))
    screen = Image.new("RGB", (width, height))
    screen.paste(image, (left, top))
    draw = ImageDraw.Draw(screen)
    for line in range(int(random.integers(2, 10))):
        draw.text(
            (4, 4 + 14 * line), f"{random.choice(['MI', 'TIS', 'FR', 'DR'])} {line * 3.7:.1f}"
        )
    for row in range(0, 100, 4):
        draw.line((width - 12, 20 + row, width - 4, 20 + row), (255 - 2 * row,) * 3, 4)
    for row in range(0, height, max(8, height // 10)):
        draw.line((width - 22, row, width - 18, row), "white")
    return screen


def _with_doppler(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Red and blue vessels in a box."""
    doppler = image.copy()
    draw = ImageDraw.Draw(doppler)
    for _ in range(int(random.integers(2, 9))):
        x, y = random.uniform(0.25, 0.7, 2) * image.size
        size = random.uniform(0.01, 0.09) * image.width
        colour = (230, int(random.integers(150)), 20) if random.random() < 0.6 else (30, 60, 230)
        draw.ellipse((x, y, x + size * random.uniform(0.5, 3), y + size), colour)
    return doppler


def _tint(random: np.random.Generator) -> tuple[int, int, int]:
    """What white becomes where a scanner colours its grey: sepia or blue."""
    other, low = int(random.integers(200, 240)), int(random.integers(150, 220))
    return (255, other, low) if random.random() < 0.5 else (low, other, 255)


# ---- measuring


def measure(model: Model, data: Path, pictures: Path) -> dict:
    """Counts for gate.json: ultrasound images and other pictures that are stopped, by kind."""
    ultrasound = {
        title: _stopped(model, [("", read_image(data, entry)) for entry in entries])
        for title, entries in _ultrasound_to_measure().items()
        if entries
    }
    by_kind: dict[str, list] = {}
    for kind, image in read_pictures(pictures / "heldout"):
        by_kind.setdefault(kind, []).append((CLASS_OF[kind], image))
    built = [kind for kind, _ in read_pictures(pictures / "build")]
    return {
        "manifests_sha256": manifest_hashes(),
        "min_ultrasound": round(model.min_ultrasound, 4),
        "ultrasound": ultrasound,
        "heldout": {kind: _stopped(model, images) for kind, images in by_kind.items()},
        "notes": _notes(data),
        "build": {kind: built.count(kind) for kind in sorted(set(built))},
        "not_at_hand": list(NOT_AT_HAND),
    }


def _ultrasound_to_measure() -> dict[str, list[Entry]]:
    """The validation parts, and BUSI's images without a lesion, of which none was fitted on."""
    busi, busbra = read_manifest("busi"), read_manifest("busbra")
    return {
        "BUSI validation": [entry for entry in busi if entry.part == "validation"],
        "BUS-BRA validation": [entry for entry in busbra if entry.part == "validation"],
        "BUSI without a lesion": [entry for entry in busi if entry.part == "normal"],
    }


def _notes(data: Path) -> dict[str, dict[str, int]]:
    parts = _ultrasound_to_measure()
    counts = {}
    for name, (has, step) in BURNED_IN.items():
        entries = [*parts["BUSI validation"], *parts["BUS-BRA validation"][::step]]
        noted = [entry.image for entry in entries if has(read_image(data, entry))]
        by_eye = set((FOLDER / f"{name}_by_eye.txt").read_text("utf-8").splitlines())
        right = sum(image in by_eye for image in noted)
        counts[name] = {"looked_at": len(entries), "noted": len(noted), "right": right}
    return counts


def _stopped(model: Model, images: list[tuple[str, np.ndarray]]) -> dict[str, int]:
    """images: (class, pixels). right_reason: those of the stopped that are told what they are."""
    probs = model.probs(np.stack([features(image) for _, image in images]))
    stopped = probs[:, 0] < model.min_ultrasound
    named = [CLASSES[1 + number] for number in probs[:, 1:].argmax(axis=1)]
    right = [name == true for name, (true, _) in zip(named, images, strict=True)]
    counts = {"pictures": len(images), "stopped": int(stopped.sum())}
    if images[0][0]:
        counts["right_reason"] = int((stopped & np.array(right)).sum())
    return counts
