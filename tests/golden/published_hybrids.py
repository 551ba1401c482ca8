"""Makes, in checkpoints/published/, tiny random checkpoints of hybrids and state-space models as
transformers saves them, each with expected.safetensors beside as published.py makes it: Qwen 3.5, OLMo
Hybrid, Granite 4, Bamba, Falcon Mamba, Falcon-H1, Nemotron-H and LFM2.

    python published_hybrids.py [NAME...]       # torch, transformers, safetensors
"""
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import (BambaConfig, BambaForCausalLM, FalconH1Config, FalconH1ForCausalLM,
                          FalconMambaConfig, FalconMambaForCausalLM, GraniteMoeHybridConfig,
                          GraniteMoeHybridForCausalLM, Lfm2Config, Lfm2ForCausalLM, NemotronHConfig,
                          NemotronHForCausalLM, OlmoHybridConfig, OlmoHybridForCausalLM,
                          Qwen3_5Config, Qwen3_5ForCausalLM, Qwen3_5ForConditionalGeneration,
                          Qwen3_5TextConfig)

from published_reference import HERE, VOCABULARY, randomise, save

NO_TOKENS = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None,
             "attn_implementation": "eager"}
SMALL = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
         **NO_TOKENS}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 2, "mamba_d_state": 8,
         "mamba_chunk_size": 16}
QWEN = {**SMALL, "num_hidden_layers": 3, "full_attention_interval": 3, "head_dim": 16,
        "linear_key_head_dim": 8, "linear_value_head_dim": 12, "linear_num_key_heads": 2,
        "linear_num_value_heads": 4, "rms_norm_eps": 1e-3}
CENTRED = {"centred_norms": None, "step": -2.0}
MODELS = {
    # Heads as large as the published: a quarter of 256 elements turns.
    "qwen3_5_text": (Qwen3_5ForCausalLM, Qwen3_5TextConfig(**QWEN | {
        "head_dim": 256, "num_attention_heads": 2, "num_key_value_heads": 1,
        "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 1,
        "linear_num_value_heads": 2, "num_hidden_layers": 2, "full_attention_interval": 2},
        attention_bias=True), CENTRED),
    # With a tower for pictures, which text does not go through, and positions stretched.
    "qwen3_5": (Qwen3_5ForConditionalGeneration, Qwen3_5Config(
        text_config={**QWEN, "tie_word_embeddings": True, "rope_parameters": {
            "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64,
            "rope_theta": 1e4, "partial_rotary_factor": 0.25}},
        tie_word_embeddings=True,
        vision_config={"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
                       "out_hidden_size": 32, "patch_size": 2, "num_position_embeddings": 16},
        attn_implementation="eager"), {**CENTRED, "embedding": 0.3}),
    # Without positions, as the published models.
    "olmo_hybrid": (OlmoHybridForCausalLM, OlmoHybridConfig(
        **SMALL, num_hidden_layers=4, linear_key_head_dim=8, linear_num_key_heads=2,
        attention_bias=True, rms_norm_eps=1e-3,
        rope_parameters={"rope_type": "default", "rope_theta": None}), {"step": -2.0}),
    "olmo_hybrid_rotary": (OlmoHybridForCausalLM, OlmoHybridConfig(
        **SMALL, num_hidden_layers=2, layer_types=["linear_attention", "full_attention"],
        linear_allow_neg_eigval=False, linear_conv_kernel_dim=3,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0}), {"step": -2.0}),
    "granitemoehybrid": (GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig(
        **SMALL, **MAMBA, num_hidden_layers=3, num_local_experts=0, shared_intermediate_size=40,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
        attention_bias=True, mamba_proj_bias=True, embedding_multiplier=3.0, logits_scaling=0.6,
        residual_multiplier=0.7, attention_multiplier=0.2, tie_word_embeddings=True),
        {"step": -2.0, "embedding": 0.3}),
    "granitemoehybrid_rotary": (GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig(
        **SMALL, **MAMBA, num_hidden_layers=2, num_local_experts=0, shared_intermediate_size=40,
        layer_types=["full_attention", "linear_attention"], position_embedding_type="rope",
        mamba_conv_bias=False, rope_theta=500.0), {"step": -2.0}),
    # Half of a head turns.
    "bamba": (BambaForCausalLM, BambaConfig(
        **SMALL, **MAMBA, num_hidden_layers=3, attn_layer_indices=[1], attention_bias=True,
        mlp_bias=True, rms_norm_eps=1e-3), {"step": -2.0}),
    "falcon_mamba": (FalconMambaForCausalLM, FalconMambaConfig(
        vocab_size=VOCABULARY, hidden_size=24, state_size=8, num_hidden_layers=2, use_bias=True,
        mixer_rms_eps=1e-2, tie_word_embeddings=False, **NO_TOKENS), {}),
    # As the published models are: no norm behind the state-space layer, as there are multipliers.
    "falcon_h1": (FalconH1ForCausalLM, FalconH1Config(
        **SMALL, **MAMBA, num_hidden_layers=2, mamba_d_ssm=64, head_dim=12, mamba_proj_bias=True,
        projectors_bias=True, attention_bias=True, mlp_bias=True, embedding_multiplier=3.0,
        lm_head_multiplier=1.7, mlp_multipliers=[0.8, 1.3], key_multiplier=0.7,
        attention_in_multiplier=1.2, attention_out_multiplier=0.9,
        ssm_multipliers=[0.7, 1.4, 0.6, 1.3, 0.8], ssm_in_multiplier=1.3, ssm_out_multiplier=0.6),
        {"step": -2.0}),
    "falcon_h1_normed": (FalconH1ForCausalLM, FalconH1Config(
        **SMALL, **MAMBA, num_hidden_layers=2, mamba_d_ssm=64, mamba_rms_norm=True,
        mamba_norm_before_gate=False, tie_word_embeddings=True, rms_norm_eps=1e-3,
        lm_head_multiplier=0.5), {"step": -2.0, "embedding": 0.3}),
    # transformers 5.18 keeps steps above time_step_min, which training knows as a start alone.
    "nemotron_h": (NemotronHForCausalLM, NemotronHConfig(
        **SMALL, layers_block_type=["linear_attention", "mlp", "full_attention", "mlp"],
        head_dim=12, mlp_bias=True, use_bias=True, ssm_state_size=8, mamba_num_heads=8,
        mamba_head_dim=8, n_groups=2, chunk_size=16, time_step_min=1e-9, layer_norm_epsilon=1e-3),
        {"step": -2.0}),
    "lfm2": (Lfm2ForCausalLM, Lfm2Config(
        **SMALL, num_hidden_layers=3, layer_types=["conv", "full_attention", "conv"],
        conv_bias=True, block_multiple_of=8, rope_theta=1e3, norm_eps=1e-3), {"embedding": 0.3}),
}



