"""The tab "Results" and the arithmetic of its movable operating point."""

import gradio as gr
import pytest
from playwright.sync_api import expect

from busmtl import reported
from busmtl.ui import results as tab

pytest_plugins = ["browser"]

NETWORK = {
    "title": "<b>Net</b>",
    "malignant": [False, False, True, True],
    "malignant_prob": [0.1, 0.6, 0.5, 0.9],
}


def test_an_operating_point_counts_from_the_threshold_on():
    point = reported.operating_point(NETWORK, 0.5)
    assert (point.tp, point.fp, point.fn, point.tn) == (2, 1, 0, 1)


def test_roc_runs_from_corner_to_corner_and_never_back():
    points = reported.roc(NETWORK)
    assert points == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]


def test_wilson_intervals_as_the_evaluation_rules_quote_them():
    """The paper's ACC of 123 in 130 and TPR of 35 in 39."""
    assert reported.Share(123, 130).interval == pytest.approx((0.893, 0.974), abs=5e-4)
    assert reported.Share(35, 39).interval == pytest.approx((0.764, 0.959), abs=5e-4)


def test_nothing_called_malignant_has_no_precision():
    html = tab.operating_html({"networks": {"net": NETWORK}}, "net", 1.0)
    assert "<td>–</td><td>0 of 0</td>" in html


def test_names_are_escaped():
    html = tab.operating_html({"networks": {"net": NETWORK}}, "net", 0.5)
    assert "<b>Net" not in html and "&lt;b&gt;Net" in html


def test_an_installation_without_results_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(reported, "FOLDER", tmp_path)
    reported.load.cache_clear()
    try:
        with gr.Blocks() as page:
            tab.build()
    finally:
        reported.load.cache_clear()
    assert [each["props"]["value"] for each in page.config["components"]] == [tab.NONE_YET]


def test_tables_point_and_pictures_in_the_browser(open_page):
    page = open_page()
    page.get_by_role("tab", name="Results").click()
    network = reported.load()["networks"]["resnet50-mtl"]
    acc = reported.operating_point(network, 0.5).shares["ACC"]
    table = page.get_by_role("region", name="Table I:")
    row = table.get_by_role("row").filter(has_text="ResNet-50 Multi-Task")
    expect(row).to_contain_text(f"{acc.value:.3f} [")
    results = reported.load()
    variant_id = next(iter(reported.classifiers(results).values()))
    at_02 = reported.operating_point(results["networks"][variant_id], 0.2)
    slider = page.get_by_role("spinbutton", name="Malignant from this probability on")
    slider.fill("0.2")
    slider.press("Enter")
    sensitivity = at_02.shares["TPR (sensitivity)"]
    expect(page.locator("#roc")).to_contain_text(f"{sensitivity.count} of {sensitivity.total}")
    page.get_by_role("button", name="Show figures and failures").click()
    pictures = len(tab.PICTURES) + len(results["failures"])
    expect(page.locator("#results-more img")).to_have_count(pictures)
