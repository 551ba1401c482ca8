"""Makes convolution.safetensors: values and autograd gradients of torch's depthwise conv1d.

    python convolution.py        # torch, safetensors

Loss = (output * g1).sum() + (final_tail * g2).sum().
"""
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent


def leaf(*shape):
    return torch.randn(*shape, requires_grad=True)


torch.manual_seed(0)
tensors = {}
for batch, time, channels, width, activation in [
    (2, 65, 5, 4, "silu"),
    (1, 100, 8, 3, "none"),
    (2, 2, 3, 4, "silu"),
    (1, 1, 6, 7, "none"),
]:
    x, weight, bias = leaf(batch, time, channels), leaf(channels, width), leaf(channels)
    tail = leaf(batch, width - 1, channels)
    padded = torch.cat([tail, x], 1)
    output = F.conv1d(padded.transpose(1, 2), weight[:, None], bias, groups=channels).transpose(1, 2)
    if activation == "silu":
        output = F.silu(output)
    final_tail = padded[:, time:]
    g1, g2 = torch.randn_like(output), torch.randn_like(final_tail)
    ((output * g1).sum() + (final_tail * g2).sum()).backward()
    named = dict(
        x=x, weight=weight, bias=bias, initialTail=tail, output=output, finalTail=final_tail,
        outputGradient=g1, finalTailGradient=g2, xGradient=x.grad, weightGradient=weight.grad,
        biasGradient=bias.grad, initialTailGradient=tail.grad,
    )
    for name, tensor in named.items():
        key = f"{batch}x{time}x{channels}x{width}.{activation}.{name}"
        tensors[key] = tensor.detach().contiguous().clone()
save_file(tensors, HERE / "convolution.safetensors")
