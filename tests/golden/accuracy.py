"""Makes accuracy.json: how far PyTorch's f32 is from float64, for each op, on inputs that the test makes again.

    python accuracy.py        # torch

For each case: its inputs (shape, seed and kind, see `draw`), and by output the relative error
RMS(f32 - f64) / RMS(f64) and the sum of the float64 values, each times one more draw, so that the
test can tell that its reference computes the same. Gradients are those of sum(output * its draw).
"""
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)


def uniforms(seed, count):
    state, values = (seed * 2654435761 + 12345) % 2**32, np.empty(count)
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values[i] = state / 2**32
    return values


def draw(seed, shape, kind):
    count = int(np.prod(shape))
    u = uniforms(seed, 4 * count).reshape(count, 4)
    normal = (u.sum(axis=1) - 2) * 1.7320508075688772
    values = {
        "normal": lambda: normal,
        "small": lambda: normal / 8,
        "decay": lambda: 0.5 + 0.5 * u[:, 0],
        "log_decay": lambda: -np.abs(normal) / 4,
        "strong_log_decay": lambda: -4 * np.abs(normal),
        "negative": lambda: -0.1 - 3 * u[:, 0],
        "share": lambda: u[:, 0],
        "shifted": lambda: 100 + normal,
        "low": lambda: -4 - u[:, 0],
    }[kind]()
    return torch.tensor(values.astype(np.float32).reshape(shape))


def error(actual, expected):
    return float(((actual.double() - expected) ** 2).sum().sqrt() / (expected**2).sum().sqrt())


CASES = {}


def case(name, inputs, **options):
    """Registers a function of the inputs, in their dtype, that returns its outputs by name."""
    def register(function):
        def run(dtype):
            leaves = {
                name: draw(seed + 1, shape, kind).to(dtype).requires_grad_()
                for seed, (name, (shape, kind)) in enumerate(inputs.items())
            }
            outputs = function(**leaves, **options)
            loss = sum(
                (y * draw(100 + i, y.shape, "normal").to(dtype)).sum()
                for i, y in enumerate(outputs.values())
            )
            loss.backward()
            outputs = dict(outputs)
            for name, leaf in leaves.items():
                if leaf.grad is not None:
                    outputs[f"{name}Gradient"] = leaf.grad
            return {name: y.detach() for name, y in outputs.items()}

        single, double = run(torch.float32), run(torch.float64)
        CASES[name] = {
            "inputs": {
                name: {"shape": list(shape), "seed": seed + 1, "kind": kind}
                for seed, (name, (shape, kind)) in enumerate(inputs.items())
            },
            "options": options,
            "outputs": {
                name: {
                    "error": float(f"{error(single[name], double[name]):.4g}"),
                    "check": float(
                        (double[name] * draw(999, double[name].shape, "normal").double()).sum()
                    ),
                }
                for name in double
            },
        }
        return function
    return register


BATCH, TIME, HEADS, DIM = 2, 300, 2, 32
ROWS = (BATCH, TIME, HEADS, DIM)
QKV = {"query": (ROWS, "normal"), "key": (ROWS, "normal"), "value": (ROWS, "normal")}


@case("flashAttention", QKV)
def attention(query, key, value):
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    logits = q @ k.transpose(2, 3) / DIM**0.5
    seen = torch.ones(TIME, TIME, dtype=torch.bool).tril()
    output = logits.masked_fill(~seen, float("-inf")).softmax(-1) @ v
    return {"output": output.transpose(1, 2)}


@case("flashAttention softCap", QKV, softCap=5)
def attention_capped(query, key, value, softCap):
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    logits = softCap * torch.tanh(q @ k.transpose(2, 3) / DIM**0.5 / softCap)
    seen = torch.ones(TIME, TIME, dtype=torch.bool).tril()
    output = logits.masked_fill(~seen, float("-inf")).softmax(-1) @ v
    return {"output": output.transpose(1, 2)}


CHANNELS = 24


@case("scan", {
    "decay": ((BATCH, TIME, CHANNELS), "decay"), "input": ((BATCH, TIME, CHANNELS), "normal"),
    "initialState": ((BATCH, CHANNELS), "normal"),
})
def scan(decay, input, initialState):
    h, outputs = initialState, []
    for t in range(TIME):
        h = decay[:, t] * h + input[:, t]
        outputs.append(h)
    return {"output": torch.stack(outputs, 1), "finalState": h}


