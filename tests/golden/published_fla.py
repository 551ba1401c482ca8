"""Makes checkpoints/published/: tiny random Gated DeltaNet, DeltaProduct, KDA, GLA, RetNet, DeltaNet, HGRN,
HGRN2 and Transformer checkpoints as flash-linear-attention saves them, each with expected.safetensors beside, as published.py makes it,
and besides the last logits of 2000 tokens (`tokens2000`, `logits2000`); fla_defaults.json, what each of
their configs says where it is told nothing; and fla_sizes.json, how many parameters each has then.

    git clone -b v0.5.2 https://github.com/fla-org/flash-linear-attention fla
    python published_fla.py fla [NAME...]       # torch, transformers, safetensors, einops

The models and layers are fla's own. Its kernels need a GPU: triton is named and never run here, and in
the place of each kernel stands fla's own naive function or, where it has none, the same in PyTorch
(the norms, the convolution, SwiGLU, flash attention).
"""
import importlib.abc
import importlib.machinery
import inspect
import json
import pathlib
import shutil
import sys
import types
import warnings

import torch
import torch.utils.flop_counter  # looks for triton, as transformers does: before it is stood in for
import transformers  # noqa: F401
from safetensors.torch import save_file
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent / "checkpoints" / "published"
VOCABULARY, TIME, LONG, PROMPT, NEW = 48, 250, 2000, 20, 64


class Anything:
    """Whatever of triton is named while fla is imported."""

    def __init__(self, *_, **__):
        pass

    def __call__(self, *_, **__):
        return Anything()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __getitem__(self, _):
        return Anything()

    __or__ = __ror__ = __mul__ = __rmul__ = __getitem__


class Kernel(Anything):
    def __init__(self, function, *_, **__):
        self.fn, self.__name__ = function, function.__name__
        self.__module__, self.__doc__ = function.__module__, function.__doc__
        self.arg_names = list(inspect.signature(function).parameters)

    def __getitem__(self, _):
        raise RuntimeError(f"{self.__name__} needs a GPU")


class Autotuner(Anything):
    def __init__(self, function, *_, **__):
        self.fn = function

    def __getitem__(self, _):
        raise RuntimeError(f"{self.fn.__name__} needs a GPU")


class Driver:
    def __getattr__(self, _):
        raise RuntimeError("there is no GPU")


def unchanged(*_, **__):
    return lambda function: function


