"""What a killed server leaves: the object before or the one after, with all that was said of it, and never a part."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sagespec.buckets.about import Side
from sagespec.buckets.layout import Layout
from sagespec.buckets.refusals import Refusal
from sagespec.buckets.writing import Condition, Described, delete, incoming, make_bucket, put
from tests.contracts.servers import s3_server

MB = 1 << 20


def written(layout: Layout, key: str, data: bytes, kind: str) -> None:
    with incoming(layout) as content:
        content.stream.write(data)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        put(layout, "acme", key, content, etag=etag, described=Described({"content-type": kind}))


def test_a_server_killed_at_any_moment_leaves_whole_objects(tmp_path: Path) -> None:
    letters = random.Random(7)
    for _ in range(6):
        with s3_server("ours", folder=tmp_path) as server:
            session = boto3.session.Session(server.key, server.secret, region_name="us-east-1")
            s3 = session.client("s3", endpoint_url=server.endpoint, config=Config(retries={"total_max_attempts": 1}))

            def write(client: object = s3) -> None:
                with suppress(ClientError, BotoCoreError):
                    for number in range(1000):
                        letter = "ab"[number % 2]
                        client.put_object(  # type: ignore[attr-defined]
                            Bucket="acme", Key="m", Body=letter.encode() * MB, ContentType=f"text/{letter}"
                        )

            threads = [threading.Thread(target=write) for _ in range(3)]
            for thread in threads:
                thread.start()
            threading.Event().wait(letters.uniform(0.3, 0.6))
            os.kill(server.pid, signal.SIGKILL)
            for thread in threads:
                thread.join()
        found = Layout(tmp_path).open("acme", "m")
        assert found is not None
        stream, about = found
        content = stream.read()
        stream.close()
        letter = content[:1].decode()
        assert content == letter.encode() * MB
        assert about.headers == {"content-type": f"text/{letter}"}
        assert about.etag == hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_between_the_two_renames_of_a_write_the_object_before_is_whole(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    make_bucket(layout, "acme")
    written(layout, "a", b"before", "text/before")
    before = layout.find("acme", "a")
    assert before is not None
    written(layout, "b", b"after!", "text/after")  # of the same size
    after = layout.find("acme", "b")
    assert after is not None

    layout.write_side("acme", Side("a", (after.about, before.about)))  # and then the power goes

    assert layout.find("acme", "a") == before
    written(layout, "a", b"after!", "text/after")
    found = layout.find("acme", "a")
    assert found is not None
    assert found.about.headers == {"content-type": "text/after"}


def test_what_is_half_written_is_swept_when_its_writer_is_gone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    make_bucket(layout, "acme")
    (tmp_path / ".incoming").mkdir()
    left = tmp_path / ".incoming" / "left"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))

    with incoming(layout) as content:
        os.utime(content.path, (0, 0))  # old, but held by its writer
        written(layout, "a", b"1", "a/b")
        assert content.path.exists()
        assert not left.exists()
    assert list((tmp_path / ".incoming").iterdir()) == []


def test_of_many_writers_one_finds_nothing_there(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    make_bucket(layout, "acme")
    begin, won = threading.Barrier(8), list[int]()

    def attempt(number: int) -> None:
        with incoming(layout) as content, suppress(Refusal):
            content.stream.write(str(number).encode())
            begin.wait()
            put(layout, "acme", "x/y", content, etag=str(number), condition=Condition(if_absent=True))
            won.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert (tmp_path / "acme" / "x" / "y").read_bytes() == str(won[0]).encode()


def test_a_folder_that_is_emptied_while_another_writes_into_it_loses_nothing(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    make_bucket(layout, "acme")

    def work(name: str) -> None:
        for _ in range(60):
            written(layout, f"deep/er/{name}", b"1", "a/b")
            assert layout.find("acme", f"deep/er/{name}") is not None
            delete(layout, "acme", f"deep/er/{name}")

    failed: list[BaseException] = []

    def watched(name: str) -> None:
        try:
            work(name)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=watched, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert list((tmp_path / "acme").iterdir()) == []


def test_a_bucket_that_is_gone_takes_no_object(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with incoming(layout) as content, pytest.raises(Refusal, match="NoSuchBucket"):
        put(layout, "acme", "a", content, etag="0")
