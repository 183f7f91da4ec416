"""Several processes give the numbers of one, with and without padding."""

import json

import pytest
import torch
import torch.distributed as dist

from ..conftest import person
from . import test_multi_instance_coco_metric as coco
from . import test_primary_instance_metric as primary

PEOPLE = 11


def samples_of(name):
    if name == 'primary':
        return primary.box_samples(num=PEOPLE)
    people = [person(i, i // 3, 9 * i, 20, 60, 50) for i in range(PEOPLE)]
    return coco.noisy(people, 2)


def evaluate(name, samples):
    if name == 'coco':
        return coco.evaluate(samples, size=PEOPLE, per_lambda=True)
    metric = primary.primary(dict(type='EPE'))
    return primary.evaluate(metric, samples, size=PEOPLE)


def evaluate_rank(name, rank, world_size, folder, padded):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/init', rank=rank, world_size=world_size
    )
    samples = samples_of(name)
    if padded:  # as DefaultSampler(round_up=True)
        samples += samples[: -PEOPLE % world_size]
    result = evaluate(name, samples[rank::world_size])
    (folder / f'{rank}.json').write_text(json.dumps(result, default=float))


@pytest.mark.parametrize(
    ('name', 'world_size', 'padded'),
    [('coco', 2, True), ('coco', 4, False), ('primary', 2, True)],
)
def test_several_processes_give_the_result_of_one(name, world_size, padded, tmp_path):
    context = torch.multiprocessing.get_context('fork')
    ranks = [
        context.Process(
            target=evaluate_rank, args=(name, rank, world_size, tmp_path, padded)
        )
        for rank in range(world_size)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    expected = evaluate(name, samples_of(name))
    assert len(expected) == (30 if name == 'coco' else 1)
    for rank in range(world_size):
        result = json.loads((tmp_path / f'{rank}.json').read_text())
        assert result == pytest.approx(expected)
