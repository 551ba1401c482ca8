"""Makes checkpoints/published/: tiny random checkpoints as transformers saves them, each with
expected.safetensors beside: the logits of the tokens read whole (`logits`), of one and of two tokens
(`logits1`, `logits2`), the last logits of 2000 tokens (`tokens2000`, `logits2000`), and what a prompt
of 20 tokens continues with greedily (`generated`).

    python published.py        # torch, transformers, safetensors

llama/ has a config.<variant>.json and expected.<variant>.safetensors more for each way to stretch
rotary positions. mamba_ssm needs a GPU: the folders whose names end in _ssm are transformers' Mamba
and Mamba-2 with what mamba_ssm has otherwise written out below (the gated norm with group_size =
inner / ngroups, attention layers, gated perceptrons), saved as mamba_ssm saves them. All of Mamba-2
has that norm, as what is published was trained with it, where transformers norms the whole width.
"""
import json
import shutil

import torch
from transformers import (LlamaConfig, LlamaForCausalLM, Mamba2Config, Mamba2ForCausalLM,
                          MambaConfig, MambaForCausalLM, RecurrentGemmaConfig,
                          RecurrentGemmaForCausalLM)

from published_reference import HERE, VOCABULARY, expect, randomise, save


def llama(**options):
    return LlamaConfig(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48,
                       num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                       max_position_embeddings=64, rms_norm_eps=1e-6, **options)


torch.manual_seed(1)
model = LlamaForCausalLM(llama())
randomise(model)
save("llama", model, cached=True)
weights = model.state_dict()
STRETCHED = {"rope_theta": 10000.0, "factor": 4.0}
for kind, more in {
    "linear": {},
    "dynamic": {},
    "yarn": {"original_max_position_embeddings": 64},
    "llama3": {"original_max_position_embeddings": 64, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0},
}.items():
    config = llama(rope_parameters={"rope_type": kind, **STRETCHED, **more})
    stretched = LlamaForCausalLM(config)
    stretched.load_state_dict(weights)
    config.architectures = ["LlamaForCausalLM"]
    config.to_json_file(HERE / "llama" / f"config.{kind}.json")
    expect(stretched, HERE / "llama" / f"expected.{kind}.safetensors", cached=True)

torch.manual_seed(2)
model = LlamaForCausalLM(llama(head_dim=12, attention_bias=True, mlp_bias=True,
                               tie_word_embeddings=True))
randomise(model, embedding=0.3)
save("llama_tied", model, cached=True)

for name, options in {
    "mamba": {},
    "mamba_biased": {"use_bias": True, "use_conv_bias": False, "tie_word_embeddings": False,
                     "time_step_rank": 3, "conv_kernel": 3, "layer_norm_epsilon": 1e-3},
}.items():
    torch.manual_seed(3)
    model = MambaForCausalLM(MambaConfig(vocab_size=VOCABULARY, hidden_size=24, state_size=8,
                                         num_hidden_layers=2, **options))
    randomise(model)
    save(name, model)


def grouped_norm(norm, groups=2):
    def forward(hidden, gate):
        gated = (hidden * torch.nn.functional.silu(gate)).unflatten(-1, (groups, -1))
        mean = gated.pow(2).mean(-1, keepdim=True)
        return (gated * torch.rsqrt(mean + norm.variance_epsilon)).flatten(-2) * norm.weight
    return forward


def mamba2(**options):
    return Mamba2Config(vocab_size=VOCABULARY, hidden_size=32, num_heads=8, head_dim=8,
                        n_groups=2, state_size=8, num_hidden_layers=2, chunk_size=16, **options)


for name, options in {
    "mamba2": {"tie_word_embeddings": True},
    "mamba2_biased": {"use_bias": True, "use_conv_bias": False, "time_step_limit": (0.004, 0.03),
                      "layer_norm_epsilon": 1e-3, "conv_kernel": 3},
}.items():
    torch.manual_seed(4)
    model = Mamba2ForCausalLM(mamba2(**options))
    randomise(model, embedding=0.3)
    for layer in model.backbone.layers:
        layer.mixer.norm.forward = grouped_norm(layer.mixer.norm)
    save(name, model)

torch.manual_seed(5)
model = Mamba2ForCausalLM(mamba2(tie_word_embeddings=True))
randomise(model, embedding=0.3)


def save_ssm(name, model, **config):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({
        "n_layer": 2,
        "vocab_size": VOCABULARY - 3,
        "rms_norm": True,
        "residual_in_fp32": True,
        "fused_add_norm": True,
        "pad_vocab_size_multiple": 16,
        **config,
    }, indent=2) + "\n")
    torch.save({name.replace("embeddings", "embedding"): value
                for name, value in model.state_dict().items()}, folder / "pytorch_model.bin")
    expect(model, folder / "expected.safetensors")


MAMBA2 = {"layer": "Mamba2", "headdim": 8, "d_state": 8, "ngroups": 2}
for layer in model.backbone.layers:
    layer.mixer.norm.forward = grouped_norm(layer.mixer.norm)
save_ssm("mamba2_ssm", model, d_model=32, d_intermediate=0, ssm_cfg=MAMBA2, attn_layer_idx=[],
         attn_cfg={}, tie_embeddings=True)


