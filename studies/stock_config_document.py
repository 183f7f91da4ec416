"""docs/coverage.md: which stock configs become a MIPNet."""

from collections import defaultdict

import mmpose

from mipnet_mmpose.markdown import markdown_table
from mipnet_mmpose.mipnetify.places import MIMB_PLACES


def grouped(results, key):
    groups = defaultdict(list)
    for result in results:
        values = result.get(key, '-')
        for value in values if isinstance(values, list) else [values]:
            groups[value].append(result)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def count_passed(group):
    return sum(result['status'] == 'passed' for result in group)


def span(values, form):
    if not values:
        return '-'
    low, high = (format(f(values), form) for f in (min, max))
    return low if low == high else f'{low} … {high}'


def family_rows(results):
    for family, group in grouped(results, 'family'):
        cost = [r['backbone']['cost']['ratio'] for r in group if 'backbone' in r]
        off = [
            r[where]['lambda0']
            for r in group
            for where in ('neck', 'backbone')
            if 'lambda0' in r.get(where, {})
        ]
        worst = f'{max(off):.1e}' if off else '-'
        yield family, len(group), count_passed(group), span(cost, '.2f'), worst


DOCUMENT = """\
# Which stock configs become a MIPNet

`mipnet mipnetify` was tried on every 2D config of MMPose {version} with a
`TopdownPoseEstimator`. `python studies/stock_configs.py --help` lists the checks. The
networks are not trained, and the people are generated. A config that passes can train
and give poses. This says nothing about its accuracy.

```shell
python studies/stock_configs.py --doc docs/coverage.md  # 1 to 2 hours; resumes
```

**{passed} of {tried} configs pass ({percent:.1f} %).** The longest of the written
configs has {lines} lines.

{learnt}## By backbone

- *multiply-adds*: MIPNet (N = 2, `--where backbone`) / stock model, least and most.
- *λ = 0*: the largest difference from the stock model's output after a warm start with
  `--init identity`, over its largest value.

{families}

{groups}
## What does not pass

{others}
## Default places of `--where backbone`

{{1/2}} is the submodule half-way down.

{places}
"""


LEARNT = '## The second person is learnt\n'


def learnt_section(path):
    """What people have written into the document under this title."""
    text = path.read_text() if path.is_file() else ''
    rest = text.partition(LEARNT)[2]
    return LEARNT + rest.partition('\n## ')[0] + '\n' if rest else ''


def document(results, learnt=''):
    """docs/coverage.md."""
    tried = [r for r in results if r['status'] != 'refused']
    groups = ''
    for key, title in (
        ('neck_type', 'neck'),
        ('head', 'head'),
        ('codec', 'codec'),
        ('datasets', 'training dataset'),
        ('metrics', 'metric'),
    ):
        rows = [(name, len(g), count_passed(g)) for name, g in grouped(tried, key)]
        groups += (
            f'## By {title}\n\n{markdown_table([title, "configs", "pass"], rows)}\n\n'
        )
    others = ''
    for title, status in (
        ('Fail', 'failed'),
        ('Fail in MMPose itself', 'failed in MMPose'),
        ('Refused by the tool', 'refused'),
    ):
        by_reason = defaultdict(list)
        for result in results:
            if result['status'] == status:
                by_reason[result['reason']].append(result['config'])
        others += f'{title}: {sum(map(len, by_reason.values()))}.\n\n'
        for reason, configs in by_reason.items():
            others += f'- {reason}\n' + ''.join(f'  - `{name}`\n' for name in configs)
        others += '\n' * bool(by_reason)
    places = [(f, ', '.join(f'`{p}`' for p in ps)) for f, ps in MIMB_PLACES.items()]
    passed = count_passed(tried)
    return DOCUMENT.format(
        version=mmpose.__version__,
        passed=passed,
        tried=len(tried),
        percent=100 * passed / len(tried),
        lines=max(
            r[where]['lines'] for r in tried for where in r['wheres'] if where in r
        ),
        families=markdown_table(
            ['backbone', 'configs', 'pass', 'multiply-adds', 'λ = 0'],
            family_rows(tried),
        ),
        groups=groups,
        learnt=learnt,
        others=others,
        places=markdown_table(['backbone', 'places'], places, 'l'),
    )
