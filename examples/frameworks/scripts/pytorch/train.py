"""Handwritten digits by a small network, on one host or, started by torchrun, on several.

Every host takes its share of each batch and the gradients are averaged, so that N hosts find the network of one.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn


def network():
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


def model_fn(model_dir):
    model = network()
    model.load_state_dict(torch.load(Path(model_dir, "digits.pt"), weights_only=True))
    return model.eval()


def predict_fn(data, model):
    with torch.no_grad():
        return model(data).softmax(1)


def train(settings):
    is_distributed = distributed.is_torchelastic_launched()
    if is_distributed:
        distributed.init_process_group("gloo")
    rank = distributed.get_rank() if is_distributed else 0
    world_size = distributed.get_world_size() if is_distributed else 1

    rows = np.loadtxt(Path(os.environ["SM_CHANNEL_TRAIN"], "digits.csv"), delimiter=",", dtype=np.float32)
    pixels, digits = torch.from_numpy(rows[:, 1:]), torch.from_numpy(rows[:, 0]).long()
    torch.manual_seed(1)
    model = network()
    trained = nn.parallel.DistributedDataParallel(model) if is_distributed else model
    optimizer = torch.optim.SGD(trained.parameters(), lr=settings.lr)
    for epoch in range(settings.epochs):
        for first in range(0, len(rows), settings.batch_size):
            share = slice(first + rank, first + settings.batch_size, world_size)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(trained(pixels[share]), digits[share])
            loss.backward()
            optimizer.step()
        if rank == 0:
            print(f"epoch={epoch} train:loss={loss.item():.4f}")
    if rank == 0:
        torch.save(model.state_dict(), Path(os.environ["SM_MODEL_DIR"], "digits.pt"))
    if is_distributed:
        distributed.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=300)
    parser.add_argument("--lr", type=float, default=0.1)
    train(parser.parse_args())
