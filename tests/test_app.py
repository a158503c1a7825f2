"""The demo as a visitor meets it, in headless Chromium, with whatever weights are embedded."""

import asyncio
import base64
import csv
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from typer.testing import CliRunner

from busmtl import Predictor, weights
from busmtl.__main__ import app as command_line
from busmtl.ui import analyse
from busmtl.ui.chosen import Upload, upload_area
from busmtl.ui.networks import Networks
from busmtl.ui.visit import Visit, unless_cleared
from busmtl.variants import DEFAULT_VARIANT

pytest_plugins = ["browser"]

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "examples" / "images").glob("*.png"))
FIRST_MALIGNANT = next(path for path in FILES if path.name.startswith("malignant"))
PHONE = {"width": 390, "height": 844}

READ_MASK = """async image => {
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let inside = "";
    for (let i = 3; i < rgba.length; i += 4) inside += rgba[i] ? "1" : "0";
    return [canvas.height, canvas.width, inside];
}"""

HAND_OVER = """([kind, selector, name, data]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const files = new DataTransfer();
    files.items.add(new File([bytes], name, { type: "image/png" }));
    const rest = { bubbles: true, cancelable: true };
    const event = kind === "paste"
        ? new ClipboardEvent("paste", { clipboardData: files, ...rest })
        : new DragEvent("drop", { dataTransfer: files, ...rest });
    document.querySelector(selector).dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def predictor():
    return Predictor(DEFAULT_VARIANT)


@pytest.fixture
def own_image(tmp_path):
    """A file that no other test uploads."""
    pixels = np.asarray(Image.open(FILES[0]).convert("L")).copy()
    pixels[0, 0] ^= 1
    path = tmp_path / "own.png"
    Image.fromarray(pixels).save(path)
    return path


def upload(page, path):
    page.set_input_files("#upload input[type=file]", path)


def shown_name(page):
    return page.locator("#picture .name")


def shown_probability(page):
    return page.locator("#findings .bar.malignant strong")


def shown_mask(page):
    height, width, inside = page.locator("#picture img.mask").evaluate(READ_MASK)
    return np.frombuffer(inside.encode(), np.uint8).reshape(height, width) == ord("1")


def iou(first, second):
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


def percent(prob):
    return f"{prob * 100:.1f}%"


def test_an_example_with_its_result_stands_there_first(open_page, predictor):
    page = open_page()
    prediction = predictor.predict(FIRST_MALIGNANT)
    expect(page).to_have_title("busmtl")
    expect(shown_name(page)).to_have_text("Example: malignant 1")
    expect(shown_probability(page)).to_have_text(percent(prediction.malignant_prob))
    expect(page.get_by_text("Research use only, not a diagnosis.")).to_be_visible()
    assert iou(shown_mask(page), prediction.mask) >= 0.99
    expect(page.locator("#examples input")).to_have_count(len(FILES))


def test_an_upload_gives_what_the_command_line_gives(open_page, tmp_path):
    path = FILES[1]
    outcome = CliRunner().invoke(command_line, ["predict", str(path), "--out", str(tmp_path)])
    assert outcome.exit_code == 0
    row = next(csv.DictReader((tmp_path / "predictions.csv").open()))
    mask_path = tmp_path / "masks" / DEFAULT_VARIANT / path.name
    mask = np.asarray(Image.open(mask_path)) == 255

    page = open_page()
    upload(page, path)
    expect(shown_name(page)).to_have_text(path.name)
    expect(shown_probability(page)).to_have_text(percent(float(row["malignant_prob"])))
    expect(page.locator("#findings .bar.benign strong")).to_have_text(
        percent(float(row["benign_prob"]))
    )
    assert mask.any() and iou(shown_mask(page), mask) >= 0.99
    area = f"{int(row['lesion_area_px']):,} px"
    expect(page.locator("#findings .lesion dd").first).to_have_text(area)
    expect(page.locator("#examples input:checked")).to_have_count(0)


def test_an_example_brings_its_reference_on_request(open_page, predictor):
    page = open_page()
    page.locator("#examples label").first.click()
    expect(shown_name(page)).to_have_text("Example: benign 1")
    comparison = page.locator("#findings .comparison")
    expect(comparison).to_be_hidden()
    page.get_by_label("Reference outline").check()
    mask = predictor.predict(FILES[0]).mask
    reference_png = Image.open(ROOT / "examples" / "masks" / FILES[0].name)
    reference = np.asarray(reference_png.convert("L")) > 127
    dice = 2 * (mask & reference).sum() / (mask.sum() + reference.sum())
    expect(comparison).to_contain_text("The data set says: benign.")
    expect(comparison.locator("strong")).to_have_text(f"{dice:.2f}")
    expect(page.locator("#picture svg.reference")).to_be_visible()


def test_layers_follow_their_controls_without_the_server(open_page):
    page = open_page()
    mask, heat = page.locator("#picture img.mask"), page.locator("#picture img.heat")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    slider = page.locator("#opacity input[type=range]")
    slider.focus()
    slider.press("Home")
    expect(mask).to_have_css("opacity", "0")
    slider.press("End")
    expect(mask).to_have_css("opacity", "1")
    expect(heat).to_be_hidden()
    page.get_by_label("What the network looked at").check()
    expect(heat).to_be_visible()
    expect(mask).to_be_hidden()
    expect(page.get_by_text("compared with the rest of this image only")).to_be_visible()
    assert not [url for url in requests if "/queue/" in url]


def test_a_bad_file_gets_a_sentence_and_no_earlier_result(open_page, tmp_path):
    page = open_page()
    bad = tmp_path / "broken.png"
    bad.write_bytes(FILES[0].read_bytes()[:200])
    upload(page, bad)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("broken.png could not be analysed")
    expect(alert).to_contain_text("Export")
    expect(page.locator("#picture .frame")).to_have_count(0)
    expect(page.locator("#findings .findings")).to_have_count(0)
    for hint in ("/tmp", "Traceback", "Error"):
        assert hint not in page.inner_text("body")


def test_a_file_above_every_limit_gets_a_sentence_too(open_page, tmp_path):
    page = open_page()
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(65 * 1024**2)
    upload(page, large)
    expect(page.get_by_role("alert")).to_contain_text("The file is larger than 20 MB.")


def test_html_in_a_file_name_stays_text(open_page, tmp_path):
    name = "<img src=x onerror=alert(1)>{{value}}${1+1}.png"
    path = tmp_path / name
    path.write_bytes(FILES[0].read_bytes())
    page = open_page()
    upload(page, path)
    expect(shown_name(page)).to_have_text(name)
    bad = path.with_name(name.replace(".png", "&.png"))
    bad.write_bytes(b"no image")
    upload(page, bad)
    expect(page.get_by_role("alert")).to_contain_text(f"{bad.name} could not be analysed")


def test_clear_empties_page_and_disk(open_page, app, own_image):
    page = open_page()
    upload(page, own_image)
    expect(shown_name(page)).to_have_text(own_image.name)
    assert app.keeps(own_image.read_bytes())
    page.locator("#clear").click()
    expect(page.locator("#picture .empty")).to_be_visible()
    expect(page.locator("#findings .findings")).to_have_count(0)
    expect(page.locator("#opacity")).to_be_hidden()
    assert own_image.name not in page.content()
    assert not app.keeps(own_image.read_bytes())


def test_an_answer_that_comes_after_clear_changes_nothing():
    visit = Visit()

    def cleared_meanwhile(answer):
        visit.clears += 1
        return answer

    assert unless_cleared(str)(visit, 1) == "1"
    assert unless_cleared(cleared_meanwhile)(visit, "late") == gr.skip()
    assert unless_cleared(str)(visit, 2) == "2"


@pytest.mark.parametrize("next_image", ["upload", "example"])
def test_the_next_image_takes_the_former_off_the_disk(open_page, app, own_image, next_image):
    page = open_page()
    upload(page, own_image)
    expect(shown_name(page)).to_have_text(own_image.name)
    if next_image == "upload":
        upload(page, FILES[2])
        expect(shown_name(page)).to_have_text(FILES[2].name)
    else:
        page.locator("#examples label").nth(2).click()
        expect(shown_name(page)).to_have_text("Example: benign 3")
    assert not app.keeps(own_image.read_bytes())


@pytest.mark.parametrize(
    "kind, selector", [("paste", "body"), ("drop", "#upload button"), ("drop", "#findings")]
)
def test_files_can_be_pasted_and_dropped(open_page, kind, selector):
    page = open_page()
    data = base64.b64encode(FILES[3].read_bytes()).decode()
    expect(page.locator("#upload input[type=file]")).to_be_attached()
    page.evaluate(HAND_OVER, [kind, selector, f"{kind}.png", data])
    expect(shown_name(page)).to_have_text(f"{kind}.png")


def test_two_visitors_at_once_get_their_own_results(open_page, predictor):
    paths = FILES[0], FILES[-1]
    pages = [open_page(), open_page()]
    for page, path in zip(pages, paths, strict=True):
        upload(page, path)
    for page, path, other in zip(pages, paths, reversed(paths), strict=True):
        prediction = predictor.predict(path)
        expect(shown_name(page)).to_have_text(path.name)
        expect(shown_probability(page)).to_have_text(percent(prediction.malignant_prob))
        assert iou(shown_mask(page), prediction.mask) >= 0.99
        assert other.name not in page.content()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_the_result_below_the_input(open_page, app, theme):
    page = open_page(viewport=PHONE)
    page.goto(f"{app.url}/?__theme={theme}")
    frame = page.locator("#picture .frame")
    expect(frame).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    clear, picture = page.locator("#clear").bounding_box(), frame.bounding_box()
    assert picture["y"] >= clear["y"] + clear["height"]


def test_only_the_main_events_are_public(app, open_page):
    response = open_page().request.get(f"{app.url}/gradio_api/info")
    assert list(response.json()["named_endpoints"]) == ["/predict", "/compare", "/batch"]


def test_missing_weights_leave_a_page_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "EMBEDDED", tmp_path)
    networks = Networks()
    assert [variant_id for _, variant_id in networks.choices()] == [DEFAULT_VARIANT]
    picture, findings, *_ = analyse.analyse(networks, Upload(FILES[0], "a.png"), DEFAULT_VARIANT)
    assert "There is no model.safetensors" in picture and not findings


def test_an_upload_past_its_time_is_asked_for_again(tmp_path):
    gone = Upload(tmp_path / "gone.png", "gone.png")
    picture, *_ = analyse.analyse(Networks(), gone, DEFAULT_VARIANT)
    assert "no longer on the server" in picture


@pytest.mark.parametrize("address", ["https://example.org/a.png", "HTTP://127.0.0.1/a.png"])
def test_an_address_is_not_fetched(address):
    move = upload_area().async_move_resource_to_block_cache
    with ThreadPoolExecutor(1) as pool:  # Playwright's event loop runs in this thread
        answer = pool.submit(lambda: asyncio.run(move(address)))
        with pytest.raises(gr.Error, match="Upload the file itself"):
            answer.result()


def test_an_unforeseen_failure_is_a_sentence(monkeypatch):
    networks = Networks()
    monkeypatch.setattr(networks, "get", lambda variant_id: 1 / 0)
    picture, findings, *_ = analyse.analyse(networks, Upload(FILES[0], "a.png"), DEFAULT_VARIANT)
    assert "Something went wrong" in picture and "division" not in picture and not findings


def test_a_network_is_loaded_once_for_all(monkeypatch):
    loads = []

    def slow_predictor(variant_id, turn):
        loads.append(variant_id)
        time.sleep(0.05)
        return object()

    monkeypatch.setattr("busmtl.ui.networks.Predictor", slow_predictor)
    networks = Networks()
    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(networks.get, [DEFAULT_VARIANT] * 4))
    assert len(answers) == 1 and loads == [DEFAULT_VARIANT]
