"""What the scripts that make checkpoints/published/ share: random weights, and what a model says of
tokens and of a prompt. Imported by published.py, published_attention.py and published_hybrids.py.
"""
import pathlib
import shutil

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "checkpoints" / "published"
VOCABULARY, TIME, LONG, PROMPT, NEW = 48, 250, 2000, 20, 64


def randomise(model, centred_norms=False, embedding=1.0, step=None):
    """Random weights; with centred_norms=None each norm's lie about the one value that it was made with.

    A step says about what the steps of state-space layers are before their softplus: as they are made
    if there is none.
    """
    for name, parameter in model.named_parameters():
        values = torch.randn_like(parameter)
        if step is not None and name.endswith("dt_bias"):
            parameter.data = step + 0.5 * values
            continue
        if name.endswith(("A_log", "dt_bias", "dt_proj.bias", "recurrent_param")):
            continue
        if "embed" in name and "norm" not in name:
            values *= embedding
        elif "norm" in name:
            centre = parameter.flatten()[0] if centred_norms is None else 0 if centred_norms else 1
            values = 0.2 * values + centre
        elif name.endswith("bias"):
            values *= 0.2
        elif name.endswith(".D"):
            values += 1
        elif "conv" in name.split(".")[-2]:
            values *= 0.5
        else:
            values *= 1.5 / values.shape[-1] ** 0.5
        parameter.data = values


@torch.no_grad()
def greedy(model, prompt, cached):
    tokens, past, margin = list(prompt), None, torch.inf
    for _ in range(NEW):
        if cached and past is not None:
            out = model(torch.tensor([tokens[-1:]]), past_key_values=past, use_cache=True)
        else:
            out = model(torch.tensor([tokens]), use_cache=cached)
        past = out.past_key_values if cached else None
        best = out.logits[0, -1].topk(2).values
        margin = min(margin, float(best[0] - best[1]))
        tokens.append(int(out.logits[0, -1].argmax()))
    return tokens[len(prompt):], margin


@torch.no_grad()
def expect(model, path, cached=False):
    model.eval()
    margin = 0
    # A tie is decided by rounding, and one token for ever says little: other tokens.
    while margin < 2e-3 or len(set(generated)) < 8:
        tokens = torch.randint(VOCABULARY, (TIME,))
        generated, margin = greedy(model, tokens[:PROMPT].tolist(), cached)
    logits = [model(tokens[None, :t], use_cache=False).logits[0] for t in (TIME, 1, 2)]
    rms = logits[0].pow(2).mean().sqrt()
    long = torch.randint(VOCABULARY, (LONG,), generator=torch.Generator().manual_seed(LONG))
    print(path.relative_to(HERE), f"smallest margin {margin:.2g}, RMS {rms:.2g}, {generated}")
    save_file({
        "tokens": tokens.int(),
        "logits": logits[0].contiguous(),
        "logits1": logits[1].contiguous(),
        "logits2": logits[2].contiguous(),
        "generated": torch.tensor(generated).int(),
        "tokens2000": long.int(),
        "logits2000": model(long[None], use_cache=False).logits[0, -8:].contiguous(),
    }, path)


def save(name, model, cached=False):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    expect(model, folder / "expected.safetensors", cached)
