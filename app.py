"""The demo: `python app.py`, then open the printed address."""

import os
from pathlib import Path

# Gradio and the Hub's client read these when they are imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from busmtl.ui.page import build

if __name__ == "__main__":
    host = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    page, settings = build(Path(__file__).parent / "examples")
    page.launch(server_name=os.environ.get("GRADIO_SERVER_NAME", host), **settings)
