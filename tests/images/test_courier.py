"""images/courier: files of a volume over HTTP, whatever a program left in it."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest

from sagespec.runtimes.docker.files import tar
from tests.images.conftest import DEADLINE_SECONDS, IMAGES, clean_environment

COURIER = IMAGES / "courier"
NAME, TOKEN = "ss-acme-1-courier", "its token"


class Courier:
    def __init__(self, base: Path, process: subprocess.Popen[str], port: int) -> None:
        self.base, self.process, self.port = base, process, port

    def ask(
        self, verb: str, url: str, body: bytes | None = None, *, token: str = TOKEN, name: str = NAME
    ) -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            headers = {"Host": name, "Authorization": f"Bearer {token}"}
            pieces = None if body is None else iter([body] if body else [])
            connection.request(verb, url, pieces, headers, encode_chunked=pieces is not None)
            response = connection.getresponse()
            return response.status, response.read()

    def put(self, *members: tuple[str, bytes], path: str = "", kind: bytes = tarfile.REGTYPE) -> tuple[int, bytes]:
        return self.ask("PUT", f"/tar?path={quote(path)}", archive(members, kind))

    def get(self, path: str = "") -> dict[str, tarfile.TarInfo]:
        status, content = self.ask("GET", f"/tar?path={quote(path)}")
        assert status == 200
        with tarfile.open(fileobj=io.BytesIO(content)) as found:
            return {member.name: member for member in found}

    def read(self, path: str, limit: int = 1000) -> tuple[int, bytes]:
        return self.ask("GET", f"/file?path={quote(os.fsencode(path))}&limit={limit}")


def archive(members: Sequence[tuple[str, bytes]], kind: bytes = tarfile.REGTYPE) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            file.addfile(info, io.BytesIO(content))
    return written.getvalue()


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def courier(tmp_path: Path) -> Iterator[Courier]:
    base = tmp_path / "ml"
    base.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    environment = {
        "SAGEMAKER_BASE_DIR": str(base),
        "COURIER_NAME": NAME,
        "COURIER_TOKEN_FILE": str(tmp_path / "token"),
        "COURIER_PORT": "0",
        "PYTHONUNBUFFERED": "1",
    }
    with subprocess.Popen(
        [sys.executable, "courier"],
        cwd=COURIER,
        env=clean_environment() | environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        yield Courier(base, process, int(process.stdout.readline().rpartition(" ")[2]))
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0  # it ends at once on SIGTERM


def test_what_was_put_is_there_with_its_mode_and_can_be_got_back(courier: Courier) -> None:
    big = os.urandom(3_000_000)
    assert courier.put(("train/a", b"1"), ("train/deep/b", big), path="input/data") == (200, b"")
    assert courier.put(("train/a", b"22"), path="input/data") == (200, b"")
    assert (courier.base / "input/data/train/a").read_bytes() == b"22"
    assert (courier.base / "input/data/train/a").stat().st_mode & 0o777 == 0o644
    assert (courier.base / "input/data/train").stat().st_mode & 0o777 == 0o755
    assert courier.read("input/data/train/deep/b", limit=len(big) + 1) == (200, big)
    assert set(courier.get("input")) == {"data", "data/train", "data/train/a", "data/train/deep", "data/train/deep/b"}
    assert not list(courier.base.rglob(".*"))


def test_of_a_large_file_only_the_beginning_is_read(courier: Courier) -> None:
    with (courier.base / "sparse").open("wb") as file:
        file.write(b"x")
        file.truncate(1 << 33)
    assert courier.read("sparse", limit=2) == (200, b"x\0")
    assert courier.read("sparse", limit=0) == (200, b"")


def test_a_folder_of_many_files_is_not_held_in_memory(tmp_path: Path) -> None:
    """Its names alone would be some 2.3 MB here."""
    for number in range(8000):
        (tmp_path / f"{number:0240}").touch()
    script = """