class Triton(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    known = {
        "triton": {
            "__version__": "3.3.0",
            "jit": lambda function=None, **_: Kernel(function) if function else Kernel,
            "autotune": unchanged,
            "heuristics": unchanged,
        },
        "triton.runtime": {"driver": Driver()},
        "triton.runtime.autotuner": {"Autotuner": Autotuner},
    }

    def find_spec(self, name, *_):
        if name.split(".")[0] == "triton":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = Anything().__getattr__
        vars(module).update(self.known.get(spec.name, {}))
        return module

    def exec_module(self, _):
        pass


warnings.simplefilter("ignore")
sys.meta_path.insert(0, Triton())
sys.path.insert(0, sys.argv[1])
torch.compile = lambda function=None, **_: function or unchanged()

import triton.runtime.autotuner  # noqa: E402

import fla.layers.attn  # noqa: E402
import fla.layers.delta_net  # noqa: E402
import fla.layers.gated_deltaproduct  # noqa: E402
import fla.layers.gated_deltanet  # noqa: E402
import fla.layers.gla  # noqa: E402
import fla.layers.hgrn  # noqa: E402
import fla.layers.hgrn2  # noqa: E402
import fla.layers.kda  # noqa: E402
import fla.layers.mamba  # noqa: E402
import fla.layers.multiscale_retention  # noqa: E402
import fla.modules.mlp  # noqa: E402
import fla.modules.rotary  # noqa: E402
from fla.models.delta_net import DeltaNetConfig, DeltaNetForCausalLM  # noqa: E402
from fla.models.gated_deltanet import GatedDeltaNetConfig, GatedDeltaNetForCausalLM  # noqa: E402
from fla.models.gated_deltaproduct import (  # noqa: E402
    GatedDeltaProductConfig, GatedDeltaProductForCausalLM)
from fla.models.gla import GLAConfig, GLAForCausalLM  # noqa: E402
from fla.models.hgrn import HGRNConfig, HGRNForCausalLM  # noqa: E402
from fla.models.hgrn2 import HGRN2Config, HGRN2ForCausalLM  # noqa: E402
from fla.models.kda import KDAConfig, KDAForCausalLM  # noqa: E402
from fla.models.mamba import MambaConfig, MambaForCausalLM  # noqa: E402
from fla.models.retnet import RetNetConfig, RetNetForCausalLM  # noqa: E402
from fla.models.transformer import TransformerConfig, TransformerForCausalLM  # noqa: E402
from fla.modules import FusedRMSNormGated, RMSNorm, ShortConvolution  # noqa: E402
from fla.modules.layernorm import rms_norm_ref  # noqa: E402
from fla.modules.rotary import rotary_embedding_ref  # noqa: E402
from fla.ops.delta_rule.naive import delta_rule_recurrence  # noqa: E402
from fla.ops.gated_delta_product.naive import (  # noqa: E402
    naive_recurrent_gated_delta_product)
from fla.ops.gated_delta_rule.gate import naive_gdn_gate  # noqa: E402
from fla.ops.gated_delta_rule.naive import naive_recurrent_gated_delta_rule  # noqa: E402
from fla.ops.gla.naive import naive_recurrent_gla  # noqa: E402
from fla.ops.hgrn.naive import naive_recurrent_hgrn  # noqa: E402
from fla.ops.kda.gate import naive_kda_gate, naive_kda_lowerbound_gate  # noqa: E402
from fla.ops.kda.naive import naive_recurrent_kda  # noqa: E402
from fla.ops.retention.naive import naive_retention  # noqa: E402


def stand_in(module, function, *names):
    """Puts a function in the place of kernels that the module imported."""
    for name in names:
        assert hasattr(module, name), name
        setattr(module, name, function)


def unit(x):
    """What fla's l2norm does, whose epsilon is 1e-6."""
    return x / torch.sqrt(x.pow(2).sum(-1, keepdim=True) + 1e-6)


def convolve(x, weight, bias, activation):
    """Short causal depthwise convolution: x [batch, time, channels], weight [channels, taps]."""
    padded = F.pad(x.transpose(1, 2), (weight.shape[-1] - 1, 0))
    out = F.conv1d(padded, weight[:, None], bias, groups=len(weight)).transpose(1, 2)
    return out if activation is None else F.silu(out)


def short_convolution(self, x, cache=None, output_final_state=False, **_):
    assert cache is None and not output_final_state
    return convolve(x, self.weight.squeeze(1), self.bias, self.activation), None


def causal_conv1d(x, weight, bias, activation, backend):
    return convolve(x, weight, bias, activation), None


def rms_norm(self, x, residual=None, prenorm=False, residual_in_fp32=False):
    return rms_norm_ref(x, self.weight, None, residual, self.eps, prenorm)


def rms_norm_gated(self, x, g):
    activation = {"swish": F.silu, "sigmoid": torch.sigmoid}[self.activation]
    return rms_norm_ref(x, self.weight, None, eps=self.eps) * activation(g)


def rms_norm_linear(x, norm_weight, norm_bias, weight, bias, eps=1e-5):
    assert eps == inspect.signature(fla.modules.layernorm.rms_norm_linear).parameters["eps"].default
    return F.linear(rms_norm_ref(x, norm_weight, norm_bias, eps=eps), weight, bias)


def rotary_embedding(x, cos, sin, interleaved, seqlen_offsets, cu_seqlens, chunk_indices):
    assert seqlen_offsets == 0 and cu_seqlens is None
    return rotary_embedding_ref(x, cos[:x.shape[1]], sin[:x.shape[1]], interleaved)


def gla(q, k, v, gk=None, g=None, initial_state=None, output_final_state=False, **_):
    assert initial_state is None and not output_final_state
    return naive_recurrent_gla(q, k, v, g if gk is None else gk)


def retention(q, k, v, initial_state=None, output_final_state=False, **_):
    assert initial_state is None and not output_final_state
    return naive_retention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2), None


def delta_rule(q, k, v, beta, use_qk_l2norm_in_kernel, initial_state=None, **_):
    assert initial_state is None
    if use_qk_l2norm_in_kernel:
        q, k = unit(q), unit(k)
    out, _ = delta_rule_recurrence(*(x.transpose(1, 2) for x in (q, k, v, beta)))
    return out.transpose(1, 2), None