WIDE = (BATCH, TIME, CHANNELS)


@case("rgLru", {
    "input": (WIDE, "normal"), "recurrenceGate": (WIDE, "normal"), "inputGate": (WIDE, "normal"),
    "decayParameter": ((CHANNELS,), "normal"), "initialState": ((BATCH, CHANNELS), "normal"),
})
def rg_lru(input, recurrenceGate, inputGate, decayParameter, initialState):
    log_a = -8 * recurrenceGate.sigmoid() * F.softplus(decayParameter)
    gated = input * inputGate.sigmoid() * (1 - (2 * log_a).exp()).sqrt()
    a, h, outputs = log_a.exp(), initialState, []
    for t in range(TIME):
        h = a[:, t] * h + gated[:, t]
        outputs.append(h)
    return {"output": torch.stack(outputs, 1), "finalState": h}


STATES = 16


def selective(input, delta, a, b, c, skip, gate, deltaBias, initialState):
    step = F.softplus(delta + deltaBias)
    h, outputs = initialState, []
    for t in range(TIME):
        decay = (step[:, t, :, None] * a).exp()
        h = decay * h + (step[:, t] * input[:, t])[..., None] * b[:, t, None]
        outputs.append((h * c[:, t, None]).sum(-1))
    y = (torch.stack(outputs, 1) + skip * input) * F.silu(gate)
    return {"output": y, "finalState": h}


SELECTIVE = {
    "input": (WIDE, "normal"), "delta": (WIDE, "normal"), "a": ((CHANNELS, STATES), "negative"),
    "b": ((BATCH, TIME, STATES), "normal"), "c": ((BATCH, TIME, STATES), "normal"),
    "skip": ((CHANNELS,), "normal"), "gate": (WIDE, "normal"), "deltaBias": ((CHANNELS,), "normal"),
    "initialState": ((BATCH, CHANNELS, STATES), "normal"),
}
case("selectiveScan", SELECTIVE)(selective)
# Steps as small as Mamba begins with: a state lives for hundreds of tokens.
case("selectiveScan slow", {**SELECTIVE, "deltaBias": ((CHANNELS,), "low")})(selective)

STATE = (BATCH, HEADS, DIM, DIM)


def linear(query, key, value, logDecay=None, bonus=None, initialState=None):
    s, outputs = initialState, []
    for t in range(TIME):
        kv = key[:, t, :, :, None] * value[:, t, :, None]
        if logDecay is None:
            decayed = s
        elif logDecay.dim() == 3:
            decayed = logDecay[:, t, :, None, None].exp() * s
        else:
            decayed = logDecay[:, t, :, :, None].exp() * s
        seen = decayed + kv if bonus is None else s + bonus[..., None] * kv
        outputs.append((query[:, t, :, :, None] * DIM**-0.5 * seen).sum(-2))
        s = decayed + kv
    return {"output": torch.stack(outputs, 1), "finalState": s}


STATEFUL = {**QKV, "initialState": (STATE, "normal")}
PER_HEAD = (BATCH, TIME, HEADS)
case("linearAttention", STATEFUL)(linear)
for kind in ("log_decay", "strong_log_decay"):
    case(f"linearAttention head {kind}", {**STATEFUL, "logDecay": (PER_HEAD, kind)})(linear)
    case(f"linearAttention channel {kind}", {**STATEFUL, "logDecay": (ROWS, kind)})(linear)
case("linearAttention bonus", {
    **STATEFUL, "logDecay": (ROWS, "log_decay"), "bonus": ((HEADS, DIM), "normal"),
})(linear)


def delta(query, key, value, beta, initialState, logDecay=None):
    s, outputs = initialState, []
    for t in range(TIME):
        if logDecay is not None:
            decay = logDecay[:, t].exp()
            s = (decay[..., None, None] if logDecay.dim() == 3 else decay[..., None]) * s
        k = key[:, t]
        update = beta[:, t, :, None] * (value[:, t] - (k[..., None] * s).sum(-2))
        s = s + k[..., None] * update[:, :, None]
        outputs.append((query[:, t, :, :, None] * DIM**-0.5 * s).sum(-2))
    return {"output": torch.stack(outputs, 1), "finalState": s}


