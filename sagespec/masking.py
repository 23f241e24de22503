"""What this process knows to be secret, and how texts leave it: with *** in the secret's place.

`secrets` says what is secret as soon as it has read it. Problems and events mask their own texts, so whatever shows or
keeps them has no secret to keep to itself.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from urllib.parse import quote, quote_plus

HIDDEN = "***"
SHORTEST = 6  # what is shorter would be found in words that are none


class Masks:
    """The secrets known so far, in the forms in which texts may hold them. Safe to use from several threads."""

    def __init__(self) -> None:
        self._forms = frozenset[str]()
        self._pattern: re.Pattern[str] | None = None
        self._adding = threading.Lock()

    def hide(self, secret: str) -> bool:
        """Mask it from here on; whether that is new."""
        with self._adding:
            forms = self._forms | forms_of(secret)
            if forms == self._forms:
                return False
            longest_first = sorted(forms, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
            self._forms = forms
            return True

    def masked(self, text: str) -> str:
        pattern = self._pattern
        return pattern.sub(HIDDEN, text) if pattern else text


def forms_of(secret: str) -> frozenset[str]:
    """As it is, each of its lines, and as URLs, JSON, reprs and base64 have it.

    >>> sorted(forms_of("p@ss word"))
    ['cEBzcyB3b3Jk', 'p%40ss%20word', 'p%40ss+word', 'p@ss word']
    """
    plain = {part for part in (secret, secret.strip(), *secret.splitlines()) if len(part) >= SHORTEST}
    found = set(plain)
    for text in plain:
        found |= {quote(text, safe=""), quote(text), quote_plus(text), json.dumps(text)[1:-1], repr(text)[1:-1]}
        found |= {json.dumps(text, ensure_ascii=False)[1:-1]}
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(text.encode(errors="surrogateescape")).decode().rstrip("="))
    return frozenset(form for form in found if len(form) >= SHORTEST)


_MASKS = Masks()
hide, masked = _MASKS.hide, _MASKS.masked
