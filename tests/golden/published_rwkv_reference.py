"""RWKV-6 and RWKV-7 as their papers have them, and random checkpoints of them as they are published:
what published_rwkv.py and ../real_size/make.py share.

RWKV's own code runs on CUDA alone, so the reference is written out here: the papers' formulas (Peng et
al. 2024, section 4; Peng et al. 2025, section 4), one token after the other, in float64, from the very
values that are stored. Names and shapes are those of BlinkDL/RWKV-LM (rwkv_v6_demo.py,
rwkv_v7_demo_rnn.py), of RWKV/rwkv-6-world-1b6 (modeling_rwkv6.py) and of fla (models/rwkv7).
"""
import math
import pathlib

import torch
from safetensors.torch import save_file
from torch.nn.functional import group_norm, layer_norm, normalize, sigmoid, silu

HERE = pathlib.Path(__file__).parent / "checkpoints" / "published"
VOCABULARY, TIME, LONG, PROMPT, NEW = 48, 250, 2000, 20, 64


def mix_6(w, x, state, heads, epsilon):
    """Finch: every stream's move toward the token before depends on the input; decay exp(-exp(d))."""
    before, memory = state
    streams = {}
    low = torch.tanh((x + (before - x) * w["time_maa_x"].flatten()) @ w["time_maa_w1"]).view(5, -1)
    for index, name in enumerate("wkvrg"):
        amount = w[f"time_maa_{name}"].flatten() + low[index] @ w["time_maa_w2"][index]
        streams[name] = x + (before - x) * amount
    d = w["time_decay"].flatten() + torch.tanh(streams["w"] @ w["time_decay_w1"]) @ w["time_decay_w2"]
    decay = torch.exp(-torch.exp(d)).view(heads, -1, 1)
    r = (w["receptance.weight"] @ streams["r"]).view(heads, 1, -1)
    k = (w["key.weight"] @ streams["k"]).view(heads, -1, 1)
    v = (w["value.weight"] @ streams["v"]).view(heads, 1, -1)
    out = r @ (memory + w["time_faaaa"].unsqueeze(-1) * (k @ v))
    normed = group_norm(out.reshape(1, -1), heads, w["ln_x.weight"], w["ln_x.bias"], epsilon)
    gate = silu(w["gate.weight"] @ streams["g"])
    return w["output.weight"] @ (normed[0] * gate), (x, decay * memory + k @ v)


def feed_6(w, x, before):
    k = torch.relu(w["key.weight"] @ (x + (before - x) * w["time_maa_k"].flatten())) ** 2
    r = w["receptance.weight"] @ (x + (before - x) * w["time_maa_r"].flatten())
    return sigmoid(r) * (w["value.weight"] @ k), x


def mix_7(w, x, state, heads, first, epsilon, key_epsilon):
    """Goose: the state forgets along the normalized key; later layers mix the first one's values in."""
    before, memory = state
    r, d, k, v, a, g = (x + (before - x) * w[f"x_{name}"].flatten() for name in "rwkvag")
    value = w["value.weight"] @ v
    if first is None:
        first = value
    else:
        amount = sigmoid(w["v0"].flatten() + v @ w["v1"] @ w["v2"])
        value = value + (first - value) * amount
    r = w["receptance.weight"] @ r
    decay = torch.exp(-math.exp(-0.5) * sigmoid(
        w["w0"].flatten() + torch.tanh(d @ w["w1"]) @ w["w2"]))
    rate = sigmoid(w["a0"].flatten() + a @ w["a1"] @ w["a2"])
    gate = sigmoid(g @ w["g1"]) @ w["g2"]
    plain = w["key.weight"] @ k
    direction = (plain * w["k_k"].flatten()).view(heads, -1)
    if key_epsilon is None:
        direction = normalize(direction, dim=-1)
    else:
        direction = direction / (direction.pow(2).sum(-1, keepdim=True) + key_epsilon).sqrt()
    key = (plain * (1 + (rate - 1) * w["k_a"].flatten())).view(heads, -1)
    value, rate, r = (part.view(heads, -1) for part in (value, rate, r))
    # Rows are values and columns keys, as RWKV stores its state.
    removed = memory @ direction.unsqueeze(-1) @ (direction * rate).unsqueeze(1)
    memory = memory * decay.view(heads, 1, -1) - removed + value.unsqueeze(-1) @ key.unsqueeze(1)
    out = (memory @ r.unsqueeze(-1)).reshape(1, -1)
    out = group_norm(out, heads, w["ln_x.weight"], w["ln_x.bias"], epsilon).view(heads, -1)
    out = out + (r * key * w["r_k"]).sum(-1, keepdim=True) * value
    return w["output.weight"] @ (out.flatten() * gate), (x, memory), first


