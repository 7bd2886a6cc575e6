"""nginx before the replicas, as a deployment has it: it streams, and sends to those that answer."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from turnwise.testing.servers.ports import HOST, free_port
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

_STARTED = 30.0
_CONFIGURATION = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream replicas {{
        {servers}
    }}
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_connect_timeout 2s;
            proxy_read_timeout 60s;
            # Each message has an id, so that it may be sent to another replica again.
            proxy_next_upstream error timeout http_502 http_503 non_idempotent;
        }}
    }}
}}
"""


def find_nginx() -> str | None:
    """The program, if it is installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


class Nginx:
    """Runs while the block does. `address` is where it listens, `ports` where the replicas do."""

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        self._folder = folder
        self._ports = ports
        self._port = free_port()
        self._process: Process
        self.address = f"http://{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        binary = find_nginx()
        assert binary is not None, "there is no nginx"
        servers = "\n        ".join(
            f"server {HOST}:{port} max_fails=1 fail_timeout=1s;" for port in self._ports
        )
        configuration = self._folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(folder=self._folder, servers=servers, host=HOST, port=self._port)
        )
        command = [binary, "-p", str(self._folder), "-c", str(configuration)]
        self._process = Process(command, self._folder, self._folder / "nginx.log")
        await until(self._runs, _STARTED, "nginx runs")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._process.terminate(10)

    def reload(self) -> None:
        """Deploy its configuration anew: its old worker ends its open streams, and no new ones."""
        os.kill(self._pid(), signal.SIGHUP)

    def _pid(self) -> int:
        return int((self._folder / "nginx.pid").read_text())

    async def _runs(self) -> bool:
        self._process.check()
        pid = self._folder / "nginx.pid"
        return pid.exists() and bool(pid.read_text().strip())
