"""Makes scan.safetensors and scan_rg_lru.safetensors: values and autograd gradients from fla and transformers.

    python scan.py        # torch, transformers 5.18, fla-core 0.5.2, safetensors

Loss = (output * g1).sum() + (final_state * g2).sum().
"""
import importlib.util
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import RecurrentGemmaConfig
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


torch.manual_seed(0)
hgrn()
rg_lru()