def feed_7(w, x, before):
    k = torch.relu(w["key.weight"] @ (x + (before - x) * w["x_k"].flatten())) ** 2
    return w["value.weight"] @ k, x


class Reference:
    """A model over a checkpoint in RWKV's own names; reads token by token."""

    def __init__(self, stored, epsilon=64e-5, key_epsilon=None):
        self.w = {name: value.double() for name, value in stored.items()}
        self.seven = "blocks.0.att.r_k" in stored
        self.heads, self.dim = stored[f"blocks.0.att.{'r_k' if self.seven else 'time_faaaa'}"].shape
        self.layers = 1 + max(int(n.split(".")[1]) for n in stored if n.startswith("blocks."))
        self.width = stored["emb.weight"].shape[1]
        self.epsilon, self.key_epsilon = epsilon, key_epsilon

    def part(self, prefix):
        return {n[len(prefix):]: v for n, v in self.w.items() if n.startswith(prefix)}

    def norm(self, x, name):
        return layer_norm(x, x.shape, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def start(self):
        zero = torch.zeros(self.width).double()
        memory = torch.zeros(self.heads, self.dim, self.dim).double()
        return [((zero, memory), zero) for _ in range(self.layers)]

    def step(self, token, states):
        x = self.norm(self.w["emb.weight"][token], "blocks.0.ln0")
        first, following = None, []
        for index, (time_state, channel_state) in enumerate(states):
            block = f"blocks.{index}"
            normed = self.norm(x, f"{block}.ln1")
            att = self.part(f"{block}.att.")
            if self.seven:
                mixed, time_state, first = mix_7(att, normed, time_state, self.heads, first,
                                                 self.epsilon, self.key_epsilon)
            else:
                mixed, time_state = mix_6(att, normed, time_state, self.heads, self.epsilon)
            x = x + mixed
            feed = feed_7 if self.seven else feed_6
            mixed, channel_state = feed(self.part(f"{block}.ffn."), self.norm(x, f"{block}.ln2"),
                                        channel_state)
            x = x + mixed
            following.append((time_state, channel_state))
        return self.w["head.weight"] @ self.norm(x, "ln_out"), following

    def read(self, tokens):
        states, logits = self.start(), []
        for token in tokens:
            out, states = self.step(token, states)
            logits.append(out)
        return torch.stack(logits), states


@torch.no_grad()
def greedy(model, prompt):
    logits, states = model.read(prompt)
    logits, new, margin = logits[-1], [], torch.inf
    for _ in range(NEW):
        best = logits.topk(2).values
        margin = min(margin, float(best[0] - best[1]))
        new.append(int(logits.argmax()))
        logits, states = model.step(new[-1], states)
    return new, margin


@torch.no_grad()
def expect(model, path):
    margin = 0
    # A tie is decided by rounding, and one token for ever says little: other tokens.
    while margin < 2e-3 or len(set(generated)) < 8:
        tokens = torch.randint(VOCABULARY, (LONG,))
        generated, margin = greedy(model, tokens[:PROMPT].tolist())
    logits = model.read(tokens.tolist())[0].float()
    rms = logits[:TIME].pow(2).mean().sqrt()
    print(path.relative_to(HERE), f"smallest margin {margin:.2g}, RMS {rms:.2g}, {generated}")
    save_file({
        "tokens": tokens[:TIME].int().clone(),
        "logits": logits[:TIME].clone(),
        "logits1": logits[:1].clone(),
        "logits2": logits[:2].clone(),
        "tokens2000": tokens.int(),
        "logits2000": logits[-8:].clone(),
        "generated": torch.tensor(generated).int(),
    }, path)
    return tokens[:TIME].tolist(), logits[:TIME].double()


def matters(model, tokens, logits, changes):
    """Prints how far each change to a checkpoint moves its logits: what a test would not see is 0."""
    for what, change in changes.items():
        other = Reference({n: v.clone() for n, v in model.w.items()}, model.epsilon,
                          model.key_epsilon)
        change(other)
        moved = (other.read(tokens)[0] - logits).pow(2).mean().sqrt() / logits.pow(2).mean().sqrt()
        print(f"    {what}: {float(moved):.2g}")


def gaussian(*shape, deviation=1.0, mean=0.0):
    return mean + deviation * torch.randn(shape)


def linear(outputs, inputs, gain=1.5):
    return gaussian(outputs, inputs, deviation=gain / inputs ** 0.5)


def norms(name, size):
    return {f"{name}.weight": gaussian(size, deviation=0.2, mean=1),
            f"{name}.bias": gaussian(size, deviation=0.2)}


def shift(width):
    return torch.rand(1, 1, width)


def outer(width, vocabulary=VOCABULARY):
    return {"emb.weight": gaussian(vocabulary, width), **norms("blocks.0.ln0", width)}


def inner(prefix, tensors):
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def rwkv6(width, heads, dim, hidden, layers, shift_rank, decay_rank):
    channels, stored = heads * dim, outer(width)
    for layer in range(layers):
        block = f"blocks.{layer}"
        stored |= norms(f"{block}.ln1", width) | norms(f"{block}.ln2", width)
        stored |= inner(f"{block}.att", {
            **{f"time_maa_{name}": shift(width) for name in "xwkvrg"},
            "time_maa_w1": linear(width, 5 * shift_rank) * 1.5,
            "time_maa_w2": gaussian(5, shift_rank, width, deviation=0.3 / shift_rank ** 0.5),
            "time_decay": -5 + 5 * torch.rand(1, 1, channels),
            "time_decay_w1": linear(width, decay_rank),
            "time_decay_w2": gaussian(decay_rank, channels, deviation=0.7 / decay_rank ** 0.5),
            "time_faaaa": gaussian(heads, dim),
            "receptance.weight": linear(channels, width, 0.7),
            "key.weight": linear(channels, width, 0.3),
            "value.weight": linear(channels, width, 0.1),
            "gate.weight": linear(channels, width),
            "output.weight": linear(width, channels),
            **norms("ln_x", channels),
        })
        stored |= inner(f"{block}.ffn", {
            "time_maa_k": shift(width), "time_maa_r": shift(width),
            "key.weight": linear(hidden, width, 1), "receptance.weight": linear(width, width),
            "value.weight": linear(width, hidden),
        })
    return stored | norms("ln_out", width) | {"head.weight": linear(VOCABULARY, width)}


def rwkv7(width, dim, hidden, layers, ranks, vocabulary=VOCABULARY):
    heads, stored = width // dim, outer(width, vocabulary)
    for layer in range(layers):
        block = f"blocks.{layer}"
        low = lambda name, bias: {
            **({f"{name}0": bias} if bias is not None else {}),
            f"{name}1": gaussian(width, ranks[name], deviation=1.5 / width ** 0.5),
            f"{name}2": gaussian(ranks[name], width, deviation=1 / ranks[name] ** 0.5),
        }
        stored |= norms(f"{block}.ln1", width) | norms(f"{block}.ln2", width)
        stored |= inner(f"{block}.att", {
            **{f"x_{name}": shift(width) for name in "rwkvag"},
            **low("w", -6 + 7 * torch.rand(1, 1, width)),
            **low("a", gaussian(1, 1, width)),
            # The first layer's are stored, and not used.
            **low("v", gaussian(1, 1, width)),
            **low("g", None),
            "k_k": gaussian(1, 1, width, deviation=0.2, mean=0.85),
            "k_a": gaussian(1, 1, width, deviation=0.2, mean=1),
            "r_k": gaussian(heads, dim),
            "receptance.weight": linear(width, width, 0.7),
            "key.weight": linear(width, width, 0.3),
            "value.weight": linear(width, width, 0.2),
            "output.weight": linear(width, width),
            **norms("ln_x", width),
        })
        stored |= inner(f"{block}.ffn", {
            "x_k": shift(width), "key.weight": linear(hidden, width, 1),
            "value.weight": linear(width, hidden),
        })
    return stored | norms("ln_out", width) | {"head.weight": linear(vocabulary, width)}