def change(path, changed):
    save_file(changed(load_file(path)), path, metadata={"format": "pt"})


def olmo(tensors, renamed):
    """transformers saves the convolution of queries, keys and values in three parts of one size:
    here they have their own. Where renamed, norms have the names that they have in transformers."""
    names = {"attention_layer_norm": "input_layernorm",
             "feedforward_layer_norm": "post_attention_layernorm"} if renamed else {}
    for key in [key for key in tensors if key.endswith("q_conv1d.weight")]:
        parts = [key.replace("q_conv1d", f"{letter}_conv1d") for letter in "qkv"]
        whole = torch.cat([tensors[part] for part in parts])
        rows = [len(tensors[part.replace("conv1d", "proj")]) for part in parts]
        tensors |= {part: split.contiguous() for part, split in zip(parts, whole.split(rows))}
    for ours, theirs in names.items():
        tensors = {key.replace(ours, theirs): value for key, value in tensors.items()}
    return tensors


for seed, (name, (kind, config, options)) in enumerate(MODELS.items(), start=40):
    if sys.argv[1:] and name not in sys.argv[1:]:
        continue
    torch.manual_seed(seed)
    model = kind(config)
    randomise(model, **options)
    save(name, model)
    path = HERE / name / "model.safetensors"
    if name == "qwen3_5":
        # Published checkpoints hold a tower that predicts several tokens too; transformers leaves it.
        change(path, lambda tensors: tensors | {"mtp.fc.weight": torch.zeros(4, 4)})
    if name.startswith("olmo_hybrid"):
        change(path, lambda tensors: olmo(tensors, renamed=name.endswith("rotary")))
