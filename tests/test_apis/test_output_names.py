"""Two images never write one file."""

import pytest

from mipnet_mmpose.apis.output_names import picture_names, prediction_names


@pytest.mark.parametrize(
    ('paths', 'pictures', 'predictions'),
    [
        (['a/1.jpg', 'a/2.jpg'], ['1.jpg', '2.jpg'], ['1.json', '2.json']),
        (['a/1.jpg', 'a/1.png'], ['1.jpg', '1.png'], ['1.jpg.json', '1.png.json']),
        (
            ['a/1.jpg', 'b/1.jpg', 'b/2.jpg'],
            ['a_1.jpg', 'b_1.jpg', '2.jpg'],
            ['a_1.json', 'b_1.json', '2.json'],
        ),
        (['x/a/1.jpg', 'y/a/1.jpg'], ['x_a_1.jpg', 'y_a_1.jpg'], None),
        (['1.jpg', '1.jpg'], ['1_0.jpg', '1_1.jpg'], None),
        (['a/1.jpg', 'a/1.JPG'], None, None),
        (['b/a_1.jpg', 'a/1.jpg', 'b/1.jpg'], None, None),
    ],
)
def test_mmposes_name_where_it_is_unique(paths, pictures, predictions):
    found = picture_names(paths)
    written = prediction_names(found)
    assert pictures is None or found == pictures
    assert predictions is None or written == predictions
    for names in (found, written):
        assert len({name.casefold() for name in names}) == len(paths)
