"""Requests at a steady rate until told to stop: `python load.py HOST PORT PATH RATE THREADS`, the body on stdin.

Prints one JSON object when its standard input's second line (or its end) arrives: sent, statuses by code,
errors (connection refused, reset, cut short) by text, the longest time between two answers. Nothing is
tried again: every failed request counts.
"""

from __future__ import annotations

import collections
import http.client
import json
import sys
import threading
import time


class Load:
    def __init__(self, host: str, port: int, path: str, body: bytes, rate: float, threads: int) -> None:
        self.target = (host, port, path, body)
        self.pause = threads / rate
        self.statuses: collections.Counter[int] = collections.Counter()
        self.errors: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.send, daemon=True) for _ in range(threads)]

    def send(self) -> None:
        host, port, path, body = self.target
        connection = http.client.HTTPConnection(host, port, timeout=30)
        due = time.monotonic()
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                connection.request("POST", path, body, {"Content-Type": "text/csv"})
                response = connection.getresponse()
                response.read()
                self.statuses[response.status] += 1
            except (OSError, http.client.HTTPException) as error:
                self.errors[f"{type(error).__name__}: {error}"] += 1
                connection.close()
            self.slowest = max(self.slowest, time.monotonic() - begun)
            due += self.pause
            time.sleep(max(0.0, due - time.monotonic()))

    def run(self) -> None:
        begun = time.monotonic()
        for thread in self.threads:
            thread.start()
        sys.stdin.readline()
        self.stop.set()
        for thread in self.threads:
            thread.join()
        sent = sum(self.statuses.values()) + sum(self.errors.values())
        seconds = time.monotonic() - begun
        result = {
            "sent": sent,
            "rate": sent / seconds,
            "statuses": {str(code): count for code, count in self.statuses.items()},
            "errors": dict(self.errors),
            "slowest": self.slowest,
        }
        sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    host, port, path, rate, threads = sys.argv[1:]
    Load(host, int(port), path, sys.stdin.readline().encode(), float(rate), int(threads)).run()
