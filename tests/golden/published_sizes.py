"""Makes checkpoints/published/sizes.json: the configs that some published checkpoints have, and how many
parameters transformers gives to a model of each, made on the meta device; what is tied counts once.

    python published_sizes.py       # torch, transformers

A config says what its publisher's says of sizes, in the words that it was published with. Of a model
with several towers the one for text is counted.
"""
import json

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from published_reference import HERE

CONFIGS = {
    "Qwen/Qwen2.5-0.5B": {
        "model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "max_position_embeddings": 32768, "max_window_layers": 24, "sliding_window": 32768,
        "use_sliding_window": False, "rope_theta": 1000000.0, "tie_word_embeddings": True},
    "Qwen/Qwen3-0.6B": {
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072,
        "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 40960, "max_window_layers": 28, "sliding_window": None,
        "use_sliding_window": False, "rope_theta": 1000000, "tie_word_embeddings": True},
    "mistralai/Mistral-7B-v0.1": {
        "model_type": "mistral", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "max_position_embeddings": 32768, "sliding_window": 4096, "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0, "tie_word_embeddings": False},
    "HuggingFaceTB/SmolLM3-3B": {
        "model_type": "smollm3", "vocab_size": 128256, "hidden_size": 2048,
        "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
        "num_key_value_heads": 4, "max_position_embeddings": 65536, "no_rope_layer_interval": 4,
        "rope_theta": 5000000.0, "use_sliding_window": False},
    "google/gemma-2-2b": {
        "model_type": "gemma2", "vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216,
        "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "query_pre_attn_scalar": 256, "sliding_window": 4096, "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0, "max_position_embeddings": 8192},
    "google/gemma-3-1b-pt": {
        "model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 1152,
        "intermediate_size": 6912, "num_hidden_layers": 26, "num_attention_heads": 4,
        "num_key_value_heads": 1, "head_dim": 256, "query_pre_attn_scalar": 256,
        "sliding_window": 512, "sliding_window_pattern": 6, "rope_theta": 1000000,
        "rope_local_base_freq": 10000, "max_position_embeddings": 32768},
    "google/gemma-3-4b-pt": {
        "model_type": "gemma3", "text_config": {
            "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
            "num_hidden_layers": 34, "sliding_window": 1024,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0}}},
    "Qwen/Qwen3.5-27B": {
        "model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "vocab_size": 248320, "hidden_size": 5120,
        "intermediate_size": 17408, "num_hidden_layers": 64, "num_attention_heads": 24,
        "num_key_value_heads": 4, "head_dim": 256, "full_attention_interval": 4,
        "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
        "linear_num_key_heads": 16, "linear_num_value_heads": 48, "tie_word_embeddings": False}},
    "allenai/Olmo-Hybrid-7B": {
        "model_type": "olmo_hybrid", "vocab_size": 100352, "hidden_size": 3840,
        "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 30,
        "rope_parameters": {"rope_type": "default", "rope_theta": None}},
    "ibm-granite/granite-4.0-h-1b": {
        "model_type": "granitemoehybrid", "vocab_size": 100352, "hidden_size": 1536,
        "num_hidden_layers": 40, "num_attention_heads": 12, "num_key_value_heads": 4,
        "num_local_experts": 0, "num_experts_per_tok": 0, "shared_intermediate_size": 4096,
        "mamba_n_heads": 48, "mamba_d_head": 64, "mamba_d_state": 128, "mamba_n_groups": 1,
        "mamba_expand": 2, "attention_multiplier": 0.0078125, "embedding_multiplier": 12,
        "logits_scaling": 6, "residual_multiplier": 0.22, "position_embedding_type": "nope",
        "layer_types": ["attention" if i % 10 == 5 else "mamba" for i in range(40)],
        "tie_word_embeddings": True},
    "ibm-ai-platform/Bamba-9B-v1": {
        "model_type": "bamba", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "attn_layer_indices": [9, 18, 27], "num_attention_heads": 32,
        "num_key_value_heads": 8, "mamba_n_heads": 128, "mamba_d_head": "auto",
        "mamba_d_state": 128, "mamba_n_groups": 1, "mamba_expand": 2},
    "tiiuae/falcon-mamba-7b": {
        "model_type": "falcon_mamba", "vocab_size": 65024, "hidden_size": 4096,
        "intermediate_size": 8192, "num_hidden_layers": 64, "state_size": 16, "expand": 16,
        "conv_kernel": 4, "time_step_rank": 256, "mixer_rms_eps": 1e-06,
        "tie_word_embeddings": False},
    "tiiuae/Falcon-H1-0.5B-Base": {
        "model_type": "falcon_h1", "vocab_size": 32784, "hidden_size": 1024,
        "intermediate_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 8,
        "num_key_value_heads": 2, "head_dim": 64, "mamba_d_ssm": 1536, "mamba_n_heads": 24,
        "mamba_d_head": 64, "mamba_d_state": 128, "mamba_n_groups": 1, "mamba_rms_norm": False,
        "tie_word_embeddings": False},
    "nvidia/Nemotron-H-8B-Base-8K": {
        "model_type": "nemotron_h", "vocab_size": 131072, "hidden_size": 4096,
        "intermediate_size": 21504, "num_hidden_layers": 52, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "mamba_num_heads": 128, "mamba_head_dim": 64,
        "ssm_state_size": 128, "n_groups": 8, "hybrid_override_pattern":
        "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-"},
    "LiquidAI/LFM2-350M": {
        "model_type": "lfm2", "vocab_size": 65536, "hidden_size": 1024, "block_ff_dim": 6656,
        "block_multiple_of": 256, "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": True,
        "num_hidden_layers": 16, "num_attention_heads": 16, "num_key_value_heads": 8,
        "conv_L_cache": 3, "conv_bias": False, "full_attn_idxs": [2, 5, 8, 10, 12, 14],
        "tie_embedding": True},
}

sizes = {}
for name, config in CONFIGS.items():
    with torch.device("meta"):
        made = AutoConfig.for_model(**config.get("text_config", config))
        model = AutoModelForCausalLM.from_config(made)
        # A module that is tied on the meta device has its parameters twice.
        model.tie_weights()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    sizes[name] = {"parameters": parameters, "config": config}
    print(name, parameters)
(HERE / "sizes.json").write_text(json.dumps(sizes, indent=2) + "\n")
