"""Parameters, multiply-adds and time of the networks."""

import platform
import time
from functools import partial
from typing import Any, Callable, Dict

import numpy as np
import torch
from mmengine.analysis import FlopAnalyzer
from torch import Tensor, nn

from .tested_model import TestedModel

TIMING_BATCH, TIMING_ROUNDS, WARM_UP = 8, 11, 2


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


def time_in_turn(
    calls: Dict[str, Callable[[], Any]],
    rounds: int,
    warm_up: int = WARM_UP,
    clock: Callable[[], float] = time.perf_counter,
) -> Dict[str, np.ndarray]:
    """Seconds of each call in each round; the calls of a round follow each other.

    What else the machine does thus falls on all of them alike.
    """
    times = {name: np.zeros(warm_up + rounds) for name in calls}
    for i in range(warm_up + rounds):
        for name, call in calls.items():
            start = clock()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name][i] = clock() - start
    return {name: seconds[warm_up:] for name, seconds in times.items()}


def measure_cost(models: Dict[str, TestedModel]) -> dict:
    """What each network costs, without flip test.

    Returns:
        dict: ``machine``, ``batch``, ``rounds``, and under ``models`` for each its
        ``input_size`` (width, height), ``parameters``, ``multiply_adds`` of a crop
        and ``milliseconds`` of a crop, the median over the rounds, in which the
        networks take turns.
    """
    costs, networks, images = {}, {}, {}
    for name, model in models.items():
        width, height = map(int, model.samples[0]['input_size'])
        device = next(model.model.parameters()).device
        networks[name] = Network(model.model)
        images[name] = torch.randn(TIMING_BATCH, 3, height, width, device=device)
        costs[name] = dict(
            input_size=[width, height],
            parameters=sum(p.numel() for p in model.model.parameters()),
            multiply_adds=count_multiply_adds(networks[name], images[name][:1]),
        )
    calls = {name: partial(networks[name], images[name]) for name in models}
    with torch.no_grad():
        times = time_in_turn(calls, TIMING_ROUNDS)
    for name in models:
        per_crop = np.median(times[name]) / TIMING_BATCH
        costs[name]['milliseconds'] = 1000 * float(per_crop)
    return dict(
        machine=machine_name(device),
        batch=TIMING_BATCH,
        rounds=TIMING_ROUNDS,
        models=costs,
    )


def machine_name(device: torch.device) -> str:
    """The GPU; or the kind of CPU and the threads torch uses."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'{platform.machine()} CPU, threads: {torch.get_num_threads()}'
