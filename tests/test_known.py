"""Known images: found as they are and as changed copies; others are not; the published figures."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from busmtl import known
from busmtl.images import decode
from busmtl.ui import compare
from busmtl.ui.chosen import Upload
from busmtl.ui.examine import Options, examine
from train import splits
from train.known import CHANGES, write_known

IMAGES = sorted((Path(__file__).parents[1] / "examples/images").glob("*.png"))


def pixels(path):
    return decode(path).image_rgb_u8


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_an_example_is_found_as_it_is(path):
    found = known.find(pixels(path))
    name = path.stem.partition("-")[2]
    assert found == known.Match("BUS-BRA", name, "validation", same=True)
    assert found.sentence.startswith(
        f"This image is in the validation data (BUS-BRA, {name}): settings of the networks"
    )


@pytest.mark.parametrize("change", [name for name in CHANGES if name != "none"])
def test_changed_copies_are_found(change):
    for path in IMAGES:
        found = known.find(CHANGES[change](pixels(path)))
        assert (found.image, found.same) == (path.stem.partition("-")[2], False)
    assert found.sentence.startswith("This image is nearly the same as one in the validation data")


def test_a_crop_does_not_hide_a_known_image(predictor_for):
    networks = SimpleNamespace(get=predictor_for)
    corner = Options(sides=(0, 0, 120, 90))
    examined = examine(networks, Upload(IMAGES[0], "a.png"), "lite0-mtl", corner)
    assert known.find(examined.image.image_rgb_u8) is None
    said = [*examined.prediction.warnings, *examined.notes]
    assert sum("This image is in the validation data" in sentence for sentence in said) == 1


def test_the_comparison_tells_of_a_known_image(predictor_for):
    networks = SimpleNamespace(get=predictor_for, ids=["lite0-mtl"])
    *_, (_, html, _) = list(compare.compare(networks, Upload(IMAGES[0], "a.png")))
    assert html.count("This image is in the validation data") == 1


def test_the_note_on_a_training_image():
    sentence = known.Match("BUSI", "benign (12)", "train", same=True).sentence
    assert sentence == (
        "This image is in the training data (BUSI, benign (12)): the networks have seen it, "
        "so the result says nothing about new images."
    )


def test_every_part_has_its_sentences():
    for part in np.unique(known.load_table().parts):
        for same in (True, False):
            assert "{" not in known.Match("BUSI", "benign (1)", str(part), same).sentence


@pytest.mark.parametrize("change", [np.fliplr, np.flipud, np.rot90], ids=lambda f: f.__name__)
def test_turned_pictures_are_others(change):
    for path in IMAGES:
        assert known.find(np.ascontiguousarray(change(pixels(path)))) is None


def test_other_pictures_are_unknown():
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    ramp = np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[:, None, None], 400, 1).repeat(3, 2)
    for picture in (noise, ramp, np.zeros_like(noise), np.full_like(noise, 255)):
        assert known.find(picture) is None


def test_the_table_covers_the_manifests():
    table = known.load_table()
    for title, name in (("BUSI", "busi"), ("BUS-BRA", "busbra")):
        entries = splits.read_manifest(name)
        of_set = table.data_sets == title
        assert list(table.images[of_set]) == [entry.image for entry in entries]
        assert list(table.parts[of_set]) == [entry.part for entry in entries]
        starts = [pixel_hash.tobytes().hex() for pixel_hash in table.pixel_hashes[of_set]]
        assert starts == [entry.sha256[:16] for entry in entries]


def test_published_figures_meet_the_goals():
    measured = json.loads(known.MEASURED.read_text())
    assert measured["manifests_sha256"] == splits.manifest_hashes()
    assert measured["images"] == {"BUSI": 740, "BUS-BRA": 1492}
    assert set(measured["changes"]) == set(CHANGES)
    for figures in measured["changes"].values():
        assert figures["found"] >= 0.95
        assert figures["false_alarms"] <= 0.01


def test_the_command_writes_a_table_that_finds_its_images(tmp_path, monkeypatch):
    folder = tmp_path / "BUSBRA/Images"
    folder.mkdir(parents=True)
    for path in IMAGES:
        Image.open(path).save(folder / f"{path.stem.partition('-')[2]}.png")
    write_known(tmp_path, tmp_path / "known.npz", tmp_path / "known.json")
    monkeypatch.setattr(known, "TABLE", tmp_path / "known.npz")
    known.load_table.cache_clear()
    try:
        assert len(known.load_table().images) == len(IMAGES)
        assert known.find(CHANGES["all_three"](pixels(IMAGES[3]))).part == "validation"
    finally:
        known.load_table.cache_clear()
    assert json.loads((tmp_path / "known.json").read_text())["images"]["BUS-BRA"] == len(IMAGES)
