import logging

import pytest
from mmengine.logging import MMLogger


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
