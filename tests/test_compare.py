"""The tab Compare: its arithmetic, its board with networks that fail, and a visitor's view."""

import base64
import re
from threading import Barrier

import numpy as np
import pytest
from browser import type_into
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import expect
from test_app import FILES, HAND_OVER, PHONE, percent

from busmtl import Predictor, agreement, comparison, weights
from busmtl.images import decode
from busmtl.measure import measure
from busmtl.predictor import Prediction
from busmtl.ui import compare
from busmtl.ui.chosen import Example, Upload
from busmtl.ui.examine import Options
from busmtl.variants import BEYOND_PAPER, VARIANTS, get_variant
from busmtl.weights import WeightsError

pytest_plugins = ["browser"]

ORDER = list(VARIANTS | BEYOND_PAPER)


def box(left, right=None):
    """bool (40, 60), True in 20 rows from column left to right."""
    mask = np.zeros((40, 60), bool)
    mask[10:30, left : left + 20 if right is None else right] = True
    return mask


def prediction_of(variant_id, prob=0.5, mask=None):
    variant = get_variant(variant_id)
    mask = (box(10) if mask is None else mask) if variant.segments else None
    return Prediction(
        variant=variant_id,
        malignant_prob=prob if variant.classifies else None,
        mask=mask,
        mask_prob=None,
        activation_map=np.eye(40, 60, dtype=np.float32) if variant.classifies else None,
        lesions=() if mask is None else measure(mask, None),
        spacing_mm=None,
        warnings=(),
        latency_ms=120.0,
    )


class FakeNetworks:
    """ids → what their networks answer: a Prediction or a Predictor, or an exception to raise."""

    def __init__(self, answers):
        self.answers = answers
        self.ids = list(answers)

    def get(self, variant_id):
        answer = self.answers[variant_id]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Predictor) else FakePredictor(answer)


class FakePredictor:
    def __init__(self, answer):
        self.answer = answer

    def predict(self, image):
        return self.answer


@pytest.mark.parametrize(
    "first, second, expected",
    [
        (box(10), box(10), 1.0),
        (box(10), box(20), 0.5),
        (box(10), box(40), 0.0),
        (box(10), box(0, 0), 0.0),
        (box(0, 0), box(0, 0), 1.0),
    ],
)
def test_dice(first, second, expected):
    assert agreement.dice(first, second) == pytest.approx(expected)


def test_the_majority_leaves_ties_out_and_says_so():
    masks = [box(10), box(20), box(20), box(40)]
    # columns 20 to 29 are in three masks; 30 to 39 in two of the four
    assert np.array_equal(agreement.majority(masks), box(20, 30))
    assert np.array_equal(agreement.majority(masks[:3]), box(20))
    assert "at least 3 of the 4 masks hold; a tie of 2 to 2 is left out" in (
        agreement.majority_rule(4)
    )
    assert agreement.majority_rule(3) == "It holds what at least 2 of the 3 masks hold."


@pytest.mark.parametrize(
    "predictions, expected",
    [
        (
            {"resnet50-cls": 0.9, "resnet50-mtl": (0.6, box(10)), "swin-seg": box(11)},
            "Both probabilities lean towards malignant (60% to 90% malignant), and both outlines "
            "agree well (lowest Dice 0.95).",
        ),
        (
            {"resnet50-mtl": (0.1, box(10)), "swin-mtl": (0.2, box(25))},
            "Both probabilities lean towards benign (10% to 20% malignant), but the outlines "
            "differ (furthest apart are ResNet-50 Multi-Task and ST Multi-Task with Dice 0.25).",
        ),
        (
            {"resnet50-cls": 0.9, "resnet50-mtl": (0.2, box(0, 0)), "swin-seg": box(10)},
            "ResNet-50 leans towards malignant and ResNet-50 Multi-Task towards benign (20% to "
            "90% malignant), and ResNet-50 Multi-Task finds no lesion to outline while the rest "
            "do.",
        ),
        (
            {"resnet50-seg": box(0, 0), "swin-seg": box(0, 0)},
            "None of the 2 masks holds a lesion.",
        ),
        ({"resnet50-seg": box(10), "swin-seg": box(15)}, "The outlines agree in part"),
        ({"resnet50-mtl": (0.9, box(10)), "lite0-mtl": (0.1, box(10))}, "There is nothing to"),
    ],
)
def test_one_sentence_says_what_they_agree_on(predictions, expected):
    made = []
    for variant_id, answer in predictions.items():
        prob, mask = answer if isinstance(answer, tuple) else (answer, answer)
        made.append(prediction_of(variant_id, prob, mask))
    assert agreement.compare(made).sentence.startswith(expected)


