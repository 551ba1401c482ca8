"""Makes random checkpoints of published shapes, with what PyTorch says of 512 tokens (or as many as TOKENS
says) beside, in float64, and how long it takes in float32.

    python make.py FOLDER [NAME ...]        # torch, transformers, safetensors

FOLDER/NAME/ gets the checkpoint; expected.safetensors with `tokens` and `logits`; and pytorch.json with
the milliseconds of a prefill and of a step, and the error of PyTorch's own float32. RWKV-7 runs by its
formulas, as its own code needs a GPU. compare.ts reads them.
"""
import gc
import json
import math
import os
import pathlib
import shutil
import sys
import time

import torch
from safetensors.torch import save_file
from torch.nn.functional import group_norm, layer_norm, normalize, sigmoid

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))
from published_reference import randomise
from published_rwkv_reference import Reference, rwkv7

TIME, STEPS = int(os.environ.get("TOKENS", "512")), 8


def smollm2():
    from transformers import LlamaConfig, LlamaForCausalLM
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
        rms_norm_eps=1e-5, rope_theta=1e5, tie_word_embeddings=True))


def mamba2():
    from transformers import Mamba2Config, Mamba2ForCausalLM
    return Mamba2ForCausalLM(Mamba2Config(
        vocab_size=50288, hidden_size=768, num_heads=24, head_dim=64, n_groups=1, state_size=128,
        num_hidden_layers=24, tie_word_embeddings=True,
        # Its default, 0.1, makes a model whose logits even float32 in PyTorch knows to 4e-5 alone.
        initializer_range=0.02))


def qwen3():
    from transformers import Qwen3Config, Qwen3ForCausalLM
    return Qwen3ForCausalLM(Qwen3Config(
        vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28,
        num_attention_heads=16, num_key_value_heads=8, head_dim=128, rope_theta=1e6,
        max_position_embeddings=40960, tie_word_embeddings=True))


def milliseconds(run, times):
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


def write(folder, tokens, logits, float32, timings):
    error = (float32.double() - logits).pow(2).mean().sqrt() / logits.pow(2).mean().sqrt()
    save_file({"tokens": tokens.int(), "logits": logits.float().contiguous()},
              folder / "expected.safetensors")
    report = {**timings, "error": float(error)}
    (folder / "pytorch.json").write_text(json.dumps(report) + "\n")
    print(folder.name, report)


@torch.no_grad()
def transformers_model(folder, make, half=False):
    torch.manual_seed(1)
    model = make().eval()
    # Deep random networks double every error in each layer; published ones, like these, do not.
    weights = {n: p.clone() for n, p in model.named_parameters()}
    randomise(model)
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            parameter.data = weights[name]
    del weights
    # The parameters alone: half() would round the frequencies of rotary positions too.
    for parameter in model.parameters():
        parameter.data = parameter.data.half() if half else parameter.data
    model.save_pretrained(folder)
    for parameter in model.parameters():
        parameter.data = parameter.data.float()
    tokens = torch.randint(model.config.vocab_size, (TIME,))
    prefill = milliseconds(lambda: model(tokens[None], use_cache=False, logits_to_keep=1), 2)
    cache = model(tokens[None, :TIME], use_cache=True, logits_to_keep=1)
    cached = "past_key_values" if hasattr(cache, "past_key_values") else "cache_params"
    state = getattr(cache, cached)
    step = milliseconds(
        lambda: model(tokens[None, :1], **{cached: state}, use_cache=True), STEPS)
    float32 = model(tokens[None], use_cache=False).logits[0]
    logits = model.double()(tokens[None], use_cache=False).logits[0]
    write(folder, tokens, logits, float32, {"prefill": prefill, "step": step})


