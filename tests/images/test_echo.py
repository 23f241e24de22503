"""The test image: its record of what it was given, and each misbehaviour on request."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def test_train_writes_down_all_it_was_given(make_tree: Any) -> None:
    tree = make_tree("echo", {"lines": 2}, {"train": "1,2\n"}, hosts=("algo-1", "localhost"))
    code, printed = tree.train(GREETING="hello")
    assert code == 0
    record = json.loads((tree.model / "echo.json").read_text())
    assert record == json.loads((tree.base / "output/data/echo.json").read_text())
    assert record["argv"][0].endswith("train")
    assert record["env"]["GREETING"] == "hello"
    assert record["hyperparameters"] == {"lines": "2"}
    assert record["input"]["data/train/part-0"] == {"bytes": 4, "sha256": hashlib.sha256(b"1,2\n").hexdigest()}
    assert "127.0.0.1" in record["addresses"]["localhost"]
    declared = json.loads((ROOT / "images/echo/image.json").read_text())
    assert re.findall(declared["metrics"][0]["regex"], printed) == ["0.0", "0.1"]
    assert declared["hyperparameters"].keys() >= {"sleep", "exit_code", "failure", "ignore_sigterm"}


@pytest.mark.parametrize(
    ("host", "settings", "expected"),
    [
        ("algo-1", {"exit_code": 3, "failure": "AlgorithmError: asked to"}, (3, "AlgorithmError: asked to")),
        ("algo-1", {"exit_code": 3, "on_host": "algo-2"}, (0, "")),
        ("algo-2", {"exit_code": 3, "on_host": "algo-2"}, (3, "")),
    ],
)
def test_train_fails_as_told(make_tree: Any, host: Any, settings: Any, expected: Any) -> None:
    tree = make_tree("echo", settings, host=host, hosts=("algo-1", "algo-2"))
    assert (tree.train()[0], tree.failure) == expected


@pytest.mark.parametrize(("ignores", "code"), [("false", 0), ("true", 5)])
def test_train_obeys_or_ignores_sigterm(make_tree: Any, ignores: Any, code: Any) -> None:
    tree = make_tree("echo", {"sleep": 1, "lines": 1, "exit_code": 5, "ignore_sigterm": ignores})
    process = tree.start("train")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=10)
    assert process.returncode == code
    assert ("ignored" in printed) == (ignores == "true")


def test_serve_says_back_and_does_as_told(make_tree: Any, serve: Any) -> None:
    tree = make_tree("echo")
    tree.train()
    with serve(tree, GREETING="hello") as server:
        assert server.wait_until_it_answers().status == 200
        attributes = "X-Amzn-SageMaker-Custom-Attributes"
        reply = server.invoke("body", "text/csv", **{attributes: "status=207;size=10", "X-Other": "y"})
        said = reply.json
        assert (reply.status, said["body"], said["headers"]["x-other"]) == (207, "body", "y")
        assert (said["env"]["GREETING"], len(said["padding"])) == ("hello", 10)
        assert said["model"].keys() == {"echo.json"}
        assert reply.headers[attributes.lower()] == "status=207;size=10"
        assert server.invoke(iter([b"chun", b"ked"])).json["body"] == "chunked"
        started_at = time.monotonic()
        assert server.invoke("x", **{attributes: "delay=0.3"}).status == 200
        assert time.monotonic() - started_at > 0.3
        with pytest.raises((ConnectionError, OSError)):
            server.invoke("x", **{attributes: "crash=9"})
        assert server.process.wait(timeout=5) == 9


def test_serve_finishes_what_is_in_flight_on_sigterm(make_tree: Any, serve: Any) -> None:
    with serve(make_tree("echo")) as server:
        server.wait_until_it_answers()
        replies = []
        slow = {"X-Amzn-SageMaker-Custom-Attributes": "delay=3"}
        client = threading.Thread(target=lambda: replies.append(server.invoke("x", **slow)))
        client.start()
        time.sleep(1)  # for the request to arrive
        assert server.stop() == 0
        client.join()
        assert [reply.status for reply in replies] == [200]


def test_serve_fares_as_its_environment_says(make_tree: Any, serve: Any) -> None:
    with serve(make_tree("echo"), ECHO_START_DELAY="0.3", ECHO_UNHEALTHY_AFTER="3") as server:
        assert server.wait_until_it_answers().status == 200
        while server.ask("GET", "/ping").status == 200:
            time.sleep(0.1)
        assert server.ask("GET", "/ping").status == 500
    with serve(make_tree("echo"), ECHO_CRASH="0.5") as server:
        assert server.process.wait(timeout=30) == 1