def test_a_network_beyond_the_paper_is_never_mixed_in():
    six = [prediction_of("resnet50-mtl", 0.6, box(10)), prediction_of("swin-mtl", 0.8, box(15))]
    alone = agreement.compare(six)
    joined = agreement.compare([*six, prediction_of("lite0-mtl", 0.1, box(40))])
    assert joined.sentence == alone.sentence and joined.prob_range == (0.6, 0.8)
    assert np.array_equal(joined.consensus, alone.consensus)
    assert joined.dice["resnet50-mtl", "lite0-mtl"] == 0
    assert not alone.beyond and "10% malignant" in joined.beyond[0]


def test_the_next_network_works_while_an_answer_is_finished(scan_rgb_u8):
    together = Barrier(2, timeout=30)

    class Finishing(FakePredictor):
        def predict(self, image):
            together.wait()  # BrokenBarrierError, and so a failed place, where it stays alone
            return self.answer

    class TwoAtOnce(FakeNetworks):
        def get(self, variant_id):
            return Finishing(self.answers[variant_id])

    ids = ["resnet50-cls", "resnet50-seg", "resnet50-mtl", "swin-cls"]
    networks = TwoAtOnce({each: prediction_of(each) for each in ids})
    found = list(comparison.answers(networks, decode(scan_rgb_u8)))
    assert [(each.variant.id, each.state) for each in found] == [(each, "ok") for each in ids]


def tiles(html):
    return re.findall(r'data-tile="([^"]*)"', html)


def table_titles(html):
    table = html.split('class="numbers"')[1].split("</table>")[0]
    return re.findall(r'<th scope="row">([^<]*)', table)


def test_each_network_has_its_place_in_the_papers_order(predictor_for):
    answers = {name: predictor_for(name) for name in ("swin-seg", "resnet50-cls", "lite0-mtl")}
    answers |= {"swin-mtl": RuntimeError("/root"), "swin-cls": WeightsError("They are <damaged>.")}
    *_, (_, html, _) = compare.compare(FakeNetworks(answers), Example(FILES[0], "Benign 1"))
    assert tiles(html) == [
        *("", "reference", "resnet50-seg", "resnet50-mtl", "swin-seg", "swin-mtl"),
        *("resnet50-cls", "swin-cls", "lite0-mtl"),
    ]
    assert table_titles(html) == [get_variant(variant_id).title for variant_id in ORDER]
    # each in the network's tile and in its row
    assert html.count(comparison.ABSENT) == 2 * 2
    assert html.count(comparison.BROKEN) == 2 and "/root" not in html
    assert html.count("They are &lt;damaged&gt;.") == 2
    for variant_id in ("resnet50-cls", "lite0-mtl"):
        prob = predictor_for(variant_id).predict(FILES[0]).malignant_prob
        assert html.count(f"{percent(prob)}") >= 2
    assert agreement.NOTHING_TO_COMPARE in html.replace("&#x27;", "'")


