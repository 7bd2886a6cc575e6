"""The form that asks for the token of a dashboard that is run alone."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from turnwise.dashboard.authentication import LOGIN_COOKIE, LOGIN_SECONDS, Token
from turnwise.dashboard.forms import checked_form
from turnwise.dashboard.site import Visit


async def login(visit: Visit, token: Token) -> Response:
    """The overview, with a cookie that lets the browser in; or the form again."""
    form = await checked_form(visit.request, read_only=False)
    if not token.is_right(form.get("token", "")):
        return visit.page("login.html", 401, failed=True)
    response = RedirectResponse(visit.link("/"), 303)
    visit.set_cookie(response, LOGIN_COOKIE, token.cookie(), LOGIN_SECONDS)
    return response
