"""API keys and rendered configuration of the gateway, without nginx."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from aurum.cli.app import app
from aurum.gateway import errors, keys, render, run
from aurum.gateway.keys import KeyFileError
from aurum.gateway.render import GatewayError
from aurum.settings import Settings


def test_a_key_is_printed_once_and_stored_as_a_digest(tmp_path, monkeypatch):
    file = tmp_path / "deep" / "keys"
    monkeypatch.setenv("AURUM_GATEWAY_KEYS", str(file))

    def aurum(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["gateway", "keys", *arguments])
        assert result.exit_code == 0, result.output
        return result.output.strip()

    first, second = aurum("add", "app"), aurum("add", "app")
    aurum("add", "partner")
    assert first not in file.read_text()
    digests = [keys.digest(first), keys.digest(second)]
    assert [value for name, value in keys.read(file) if name == "app"] == digests
    assert aurum("list").splitlines()[0] == f"app {digests[0][:12]}"
    assert aurum("remove", "app", digests[0][:12]) == "removed 1 key of app"
    assert aurum("remove", "app") == "removed 1 key of app"
    assert [name for name, _ in keys.read(file)] == ["partner"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(file.parent.iterdir()) == [file], "no temporary file is left"


def test_bad_ids_and_files_are_named(tmp_path):
    file = tmp_path / "keys"
    assert keys.read(file) == []
    for name in ("", "a b", "x" * 65, "a\nb", "!"):
        with pytest.raises(KeyFileError, match="an id has 1 to 64 letters"):
            keys.add(file, name)
    with pytest.raises(KeyFileError, match="no such key of 'app'"):
        keys.remove(file, "app")
    for line in ("app", "app " + "A" * 64, "app " + "a" * 63, "a/b " + "a" * 64):
        file.write_text(f"# ids\n\n{line}\n")
        with pytest.raises(KeyFileError, match="line 3: must be an id and a sha256"):
            keys.read(file)


def test_servers_come_from_the_settings():
    assert render.servers(Settings()) == [("127.0.0.1:8000", "127.0.0.1:8001")]
    two = replace(Settings(), gateway_servers="localhost:8000:8001, 10.0.0.2:1:2")
    assert render.servers(two) == [
        ("127.0.0.1:8000", "127.0.0.1:8001"),
        ("10.0.0.2:1", "10.0.0.2:2"),
    ]
    with pytest.raises(GatewayError, match=r"nowhere\.invalid can't be resolved"):
        render.servers(replace(Settings(), gateway_servers="nowhere.invalid:1:2"))
    for wrong in ("a", "a:1", "a:1:2:3", "a:1:2;", "a:1:2,,"):
        with pytest.raises(GatewayError, match="is not host:http_port:grpc_port"):
            render.servers(replace(Settings(), gateway_servers=wrong))


def test_missing_files_and_unsafe_paths_are_named(tmp_path):
    settings = replace(Settings(), gateway_folder=tmp_path, gateway_certificate=tmp_path / "none")
    with pytest.raises(GatewayError, match="AURUM_GATEWAY_CERTIFICATE: there is no file"):
        render.write(settings)
    with pytest.raises(GatewayError, match="can't have this path"):
        render.render(replace(settings, gateway_log='a";x'))


def test_each_error_is_safe_in_json_headers_and_nginx():
    for item in errors.refusals(1000, 500, "detect_faces"):
        assert item.text.isascii()
        assert not set(item.text) & set("\"'\\$%{}\n"), item
        assert 400 <= item.status <= 599


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            b'request: "GET /x?key=a%20b HTTP/1.1", host: "h"',
            b'request: "GET /x?... HTTP/1.1", host: "h"',
        ),
        (b'host: "h", referrer: "https://x/?k=1"', b'host: "h", referrer: "..."'),
        (b"/aurum_" + b"a-B_9" * 9 + b" HTTP", b"/aurum_... HTTP"),
        (b"connect() failed (111: Unknown error)", b"connect() failed (111: Unknown error)"),
    ],
)
def test_nginx_errors_are_shown_without_parts_that_may_hold_a_key(line, shown):
    assert run.without_secrets(line) == shown


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes files of others")
def test_a_key_that_root_adds_leaves_the_file_to_its_owner(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    os.chown(folder, 1000, 1000)
    file = folder / "keys"
    keys.add(file, "first")
    assert (file.stat().st_uid, file.stat().st_gid) == (1000, 1000), "the folder's"
    os.chown(file, 1001, 1002)
    keys.add(file, "second")
    assert (file.stat().st_uid, file.stat().st_gid) == (1001, 1002)


def test_all_addresses_are_those_of_ipv4_where_there_is_no_ipv6(monkeypatch):
    everywhere = replace(Settings(), gateway_host="::")
    assert "listen [::]:8443 ssl http2 ipv6only=off;" in render.render(everywhere)["nginx.conf"]
    monkeypatch.setattr(render, "has_ipv6", lambda: False)
    assert "listen 0.0.0.0:8443 ssl http2;" in render.render(everywhere)["nginx.conf"]
