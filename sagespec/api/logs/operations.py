"""The operations of CloudWatch Logs that clients of SageMaker use to show what jobs and endpoints print."""

from __future__ import annotations

import heapq
import re
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sagespec.api.errors import ApiError
from sagespec.api.logs.book import is_active
from sagespec.api.logs.filters import matcher
from sagespec.api.logs.reading import EVENT_BYTES, MOST_BYTES, MOST_EVENTS, Asked, Found, read
from sagespec.api.logs.spool import Line
from sagespec.api.logs.streams import Stream, groups, stream_named, streams
from sagespec.api.service import Operation, Request, Result, Service

HOLD_SECONDS = 10.0
HOLD_SECONDS_OF_MANY = 3.0  # its clients read one host after the other, and show the lines of all in order
_LOOK_SECONDS = 0.5
_MOST_STREAMS = 50  # of one answer


def describe_log_groups(service: Service, request: Request) -> Result:
    prefix, part = request.get("logGroupNamePrefix", ""), request.get("logGroupNamePattern", "")
    found = [name for name in groups(service) if name.startswith(prefix) and part.lower() in name.lower()]
    page, token = _page(found, request, _MOST_STREAMS)
    return {"logGroups": [{"logGroupName": name, "arn": _arn(service, name)} for name in page], "nextToken": token}


def describe_log_streams(service: Service, request: Request) -> Result:
    group = _group(request)
    found = [
        (stream, stream.log(service)) for stream in streams(service, group, request.get("logStreamNamePrefix", ""))
    ]
    if request.get("orderBy") == "LastEventTime":
        found.sort(key=lambda one: one[1].last_at or 0)
    if request.get("descending"):
        found.reverse()
    page, token = _page(found, request, _MOST_STREAMS)
    told = [
        {
            "logStreamName": stream.name,
            "creationTime": int(stream.created_at * 1000),
            "firstEventTimestamp": log.first_at,
            "lastEventTimestamp": log.last_at,
            "lastIngestionTime": log.last_at,
            "arn": f"{_arn(service, group)}:log-stream:{stream.name}",
            "storedBytes": 0,
        }
        for stream, log in page
    ]
    return {"logStreams": told, "nextToken": token}


def get_log_events(service: Service, request: Request) -> Result:
    stream = stream_named(service, _group(request), request["logStreamName"])
    return _told(read(stream.log(service), _asked(request)))


def wait_for_log_events(service: Service, request: Request) -> Result:
    """The same for a client that sleeps for long when it has read all there is: it waits here for the next lines."""
    stream = stream_named(service, _group(request), request["logStreamName"])
    return _told(_awaited(service, stream, _asked(request)))


def waits_for_lines(user_agent: str, request: Request) -> bool:
    """Whether SDK 2 asks for the log of a job: it sleeps for ten seconds when it has read all there is.

    Its User-Agent does not say so here. But only it reads on from a time, from the head and without a limit; SDK 3,
    which asks every five seconds, names no time.
    """
    told = {"startTime", "startFromHead"}
    is_sdk = "Boto3/" in user_agent and told <= request.keys() and not request.keys() & {"endTime", "limit"}
    return is_sdk and bool(request["startFromHead"])


def _asked(request: Request) -> Asked:
    return Asked(
        since=request.get("startTime", 0),
        until=request.get("endTime"),
        limit=request.get("limit", MOST_EVENTS),
        from_head=request.get("startFromHead", False),
        token=request.get("nextToken"),
    )


def _told(found: Found) -> Result:
    events = [{"timestamp": line.at, "message": line.text, "ingestionTime": line.at} for line in found.lines]
    return {"events": events, "nextForwardToken": found.forward, "nextBackwardToken": found.backward}


def _awaited(service: Service, stream: Stream, asked: Asked) -> Found:
    """The next lines, or none when there are none for long, or there will be none."""
    job = stream.job
    end = time.monotonic() + (HOLD_SECONDS if job and job.hosts == 1 else HOLD_SECONDS_OF_MANY)
    while True:
        log = stream.log(service)
        found = read(log, asked)
        is_over = time.monotonic() >= end or service.books.ending.is_set()
        if found.lines or is_over or job is None or service.books.log(job, stream.host).is_whole:
            return found
        if not is_active(service.snapshots.status(1.0), job.address):
            return read(stream.log(service), asked)
        service.books.log(job, stream.host).spool.wait(len(log), _LOOK_SECONDS)


