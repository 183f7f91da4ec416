"""Parameters, multiply-adds and time of a network."""

import platform
import time

import numpy as np
import torch
from mmengine.analysis import FlopAnalyzer
from torch import nn

TIMING_BATCH, TIMING_ROUNDS = 8, 11


class Network(nn.Module):
    """The network of a pose estimator: images in, output of the head out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images, None, mode='tensor')


def measure_cost(runs):
    """Parameters, multiply-adds and milliseconds per crop of each network."""
    width, height = runs['MIPNet'].samples[0]['input_size']
    device = next(runs['MIPNet'].model.parameters()).device
    networks = {name: Network(run.model) for name, run in runs.items()}
    images = torch.randn(TIMING_BATCH, 3, height, width, device=device)
    costs, times = {}, {name: [] for name in runs}
    for name, network in networks.items():
        flops = FlopAnalyzer(network, images[:1])  # counts multiply-adds
        flops.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        costs[name] = dict(
            parameters=sum(p.numel() for p in network.parameters()),
            multiply_adds=flops.total(),
        )
    with torch.no_grad():
        for _ in range(TIMING_ROUNDS + 2):
            for name, network in networks.items():
                start = time.perf_counter()
                network(images)
                if device.type == 'cuda':
                    torch.cuda.synchronize()
                times[name].append(time.perf_counter() - start)
    for name in runs:
        per_crop = np.median(times[name][2:]) / TIMING_BATCH  # after two to warm up
        costs[name]['milliseconds'] = float(per_crop) * 1000
    if device.type == 'cuda':
        machine = torch.cuda.get_device_name()
    else:
        machine = f'{platform.machine()} CPU, {torch.get_num_threads()} threads'
    settings = dict(machine=machine, batch=TIMING_BATCH, rounds=TIMING_ROUNDS)
    return dict(settings, size=[width, height], models=costs)