def test_answers_show_as_they_come(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (60, 40)).save(path)
    networks = FakeNetworks({name: prediction_of(name, 0.25) for name in ORDER})
    made = compare.compare(networks, Upload(path, "<b>.png"), Options())
    steps = [html for _, html, _ in made]
    waiting = [html.count('<figure class="waiting"') for html in steps]
    assert waiting == [7, 6, 5, 4, 3, 2, 1, 0, 0]
    for answered, html in enumerate(steps[:-1]):
        assert f"{answered} of 7 networks have answered." in html
    assert "All 4 probabilities lean towards benign" in steps[-1]
    assert "&lt;b&gt;.png" in steps[-1] and "<b>" not in steps[-1]
    assert "consensus" in tiles(steps[-1]) and "reference" not in tiles(steps[-1])


@pytest.mark.parametrize("content, words", [(None, "no longer on the server"), (b"x", "Export")])
def test_what_is_no_image_gets_a_sentence(tmp_path, content, words):
    path = tmp_path / "a.png"
    if content:
        path.write_bytes(content)
    ((source, html, _),) = compare.compare(FakeNetworks({}), Upload(path, "a.png"))
    assert not source and words in html and 'role="alert"' in html


@pytest.fixture(scope="module")
def app(app):
    """With all networks loaded, which may take longer than an answer."""
    Client(app.url, verbose=False).predict(handle_file(FILES[0]), api_name="/compare")
    return app


@pytest.fixture(scope="module")
def predictions():
    """Of the first example, by all networks that are embedded."""
    return [Predictor(variant_id).predict(FILES[0]) for variant_id in weights.available()]


def open_tab(open_page, **options):
    page = open_page(**options)
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#board .empty")).to_be_visible()
    return page


def test_a_visitor_compares_on_a_phone(open_page, predictions):
    page = open_tab(open_page, viewport=PHONE)
    page.locator("#compare-examples label").first.click()
    expect(page.locator("#board .summary p").first).to_have_text(
        agreement.compare(predictions).sentence
    )
    expect(page.locator("#board .numbers tbody th[scope=row]")).to_contain_text(
        [get_variant(variant_id).title for variant_id in ORDER]
    )
    for prediction in predictions:
        tile = page.locator(f"#board figure[data-tile={prediction.variant}]")
        expect(tile.locator(".outline, .heat")).to_be_attached()
        if prediction.malignant_prob is not None:
            expect(tile).to_contain_text(percent(prediction.malignant_prob))
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


# In the page, since the next answer may come sooner than a test looks again.
CLEAR_WHEN_SOME_HAVE_ANSWERED = """() => new Promise((cleared) => {
    const board = document.querySelector("#board");
    new MutationObserver((_, observer) => {
        if (!board.textContent.includes("networks have answered")) return;
        observer.disconnect();
        document.querySelector("#compare-clear").click();
        cleared();
    }).observe(board, { childList: true, subtree: true, characterData: true });
    document.querySelector("#compare-examples label").click();
})"""


def test_clearing_ends_a_comparison_that_is_under_way(open_page):
    page = open_tab(open_page)
    page.evaluate(CLEAR_WHEN_SOME_HAVE_ANSWERED)
    expect(page.locator("#board .empty")).to_be_visible()
    page.wait_for_timeout(1500)  # a late answer would be there by now
    expect(page.locator("#board .empty")).to_be_visible()


def test_the_slider_works_with_the_keyboard(open_page):
    page = open_tab(open_page)
    page.locator("#compare-examples label").first.click()
    pair = page.locator("#board .pair")
    left = pair.locator("svg.left")
    expect(left).to_have_css("clip-path", "inset(0px 50% 0px 0px)")
    pair.get_by_role("slider").press("ArrowRight")
    expect(left).to_have_css("clip-path", "inset(0px 49% 0px 0px)")
    pair.get_by_label("Left", exact=True).select_option("Reference")
    expect(left.locator("use")).to_have_attribute("href", "#compare-reference")


