"""The wires put together as one app, with health, readiness and a good end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from turnwise.background import Agents
from turnwise.http import page as chat_page
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Authenticate, nobody
from turnwise.http.problems import problem_of
from turnwise.http.quotas import Quota, Quotas, limited
from turnwise.http.replica import Replica, WorkerInside
from turnwise.http.routes import WireRoute
from turnwise.http.webhook import Webhook
from turnwise.http.wires import ag_ui, chat, completions, responses, vercel
from turnwise.session import Session

Wire = Callable[[Gateway, Authenticate], APIRouter]
"""Makes the routes of one dialect."""

WIRES: tuple[Wire, ...] = (
    chat.router,
    responses.router,
    completions.router,
    vercel.router,
    ag_ui.router,
)


def create_app(
    session: Session,
    agents: Agents,
    *,
    worker: WorkerInside | None = None,
    authenticate: Authenticate = nobody,
    quota: Quota | None = None,
    webhook: Webhook | None = None,
    wires: Sequence[Wire] = WIRES,
    page: bool = True,
) -> FastAPI:
    """All wires and the chat page as one app, for any ASGI server.

    `GET /healthz` says that the process lives, `GET /readyz` whether it should get requests: not
    while the store does not answer, nor once SIGTERM or SIGINT has come. Then no new message is
    taken, the worker ends its turns or gives them to others, and streams end with what tells their
    clients to come back. The app does not close `session`.

    Args:
        session: Stands for all sessions of the store.
        agents: The agents that messages may name, the default first.
        worker: A `Worker` that runs during the app's lifespan, which an app that mounts this one
            has to run; None if workers elsewhere run the turns.
        authenticate: Says who sends a request. Without it everybody who reaches the app is let in.
        quota: What each principal may do; None for no limits.
        webhook: Is told how responses in the background end; None: nobody is.
        wires: The dialects that it speaks.
        page: Whether `/` is the chat page, which needs the chat wire.
    """
    quotas = None if quota is None else Quotas(session, quota)
    replica = Replica(Gateway(session, agents, quotas, webhook), worker)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with replica.stopped_by_signals():
            async with replica.running():
                yield

    return app_of(replica, authenticate, wires, page, lifespan)


def app_of(
    replica: Replica,
    authenticate: Authenticate,
    wires: Sequence[Wire],
    page: bool,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """The app of a replica that `lifespan`, or the caller, runs."""
    app = FastAPI(
        title="Turnwise",
        version=version("turnwise"),
        lifespan=lifespan,
        docs_url=None,  # its scripts are another host's
        redoc_url=None,
    )
    if (quotas := replica.gateway.quotas) is not None:
        authenticate = limited(authenticate, quotas)
    for wire in wires:
        app.include_router(wire(replica.gateway, authenticate))
    if page:
        app.include_router(chat_page.router())
    app.include_router(_probes(replica))
    for kind in (Exception, HTTPException):
        app.add_exception_handler(kind, _problem)
    return app


def _probes(replica: Replica) -> APIRouter:
    routes = APIRouter(tags=["probes"])

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process lives. The store is not asked: restarting helps nobody if it is down."""
        return {"status": "ok"}

    @routes.get("/readyz", responses={503: {"description": "It should get no requests now"}})
    async def readyz() -> Response:
        """Whether it should get requests."""
        why = await replica.unready()
        if why:
            return JSONResponse({"status": "unready", "reason": why}, 503)
        return JSONResponse({"status": "ok"})

    return routes


async def _problem(_: Request, error: Exception) -> Response:
    return WireRoute.problem(problem_of(error))
