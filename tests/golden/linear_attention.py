"""Values and autograd gradients of fla's naive linear-attention functions, for linear_attention.safetensors.

Run with torch, einops, safetensors and fla-core 0.5.2: python tests/golden/linear_attention.py
The naive files are loaded by their paths, since importing the package takes triton.
"""

import importlib.util
import pathlib
import sysconfig

import torch
from safetensors.torch import save_file

OPS = pathlib.Path(sysconfig.get_paths()["purelib"]) / "fla" / "ops"


def load(path):
    spec = importlib.util.spec_from_file_location(path.replace("/", "_"), OPS / f"{path}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


linear_attn = load("linear_attn/naive").naive_recurrent_linear_attn
simple_gla = load("simple_gla/naive").naive_recurrent_simple_gla
gla = load("gla/naive").naive_recurrent_gla
rwkv6 = load("rwkv6/recurrent_naive").naive_recurrent_rwkv6
retention = load("retention/naive").naive_retention

torch.manual_seed(0)
tensors = {}


def decays(*shape):
    """Log decays of every strength: mostly in [-1, 0], a tenth 0, a tenth -20."""
    g = -torch.rand(shape)
    kind = torch.rand(shape)
    g[kind < 0.1] = 0
    g[kind > 0.9] = -20
    return g


def record(name, inputs, run):
    """Runs a function; keeps inputs, outputs and the gradients of (output * g1).sum() + (state * g2).sum()."""
    inputs = {key: value.requires_grad_() for key, value in inputs.items()}
    output, state = run(**inputs)
    loss = 0
    for key, value in {"output": output, "finalState": state}.items():
        if value is None:
            continue
        gradient = torch.randn_like(value)
        loss = loss + (value * gradient).sum()
        tensors[f"{name}.{key}"] = value
        tensors[f"{name}.{key}Gradient"] = gradient
    loss.backward()
    for key, value in inputs.items():
        tensors[f"{name}.{key}"] = value
        tensors[f"{name}.{key}Gradient"] = value.grad


def heads_first(run, *inputs):
    """Calls a function of [batch, heads, time, dim] with [batch, time, heads, dim]."""
    output, state = run(*(x.transpose(1, 2) for x in inputs))
    return output.transpose(1, 2), state


def sequences(batch, time, heads, key_dim, value_dim, state=True):
    made = {
        "query": torch.randn(batch, time, heads, key_dim),
        "key": torch.randn(batch, time, heads, key_dim),
        "value": torch.randn(batch, time, heads, value_dim),
    }
    if state:
        made["initialState"] = torch.randn(batch, heads, key_dim, value_dim)
    return made


record(
    "linear_attn",
    sequences(1, 37, 2, 8, 12),
    lambda query, key, value, initialState: linear_attn(
        query, key, value, initial_state=initialState, output_final_state=True
    ),
)
record(
    "simple_gla",
    {**sequences(2, 41, 3, 8, 4), "logDecay": decays(2, 41, 3)},
    lambda query, key, value, logDecay, initialState: simple_gla(
        query, key, value, logDecay, initial_state=initialState
    ),
)
record(
    "gla",
    {**sequences(1, 57, 2, 12, 8), "logDecay": decays(1, 57, 2, 12)},
    lambda query, key, value, logDecay, initialState: gla(
        query, key, value, logDecay, initial_state=initialState, output_final_state=True
    ),
)
record(
    "rwkv6",
    {**sequences(1, 35, 2, 8, 8), "logDecay": decays(1, 35, 2, 8), "bonus": torch.randn(2, 8)},
    lambda query, key, value, logDecay, bonus, initialState: heads_first(
        lambda q, k, v, w: rwkv6(
            q, k, v, w, bonus, initial_state=initialState, output_final_state=True
        ),
        query,
        key,
        value,
        logDecay,
    ),
)
record(
    "retention",
    sequences(1, 40, 4, 8, 8, state=False),
    lambda query, key, value: heads_first(
        lambda q, k, v: (retention(q, k, v), None), query, key, value
    ),
)
tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
save_file(tensors, pathlib.Path(__file__).with_suffix(".safetensors"))
