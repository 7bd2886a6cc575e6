"""The chat page: files for a browser, which then speaks the chat wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

_FOLDER = Path(__file__).parent
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # a page and a server of two versions do not meet
}
_FILES = {
    "/": ("index.html", "text/html"),
    "/page/chat.js": ("chat.js", "text/javascript"),
    "/page/style.css": ("style.css", "text/css"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}


def router() -> APIRouter:
    """The routes of the page: its files, which are the same for everybody.

    They may have a prefix, which the routes of the chat wire then have too. Who sends a request is
    the chat wire's matter: where it answers 401, the page asks for a key or a token.
    """
    routes = APIRouter(include_in_schema=False)
    for path, (name, media_type) in _FILES.items():
        routes.add_api_route(path, _sender(name, media_type), methods=["GET", "HEAD"])
    return routes


def _sender(name: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def send() -> Response:
        return FileResponse(_FOLDER / name, media_type=media_type, headers=_HEADERS)

    return send
