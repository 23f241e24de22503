"""Which values of a spec count as secret."""

from __future__ import annotations

import pytest

from sagespec.state.secrets import is_secret_field


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("environment", ("{'A': 'b'}", "")),
        ("environment.API_TOKEN", ("a", "b")),
        ("environment.DB_PASSWORD", ("", "12345")),
        ("environment.DATABASE", ("", "postgres://ada:hunter2@db/x")),
        ("hyperparameters.api_key", ("a", "b")),
        ("hyperparameters.tracker", ("", "https://ada:hunter2@tracker")),
        ("arguments", ("['--db', 'postgres://ada:hunter2@db']", "")),
        ("arguments", ("['--token', 'hunter2']", "")),
    ],
)
def test_a_secret_is_known_by_its_name_or_by_a_password_in_it(field: str, values: tuple[str, str]) -> None:
    assert is_secret_field(field, *values)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("environment.LOG_LEVEL", ("info", "debug")),
        ("environment.MONKEY", ("a", "b")),
        ("hyperparameters.max_tokens", ("100", "200")),
        ("hyperparameters.tokenizer", ("bert", "gpt2")),
        ("hyperparameters.num_round", ("", "1e-3")),
        ("channels.train.source", ("s3://acme/a", "s3://acme/b")),
        ("weight", ("1", "2")),
    ],
)
def test_what_is_no_secret_is_shown(field: str, values: tuple[str, str]) -> None:
    assert not is_secret_field(field, *values)
