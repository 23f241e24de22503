"""docs/commands.md says of commands, options, exit codes and words of JSON what the code says; commands can be run."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from sagespec.causes import Reason
from sagespec.cli.given import ANOTHER_PLAN, CHANGES, DONE, FAILED, READER_GONE, STOPPED, WRONG_USAGE
from sagespec.cli.main import sagespec
from sagespec.events import EventKind, Result
from sagespec.state.faults import FaultKind
from sagespec.state.manifest import JobStatus
from sagespec.state.revision import RevisionStatus
from sagespec.verbs.states import EndpointWord, JobWord
from tests.docs.commands import commands
from tests.docs.pages import ROOT, Line, all_lines, lines, rows, section, spans

PAGE = ROOT / "docs" / "commands.md"
TEXT = PAGE.read_text()
COMMON = {"-C", "-f", "--env", "--runtime", "--output", "--debug", "--help", "-h", "--version"}


def options_of(command: click.Command) -> set[str]:
    given = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    return given | {"--help", "-h"}


def words_of(sentence: str) -> set[str]:
    """The words between backticks in the sentence of the page that begins so."""
    begin = r"\s+".join(re.escape(word) for word in sentence.split())
    found = re.search(rf"{begin}(.*?)\.(?:\s|$)", TEXT, re.DOTALL)
    assert found, f"commands.md has no sentence {sentence!r}"
    return set(spans(found[1]))


def test_every_command_has_its_section_and_no_other() -> None:
    headings = re.findall(r"^## sagespec (.+)$", TEXT, re.MULTILINE)
    assert headings == [" ".join(words) for words in commands()]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_section_has_every_option_of_its_command(words: tuple[str, ...]) -> None:
    text = section(PAGE, f"## sagespec {' '.join(words)}")
    named = {word.split()[0] for word in spans(text) if word.startswith("-") and word != "-"}
    listed = {word.split()[0] for row in rows(text) for word in spans(row[0]) if word.startswith("-") and word != "-"}
    own = options_of(commands()[words]) - COMMON
    short_for_long = {short for short in own if re.fullmatch("-[a-zA-Z]", short)}
    assert own - short_for_long <= (named if len(own) == 1 else listed)
    assert listed <= options_of(commands()[words])


def test_the_common_options_are_those_of_every_command() -> None:
    listed = {word.split()[0] for row in rows(section(PAGE, "## Common options")) for word in spans(row[0])}
    assert listed == COMMON
    assert COMMON - {"--version"} - options_of(commands()[("plan",)]) == set()
    assert "--version" in options_of(sagespec)


def invocations() -> list[tuple[Line | str, str]]:
    """The `sagespec …` commands of all pages: lines of code blocks, and code in sentences."""
    found: list[tuple[Line | str, str]] = []
    for line in all_lines():
        if line.code:
            found += [(line, part) for part in re.split(r"\s*(?:\||&&|<\()\s*", line.text) if line.language != "yaml"]
        else:
            found += [(line, span) for span in spans(line.text)]
    return [(line, text.strip().removeprefix("$ ")) for line, text in found if is_command(text.strip())]


def is_command(text: str) -> bool:
    return bool(re.match(r"(?:\$ )?sagespec [-a-z]", text)) and not re.match(r"sagespec \w+ of ", text)


def parse(text: str) -> None:
    """Take a command apart as the program does; a UsageError says what it does not know."""
    words = shlex.split(re.sub(r"\s*(?:>|#|\)$).*", "", text.replace("…", "x")))[1:]
    command: click.Command = sagespec
    context = click.Context(command, info_name="sagespec")
    while isinstance(command, click.Group):
        _, words, _ = command.make_parser(context).parse_args(words)
        if not words:
            return
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, context, info_name=found.name)
    _, left, _ = command.make_parser(context).parse_args(words)
    assert not left, f"{left} is too much"


@pytest.mark.parametrize(("line", "text"), invocations(), ids=[text for _, text in invocations()])
def test_commands_on_the_pages_are_understood(line: Line, text: str) -> None:
    try:
        parse(text)
    except click.UsageError as error:
        pytest.fail(f"{line}: {error.format_message()}")


def test_a_command_with_an_unknown_option_is_seen() -> None:
    with pytest.raises(click.UsageError):
        parse("sagespec plan --frobnicate")
    with pytest.raises(click.UsageError):
        parse("sagespec frobnicate")
    assert len(invocations()) > 50


def test_targets_of_make_on_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        word
        for line in all_lines()
        for text in ([line.text] if line.code else spans(line.text))
        for word in re.findall(r"^\s*make ([a-z-]+)", text)
    }
    assert "demo" in named
    assert named <= targets


def words_in_table(heading: str, head: str) -> set[str]:
    """The words of the first column of the table with this head."""
    table = section(PAGE, heading).partition(f"| {head} |")[2].partition("\n\n")[0]
    return {word for row in rows(f"| {head} |{table}") for word in spans(row[0])}


def test_the_page_has_every_event_reason_and_result() -> None:
    assert words_of("`event` is one of") == {*EventKind, "result"}
    assert words_of("`reason` is one of") == set(Reason)
    assert words_of("The `result` of an outcome is") == set(Result)


def test_the_page_has_every_status_of_the_history() -> None:
    statuses = section(PAGE, "## sagespec history").partition("The status of a revision is")[2]
    of_revisions, _, of_jobs = statuses.partition("; of a job")
    assert set(spans(of_revisions)) == {*RevisionStatus, "superseded"}  # live once: `show` says so of earlier ones
    assert set(spans(of_jobs)) == set(JobStatus)


def test_the_page_has_every_exit_code() -> None:
    codes = {int(row[0]) for row in rows(TEXT.partition("## Common options")[0])}
    assert codes == {DONE, FAILED, CHANGES, WRONG_USAGE, ANOTHER_PLAN, STOPPED, READER_GONE}


def test_the_page_has_every_field_of_json_that_it_shows() -> None:
    """The fields of the documents shown: JSON that stands alone, and `…` for what is left out."""
    shown = {name for line in lines(PAGE) if line.code for name in re.findall(r'"(\w+)":', line.text)}
    files = [*(ROOT / "sagespec").rglob("*.py"), ROOT / "images" / "gateway" / "gateway_access_log.py"]
    known = {text for file in files for text in re.findall(r"\w+", file.read_text())}
    assert shown - known == set()


def test_the_page_of_jobs_has_every_kind_of_fault() -> None:
    kinds = {row[0].strip("`").partition(":")[0] for row in rows(section(ROOT / "docs" / "jobs.md", "## Whose fault"))}
    assert kinds == set(FaultKind) - {FaultKind.OTHER}


def test_the_states_of_jobs_and_endpoints_are_those_of_the_code() -> None:
    text = section(PAGE, "## sagespec status")
    listed = [word for row in rows(text) for word in spans(row[0]) if not word.startswith("-")]
    assert sorted(listed) == sorted([*(word.value for word in JobWord), *(word.value for word in EndpointWord)])
