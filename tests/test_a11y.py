"""For people: axe-core finds nothing serious on any tab, and the keyboard reaches everything."""

from importlib.resources import files

import pytest
from playwright.sync_api import expect

pytest_plugins = ["browser"]

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
RUN_AXE = """() => axe.run(document, {resultTypes: ["violations"]}).then((results) =>
    results.violations.flatMap(({id, impact, nodes}) => nodes.map(({target, html}) =>
        ({rule: id, impact, selector: target.flat().join(" "), html}))))"""
SERIOUS = ("serious", "critical")

# (rule, selector) of what lies inside Gradio's own components, out of our reach, and why.
GRADIOS_OWN: dict[tuple[str, str], str] = {}

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


def tabs_of(page):
    return page.get_by_role("tab").all()


def choose(tab):
    tab.click()
    expect(tab).to_have_attribute("aria-selected", "true")


def serious_findings(page):
    found = [each for each in page.evaluate(RUN_AXE) if each["impact"] in SERIOUS]
    return [each for each in found if (each["rule"], each["selector"]) not in GRADIOS_OWN]


def press_tab_until(page, selector):
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"Tab never stops at {selector}")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_tab(open_page, app, theme):
    page = open_page(reduced_motion="reduce")
    page.goto(f"{app.url}/?__theme={theme}")
    expect(page.locator("#picture .frame")).to_be_visible()
    page.evaluate(AXE)
    found = {}
    for tab in tabs_of(page):
        choose(tab)
        found[tab.inner_text()] = serious_findings(page)
    assert found == {name: [] for name in found}
    assert len(found) >= 2


def test_tab_stops_at_every_control_of_every_tab(open_page):
    page = open_page()
    for tab in tabs_of(page):
        choose(tab)
        controls = page.evaluate(NUMBER_CONTROLS)
        reached = set()
        for _ in range(MOST_STOPS):
            page.keyboard.press("Tab")
            stop = page.evaluate(FOCUSED)
            if stop in reached:
                break
            reached.add(stop)
        missed = {name: html for name, html in controls.items() if name not in reached}
        assert not missed, tab.inner_text()


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
