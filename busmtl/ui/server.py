"""What the web server adds to the page: `/health`, headers that guard every answer, and a folder of
its own for each upload.

Gradio hands the first two to its FastAPI application, see `launch_options`.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable

from gradio import route_utils
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import __version__
from .networks import Networks

# Nothing comes from outside. Gradio needs 'unsafe-eval' for the browser's half of its events and
# inline styles throughout; inline scripts run only with this answer's nonce, or as one of ours, so
# that HTML which slips into a message stays without effect.
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self' https://huggingface.co https://*.hf.space",
}


class SeparateUpload(route_utils.GradioUploadFile):
    """An upload whose folder nobody else gets.

    Gradio names the folder after the content, so that visitors with one and the same file would
    share it, and the first to clear it would take it from all.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.sha.update(secrets.token_bytes(16))


route_utils.GradioUploadFile = SeparateUpload  # which its parser of uploads then makes


def launch_options(networks: Networks, script: str) -> dict:
    """Keywords for `Blocks.launch`. script: the page's own JavaScript, which goes into its head."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "head": f"<script>{script}</script>",
        "app_kwargs": {
            "routes": [Route("/health", _health(networks))],
            "middleware": [Middleware(GuardingHeaders, script_hash=f"'sha256-{digest}'")],
        },
    }


def _health(networks: Networks) -> Callable:
    async def health(request: Request) -> JSONResponse:
        """On the event loop, so that it answers while predictions keep the threads busy."""
        known = {"available": networks.ids, "loaded": networks.loaded}
        return JSONResponse({"status": "ok", "version": __version__, "networks": known})

    return health


class GuardingHeaders:
    """ASGI middleware. It sets the headers, and on the page gives each script the answer's nonce.

    Only on the page itself: a visitor's HTML file must not get it.
    """

    def __init__(self, app: ASGIApp, script_hash: str):
        self._app = app
        self._script_hash = script_hash

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        is_page = scope["path"] == "/"
        nonce = secrets.token_urlsafe(16)
        page_start = None  # kept back until the length of the body is known

        async def send_guarded(message: Message) -> None:
            nonlocal page_start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers(nonce))
                if is_page and headers.get("content-type", "").startswith("text/html"):
                    page_start = message
                    return
            elif page_start is not None:  # Gradio sends its page in one piece
                body = message["body"].replace(b"<script", f'<script nonce="{nonce}"'.encode())
                MutableHeaders(scope=page_start)["content-length"] = str(len(body))
                await send(page_start)
                page_start, message = None, message | {"body": body}
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _headers(self, nonce: str) -> dict[str, str]:
        policy = POLICY | {
            "script-src": f"{POLICY['script-src']} 'nonce-{nonce}' {self._script_hash}"
        }
        return {
            "Content-Security-Policy": "; ".join(f"{key} {value}" for key, value in policy.items()),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
        }
