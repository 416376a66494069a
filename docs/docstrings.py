"""Docstrings of this library, which are plain Markdown with Google's sections, as reStructuredText for Sphinx.

Paragraphs, `code`, *titles*, lists, tables with bars, and formulas or code indented by four after a blank line.
"""

import re
from collections.abc import Iterator

SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Note|Example):$")
TITLE = re.compile(r"(?<![\w*])\*(?=\w)([^*`]*\w[?!]?)\*(?![\w*])")
"""*Emphasis*; any other asterisk is a product or a starred argument."""


def restructured(lines: list[str]) -> list[str]:
    """The lines of one docstring for Sphinx."""
    found: list[str] = []
    section = False
    for paragraph in paragraphs(lines):
        first = paragraph[0]
        if SECTION.match(first):
            section = True
        elif not first.startswith(" "):
            section = False
        if not section and all(line.startswith("    ") for line in paragraph):
            found += ["::", "", *paragraph]
        elif first.lstrip().startswith("|") and len(paragraph) > 2:
            found += table(paragraph)
        else:
            found += [escaped(line) for line in (paragraph if section else hanging(paragraph))]
        found.append("")
    return found


def paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Groups of lines between empty ones."""
    group: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            group.append(line)
        elif group:
            yield group
            group = []


def hanging(paragraph: list[str]) -> list[str]:
    """A paragraph whose lines go on indented, `encode: ...`, as a list of such entries; any other as it is."""
    if (
        paragraph[0].startswith((" ", "-", "*"))
        or SECTION.search(" ".join(paragraph))
        or not any(line.startswith("  ") for line in paragraph[1:])
    ):
        return paragraph
    if any(SECTION.match(line) for line in paragraph):
        return paragraph
    return [f"  {line.strip()}" if line.startswith(" ") else f"- {line}" for line in paragraph]


def table(rows: list[str]) -> list[str]:
    """A table with bars as a list-table; the rule under its head is left out."""
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))] for row in rows]
    body = [row for row in cells if not all(set(cell) <= set("-: ") for cell in row)]
    width = max(map(len, body))
    found = [".. list-table::", "   :header-rows: 1", ""]
    for row in body:
        found += [
            f"   {'* -' if i == 0 else '  -'} {escaped(cell)}" for i, cell in enumerate(row + [""] * (width - len(row)))
        ]
    return found


def escaped(line: str) -> str:
    """A line whose asterisks, bars and trailing underscores are nothing but themselves, outside of code."""
    parts = line.split("`")
    for i in range(0, len(parts), 2):
        text = TITLE.sub("\0\\1\0", parts[i])
        lead = re.match(r" *(?:[*-] )?", text)
        start = lead.end() if lead else 0
        rest = re.sub(r"(?<!\\)([*|])", r"\\\1", text[start:])
        rest = re.sub(r"(?<=\w)_(?!\w)", r"\\_", rest)
        parts[i] = (text[:start] + rest).replace("\0", "*")
    return "`".join(parts)
