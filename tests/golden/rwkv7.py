"""Makes rwkv7.safetensors: values and autograd gradients from fla's naive diagonal plus low rank rule.

    python rwkv7.py        # torch, einops, fla-core 0.5.2, safetensors

Loss = (output * g1).sum() + (final_state * g2).sum(). a and b as RWKV-7 makes them: a = -κ, b = κ * α
with |κ| = 1. The naive function scales the receptance by 1/√keyDim.
"""
import importlib.util
import pathlib
import sys

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
BATCH, TIME, HEADS, KEY, VALUE = 2, 40, 2, 8, 6


def fla_naive(family):
    """fla's package wants triton to import; its naive functions do not."""
    path = next(
        pathlib.Path(p, "fla/ops", family, "naive.py")
        for p in sys.path
        if pathlib.Path(p, "fla/ops", family, "naive.py").exists()
    )
    spec = importlib.util.spec_from_file_location("naive", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(width):
    return torch.randn(BATCH, TIME, HEADS, width)


torch.manual_seed(0)
kappa = torch.nn.functional.normalize(rows(KEY), dim=-1)
leaves = dict(
    receptance=rows(KEY),
    logDecay=torch.nn.functional.logsigmoid(3 * rows(KEY)),
    key=rows(KEY),
    value=rows(VALUE),
    a=-kappa,
    b=kappa * torch.rand(BATCH, TIME, HEADS, KEY),
    initialState=torch.randn(BATCH, HEADS, KEY, VALUE),
)
leaves = {name: x.requires_grad_() for name, x in leaves.items()}
# Takes and gives heads before time.
inputs = [leaves[name].transpose(1, 2) for name in ("receptance", "key", "value", "a", "b", "logDecay")]
naive = fla_naive("generalized_delta_rule/dplr").dplr_recurrence
output, final_state = naive(*inputs, leaves["initialState"])
output = output.transpose(1, 2)
g1, g2 = torch.randn_like(output), torch.randn_like(final_state)
((output * g1).sum() + (final_state * g2).sum()).backward()
values = dict(
    leaves, output=output, finalState=final_state, outputGradient=g1, finalStateGradient=g2,
    **{f"{name}Gradient": x.grad for name, x in leaves.items()},
)
tensors = {name: x.detach().float().contiguous().clone() for name, x in values.items()}
save_file(tensors, HERE / "rwkv7.safetensors")
