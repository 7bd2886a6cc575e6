"""What all pages share: the sessions, who asks, and how a page is made of a template."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from turnwise.dashboard import wording
from turnwise.dashboard.authentication import Authenticate
from turnwise.dashboard.forms import FIELD, FORM_COOKIE, Form, form_token, new_cookie
from turnwise.fleet.watch import Watch
from turnwise.session import Session

_BY = 200
"""How many bytes of a name the audit takes."""
_VERSION = wording.version()


def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("turnwise.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= wording.FILTERS
    return made


class Site:
    """One dashboard.

    Attributes:
        session: Stands for all sessions of the store.
        watch: What all its visitors watch together.
        authenticate: Who sends a request.
        read_only: Whether nothing can be changed.
    """

    def __init__(
        self, session: Session, *, authenticate: Authenticate | None, read_only: bool
    ) -> None:
        self.session = session
        self.watch = Watch(session)
        self.authenticate = authenticate
        self.read_only = read_only
        self.templates = _templates()


@dataclass(frozen=True)
class Outcome:
    """What became of something that a person did on a page."""

    text: str
    failed: bool = False


@dataclass
class Visit:
    """One request, by somebody."""

    site: Site
    request: Request
    user: str = ""
    form: Form = field(default_factory=Form)

    @property
    def session(self) -> Session:
        return self.site.session

    @property
    def by(self) -> str | None:
        """Who, for the audit; None for this process's user."""
        return self.user.encode()[:_BY].decode(errors="ignore") or None

    @property
    def reason(self) -> str | None:
        """Why, for the audit: what the form says."""
        return self.form.get("reason") or None

    def query(self, name: str) -> str | None:
        """A parameter of the address; None if it is absent or empty."""
        return self.request.query_params.get(name) or None

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number of the address, from 1 on. Raises HTTPException."""
        given = self.query(name)
        if given is None:
            return default
        if not given.isascii() or not given.isdecimal() or not 1 <= int(given[:9]) <= most:
            raise HTTPException(400, f"{name} is a whole number from 1 to {most}.")
        return int(given)

    def needed(self, name: str) -> str:
        """A parameter of the address that has to be there. Raises HTTPException."""
        given = self.query(name)
        if given is None:
            raise HTTPException(400, f"The address lacks {name}=…")
        return given

    def link(self, path: str, **query: object) -> str:
        """The address of a page of this dashboard, wherever that is mounted."""
        root = str(self.request.scope.get("root_path", "")).rstrip("/")
        given = {name: value for name, value in query.items() if value not in (None, "")}
        # What is no text in UTF-8 has no address, but the page that would link to it has.
        return root + path + (f"?{urlencode(given, errors='replace')}" if given else "")

    @property
    def _path(self) -> str:
        """The page's path in this dashboard."""
        scope = self.request.scope
        return str(scope["path"]).removeprefix(str(scope.get("root_path", "")))

    def question(self, verb: str, heading: str, words: str, back: str, **ids: str) -> Response:
        """The page that asks before something is ended; its form says it is sure, and why."""
        return self.page(
            "question.html", verb=verb, heading=heading, words=words, back=back, ids=ids
        )

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """A page. Its forms carry what `checked_form` asks for."""
        cookie = self.request.cookies.get(FORM_COOKIE) or new_cookie()
        common: Mapping[str, Any] = {
            "link": self.link,
            "path": self._path,
            "here": self.link(self._path, **self.request.query_params),
            "user": self.user,
            "read_only": self.site.read_only,
            "form_field": FIELD,
            "form_token": form_token(cookie),
            "version": _VERSION,
            "now": time.time(),
        }
        html = self.site.templates.get_template(template).render({**common, **values})
        response = HTMLResponse(html, status)
        if FORM_COOKIE not in self.request.cookies:
            self.set_cookie(response, FORM_COOKIE, cookie)
        return response

    def set_cookie(
        self, response: Response, name: str, value: str, seconds: int | None = None
    ) -> None:
        """Set a cookie that no script reads, and that no other site's page sends."""
        schemes = self.request.url.scheme, self.request.headers.get("x-forwarded-proto")
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path=self.link("/"),
            secure="https" in schemes,
            httponly=True,
            samesite="strict",
        )
