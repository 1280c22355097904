"""TLS of a service's ports: one certificate for all of them, read again when its files change.

gRPC asks for the certificate at every handshake (`dynamic_ssl_server_credentials`), and so do the
HTTP ports, by a context that hands each connection to the newest. What is connected stays so.
"""

import logging
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import grpc

from csm.errors import InvalidArgument, invalid
from csm.serving.tls.files import TlsFiles, TlsPaths

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""The files are read no more often; together they have a few kilobytes."""
HANDSHAKE_S = 10.0
"""A peer that has not done with its handshake by then is cut off."""


class TlsSettings(Protocol):
    """The settings that this module reads; see `csm.serving.settings.ServiceSettings`."""

    tls_certificate: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    metrics_tls: bool


class ServerTls:
    """The certificate in force, whose files are watched. May be used by any thread."""

    def __init__(self, paths: TlsPaths) -> None:
        """Raises `InvalidArgument` where the files cannot be used."""
        self._paths = paths
        self._lock = threading.Lock()
        files = TlsFiles.read(paths)
        self.expires_unix_s: float = files.check(paths)
        """Of the first certificate in the chain that does."""
        self.files = files
        """In force."""
        self._context = files.context()
        self._seen = files
        self._problem = ""
        self._looked = time.monotonic()

    @classmethod
    def of(cls, settings: TlsSettings) -> "ServerTls | None":
        """As the settings say; None: plaintext.

        Raises `InvalidArgument` where one setting lacks another, or a file cannot be used.
        """
        certificate, key = settings.tls_certificate, settings.tls_key
        if certificate is None and key is None:
            for name in ("tls_client_ca", "metrics_tls"):
                if getattr(settings, name):
                    raise invalid(name, "needs tls_certificate and tls_key")
            return None
        if certificate is None or key is None:
            have, lack = ("tls_certificate", "tls_key")
            if certificate is None:
                have, lack = lack, have
            raise invalid(lack, f"is needed with {have}: a certificate and its key, or neither")
        return cls(TlsPaths(certificate, key, settings.tls_client_ca))

    @property
    def mutual(self) -> bool:
        """Whether clients must show a certificate."""
        return self._paths.client_ca is not None

    def look(self) -> None:
        """Takes what the files hold now; where that cannot be used, what was in force stays, and
        the log says why, once."""
        if time.monotonic() - self._looked < LOOK_S or not self._lock.acquire(blocking=False):
            return
        try:
            self._looked = time.monotonic()
            self._take()
        finally:
            self._lock.release()

    def _take(self) -> None:
        try:
            found = TlsFiles.read(self._paths)
            # A pair that was wrong for its dates may be right by now.
            if found == self._seen and not self._problem:
                return
            self._seen = found
            if found == self.files:
                self._problem = ""
                return
            expires_unix_s, context = found.check(self._paths), found.context()
        except (InvalidArgument, ssl.SSLError) as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning("the TLS files have changed, the old ones stay in force: %s", error)
            return
        self._problem = ""
        self.files, self.expires_unix_s, self._context = found, expires_unix_s, context
        log.info("new TLS files are in force, valid until %s", _date(expires_unix_s))

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """For a port of a gRPC server."""
        handed = self.files

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            # Asked by threads of gRPC's core, at each handshake; None: as before.
            nonlocal handed
            self.look()
            if self.files is handed:
                return None
            handed = self.files
            return _configuration(handed)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(handed),
            fetch,  # type: ignore[arg-type]  # the stubs know no None
            require_client_authentication=self.mutual,
        )

    def context(self, max_connections: int) -> ssl.SSLContext:
        """For a server of Python's own, at most so many connections at once, those that are still
        in their handshake among them."""
        return _LatestContext.of(self._latest, max_connections)

    def _latest(self) -> ssl.SSLContext:
        self.look()
        return self._context


class _LatestContext(ssl.SSLContext):
    """Hands each connection to the context that is the newest then.

    A context of its own could be given a new certificate, but would trust old authorities for ever.
    """

    _latest: Callable[[], ssl.SSLContext]
    _max_connections: int
    _open: "weakref.WeakSet[Any]"

    @classmethod
    def of(cls, latest: Callable[[], ssl.SSLContext], max_connections: int) -> "_LatestContext":
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made._latest, made._max_connections = latest, max_connections
        made._open = weakref.WeakSet()
        return made

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        return self._counted(self._latest().wrap_bio, *arguments, **named)

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        return self._counted(self._latest().wrap_socket, *arguments, **named)

    def _counted(self, wrap: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if len(self._open) >= self._max_connections:
            raise ssl.SSLError(f"{self._max_connections} connections are open, as many as allowed")
        wrapped = wrap(*arguments, **named)
        self._open.add(wrapped)
        return wrapped


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(files.key, files.certificate)], root_certificates=files.client_ca
    )


def _date(unix_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(unix_s))
