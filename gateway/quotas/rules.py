"""Which amounts hold for whom, as settings and the operator's file say; the file is followed."""

import asyncio
import logging
from pathlib import Path

from gateway.quotas.caller import Caller
from gateway.quotas.quota_limits import NO_LIMITS, QuotaLimits
from gateway.quotas.quotas_file import QuotasFile, QuotasFileError, parse, read_content

FOLLOW_S = 1.0
"""Between two looks at the file."""

log = logging.getLogger(__name__)


class QuotaRules:
    """Who may have how much."""

    def __init__(self, settings: QuotaLimits, path: Path | None) -> None:
        """`settings` are the amounts of each tenant of which the file says nothing. Raises
        `QuotasFileError` where the file cannot be used."""
        self._settings = settings
        self._path = path
        self._file = QuotasFile()
        self._content = b""
        self._problem = ""
        if path is not None:
            self._content = read_content(path)
            self._file = parse(path, self._content)

    def of_tenant(self, caller: Caller) -> QuotaLimits:
        """The amounts of the caller's tenant."""
        return self._file.of_tenant(caller.tenant, self._settings)

    def of_principal(self, caller: Caller) -> QuotaLimits:
        """The caller's own; none where identity is off."""
        return self._file.of_principal(caller.principal) if caller.principal else NO_LIMITS

    async def follow(self) -> None:
        """Reads the file again when its content changes, until it is cancelled."""
        while self._path is not None:
            await asyncio.sleep(FOLLOW_S)
            await self.look()

    async def look(self) -> None:
        """Takes in what has changed. A file that cannot be used leaves the amounts as they are,
        and is told once."""
        if self._path is None:
            return
        try:
            content = await asyncio.to_thread(read_content, self._path)
            if content == self._content:
                self._problem = ""
                return
            file = await asyncio.to_thread(parse, self._path, content)
        except QuotasFileError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning("%s; the quotas stay as they were", error)
            return
        self._file, self._content, self._problem = file, content, ""
        log.info("quotas_file: read again, %d tenants", len(file.tenants))
