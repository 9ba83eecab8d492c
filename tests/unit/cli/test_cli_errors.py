"""Whatever is wrong, a command ends with its exit code and one line that names it: no traceback."""

import errno
import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from cli_fakes import run
from small_disk import small_disk

from aurum import batch, files
from aurum.cli import BUG, FAILED, INTERRUPTED, UNREACHABLE, USAGE, errors, models
from aurum.paths import PHOTO

NOBODY = "http://127.0.0.1:9"  # discard(9), where nothing listens
TEXT = "not what is expected\0\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a photo, texts and an empty folder, where all state is kept, too."""
    for name in [name for name in os.environ if name.startswith("AURUM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AURUM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AURUM_REPOSITORIES", str(tmp_path / "repositories"))
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(PHOTO.read_bytes())
    Path("faces/Ann").mkdir(parents=True)
    Path("faces/Ann/Ann_0001.jpg").write_bytes(PHOTO.read_bytes())
    Path("empty").mkdir()
    for name in ("text.txt", "text.csv", "text.jsonl", "text.jpg"):
        Path(name).write_text(TEXT)
        Path(f"bytes{Path(name).suffix}").write_bytes(b"\xff\xfe\x00")
    return tmp_path


def told(result):
    """The only line on stderr, apart from one that says how to fix it."""
    assert isinstance(result.exception, SystemExit), result.exception
    line, *fix = result.stderr.splitlines()
    assert line.startswith("aurum: ")
    assert len(fix) <= 1
    assert all(words.startswith("To fix: ") for words in fix)
    return line


OUT = ("--out", "out")
URL = ("--url", NOBODY)
CASES = [
    (USAGE, "No such command 'nothing'", ["nothing"]),
    (USAGE, "No such option", ["--nothing"]),
    (USAGE, "No such option", ["up", "--nothing"]),
    (USAGE, "Missing argument", ["detect"]),
    (USAGE, "--tiles", ["detect", "photo.jpg", "--tiles", "many"]),
    (USAGE, "no photo", ["detect", "empty"]),
    (USAGE, "'ftp://x'", ["detect", "photo.jpg", "--url", "ftp://x"]),
    (
        USAGE,
        "is not the URL of a server",
        ["embed", "photo.jpg", "--url", "http://127.0.0.1:99999"],
    ),
    (USAGE, "there is no folder nowhere", ["embed", "photo.jpg", "--out", "nowhere/x.npz"]),
    (USAGE, "--draw photo.jpg: File exists", ["detect", "photo.jpg", "--draw", "photo.jpg"]),
    (FAILED, "File name too long", ["detect", "x" * 300]),
    (USAGE, "--far", ["compare", "a.jpg", "b.jpg", "--far", "2"]),
    (USAGE, "there is no profile or model 'nothing'", ["models", "pull", "nothing"]),
    (USAGE, "there is no profile or model 'nothing'", ["models", "verify", "nothing"]),
    (FAILED, "no profile 'nothing'", ["rollout", "stage", "nothing"]),
    (FAILED, "nothing is staged", ["rollout", "validate"]),
    (USAGE, "--pairs and --photos go together", ["rollout", "validate", "--pairs", "text.txt"]),
    (FAILED, "nothing is staged", ["rollout", "promote"]),
    (FAILED, "there is no previous release", ["rollout", "rollback"]),
    (FAILED, "there is no file", ["gateway", "check"]),
    (FAILED, "there is no file", ["gateway", "reload"]),
    (FAILED, "there is no file", ["gateway", "up"]),
    (FAILED, "an id has 1 to 64", ["gateway", "keys", "add", "a b"]),
    (FAILED, "no such key", ["gateway", "keys", "remove", "nobody"]),
    (USAGE, "there is no nowhere", ["validate", "parity", "nowhere", *OUT]),
    (USAGE, "no photo", ["validate", "parity", "empty", *OUT]),
    (
        USAGE,
        "the address of the service",
        ["validate", "parity", "faces", *OUT, "--url", "ftp://x"],
    ),
    (UNREACHABLE, "Cannot connect", ["validate", "parity", "faces", *OUT, *URL]),
    (UNREACHABLE, "Cannot connect", ["validate", "finding", "faces", *OUT, *URL]),
    (FAILED, "photo.jpg: File exists", ["validate", "finding", "faces", "--out", "photo.jpg"]),
    (USAGE, "'nowhere' does not exist", ["validate", "calibrate", "nowhere", *OUT]),
]


@pytest.mark.parametrize(("code", "words", "arguments"), CASES, ids=lambda part: str(part)[:60])
def test_wrong_usage_is_one_line(place, code, words, arguments):
    result = run(*arguments)

    assert words in told(result)
    assert result.exit_code == code


SETTINGS = [
    (USAGE, "AURUM_HTTP_PORT='many': must be", {"HTTP_PORT": "many"}, ["detect", "photo.jpg"]),
    (USAGE, "AURUM_HTTP_PRT is not a setting", {"HTTP_PRT": "1"}, ["models", "list"]),
    (FAILED, "empty: Is a directory", {"GATEWAY_KEYS": "empty"}, ["gateway", "keys", "list"]),
    (FAILED, "line 1: must be an id", {"GATEWAY_KEYS": "text.txt"}, ["gateway", "keys", "list"]),
    (
        FAILED,
        "text.txt: File exists",
        {"GATEWAY_KEYS": "text.txt/x"},
        ["gateway", "keys", "add", "a"],
    ),
    (FAILED, "text.txt", {"REPOSITORIES": "text.txt"}, ["rollout", "status"]),
]


@pytest.mark.parametrize(("code", "words", "settings", "arguments"), SETTINGS)
def test_a_setting_that_does_not_fit_is_one_line(
    place, monkeypatch, code, words, settings, arguments
):
    for name, value in settings.items():
        monkeypatch.setenv(f"AURUM_{name}", value)

    result = run(*arguments)

    assert words in told(result)
    assert result.exit_code == code


@pytest.mark.parametrize("content", ["text", "bytes"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".txt"])
def test_a_file_of_annotations_with_something_else_is_named(place, content, suffix):
    from aurum.evaluation import ValidationError
    from aurum.evaluation.annotations import read

    with pytest.raises(ValidationError, match=re.escape(f"{content}{suffix}")):
        read(Path(f"{content}{suffix}"))


def test_a_file_of_pairs_or_groups_with_something_else_is_named(place):
    from aurum.evaluation import ValidationError, groups, lfw

    for read in (groups.read, lfw.read_pairs):
        for name in ("text.txt", "bytes.txt"):
            with pytest.raises(ValidationError, match=re.escape(name)):
                read(Path(name))


@pytest.fixture
def full(tmp_path):
    """A disk without room for a further byte."""
    disk = tmp_path / "disk"
    with small_disk(disk, 1 << 12):
        with suppress(OSError):
            (disk / "rest").write_bytes(bytes(1 << 20))
        yield disk


REASON = r"(No space left on device|File too large)"


def test_a_full_disk_for_the_keys_is_named(full, place, monkeypatch):
    monkeypatch.setenv("AURUM_GATEWAY_KEYS", str(full / "keys"))

    result = run("gateway", "keys", "add", "ann")

    assert re.fullmatch(rf"aurum: {full}/keys: {REASON}", told(result))
    assert not list(full.glob("*keys*"))


def test_a_full_disk_for_graphs_is_named(full, place, monkeypatch):
    monkeypatch.setenv("AURUM_PROFILE", "simulated")

    result = run("models", "build", "--repository", full / "models")

    *_, line = result.stderr.splitlines()
    assert re.fullmatch(rf"aurum: {full}/models/\S+: {REASON}", line)
    assert result.exit_code == FAILED


def test_a_full_disk_for_embeddings_or_drawings_is_named(full, place, client):
    embedded = run("embed", "photo.jpg", "--out", full / "vectors.npz")
    drawn = run("detect", "photo.jpg", "--draw", full / "drawn")

    assert re.fullmatch(rf"aurum: --out {full}/vectors.npz: {REASON}", told(embedded))
    assert not (full / "vectors.npz").exists()  # half a file would look like a result
    assert re.search(rf"cannot draw {full}/drawn/photo.jpg: .*{REASON}", drawn.stderr)
    assert embedded.exit_code == drawn.exit_code == FAILED


def test_a_full_disk_for_answers_is_named(full):
    from aurum.evaluation import ValidationError
    from aurum.evaluation.ask import AnswerStore

    with pytest.raises(
        ValidationError, match=rf"{full}/answers.sqlite can't be used: .*(full|I/O)"
    ):
        AnswerStore(full, "service")


def program(*arguments, **options):
    command = [sys.executable, "-c", "from aurum.cli.app import main; main()", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **options)


def test_output_that_cannot_be_written_is_one_line():
    with open("/dev/full", "w") as full:
        ended = program("models", "list", stdout=full)

    assert re.fullmatch(r"aurum: .*No space left on device\n", ended.stderr)
    assert ended.returncode == FAILED


def test_a_reader_that_has_enough_is_no_error():
    read, write = os.pipe()
    os.close(read)
    ended = program("models", "list", stdout=write)
    os.close(write)

    assert ended.stderr == ""


def test_a_service_that_never_answers_is_given_up(place, monkeypatch):
    from aurum.evaluation import target

    monkeypatch.setattr(target, "FIRST_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = run("validate", "parity", "faces", *OUT, "--url", url)

    assert "no answer within 0.5 s" in told(result)
    assert result.exit_code == UNREACHABLE


def test_an_error_of_a_client_is_one_line(monkeypatch):
    from aurum_client import ConnectionFailedError
    from tritonclient.utils import InferenceServerException

    def fail(error):
        def list_models(*_):
            raise error

        monkeypatch.setattr(models, "_print_profiles", list_models)
        return run("models", "list")

    gone = fail(ConnectionFailedError("it is gone"))
    assert told(gone) == "aurum: the service can't be used: it is gone"
    assert gone.exit_code == UNREACHABLE
    refused = fail(InferenceServerException("no such model"))
    assert told(refused) == "aurum: Triton can't be used: no such model"
    assert refused.exit_code == FAILED
    assert "not enough memory" in told(fail(MemoryError()))


def test_a_bug_is_one_line_with_a_file_to_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def main():
        return 1 // 0

    with pytest.raises(SystemExit) as ended:
        errors.run("aurum", main)

    (report,) = tmp_path.iterdir()
    assert ended.value.code == BUG
    assert capsys.readouterr().err == (
        "aurum: this is a bug (ZeroDivisionError: integer division or modulo by zero); please "
        f"report it with {report}\n"
    )
    assert "return 1 // 0" in report.read_text()


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), INTERRUPTED), (BrokenPipeError(), FAILED)]
)
def test_an_end_that_the_user_wants_is_silent(capsys, error, code):
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        errors.run("benchmarks", main)

    assert ended.value.code == code
    assert capsys.readouterr().err == ""


def test_a_bug_without_room_for_its_report_is_shown(monkeypatch, capsys):
    def mkstemp(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", mkstemp)

    with pytest.raises(SystemExit):
        errors.run("aurum", lambda: {}["x"])

    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("please report it with the lines above\n")


def test_only_the_error_of_a_write_is_given_a_name(tmp_path):
    for code, name in ((errno.ENOSPC, str(tmp_path)), (errno.ECONNREFUSED, None)):
        with pytest.raises(OSError) as caught, files.naming(tmp_path):  # noqa: PT011
            raise OSError(code, "why")
        assert caught.value.filename == name


def test_photos_of_a_folder_that_cannot_be_read_are_named(monkeypatch, tmp_path):
    """As root everything can be read, so the error is the system's, by hand."""
    (tmp_path / "a.jpg").touch()
    said = []
    denied = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "closed"))

    def walk(folder, onerror):
        onerror(denied)
        yield str(folder), [], ["a.jpg"]

    monkeypatch.setattr(os, "walk", walk)

    assert batch.find([tmp_path], said.append) == [tmp_path / "a.jpg"]
    assert said[1] == f"  can't be read: Permission denied (1): {tmp_path / 'closed'}"
