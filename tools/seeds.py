"""Write docs/seeds.md from docs/seeds.yaml: `python tools/seeds.py`."""

from __future__ import annotations

from pathlib import Path

import yaml

DOCS = Path(__file__).parent.parent / "docs"
HEAD = """\
# What the seed documents say about Dapr, and what is true

This applies to Dapr 1.18.2. S0 to S4 are the documents, with line numbers. Each row names the test
that proves it. Rows that would need a cluster or the Dapr CLI name the source code instead. This
page is rendered from `seeds.yaml` by `python tools/seeds.py`.
"""


def render() -> str:
    """The whole document."""
    parts = [HEAD]
    for title, rows in yaml.safe_load((DOCS / "seeds.yaml").read_text()).items():
        parts.append(f"\n## {title}\n\n| where | it says | verdict | what is true | shown by |")
        parts.append("|---|---|---|---|---|")
        parts += [_row(row) for row in rows]
    return "\n".join(parts) + "\n"


def _row(row: dict[str, str]) -> str:
    cells = [row["where"], row["says"], row["verdict"], row["truth"], f"`{row['shown']}`"]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    (DOCS / "seeds.md").write_text(render())
