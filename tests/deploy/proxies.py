"""nginx and HAProxy with their shipped files, in front of replicas at other addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from tests.deploy.shipped import DEPLOY, tool
from tests.integration.programs import Programs, ready
from tests.integration.test_examples_api import NGINX_CONF
from turnwise.testing.servers.ports import HOST, free_port

SHIPPED = ("10.77.0.11:8000", "10.77.0.12:8000", "10.77.0.13:8000")


def _placed(file: str, ports: Sequence[int], listen: str, at: str) -> str:
    """A shipped file with these addresses in place of its own."""
    text = (DEPLOY / file).read_text()
    assert text.count(listen) == 1
    text = text.replace(listen, at)
    for shipped, port in zip(SHIPPED, ports, strict=True):
        assert text.count(shipped) == 1
        text = text.replace(shipped, f"{HOST}:{port}")
    return text


def nginx(folder: Path, ports: Sequence[int], port: int) -> list[str]:
    """The command of an nginx that listens at `port`, in front of replicas at `ports`."""
    text = _placed("nginx/turnwise.conf", ports, "listen 8080;", f"listen {HOST}:{port};")
    (folder / "chat.conf").write_text(text)
    (folder / "nginx.conf").write_text(NGINX_CONF.format(folder=folder))
    return [tool("nginx"), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def haproxy(folder: Path, ports: Sequence[int], port: int) -> list[str]:
    """The command of an HAProxy that listens at `port`, in front of replicas at `ports`."""
    text = _placed("haproxy/haproxy.cfg", ports, "bind :8080", f"bind {HOST}:{port}")
    (folder / "haproxy.cfg").write_text(text)
    return [tool("haproxy"), "-f", str(folder / "haproxy.cfg")]


PROXIES: dict[str, Callable[[Path, Sequence[int], int], list[str]]] = {
    "nginx": nginx,
    "haproxy": haproxy,
}


async def proxied(name: str, started: Programs, folder: Path, ports: Sequence[int]) -> str:
    """Start a proxy in front of replicas that answer; returns its address."""
    port = free_port()
    process = started.start(*PROXIES[name](folder, ports, port))

    async def answers() -> bool:
        try:
            async with httpx.AsyncClient() as client:
                response = await client.get(f"http://{HOST}:{port}/healthz")
        except httpx.TransportError:
            return False
        return response.status_code == 200

    await ready(process, answers, f"{name} answered")
    return f"http://{HOST}:{port}"
