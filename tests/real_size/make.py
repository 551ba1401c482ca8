"""Makes random checkpoints of published shapes, with what PyTorch says of 512 tokens beside, in float64,
and how long it takes in float32.

    python make.py FOLDER [NAME ...]        # torch, transformers, safetensors

FOLDER/NAME/ gets the checkpoint; expected.safetensors with `tokens` and `logits`; and pytorch.json with
the milliseconds of a prefill and of a step, and the error of PyTorch's own float32. RWKV-7 runs by its
formulas, token by token, as its own code needs a GPU. compare.ts reads them.
"""
import gc
import json
import pathlib
import shutil
import sys
import time

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))
from published_reference import randomise
from published_rwkv_reference import Reference, rwkv7

TIME, STEPS = 512, 8


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
        num_hidden_layers=24, tie_word_embeddings=True))


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
    if half:
        model = model.half()
    model.save_pretrained(folder)
    model = model.float()
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


class Headless(Reference):
    """Its head is apart, so that it reads its weights once for all tokens."""

    def __init__(self, stored, dtype):
        super().__init__(stored)
        self.w = {name: value.to(dtype) for name, value in stored.items()}
        self.head = self.w["head.weight"]
        self.w["head.weight"] = torch.eye(self.width, dtype=dtype)
        self.dtype = dtype

    def start(self):
        return [((a.to(self.dtype), m.to(self.dtype)), b.to(self.dtype))
                for (a, m), b in super().start()]


@torch.no_grad()
def rwkv(folder):
    torch.manual_seed(1)
    stored = rwkv7(768, 64, 3072, 12, {"w": 64, "a": 64, "v": 32, "g": 128}, vocabulary=65536)
    torch.save({n: v.bfloat16() for n, v in stored.items()},
               folder / "RWKV-x070-World-0.1B-random-ctx4096.pth")
    stored = {n: v.bfloat16().float() for n, v in stored.items()}
    tokens = torch.randint(65536, (TIME,))
    model = Headless(stored, torch.float32)
    start = time.perf_counter()
    hidden, states = model.read(tokens.tolist())
    prefill = 1000 * (time.perf_counter() - start)
    step = milliseconds(lambda: model.head @ model.step(0, states)[0], STEPS)
    float32 = hidden @ model.head.T
    model = Headless(stored, torch.float64)
    logits = model.read(tokens.tolist())[0] @ model.head.T
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
