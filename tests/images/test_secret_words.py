from __future__ import annotations

import pytest
from toolkit.secret_words import SECRET_NAME, SECRET_VALUE, shown

from sagespec.state import secrets


def test_what_is_secret_is_said_once() -> None:
    assert SECRET_NAME == secrets._SECRET_NAME
    assert SECRET_VALUE == secrets._SECRET_VALUE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["t.py", "--api_token", "hunter2"], "t.py --api_token ***"),
        (["t.py", "--password", "--lr"], "t.py --password ***"),
        (["t.py", "--url", "https://me:pw@host/x"], "t.py --url ***"),
        (["t.py", "--max_tokens", "512", "--tokenizer", "bpe"], "t.py --max_tokens 512 --tokenizer bpe"),
        (["-m", "torch.distributed.run", "--nnodes", "2"], "-m torch.distributed.run --nnodes 2"),
    ],
)
def test_a_secret_is_not_shown(words: list[str], said: str) -> None:
    assert shown(words) == said
