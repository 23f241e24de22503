"""Who has signed the commits that are to be applied: SSH signatures, by the file of allowed signers.

Only that file decides. A signature of another kind (OpenPGP, X.509) counts as none, since whom those programs trust is
a matter of keyrings that nobody has named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from sagespec.errors import WorldError
from sagespec.repository.commands import FETCH_SECONDS, GitCommand, GitRefused
from sagespec.state.remote import Signed

Mode = Literal["head", "range", "tag"]

_WORDS = {
    "N": "is not signed",
    "B": "has a bad signature: it is not of what was signed",
    "U": "is signed by {key}, which is not among the signers",
    "X": "is signed with a signature that has expired",
    "Y": "is signed with a key that has expired",
    "R": "is signed with a key that was revoked",
    "E": "has a signature that cannot be checked: it is no SSH signature, or by nobody among the signers",
}


class _Commit(NamedTuple):
    id: str
    state: str
    signer: str
    key: str
    is_merge: bool


@dataclass(frozen=True)
class Signers:
    """file: of whom commits must be signed by, as ssh-keygen has it. merges: of whom merge commits may be, too: the
    forge that makes them."""

    file: Path
    merges: Path | None = None
    mode: Mode = "head"

    def fingerprint(self) -> str:
        """Of what the files say now. WorldError where one cannot be read."""
        digest = hashlib.sha256()
        for file in filter(None, (self.file, self.merges)):
            try:
                digest.update(hashlib.sha256(file.read_bytes()).digest())
            except OSError as error:
                raise WorldError(
                    f"the signers cannot be read: {file}: {error.strerror}",
                    why="without them no commit is known to be good",
                    fix="make the file (docs/pull.md), or correct `verify` in the source",
                ) from error
        return f"sha256:{digest.hexdigest()}"

    def signed(self, git: GitCommand, commit: str, *, since: str = "", tag: str = "") -> Signed:
        """Whether the commit is to be trusted. since: in mode range, the commit after which all must be; '' for the
        commit alone. tag: its name, in mode tag."""
        if self.mode == "tag":
            return self._tag(git, commit, tag)
        span = f"{since}..{commit}" if since and self.mode == "range" else f"{commit}^!"
        found = list(self._commits(git, commit, span, self.file))
        by = found[0].signer if found else ""
        wrong = [one for one in found if one.state != "G"]
        if self.merges and any(one.is_merge for one in wrong):
            by_forge = {one.id: one for one in self._commits(git, commit, span, self.merges) if one.state == "G"}
            wrong = [one for one in wrong if not (one.is_merge and one.id in by_forge)]
            by = by or (by_forge[commit].signer if commit in by_forge else "")
        if wrong:
            first = wrong[-1]
            return Signed(
                problem=_WORDS.get(first.state, _WORDS["E"]).format(key=first.key or "a key"), commit=first.id
            )
        return Signed(by=by, commit=commit)

    def _commits(self, git: GitCommand, commit: str, span: str, signers: Path) -> Iterator[_Commit]:
        """Newest first."""
        words = ("log", "--first-parent", "--format=%H%x1f%G?%x1f%GS%x1f%GK%x1f%P", *_span(span, commit), "--")
        _, text = git(*words, settings=_settings(signers), seconds=FETCH_SECONDS)
        for line in text.splitlines():
            id, state, signer, key, parents = line.split("\x1f")
            yield _Commit(id, state, signer, key, " " in parents)

    def _tag(self, git: GitCommand, commit: str, tag: str) -> Signed:
        try:
            kind = git("cat-file", "-t", f"refs/tags/{tag}")[1].strip()
            if kind != "tag":
                return Signed(
                    problem=f"has the tag {tag}, which is not annotated, so nobody can have signed it", commit=commit
                )
            words = ("for-each-ref", "--format=%(tag)%1f%(*objectname)", f"refs/tags/{tag}")
            own_name, there = git(*words)[1].strip().split("\x1f")
            if there != commit:
                return Signed(problem=f"is not what the tag {tag} names", commit=commit)
            if own_name != tag:  # whoever may push can give a tag another name: the signature is of its own
                return Signed(problem=f"has the tag {tag}, which was signed as {own_name}", commit=commit)
            git("verify-tag", f"refs/tags/{tag}", settings=_settings(self.file))
        except GitRefused as error:
            return Signed(
                problem=f"has the tag {tag}, whose signature is not good: {error.said or 'none'}", commit=commit
            )
        return Signed(by=f"tag {tag}", commit=commit)


def _span(span: str, commit: str) -> tuple[str, ...]:
    """`A^!` of a commit without parents is just it, as --max-count=1 has it for all."""
    return ("--max-count=1", commit) if span.endswith("^!") else (span,)


def _settings(signers: Path) -> dict[str, str]:
    no_program = "/bin/false"
    return {
        "gpg.ssh.allowedSignersFile": str(signers),
        "gpg.program": no_program,
        "gpg.openpgp.program": no_program,
        "gpg.x509.program": no_program,
    }
