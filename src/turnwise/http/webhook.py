"""The endpoint that an operator wants to be told at, by signed requests (Standard Webhooks)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import standardwebhooks

from turnwise.errors import UsageError

TIMEOUT = 10.0
"""Seconds that the receiver may take."""
_PREFIX = "whsec_"


class NotAccepted(Exception):
    """The receiver did not take it: it answered something else than 2xx, or nothing."""


class Webhook:
    """One endpoint, and the secret that it knows this server by.

    Args:
        url: Where to. Nothing that a client sends changes it, and redirects are not followed.
        secret: `whsec_` and base64, as OpenAI's and Standard Webhooks have them. While one is
            being replaced: both, parted by white space. Each signs.

    Raises:
        UsageError: `url` is no http(s) URL, or `secret` is none.
    """

    def __init__(self, url: str, secret: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise UsageError(f"webhook url={url!r}: use an https:// URL")
        self._url = url
        self._signers = [_signer(each) for each in secret.split()]
        if not self._signers:
            raise UsageError("the webhook's secret is empty: without one nobody knows who calls")

    @property
    def host(self) -> str:
        """Where it is, for logs: the path may be a secret of the receiver's."""
        return urlsplit(self._url).netloc.rpartition("@")[2]

    async def deliver(self, webhook_id: str, body: str) -> None:
        """Send it. Raises NotAccepted; it may have arrived all the same."""
        now = datetime.now(UTC)
        signatures = (signer.sign(webhook_id, now, body) for signer in self._signers)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "turnwise",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        await asyncio.to_thread(_post, Request(self._url, body.encode(), headers, method="POST"))


class _Stay(HTTPRedirectHandler):
    """Follows nobody to an address that was not configured."""

    def redirect_request(self, *_: Any) -> None:
        """See `HTTPRedirectHandler`."""


def _post(request: Request) -> None:
    try:
        with build_opener(_Stay).open(request, timeout=TIMEOUT):
            pass
    except HTTPError as error:
        with error:
            raise NotAccepted(f"status {error.code}") from None
    except Exception as error:  # of the network, or in what the receiver sent
        raise NotAccepted(f"{type(error).__name__}: {error}") from None


def _signer(secret: str) -> standardwebhooks.Webhook:
    try:
        if not secret.startswith(_PREFIX):
            raise ValueError
        return standardwebhooks.Webhook(secret)
    except Exception:  # whatever its decoding raises; the error must not show the secret
        raise UsageError(f"the webhook's secret is not {_PREFIX} and base64") from None
