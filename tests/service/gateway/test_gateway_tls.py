"""TLS: cipher suites and versions, and warnings about certificates."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import replace

import pytest
from gateway_world import INFER, RAW, gateway_for
from typer.testing import CliRunner

from aurum.cli.app import app
from aurum.gateway import certificate
from aurum.gateway.render import GatewayError
from aurum.settings import Settings


@pytest.fixture(scope="module")
def world(simulated):
    with gateway_for(simulated, rate=10_000, burst=10_000) as world:
        yield world


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA"]
)
def test_cbc_is_refused(world, cipher):
    context = ssl.create_default_context(cafile=world.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    with pytest.raises(ssl.SSLError), world.socket(context=context):
        pass


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"]
)
def test_tls_1_2_works_without_cbc(world, cipher):
    context = ssl.create_default_context(cafile=world.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    with world.socket(context=context) as connection:
        assert connection.cipher()[0] == cipher


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_answered_in_json(world, tmp_path, version, announced):
    (tmp_path / "body").write_bytes(bytes(26_000_000))
    lines = [item for name, value in RAW.items() for item in ("-H", f"{name}: {value}")]
    unsaid = () if announced else ("-H", "Content-Length:", "-H", "Transfer-Encoding: chunked")
    status, body, spoken = world.curl(
        INFER, f"--http{version}", "-X", "POST", *lines, *unsaid, "-T", str(tmp_path / "body")
    )
    assert (status, spoken) == (413, version)
    assert body.startswith('{"error":"[too_large] the body must not exceed 25065536 bytes')


# --- validity dates ---


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture
def dated(tmp_path):
    """Make a certificate valid between two dates in ASN.1 notation."""

    def make(begin: str, end: str) -> Settings:
        (tmp_path / "index").write_text("")
        (tmp_path / "ca.conf").write_text(
            f"[ca]\ndefault_ca=c\n[c]\ndatabase={tmp_path}/index\nnew_certs_dir={tmp_path}\n"
            "rand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
        )
        key, request, made = (str(tmp_path / name) for name in ("tls.key", "tls.csr", "tls.crt"))
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", *new, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
        dates = ("-startdate", begin, "-enddate", end)
        own = ("-selfsign", "-keyfile", key, "-in", request, "-out", made, "-notext", "-batch")
        openssl("ca", "-config", str(tmp_path / "ca.conf"), *own, *dates)
        return replace(
            Settings(),
            gateway_certificate=tmp_path / "tls.crt",
            gateway_certificate_key=tmp_path / "tls.key",
        )

    return make


def test_the_validity_of_a_certificate_is_checked(dated, tmp_path):
    assert certificate.date_problem(dated("20200101000000Z", "21000101000000Z")) == ""
    late = certificate.date_problem(dated("20200101000000Z", "20210101000000Z"))
    assert late.endswith("tls.crt has expired: it was valid until Jan  1 00:00:00 2021 GMT")
    early = certificate.date_problem(dated("20990101000000Z", "21000101000000Z"))
    assert early.endswith("tls.crt is not valid before Jan  1 00:00:00 2099 GMT")
    (tmp_path / "tls.crt").write_text("x")
    with pytest.raises(GatewayError, match=r"tls\.crt is not a certificate"):
        certificate.date_problem(replace(Settings(), gateway_certificate=tmp_path / "tls.crt"))


def test_a_reload_says_that_its_certificate_has_expired(world, dated, monkeypatch):
    late = dated("20200101000000Z", "20210101000000Z")
    settings = replace(
        world.gateway.settings,
        gateway_certificate=late.gateway_certificate,
        gateway_certificate_key=late.gateway_certificate_key,
    )
    for name, value in settings.to_env().items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app, ["gateway", "reload"])
    assert result.exit_code == 0, result.output
    assert "aurum.gateway: AURUM_GATEWAY_CERTIFICATE:" in result.output
    assert "has expired: it was valid until" in result.output
