"""What a page sends back: only if this page was asked for it, and no other site."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from hashlib import sha256
from secrets import token_urlsafe
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

FORM_COOKIE = "turnwise-form"
FIELD = "form_token"
_MOST_BYTES = 1_000_000
_MOST_FIELDS = 10_000
_OTHER_PAGE = (
    "The form was not sent by a page of this dashboard, or its browser has forgotten the "
    "dashboard's cookie. Nothing was done: load the page again, and repeat it."
)


class Form(Mapping[str, str]):
    """The fields of a form: of each name the last value, or all `ids`."""

    def __init__(self, fields: list[tuple[str, str]] | None = None) -> None:
        self._fields = fields or []
        self._last = dict(self._fields)

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def ids(self, name: str) -> list[str]:
        """The ids under this name, percent-encoded: browsers change line ends in fields."""
        return [unquote(value) for key, value in self._fields if key == name]

    def id(self, name: str) -> str:
        """The id under this name; "" if there is none."""
        return next(iter(self.ids(name)), "")


async def checked_form(request: Request, *, read_only: bool) -> Form:
    """The fields that a page of ours sends. Raises HTTPException for anything else."""
    if read_only:
        raise HTTPException(403, "This dashboard only shows: nothing can be changed here.")
    check_origin(request)
    form = await read_form(request)
    cookie = request.cookies.get(FORM_COOKIE, "")
    if not cookie or not hmac.compare_digest(form.get(FIELD, ""), form_token(cookie)):
        raise HTTPException(403, _OTHER_PAGE)
    return form


def check_origin(request: Request) -> None:
    """Refuse what another site's page made the browser send. Browsers tell, and pages cannot lie.

    Where a proxy hides the name under which a browser reaches us, `Sec-Fetch-Site` still tells.
    """
    site = request.headers.get("sec-fetch-site")
    origin = urlsplit(request.headers.get("origin", "")).netloc
    is_ours = site == "same-origin" if site else origin == request.headers.get("host")
    if not is_ours or not (site or origin):
        raise HTTPException(403, _OTHER_PAGE)


async def read_form(request: Request) -> Form:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, "That is too much for one form. Nothing was done.")
    try:
        text = body.decode()
        return Form(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise HTTPException(400, "The form cannot be read. Nothing was done.") from None


def new_cookie() -> str:
    return token_urlsafe(24)


def form_token(cookie: str) -> str:
    """What a form carries: who cannot read the browser's cookie cannot make it up."""
    return sha256(f"turnwise form {cookie}".encode()).hexdigest()
