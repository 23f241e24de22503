"""Whether the data of a job is there: one that could never fetch it fails at once, as at AWS, and is not begun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagespec.api.sagemaker.translate.plain import s3_uri
from sagespec.errors import WorldError
from sagespec.parts import Parts
from sagespec.stores.open import open_store
from sagespec.stores.protocol import StoreAway


def missing_data(parts: Parts, request: Mapping[str, Any]) -> str:
    """What is wrong with the first channel whose data is not there; '' for none, or where that cannot be told now."""
    for channel in request.get("InputDataConfig") or ():
        source = s3_uri(channel.get("DataSource", {}).get("S3DataSource", {}).get("S3Uri", ""))
        try:
            if source.startswith("s3://"):
                open_store(source, root=parts.root, create=False)
        except StoreAway:
            return ""
        except WorldError as error:
            problem = error.problems[0]
            said = "; ".join(filter(None, (problem.what, problem.fix)))
            return f"channel {channel['ChannelName']}: {said}"
    return ""