DELTA = {
    **QKV, "key": (ROWS, "small"), "beta": (PER_HEAD, "share"), "initialState": (STATE, "normal"),
}
case("deltaRule", DELTA)(delta)
for kind in ("log_decay", "strong_log_decay"):
    case(f"deltaRule head {kind}", {**DELTA, "logDecay": (PER_HEAD, kind)})(delta)
    case(f"deltaRule channel {kind}", {**DELTA, "logDecay": (ROWS, kind)})(delta)


def rwkv7(receptance, logDecay, key, value, a, b, initialState):
    s, outputs = initialState, []
    for t in range(TIME):
        seen = (a[:, t, :, :, None] * s).sum(-2)
        s = logDecay[:, t, :, :, None].exp() * s + b[:, t, :, :, None] * seen[:, :, None] \
            + key[:, t, :, :, None] * value[:, t, :, None]
        outputs.append((receptance[:, t, :, :, None] * s).sum(-2))
    return {"output": torch.stack(outputs, 1), "finalState": s}


for kind in ("log_decay", "strong_log_decay"):
    case(f"rwkv7 {kind}", {
        "receptance": (ROWS, "normal"), "logDecay": (ROWS, kind), "key": (ROWS, "normal"),
        "value": (ROWS, "normal"), "a": (ROWS, "small"), "b": (ROWS, "small"),
        "initialState": (STATE, "normal"),
    })(rwkv7)

WIDTH = 4


@case("causalConvolution", {
    "x": (WIDE, "normal"), "weight": ((CHANNELS, WIDTH), "normal"), "bias": ((CHANNELS,), "normal"),
    "initialTail": ((BATCH, WIDTH - 1, CHANNELS), "normal"),
})
def convolution(x, weight, bias, initialTail):
    padded = torch.cat([initialTail, x], 1).transpose(1, 2)
    y = F.conv1d(padded, weight[:, None], bias, groups=CHANNELS)
    return {"output": F.silu(y).transpose(1, 2)}


@case("matmul", {"a": ((96, 700), "normal"), "b": ((700, 80), "normal")})
def matmul(a, b):
    return {"output": a @ b}


NORM = {"x": ((500, 200), "normal"), "weight": ((200,), "normal")}


@case("rmsNorm", NORM)
def rms_norm(x, weight):
    return {"output": F.rms_norm(x, (200,), weight, eps=1e-5)}


@case("layerNorm", {**NORM, "bias": ((200,), "normal")})
def layer_norm(x, weight, bias):
    return {"output": F.layer_norm(x, (200,), weight, bias, 1e-5)}


@case("layerNorm shifted", {**NORM, "x": ((500, 200), "shifted"), "bias": ((200,), "normal")})
def layer_norm_shifted(x, weight, bias):
    return {"output": F.layer_norm(x, (200,), weight, bias, 1e-5)}


ACTIVATIONS = {
    "silu": F.silu, "gelu": lambda x: F.gelu(x, approximate="tanh"), "gelu_exact": F.gelu,
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softplus": lambda x: F.softplus(x, threshold=100),
    "log_sigmoid": F.logsigmoid, "exp": torch.exp, "relu_squared": lambda x: F.relu(x) ** 2,
    "elu_plus_one": lambda x: F.elu(x) + 1, "relu": F.relu,
}
for kind, function in ACTIVATIONS.items():
    case(f"activation {kind}", {"x": ((40, 100), "normal")}, kind=kind)(
        lambda x, kind: {"output": ACTIVATIONS[kind](x)}
    )


@case("crossEntropy", {"logits": ((60, 1000), "normal")})
def cross_entropy(logits):
    return {"loss": F.cross_entropy(logits, torch.arange(60) * 7, reduction="none")}


@case("rotary", {"x": ((BATCH, TIME, HEADS, DIM), "normal")})
def rotary(x):
    frequencies = 10000 ** (-torch.arange(0, DIM, 2, dtype=torch.float64) / DIM)
    angles = torch.arange(TIME)[:, None].to(x.dtype) * frequencies.float().to(x.dtype)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    first, second = x.chunk(2, -1)
    return {"output": torch.cat([first * cos - second * sin, first * sin + second * cos], -1)}


@case("gradientNorm", {"x": ((100_000,), "normal")})
def gradient_norm(x):
    return {"norm": x.norm()[None]}


@case("sumTo", {"x": ((5000, 12), "normal")})
def sum_to(x):
    return {"output": x.sum(0)}


path = pathlib.Path(__file__).parent / "accuracy.json"
path.write_text(json.dumps(CASES, indent=2) + "\n")
