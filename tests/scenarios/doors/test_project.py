"""A project whose callers have keys, from its spec to their requests: what docs/exposing.md says, step by step."""

from __future__ import annotations

import http.client
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest

from sagespec.gateway.self_signed import make_self_signed
from tests.scenarios.specs import endpoint, job
from tests.scenarios.workspace import REPOSITORY, Workspace, wait_until

CRM_KEY = "crm-" + "0123456789abcdef" * 2
PAGE = (REPOSITORY / "docs" / "exposing.md").read_text()


def ask(workspace: Workspace, key: str, endpoint_name: str = "churn", **given: Any) -> str:
    """Through boto3 as it comes; the answer's status, or the code of the error."""
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"{'https' if given else 'http'}://127.0.0.1:{workspace.port}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="any",
        config=botocore.config.Config(retries={"max_attempts": 0}),
        **given,
    )
    try:
        answer = client.invoke_endpoint(EndpointName=endpoint_name, ContentType="text/csv", Body=b"1,2")
        return str(answer["ResponseMetadata"]["HTTPStatusCode"])
    except botocore.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"])


def page_example(heading: str) -> str:
    """The first YAML under a heading of the page, as it stands there."""
    found = re.search(rf"## {heading}\n.*?```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def use(workspace: Workspace, gateway: str) -> None:
    """The project with these lines for its gateway, on this machine and the port of the test."""
    here = gateway.replace("host: 0.0.0.0", "host: 127.0.0.1")
    text = here.replace("gateway:\n", f"gateway:\n  port: {workspace.port}\n")
    file = workspace.root / "sagespec.yaml"
    file.write_text(re.sub(r"gateway:.*", "", file.read_text(), flags=re.DOTALL) + text)


@pytest.fixture
def exposed(workspace: Workspace) -> Workspace:
    workspace.environment = {"CRM_KEY": CRM_KEY}
    workspace.write(job(1) + endpoint("only model@1 1", name="churn") + endpoint("only model@1 1", name="other"))
    return workspace


def test_the_page_s_example_and_a_caller_who_is_shut_out_by_a_commit(exposed: Workspace) -> None:
    made = exposed.json("key", "shop")
    assert (exposed.root / "keys/shop").read_text() == made["key"] + "\n"
    assert (exposed.root / "keys/shop").stat().st_mode & 0o777 == 0o600
    assert (exposed.root / "keys/.gitignore").read_text() == "*\n"
    assert "is there already" in exposed.run("key", "shop", code=1).stderr
    assert made["spec"] in page_example("Keys")
    use(exposed, page_example("Keys"))
    exposed.run("apply")

    assert [ask(exposed, made["key"], name) for name in ("churn", "other")] == ["200", "200"]
    assert [ask(exposed, CRM_KEY, name) for name in ("churn", "other")] == ["200", "AccessDeniedException"]
    assert ask(exposed, "AKIAIOSFODNN7EXAMPLE") == "AccessDeniedException"
    assert exposed.run("invoke", "other", "--data", "1,2").stdout  # with the one key that is here and may
    assert exposed.run("invoke", "churn", "--data", "1,2", "--caller", "crm").stdout
    for name, complaint in (("crm", "has no key with which it may"), ("shp", 'did you mean "shop"?')):
        assert complaint in exposed.run("invoke", "other", "--data", "1", "--caller", name, code=1).stderr

    said = exposed.run("status").stdout
    assert "callers crm (churn), shop" in " ".join(said.split())
    assert [caller["name"] for caller in exposed.json("status")["doors"]["callers"]] == ["crm", "shop"]
    written = said + exposed.run("plan").stdout + exposed.run("history").stdout + exposed.run("logs", "gateway").stdout
    written += "".join(file.read_text(errors="replace") for file in (exposed.root / ".sagespec/store").rglob("*.*"))
    for secret in (made["key"], CRM_KEY):
        assert secret not in written

    use(exposed, page_example("Rates"))
    assert "caller crm removed" in exposed.run("plan").stdout
    exposed.run("apply")
    assert ask(exposed, CRM_KEY) == "AccessDeniedException"
    assert ask(exposed, made["key"]) == "200"
    assert exposed.json("plan")["actions"] == []


def test_a_key_that_changes_and_one_that_is_lost(exposed: Workspace) -> None:
    exposed.environment = {}  # CRM_KEY is not set here
    key = exposed.json("key", "shop")["key"]
    use(exposed, page_example("Keys"))
    said = exposed.run("apply", code=1)
    assert "key of caller crm: the variable CRM_KEY is not set" in said.stdout + said.stderr
    assert ask(exposed, key) == "200"
    assert ask(exposed, CRM_KEY) == "AccessDeniedException"
    next_key = exposed.json("key", "shop-next")["key"]
    use(exposed, page_example("Keys").replace("shop}}", "shop}, next_key: {file: keys/shop-next}}"))
    exposed.run("apply", code=1)
    assert [ask(exposed, key), ask(exposed, next_key)] == ["200", "200"]
    use(exposed, page_example("Keys").replace("keys/shop}", "keys/shop-next}"))
    with exposed.running("watch"):
        wait_until(lambda: ask(exposed, key) == "AccessDeniedException", 60)
        assert ask(exposed, next_key) == "200"


def test_a_self_signed_certificate_and_one_of_one_s_own(exposed: Workspace) -> None:
    use(exposed, "gateway:\n  tls: self_signed\n")
    exposed.run("apply")
    own = str(exposed.root / ".sagespec/tls/certificate.pem")
    assert ask(exposed, "any", verify=own) == "200"
    assert exposed.run("invoke", "churn", "--data", "1,2").stdout
    assert "certificate expires in 36" in " ".join(exposed.run("status").stdout.split())
    assert exposed.json("status")["endpoints"][0]["url"].startswith("https://127.0.0.1:")
    assert exposed.json("plan")["actions"] == []

    files = exposed.root / "tls" / "fullchain.pem", exposed.root / "tls" / "privkey.pem"
    make_self_signed(*files, ["ml.example.com"], days=12)
    example = page_example("TLS").replace("/etc/letsencrypt/live/ml.example.com", "tls")
    use(exposed, example)
    exposed.run("apply")
    assert ask(exposed, "any", verify=str(files[0])) == "200"
    assert "the gateway's certificate expires in 11 days" in exposed.run("plan").stdout

    make_self_signed(exposed.root / "tls" / "other.pem", files[1], [])
    refused = exposed.run("apply", code=1)
    assert "does not fit the key" in refused.stdout + refused.stderr
    assert ask(exposed, "any", verify=str(files[0])) == "200"
    with exposed.running("watch"):
        make_self_signed(*files, ["ml.example.com"])
        wait_until(lambda: _is_trusted(exposed, files[0]), 90)


def _is_trusted(workspace: Workspace, file: Path) -> bool:
    try:
        return ask(workspace, "any", verify=str(file)) == "200"
    except botocore.exceptions.SSLError:
        return False


@pytest.mark.parametrize("workspace", ["process"], indirect=True)
def test_what_would_be_open_by_accident_is_refused_where_it_is_written(exposed: Workspace) -> None:
    exposed.edit(r"gateway: .*", "gateway: {host: 0.0.0.0}", file="sagespec.yaml")
    said = exposed.run("validate", code=1).stderr
    assert "sagespec.yaml:6:17" in said
    assert "everybody who reaches 0.0.0.0 could ask for predictions" in said
    assert "open: true" in said
    exposed.edit(r"gateway: .*", "gateway: {host: 0.0.0.0, open: true}", file="sagespec.yaml")
    exposed.run("validate")
    for written, complaint in (
        ("hunter2-hunter2-hunter2", "a key does not belong in a file that others read"),
        ("7777777777777777777.7", "a key does not belong in a file that others read"),
        ("{environment: hunter2-hunter2-hunter2}", "this is not the name of an environment variable"),
    ):
        exposed.edit(r"gateway: .*", f"gateway: {{callers: {{shop: {{key: {written}}}}}}}", file="sagespec.yaml")
        said = exposed.run("validate", code=1).stderr
        assert complaint in said
        assert "hunter2" not in said
        assert "7777" not in said


@pytest.mark.parametrize("workspace", ["process"], indirect=True)
def test_names_that_are_listed_are_answered_to_and_no_others(exposed: Workspace) -> None:
    use(exposed, "gateway:\n  hosts: [ml.example.com]\n")
    exposed.run("apply")

    def status(host: str, origin: str = "") -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", exposed.port, timeout=20)) as connection:
            headers = {"Host": host, **({"Origin": origin} if origin else {})}
            connection.request("POST", "/endpoints/churn/invocations", b"1,2", headers)
            return connection.getresponse().status

    for host in ("ml.example.com", "ML.example.com:443", "localhost", f"127.0.0.1:{exposed.port}", "sagespec-gateway"):
        assert status(host) == 200, host
    for host in ("mlXexample.com", "evil.ml.example.com", "ml.example.com.evil.org", "rebind.example.org"):
        assert status(host) == 403, host
    assert status("ml.example.com", "https://ml.example.com") == 200
    assert status("ml.example.com", "https://evil.example.org") == 403
    assert status("ml.example.com", "null") == 403