class Attention(torch.nn.Module):
    """mamba_ssm's MHA: one projection, a convolution without an activation, partial rotary halves."""

    def __init__(self, width, heads, key_heads, dim, taps, rotary_dim, bias):
        super().__init__()
        self.heads, self.key_heads, self.dim, self.taps = heads, key_heads, dim, taps
        self.rotary_dim = rotary_dim
        channels = dim * (heads + 2 * key_heads)
        self.in_proj = torch.nn.Linear(width, channels, bias=bias)
        if taps:
            self.conv1d = torch.nn.Conv1d(channels, channels, taps, groups=channels,
                                          padding=taps - 1)
        self.out_proj = torch.nn.Linear(dim * heads, width, bias=bias)

    def rotate(self, x):
        time, half = x.shape[1], self.rotary_dim // 2
        angle = torch.outer(torch.arange(time), 10000.0 ** (-torch.arange(half) / half)).double()
        cos, sin = (f(angle).float()[:, None] for f in (torch.cos, torch.sin))
        u, v, rest = x.split([half, half, self.dim - 2 * half], -1)
        return torch.cat([u * cos - v * sin, v * cos + u * sin, rest], -1)

    def forward(self, x, **_):
        projected = self.in_proj(x)
        if self.taps:
            time = x.shape[1]
            projected = self.conv1d(projected.transpose(1, 2))[..., :time].transpose(1, 2)
        q, k, v = projected.unflatten(-1, (-1, self.dim)).split(
            [self.heads, self.key_heads, self.key_heads], 2)
        q, k = self.rotate(q), self.rotate(k)
        repeats = self.heads // self.key_heads
        q, k, v = (part.transpose(1, 2) for part in
                   (q, k.repeat_interleave(repeats, 2), v.repeat_interleave(repeats, 2)))
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(mixed.transpose(1, 2).flatten(-2))


class GatedMLP(torch.nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1 = torch.nn.Linear(width, 2 * hidden, bias=False)
        self.fc2 = torch.nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        y, gate = self.fc1(x).chunk(2, -1)
        return self.fc2(y * torch.nn.functional.silu(gate))


class Block(torch.nn.Module):
    def __init__(self, width, mixer, hidden):
        super().__init__()
        self.norm, self.mixer = torch.nn.RMSNorm(width, eps=1e-5), mixer
        if hidden:
            self.norm2, self.mlp = torch.nn.RMSNorm(width, eps=1e-5), GatedMLP(width, hidden)

    def forward(self, x, **_):
        x = x + self.mixer(self.norm(x))
        return x + self.mlp(self.norm2(x)) if hasattr(self, "mlp") else x


torch.manual_seed(7)
model = Mamba2ForCausalLM(mamba2(tie_word_embeddings=True))
model.backbone.layers[1] = Block(32, Attention(32, 4, 2, 12, 4, 8, bias=False), 0)
randomise(model, embedding=0.3)
model.backbone.layers[0].mixer.norm.forward = grouped_norm(model.backbone.layers[0].mixer.norm)
save_ssm("mamba2attn_ssm", model, d_model=32, d_intermediate=0, ssm_cfg=MAMBA2,
         attn_layer_idx=[1], tie_embeddings=True, attn_cfg={
             "causal": True, "d_conv": 4, "head_dim": 12, "num_heads": 4, "num_heads_kv": 2,
             "out_proj_bias": False, "qkv_proj_bias": False, "rotary_emb_dim": 8})

torch.manual_seed(8)
model = Mamba2ForCausalLM(mamba2())
for index in range(2):
    model.backbone.layers[index] = Block(32, Attention(32, 4, 4, 8, 0, 8, bias=True), 128)
randomise(model)
save_ssm("transformerpp_ssm", model, d_model=32, d_intermediate=100, ssm_cfg={"layer": "Mamba2"},
         attn_layer_idx=[0, 1], tie_embeddings=False, attn_cfg={
             "causal": True, "num_heads": 4, "rotary_emb_dim": 8})

torch.manual_seed(9)
model = MambaForCausalLM(MambaConfig(vocab_size=VOCABULARY, hidden_size=24, state_size=16,
                                     num_hidden_layers=2))
for layer in model.backbone.layers:
    layer.norm = torch.nn.LayerNorm(24, eps=1e-5)
model.backbone.norm_f = torch.nn.LayerNorm(24, eps=1e-5)
randomise(model, embedding=0.3)
save_ssm("mamba_ssm", model, d_model=24, ssm_cfg={}, rms_norm=False)

for name, options in {
    "recurrent_gemma": {},
    "recurrent_gemma_biased": {"attention_bias": True, "num_key_value_heads": 2,
                               "num_attention_heads": 4, "hidden_size": 32, "lru_width": 48,
                               "logits_soft_cap": 5.0, "rms_norm_eps": 1e-3,
                               "block_types": ["attention", "recurrent"]},
}.items():
    torch.manual_seed(6)
    config = RecurrentGemmaConfig(**{
        "vocab_size": VOCABULARY, "hidden_size": 40, "lru_width": 40, "num_attention_heads": 5,
        "num_key_value_heads": 1, "intermediate_size": 80, "num_hidden_layers": 3,
        "attention_window_size": 30, **options,
    })
    model = RecurrentGemmaForCausalLM(config)
    randomise(model, centred_norms=True, embedding=0.1)
    save(name, model)
