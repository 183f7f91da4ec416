"""Parameters, multiply-adds and time of networks."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.analysis import FlopAnalyzer
from torch import Tensor, nn

BATCH, ROUNDS, WARM_UP = 8, 11, 2


class Network(nn.Module):
    """The network of a pose estimator: images in, output of the head out."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        return self.model(images, None, mode='tensor')


def count_multiply_adds(network: nn.Module, image: Tensor) -> int:
    """Multiply-adds of a network on an image (1, 3, H, W)."""
    flops = FlopAnalyzer(network, image)  # by its name; it counts multiply-adds
    flops.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return int(flops.total())


def time_in_turn(calls: dict[str, Callable], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each call in each round; the calls of a round follow each other.

    What else the machine does thus falls on all of them alike.
    """
    times = {name: np.zeros(WARM_UP + rounds) for name in calls}
    for i in range(WARM_UP + rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name][i] = time.perf_counter() - start
    return {name: seconds[WARM_UP:] for name, seconds in times.items()}


def measure_cost(models: dict[str, nn.Module], input_size: tuple) -> dict[str, dict]:
    """What each pose estimator in eval mode costs, without flip test.

    Of each its ``parameters``, ``multiply-adds`` and ``time`` of a crop in seconds, the
    median of the rounds, and its ``time ratio`` to the first one's. ``input_size`` is
    the width and height of a crop in pixels.
    """
    device = next(next(iter(models.values())).parameters()).device
    images = torch.randn(BATCH, 3, *input_size[::-1], device=device)
    networks = {name: Network(model) for name, model in models.items()}
    calls = {name: partial(network, images) for name, network in networks.items()}
    with torch.no_grad():
        times = time_in_turn(calls, ROUNDS)
    first = next(iter(times.values()))
    return {
        name: {
            'parameters': sum(p.numel() for p in network.parameters()),
            'multiply-adds': count_multiply_adds(network, images[:1]),
            'time': float(np.median(times[name])) / BATCH,
            'time ratio': float(np.median(times[name] / first)),
        }
        for name, network in networks.items()
    }