def gated_delta_rule(q, k, v, g, beta, A_log, dt_bias, allow_neg_eigval, initial_state=None,
                     output_final_state=False, use_qk_l2norm_in_kernel=False, **options):
    assert initial_state is None and not output_final_state and use_qk_l2norm_in_kernel
    assert options["use_gate_in_kernel"] and options["use_beta_sigmoid_in_kernel"]
    shared = v.shape[2] // q.shape[2]
    q, k = (unit(x).repeat_interleave(shared, 2) for x in (q, k))
    beta = beta.sigmoid() * (2 if allow_neg_eigval else 1)
    return naive_recurrent_gated_delta_rule(q, k, v, beta, naive_gdn_gate(g, A_log, dt_bias))


def kda(q, k, v, g, beta, A_log, dt_bias, allow_neg_eigval, lower_bound, initial_state=None,
        output_final_state=False, use_qk_l2norm_in_kernel=False, **options):
    assert initial_state is None and not output_final_state and use_qk_l2norm_in_kernel
    assert options["use_gate_in_kernel"] and options["use_beta_sigmoid_in_kernel"]
    decay = (naive_kda_gate(g, A_log, dt_bias) if lower_bound is None else
             naive_kda_lowerbound_gate(g, A_log, dt_bias, lower_bound))
    beta = beta.sigmoid() * (2 if allow_neg_eigval else 1)
    return naive_recurrent_kda(unit(q), unit(k), v, decay, beta)


def delta_product(q, k, v, g, beta, num_householder, initial_state=None, output_final_state=False,
                  use_qk_l2norm_in_kernel=False, **_):
    assert initial_state is None and not output_final_state and use_qk_l2norm_in_kernel
    # The naive function leaves the scale to its caller.
    return naive_recurrent_gated_delta_product(
        unit(q) * q.shape[-1] ** -0.5, unit(k), v, g, beta, scale=None, cu_seqlens=None,
        num_householder=num_householder)


def delta_product_step(q, k, v, g, beta, initial_state=None, output_final_state=False,
                       use_qk_l2norm_in_kernel=False, **_):
    """What the layer calls for short sequences, its steps laid out in time: a token's query reads behind
    its last, and where a query is 0 so is what it reads."""
    assert initial_state is None and not output_final_state and use_qk_l2norm_in_kernel
    decay = torch.zeros_like(beta) if g is None else g
    return naive_recurrent_gated_delta_rule(unit(q), unit(k), v, beta, decay)


def hgrn(x, g, initial_state=None, output_final_state=False, **_):
    assert initial_state is None and not output_final_state
    return naive_recurrent_hgrn(x, g)


def gated_input(x, gate):
    """fla's swiglu."""
    return F.silu(x) * gate


def flash_attention(q, k, v, causal, window_size):
    """q [batch, time, heads, dim]; a query sees window_size[0] tokens before it, all where it is -1."""
    back = torch.arange(q.shape[1])[:, None] - torch.arange(k.shape[1])
    seen = (back >= 0) & ((back <= window_size[0]) | (window_size[0] < 0))
    shared = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(shared, 2) for x in (k, v))
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2)


RMSNorm.forward = rms_norm
FusedRMSNormGated.forward = rms_norm_gated
ShortConvolution.forward = short_convolution
stand_in(fla.layers.gated_deltanet, causal_conv1d, "causal_conv1d")
stand_in(fla.layers.gated_deltanet, gated_delta_rule, "chunk_gated_delta_rule",
         "fused_recurrent_gated_delta_rule")
stand_in(fla.layers.gla, gla, "chunk_gla", "fused_recurrent_gla")
stand_in(fla.layers.hgrn2, gla, "chunk_gla", "fused_recurrent_gla")
stand_in(fla.layers.hgrn2, F.silu, "swish")
stand_in(fla.layers.hgrn2, rms_norm_linear, "rms_norm_linear")
stand_in(fla.layers.multiscale_retention, retention, "chunk_retention", "fused_recurrent_retention")
stand_in(fla.layers.delta_net, delta_rule, "chunk_delta_rule", "fused_recurrent_delta_rule")
stand_in(fla.layers.gated_deltaproduct, delta_product, "chunk_gated_delta_product")
stand_in(fla.layers.gated_deltaproduct, delta_product_step, "fused_recurrent_gated_delta_rule")
stand_in(fla.layers.kda, kda, "chunk_kda", "fused_recurrent_kda")
stand_in(fla.layers.hgrn, hgrn, "chunk_hgrn", "fused_recurrent_hgrn")
stand_in(fla.layers.hgrn, gated_input, "swiglu")
stand_in(fla.layers.mamba, {"silu": F.silu}, "ACT2FN")
stand_in(fla.layers.attn, flash_attention, "flash_attn_func")
stand_in(fla.modules.rotary, rotary_embedding, "rotary_embedding")
stand_in(fla.modules.mlp, lambda gate, y, weight, bias: F.linear(F.silu(gate) * y, weight, bias),
         "swiglu_linear")


