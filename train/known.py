"""The hashes by which the demo knows the images of both data sets, and how well it knows them.

python -m train known --data DATA
"""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from busmtl.known import CROPS, MAX_DISTANCE, MEASURED, TABLE, Table, perceptual_hash, pixel_hash

from .data import TITLES, image_path, present, read_image
from .splits import Entry, manifest_hashes, read_manifest

_PARTS = {"heldout": "test"}  # BUS-BRA's name for it


def jpeg(image_rgb_u8: np.ndarray, quality: int = 75) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image_rgb_u8).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def resize(image_rgb_u8: np.ndarray, factor: float = 0.7) -> np.ndarray:
    image = Image.fromarray(image_rgb_u8)
    size_wh = (round(image.width * factor), round(image.height * factor))
    return np.asarray(image.resize(size_wh, Image.Resampling.BILINEAR))


def crop(image_rgb_u8: np.ndarray, share: float = 0.05) -> np.ndarray:
    """Without `share` of the height and the width at each side."""
    height, width = image_rgb_u8.shape[:2]
    rows, columns = round(height * share), round(width * share)
    return np.ascontiguousarray(image_rgb_u8[rows : height - rows, columns : width - columns])


# What a copy may have gone through, each measured by itself and all in a row.
CHANGES = {
    "none": lambda image: image,
    "jpeg_75": jpeg,
    "resize_0.7": resize,
    "crop_5_percent": crop,
    "all_three": lambda image: jpeg(resize(crop(image))),
}


def write_known(data_folder: Path, table_path: Path = TABLE, measured_path: Path = MEASURED):
    """Hash every image that is in the data folder, write the table, and measure the search."""
    entries = [
        (TITLES[name], entry)
        for name in TITLES
        if present(data_folder, name)
        for entry in read_manifest(name)
        if image_path(data_folder, entry).exists()
    ]
    pixel_hashes, hashes, queries = [], [], []
    for _, entry in entries:
        image = read_image(data_folder, entry)
        pixel_hashes.append(pixel_hash(image))
        hashes.append([perceptual_hash(image, share) for share in CROPS])
        queries.append([perceptual_hash(change(image)) for change in CHANGES.values()])
    table = Table(
        data_sets=np.array([title for title, _ in entries]),
        images=np.array([entry.image for _, entry in entries]),
        parts=np.array([_PARTS.get(entry.part, entry.part) for _, entry in entries]),
        pixel_hashes=np.array(pixel_hashes),
        hashes=np.array(hashes),
    )
    np.savez_compressed(table_path, **vars(table))
    measured = {
        "images": {title: int((table.data_sets == title).sum()) for title in TITLES.values()},
        "manifests_sha256": manifest_hashes(),
        "max_distance_bits": MAX_DISTANCE,
        "changes": measure(table, entries, np.array(queries)),
    }
    measured_path.write_text(json.dumps(measured, indent=2) + "\n")


def measure(table: Table, entries: list[tuple[str, Entry]], queries_u64: np.ndarray) -> dict:
    """For each of CHANGES, over all images, (N, changes, 4) hashes of the changed copies:

    found: share whose nearest image is itself or one of its group, near enough.
    false_alarms: share with an unrelated image near enough. Related are a BUSI duplicate group
    and a BUS-BRA patient. BUSI's list of duplicates leaves out its normal images, though many are
    frames of one view: two of them count as related, and as unrelated in the third figure.
    """
    groups = np.array([f"{title} {entry.group}" for title, entry in entries])
    normal = np.array([entry.label == "normal" for _, entry in entries])
    results = {}
    for column, change in enumerate(CHANGES):
        found, alarms, alarms_with_normal = [], [], []
        for row, query in enumerate(queries_u64[:, column]):
            distances = table.distances(query)
            same_group = groups == groups[row]
            related = same_group | (normal & normal[row])
            nearest = distances.min()
            own = distances[related].min()
            found.append(own == nearest and own <= MAX_DISTANCE)
            alarms.append(distances[~related].min() <= MAX_DISTANCE)
            alarms_with_normal.append(distances[~same_group].min() <= MAX_DISTANCE)
        results[change] = {
            "found": round(float(np.mean(found)), 4),
            "false_alarms": round(float(np.mean(alarms)), 4),
            "false_alarms_with_pairs_of_normal": round(float(np.mean(alarms_with_normal)), 4),
        }
    return results
