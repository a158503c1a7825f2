"""The demo: `python app.py`, then open the printed address."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from busmtl.ui import sweep

# Gradio reads these and GRADIO_TEMP_DIR when it is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` cleans up as Ctrl-C does
    host = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    parent = os.environ.get("GRADIO_TEMP_DIR")
    if parent:
        Path(parent).mkdir(parents=True, exist_ok=True)
    # A folder of our own, readable by this user alone: what lies beside it is never swept.
    with TemporaryDirectory(prefix="busmtl-", dir=parent, ignore_cleanup_errors=True) as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        sweep.start(Path(uploads))
        with suppress(KeyboardInterrupt):
            from busmtl.ui.page import build

            page, settings = build(Path(__file__).parent / "examples")
            page.launch(server_name=os.environ.get("GRADIO_SERVER_NAME", host), **settings)
    sys.stdout.flush()
    os._exit(0)  # waits for no network that is still loading
