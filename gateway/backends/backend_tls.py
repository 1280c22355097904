"""TLS towards the two services behind the gateway: its files, read again when they change."""

import logging
from pathlib import Path

from csm.client_tls import ClientTls, TlsNames
from csm.errors import InvalidArgument
from csm.serving.tls.files import check_validity
from gateway.settings import GatewaySettings

log = logging.getLogger(__name__)

NAMES = TlsNames("backend_ca", "backend_certificate", "backend_key")


class BackendTls:
    """What the channels to both are opened with."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Raises `InvalidArgument` that names the setting, the file and what is wrong."""
        self._ca = settings.backend_ca
        self._certificate, self._key = settings.backend_certificate, settings.backend_key
        self.expires_unix_s = 0.0
        """Of the certificate that is shown; 0: none is."""
        self._problem = ""
        self.current: ClientTls | None = None
        """None: plaintext."""
        self._take()

    def look(self) -> None:
        """Takes what the files hold now; where that cannot be used, what there was stays, and the
        log says why, once."""
        if self.current is None:
            return
        try:
            self._take()
            self._problem = ""
        except InvalidArgument as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning(
                    "the TLS files for the backends have changed, the old ones stay: %s", error
                )

    def _take(self) -> None:
        found = ClientTls.of(self._ca, self._certificate, self._key, NAMES)
        if found == self.current:
            return
        if found is not None and found.certificate:
            given = self._certificate or Path()
            self.expires_unix_s = check_validity(NAMES.certificate, given, found.certificate)
        self.current = found