import pathlib, sys, tracemalloc
from courier_volume import Volume
tracemalloc.start()
total = sum(map(len, Volume(pathlib.Path(sys.argv[1])).tar("")))
print(total, tracemalloc.get_traced_memory()[1])
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    said = subprocess.run(command, cwd=COURIER, env=clean_environment(), capture_output=True, text=True, check=True)
    total, peak = map(int, said.stdout.split())
    assert total > 8000 * tarfile.BLOCKSIZE
    assert peak < 1_200_000, peak


def in_volume(script: str, base: Path) -> str:
    command = [sys.executable, "-c", f"import courier_volume, pathlib, sys\n{script}", str(base)]
    done = subprocess.run(command, cwd=COURIER, env=clean_environment(), capture_output=True, text=True, check=True)
    return done.stdout


def test_emptying_spares_what_is_mounted_below_by_its_very_name(tmp_path: Path) -> None:
    """Names of mounts are no patterns, though `find` takes patterns."""
    for name in ("in/a b*[c]", "in/a bXc", "in/a bX[c]", "other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    script = """
line = r"36 35 98:0 / {}/in/a\\040b*[c] rw - ext4 /dev/sda1 rw".format(sys.argv[1])
courier_volume.mounts_below = lambda folder: courier_volume.mount_points(line)
courier_volume.Volume(pathlib.Path(sys.argv[1])).empty("")
"""
    in_volume(script, tmp_path)
    left = sorted(str(at.relative_to(tmp_path)) for at in tmp_path.rglob("*"))
    assert left == ["in", "in/a b*[c]", "in/a b*[c]/file"]


def test_emptying_stays_in_the_folder_that_was_opened(tmp_path: Path) -> None:
    for name in ("ml/model", "outside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    script = """
base, run = pathlib.Path(sys.argv[1]), courier_volume.subprocess.run
def late(*arguments, **options):
    (base / "model").rename(base / "moved")
    (base / "model").symlink_to(base.parent / "outside")
    return run(*arguments, **options)
courier_volume.subprocess.run = late
courier_volume.Volume(base).empty("model")
"""
    in_volume(script, tmp_path / "ml")
    assert names_in(tmp_path / "outside") == ["file"]
    assert names_in(tmp_path / "ml/moved") == []


def test_an_empty_folder_and_a_missing_one_are_an_empty_tar(courier: Courier) -> None:
    (courier.base / "file").touch()
    for path in ("missing", "file", "missing/deeper", "empty"):
        assert courier.get(path) == {}
    assert courier.read("missing")[0] == courier.read("file/below")[0] == courier.read("")[0] == 404


@pytest.mark.parametrize(
    ("token", "name", "status"), [("", NAME, 401), ("its tokeN", NAME, 401), (TOKEN, "ss-acme-2-courier", 421)]
)
def test_nothing_is_done_for_who_lacks_the_token_or_means_another(
    courier: Courier, token: str, name: str, status: int
) -> None:
    (courier.base / "kept").write_text("1")
    content = archive([("new", bytes(2_000_000))])  # is answered although it is not read
    for verb, url, body in (("PUT", "/tar?path=", content), ("GET", "/file?path=kept&limit=9", None)):
        assert courier.ask(verb, url, body, token=token, name=name)[0] == status
    assert courier.ask("DELETE", "/tar?path=", token=token, name=name)[0] == status
    assert [file.name for file in courier.base.iterdir()] == ["kept"]


def test_what_a_program_left_is_neither_followed_nor_waited_for(courier: Courier) -> None:
    os.mkfifo(courier.base / "fifo")
    (courier.base / "folder").mkdir()
    (courier.base / "link").symlink_to("/etc/hostname")
    (courier.base / "endless").symlink_to("/dev/zero")
    (courier.base / "round").symlink_to("round")
    (courier.base / "etc").symlink_to("/etc")
    (courier.base / "up").symlink_to("..")
    os.link(courier.base / "fifo", courier.base / "folder" / "fifo")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(os.path.relpath(courier.base / "socket"))
    for path in ("fifo", "folder", "link", "endless", "round", "round/in", "etc/hostname", "up/outside", "socket"):
        assert courier.read(path)[0] == 404, path
    assert courier.read("../token")[0] == 400
    assert courier.get("etc") == courier.get("up/outside") == courier.get("round") == {}
    found = {name: member.type for name, member in courier.get().items()}
    assert found.pop("fifo") == found.pop("folder/fifo") == tarfile.FIFOTYPE
    assert found.pop("folder") == tarfile.DIRTYPE
    assert "socket" not in found
    assert found == dict.fromkeys(("link", "endless", "round", "etc", "up"), tarfile.SYMTYPE)
    bound.close()


def test_a_link_to_a_folder_of_the_volume_is_that_folder(courier: Courier) -> None:
    (courier.base / "output/data/run").mkdir(parents=True)
    (courier.base / "output/data/run/file").write_text("1")
    (courier.base / "model").symlink_to(courier.base / "output/data")
    (courier.base / "latest").symlink_to("model/./run")
    assert set(courier.get("latest")) == set(courier.get("model/run")) == {"file"}
    assert courier.read("latest/file") == (200, b"1")


def test_links_with_several_names_and_odd_names_are_kept(courier: Courier) -> None:
    (courier.base / "a").write_text("1")
    os.link(courier.base / "a", courier.base / "b")
    for name in (b"line\nbreak", b"f\xfcr", b"x" * 255):
        (courier.base / os.fsdecode(name)).touch()
    found = courier.get()
    (link,) = (name for name in ("a", "b") if found[name].islnk())
    assert {link, found[link].linkname} == {"a", "b"}, "whichever the folder names first is the file"
    assert {"line\nbreak", "f\udcfcr", "x" * 255} < set(found)
    assert courier.read("f\udcfcr") == (200, b"")


@pytest.mark.parametrize("target", ["{outside}", "../outside", "missing"])
def test_nothing_is_written_through_a_link(courier: Courier, target: str) -> None:
    outside = courier.base.parent / "outside"
    (courier.base / "link").symlink_to(target.format(outside=outside))
    (courier.base / "file").symlink_to(outside / "file")
    status, said = courier.put(("link/new", b"1"))
    assert status == 409
    assert b"link" in said
    assert courier.put(("new", b"1"), path="link/deeper")[0] == 409
    assert courier.put(("file", b"1")) == (200, b"")  # in the link's place
    assert not (courier.base / "file").is_symlink()
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["../new", "a/../../new", "a\0b"])
def test_no_name_leads_out_of_the_volume(courier: Courier, name: str) -> None:
    status, said = courier.ask("PUT", f"/tar?path={quote(name)}", archive([("x", b"1")]))
    assert (status, b"is no path below the volume" in said) == (400, True)
    if "\0" not in name:
        assert courier.put((name, b"1"))[0] == 400
    assert not (courier.base.parent / "new").exists()


def test_an_absolute_name_is_one_of_the_volume(courier: Courier) -> None:
    assert courier.put(("/etc/new", b"1")) == (200, b"")
    assert (courier.base / "etc/new").read_bytes() == b"1"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_only_files_and_folders_can_be_put(courier: Courier, kind: bytes) -> None:
    status, said = courier.put(("odd", b""), kind=kind)
    assert (status, said) == (400, b"/odd is neither a file nor a folder")
    assert list(courier.base.iterdir()) == []


def test_a_name_that_is_too_long_or_a_folder_in_the_way_is_refused(courier: Courier) -> None:
    (courier.base / "folder" / "full").mkdir(parents=True)
    assert courier.put(("x" * 256, b"1"))[0] == 500
    assert courier.put(("folder", b"1"))[0] == 409
    assert courier.put(("folder/full/" + f"{'y' * 100}/" * 50 + "z", b"1"))[0] == 200  # longer than any path may be
    assert names_in(courier.base) == ["folder"]
    assert len(courier.get()) < 45  # what no program could open is left out
    assert courier.ask("DELETE", "/tar?path=")[0] == 200
    assert list(courier.base.iterdir()) == []


def test_a_program_that_swaps_folders_for_links_gets_nothing_written_outside(courier: Courier) -> None:
    outside, over = courier.base.parent / "outside", threading.Event()

    def swap() -> None:
        at, aside = courier.base / "input", courier.base / "aside"
        while not over.is_set():
            with contextlib.suppress(OSError):
                at.rename(aside)
                at.symlink_to(outside)
                at.unlink()
                aside.rename(at)

    swapping = threading.Thread(target=swap)
    swapping.start()
    statuses = {courier.put((f"input/data/{number}", b"1"))[0] for number in range(150)}
    over.set()
    swapping.join()
    assert statuses <= {200, 409, 500}
    assert list(outside.iterdir()) == []


def test_what_is_deleted_is_all_that_the_volume_has_and_no_more(courier: Courier) -> None:
    outside = courier.base.parent / "outside"
    (outside / "kept").touch()
    (courier.base / "link").symlink_to(outside)
    (courier.base / ".hidden" / "deep").mkdir(parents=True)
    (courier.base / ".hidden" / "deep" / "-file\n").write_text("1")
    os.mkfifo(courier.base / "fifo")
    assert courier.ask("DELETE", "/tar?path=.hidden")[0] == 200
    assert names_in(courier.base) == [".hidden", "fifo", "link"]
    assert courier.ask("DELETE", "/tar?path=link")[0] == 409
    assert courier.ask("DELETE", "/tar?path=..")[0] == 400
    assert courier.ask("DELETE", "/tar?path=")[0] == 200
    assert courier.ask("DELETE", "/tar?path=missing")[0] == 200
    assert names_in(courier.base) == []
    assert (outside / "kept").exists()


def test_a_request_that_breaks_off_leaves_no_half_file(courier: Courier) -> None:
    with socket.create_connection(("127.0.0.1", courier.port), 10) as connection:
        head = f"PUT /tar?path= HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked"
        half = archive([("half", bytes(300_000))])[:200_000]
        connection.sendall(head.encode() + b"\r\n\r\n%x\r\n%b" % (len(half) + 1000, half))
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"broke off" in answer
    assert names_in(courier.base) == []


def carry(courier: Courier, *words: str, given: bytes = b"", address: str = "") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "import porter_carry; porter_carry.main()", *words]
    environment = clean_environment() | {"COURIER_TOKEN_FILE": str(courier.base.parent / "token")}
    with subprocess.Popen(
        command, cwd=COURIER, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(given)
        process.stdin.flush()
        printed = process.stdout.read(), process.stderr.read()  # input stays open until it has answered
        process.stdin.close()
        return subprocess.CompletedProcess(command, process.wait(DEADLINE_SECONDS), *printed)


def test_what_the_porter_carries_arrives_with_the_token(courier: Courier) -> None:
    address = f"127.0.0.1:{courier.port}"
    content = b"".join(tar(()))
    done = carry(
        courier, "PUT", "/tar?path=", NAME, address, "5", given=b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    )
    assert (done.returncode, done.stderr) == (0, b"+\n")
    assert done.stdout.startswith(b"HTTP/1.1 200")
    (courier.base / "word").write_text("read")
    done = carry(courier, "GET", "/file?path=word&limit=9", NAME, address, "5")
    assert done.stdout.endswith(b"\r\n4\r\nread\r\n0\r\n\r\n")


def test_the_porter_says_why_it_reached_nobody(courier: Courier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = carry(courier, "GET", "/file?path=word", NAME, f"127.0.0.1:{port}", "0.2")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"Connection refused\n")
