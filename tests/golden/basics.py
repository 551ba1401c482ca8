"""Makes basics.safetensors: values and autograd gradients of PyTorch, and transformers' rotary, for
the small families: activation, norm, embedding, loss, optimizer, position.

    python basics.py        # torch, transformers, safetensors

The loss of each is (output * g).sum().
"""
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers.models.cohere.modeling_cohere import rotate_half as rotate_interleaved
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

HERE = pathlib.Path(__file__).parent
torch.manual_seed(0)
tensors = {}


def leaf(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).requires_grad_()


def keep(prefix, **named):
    for name, tensor in named.items():
        tensor = tensor.detach().contiguous().clone()
        tensors[f"{prefix}.{name}"] = tensor.int() if tensor.dtype == torch.int64 else tensor


def graded(output):
    g = torch.randn_like(output)
    (output * g).sum().backward()
    return g


KINDS = {
    "silu": F.silu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_exact": F.gelu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "log_sigmoid": F.logsigmoid,
    "exp": torch.exp,
    "relu_squared": lambda x: F.relu(x) ** 2,
    "relu": F.relu,
    "elu_plus_one": lambda x: F.elu(x) + 1,
}
for kind, function in KINDS.items():
    gate, x = leaf(129, scale=3.0), leaf(129)
    output = function(gate) * x
    keep(f"activation.{kind}", gate=gate, x=x, output=output, outputGradient=graded(output),
         gateGradient=gate.grad, xGradient=x.grad)

x, weight, bias = leaf(65, 12), leaf(12), leaf(12)
output = F.layer_norm(x, (12,), weight, bias, 1e-5)
keep("layerNorm", x=x, weight=weight, bias=bias, output=output, outputGradient=graded(output),
     xGradient=x.grad, weightGradient=weight.grad, biasGradient=bias.grad)

x, weight = leaf(65, 12), leaf(12)
output = F.rms_norm(x, (12,), weight, 1e-5)
keep("rmsNorm", x=x, weight=weight, output=output, outputGradient=graded(output),
     xGradient=x.grad, weightGradient=weight.grad)

tokens, weight = torch.randint(0, 17, (3, 21)), leaf(17, 6)
output = F.embedding(tokens, weight)
keep("embedding", tokens=tokens, weight=weight, output=output, outputGradient=graded(output),
     weightGradient=weight.grad)

logits, labels = leaf(33, 19, scale=4.0), torch.randint(0, 19, (33,))
labels[::4] = -1  # IGNORED as a u32
loss = F.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
F.cross_entropy(logits, labels, ignore_index=-1).backward()
keep("crossEntropy", logits=logits, labels=labels, loss=loss, logitsGradient=logits.grad)

parameter = torch.nn.Parameter(torch.randn(77))
optimizer = torch.optim.AdamW([parameter], lr=0.03, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
keep("adamW", initial=parameter)
for step in range(1, 5):
    parameter.grad = torch.randn(77) * step
    keep(f"adamW.{step}", gradient=parameter.grad)
    norm = torch.nn.utils.clip_grad_norm_([parameter], 10.0)
    keep(f"adamW.{step}", norm=norm.reshape(1))
    optimizer.step()
    keep(f"adamW.{step}", parameter=parameter)

# transformers rotates [batch, heads, time, dim]; ours is [batch, time, heads, dim].
x, positions = leaf(2, 9, 3, 16), torch.randint(0, 500, (2, 9))
frequencies = 10_000.0 ** (-torch.arange(0, 16, 2, dtype=torch.float64) / 16)
angles = positions[..., None].double() * frequencies
for name, interleaved in [("rotary", False), ("rotaryInterleaved", True)]:
    x.grad = None
    if interleaved:
        doubled = angles.repeat_interleave(2, -1)
        cos, sin = doubled.cos().float()[:, :, None], doubled.sin().float()[:, :, None]
        output = x * cos + rotate_interleaved(x) * sin
    else:
        doubled = torch.cat([angles, angles], -1)
        heads_first = x.transpose(1, 2)
        output, _ = apply_rotary_pos_emb(
            heads_first, heads_first, doubled.cos().float(), doubled.sin().float())
        output = output.transpose(1, 2)
    keep(name, x=x, positions=positions, output=output, outputGradient=graded(output),
         xGradient=x.grad)

save_file(tensors, HERE / "basics.safetensors")
