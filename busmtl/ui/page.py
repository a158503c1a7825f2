"""The page around the tabs: title, theme, and the settings for a public server."""

from pathlib import Path

import gradio as gr

from ..images import MAX_FILE_BYTES
from . import about, analyse, batch, compare, results, server
from .chosen import find_examples
from .networks import Networks

FOLDER = Path(__file__).parent
HEADER = """<header class="page-header"><h1>busmtl</h1>
<p>Outlines the lesion in a breast-ultrasound image and says how likely it is malignant.</p>
</header>"""

# Fonts of the visitor's system: Gradio's own are fetched from outside.
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Consolas", "monospace")

MAX_WAITING = 60  # events; whoever comes later is told that the queue is full


def build(examples_folder: Path) -> tuple[gr.Blocks, dict]:
    """The page, and what its `launch` needs."""
    examples = find_examples(examples_folder)
    networks = Networks()
    with gr.Blocks(title="busmtl", analytics_enabled=False) as page:
        gr.HTML(HEADER)
        with gr.Tabs() as tabs:
            with gr.Tab("Analyse"):
                hand_over = analyse.build(page, networks, examples)
            with gr.Tab("Compare", id="compare"):
                compare.build(networks, examples, tabs, hand_over)
            with gr.Tab("Batch"):
                batch.build(page, networks)
            with gr.Tab("Results"):
                results.build()
            with gr.Tab("About"):
                about.build(networks)
    page.queue(max_size=MAX_WAITING)
    script = f"const MAX_FILE_BYTES = {MAX_FILE_BYTES};\n" + _read_all("*.js")
    css = _read_all("*.css") + analyse.thumbnails_css(examples)
    look = {"theme": _theme(), "css": css}
    return page, look | server.launch_options(networks, script) | PUBLIC


PUBLIC = {
    "show_error": False,
    "max_file_size": "64mb",
    "run_history": False,
    "allowed_paths": [],
    "enable_monitoring": False,
    "footer_links": ["api"],
    "ssr_mode": False,
}


def _read_all(pattern: str) -> str:
    """The text of all files of a kind beside this one, those that tabs add included."""
    return "\n".join(path.read_text("utf-8") for path in sorted(FOLDER.glob(pattern)))


def _theme() -> gr.themes.Base:
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=SANS,
        font_mono=MONO,
    )
    # Darker than Gradio's own where text or a control would be too faint on its ground.
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_label_text_color="*neutral_600",
        block_title_text_color="*neutral_700",
        link_text_color="*primary_700",
        link_text_color_active="*primary_700",
        link_text_color_visited="*primary_700",
        color_accent="*primary_700",
        slider_color="*primary_700",
        slider_color_dark="*primary_400",
        checkbox_background_color_selected="*primary_700",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        button_large_text_weight="500",
        button_large_text_size="*text_md",
    )
