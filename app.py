"""The demo: `python app.py`, then open the printed address."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

# Gradio reads both when it is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from busmtl.ui.page import build

if __name__ == "__main__":
    host = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    with TemporaryDirectory(prefix="busmtl-") as uploads:  # readable by this user alone
        os.environ.setdefault("GRADIO_TEMP_DIR", uploads)
        page, settings = build(Path(__file__).parent / "examples")
        page.launch(server_name=os.environ.get("GRADIO_SERVER_NAME", host), **settings)
