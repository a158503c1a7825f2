"""For people: axe-core finds nothing serious on any tab, and the keyboard reaches everything."""

from importlib.resources import files

import pytest
from browser import ROOT
from playwright.sync_api import expect

pytest_plugins = ["browser"]

EXAMPLES = sorted((ROOT / "examples" / "images").glob("*.png"))
TABS = {  # and what each shows once it is there
    "Analyse": "#picture .frame",
    "Compare": "#board .empty",
    "Batch": "#batch-table .empty",
    "Results": "#roc svg",
    "About": "#about",
}

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
RUN_AXE = """async () => {
    const changes = document.getAnimations().filter((each) => each instanceof CSSTransition);
    await Promise.allSettled(changes.map((each) => each.finished)); // colours as they stay
    const {violations} = await axe.run(document, {resultTypes: ["violations"]});
    return violations.flatMap(({id, impact, nodes}) => nodes.map(({target, html}) =>
        ({rule: id, impact, selector: target.flat().join(" "), html})));
}"""
SERIOUS = ("serious", "critical")

# (rule, selector) of what lies inside Gradio's own components, out of our reach, and why.
GRADIOS_OWN = {
    ("nested-interactive", 'button[aria-label="common.upload"]'): "gr.File's button for more files "
    "holds the input that it opens",
}

# Every control that can be seen gets a number. Of radio buttons that belong together the browser
# stops at one, from which the arrow keys go on, so that they share a number.
NUMBER_CONTROLS = """() => {
    const stops = new Map();
    const found = "a[href], button, input, select, textarea, [role=tab], [tabindex='0']";
    for (const each of document.querySelectorAll(found)) {
        const isChoiceOfFiles = each.type === "file"; // the button around it opens the choice
        const isHidden = !each.checkVisibility() || each.closest("[aria-hidden=true]");
        if (each.disabled || isChoiceOfFiles || isHidden) continue;
        const key = each.type === "radio" ? each.name : each;
        if (!stops.has(key)) stops.set(key, [String(stops.size), each.outerHTML.slice(0, 120)]);
        each.dataset.stop = stops.get(key)[0];
    }
    return Object.fromEntries(stops.values());
}"""
FOCUSED = "() => document.activeElement.dataset.stop"
MOST_STOPS = 150


def choose(page, name):
    page.get_by_role("tab", name=name).click()
    expect(page.locator(TABS[name])).to_be_visible()


def unfold(page):
    """Open every accordion in view; all are closed at first."""
    for fold in page.locator(".label-wrap:visible").all():
        fold.click()
        expect(fold).to_contain_class("open")


def compare_an_example(page):
    page.locator("#compare-examples label").first.click()
    expect(page.locator("#board .pair")).to_be_visible()


def run_a_batch(page):
    unfold(page)
    page.set_input_files("#batch-files input[type=file]", [EXAMPLES[0], EXAMPLES[-1]])
    expect(page.locator("#batch-files .file")).to_have_count(2)
    page.locator("#batch-start").click()
    expect(page.get_by_text("Done: 2 images.")).to_be_visible()
    expect(page.locator("#batch-start")).to_be_enabled()


def show_all_results(page):
    page.get_by_role("button", name="Show figures and failures").click()
    expect(page.locator("#results-more .failures").first).to_be_visible()
    unfold(page)


USED = {
    "Analyse": unfold,
    "Compare": compare_an_example,
    "Batch": run_a_batch,
    "Results": show_all_results,
}


def serious_findings(page):
    found = [each for each in page.evaluate(RUN_AXE) if each["impact"] in SERIOUS]
    return [each for each in found if (each["rule"], each["selector"]) not in GRADIOS_OWN]


def press_tab_until(page, selector):
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"Tab never stops at {selector}")


@pytest.fixture(params=["light", "dark"])
def page_with_axe(request, open_page, app):
    page = open_page(reduced_motion="reduce")
    page.goto(f"{app.url}/?__theme={request.param}")
    expect(page.locator("#picture .frame")).to_be_visible()
    page.evaluate(AXE)
    return page


def test_axe_finds_nothing_serious_on_any_tab(page_with_axe):
    page, found = page_with_axe, {}
    expect(page.get_by_role("tab")).to_have_text(list(TABS))
    for name in TABS:
        choose(page, name)
        found[name] = serious_findings(page)
    assert found == {name: [] for name in TABS}


def test_axe_finds_nothing_serious_once_the_tabs_are_used(page_with_axe):
    page, found = page_with_axe, {}
    for name, use in USED.items():
        choose(page, name)
        use(page)
        found[name] = serious_findings(page)
    assert found == {name: [] for name in USED}


def test_tab_stops_at_every_control_of_every_tab(open_page):
    page = open_page()
    for name in TABS:
        choose(page, name)
        controls = page.evaluate(NUMBER_CONTROLS)
        reached = set()
        for _ in range(MOST_STOPS):
            page.keyboard.press("Tab")
            stop = page.evaluate(FOCUSED)
            if stop in reached:
                break
            reached.add(stop)
        missed = {number: html for number, html in controls.items() if number not in reached}
        assert not missed, name


def test_the_keyboard_alone_does_what_the_pointer_does(open_page):
    page = open_page()
    # Playwright begins to catch file choosers at the first listener, and a key pressed right then
    # can be faster: so it begins here.
    page.on("filechooser", lambda chooser: None)
    name = page.locator("#picture .name")
    press_tab_until(page, "#examples label:nth-of-type(6) input")
    page.keyboard.press("Space")
    expect(name).to_have_text("Example: malignant 2")
    press_tab_until(page, "#upload button")
    with page.expect_file_chooser():
        page.keyboard.press("Enter")
    press_tab_until(page, "#show-reference input")
    page.keyboard.press("Space")
    expect(page.locator("#picture svg.reference")).to_be_visible()
    press_tab_until(page, "#clear")
    page.keyboard.press("Enter")
    expect(page.locator("#picture .empty")).to_be_visible()
    press_tab_until(page, "[role=tab]:last-of-type")
    page.keyboard.press("Enter")
    expect(page.locator("#about")).to_be_visible()
