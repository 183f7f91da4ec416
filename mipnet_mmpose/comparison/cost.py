"""Parameters, multiply-adds and time of the networks."""

import platform
import time
from typing import Any, Dict

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


def measure_cost(models: Dict[str, TestedModel]) -> dict:
    """What each network costs, without flip test.

    Returns:
        dict: ``machine``, ``batch``, ``rounds``, and under ``models`` for each its
        ``input_size`` (width, height), ``parameters``, ``multiply_adds`` of a crop
        and ``milliseconds`` of a crop, the median over the rounds, in which the
        networks take turns.
    """
    costs, networks, images, times = {}, {}, {}, {}
    for name, model in models.items():
        width, height = map(int, model.samples[0]['input_size'])
        device = next(model.model.parameters()).device
        networks[name], times[name] = Network(model.model), []
        images[name] = torch.randn(TIMING_BATCH, 3, height, width, device=device)
        flops = FlopAnalyzer(networks[name], images[name][:1])  # multiply-adds
        flops.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        costs[name] = dict(
            input_size=[width, height],
            parameters=sum(p.numel() for p in model.model.parameters()),
            multiply_adds=int(flops.total()),
        )
    with torch.no_grad():
        for _ in range(WARM_UP + TIMING_ROUNDS):
            for name, network in networks.items():
                start = time.perf_counter()
                network(images[name])
                if device.type == 'cuda':
                    torch.cuda.synchronize()
                times[name].append(time.perf_counter() - start)
    for name in models:
        per_crop = np.median(times[name][WARM_UP:]) / TIMING_BATCH
        costs[name]['milliseconds'] = 1000 * float(per_crop)
    if device.type == 'cuda':
        machine = torch.cuda.get_device_name()
    else:
        machine = f'{platform.machine()} CPU, threads: {torch.get_num_threads()}'
    return dict(machine=machine, batch=TIMING_BATCH, rounds=TIMING_ROUNDS, models=costs)
