"""The command line: reads arguments, calls `Project`, shows what came of it, ends with an exit code.

`main` is the entry point. Commands by purpose: `specs`, `planning`, `applying`, `looking`, `asking`,
`undoing`, `machine`.
"""
