"""Makes delta_rule.safetensors: values and autograd gradients from fla's naive functions.

    python delta_rule.py        # torch, einops, fla-core 0.5.2, safetensors

Loss = (output * g1).sum() + (final_state * g2).sum(). Cases: delta (DeltaNet), gated (Gated DeltaNet),
channel (Kimi Delta Attention, two heads per key head).
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
    spec = importlib.util.spec_from_file_location(f"naive_{family}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def delta(query, key, value, beta, log_decay, state):
    """Takes and gives heads before time."""
    inputs = [x.transpose(1, 2) for x in (query, key, value, beta)]
    output, final_state = fla_naive("delta_rule").delta_rule_recurrence(*inputs, state)
    return output.transpose(1, 2), final_state


def gated(query, key, value, beta, log_decay, state):
    naive = fla_naive("gated_delta_rule").naive_recurrent_gated_delta_rule
    return naive(query, key, value, beta, log_decay, None, state, True)


def channel(query, key, value, beta, log_decay, state):
    naive = fla_naive("kda").naive_recurrent_kda
    return naive(query, key, value, log_decay, beta, None, state, True)


torch.manual_seed(0)
tensors = {}
for naive, key_heads, decay_shape in [
    (delta, HEADS, None),
    (gated, HEADS, ()),
    (channel, 1, (KEY,)),
]:
    leaves = dict(
        query=torch.randn(BATCH, TIME, key_heads, KEY),
        key=torch.nn.functional.normalize(torch.randn(BATCH, TIME, key_heads, KEY), dim=-1),
        value=torch.randn(BATCH, TIME, HEADS, VALUE),
        beta=2 * torch.rand(BATCH, TIME, HEADS),
        logDecay=None if decay_shape is None
        else torch.nn.functional.logsigmoid(3 * torch.randn(BATCH, TIME, HEADS, *decay_shape)),
        initialState=torch.randn(BATCH, HEADS, KEY, VALUE),
    )
    leaves = {name: x.requires_grad_() for name, x in leaves.items() if x is not None}
    output, final_state = naive(
        leaves["query"], leaves["key"], leaves["value"], leaves["beta"], leaves.get("logDecay"),
        leaves["initialState"],
    )
    g1, g2 = torch.randn_like(output), torch.randn_like(final_state)
    ((output * g1).sum() + (final_state * g2).sum()).backward()
    values = dict(
        leaves, output=output, finalState=final_state, outputGradient=g1, finalStateGradient=g2,
        **{f"{name}Gradient": x.grad for name, x in leaves.items()},
    )
    for name, x in values.items():
        tensors[f"{naive.__name__}.{name}"] = x.detach().float().contiguous().clone()
save_file(tensors, HERE / "delta_rule.safetensors")
