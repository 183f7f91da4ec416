"""README and docs/ name files and commands that exist."""

import re

import pytest

from .conftest import REPO

PAGES = [REPO / 'README.md', *sorted((REPO / 'docs').glob('*.md'))]
BLOCK = re.compile(r'```.*?```', re.S)
names = pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)


def anchors(text):
    """What GitHub calls the headings of a page."""
    headings = re.findall(r'^#+ (.*)$', BLOCK.sub('', text), re.M)
    return {re.sub(r'[^\w\- ]', '', h.lower()).replace(' ', '-') for h in headings}


@names
def test_relative_links_lead_somewhere(page):
    links = re.findall(r'\]\(([^)\s]+)\)', BLOCK.sub('', page.read_text()))
    for link in links:
        if not re.match(r'\w+:', link):
            path, _, anchor = link.partition('#')
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text()), link


@names
def test_commands_and_configs_exist(page):
    text = page.read_text()
    for name in re.findall(r'(?:^|`|\$\()mipnet ([a-z]\w+)', text, re.M):
        assert name == 'config' or (REPO / 'tools' / f'{name}.py').is_file(), name
    for name in re.findall(r'(?:python|bash) ((?:tools|studies)/[\w.]+)', text):
        assert (REPO / name).exists(), name
    for name in re.findall(r'mipnet config (td-[\w.-]+)', text):
        assert list(REPO.glob(f'configs/*/{name}.py')), name