def randomise(model, embedding):
    for name, parameter in model.named_parameters():
        values = torch.randn_like(parameter)
        if name.endswith(("A_log", "dt_bias", "dt_proj.bias")):
            # Rates that are all made 1 would not show where they are forgotten.
            if not parameter.any():
                parameter.data = 0.5 * values
            continue
        if "embed" in name:
            values *= embedding
        elif "norm" in name:
            values = 1 + 0.2 * values
        elif name.endswith(".D"):
            values += 1
        elif name.endswith("bias"):
            values *= 0.2
        elif "conv" in name:
            values *= 0.5
        else:
            values *= 1.5 / values.shape[-1] ** 0.5
        parameter.data = values


@torch.no_grad()
def logits_of(model, tokens):
    return model(tokens[None], use_cache=False, return_dict=True).logits[0]


def greedy(model, prompt):
    tokens, margin = prompt, torch.inf
    for _ in range(NEW):
        logits = logits_of(model, tokens)[-1]
        best = logits.topk(2).values
        margin = min(margin, float(best[0] - best[1]))
        tokens = torch.cat([tokens, logits.argmax()[None]])
    return tokens[len(prompt):], margin


def save(name, config, kind, seed, long=False):
    if sys.argv[2:] and name not in sys.argv[2:]:
        return
    torch.manual_seed(seed)
    # fla lists what is tied as transformers 4 took it: tied here.
    tied, config.tie_word_embeddings = config.tie_word_embeddings, False
    model = kind(config).eval()
    config.tie_word_embeddings = tied
    if tied:
        model.lm_head.weight = model.get_input_embeddings().weight
    randomise(model, embedding=0.3 if tied else 1.0)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config.architectures = [kind.__name__]
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()
               if not (tied and name == "lm_head.weight")}, folder / "model.safetensors")
    margin = 0
    # A tie is decided by rounding, and one token for ever says little: other tokens.
    while margin < 2e-3 or len(set(generated.tolist())) < 8:
        tokens = torch.randint(VOCABULARY, (TIME,))
        generated, margin = greedy(model, tokens[:PROMPT])
    expected = {
        "tokens": tokens.int(),
        "logits": logits_of(model, tokens),
        "logits1": logits_of(model, tokens[:1]),
        "logits2": logits_of(model, tokens[:2]),
        "generated": generated.int(),
    }
    if long:
        tokens = torch.randint(VOCABULARY, (LONG,))
        expected |= {"tokens2000": tokens.int(), "logits2000": logits_of(model, tokens)[-TIME // 5:]}
    save_file({name: value.contiguous() for name, value in expected.items()},
              folder / "expected.safetensors")
    rms = expected["logits"].pow(2).mean().sqrt()
    print(name, f"smallest margin {margin:.2g}, RMS {rms:.2g}, {generated.tolist()}", flush=True)


SMALL = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
         "num_hidden_layers": 2, "max_position_embeddings": 256}
save("gated_deltanet", GatedDeltaNetConfig(**SMALL, head_dim=12, num_heads=2),
     GatedDeltaNetForCausalLM, 11, long=True)
save("gated_deltanet_hybrid", GatedDeltaNetConfig(
    **SMALL | {"num_hidden_layers": 3}, head_dim=8, num_heads=2, num_v_heads=4, expand_v=1.5,
    use_gate=False, use_short_conv=False, allow_neg_eigval=True, norm_eps=1e-3,
    tie_word_embeddings=True, attn={"layers": [1], "num_heads": 4, "num_kv_heads": 2,
                                    "qkv_bias": True, "window_size": 30, "rope_theta": 500.0}),
    GatedDeltaNetForCausalLM, 12)
save("gla", GLAConfig(**SMALL, num_heads=2), GLAForCausalLM, 13, long=True)
save("gla_varied", GLAConfig(
    **SMALL | {"num_hidden_layers": 4}, num_heads=4, num_kv_heads=2, expand_k=1.0, expand_v=1.5,
    use_short_conv=True, conv_size=3, use_output_gate=False, feature_map="relu", clamp_min=-0.04,
    norm_eps=1e-3, attn=[{"layers": [1], "num_heads": 4}, {"layers": [2], "num_heads": 2,
                                                           "window_size": 20}]),
    GLAForCausalLM, 14)
# The perceptron's width as it comes from hidden_ratio, a multiple of 256.
save("retnet", RetNetConfig(**SMALL | {"hidden_size": 16, "intermediate_size": None}, num_heads=2),
     RetNetForCausalLM, 15, long=True)
save("retnet_varied", RetNetConfig(
    **SMALL, num_heads=4, num_kv_heads=2, expand_k=0.5, expand_v=1.5, feature_map="silu",
    fuse_norm=False, norm_eps=1e-3), RetNetForCausalLM, 16)
save("delta_net", DeltaNetConfig(**SMALL, num_heads=2), DeltaNetForCausalLM, 17, long=True)
save("delta_net_varied", DeltaNetConfig(
    **SMALL, num_heads=2, expand_k=0.75, expand_v=1.5, use_gate=True, use_beta=False,
    qk_activation="elu", conv_size=3, norm_eps=1e-3), DeltaNetForCausalLM, 18)
save("hgrn2", HGRN2Config(**SMALL | {"num_hidden_layers": 3}, expand_ratio=16), HGRN2ForCausalLM, 19,
     long=True)

save("gated_deltaproduct", GatedDeltaProductConfig(
    **SMALL, head_dim=8, num_heads=2, num_householder=2, use_forget_gate=True,
    allow_neg_eigval=True), GatedDeltaProductForCausalLM, 80, long=True)
save("gated_deltaproduct_varied", GatedDeltaProductConfig(
    **SMALL | {"num_hidden_layers": 3}, head_dim=8, num_heads=2, expand_v=1.5, num_householder=3,
    use_output_gate=False, use_short_conv=False, norm_eps=1e-3,
    attn={"layers": [1], "num_heads": 4}), GatedDeltaProductForCausalLM, 81, long=True)
save("kda", KDAConfig(**SMALL, head_dim=8, num_heads=2, num_v_heads=4), KDAForCausalLM, 82, long=True)
save("kda_varied", KDAConfig(
    **SMALL | {"num_hidden_layers": 3}, head_dim=8, num_heads=2, expand_v=1.5, use_short_conv=False,
    allow_neg_eigval=True, safe_gate=True, lower_bound=-3.0, norm_eps=1e-3,
    attn={"layers": [2], "num_heads": 4, "window_size": 30}), KDAForCausalLM, 83, long=True)
save("hgrn", HGRNConfig(**SMALL | {"num_hidden_layers": 3}), HGRNForCausalLM, 84, long=True)
save("hgrn_varied", HGRNConfig(
    **SMALL | {"num_hidden_layers": 3}, expand_ratio=1.5, use_short_conv=True, conv_size=3,
    use_lower_bound=False, norm_eps=1e-3, attn={"layers": [0], "num_heads": 4}),
    HGRNForCausalLM, 85, long=True)
save("transformer_fla", TransformerConfig(
    **SMALL, num_heads=4, num_kv_heads=2, qkv_bias=True, qk_norm=True, window_size=30,
    rope_theta=500.0, norm_eps=1e-3), TransformerForCausalLM, 86, long=True)
save("mamba_fla", MambaConfig(
    vocab_size=VOCABULARY, hidden_size=24, state_size=8, num_hidden_layers=2, dt_rank=3,
    norm_eps=1e-3), MambaForCausalLM, 87, long=True)

KINDS = [
    (GatedDeltaNetForCausalLM, GatedDeltaNetConfig), (GLAForCausalLM, GLAConfig),
    (RetNetForCausalLM, RetNetConfig), (DeltaNetForCausalLM, DeltaNetConfig),
    (HGRN2ForCausalLM, HGRN2Config), (GatedDeltaProductForCausalLM, GatedDeltaProductConfig),
    (KDAForCausalLM, KDAConfig), (HGRNForCausalLM, HGRNConfig),
    (TransformerForCausalLM, TransformerConfig),
]
(HERE / "fla_defaults.json").write_text(json.dumps(
    {kind.__name__: config().to_dict() for kind, config in KINDS}, indent=2, sort_keys=True) + "\n")


def parameters_of(kind, config):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in kind(config()).parameters())


(HERE / "fla_sizes.json").write_text(json.dumps(
    {kind.__name__: parameters_of(kind, config) for kind, config in KINDS}, indent=2) + "\n")
