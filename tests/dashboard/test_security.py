"""Who is let in, what forms are believed, and what hostile content does: nothing."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Mount

from tests.dashboard.visitor import BASE, Form, Page, Visitor, visiting, visitor_of
from tests.integration.approval_lab import Clerk, waiting
from tests.integration.background_lab import echo, state, working
from tests.integration.fault_lab import message
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.background import Policy
from turnwise.dashboard import dashboard
from turnwise.dashboard.authentication import Token, UserHeader
from turnwise.dashboard.forms import FIELD, FORM_COOKIE
from turnwise.session import Session

sessions = new_sessions_of(["memory"])
ALL = (
    "/",
    "/stuck",
    "/sessions",
    "/session?id=s",
    "/approvals",
    "/dead-letters",
    "/workers",
    "/audit",
)
EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}</pre>&\u202e\x00\x1b[31m"
TOKEN = "a-long-enough-token"


async def test_every_answer_forbids_foreign_scripts_and_frames(visitor: Visitor) -> None:
    for path in (*ALL, "/nothing", "/static/app.js", "/static/vendor/htmx.min.js", "/samples.json"):
        headers = (await visitor.client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


async def test_pages_hold_no_inline_script_or_style(visitor: Visitor, session: Session) -> None:
    await session.bind("s").add_items([message("hi")])
    for path in ALL:
        page = await visitor.get(path)
        assert "style" not in page.tags | page.attributes
        assert not {name for name in page.attributes if name.startswith(("on", "hx-on"))}
        assert re.findall(r"<script(?![^>]*\ssrc=)", page.html) == []
        assert "javascript:" not in page.html


async def test_nothing_from_outside_becomes_markup(
    visitor: Visitor, session: Session, sessions: Sessions
) -> None:
    """Ids, texts, calls, errors and names, everywhere that they are shown."""

    async def fail(_: str) -> None:
        raise RuntimeError(EVIL)

    items: list[Any] = [
        message(EVIL),
        {"role": EVIL, "content": [{"type": EVIL}, {"text": EVIL}, EVIL, 3]},
        {"type": "function_call", "name": EVIL, "arguments": EVIL, "call_id": EVIL},
        {"type": "function_call_output", "output": {"x": EVIL}, "call_id": EVIL},
        {"type": "reasoning", "summary": [{"text": EVIL}]},
        {"type": EVIL, EVIL: EVIL},
        {"type": ["x"], "content": EVIL},
    ]
    await session.bind(EVIL).add_items(items)
    dead = await session.submit(f"dead {EVIL}", EVIL, agent="echo", turn_id=EVIL)
    async with working(sessions.worker(), echo(fail), policy=Policy(max_attempts=1)):
        await state(dead, "dead")
    await session.submit(f"queued {EVIL}", EVIL, agent=EVIL, turn_id=EVIL, metadata={"x": EVIL})
    await waiting(session.bind(f"asks {EVIL}"), Clerk(), "pay", turn_id=EVIL)
    paths: list[tuple[str, dict[str, str]]] = [(path, {}) for path in ALL if "=" not in path]
    paths += [("/session", {"id": f"{kind}{EVIL}"}) for kind in ("", "dead ", "queued ", "asks ")]
    paths += [("/session", {"id": f"unknown {EVIL}"}), ("/session", {"id": EVIL, "turn": EVIL})]
    paths += [(path, {"match": EVIL}) for path in ("/sessions", "/dead-letters")]
    paths += [("/sessions", {"state": EVIL}), ("/sessions", {"cursor": EVIL, "worker": EVIL})]
    paths += [("/session", {"id": "s", "page": EVIL}), (f"/{EVIL[:20]}", {})]
    for path, query in paths:
        page = await visitor.get(path, **query)
        assert page.status < 500, (path, page.text)
        _is_harmless(page)


def _is_harmless(page: Page) -> None:
    assert "<script>" not in page.html
    assert "<img src=x" not in page.html
    assert "onerror" not in page.attributes
    assert ">49<" not in page.html
    # Texts of a conversation are shown as they are, and fields hold what was typed into them.
    shown = re.sub(r"<pre>.*?</pre>|<[^>]*>", "", page.html, flags=re.DOTALL)
    assert not set("\u202e\x00\x1b") & set(shown)


async def test_a_form_of_another_site_is_refused(visitor: Visitor, session: Session) -> None:
    await session.bind("s").add_items([message("hi")])
    form = (await visitor.get("/session", id="s")).form("delete")
    fields = dict([*form.fields, ("do", "delete"), ("sure", "1")])

    async def sent(headers: dict[str, str], data: dict[str, str] = fields) -> httpx.Response:
        return await visitor.client.post("/session?id=s", data=data, headers=headers)

    refused = [
        await sent({}),
        await sent({"Origin": "http://evil.example"}),
        await sent({"Origin": "null"}),
        await sent({"Origin": BASE, "Sec-Fetch-Site": "cross-site"}),
        await sent({"Origin": BASE, "Sec-Fetch-Site": "same-site"}),
        await sent({"Origin": BASE}, {**fields, FIELD: "0" * 64}),
        await sent({"Origin": BASE}, {key: fields[key] for key in fields if key != FIELD}),
    ]
    visitor.client.cookies.clear()
    refused.append(await sent({"Origin": BASE}))
    visitor.client.cookies.set(FORM_COOKIE, "another")
    refused.append(await sent({"Origin": BASE}))
    assert [each.status_code for each in refused] == [403] * len(refused)
    assert all("Nothing was done" in each.text for each in refused)
    assert await session.info("s") is not None


async def test_a_proxy_that_hides_the_name_is_no_other_site(
    visitor: Visitor, session: Session
) -> None:
    await session.bind("s").add_items([message("hi")])
    form = (await visitor.get("/session", id="s")).form("delete")
    fields = dict([*form.fields, ("do", "delete"), ("sure", "1")])
    headers = {"Origin": "https://ops.example", "Sec-Fetch-Site": "same-origin"}
    await visitor.client.post("/session?id=s", data=fields, headers=headers)
    assert await session.info("s") is None


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"x=" + b"y" * 2_000_000, 413), (b"x&" * 20_000, 400), (b"\xff\xfe=1", 400)],
)
async def test_a_form_that_is_too_much_is_refused(
    visitor: Visitor, body: bytes, status: int
) -> None:
    response = await visitor.client.post("/approvals", content=body, headers={"Origin": BASE})
    assert (response.status_code, "Nothing was done" in response.text) == (status, True)


async def test_cookies_are_for_this_site_only(session: Session) -> None:
    app = dashboard(session, authenticate=None)
    async with visiting(Starlette(routes=[Mount("/ops", app)])) as visitor:
        cookie = (await visitor.client.get("/ops/sessions")).headers["set-cookie"].lower()
        for attribute in ("httponly", "samesite=strict", "path=/ops/"):
            assert attribute in cookie
        assert "secure" not in cookie
        tls = await visitor.client.get(
            "https://localhost/ops/sessions", headers={"Cookie": "other=1"}
        )
        assert "secure" in tls.headers["set-cookie"].lower()


async def test_the_host_application_says_who_is_let_in(session: Session) -> None:
    async def known(request: Request) -> str | None:
        user = request.headers.get("x-user")
        if user == "redirected":
            raise HTTPException(302, headers={"Location": "/login"})
        if user == "tired":
            raise HTTPException(401, "Log in first.", {"WWW-Authenticate": "Basic"})
        return None if user == "stranger" else user

    async with visitor_of(session, authenticate=known) as visitor:

        async def answer(user: str, path: str = "/sessions") -> Page:
            return Page(await visitor.client.get(path, headers={"X-User": user}))

        assert "ana" in (await answer("ana")).text
        for path in (*ALL, "/samples.json", "/changes", "/doctor"):
            assert (await answer("stranger", path)).status == 403
        assert (await visitor.get("/")).status == 403
        redirected = await answer("redirected")
        assert (redirected.status, redirected.headers["location"]) == (302, "/login")
        tired = await answer("tired")
        assert (tired.status, tired.headers["www-authenticate"]) == (401, "Basic")
        form = Form("post", "/session?id=s", [("sure", "1")])
        assert (await visitor.send(form, "delete")).status == 403

    def plain(request: Request) -> str | None:
        return "plain"

    async with visitor_of(session, authenticate=plain) as visitor:
        assert "plain" in (await visitor.get("/sessions")).text


async def test_a_token_lets_in_by_header_and_by_form(session: Session) -> None:
    async with visitor_of(session, authenticate=Token(TOKEN)) as visitor:
        page = await visitor.get("/sessions")
        assert (page.status, "Who are you?" in page.text) == (401, True)
        for path in (*ALL, "/samples.json", "/changes", "/doctor"):
            assert (await visitor.client.get(path)).status_code == 401
        wrong = await visitor.send(page.forms[0], "", token="not-the-right-token")
        assert (wrong.status, "That is not the token." in wrong.text) == (401, True)
        assert (await visitor.get("/")).status == 401
        right = await visitor.send(page.forms[0], "", token=TOKEN)
        assert (right.status, right.headers["location"]) == (303, "/")
        assert (await visitor.get("/sessions")).status == 200
        cookie = visitor.client.cookies["turnwise-login"]
        assert TOKEN not in cookie
        until, _, mark = cookie.partition(".")
        for forged in (f"{int(until) + 1}.{mark}", f"1.{mark}", f"{until}.", "", "x", f"²{cookie}"):
            cookies = {b"Cookie": f"turnwise-login={forged}".encode()}
            answer = await visitor.client.get("/sessions", headers=cookies)
            assert answer.status_code == 401, forged
        visitor.client.cookies.clear()
        for given, status in ((TOKEN, 200), ("wrong", 401), ("", 401)):
            headers = {"Authorization": f"Bearer {given}"}
            answer = await visitor.client.get("/sessions", headers=headers)
            assert answer.status_code == status
    with pytest.raises(ValueError, match="16 characters"):
        Token("short")


@pytest.mark.parametrize(
    ("peer", "user", "status"),
    [("127.0.0.1", "ana", 200), ("127.0.0.1", "", 401), ("10.0.0.9", "ana", 403), ("", "ana", 403)],
)
async def test_a_header_is_believed_from_the_proxy_only(
    session: Session, peer: str, user: str, status: int
) -> None:
    rule = UserHeader("X-Forwarded-User", [ip_network("127.0.0.0/8")])
    app = dashboard(session, authenticate=rule)
    async with visiting(app, client=(peer, 1)) as visitor:
        headers = {"X-Forwarded-User": user} if user else {}
        answer = await visitor.client.get("/sessions", headers=headers)
        assert (answer.status_code, "ana" in answer.text) == (status, status == 200)


async def test_names_that_were_pointed_here_are_refused(session: Session) -> None:
    async with visitor_of(session, hosts={"localhost", "::1"}) as visitor:

        async def status(host: str) -> int:
            return (await visitor.client.get("/sessions", headers={"Host": host})).status_code

        assert [await status(host) for host in ("localhost:8111", "[::1]:8111")] == [200, 200]
        assert [await status(host) for host in ("evil.example", "localhost.evil")] == [400] * 2


async def test_it_is_mounted_under_any_path(session: Session) -> None:
    await session.bind("s").add_items([message("hi")])
    app = dashboard(session, authenticate=None)
    async with visiting(Starlette(routes=[Mount("/ops/turnwise", app)])) as visitor:
        page = await visitor.get("/ops/turnwise/")
        assert page.links["Sessions"] == "/ops/turnwise/sessions"
        one = await visitor.get((await visitor.get(page.links["Sessions"])).links["s"])
        assert one.form("delete").action == "/ops/turnwise/session?id=s"
        told = await visitor.send(one.form("delete"), "delete", sure="1")
        assert "The session is deleted." in told.text
        sources: list[Any] = re.findall(r'(?:src|href)="(/[^"?]*)', page.html)
        assert all(each.startswith("/ops/turnwise/") for each in sources)
        assert (await visitor.client.get("/ops/turnwise/static/app.js")).status_code == 200
