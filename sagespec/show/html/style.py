"""The style of all pieces, under one class, so that it touches nothing else on the page.

It follows the theme of what is round it where that says which it is (JupyterLab, VS Code), and the reader's own choice
elsewhere. Where a page takes styles away, tables, words and drawings in the colour of the text are left.
"""

from __future__ import annotations

_COLOURS = {  # name: in light, in dark
    "text": ("#1f2328", "#e6edf3"),
    "back": ("#ffffff", "#0d1117"),
    "line": ("#d1d9e0", "#3d444d"),
    "dim": ("#59636e", "#9198a1"),
    "good": ("#1a7f37", "#3fb950"),
    "change": ("#9a6700", "#d29922"),
    "bad": ("#cf222e", "#ff7b72"),
    "name": ("#0969da", "#58a6ff"),
    "pen0": ("#0969da", "#58a6ff"),
    "pen1": ("#bc4c00", "#f0883e"),
    "pen2": ("#1a7f37", "#3fb950"),
    "pen3": ("#8250df", "#bc8cff"),
    "pen4": ("#bf3989", "#f778ba"),
    "pen5": ("#1b7c83", "#39c5cf"),
}
_LIGHT_THEMES = ("[data-jp-theme-light=true]", ".vscode-light", ".vscode-high-contrast-light")
_DARK_THEMES = ("[data-jp-theme-light=false]", ".vscode-dark", ".vscode-high-contrast:not(.vscode-high-contrast-light)")
_GROUND = frozenset({"text", "back", "line"})


def _rules() -> str:
    root = "div.sagespec"
    values = "".join(f"--{name}:light-dark({light},{dark});" for name, (light, dark) in _COLOURS.items())
    tones = "".join(f"{root} .{name}{{color:var(--{name})}}" for name in _COLOURS if name not in _GROUND)
    return "".join(
        [
            f"{root}{{color-scheme:light dark;{values}color:var(--text);background:var(--back);",
            "font:13px/1.45 system-ui,sans-serif;padding:8px 10px;max-width:72em;overflow-x:auto}",
            *(f"{theme} {root}{{color-scheme:light}}" for theme in _LIGHT_THEMES),
            *(f"{theme} {root}{{color-scheme:dark}}" for theme in _DARK_THEMES),
            tones,
            f"{root} .bold{{font-weight:600}}",
            f"{root} p{{margin:4px 0}}",
            f"{root} h4{{font-size:13px;margin:10px 0 2px}}{root} h4 .dim{{font-weight:400}}",
            f"{root} table.rows{{border-collapse:collapse;margin:4px 0;border:0;font-size:inherit;table-layout:auto;",
            "font-variant-numeric:tabular-nums}",
            f"{root} table.rows tbody tr{{background:none}}",
            f"{root} table.rows th,{root} table.rows td{{text-align:left;vertical-align:top;padding:2px 14px 2px 0;",
            "border:0;white-space:normal;max-width:48em;overflow-wrap:break-word}",
            f"{root} table.rows th{{color:var(--dim);font-weight:500;border-bottom:1px solid var(--line);",
            "overflow-wrap:normal}",
            f"{root} table.rows .n{{text-align:right}}",
            f"{root} ul.problems{{list-style:none;margin:4px 0;padding:0}}",
            f"{root} ul.problems>li{{border-left:3px solid var(--bad);padding:0 0 0 8px;margin:6px 0}}",
            f"{root} pre,{root} code{{font-family:ui-monospace,monospace;font-size:12px;background:none;color:inherit;",
            "padding:0;margin:2px 0;white-space:pre-wrap;overflow-wrap:anywhere;border:0}",
            f"{root} svg{{display:block;max-width:100%;height:auto;margin:4px 0}}",
            f"{root} svg text{{font-family:system-ui,sans-serif}}",
            f"{root} svg .axis{{fill:var(--dim)}}",
            f"{root} svg .grid{{stroke:var(--line)}}",
            f"{root} svg .label{{fill:var(--back)}}",
            f"{root} details>summary{{cursor:pointer;color:var(--dim)}}",
            f"{root} .legend{{white-space:pre-wrap}}",
        ]
    )


STYLE = _rules()
