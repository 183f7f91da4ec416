"""The README and docs/ name files, headings, commands and options that exist."""

import ast
import re

import pytest

from .conftest import REPO

PAGES = [
    REPO / 'README.md',
    REPO / 'SECURITY.md',
    *sorted((REPO / 'docs').glob('*.md')),
]
MMPOSE_TOOLS = [f'tools/{n}' for n in ('train.py', 'test.py', 'dist_train.sh')]
BLOCK = re.compile(r'```.*?```', re.S)
names = pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)


def anchors(text):
    """What GitHub calls the headings of a page."""
    headings = re.findall(r'^#+ (.*)$', BLOCK.sub('', text), re.M)
    return {re.sub(r'[^\w\- ]', '', h.lower()).replace(' ', '-') for h in headings}


def commands(text):
    """The commands of the shell blocks, and those in a line of the text."""
    blocks = re.findall(r'```shell\n(.*?)```', text, re.S)
    lines = [
        line.split('#')[0]
        for block in blocks
        for line in block.replace('\\\n', ' ').splitlines()
    ]
    return lines + re.findall(r'`([^`\n]+)`', BLOCK.sub('', text))


def scripts(command):
    """The scripts of ours that a command runs, each with its arguments."""
    for name, arguments in re.findall(r'^mipnet (\w+)(.*)', command):
        if name != 'config':  # printed by the command itself
            yield REPO / 'tools' / f'{name}.py', arguments
    pattern = r'(?:^|\s)(?:python|bash) ((?:tools|studies)/[\w.]+)(.*)'
    for path, arguments in re.findall(pattern, command):
        yield REPO / path, arguments


@names
def test_relative_links_lead_somewhere(page):
    text = page.read_text()
    links = re.findall(r'\]\(([^)\s]+)\)', BLOCK.sub('', text))
    for link in links:
        if re.match(r'\w+:', link):
            continue
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


@names
def test_commands_name_scripts_and_options_that_exist(page):
    for command in commands(page.read_text()):
        for script, arguments in scripts(command):
            if script.name == 'NAME.py':
                continue
            assert script.is_file(), command
            if script.suffix == '.sh':
                continue
            # of a study in several files, any of them may read the option
            files = [script]
            if script.parent.name == 'studies':
                files = list(script.parent.rglob('*.py'))
            source = ''.join(file.read_text() for file in files)
            arguments = arguments.partition('--cfg-options')[0]
            for option in re.findall(r'(?<=\s)--?[a-z][\w-]*', arguments):
                # compare.py names its two models in a loop
                known = f"'{option}'" in source or "f'--{name}'" in source
                assert known or option == '--help', f'{option}: {command}'


@names
def test_configs_that_are_named_exist(page):
    for name in re.findall(r'mipnet config (td-\S+?)[)`\s]', page.read_text()):
        assert list(REPO.glob(f'configs/*/{name}.py')), name


@names
def test_files_of_the_repository_that_are_named_exist(page):
    pattern = r'(?:tests|tools|studies|configs|requirements)(?:/[\w.\-]+)+'
    for name in re.findall(rf'`({pattern})`', page.read_text()):
        if 'NAME' not in name and name not in MMPOSE_TOOLS:
            assert (REPO / name).exists(), name


def messages():
    """Every text in the code, the values in it left out."""
    files = [*REPO.glob('mipnet_mmpose/**/*.py'), *REPO.glob('tools/*.py')]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [getattr(part, 'value', '') for part in node.values]
                yield '…'.join(part for part in parts if isinstance(part, str))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_errors_in_the_questions_are_those_of_the_code():
    text = (REPO / 'docs' / 'faq.md').read_text().partition('## Errors')[2]
    errors = re.findall(r'^\| `(.+?)` \|', text.partition('## Pass')[0], re.M)
    assert len(errors) > 20
    known = list(messages())
    for error in errors:
        parts = [part for part in error.split('…') if len(part.strip()) > 3]
        assert any(all(part in text for part in parts) for text in known), error


def test_readme_is_short():
    assert len((REPO / 'README.md').read_text().splitlines()) <= 150


def test_every_page_is_linked_from_the_readme():
    linked = re.findall(r'\]\((docs/\w+\.md)', (REPO / 'README.md').read_text())
    from_results = re.findall(
        r'\]\((\w+\.md)', (REPO / 'docs' / 'results.md').read_text()
    )
    reached = {*linked, *(f'docs/{name}' for name in from_results)}
    assert {f'docs/{path.name}' for path in (REPO / 'docs').glob('*.md')} <= reached
