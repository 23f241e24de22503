"""What `deploy` says of jobs that are none."""

from __future__ import annotations

from typing import Any

import pytest

from sagespec import SpecError, deploy


@pytest.mark.parametrize("jobs", [[], {}, ()])
def test_no_job_at_all_is_refused(jobs: Any) -> None:
    with pytest.raises(SpecError, match="there is no job to serve"):
        deploy(jobs)
