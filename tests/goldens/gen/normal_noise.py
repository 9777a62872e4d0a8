"""Writes tests/goldens/normal_noise.safetensors: normal draws that musev's generators must repeat.

    pip install torch==2.2.2 'numpy<2' safetensors
    python tests/goldens/gen/normal_noise.py

`sizes` is one sequence of draws; `torch-cpu.<seed>` and `torch-cuda.<seed>` are all its values one
after the other. torch-cpu comes from PyTorch itself. torch-cuda is made without a GPU by the numpy
code below, written from the Philox paper (Salmon et al., SC 2011) and from how PyTorch's CUDA
kernel uses cuRAND: curand_init(seed, subsequence=element, offset=4*call), first value of
curand_normal4.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

SIZES = [1, 5, 15, 16, 17, 31, 1003, 3, 4 * 8 * 8, 16, 1, 2, 1040]
SEEDS = [0, 1, 42, 2**32 + 5, 2**63 + 12345]


def philox4x32(counter, seed):
    """Ten rounds on `counter` [n, 4] (uint64 holding 32-bit words)."""
    low = np.uint64(0xFFFFFFFF)
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], dtype=np.uint64)
    for _ in range(10):
        left = counter[:, 0] * np.uint64(0xD2511F53)
        right = counter[:, 2] * np.uint64(0xCD9E8D57)
        counter = np.stack(
            [
                (right >> np.uint64(32)) ^ counter[:, 1] ^ key[0],
                right & low,
                (left >> np.uint64(32)) ^ counter[:, 3] ^ key[1],
                left & low,
            ],
            axis=1,
        )
        key = (key + np.array([0x9E3779B9, 0xBB67AE85], dtype=np.uint64)) & low
    return counter


def cuda_normal(seed, call, size):
    counter = np.zeros((size, 4), dtype=np.uint64)
    counter[:, 0] = call
    counter[:, 2] = np.arange(size)
    words = philox4x32(counter, seed).astype(np.float64)
    unit = np.float32(2.3283064e-10)
    unit_tau = np.float32(2.3283064e-10) * np.float32(6.2831855)
    u = words[:, 0] * np.float64(unit) + np.float64(unit) / 2
    v = words[:, 1] * np.float64(unit_tau) + np.float64(unit_tau) / 2
    return (np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32)


def main():
    tensors = {"sizes": np.array(SIZES, dtype=np.int64)}
    for seed in SEEDS:
        generator = torch.Generator("cpu")
        generator.manual_seed(seed if seed < 2**63 else seed - 2**64)
        draws = [torch.randn(size, generator=generator).numpy() for size in SIZES]
        tensors[f"torch-cpu.{seed}"] = np.concatenate(draws)
        draws = [cuda_normal(seed, call, size) for call, size in enumerate(SIZES)]
        tensors[f"torch-cuda.{seed}"] = np.concatenate(draws)
    path = Path(__file__).parent.parent / "normal_noise.safetensors"
    save_file(tensors, path, metadata={"torch": torch.__version__, "numpy": np.__version__})


if __name__ == "__main__":
    main()
