"""Write docs/dapr-facts.md from docs/dapr-facts.yaml: `python tools/dapr_facts.py`."""

from __future__ import annotations

from pathlib import Path

import yaml

DOCS = Path(__file__).parent.parent / "docs"
HEAD = """\
# Dapr facts, tested

Claims about Dapr that are often read or guessed, and what Dapr 1.18.2 does. Each row names the test
that proves it. Rows that would need a cluster or the Dapr CLI name the source code instead.

This page is rendered from `dapr-facts.yaml` by `python tools/dapr_facts.py`.
"""

VERDICTS = {"ok": "true", "note": "not quite", "alias": "old name", "wrong": "false"}


def render() -> str:
    """The whole document."""
    parts = [HEAD]
    for title, rows in yaml.safe_load((DOCS / "dapr-facts.yaml").read_text()).items():
        parts.append(f"\n## {title}\n\n| claim | is | what Dapr does | shown by |")
        parts.append("|---|---|---|---|")
        parts += [_row(row) for row in rows]
    return "\n".join(parts) + "\n"


def _row(row: dict[str, str]) -> str:
    cells = [row["says"], VERDICTS[row["verdict"]], row["truth"], f"`{row['shown']}`"]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    (DOCS / "dapr-facts.md").write_text(render())
