"""TLS files that are broken in odd ways, or change all the time, under a service that goes on."""

import asyncio
import base64
import random
import re

import pytest

from csm import errors
from csm.cli.certificates import make_authority, make_server
from csm.serving.tls.files import TlsPaths, check_validity
from csm.serving.tls.server import ServerTls
from tests.certificates import HOSTS, Certificates
from tests.csm.serving.running import Running


def server_tls(files: Certificates) -> ServerTls:
    return ServerTls(TlsPaths(files.certificate, files.key, files.ca))


def with_a_date_that_is_none(pem: bytes) -> bytes:
    """A certificate that ends on the 32nd of a 13th month."""
    body = b"".join(pem.split(b"-----")[2].split())
    der = base64.b64decode(body)
    dates = list(re.finditer(rb"\x17\x0d\d{12}Z", der))
    assert len(dates) == 2
    at = dates[1].start() + 2
    der = der[:at] + b"991332000000Z" + der[at + 13 :]
    lines = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"


def test_a_certificate_that_only_openssl_reads_changes_nothing(
    files: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    serving = server_tls(files)
    before = serving.files
    broken = with_a_date_that_is_none(files.certificate.read_bytes())
    with pytest.raises(errors.InvalidArgument, match=r"tls_certificate.*cannot be read"):
        check_validity("tls_certificate", files.certificate, broken)
    files.certificate.write_bytes(broken)
    serving.look()
    assert serving.files is before
    assert "cannot be read" in caplog.text
    with pytest.raises(errors.InvalidArgument):
        server_tls(files)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_files_hold_looking_at_them_fails_nobody(
    files: Certificates, seed: int
) -> None:
    serving, draw = server_tls(files), random.Random(seed)
    before = serving.files
    place = draw.choice((files.certificate, files.key, files.ca))
    whole = place.read_bytes()
    data = bytearray(whole)
    match seed % 5:
        case 0:
            del data[draw.randrange(len(data)) :]
        case 1:
            data[draw.randrange(len(data))] = draw.randrange(256)
        case 2:
            data += b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        case 3:
            data[draw.randrange(30, len(data) - 30)] = draw.choice(b"ABCabc012+/")
        case 4:
            data = bytearray(draw.randbytes(len(data)))
    place.write_bytes(data)
    serving.look()
    assert serving.context(10)
    place.write_bytes(whole)
    serving.look()
    assert serving.files == before


async def test_a_pair_that_changes_fifty_times_a_second_serves_one_or_the_other(
    files: Certificates,
) -> None:
    one = Running(**files.settings())
    await (await one.listening()).ready()
    try:
        mine = make_server(files.authority, "second", HOSTS, 1)
        foreign = make_server(make_authority("other"), "foreign", HOSTS, 1)
        first = files.certificate.read_bytes(), files.key.read_bytes()
        aside = files.folder / "aside.pem", files.folder / "aside-key.pem"
        done = asyncio.Event()

        async def change() -> None:
            for number in range(80):
                match number % 5:
                    case 0:  # another's key behind our certificate
                        foreign.write(*aside)
                        files.key.write_bytes(aside[1].read_bytes())
                    case 1:
                        files.certificate.write_bytes(first[0][: number * 7])
                    case 2:
                        files.certificate.unlink()
                        files.key.unlink()
                    case 3:
                        mine.write(*aside)
                        files.certificate.symlink_to(aside[0])
                        files.key.symlink_to(aside[1])
                    case 4:
                        files.certificate.unlink()
                        files.key.unlink()
                        files.certificate.write_bytes(first[0])
                        files.key.write_bytes(first[1])
                await asyncio.sleep(0.02)
            done.set()

        changing = asyncio.create_task(change())
        seen = set()
        while not done.is_set():
            seen.add(await asyncio.to_thread(files.seen, one.host.port))
        await changing
        assert seen <= {"first", "second"}
        assert await asyncio.to_thread(files.seen, one.host.port) == "first"
    finally:
        await one.channel.close()
        await one.host.stop(finish_s=0)
