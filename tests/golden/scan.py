"""Makes scan.safetensors, scan_rg_lru.safetensors and scan_selective.safetensors: values and autograd
gradients from fla and transformers.

    python scan.py        # torch, transformers 5.18, fla-core 0.5.2, safetensors

Loss = (output * g1).sum() + (final_state * g2).sum().
"""
import importlib.util
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import RecurrentGemmaConfig
from transformers.models.mamba.modeling_mamba import mamba_selective_scan
from transformers.models.recurrent_gemma.modeling_recurrent_gemma import RecurrentGemmaRglru

HERE = pathlib.Path(__file__).parent


def fla_naive(family):
    """fla's package wants triton to import; its naive functions do not."""
    path = next(
        pathlib.Path(p, "fla/ops", family, "naive.py")
        for p in sys.path
        if pathlib.Path(p, "fla/ops", family, "naive.py").exists()
    )
    spec = importlib.util.spec_from_file_location(f"naive_{family}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaf(*shape):
    return torch.randn(*shape, requires_grad=True)


def keep(tensors, prefix, **named):
    for name, tensor in named.items():
        tensors[f"{prefix}.{name}"] = tensor.detach().float().contiguous().clone()


def hgrn():
    naive_recurrent_hgrn = fla_naive("hgrn").naive_recurrent_hgrn
    tensors = {}
    for batch, time, channels in [(1, 1, 3), (2, 65, 8), (1, 257, 5)]:
        prefix = f"{batch}x{time}x{channels}"
        x, initial_state = leaf(batch, time, channels), leaf(batch, channels)
        decay = torch.rand(batch, time, channels).requires_grad_()
        output, final_state = naive_recurrent_hgrn(x, decay.log(), initial_state, True)
        g1, g2 = torch.randn_like(output), torch.randn_like(final_state)
        ((output * g1).sum() + (final_state * g2).sum()).backward()
        keep(
            tensors, prefix, decay=decay, input=x, initialState=initial_state, output=output,
            finalState=final_state, outputGradient=g1, finalStateGradient=g2,
            decayGradient=decay.grad, inputGradient=x.grad, initialStateGradient=initial_state.grad,
        )
    save_file(tensors, HERE / "scan.safetensors")


def rg_lru():
    """RecurrentGemma's own module; its two gate projections are replaced by leaves."""
    tensors = {}
    for batch, time, channels, first in [(2, 65, 4, 0), (2, 66, 4, 9), (1, 130, 6, 9)]:
        prefix = f"{batch}x{time}x{channels}"
        module = RecurrentGemmaRglru(
            RecurrentGemmaConfig(lru_width=channels, num_attention_heads=1)
        )
        module.recurrent_param.data = torch.linspace(-6, 1, channels)
        x, input_gate = leaf(batch, time, channels), leaf(batch, time, channels)
        recurrence_gate, initial_state = leaf(batch, time, channels), leaf(batch, channels)
        module.recurrent_states = initial_state
        projections = [g.reshape(1, batch * time, channels) for g in (input_gate, recurrence_gate)]
        baddbmm, torch.baddbmm = torch.baddbmm, lambda *_: projections.pop(0)
        try:
            output = module(x, first + torch.arange(time).expand(batch, time))
        finally:
            torch.baddbmm = baddbmm
        final_state = module.recurrent_states
        g1, g2 = torch.randn_like(output), torch.randn_like(final_state)
        ((output * g1).sum() + (final_state * g2).sum()).backward()
        keep(
            tensors, prefix, input=x, recurrenceGate=recurrence_gate, inputGate=input_gate,
            decayParameter=module.recurrent_param, initialState=initial_state, output=output,
            finalState=final_state, outputGradient=g1, finalStateGradient=g2, inputGradient=x.grad,
            recurrenceGateGradient=recurrence_gate.grad, inputGateGradient=input_gate.grad,
            decayParameterGradient=module.recurrent_param.grad,
            initialStateGradient=initial_state.grad,
            resetFirst=torch.tensor([float(first == 0)]),
        )
    save_file(tensors, HERE / "scan_rg_lru.safetensors")


def selective():
    """transformers' Mamba, which is mamba_ssm's selective_scan_ref; its state of zeros is replaced by a leaf."""
    tensors = {}
    for batch, time, channels, state in [(2, 1, 3, 4), (2, 65, 5, 16), (1, 100, 4, 20)]:
        prefix = f"{batch}x{time}x{channels}x{state}"
        named = dict(
            input=leaf(batch, time, channels), delta=leaf(batch, time, channels),
            a=(-torch.rand(channels, state) * 3).requires_grad_(), b=leaf(batch, time, state),
            c=leaf(batch, time, state), skip=leaf(channels), gate=leaf(batch, time, channels),
            deltaBias=leaf(channels), initialState=leaf(batch, channels, state),
        )
        t = {name: x.transpose(1, 2) if x.dim() == 3 else x for name, x in named.items()}
        zeros, torch.zeros = torch.zeros, lambda *_, **__: named["initialState"]
        try:
            output, final_state = mamba_selective_scan(
                t["input"], t["delta"], t["a"], t["b"], t["c"], D=t["skip"], z=t["gate"],
                delta_bias=t["deltaBias"], delta_softplus=True, return_last_state=True,
            )
        finally:
            torch.zeros = zeros
        output = output.transpose(1, 2)
        g1, g2 = torch.randn_like(output), torch.randn_like(final_state)
        ((output * g1).sum() + (final_state * g2).sum()).backward()
        keep(
            tensors, prefix, **named, output=output, finalState=final_state, outputGradient=g1,
            finalStateGradient=g2, **{f"{name}Gradient": x.grad for name, x in named.items()},
        )
    save_file(tensors, HERE / "scan_selective.safetensors")


torch.manual_seed(0)
hgrn()
rg_lru()
selective()
