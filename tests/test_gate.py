"""The gate: what is no ultrasound is stopped with the reason, and the visitor may go on."""

import json
from pathlib import Path

import numpy as np
import pytest
from browser import type_into
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import expect
from skimage import data
from test_a11y import AXE, press_tab_until, serious_findings

from busmtl import gate
from busmtl.batch import run
from busmtl.collection import open_collection
from busmtl.images import decode
from busmtl.ui.about import stopped_pictures
from train import splits
from train.gate import CLASS_OF, write_gate
from train.gate_pictures import blank, chart, drawn_mammogram, page_of_text

pytest_plugins = ["browser"]

IMAGES = sorted((Path(__file__).parents[1] / "examples/images").glob("*.png"))
FADED_IN = """() => {
    for (let each = document.querySelector(".stopped"); each; each = each.parentElement)
        if (getComputedStyle(each).opacity !== "1") return false;
    return true;
}"""
PHOTOGRAPH = "This looks like a photograph, not like a breast-ultrasound image."


def pixels(picture):
    return decode(picture).image_rgb_u8


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / "camera.png"
    Image.fromarray(data.camera()).save(path)
    return path


def axe_findings(page):
    """Once the message has faded in."""
    page.wait_for_function(FADED_IN)
    page.evaluate(AXE)
    return serious_findings(page)


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_ultrasound_passes(path):
    image = pixels(path)
    height, width = image.shape[:2]
    part = image[height // 8 : -height // 8, width // 8 : -width // 8]
    for each in (image, image[:, ::-1], part, image // 2, image.repeat(2, 0).repeat(2, 1)):
        assert gate.objection(np.ascontiguousarray(each)) is None


@pytest.mark.parametrize("name", ["astronaut", "camera", "chelsea", "coffee", "rocket"])
def test_photographs_are_stopped_in_colour_and_in_grey(name):
    photograph = Image.fromarray(getattr(data, name)())
    for each in (photograph, photograph.convert("L")):
        assert gate.objection(pixels(each)).startswith(PHOTOGRAPH)


def test_drawn_pictures_are_stopped_with_their_reason():
    random = np.random.default_rng(7)
    for half in ("build", "heldout"):
        assert "a chart or a page of text" in gate.objection(pixels(chart(half, random)))
        for number in range(4):
            objection = gate.objection(pixels(blank(half, number, random)))
            assert "a blank frame or mere noise" in objection
    assert "a chart or a page of text" in gate.objection(pixels(page_of_text(random)))
    assert "an X-ray image" in gate.objection(pixels(drawn_mammogram(random)))


@pytest.mark.parametrize("size_hw", [(32, 32), (32, 4000), (3000, 40)])
def test_any_size_has_finite_features(size_hw):
    random = np.random.default_rng(0)
    for picture in (np.zeros((*size_hw, 3)), random.integers(0, 256, (*size_hw, 3))):
        found = gate.features(picture.astype(np.uint8))
        assert found.shape == gate.load_model().mean.shape and np.isfinite(found).all()


def test_published_figures_meet_the_goals():
    measured = json.loads(gate.MEASURED.read_text())
    assert measured["manifests_sha256"] == splits.manifest_hashes()
    for counts in measured["ultrasound"].values():
        assert counts["stopped"] <= 0.02 * counts["pictures"]
    assert measured["ultrasound"]["BUSI validation"]["pictures"] == 63
    assert measured["ultrasound"]["BUS-BRA validation"]["pictures"] == 365
    heldout = measured["heldout"].values()
    pictures = sum(counts["pictures"] for counts in heldout)
    assert len(heldout) >= 6 and pictures >= 200 and "grey photograph" in measured["heldout"]
    assert sum(counts["stopped"] for counts in heldout) >= 0.95 * pictures
    assert sum(measured["build"].values()) >= 200
    for name, least in (("text", 50), ("callipers", 20)):
        counts = measured["notes"][name]
        assert counts["noted"] >= least and counts["right"] >= 0.8 * counts["noted"]


def test_about_shows_the_figures():
    measured = json.loads(gate.MEASURED.read_text())
    html = stopped_pictures(measured)
    assert html.count("<tr>") == 1 + len(measured["ultrasound"]) + len(measured["heldout"])
    for kind, counts in measured["heldout"].items():
        assert f"{kind[1:]}</th><td>{counts['pictures']}</td><td>{counts['stopped']} (" in html
    assert "not\nmeasured: mammograms" in html


def test_the_command_writes_a_gate_that_works(tmp_path, monkeypatch):
    """On the examples as all parts of BUS-BRA, and a few drawn pictures of each class."""
    random = np.random.default_rng(0)
    (tmp_path / "BUSBRA/Images").mkdir(parents=True)
    entries = [
        splits.Entry(name, "", "benign", name, "", "scanner", part)
        for part in ("train", "validation")
        for name in (f"{part}{number}" for number in range(len(IMAGES)))
    ]
    for entry, path in zip(entries, IMAGES * 2, strict=True):
        Image.open(path).save(tmp_path / f"BUSBRA/Images/{entry.image}.png")
    for half in ("build", "heldout"):
        for kind in CLASS_OF:
            folder = tmp_path / half / kind
            folder.mkdir(parents=True)
            for number in range(2):
                chart(half, random).save(folder / f"{number}.png")
    manifests = {"busi": [], "busbra": entries}
    monkeypatch.setattr("train.gate.read_manifest", manifests.get)
    monkeypatch.setattr("train.gate.COPIES", {"ultrasound": 1, "other": 1})
    write_gate(tmp_path, tmp_path, tmp_path / "gate.npz", tmp_path / "gate.json")
    measured = json.loads((tmp_path / "gate.json").read_text())
    assert {each["looked_at"] for each in measured["notes"].values()} == {2, 8}
    assert measured["ultrasound"]["BUS-BRA validation"] == {"pictures": 8, "stopped": 0}
    assert sum(each["stopped"] for each in measured["heldout"].values()) >= 16
    monkeypatch.setattr(gate, "MODEL", tmp_path / "gate.npz")
    gate.load_model.cache_clear()
    try:
        assert gate.objection(pixels(IMAGES[0])) is None
        assert gate.objection(pixels(chart("build", random))) is not None
    finally:
        gate.load_model.cache_clear()


def test_a_batch_warns_and_goes_on(photograph, predictor_for):
    files = [(photograph, "a.png"), (IMAGES[0], "b.png")]
    with open_collection(files) as collection:
        rows = [outcome.row for outcome in run(predictor_for("lite0-mtl"), collection.items)]
    assert PHOTOGRAPH in rows[0]["warnings"] and "error" not in rows[0]
    assert PHOTOGRAPH not in rows[1]["warnings"]


def test_programs_are_warned_and_answered(app, photograph):
    client = Client(app.url, verbose=False)
    answer = client.predict(handle_file(photograph), api_name="/predict")
    assert any(PHOTOGRAPH in warning for warning in answer["warnings"])
    assert 0 <= answer["malignant_prob"] <= 1
    answer = client.predict(handle_file(photograph), api_name="/compare")
    assert any(PHOTOGRAPH in note for note in answer["notes"])


def test_a_visitor_is_stopped_and_goes_on(open_page, photograph):
    page = open_page(reduced_motion="reduce")
    page.set_input_files("#upload input[type=file]", photograph)
    stopped = page.locator("#picture .stopped")
    expect(stopped).to_contain_text(PHOTOGRAPH)
    expect(page.locator("#picture img.mask")).to_have_count(0)
    expect(page.locator("#findings .bar")).to_have_count(0)
    press_tab_until(page, "#anyway")
    assert axe_findings(page) == []
    page.keyboard.press("Enter")
    expect(page.locator("#findings .bar.malignant")).to_be_visible()
    expect(page.locator("#findings .notes")).to_contain_text(PHOTOGRAPH)
    expect(stopped).to_have_count(0)
    expect(page.locator("#anyway")).to_have_count(0)
    # another way to read the same image is not another image
    page.get_by_role("button", name="Scale and crop").click()
    type_into(page.locator("#scale input"), "0.1")
    page.locator("#apply").click()
    expect(page.locator("#findings .lesion")).to_contain_text("mm²")
    expect(page.locator("#findings .notes")).to_contain_text(PHOTOGRAPH)

    page.set_input_files("#upload input[type=file]", IMAGES[0])
    expect(page.locator("#picture .name")).to_have_text(IMAGES[0].name)
    expect(page.locator("#findings .notes")).not_to_contain_text(PHOTOGRAPH)
    page.set_input_files("#upload input[type=file]", photograph)
    expect(stopped).to_be_visible()
    page.locator("#examples label").first.click()
    expect(stopped).to_have_count(0)
    expect(page.locator("#anyway")).to_have_count(0)


def test_compare_stops_too(open_page, photograph):
    page = open_page(reduced_motion="reduce")
    page.get_by_role("tab", name="Compare").click()
    page.set_input_files("#compare-upload input[type=file]", photograph)
    expect(page.locator("#board .stopped")).to_contain_text(PHOTOGRAPH)
    press_tab_until(page, "#compare-anyway")
    assert axe_findings(page) == []
    page.keyboard.press("Enter")
    expect(page.locator("#board article .notes")).to_contain_text(PHOTOGRAPH)
    expect(page.locator("#compare-anyway")).to_have_count(0)
