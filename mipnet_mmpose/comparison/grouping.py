import numpy as np


def group(keys):
    """Indices of equal keys: {key: array}, in the order of their first."""
    groups = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return {key: np.array(indices) for key, indices in groups.items()}
