import logging

import pytest
from mmengine.logging import MMLogger

from ..conftest import person


@pytest.fixture
def log_lines():
    """Messages of MMEngine's logger while the test runs."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture
def pairs():
    """Twenty images with an overlapping pair each."""
    return [
        person(2 * image + i, image, 20 + 12 * i, 10, 60, 90, seed=image)
        for image in range(20)
        for i in range(2)
    ]
