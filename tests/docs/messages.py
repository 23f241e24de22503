"""The messages that the code can print, and whether a text of a page is one of them.

A message of the code is a string, an f-string or a sum of these: constant words with holes between them. A quoted
message is found when one of them, or a part of one, has the same words in the same order, and holes where it differs.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from tests.docs.pages import ROOT

HOLE = "\0"
SHARE_OF_CONSTANT_WORDS = 0.3  # below it, a message that is mostly holes would match anything
ENOUGH_WORDS = 3


@functools.cache
def templates() -> tuple[tuple[str, ...], ...]:
    """The words of every message of the code; a word with a HOLE in it stands for any words."""
    found = {
        tuple(text.split())
        for folder in ("sagespec", "images", ".github")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for text in texts(ast.parse(file.read_text()))
    }
    return tuple(sorted(words for words in found if words))


def texts(tree: ast.Module) -> Iterator[str]:
    """The string expressions of a module, docstrings left out, each with HOLE where a value stands."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner: set[int] = set()
    for node in ast.walk(tree):
        if id(node) in docstrings or id(node) in inner or not isinstance(node, ast.expr):
            continue
        text = text_of(node)
        if text is not None:
            inner |= {id(part) for part in ast.walk(node)} - {id(node)} if isinstance(node, ast.JoinedStr) else set()
            yield from text.split("\n")


def text_of(node: ast.expr) -> str | None:
    """'waits for \\0' of f"waits for {what}"; None for what is no text."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(text_of(value) or HOLE for value in values)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            parts = (text_of(left), text_of(right))
            return None if parts == (None, None) else "".join(HOLE if part is None else part for part in parts)
        case _:
            return None


def is_printed(message: str) -> bool:
    """Whether the code can print a text with these words; '…' stands for any words.

    A message in a hole of another is looked for by itself: 'waits for 3 CPUs: 1 of 4 is free' in two parts.
    """
    words = message.split()
    while words and words[0] == "…":
        words.pop(0)
    while words and words[-1] == "…":
        words.pop()
    enough = max(min(ENOUGH_WORDS, (len(words) + 1) // 2), SHARE_OF_CONSTANT_WORDS * len(words))
    if any(same_words(words, template) >= enough for template in templates_with(frozenset(words), enough)):
        return True
    cuts = [index + 1 for index, word in enumerate(words[:-1]) if word[-1] in ":;,"]
    return any(is_printed(" ".join(words[:cut])) and is_printed(" ".join(words[cut:])) for cut in cuts)


def templates_with(words: frozenset[str], enough: float) -> Iterator[tuple[str, ...]]:
    """The templates that share enough words to be worth a closer look."""
    bare = {bare_word(word) for word in words}
    for template in templates():
        if sum(bare_word(word) in bare for word in template) >= enough:
            yield template


def bare_word(word: str) -> str:
    return word.strip('`.,:;()"')


def same_words(words: list[str], template: tuple[str, ...]) -> float:
    """How many of the words are constant in the template, when they are a part of it; else minus infinity."""
    never = float("-inf")
    # best[i]: of the words so far, how many are constant, when the last of them was matched by template[i].
    best: list[float] = [0.0] * len(template)
    for position, word in enumerate(words):
        reached = [never] * len(template)
        for index, constant in enumerate(template):
            if word == "…":  # any words, so whatever is matched already, and all behind it
                reached[index] = max(best[: index + 1])
                continue
            before = _before(best, template, index) if position else 0.0
            if HOLE in constant:
                reached[index] = before
            elif bare_word(constant) == bare_word(word):
                reached[index] = before + 1
        best = reached
    return max(best, default=never)


def _before(best: list[float], template: tuple[str, ...], index: int) -> float:
    """The best that can stand in front of template[index]: a hole takes several words, one, or none."""
    candidates = [best[index - 1]] if index else []
    if HOLE in template[index]:
        candidates.append(best[index])
    if index > 1 and template[index - 1] == HOLE:
        candidates.append(best[index - 2])
    return max(candidates, default=float("-inf"))