def filter_log_events(service: Service, request: Request) -> Result:
    if request.get("logStreamNamePrefix") and request.get("logStreamNames"):
        raise ApiError("InvalidParameterException", "logStreamNames and logStreamNamePrefix exclude each other")
    group, names = _group(request), request.get("logStreamNames")
    found = streams(service, group, request.get("logStreamNamePrefix", ""))
    found = [stream for stream in found if names is None or stream.name in names]
    since, seen = _position(request.get("nextToken"))
    since = max(since, request.get("startTime", 0))
    events = _events(service, found, since, request.get("endTime"))
    matches = matcher(request.get("filterPattern", ""))
    page, at, size, token = list[dict[str, Any]](), since, 0, None
    for stream, line in islice(events, seen, None):
        at, seen = (line.at, 0) if line.at != at else (at, seen)
        size += len(line.text) + EVENT_BYTES
        if len(page) >= min(request.get("limit", MOST_EVENTS), MOST_EVENTS) or (page and size > MOST_BYTES):
            token = f"{at}/{seen}"
            break
        seen += 1
        if matches(line.text):
            page.append(_event(stream, line))
    searched = [{"logStreamName": stream.name, "searchedCompletely": token is None} for stream in found]
    return {"events": page, "searchedLogStreams": searched, "nextToken": token}


def _events(service: Service, found: Sequence[Stream], since: int, until: int | None) -> Iterator[tuple[Stream, Line]]:
    """The lines of all streams in the order of time."""

    def of(stream: Stream) -> Iterator[tuple[int, str, int, Stream, Line]]:
        log = stream.log(service)
        end = len(log) if until is None else log.number_at(until)
        for line in log.lines(log.number_at(since), end):
            yield line.at, stream.name, line.number, stream, line

    for _, _, _, stream, line in heapq.merge(*map(of, found), key=lambda one: one[:3]):
        yield stream, line


def _event(stream: Stream, line: Line) -> dict[str, Any]:
    return {
        "logStreamName": stream.name,
        "timestamp": line.at,
        "message": line.text,
        "ingestionTime": line.at,
        "eventId": f"{line.at:020d}{zlib.crc32(stream.name.encode()):016d}{line.number:020d}",
    }


def _position(token: str | None) -> tuple[int, int]:
    """The time from which to continue, and how many lines of that time were given already."""
    if token is None:
        return 0, 0
    if found := re.fullmatch(r"([0-9]{1,18})/([0-9]{1,18})", token):
        return int(found[1]), int(found[2])
    raise ApiError("InvalidParameterException", "The specified nextToken is invalid.")


def _group(request: Request) -> str:
    """Named, or by the ARN that an answer of ours gave it."""
    name = request.get("logGroupName") or request.get("logGroupIdentifier", "").rpartition("log-group:")[2]
    if not name:
        raise ApiError("InvalidParameterException", "logGroupName is missing")
    return str(name).removesuffix(":*")


def _arn(service: Service, group: str) -> str:
    return f"arn:aws:logs:{service.region}:{service.account}:log-group:{group}"


def _page(found: Sequence[Any], request: Request, most: int) -> tuple[Sequence[Any], str | None]:
    """The part that is asked for, and the token of the next part, if there is one."""
    token = request.get("nextToken", "0")
    if not re.fullmatch(r"[0-9]{1,9}", token):
        raise ApiError("InvalidParameterException", "The specified nextToken is invalid.")
    begin = int(token)
    end = begin + min(request.get("limit", most), most)
    return found[begin:end], str(end) if end < len(found) else None


LOGS: Mapping[str, Operation] = {
    "DescribeLogGroups": describe_log_groups,
    "DescribeLogStreams": describe_log_streams,
    "GetLogEvents": get_log_events,
    "FilterLogEvents": filter_log_events,
}
