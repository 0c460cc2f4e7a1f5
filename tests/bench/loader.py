"""loader.py - an epoch of a PyTorch DataLoader over the files below a directory: 4 workers, shuffled
from a fixed seed, each sample a file read whole. Prints one line of JSON: samples, bytes, seconds.

    loader.py DIRECTORY
"""
import json
import os
import sys
import time

import torch

WORKERS = 4
BATCH = 64
SEED = 5
KEPT = 1024  # of a sample, handed on: what is measured is the files, not the queues of the workers


class Files(torch.utils.data.Dataset):
    """Plain read(2), as image loaders do."""

    def __init__(self, directory):
        self.paths = sorted(os.path.join(where, name)
                            for where, _, names in os.walk(directory) for name in names)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with open(self.paths[index], "rb", buffering=0) as stream:
            data = bytearray(stream.read())
        sample = torch.frombuffer(data, dtype=torch.uint8)
        return sample[:KEPT].clone(), len(data)


def main():
    files = Files(sys.argv[1])
    torch.set_num_threads(1)
    generator = torch.Generator()
    generator.manual_seed(SEED)
    loader = torch.utils.data.DataLoader(files, batch_size=BATCH, shuffle=True,
                                         num_workers=WORKERS, generator=generator)
    samples = read = 0
    started = time.monotonic()
    for first, lengths in loader:
        samples += first.shape[0]
        read += int(lengths.sum())
    print(json.dumps({"files": samples, "bytes": read, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
