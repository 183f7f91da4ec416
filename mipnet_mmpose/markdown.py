"""Tables in Markdown, and their places in documents."""

import re
from pathlib import Path
from typing import Any, Dict, Iterable, Sequence, Union

ALIGNMENTS = dict(l='---', r='---:')


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], align: str = 'lr'
) -> str:
    """A table, without a line break at its end.

    Args:
        header (Sequence[str]): Titles of the columns.
        rows (Iterable[Sequence]): Cells of each row.
        align (str): ``'l'`` or ``'r'`` for each column; the last letter is that of
            all further columns. Defaults to ``'lr'``.
    """
    align = align.ljust(len(header), align[-1])[: len(header)]
    rules = [ALIGNMENTS[letter] for letter in align]
    return '\n'.join(
        '| ' + ' | '.join(map(str, cells)) + ' |' for cells in (header, rules, *rows)
    )


def fill_tables(document: Union[str, Path], text: str, tables: Dict[str, str]) -> str:
    """The text of a document with its tables replaced.

    The place of a table is between ``<!-- table: TITLE -->`` and ``<!-- end -->``.

    Args:
        document (str | Path): its name, for the error.
        text (str): what it has.
        tables (dict[str, str]): each table by its title.

    Raises:
        ValueError: unless the document has one place for each.
    """
    for title, table in tables.items():
        text, found = re.subn(
            rf'(<!-- table: {re.escape(title)} -->\n).*?(<!-- end -->)',
            lambda match, table=table: f'{match[1]}\n{table}\n\n{match[2]}',
            text,
            flags=re.S,
        )
        if found != 1:
            raise ValueError(f'{document} has {found} places "<!-- table: {title} -->"')
    return text
