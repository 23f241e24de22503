"""How every real Runtime gives a container its secrets: as variables, as files, and in no line of its log."""

from __future__ import annotations

import json

from sagespec.masking import hide
from sagespec.spec.secrets import SecretUse
from tests.contracts.bench import SECRETS, Bench, on_real_engines

ENVIRONMENT = {"PLAIN": "plain", "TOKEN": SecretUse("token"), "SMTP": SecretUse("smtp", as_file=True)}
TELL = """
import json, os
place = os.environ["SMTP_FILE"]
with open(place) as file:
    found = {"token": os.environ["TOKEN"], "smtp": file.read(), "plain": os.environ["PLAIN"]}
found["others"] = [name for name in os.environ if name.startswith("SMTP") and name != "SMTP_FILE"]
(base / "model").mkdir(exist_ok=True)
(base / "model" / "found.json").write_text(json.dumps(found))
print("given", os.environ["TOKEN"], "and", found["smtp"], flush=True)
"""


@on_real_engines
def test_a_container_gets_its_secrets_as_variables_and_as_files(bench: Bench) -> None:
    name = bench.run(TELL, environment=ENVIRONMENT)
    found = json.loads(bench.file(name, "model/found.json"))
    assert found == {"token": SECRETS["token"], "smtp": SECRETS["smtp"], "plain": "plain", "others": []}


@on_real_engines
def test_a_log_has_no_secret_whoever_reads_it(bench: Bench) -> None:
    """`open_secret` of a project has them masked, in whatever process asks for the log."""
    for secret in SECRETS.values():
        hide(secret)
    name = bench.run(TELL, environment=ENVIRONMENT)
    assert list(bench.runtime.logs(name)) == ["given *** and ***", "***"]
    assert [line for _, line in bench.runtime.timed_logs(name)] == ["given *** and ***", "***"]


@on_real_engines
def test_a_container_that_is_started_again_has_its_secrets(bench: Bench) -> None:
    name = bench.run(TELL, environment=ENVIRONMENT)
    bench.runtime.start(name)
    assert json.loads(bench.file(name, "model/found.json"))["smtp"] == SECRETS["smtp"]
