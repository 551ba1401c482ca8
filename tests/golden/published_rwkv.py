"""Makes checkpoints/published/rwkv*/: tiny random RWKV-6 and RWKV-7 checkpoints as they are published,
each with expected.safetensors beside, as published.py makes it, and besides the last logits of 2000
tokens (`tokens2000`, `logits2000`).

    python published_rwkv.py        # torch, safetensors

RWKV's own code runs on CUDA alone, so the reference is written out here: the papers' formulas (Peng et
al. 2024, section 4; Peng et al. 2025, section 4), one token after the other, in float64, from the very
values that are stored. Names and shapes are those of BlinkDL/RWKV-LM (rwkv_v6_demo.py,
rwkv_v7_demo_rnn.py), of RWKV/rwkv-6-world-1b6 (modeling_rwkv6.py) and of fla (models/rwkv7).
"""
import json
import math
import pathlib
import shutil

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


def outer(width):
    return {"emb.weight": gaussian(VOCABULARY, width), **norms("blocks.0.ln0", width)}


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


def rwkv7(width, dim, hidden, layers, ranks):
    heads, stored = width // dim, outer(width)
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
    return stored | norms("ln_out", width) | {"head.weight": linear(VOCABULARY, width)}


def fresh(name):
    shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / name).mkdir(parents=True)
    return HERE / name


def scaled(name, factor):
    def change(model):
        for key in model.w:
            if key.endswith(name):
                model.w[key] = model.w[key] * factor
    return change


def epsilon(value):
    def change(model):
        model.epsilon = value
    return change


# RWKV's own names, in bfloat16 and in float32; the inner width is not the model's.
torch.manual_seed(10)
folder = fresh("rwkv6")
stored = {n: v.bfloat16() for n, v in rwkv6(24, 4, 8, 84, 2, 5, 7).items()}
torch.save(stored, folder / "RWKV-x060-Tiny-20261124-ctx512.pth")
model = Reference(stored)
matters(model, *expect(model, folder / "expected.safetensors"), {
    "epsilon 1e-5": epsilon(1e-5), "no bonus": scaled("time_faaaa", 0),
    "fixed shift": scaled("time_maa_w2", 0), "fixed decay": scaled("time_decay_w2", 0)})

torch.manual_seed(11)
folder = fresh("rwkv7")
stored = rwkv7(24, 8, 96, 3, {"w": 6, "a": 5, "v": 4, "g": 9})
torch.save(stored, folder / "RWKV-x070-Tiny-20261124-ctx512.pth")
model = Reference(stored)
matters(model, *expect(model, folder / "expected.safetensors"), {
    "no bonus": scaled("r_k", 0), "no value mix": scaled(".v2", 0),
    "k_a": scaled("k_a", 0.9), "w2": scaled("w2", 0), "a2": scaled("a2", 0)})

# The Hugging Face layout, whose ranks are 32 and 64 at widths other than 4096.
torch.manual_seed(12)
folder = fresh("rwkv6_hf")
DIVISOR = 4
stored = {n: v.bfloat16() for n, v in rwkv6(32, 2, 16, 80, 2, 32, 64).items()}
RENAMED = {"emb.": "rwkv.embeddings.", "blocks.0.ln0.": "rwkv.blocks.0.pre_ln.",
           "blocks.": "rwkv.blocks.", "ln_out.": "rwkv.ln_out.", "head.": "head."}


def renamed(name):
    old = next(old for old in RENAMED if name.startswith(old))
    name = RENAMED[old] + name[len(old):]
    return name.replace(".att.", ".attention.").replace(".ffn.", ".feed_forward.")


torch.save({renamed(n): v for n, v in stored.items()}, folder / "pytorch_model.bin")
(folder / "config.json").write_text(json.dumps({
    "architectures": ["Rwkv6ForCausalLM"],
    "attention_hidden_size": 32,
    "auto_map": {"AutoConfig": "configuration_rwkv6.Rwkv6Config",
                 "AutoModelForCausalLM": "modeling_rwkv6.Rwkv6ForCausalLM"},
    "bos_token_id": 0,
    "eos_token_id": 0,
    "head_size": 16,
    "head_size_divisor": DIVISOR,
    "hidden_size": 32,
    "intermediate_size": 80,
    "layer_norm_epsilon": 1e-05,
    "model_max_length": 512,
    "model_type": "rwkv6",
    "num_attention_heads": 16,
    "num_hidden_layers": 2,
    "rescale_every": 1,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": VOCABULARY,
}, indent=2) + "\n")
model = Reference(stored, 1e-5 * DIVISOR ** 2)
matters(model, *expect(model, folder / "expected.safetensors"), {"epsilon 64e-5": epsilon(64e-5)})

# fla's layout, whose norms are fused: epsilons of their own. k_k is small, for one of them to matter.
torch.manual_seed(13)
folder = fresh("rwkv7_fla")
RANKS = {"w": 6, "a": 5, "v": 4, "g": 9}
stored = rwkv7(24, 8, 96, 2, RANKS)
for name in stored:
    if name.endswith("k_k"):
        stored[name] = stored[name] * 3e-3
FLA = {"emb.": "model.embeddings.", "blocks.0.ln0.": "model.layers.0.pre_norm.",
       "blocks.": "model.layers.", "ln_out.": "model.norm.", "head.": "lm_head.",
       ".ln1.": ".attn_norm.", ".ln2.": ".ffn_norm.", ".att.": ".attn.", ".ln_x.": ".g_norm.",
       ".receptance.": ".r_proj.", ".attn.key.": ".attn.k_proj.", ".attn.value.": ".attn.v_proj.",
       ".output.": ".o_proj."}
