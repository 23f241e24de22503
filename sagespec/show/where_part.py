@dataclass(frozen=True)
class Screen:
    """Where output goes and in which form. `width` is None where lines are not to be wrapped.

    root: the project's folder, to which places in problems are relative. github: inside GitHub Actions.
    """

    format: Format = "text"
    out: IO[str] = field(default_factory=lambda: sys.stdout)
    err: IO[str] = field(default_factory=lambda: sys.stderr)
    colour: bool = False
    live: bool = False
    width: int | None = None
    github: bool = False
    root: Path | None = None

    @classmethod
    def here(cls, form: Format, environment: Mapping[str, str] = os.environ) -> Screen:
        """The screen of this process, by its streams and the environment (NO_COLOR, FORCE_COLOR, CI, TERM)."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a character the terminal lacks is no reason to fail
                stream.reconfigure(errors="backslashreplace")
        in_ci = environment.get("CI", "").lower() not in ("", "0", "false")
        terminal = sys.stdout.isatty() and not in_ci and environment.get("TERM") != "dumb"
        forced = environment.get("FORCE_COLOR", "") not in ("", "0")
        return cls(
            format=form,
            out=sys.stdout,
            err=sys.stderr,
            colour=(terminal or forced) and not environment.get("NO_COLOR"),
            live=terminal and form == "text",
            width=shutil.get_terminal_size().columns if terminal else None,
            github=environment.get("GITHUB_ACTIONS") == "true",
        )

    def paint(self, *cells: Cell) -> str:
        """The cells as one text, with colours where there are some."""
        return "".join(self._painted(cell) for cell in cells)

    def _painted(self, cell: Cell) -> str:
        text, tone = (cell, "") if isinstance(cell, str) else cell
        text = clean(text)
        return f"\x1b[{_TONES[tone]}m{text}\x1b[0m" if self.colour and tone and text else text

    def line(self, *cells: Cell) -> None:
        """One line, or several where a text holds newlines, to standard output."""
        self._write(self.out, self.paint(*cells))

    def aside(self, *cells: Cell) -> None:
        """A line to standard error: not part of what was asked for."""
        self._write(self.err, self.paint(*cells))

    def _write(self, stream: IO[str], text: str) -> None:
        if self.github:
            text = "\n".join(harmless(line) for line in text.split("\n"))
        stream.write(text + "\n")
        stream.flush()

    def table(self, rows: Sequence[Sequence[Cell]], *, head: Sequence[str] = (), indent: str = "") -> None:
        """Rows in aligned columns; on a terminal the last one is wrapped under itself."""
        all_rows: list[Sequence[Cell]] = [*([[(title, "dim") for title in head]] if head else []), *rows]
        texts = [[clean(cell if isinstance(cell, str) else cell[0]) for cell in row] for row in all_rows]
        count = max((len(row) for row in texts), default=0)
        widths = [max((len(row[i]) for row in texts if i < len(row) - 1), default=0) for i in range(count)]
        for row, row_texts in zip(all_rows, texts, strict=True):
            padded = [_with_text(cell, text.ljust(widths[i] + 2)) for i, (cell, text) in enumerate(zip(row, row_texts))]
            start = len(indent) + sum(widths[i] + 2 for i in range(len(row) - 1))
            last = _with_text(row[-1], hanging(row_texts[-1], start, self.width))
            self._write(self.out, self.paint(indent, *padded[:-1], last).rstrip())

    def document(self, value: object) -> None:
        """One JSON document over several lines."""
        self.out.write(json.dumps(value, indent=2) + "\n")
        self.out.flush()

    def record(self, value: object) -> None:
        """One JSON object on a line of its own."""
        self.out.write(json.dumps(value) + "\n")
        self.out.flush()


def _with_text(cell: Cell, text: str) -> Cell:
    return text if isinstance(cell, str) else (text, cell[1])


def hanging(text: str, start: int, width: int | None) -> str:
    """`text` broken so that it stays right of column `start`; as it is where there is no room or no limit."""
    lines = text.split("\n")
    if width is not None and width - start >= 24:
        lines = [part for line in lines for part in textwrap.wrap(line, width - start, break_on_hyphens=False) or [""]]
    return ("\n" + " " * start).join(lines)
