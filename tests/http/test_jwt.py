"""Who shows a token of the issuer is whom it names; whoever shows another one is nobody."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.http.visitors import asked, visitor
from turnwise import UsageError
from turnwise.http import jwt as module
from turnwise.http.jwt import by_jwt

SECRET = "s" * 32
FOR: dict[str, Any] = {"audience": "turnwise", "issuer": "https://issuer.test"}
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PEM = (
    PRIVATE.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    every = {"sub": "alice", "aud": "turnwise", "iss": FOR["issuer"], "exp": now + 600} | changes
    return {name: value for name, value in every.items() if value is not None}


def token(
    key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **changes: Any
) -> str:
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm, headers=headers)


def unsigned() -> str:
    return jwt.encode(claims(), "", "none")


def signed_with_the_public_key() -> str:
    """As an attacker does who takes the public key for a secret."""
    import base64
    import hashlib
    import hmac

    def part(value: Any) -> str:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}"
    return f"{text}.{part(hmac.new(PEM.encode(), text.encode(), hashlib.sha256).digest())}"


async def test_a_valid_token_names_the_owner() -> None:
    async with visitor(by_jwt(key=SECRET, algorithms=["HS256"], **FOR)) as client:
        answer = await asked(client, token())
        assert (answer.status_code, answer.json()) == (200, {"owner": "alice", "key": "alice"})
        for fine in (token(aud=["other", "turnwise"]), token(exp=int(time.time()) - 5)):
            assert (await asked(client, fine)).status_code == 200
    by_mail = by_jwt(key=SECRET, algorithms=["HS256"], owner_claim="email", **FOR)
    async with visitor(by_mail) as client:
        assert (await asked(client, token(email="a@b.c"))).json()["owner"] == "a@b.c"
        assert (await asked(client, token())).status_code == 401


WRONG: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "other"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://issuer.test.evil"},
    "no issuer": {"iss": None},
    "no expiry": {"exp": None},
    "not yet valid": {"nbf": int(time.time()) + 10**6},
    "no owner": {"sub": None},
    "an empty owner": {"sub": ""},
    "too long an owner": {"sub": "x" * 257},
    "an owner that is no text": {"sub": 7},
    "another secret": {"key": "x" * 32},
    "another algorithm": {"key": "s" * 64, "algorithm": "HS512"},
}


@pytest.mark.parametrize("why", WRONG)
async def test_another_token_is_nobody_s(why: str) -> None:
    async with visitor(by_jwt(key=SECRET, algorithms=["HS256"], **FOR)) as client:
        answer = await asked(client, token(**WRONG[why]))
        assert (answer.status_code, answer.json()) == (401, {"detail": "The token is not valid."})
        assert answer.headers["www-authenticate"] == "Bearer"


def nested(character: str) -> str:
    import base64

    return f"{base64.urlsafe_b64encode(character.encode() * 30_000).decode().rstrip('=')}.e30.x"


@pytest.mark.parametrize(
    "text",
    [nested("["), nested('{"a":'), "x", "a.b.c", "..", "é", unsigned(), "x" * 50_000, "tw_1_2"],
)
async def test_what_is_no_signed_token_is_nobody_s(text: str) -> None:
    async with visitor(by_jwt(key=SECRET, algorithms=["HS256"], **FOR)) as client:
        header = b"Authorization", f"Bearer {text}".encode("latin-1")
        assert (await client.get("/who", headers=[header])).status_code == 401
        assert (await client.get("/who")).status_code == 401


async def test_an_expired_token_is_told_so() -> None:
    async with visitor(by_jwt(key=SECRET, algorithms=["HS256"], **FOR)) as client:
        answer = await asked(client, token(exp=int(time.time()) - 60))
        assert (answer.status_code, answer.json()) == (401, {"detail": "The token has expired."})


async def test_a_public_key_is_no_secret() -> None:
    async with visitor(by_jwt(key=PEM, algorithms=["ES256"], **FOR)) as client:
        assert (await asked(client, token(PRIVATE, "ES256"))).status_code == 200
        assert (await asked(client, signed_with_the_public_key())).status_code == 401
        assert (await asked(client, unsigned())).status_code == 401
        other = ec.generate_private_key(ec.SECP256R1())
        assert (await asked(client, token(other, "ES256"))).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": SECRET, "algorithms": []},
        {"key": SECRET, "algorithms": "HS256"},
        {"key": SECRET, "algorithms": ["none"]},
        {"key": SECRET, "algorithms": ["HS256", "RS256"]},
        {"key": "short", "algorithms": ["HS256"]},
        {"key": PEM, "algorithms": ["HS256"]},
        {"key": PEM, "algorithms": ["RS256"]},
        {"key": "no key", "algorithms": ["ES256"]},
        {"algorithms": ["ES256"]},
        {"key": PEM, "jwks_url": "https://a.test", "algorithms": ["ES256"]},
        {"jwks_url": "https://a.test", "algorithms": ["HS256"]},
        {"jwks_url": "http://a.test/keys", "algorithms": ["ES256"]},
        {"jwks_url": "file:///etc/passwd", "algorithms": ["ES256"]},
        {"key": SECRET, "algorithms": ["HS256"], "audience": ""},
        {"key": SECRET, "algorithms": ["HS256"], "issuer": ""},
    ],
)
def test_what_would_let_others_in_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        by_jwt(**{**FOR, **wrong})


# Key sets.


class Issuer:
    """Publishes keys.

    Attributes:
        keys: By their ids.
        asked: How often.
        says: The status; other than 200, there are no keys.
    """

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.asked = 0
        self.says = 200
        self.url = ""

    def add(self, kid: str) -> Any:
        private = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(ECAlgorithm.to_jwk(private.public_key()))
        self.keys[kid] = {**public, "kid": kid, "alg": "ES256", "use": "sig"}
        return private


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with published(Issuer()) as issuer:
        yield issuer


@contextmanager
def published(issuer: Issuer) -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            self.send_response(issuer.says)
            if issuer.says == 302:
                self.send_header("Location", f"{issuer.url}/elsewhere")
            self.end_headers()
            self.wfile.write(json.dumps({"keys": list(issuer.keys.values())}).encode())

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def trusting(issuer: Issuer) -> Any:
    return by_jwt(jwks_url=issuer.url, algorithms=["ES256"], **FOR)


async def test_published_keys_are_fetched_once_for_many(issuer: Issuer) -> None:
    private = issuer.add("one")
    async with visitor(trusting(issuer)) as client:
        text = token(private, "ES256", "one")
        answers = await asyncio.gather(*(asked(client, text) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert (await asked(client, token(private, "ES256"))).status_code == 200  # there is but one
    assert issuer.asked == 1


async def test_a_new_key_is_found_and_unknown_ones_cost_few_fetches(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = issuer.add("one")
    async with visitor(trusting(issuer)) as client:
        assert (await asked(client, token(first, "ES256", "one"))).status_code == 200
        second = issuer.add("two")
        for number in range(50):
            answer = await asked(client, token(second, "ES256", f"unknown{number}"))
            assert answer.status_code == 401
        assert issuer.asked == 1
        monkeypatch.setattr(module, "_BETWEEN_FETCHES", 0.0)
        assert (await asked(client, token(second, "ES256", "two"))).status_code == 200
        assert (await asked(client, token(first, "ES256", "one"))).status_code == 200
        assert issuer.asked == 2
        assert (await asked(client, token(first, "ES256", "two"))).status_code == 401
        assert (await asked(client, token(first, "ES256"))).status_code == 401  # which of the two?


async def test_an_issuer_that_is_down_changes_nothing(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BETWEEN_FETCHES", 0.0)
    private = issuer.add("one")
    text = token(private, "ES256", "one")
    async with visitor(trusting(issuer)) as client:
        issuer.says = 500
        answer = await asked(client, text)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        issuer.says = 200
        assert (await asked(client, text)).status_code == 200
        monkeypatch.setattr(module, "_FETCHED_FOR", 0.0)
        for says in (500, 302):
            before, issuer.says = issuer.asked, says
            assert (await asked(client, text)).status_code == 200
            assert issuer.asked == before + 1  # it follows no one elsewhere


async def test_only_public_keys_for_signatures_count(issuer: Issuer) -> None:
    private = issuer.add("one")
    issuer.keys["secret"] = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"}
    issuer.keys["strange"] = {"kty": "??", "kid": "strange"}
    issuer.add("enc")
    issuer.keys["enc"]["use"] = "enc"
    async with visitor(trusting(issuer)) as client:
        assert (await asked(client, token(private, "ES256", "one"))).status_code == 200
        assert (await asked(client, token("secret" * 6, "HS256", "secret"))).status_code == 401
        assert (await asked(client, token(private, "ES256", "enc"))).status_code == 401
