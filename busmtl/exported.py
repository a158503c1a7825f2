"""OpenVINO's files beside the weights, and the stamp that says which weights they were made from.

A weights folder may hold `openvino/model.xml`, `model.bin`, and `export.json`, all written by
`python -m train export`.
"""

import hashlib
import json
from pathlib import Path

from .weights import WeightsError, fingerprint

FOLDER = "openvino"
GRAPH_FILE = "model.xml"
WEIGHTS_FILE = "model.bin"
STAMP_FILE = "export.json"
MODEL_FILES = (GRAPH_FILE, WEIGHTS_FILE)
REMEDY = "Make the OpenVINO files again with `python -m train export`, or get them again."


def is_exported(folder: Path) -> bool:
    """Whether the weights folder has OpenVINO files, good or not."""
    return any((folder / FOLDER / name).is_file() for name in (*MODEL_FILES, STAMP_FILE))


def write_stamp(folder: Path, record: dict) -> None:
    """Write export.json beside the two model files: the hashes, then what else is to be told."""
    hashes = {"weights_sha256": fingerprint(folder), "files_sha256": _hashes(folder)}
    text = json.dumps(hashes | record, indent=2, allow_nan=False)
    (folder / FOLDER / STAMP_FILE).write_text(text + "\n", encoding="utf-8")


def read_stamp(folder: Path) -> dict:
    """The content of export.json, which belongs to the folder's weights and OpenVINO files.

    WeightsError where a file is missing, damaged, or made from other weights.
    """
    for name in (*MODEL_FILES, STAMP_FILE):
        if not (folder / FOLDER / name).is_file():
            raise _error(folder, f"lack the file {name}")
    try:
        stamp = json.loads((folder / FOLDER / STAMP_FILE).read_text(encoding="utf-8"))
        weights_sha256, files_sha256 = stamp["weights_sha256"], stamp["files_sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise _error(folder, f"have a damaged {STAMP_FILE}") from error
    if files_sha256 != _hashes(folder):
        raise _error(folder, f"are damaged or are not those that {STAMP_FILE} tells of")
    if weights_sha256 != fingerprint(folder):
        raise _error(folder, "were made from other weights than those beside them")
    return stamp


def _hashes(folder: Path) -> dict[str, str]:
    hashes = {}
    for name in MODEL_FILES:
        with (folder / FOLDER / name).open("rb") as file:
            hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _error(folder: Path, problem: str) -> WeightsError:
    return WeightsError(f"The OpenVINO files of {folder.name!r} {problem}. {REMEDY}")
