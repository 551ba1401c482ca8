"""Makes checkpoints/published/rwkv*/: tiny random RWKV-6 and RWKV-7 checkpoints as they are published,
each with expected.safetensors beside, as published.py makes it, and besides the last logits of 2000
tokens (`tokens2000`, `logits2000`).

    python published_rwkv.py        # torch, safetensors

The reference is in published_rwkv_reference.py.
"""
import json
import shutil

import torch
from safetensors.torch import save_file

from published_rwkv_reference import (HERE, Reference, VOCABULARY, expect, inner, matters, rwkv6,
                                      rwkv7)


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
