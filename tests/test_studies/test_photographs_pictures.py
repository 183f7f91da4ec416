"""Which pairs of the photographs are drawn."""

import json

import numpy as np

from ..conftest import load_tool, person

pictures = load_tool('photographs_pictures')


def test_close_pairs_once_an_image_from_least_to_most_overlap(tmp_path):
    people = []
    for image, shift in enumerate((30, 10, 20, 90), 1):  # of the last one, apart
        people += [
            person(2 * image, image, 20, 10, 60, 90),
            person(2 * image + 1, image, 20 + shift, 10, 64, 90),
        ]
    people[1]['num_keypoints'] = 3  # of image 1
    images = [dict(id=i, file_name=f'{i}.jpg') for i in range(1, 5)]
    file = tmp_path / 'a.json'
    file.write_text(json.dumps(dict(images=images, annotations=people)))
    found = pictures.chosen_pairs(file, tmp_path)
    assert [image.name for image, _ in found] == ['3.jpg', '2.jpg']
    for _, (first, second) in found:
        assert np.prod(first['bbox'][2:]) > np.prod(second['bbox'][2:])
