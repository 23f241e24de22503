def counts(plan: Plan) -> dict[str, int]:
    """How many actions of each kind, and how many addresses are unchanged and refused."""
    counted = Counter(VERBS[action.verb][1] for action in plan.actions)
    refused = len({problem.about for problem in plan.refused})
    return {word: counted[word] for word in _COUNTED} | {"unchanged": len(plan.unchanged), "refused": refused}


def counts_text(plan: Plan) -> str:
    """'3 to start, 1 to route; 4 unchanged; 1 refused'."""
    return verbs_text(Counter(action.verb for action in plan.actions), counts(plan))


def verbs_text(verbs: Counter[str], others: Mapping[str, int]) -> str:
    counted: Counter[str] = Counter()
    for verb, count in verbs.items():
        counted[VERBS.get(verb, ("", ""))[1]] += count
    words = [word for word in _COUNTED if counted[word] and (word != "record" or len(verbs) == 1)]
    todo = ", ".join(f"{counted[word]} to {word}" for word in words) or (
        counted(sum(verbs.values()), "action") if verbs else "nothing to do"
    )
    return "; ".join([todo, *(f"{others[word]} {word}" for word in ("unchanged", "refused") if others.get(word))])


def write_plan(screen: Screen, plan: Plan, *, runtime: str, title: str = "plan") -> None:
    """The plan as a list with causes, what is refused, notes, and the counts last (first in Markdown)."""
    plan = masked(plan)
    if screen.format == "json":
        return screen.document(plan.as_json() | {"counts": counts(plan), "runtime": runtime})
    annotate(screen, plan.refused)
    if screen.format == "markdown":
        return screen.line(plan_markdown(plan, title))
    screen.line((runtime, "dim"))
    if plan.actions:
        screen.line()
        screen.table([_action_row(action) for action in plan.actions], indent="  ")
    write_refused_and_notes(screen, plan.refused, plan.notes)
    tone = "bad" if plan.refused else "bold"
    screen.line("\n", (counts_text(plan), tone))
    return None


def _action_row(action: Action) -> list[Cell]:
    return [(action.verb, VERBS[action.verb][0]), str(action.about), (str(action.cause), "dim")]


def write_refused_and_notes(screen: Screen, refused: Sequence[Problem], notes: Sequence[str]) -> None:
    for problem in refused:
        screen.line("\n", ("refused  ", "bad"), *problem_cells(screen, problem))
    if notes:
        screen.line()
    for note in notes:
        screen.line(("note  ", "change"), note)


def plan_markdown(plan: Plan, title: str = "plan", limit: int = MARKDOWN_LIMIT) -> str:
    """The plan for a pull request: counts, refusals, a row for each job and endpoint, all actions folded away.

    Never longer than `limit` characters; what had to be left out is said.
    """
    parts = [f"**sagespec {title}**: {counts_text(plan)}"]
    if plan.refused:
        parts.append(problems_markdown(plan.refused, limit // 3))
    if plan.actions:
        head = "| what | actions | why |\n|---|---|---|\n"
        parts.append(head + shortened(_markdown_rows(plan), limit // 3, "rows"))
        parts.append(folded("every action, in order", plan.text().split("\n"), limit // 5))
    if plan.notes:
        parts.append(shortened([f"- {markdown(note)}" for note in plan.notes], limit // 20, "notes"))
    if plan.unchanged:
        parts.append(folded(f"{len(plan.unchanged)} unchanged", [str(a) for a in plan.unchanged], limit // 20))
    return "\n\n".join(parts)


def _markdown_rows(plan: Plan) -> list[str]:
    by_whole: dict[str, list[Action]] = {}
    for action in plan.actions:
        by_whole.setdefault(str(action.about.whole), []).append(action)
    rows = []
    for whole, actions in by_whole.items():
        verbs = Counter(action.verb for action in actions)
        changes = dict.fromkeys(str(change) for action in actions for change in action.cause.changes)
        why = "; ".join(changes) or str(actions[0].cause)
        rows.append(f"| `{whole}` | {verbs_text(verbs, {})} | {markdown(why)} |")
    return rows


def problems_markdown(problems: Sequence[Problem], limit: int = MARKDOWN_LIMIT) -> str:
    lines = []
    for problem in problems:
        head = " ".join(f"`{part}`" for part in (problem.where, problem.about) if part)
        rest = [f"{label}: {markdown(text)}" for label, text in (("why", problem.why), ("fix", problem.fix)) if text]
        lines.append("- ❌ " + "<br>".join([f"{head} {markdown(problem.what)}".strip(), *rest]))
    return shortened(lines, limit, "problems")


def markdown(text: str) -> str:
    """Words of a user, of no effect in Markdown and in a table."""
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|`*_\[\]@#])", r"\\\1", text).replace("\n", "<br>")


def folded(summary: str, lines: Sequence[str], limit: int) -> str:
    fenced = [clean(line).replace("~~~~", "~ ~ ~ ~") for line in lines]
    return (
        f"<details><summary>{summary}</summary>\n\n~~~~text\n{shortened(fenced, limit, 'lines')}\n~~~~\n\n</details>"
    )


def shortened(lines: Sequence[str], limit: int, unit: str) -> str:
    """As many of the lines as fit, and how many were left out."""
    kept, size = [], 60  # room for the last line
    for line in lines:
        size += len(line) + 1
        if size > limit:
            rest = len(lines) - len(kept)
            return "\n".join([*kept, *(() if unit == "lines" else ("",)), f"… and {rest} more {unit}; see the log"])
        kept.append(line)
    return "\n".join(kept)
