"""InputDataConfig as the channels of a job. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sagespec.api.sagemaker.translate.plain import as_text, s3_uri
from sagespec.api.sagemaker.translate.refusal import Refused

_SHARDED_ALWAYS = ("randomcutforest",)  # it takes nothing else, whatever the number of instances
MODES = {"File": "file", "FastFile": "fastfile", "Pipe": "pipe"}


def channels_of(
    given: Sequence[Mapping[str, Any]], input_mode: str, instances: int, *, algorithm: str = ""
) -> dict[str, Any]:
    """By name; one that says no more than its source is written short. input_mode: the job's, as a spec says it."""
    shards = instances > 1 or algorithm in _SHARDED_ALWAYS
    return {one["ChannelName"]: _channel(one, input_mode, shards=shards) for one in given}


def _channel(given: Mapping[str, Any], job_mode: str, *, shards: bool) -> str | dict[str, Any]:
    source = _s3_source(given)
    mode = MODES.get(given.get("InputMode", ""), job_mode)
    sharded = source.get("S3DataDistributionType") == "ShardedByS3Key" and shards
    found: dict[str, Any] = {"source": as_text(s3_uri(source["S3Uri"]))}
    if given.get("ContentType"):
        found["content_type"] = given["ContentType"]
    if source.get("S3DataType") == "ManifestFile":
        found["data_type"] = "manifest"
    if sharded:
        found["distribution"] = "sharded"
    if mode != job_mode:
        found["input_mode"] = mode
    if mode == "pipe" and given.get("CompressionType") == "Gzip":
        found["compression"] = "gzip"
    if mode == "pipe" and given.get("RecordWrapperType") == "RecordIO":
        found["record_wrapper"] = "recordio"
    if given.get("ShuffleConfig") and (mode == "pipe" or sharded):
        found["shuffle_seed"] = given["ShuffleConfig"]["Seed"]
    return found["source"] if len(found) == 1 else found


def _s3_source(given: Mapping[str, Any]) -> Mapping[str, Any]:
    about = f"channel {given['ChannelName']}"
    source: Mapping[str, Any] | None = given.get("DataSource", {}).get("S3DataSource")
    if source is None:
        raise Refused(f"{about} has no S3DataSource: sagespec reads S3 and this machine's folders, and no file systems")
    if source.get("S3DataType", "S3Prefix") not in ("S3Prefix", "ManifestFile"):
        raise Refused(f"{about}: sagespec has no {source['S3DataType']} yet; it reads S3Prefix and ManifestFile")
    return source
