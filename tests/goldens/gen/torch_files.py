"""Writes torch_zip.bin, torch_legacy.pth and torch_malicious.bin beside this folder.

Made with PyTorch 1.13. Values are a plain count divided by eight, exact in every type, so that
the test computes what it expects.
"""

import collections
import os
import pathlib

import torch

HERE = pathlib.Path(__file__).resolve().parent.parent


def count(*shape, dtype=torch.float32):
    size = int(torch.tensor(shape).prod()) if shape else 1
    return (torch.arange(size, dtype=torch.float32) / 8).reshape(shape).to(dtype)


base = count(6, 4)
state = collections.OrderedDict(
    f32=count(2, 3),
    f16=count(2, 3, dtype=torch.float16),
    bf16=count(2, 3, dtype=torch.bfloat16),
    f64=count(2, 3, dtype=torch.float64),
    i64=torch.arange(5),
    boolean=torch.tensor([True, False, True]),
    scalar=torch.tensor(0.5),
    empty=torch.zeros(0, 3),
    parameter=torch.nn.Parameter(count(3)),
    whole=base,
    transposed=base.t(),
    rows=base[2:5],
    column=base[:, 1],
    expanded=count(1, 3).expand(2, 3),
    permuted=count(2, 3, 4).permute(2, 0, 1),
)
state._metadata = collections.OrderedDict({"": {"version": 1}})
nested = {"epoch": 3, "name": "a name", "inner": {"deep": {"weight": count(2)}}, "list": [count(1)]}
for name, zipped in (("torch_zip.bin", True), ("torch_legacy.pth", False)):
    torch.save({"state": state, **nested}, HERE / name, _use_new_zipfile_serialization=zipped)


class Malicious:
    def __reduce__(self):
        return os.system, ("touch executed",)


torch.save({"weight": count(2), "payload": Malicious()}, HERE / "torch_malicious.bin")
