"""Makes attention.safetensors: values and autograd gradients from PyTorch.

    python attention.py        # torch, safetensors

Loss = (output * outputGradient).sum(). What scaled_dot_product_attention can do (causal, full, grouped
queries, a window and sinks as a mask, ALiBi as an additive mask) is done by it; the soft cap is written out.
Each case's options stand in the file's metadata.
"""
import json
import pathlib

import torch
from safetensors.torch import save_file

CASES = dict(
    causal=dict(),
    full=dict(causal=False, heads=2),
    grouped=dict(heads=4, keyHeads=2),
    window=dict(window=9),
    sinks=dict(window=9, sinks=3),
    alibi=dict(heads=2, alibiSlopes=[0.5, 0.0625]),
    softCap=dict(softCap=2.0, scale=0.7),
    cache=dict(queryTime=9, keyHeads=1, heads=2),
    segments=dict(segments=[0, 1, 11, 11, 24], window=7, sinks=2),
    head60=dict(dim=60, valueDim=8),
)


def case(name, causal=True, heads=1, keyHeads=None, window=None, sinks=0, alibiSlopes=None,
         softCap=None, scale=None, queryTime=None, time=24, dim=16, valueDim=None, segments=None):
    key_heads = keyHeads or heads
    query_time = queryTime or time
    query = torch.randn(1, query_time, heads, dim)
    key = torch.randn(1, time, key_heads, dim)
    value = torch.randn(1, time, key_heads, valueDim or dim)
    leaves = dict(query=query, key=key, value=value)
    for leaf in leaves.values():
        leaf.requires_grad_()
    # Heads before time, as torch wants them; every query head with a key head of its own.
    q = query.transpose(1, 2)
    k, v = (x.transpose(1, 2).repeat_interleave(heads // key_heads, dim=1) for x in (key, value))

    p = torch.arange(query_time)[:, None] + time - query_time
    j = torch.arange(time)[None, :]
    segment = torch.bucketize(torch.arange(time), torch.tensor(segments or [0]), right=True)
    start = torch.tensor(segments or [0])[segment - 1]
    seen = segment[p[:, 0]][:, None] == segment[None, :]
    if causal:
        seen = seen & (j <= p)
    if window is not None:
        seen = seen & ((j > p - window) | (j < start[None, :] + sinks))
    mask = torch.zeros(heads, query_time, time).masked_fill(~seen, -torch.inf)
    if alibiSlopes is not None:
        mask = mask - torch.tensor(alibiSlopes)[:, None, None] * (p - j).abs()

    sdpa = torch.nn.functional.scaled_dot_product_attention
    if softCap is not None:
        scores = softCap * torch.tanh(scale * q @ k.transpose(-1, -2) / softCap)
        output = (scores + mask).softmax(-1) @ v
    elif name == "causal":
        output = sdpa(q, k, v, is_causal=True)
    elif name == "full":
        output = sdpa(q, k, v)
    else:
        output = sdpa(q, k, v, attn_mask=mask, scale=scale)
    output = output.transpose(1, 2)
    gradient = torch.randn_like(output)
    (output * gradient).sum().backward()
    values = dict(
        leaves, output=output, outputGradient=gradient,
        **{f"{leaf}Gradient": x.grad for leaf, x in leaves.items()},
    )
    return {f"{name}.{key}": x.detach().contiguous().clone() for key, x in values.items()}


torch.manual_seed(0)
tensors = {}
for name, options in CASES.items():
    tensors |= case(name, **options)
OPTIONS = ("causal", "window", "sinks", "alibiSlopes", "softCap", "scale", "segments")
metadata = {
    name: json.dumps({option: options[option] for option in OPTIONS if option in options})
    for name, options in CASES.items()
}
path = pathlib.Path(__file__).parent / "attention.safetensors"
save_file(tensors, path, metadata)
