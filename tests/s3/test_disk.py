"""A disk that is full: said in a sentence, and nothing that was there is lost."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.contracts.servers import _running
from tests.s3.conftest import client, code_of

FULL = """
    import resource, sys
    from tests.contracts import our_server
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # as a quota would have it
    our_server.main()
"""


def test_a_full_disk_is_told_once_and_the_object_before_stays(tmp_path: Path) -> None:
    with _running([sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path)]) as (url, _):
        s3 = client(url)
        s3.create_bucket(Bucket="acme")
        s3.put_object(Bucket="acme", Key="a", Body=b"before")

        with pytest.raises(ClientError, match="has no room: what is being written cannot be written") as raised:
            s3.put_object(Bucket="acme", Key="a", Body=b"x" * (3 << 20))

        assert code_of(raised.value) == ("InsufficientStorage", 507)
        assert raised.value.response["ResponseMetadata"]["RetryAttempts"] == 0
        assert s3.get_object(Bucket="acme", Key="a")["Body"].read() == b"before"
        assert list((tmp_path / ".incoming").iterdir()) == []
        s3.put_object(Bucket="acme", Key="a", Body=b"after")
        assert s3.get_object(Bucket="acme", Key="a")["Body"].read() == b"after"