LORA = {"0": "lora.2.bias", "1": "lora.0.weight", "2": "lora.2.weight"}
converted = {}
for name, value in stored.items():
    if name.startswith("blocks.0.att.v") and name[-1] in LORA:
        continue
    for old, new in FLA.items():
        if name.startswith(old) or old.startswith(".") and old in name:
            name = name.replace(old, new, 1)
    head, _, last = name.rpartition(".")
    if last[0] in RANKS and last[1:] in LORA:
        name, value = f"{head}.{last[0]}_lora.{LORA[last[1:]]}", value.squeeze()
        value = value if value.dim() == 1 else value.T
    elif last in ("k_k", "k_a") or name.endswith("ffn.x_k"):
        value = value.flatten()
    converted[name] = value.contiguous()
save_file(converted, folder / "model.safetensors", {"format": "pt"})
(folder / "config.json").write_text(json.dumps({
    "a_low_rank_dim": RANKS["a"],
    "architectures": ["RWKV7ForCausalLM"],
    "attn": None,
    "attn_mode": "chunk",
    "decay_low_rank_dim": RANKS["w"],
    "fuse_norm": True,
    "gate_low_rank_dim": RANKS["g"],
    "head_dim": 8,
    "hidden_act": "sqrelu",
    "hidden_ratio": 4.0,
    "hidden_size": 24,
    "intermediate_size": 96,
    "max_position_embeddings": 2048,
    "model_type": "rwkv7",
    "norm_bias": True,
    "norm_eps": 1e-05,
    "norm_first": True,
    "num_heads": 3,
    "num_hidden_layers": 2,
    "tie_word_embeddings": False,
    "v_low_rank_dim": RANKS["v"],
    "value_dim": [24, 24],
    "vocab_size": VOCABULARY,
}, indent=2) + "\n")
model = Reference(stored, 8 * 1e-5, 1e-6)


def without_key_epsilon(model):
    model.key_epsilon = None


matters(model, *expect(model, folder / "expected.safetensors"), {
    "epsilon 64e-5": epsilon(64e-5), "no key epsilon": without_key_epsilon})

# fla's RWKV-6, whose streams come in the order r, w, k, v, g.
torch.manual_seed(14)
folder = fresh("rwkv6_fla")
SHIFT, DECAY = 5, 7
stored = rwkv6(24, 3, 8, 96, 2, SHIFT, DECAY)
converted = {}
for name, value in stored.items():
    if ".att." not in name and ".ffn." not in name:
        for old, new in FLA.items():
            if name.startswith(old) or old.startswith(".") and old in name:
                name = name.replace(old, new, 1)
        converted[name] = value
for layer in range(2):
    att, ffn = (Reference(stored).part(f"blocks.{layer}.{part}.") for part in ("att", "ffn"))
    order = ["wkvrg".index(name) for name in "rwkvg"]
    down = att["time_maa_w1"].T.view(5, SHIFT, -1)[order].flatten(0, 1)
    up = torch.cat([att["time_maa_w2"][index].T for index in order], 1)
    attention = {
        "x_proj.0.mu": att["time_maa_x"].flatten(), "x_proj.0.linear.weight": down,
        "x_proj.2.weight": up,
        "x_bias": torch.stack([att[f"time_maa_{name}"].flatten() for name in "rwkvg"]),
        "w_proj.linear.lora.0.weight": att["time_decay_w1"].T,
        "w_proj.linear.lora.2.weight": att["time_decay_w2"].T,
        "w_proj.linear.lora.2.bias": att["time_decay"].flatten(),
        "bonus": att["time_faaaa"], "o_proj.weight": att["output.weight"],
        "g_norm.weight": att["ln_x.weight"], "g_norm.bias": att["ln_x.bias"],
        **{f"{old[0]}_proj.linear.weight": att[f"{old}.weight"]
           for old in ("receptance", "key", "value", "gate")},
    }
    channels = {
        "key.linear.weight": ffn["key.weight"], "key.mu": ffn["time_maa_k"].flatten(),
        "receptance.linear.weight": ffn["receptance.weight"],
        "receptance.mu": ffn["time_maa_r"].flatten(), "value.weight": ffn["value.weight"],
    }
    converted |= inner(f"model.layers.{layer}.attn", attention)
    converted |= inner(f"model.layers.{layer}.ffn", channels)
save_file({n: v.float().contiguous() for n, v in converted.items()}, folder / "model.safetensors",
          {"format": "pt"})
(folder / "config.json").write_text(json.dumps({
    "architectures": ["RWKV6ForCausalLM"],
    "attn": None,
    "attn_mode": "chunk",
    "expand_k": 1,
    "expand_v": 1,
    "fuse_norm": True,
    "gate_low_rank_dim": DECAY,
    "hidden_act": "sqrelu",
    "hidden_ratio": 3.5,
    "hidden_size": 24,
    "intermediate_size": None,
    "max_position_embeddings": 2048,
    "model_type": "rwkv6",
    "norm_bias": True,
    "norm_eps": 1e-05,
    "norm_first": True,
    "num_heads": 3,
    "num_hidden_layers": 2,
    "proj_low_rank_dim": SHIFT,
    "tie_word_embeddings": False,
    "vocab_size": VOCABULARY,
}, indent=2) + "\n")
model = Reference(stored, 1e-5)
matters(model, *expect(model, folder / "expected.safetensors"), {"epsilon 64e-5": epsilon(64e-5)})
