import pytest

from mipnet_mmpose.markdown import fill_tables, markdown_table


def test_a_table_and_its_alignment():
    rows = [['a', 1, 2.5], ['b', 3, '–']]
    assert markdown_table(['name', 'x', 'y'], rows).splitlines() == [
        '| name | x | y |',
        '| --- | ---: | ---: |',
        '| a | 1 | 2.5 |',
        '| b | 3 | – |',
    ]
    rules = markdown_table(['1', '2', '3', '4'], [], 'llrl').splitlines()[1]
    assert rules == '| --- | --- | ---: | --- |'


def test_tables_come_to_their_places():
    text = 'A\n<!-- table: one (s) -->\nold\n<!-- end -->\nB\n'
    filled = fill_tables('doc.md', text, {'one (s)': '| new |'})
    assert filled == 'A\n<!-- table: one (s) -->\n\n| new |\n\n<!-- end -->\nB\n'
    assert fill_tables('doc.md', filled, {'one (s)': '| new |'}) == filled
    with pytest.raises(ValueError, match='doc.md has 0 places "<!-- table: two -->"'):
        fill_tables('doc.md', text, {'two': ''})
