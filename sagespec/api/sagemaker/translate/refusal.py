"""What cannot be had here, found while a request is translated."""

from __future__ import annotations


class Refused(Exception):
    """The request asks for something that sagespec has not. The text is for the client, with the way out."""
