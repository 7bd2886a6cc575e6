"""Which commands and keys this user may use, tried with the user's own rights.

`ACL DRYRUN` would need a right of its own, which the user that Turnwise needs does not have.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoPermissionError

from turnwise.stores.redis.clients import Client
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.pubsub import dedicated_client
from turnwise.stores.redis.scripts import script

_TIMEOUT = 5.0
IN_SCRIPTS: dict[str, tuple[Any, ...]] = {
    "time": (),
    "lindex": ("KEY", 0),
    "llen": ("KEY",),
    "lrange": ("KEY", 0, 0),
    "lpos": ("KEY", "x"),
    "rpush": ("KEY", "x"),
    "lpush": ("KEY", "x"),
    "lset": ("KEY", 0, "x"),
    "ltrim": ("KEY", 0, -1),
    "lrem": ("KEY", 0, "x"),
    "pttl": ("KEY",),
    "pexpiretime": ("KEY",),
    "pexpire": ("KEY", 1000),
    "pexpireat": ("KEY", 4_000_000_000_000),
    "persist": ("KEY",),
    "exists": ("KEY",),
    "get": ("KEY",),
    "xadd": ("KEY", "*", "f", "v"),
    "xrange": ("KEY", "-", "+"),
    "xrevrange": ("KEY", "+", "-"),
    "xdel": ("KEY", "0-1"),
    "xack": ("KEY", "g", "0-1"),
    "xclaim": ("KEY", "g", "c", 0, "0-1"),
    "xautoclaim": ("KEY", "g", "c", 0, "0"),
    "xreadgroup": ("GROUP", "g", "c", "STREAMS", "KEY", ">"),
    "xgroup": ("CREATE", "KEY", "g", "$"),
    "xpending": ("KEY", "g"),
    "xinfo": ("STREAM", "KEY"),
    "xlen": ("KEY",),
    "hset": ("KEY", "f", "v"),
    "hget": ("KEY", "f"),
    "hdel": ("KEY", "f"),
    "hscan": ("KEY", 0),
    "hrandfield": ("KEY", -2),
    "publish": ("CHANNEL", ""),
    "incrby": ("KEY", 0),
    "rename": ("KEY", "KEY"),
    "unlink": ("KEY",),  # last: the others are to find the key
}
"""The commands inside scripts, besides DEL and SET, with arguments that do no harm."""
PLAIN = ("evalsha", "eval", "scan", "ping", "info", "subscribe", "unsubscribe", "script|load")
"""The commands that are sent by themselves."""
LIMITS = frozenset({"incrby", "rename", "script|load"})
"""Those of them that only the counters of `turnwise.http.quotas` need."""
COMMANDS = frozenset({"del", "set", *IN_SCRIPTS, *PLAIN})
"""All that Turnwise sends to a server, as docs/redis-acl.md has it."""


@dataclass(frozen=True)
class Denied:
    """A command that the server refuses this user; `on`: the key or channel, if it is about one."""

    command: str
    answer: str
    on: str = ""


async def denied(client: Client, keys: Keys) -> list[Denied]:
    """What the server refuses this user of all that Turnwise sends. Nothing of it stays."""
    name = f"doctor-{secrets.token_hex(8)}"
    channel = f"{keys.ready_channel}-doctor"
    found: list[Denied] = []
    for key in (keys.session(name), f"{{{keys.prefix}{name}}}"):
        found += await _denied_in_scripts(client, key, channel)
    return [*found, *await _denied_alone(client), *await _denied_subscription(client, channel)]


async def _denied_in_scripts(client: Client, key: str, channel: str) -> list[Denied]:
    values = {"KEY": key, "CHANNEL": channel}
    commands = [
        [name, *(values.get(str(arg), arg) for arg in args)] for name, args in IN_SCRIPTS.items()
    ]
    text = script("doctor/rights").text
    try:
        answers = await client.execute_command("EVAL", text, 1, key, json.dumps(commands))
    except NoPermissionError as error:
        return [Denied("eval", str(error), key)]
    pairs = [(_text(name), _text(answer)) for name, answer in answers]
    return [
        Denied(name, answer, channel if name == "publish" else key)
        for name, answer in pairs
        if is_denial(answer)
    ]


async def _denied_alone(client: Client) -> list[Denied]:
    found: list[Denied] = []
    commands = {
        "scan": (0, "COUNT", 1),
        "ping": (),
        "info": ("server",),
        "script|load": ("return 0",),
    }
    for name, args in commands.items():
        try:
            await client.execute_command(name.upper().replace("|", " "), *args)
        except NoPermissionError as error:
            found.append(Denied(name, str(error)))
    return found


async def _denied_subscription(client: Client, channel: str) -> list[Denied]:
    own = await dedicated_client(client)
    pubsub = own.pubsub()
    try:
        for command, send in (("subscribe", pubsub.subscribe), ("unsubscribe", pubsub.unsubscribe)):
            try:
                await send(channel)
                await pubsub.get_message(timeout=_TIMEOUT)
            except NoPermissionError as error:
                return [Denied(command, str(error), channel)]
        return []
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        await own.aclose()


def is_denial(answer: str) -> bool:
    """Whether an answer says that the user has no right; the words differ among versions."""
    return "permission" in answer or "NOPERM" in answer or "can't " in answer


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
