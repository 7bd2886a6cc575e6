"""A browser without a screen: it loads pages, reads them, and sends their forms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx
from starlette.types import ASGIApp

from turnwise.dashboard import dashboard
from turnwise.session import Session

BASE = "http://localhost"


@dataclass
class Form:
    """A form with its hidden fields and its buttons."""

    method: str
    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """What a page shows, and its forms and links."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.status, self.html = response.status_code, response.text
        self.headers = response.headers
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self._words: list[str] = []
        self._link: str | None = None
        self.feed(response.text)

    @property
    def text(self) -> str:
        """Its words, with single spaces between."""
        return " ".join(" ".join(self._words).split())

    def form(self, button: str, holding: str = "") -> Form:
        """The form that has this button, and this text among its fields or in its address."""
        return next(
            form
            for form in self.forms
            if button in form.buttons
            and (holding in form.action or any(holding in value for _, value in form.fields))
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.attributes |= set(given)
        if tag == "form":
            self.forms.append(Form(given.get("method", "get"), given["action"]))
        elif tag == "input" and self.forms and given.get("type") in ("hidden", "checkbox"):
            self.forms[-1].fields.append((given["name"], given.get("value", "")))
        elif tag == "button" and self.forms:
            self.forms[-1].buttons.append(given.get("value", ""))
        self._link = given["href"] if tag == "a" else self._link

    def handle_endtag(self, tag: str) -> None:
        self._link = None if tag == "a" else self._link

    def handle_data(self, data: str) -> None:
        self._words.append(data)
        if self._link is not None and data.strip():
            self.links[data.strip()] = self._link


class Visitor:
    """Somebody with a browser."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **query: str) -> Page:
        return Page(await self.client.get(path, params=query or None))

    async def send(self, form: Form, do: str, **fields: Any) -> Page:
        """Press the button `do`; what is given here is typed in."""
        sent = [*form.fields, ("do", do), *fields.items()]
        body = httpx.QueryParams(sent)
        headers = {"Origin": BASE, "Content-Type": "application/x-www-form-urlencoded"}
        response = await self.client.post(form.action, content=str(body), headers=headers)
        return Page(response)


@asynccontextmanager
async def visiting(app: ASGIApp, **options: Any) -> AsyncIterator[Visitor]:
    transport = httpx.ASGITransport(app, **options)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield Visitor(client)


@asynccontextmanager
async def visitor_of(session: Session, **options: Any) -> AsyncIterator[Visitor]:
    """Somebody who visits the dashboard of these sessions."""
    app = dashboard(session, **({"authenticate": None} | options))
    async with app.router.lifespan_context(app), visiting(app) as visitor:
        yield visitor
