"""The way to the store: whether it is reached, and whether others can listen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from ipaddress import ip_address
from socket import gaierror, getaddrinfo

from turnwise.doctor.findings import Fault, Finding, ok
from turnwise.errors import StoreError, StoreUnavailable
from turnwise.stores.redis.probe import RedisProbe

UNREACHABLE = Fault("unreachable", "critical", "No turn can begin.")
REFUSED = Fault("refused", "critical", "The store answers, and does not let Turnwise work.")
NO_TLS = Fault(
    "no-tls", "warning", "Everybody on the way reads the conversations and the password."
)
CERTIFICATE_UNCHECKED = Fault(
    "certificate-unchecked",
    "warning",
    "Somebody on the way can pretend to be the server, and gets the password.",
)
CERTIFICATE_EXPIRES = Fault(
    "certificate-expires", "warning", "When it has expired, no worker can connect any more."
)
FAULTS = (UNREACHABLE, REFUSED, NO_TLS, CERTIFICATE_UNCHECKED, CERTIFICATE_EXPIRES)

_DAY = 86_400
_EXPIRES_SOON = 14 * _DAY


def failure(error: StoreError, ask: str) -> Finding:
    """That no other check can be made. The error says what to do; `ask` tells more."""
    fix = f"as it says; on this machine, {ask} shows the same"
    if isinstance(error, StoreUnavailable):
        fix += "; this waits until it answers: turnwise doctor --init-check"
        return UNREACHABLE.found(str(error), fix)
    return REFUSED.found(str(error), fix)


def check(probe: RedisProbe) -> Iterator[Finding]:
    settings = probe.settings
    if settings.tls:
        yield from _certificate(probe)
    elif public := [host for host in settings.hosts if host and _is_public(host)]:
        yield NO_TLS.found(
            f"the connection to {', '.join(sorted(set(public)))}, a public address, has no TLS",
            "let the server listen with tls-port, and use a URL that begins with rediss://",
        )
    else:
        yield ok("connection", "the server answers")


def _certificate(probe: RedisProbe) -> Iterator[Finding]:
    expires = probe.settings.expires
    if not probe.settings.tls_checks:
        yield CERTIFICATE_UNCHECKED.found(
            "the client does not check the server's certificate and host name",
            "take ssl_cert_reqs and ssl_check_hostname out of the URL, and name the authority's "
            "file by ?ssl_ca_certs=",
        )
    elif expires is not None and expires - time.time() < _EXPIRES_SOON:
        days = max(0, round((expires - time.time()) / _DAY))
        yield CERTIFICATE_EXPIRES.found(
            f"the server's certificate expires in {days} days",
            "renew it, then on the server: redis-cli CONFIG SET tls-cert-file FILE tls-key-file "
            "FILE",
        )
    else:
        yield ok("connection", "the server answers, with TLS, and its certificate is checked")


def _is_public(host: str) -> bool:
    """Whether the way to it leads over the internet, as far as its address says so."""
    try:
        addresses = {str(info[4][0]) for info in getaddrinfo(host, None)}
    except (gaierror, UnicodeError):
        return False
    return any(ip_address(address.partition("%")[0]).is_global for address in addresses)
