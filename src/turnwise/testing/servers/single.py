"""A single server, with what a deployment may have: persistence, users, TLS."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Literal, Self
from urllib.parse import quote

from .binaries import find_redis, find_server, find_tls_server, required, supports_tls
from .node import BASE, Config, Login, Node
from .ports import HOST
from .temporary import TemporaryDirectory
from .terminator import TlsTerminator

_CONTROL_USER = "turnwise-control"
_EVERYTHING = "~* &* +@all"


class ValkeyServer(Node):
    """A Valkey server, or a Redis one where no Valkey is installed.

    - `appendonly`: "always" or "everysec" keeps an append-only file; "no" keeps nothing.
    - `config`: further directives, as in the configuration file.
    - `password`: of the default user; part of `url`.
    - `users`: ACL rules by user name (`{"app": "on >secret ~app:* +@all"}`), or an ACL file. A
      `default` user among them replaces the one who may do everything.
    - `tls`: makes `url` a rediss:// one, with a certificate for `tls_hosts` by `authority`. A
      server built without TLS gets it from a terminator in this event loop; see `native_tls`.
    - `directory`: keeps the data there, instead of in a temporary directory that is removed.
    - `timeout`: seconds until the server must have answered.

    Raises ServerNotFound, if there is nothing to run, and ServerFailed.
    """

    def __init__(
        self,
        *,
        binary: Path | None = None,
        appendonly: Literal["no", "always", "everysec"] = "no",
        config: Config | None = None,
        password: str | None = None,
        users: Mapping[str, str] | Path | None = None,
        tls: bool = False,
        tls_hosts: Sequence[str] = (HOST, "localhost"),
        directory: Path | None = None,
        timeout: float = 30.0,
    ) -> None:
        binary = binary or self._find_binary(tls)
        self.native_tls = tls and supports_tls(binary)
        self._temporary: TemporaryDirectory | None = None
        if directory is None:
            self._temporary = TemporaryDirectory(self)
            directory = self._temporary.path
        settings = {**BASE, **_persistence(appendonly)}
        self._client_login = login = Login(None, password)
        if users is not None:
            login = Login(_CONTROL_USER, token_hex(16))
            settings["aclfile"] = _quoted(_write_acl(directory, users, password, login))
        elif password is not None:
            settings["requirepass"] = _quoted(password)
        if tls:
            settings |= self._prepare_tls(directory, tls_hosts)
        super().__init__(
            binary,
            directory,
            {**settings, **(config or {})},
            ports=("port", "tls-port") if self.native_tls else ("port",),
            login=login,
            timeout=timeout,
        )
        self.tls = tls
        self._terminator: TlsTerminator | None = None

    @property
    def url(self) -> str:
        """redis://127.0.0.1:<port>/0, or with TLS rediss://..., which names the authority's file.

        It has the password, if one was given.
        """
        return self._url(self._client_login)

    def url_for(self, user: str, password: str) -> str:
        """`url` with another login."""
        return self._url(Login(user, password))

    @property
    def tls_port(self) -> int:
        """The port for TLS; ValueError if there is none."""
        if self._terminator is not None:
            return self._terminator.port
        if not self.native_tls:
            raise ValueError("the server was not asked for TLS, or has not been started yet")
        return self.port_of("tls-port")

    async def start(self) -> None:
        """Start on new ports and wait until the server answers. Raises ServerFailed."""
        await super().start()
        if self.tls and not self.native_tls:
            self._terminator = TlsTerminator(
                self.port, self.certificate.certificate, self.certificate.key
            )
            await self._terminator.start()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._clean_up()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._clean_up()

    async def _clean_up(self) -> None:
        if self._terminator is not None:
            await self._terminator.stop()
        # What is removed anyway need not be saved first.
        await (self.kill() if self._temporary else self.stop())
        if self._temporary is not None:
            self._temporary.remove()

    @staticmethod
    def _find_binary(tls: bool) -> Path:
        return find_tls_server() if tls else find_server()

    def _prepare_tls(self, directory: Path, hosts: Sequence[str]) -> dict[str, str]:
        # Imported here: it needs a package that nothing else does.
        from .certificates import CertificateAuthority

        self.authority = CertificateAuthority(directory / "tls")
        self.certificate = self.authority.issue("server", hosts)
        if not self.native_tls:
            return {}
        return {
            "tls-cert-file": _quoted(self.certificate.certificate),
            "tls-key-file": _quoted(self.certificate.key),
            "tls-ca-cert-file": _quoted(self.authority.certificate),
            "tls-auth-clients": "no",
        }

    def _url(self, login: Login) -> str:
        if not self.tls:
            return f"redis://{login.url_part}{HOST}:{self.port}/0"
        trusted = quote(str(self.authority.certificate), safe="/")
        return f"rediss://{login.url_part}{HOST}:{self.tls_port}/0?ssl_ca_certs={trusted}"


class RedisServer(ValkeyServer):
    """The same with the `redis-server` from PATH."""

    @staticmethod
    def _find_binary(tls: bool) -> Path:
        return required(find_redis())


def _persistence(appendonly: str) -> dict[str, str]:
    if appendonly == "no":
        return {"appendonly": "no"}
    return {"appendonly": "yes", "appendfsync": appendonly}


def _write_acl(
    directory: Path, users: Mapping[str, str] | Path, password: str | None, control: Login
) -> Path:
    # A server with an ACL file takes the default user from there and ignores `requirepass`.
    first = f"user default on {_secret(password)} {_EVERYTHING}"
    last = f"user {control.user} on {_secret(control.password)} {_EVERYTHING}"
    if isinstance(users, Path):
        given = users.read_text().splitlines()
    else:
        given = [f"user {name} {rules}" for name, rules in users.items()]
    # A name that is twice in an ACL file is an error.
    if any(line.split()[:2] == ["user", "default"] for line in given):
        first = ""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "users.acl"
    file.touch(mode=0o600)
    file.write_text("\n".join([first, *given, last, ""]))
    return file


def _secret(password: str | None) -> str:
    # As a digest, since a password may hold spaces.
    return "nopass" if password is None else f"#{sha256(password.encode()).hexdigest()}"


def _quoted(value: str | Path) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