def test_files_go_to_the_tab_in_view_and_off_the_disk(open_page, app, tmp_path):
    path = tmp_path / "own.png"
    pixels = np.asarray(Image.open(FILES[0]).convert("L")).copy()
    pixels[0, 0] ^= 3
    Image.fromarray(pixels).save(path)
    page = open_tab(open_page)
    data = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(HAND_OVER, ["paste", "body", path.name, data])
    expect(page.locator("#board .name")).to_have_text(path.name)
    expect(page.locator("#board .pair")).to_be_visible()
    expect(page.locator("#picture .name")).to_have_text("Example: malignant 1")
    assert app.keeps(path.read_bytes())
    page.locator("#compare-clear").click()
    expect(page.locator("#board .empty")).to_be_visible()
    assert not app.keeps(path.read_bytes())


def test_the_image_of_analyse_is_compared_as_it_is_read_there(open_page, app, tmp_path):
    path = tmp_path / "own.png"
    pixels = np.asarray(Image.open(FILES[1]).convert("L")).copy()
    pixels[0, 0] ^= 3
    Image.fromarray(pixels).save(path)
    page = open_page()
    page.locator("#upload input[type=file]").set_input_files(path)
    expect(page.locator("#picture .name")).to_have_text(path.name)
    page.get_by_role("button", name="Scale and crop").click()
    type_into(page.locator("#crop-left input"), "20")
    type_into(page.locator("#scale input"), "0.1")
    page.locator("#apply").click()
    expect(page.locator("#findings")).to_contain_text("columns 20 to")
    page.locator("#to-compare").click()

    height, width = pixels.shape
    expect(page.locator("#board .name")).to_have_text(path.name)
    expect(page.locator("#board .size")).to_have_text(f"{width - 20} × {height} px")
    expect(page.locator("#board .pair")).to_be_visible()
    expect(page.locator("#board .notes")).to_contain_text("columns 20 to")
    expect(page.locator("#board .numbers")).to_contain_text("mm")
    page.locator("#compare-clear").click()
    expect(page.locator("#board .empty")).to_be_visible()
    page.get_by_role("tab", name="Analyse").click()
    page.locator("#undo").click()  # which needs the file, still there for this tab
    expect(page.locator("#findings")).not_to_contain_text("columns 20 to")
    expect(page.locator("#picture .name")).to_have_text(path.name)
    page.locator("#clear").click()
    expect(page.locator("#picture .empty")).to_be_visible()
    assert not app.keeps(path.read_bytes())


def test_programs_get_the_same_as_json(app, predictions):
    client = Client(app.url, verbose=False)
    answer = client.predict(handle_file(FILES[0]), api_name="/compare")
    assert [network["id"] for network in answer["networks"]] == ORDER
    networks = {network["id"]: network for network in answer["networks"]}
    for prediction in predictions:
        network = networks.pop(prediction.variant)
        assert network["status"] == "ok" and network["latency_ms"] > 0
        assert network["malignant_prob"] == pytest.approx(prediction.malignant_prob, abs=1e-3)
        if prediction.mask is not None:
            assert network["lesion"]["lesion_count"] == len(prediction.lesions)
    assert all(network["status"] == "not available" for network in networks.values())
    assert answer["agreement"]["sentence"] == agreement.compare(predictions).sentence
    assert not app.keeps(FILES[0].read_bytes())

    types = client.view_api(return_format="dict")["named_endpoints"]["/compare"]
    assert "malignant_prob: None | float" in types["returns"][0]["python_type"]["type"]
    assert "Research use only" in types["description"]


def test_programs_are_told_why_a_file_is_no_good(app, tmp_path):
    path = tmp_path / "text.png"
    path.write_bytes(b"no image")
    with pytest.raises(AppError, match="cannot be read as a PNG"):
        Client(app.url, verbose=False).predict(handle_file(path), api_name="/compare")
    assert not app.keeps(b"no image")
