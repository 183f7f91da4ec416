import json

import pytest
from xtcocotools.coco import COCO

from mipnet_mmpose.evaluation.ground_truth import check_ground_truth

from ..conftest import person


@pytest.fixture
def warnings_of(tmp_path, log_lines):
    """What the check says of some annotations."""

    def check(annotations, **options):
        path = tmp_path / 'val.json'
        image, category = dict(id=1), dict(id=1, name='person')
        data = dict(images=[image], annotations=annotations, categories=[category])
        path.write_text(json.dumps(data))
        log_lines.clear()
        check_ground_truth(COCO(str(path)), **options)
        return [line.partition('val.json: ')[2] for line in log_lines]

    return check


def people(**changes):
    return [person(i, 1, 0, 0, 40, 60, **changes) for i in range(3)]


def test_nothing_is_said_of_what_stock_evaluates_rightly(warnings_of):
    far = person(7, 1, 0, 0, 9, 9, keypoints=[], num_keypoints=0, area=0)
    box = {key: value for key, value in far.items() if 'keypoints' not in key}
    assert warnings_of([]) == []
    assert warnings_of([*people(), far, dict(box, id=8)]) == []
    assert warnings_of(people(area=0), use_area=False) == []


def test_ids_that_stand_twice_are_an_error(warnings_of):
    with pytest.raises(
        ValueError, match='val.json: 1 ids of annotations .* as 2: give'
    ):
        warnings_of([*people(), person(2, 1, 9, 9, 50, 70)])


def test_category_that_is_not_there_is_counted(warnings_of):
    (line,) = warnings_of([*people(), person(9, 1, 0, 0, 40, 60, category_id=5)])
    assert line.startswith('1 of 4 annotations have a category_id')


def test_persons_without_area_are_counted(warnings_of):
    (line,) = warnings_of([*people(area=0)[:2], people()[2]])
    assert line.startswith('2 of 3 annotations have an area of 0')
    flat = person(9, 1, 0, 0, 0, 60)
    (line,) = warnings_of([*people(), flat], use_area=False)
    assert line.startswith('1 of 4 annotations have a box of 0')
    assert line.endswith('(such as id 9)')
