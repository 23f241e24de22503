def write_validated(screen: Screen, *, jobs: int, endpoints: int, files: Sequence[str], notes: Sequence[str]) -> None:
    """What `validate` found well."""
    if screen.format == "json":
        return screen.document(
            {"ok": True, "jobs": jobs, "endpoints": endpoints, "files": list(files), "notes": list(notes)}
        )
    found = f"{counted(jobs, 'job')} and {counted(endpoints, 'endpoint')} in {counted(len(files), 'file')}"
    screen.line(("valid", "good"), f": {found}")
    for note in notes:
        screen.line(("note  ", "change"), note)
    return None


def write_checks(screen: Screen, checks: Sequence[Check]) -> None:
    """What `doctor` looked at, with how to mend what is not well."""
    bad = [check for check in checks if not check.ok]
    if screen.format == "json":
        rows = [{"name": c.name, "ok": c.ok, "detail": c.detail, "fix": "" if c.ok else c.fix} for c in checks]
        return screen.document({"ok": not bad, "checks": rows})
    marks = "✓✗" if can_write(screen.out, "✓✗") else "+x"
    rows_: list[list[Cell]] = []
    for check in checks:
        mark: Cell = (marks[0], "good") if check.ok else (marks[1], "bad")
        fix = f"\nfix  {check.fix}" if check.fix and not check.ok else ""
        rows_.append([mark, check.name, check.detail + fix])
    screen.table(rows_)
    screen.line("\n", (f"{len(bad)} of {len(checks)} not well", "bad") if bad else ("all is well", "good"))
    return None


def write_images(screen: Screen, images: Sequence[ImageInfo]) -> None:
    """The built-in images, and whether the engine has them."""
    if screen.format == "json":
        rows = [{"name": i.name, "reference": i.reference, "digest": i.digest, "size": i.size} for i in images]
        return screen.document({"images": rows})
    rows_ = [
        [image.name, image.reference, image.digest[:19] or ("not built", "change"), size_text(image.size)]
        if image.size or image.digest
        else [image.name, image.reference, ("not built", "change"), "-"]
        for image in images
    ]
    return screen.table(rows_, head=("IMAGE", "REFERENCE", "DIGEST", "SIZE"))


def write_split(screen: Screen, counted: Mapping[str, Sequence[float]], failed: Mapping[str, int]) -> None:
    """How the answers of repeated calls spread over the variants. counted: milliseconds by variant."""
    total = sum(len(times) for times in counted.values())
    rows: list[list[Cell]] = []
    for variant, times in sorted(counted.items()):
        ordered = sorted(times)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        cells: list[Cell] = [variant or "(none)", f"{len(times):,}", percent_text(len(times) / total)]
        cells += [(f"{failed.get(variant, 0):,}", "bad" if failed.get(variant) else "")]
        rows.append([*cells, milliseconds_text(ordered[len(ordered) // 2]), milliseconds_text(p99)])
    screen.table(rows, head=("VARIANT", "ANSWERS", "SHARE", "ERRORS", "P50", "P99"))
