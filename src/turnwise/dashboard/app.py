"""The pages put together as one ASGI app, to be mounted in an application or run alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from turnwise.dashboard.authentication import Authenticate, Token, user_of
from turnwise.dashboard.changes import changes
from turnwise.dashboard.forms import checked_form
from turnwise.dashboard.headers import SecurityHeaders, check_host
from turnwise.dashboard.login import login
from turnwise.dashboard.pages import (
    approvals,
    audit,
    dead_letters,
    doctor,
    one_session,
    overview,
    sessions,
    stuck,
    turn,
    workers,
)
from turnwise.dashboard.problems import problem_page
from turnwise.dashboard.site import Site, Visit
from turnwise.session import Session

Page = Callable[[Visit], Awaitable[Response]]

_PAGES: dict[str, Page] = {
    "/": overview.overview,
    "/samples.json": overview.samples,
    "/changes": changes,
    "/stuck": stuck.stuck,
    "/audit": audit.audit,
    "/sessions": sessions.sessions,
    "/turn": turn.turn,
    "/doctor": doctor.doctor,
}
_FORMS: dict[str, Page] = {
    "/session": one_session.one_session,
    "/approvals": approvals.approvals,
    "/dead-letters": dead_letters.dead_letters,
    "/workers": workers.workers,
}
"""Pages that also take what is done on them."""


def dashboard(
    session: Session,
    *,
    authenticate: Authenticate | None,
    read_only: bool = False,
    hosts: Collection[str] | None = None,
) -> Starlette:
    """Pages on all sessions of a store, as an ASGI app: `app.mount("/turnwise", dashboard(...))`.

    The app polls the store while somebody watches: that costs the store at most 2 % of a core,
    however many watch. It does not close `session`.

    Args:
        session: The object that stands for all sessions of the store.
        authenticate: Gets each request, and returns who sends it, or awaits that; None, or an
            `HTTPException`, refuses it. Without such a function, everybody who reaches the app is
            let in: pass None only if something before it keeps others out.
        read_only: Nothing can be changed: no approvals, no retries, no cancels.
        hosts: The only names that a request's `Host` may have; None for any.
    """
    site = Site(session, authenticate=authenticate, read_only=read_only)

    def route(path: str, page: Page, *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return await _answer(site, page, request, hosts)

        return Route(path, endpoint, methods=list(methods))

    async def log_in(request: Request) -> Response:
        visit = Visit(site, request)
        try:
            check_host(request, hosts)
            if not isinstance(authenticate, Token):
                raise HTTPException(404)
            return await login(visit, authenticate)
        except Exception as error:
            return problem_page(visit, error)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        """Run alone, it watches all the time: what was before somebody looked is shown too."""
        async with site.watch.kept_up():
            yield

    static = StaticFiles(directory=Path(__file__).parent / "static")
    app = Starlette(
        routes=[
            *(route(path, page, "GET") for path, page in _PAGES.items()),
            *(route(path, page, "GET", "POST") for path, page in _FORMS.items()),
            Route("/login", log_in, methods=["POST"]),
            Mount("/static", static, name="static"),
        ],
        exception_handlers={HTTPException: _unknown_path(site)},
        lifespan=lifespan,
    )
    app.add_middleware(SecurityHeaders)
    return app


async def _answer(
    site: Site, page: Page, request: Request, hosts: Collection[str] | None
) -> Response:
    """Whatever goes wrong is said on a page, in a sentence."""
    visit = Visit(site, request)
    try:
        check_host(request, hosts)
        visit.user = await user_of(site.authenticate, request)
        if request.method == "POST":
            visit.form = await checked_form(request, read_only=site.read_only)
        return await page(visit)
    except Exception as error:
        return problem_page(visit, error)


def _unknown_path(site: Site) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return problem_page(Visit(site, request), error)

    return answer
