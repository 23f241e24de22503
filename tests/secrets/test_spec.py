"""What a spec may say of a secret, and that what is wrong with it never repeats what may be one."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sagespec.spec.secrets import (
    AnySecretSource,
    SecretReference,
    SecretSource,
    SecretUse,
    ServingValue,
    TrainingValue,
    as_plain,
    from_plain,
)

SOURCE: TypeAdapter[Any] = TypeAdapter(AnySecretSource)
VALUE: TypeAdapter[Any] = TypeAdapter(ServingValue)
REFERENCE: TypeAdapter[Any] = TypeAdapter(SecretReference)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("env:HF_TOKEN", SecretSource("env", "HF_TOKEN")),
        ("file:secrets/smtp", SecretSource("file", "secrets/smtp")),
        ("aws:acme/churn/db#url", SecretSource("aws", "acme/churn/db", "url")),
        ("aws:acme/churn/db", SecretSource("aws", "acme/churn/db")),
        ("ssm:/acme/churn/api", SecretSource("ssm", "/acme/churn/api")),
        ({"command": ["pass", "show", "db"]}, SecretSource("command", command=("pass", "show", "db"))),
    ],
)
def test_where_a_secret_is_kept_is_read_and_written_as_it_was(written: Any, read: SecretSource) -> None:
    assert SOURCE.validate_python(written) == read
    assert SOURCE.dump_python(read, mode="json") == written


@pytest.mark.parametrize(
    "written",
    [
        "hf_canary123", "env:", "env:hf-canary123", "vault:canary123", "file:~/canary123", "aws:#canary123", "aws:x#",
        {"command": []}, {"command": "echo canary123"}, {"command": [1]}, {"command": ["a"], "canary123": 1}, 5, None,
        {"canary123": ["a"]}, "file:canary123\0",
    ],
)  # fmt: skip
def test_what_does_not_say_where_a_secret_is_kept_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError) as error:
        SOURCE.validate_python(written)
    (found,) = error.value.errors()
    assert found["type"] == "sagespec"
    if isinstance(written, str) and not written.startswith(("file:~", "aws:#")):  # a place may be named again
        assert "canary" not in str(found["ctx"])


def test_a_variable_is_text_or_a_secret() -> None:
    assert VALUE.validate_python("info") == "info"
    assert VALUE.validate_python(5) == "5"
    assert VALUE.validate_python({"secret": "db"}) == SecretUse("db")
    assert VALUE.validate_python({"secret": "db", "as": "file"}) == SecretUse("db", as_file=True)
    environment: dict[str, str | SecretUse] = {"A": "x", "B": SecretUse("db"), "C": SecretUse("db", as_file=True)}
    assert as_plain(environment) == {"A": "x", "B": {"secret": "db"}, "C": {"secret": "db", "as": "file"}}
    assert from_plain(as_plain(environment)) == environment


@pytest.mark.parametrize(
    "written", [{"secret": ""}, {"secret": "a b"}, {"secrets": "db"}, {"secret": "db", "as": "env"}, {}, {"secret": 1}]
)
def test_what_is_neither_text_nor_a_secret_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError) as error:
        VALUE.validate_python(written)
    assert [found["type"] for found in error.value.errors()] == ["sagespec"]


def test_the_text_of_a_variable_is_as_long_as_it_was_allowed_to_be() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(TrainingValue).validate_python("x" * 513)
    assert TypeAdapter(TrainingValue).validate_python("x" * 512)
    assert VALUE.validate_python("x" * 1024)


def test_where_only_a_secret_may_be_its_text_is_refused_and_not_repeated() -> None:
    assert REFERENCE.validate_python({"secret": "hook"}) == SecretUse("hook")
    for written in ("canary123", {"secret": "hook", "as": "file"}, 5):
        with pytest.raises(ValidationError) as error:
            REFERENCE.validate_python(written)
        assert "canary" not in str(error.value.errors()[0]["ctx"])
