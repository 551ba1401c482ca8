"""Makes, in checkpoints/published/, tiny random checkpoints of attention models as transformers saves them,
each with expected.safetensors beside as published.py makes it: Qwen 2 and 3, Mistral, SmolLM 3, Gemma 2
and 3.

    python published_attention.py [NAME...]       # torch, transformers, safetensors
"""
import sys

import torch
from transformers import (Gemma2Config, Gemma2ForCausalLM, Gemma3Config, Gemma3ForCausalLM,
                          Gemma3ForConditionalGeneration, Gemma3TextConfig, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM, SmolLM3Config, SmolLM3ForCausalLM)

from published_reference import VOCABULARY, randomise, save

SMALL = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
         "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 256, "pad_token_id": None, "bos_token_id": None,
         "eos_token_id": None, "attn_implementation": "eager"}
# Gemma's norms multiply by 1 + weight, and its embedding by the root of the width.
GEMMA = {"centred_norms": True, "embedding": 0.1}
MODELS = {
    # Windows from the second layer on.
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(
        **SMALL, use_sliding_window=True, sliding_window=20, max_window_layers=1,
        rope_theta=1e6, rms_norm_eps=1e-3, tie_word_embeddings=True), {"embedding": 0.3}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(
        **SMALL, head_dim=12, attention_bias=True, rope_theta=1e6, rms_norm_eps=1e-3), {}),
    "mistral": (MistralForCausalLM, MistralConfig(
        **SMALL, head_dim=12, sliding_window=30, rms_norm_eps=1e-5), {}),
    "smollm3": (SmolLM3ForCausalLM, SmolLM3Config(
        **SMALL, no_rope_layer_interval=2, attention_bias=True, mlp_bias=True, rope_theta=5e6),
        {"embedding": 0.3}),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config(
        **SMALL, head_dim=12, query_pre_attn_scalar=20, sliding_window=20,
        attn_logit_softcapping=3.0, final_logit_softcapping=2.0, attention_bias=True), GEMMA),
    # Its published configs of 4B and above stretch the positions of the layers without a window.
    "gemma3_text": (Gemma3ForCausalLM, Gemma3TextConfig(
        **SMALL, head_dim=12, query_pre_attn_scalar=20, sliding_window=20, sliding_window_pattern=3,
        rope_theta=1e6, rope_local_base_freq=1e3, rope_scaling={"rope_type": "linear", "factor": 8.0},
        final_logit_softcapping=2.0), GEMMA),
    # With a tower for pictures, which text does not go through.
    "gemma3": (Gemma3ForConditionalGeneration, Gemma3Config(
        text_config={**SMALL, "head_dim": 12, "query_pre_attn_scalar": 20, "sliding_window": 20,
                     "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
                     "num_key_value_heads": 4},
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
                       "num_attention_heads": 2, "image_size": 16, "patch_size": 8},
        mm_tokens_per_image=4, attn_implementation="eager"),
        {"centred_norms": None, "embedding": 0.1}),
}

for seed, (name, (kind, config, options)) in enumerate(MODELS.items(), start=20):
    if sys.argv[1:] and name not in sys.argv[1:]:
        continue
    torch.manual_seed(seed)
    model = kind(config)
    randomise(model, **options)
    save(name, model)
