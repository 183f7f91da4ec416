import numpy as np

from mipnet_mmpose.visualization.grid import GAP, TITLE_HEIGHT, picture_grid


def test_columns_are_filled_one_after_the_other():
    strips = [np.full((10, 80, 3), value, np.uint8) for value in (10, 20, 30)]
    picture = picture_grid(strips, ['left', 'right'])
    assert picture.shape == (TITLE_HEIGHT + 2 * 10, 2 * 80 + GAP, 3)
    below = picture[TITLE_HEIGHT:]
    right = 80 + GAP
    assert (below[:10, :80] == 10).all() and (below[10:, :80] == 20).all()
    assert (below[:10, right:] == 30).all()
    assert (below[10:, right:] == 255).all() and (below[:, 80:right] == 255).all()
    titles = picture[:TITLE_HEIGHT, :80]
    assert (titles[:, :40] < 128).any() and (titles[:, 40:] < 128).any()
    np.testing.assert_array_equal(titles, picture[:TITLE_HEIGHT, right:])