def before(x):
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def mix_7(w, x, heads, first):
    """published_rwkv_reference.mix_7() for all tokens at once, but for the state itself."""
    time, moved = len(x), before(x) - x
    r, d, k, v, a, g = (x + moved * w[f"x_{name}"].flatten() for name in "rwkvag")
    value = v @ w["value.weight"].T
    if first is None:
        first = value
    else:
        value = value + (first - value) * sigmoid(w["v0"].flatten() + v @ w["v1"] @ w["v2"])
    r = (r @ w["receptance.weight"].T).view(time, heads, -1)
    decay = torch.exp(-math.exp(-0.5) * sigmoid(
        w["w0"].flatten() + torch.tanh(d @ w["w1"]) @ w["w2"])).view(time, heads, 1, -1)
    rate = sigmoid(w["a0"].flatten() + a @ w["a1"] @ w["a2"])
    gate = sigmoid(g @ w["g1"]) @ w["g2"]
    plain = k @ w["key.weight"].T
    direction = normalize((plain * w["k_k"].flatten()).view(time, heads, -1), dim=-1)
    key = (plain * (1 + (rate - 1) * w["k_a"].flatten())).view(time, heads, -1)
    value, rate = value.view(time, heads, -1), rate.view(time, heads, -1)
    memory, out = torch.zeros(heads, key.shape[-1], key.shape[-1], dtype=x.dtype), []
    for t in range(time):
        removed = memory @ direction[t].unsqueeze(-1) @ (direction[t] * rate[t]).unsqueeze(1)
        memory = memory * decay[t] - removed + value[t].unsqueeze(-1) @ key[t].unsqueeze(1)
        out.append((memory @ r[t].unsqueeze(-1)).flatten())
    out = group_norm(torch.stack(out), heads, w["ln_x.weight"], w["ln_x.bias"], 64e-5)
    out = out.view(time, heads, -1) + (r * key * w["r_k"]).sum(-1, keepdim=True) * value
    return (out.flatten(1) * gate) @ w["output.weight"].T, first


def read_rwkv7(stored, tokens, dtype):
    """The logits of RWKV-7 by its formulas, in the names of its own checkpoints."""
    w = {name: value.to(dtype) for name, value in stored.items()}
    norm = lambda x, name: layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])
    part = lambda prefix: {n[len(prefix):]: v for n, v in w.items() if n.startswith(prefix)}
    x, first = norm(w["emb.weight"][tokens], "blocks.0.ln0"), None
    for block in (f"blocks.{i}" for i in range(1 + max(
            int(name.split(".")[1]) for name in w if name.startswith("blocks.")))):
        att, ffn = part(f"{block}.att."), part(f"{block}.ffn.")
        mixed, first = mix_7(att, norm(x, f"{block}.ln1"), att["r_k"].shape[0], first)
        x = x + mixed
        normed = norm(x, f"{block}.ln2")
        k = (normed + (before(normed) - normed) * ffn["x_k"].flatten()) @ ffn["key.weight"].T
        x = x + torch.relu(k) ** 2 @ ffn["value.weight"].T
    return norm(x, "ln_out") @ w["head.weight"].T


@torch.no_grad()
def rwkv(folder):
    torch.manual_seed(1)
    tiny = rwkv7(24, 8, 96, 3, {"w": 6, "a": 5, "v": 4, "g": 9})
    tokens = torch.randint(48, (9,))
    apart = read_rwkv7(tiny, tokens, torch.float64) - Reference(tiny).read(tokens.tolist())[0]
    assert apart.abs().max() < 1e-9, "not the formulas that the tests are held to"
    stored = rwkv7(768, 64, 3072, 12, {"w": 64, "a": 64, "v": 32, "g": 128}, vocabulary=65536)
    stored = {n: v.bfloat16() for n, v in stored.items()}
    torch.save(stored, folder / "RWKV-x070-World-0.1B-random-ctx4096.pth")
    stored = {n: v.float() for n, v in stored.items()}
    tokens = torch.randint(65536, (TIME,))
    prefill = milliseconds(lambda: read_rwkv7(stored, tokens, torch.float32), 2)
    model = Reference(stored)
    model.w = stored
    states = [((a.float(), m.float()), b.float()) for (a, m), b in model.start()]
    step = milliseconds(lambda: model.step(0, states), STEPS)
    float32 = read_rwkv7(stored, tokens, torch.float32)
    logits = read_rwkv7(stored, tokens, torch.float64)
    write(folder, tokens, logits, float32, {"prefill": prefill, "step": step})


MODELS = {
    "SmolLM2-135M": lambda folder: transformers_model(folder, smollm2),
    "mamba2-130m": lambda folder: transformers_model(folder, mamba2),
    "RWKV-7-0.1B": rwkv,
    "Qwen3-0.6B": lambda folder: transformers_model(folder, qwen3, half=True),
}

if __name__ == "__main__":
    for name in sys.argv[2:] or MODELS:
        folder = pathlib.Path(sys.argv[1]) / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        MODELS[name](folder)
        gc.collect()
