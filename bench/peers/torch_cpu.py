"""PyTorch on the CPU at the comparisons of bench/README.md: prints a line of CSV for each, in milliseconds of the
processor, of all threads together, which other work on the machine does not change.

Run from the repository root, with PyTorch: python bench/peers/torch_cpu.py
With --asked it reads titles from its input and answers each as it comes, so that bench/table.ts can take turns
with it. A software adapter computes on the same cores as PyTorch does, whose kernels are native: the rows say how
far behind one is. No row is timed before its output equals the recurrence, step by step in float64.
"""

import csv
import os
import sys
import time
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a thread that waits takes no processor

import torch

HEADS = 4
DIM = 64
CHUNK = 64
RUNS = 4
# The least of so many runs counts, once there was one: other work on the machine only adds.
SECONDS = 0.5


def waves(*shape, at):
    i = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return at(i).to(torch.float32).reshape(shape)


def problem(length, decay, delta):
    """Inputs [heads, time, ...] as bench/comparisons.ts makes them, in its layout [time, heads, ...]."""
    rows = (length, HEADS, DIM)
    query = waves(*rows, at=torch.sin) * DIM**-0.5
    key = waves(*rows, at=lambda i: 2**0.5 * torch.cos(i * i) / DIM**0.5)
    value = waves(*rows, at=lambda i: torch.sin(3 * i))
    shape = {"none": None, "head": (length, HEADS), "key": rows}[decay]
    log_decay = None if shape is None else waves(*shape, at=lambda i: -0.1 * torch.sin(i) ** 2)
    beta = waves(length, HEADS, at=lambda i: torch.sin(i) ** 2) if delta else None
    given = [query, key, value, log_decay, beta]
    return [None if x is None else x.transpose(0, 1).contiguous() for x in given]


def recurrence(query, key, value, log_decay, beta):
    """S = exp(g) * S; S += beta k (v - kᵀ S)ᵀ, or k vᵀ; o = q S. Float64, step by step."""
    state = torch.zeros(HEADS, DIM, DIM, dtype=torch.float64)
    outputs = []
    for t in range(query.shape[1]):
        q, k, v = (x[:, t].double() for x in (query, key, value))
        if log_decay is not None:
            g = log_decay[:, t].double().exp().reshape(HEADS, -1, 1)
            state = g * state
        if beta is not None:
            v = beta[:, t, None].double() * (v - torch.einsum("hk,hkv->hv", k, state))
        state = state + k[:, :, None] * v[:, None, :]
        outputs.append(torch.einsum("hk,hkv->hv", q, state))
    return torch.stack(outputs, 1)


def chunked(query, key, value, log_decay, beta):
    """The same in chunks: inside one by products with its decayed queries and keys, between them by states."""
    heads, length, _ = query.shape
    split = lambda x: x.reshape(heads, length // CHUNK, CHUNK, *x.shape[2:])
    q, k, v = split(query), split(key), split(value)
    lower = torch.ones(CHUNK, CHUNK).tril()
    if log_decay is None:
        kept, q_in, k_in, k_out = torch.ones(heads, q.shape[1], 1), q, k, k
    else:
        g = split(log_decay if log_decay.dim() == 3 else log_decay[..., None]).cumsum(2)
        last = g[:, :, -1:]
        q_in, k_in, k_out = q * g.exp(), k * (-g).exp(), k * (last - g).exp()
        kept = last.exp()[:, :, 0]
    if beta is not None:
        # u = T (v - k_decayed S): T is the inverse of I + the strictly lower part of beta k kᵀ.
        b = split(beta)[..., None]
        k_state = k if log_decay is None else k * g.exp()
        inner = b * (k_state @ k_in.mT) * lower.tril(-1)
        eye = torch.eye(CHUNK)
        solve = lambda x: torch.linalg.solve_triangular(eye + inner, b * x, upper=False)
        v, w = solve(v), solve(k_state)
    scores = (q_in @ k_in.mT) * lower
    state = torch.zeros(heads, DIM, DIM)
    outputs = []
    for n in range(q.shape[1]):
        written = v[:, n] - w[:, n] @ state if beta is not None else v[:, n]
        outputs.append(scores[:, n] @ written + q_in[:, n] @ state)
        state = kept[:, n, :, None] * state + k_out[:, n].mT @ written
    return torch.cat(outputs, 1)


def milliseconds(run):
    run()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.process_time()
        for _ in range(RUNS):
            run()
        best = min(best, (time.process_time() - start) / RUNS)
    return 1000 * best


def check(actual, expected, bound):
    error = ((actual.double() - expected).norm() / expected.norm()).item()
    assert error <= bound, f"its output is off by {error:.1e}, over {bound}"


def matmul():
    a = waves(512, 512, at=torch.sin)
    b = waves(512, 512, at=lambda i: torch.cos(i * i))
    check(a @ b, a.double() @ b.double(), 1e-4)
    return lambda: a @ b


def attention():
    q, k, v, _, _ = problem(1024, "none", False)
    flash = torch.nn.functional.scaled_dot_product_attention
    run = lambda: flash(q[None], k[None], v[None], is_causal=True, scale=1.0)
    logits = (q.double() @ k.double().mT).masked_fill(
        torch.ones(1024, 1024).triu(1).bool(), -torch.inf
    )
    check(run()[0], logits.softmax(-1) @ v.double(), 1e-4)
    return run


def matrix_state(length, decay, delta):
    inputs = problem(length, decay, delta)
    check(chunked(*inputs), recurrence(*inputs), 5e-4 if delta else 1e-4)
    return lambda: chunked(*inputs)


def comparisons():
    """What makes and checks the work of each row, by its title."""
    made = {"matmul, 512 × 512 × 512": matmul, "attention, causal, 1 × 1024 × 4 × 64": attention}
    names = {"none": "", "head": ", a decay per head", "key": ", a decay per key"}
    for length in (1024, 4096):
        for delta, title in ((False, "linear attention"), (True, "delta rule")):
            for decay, words in names.items():
                made[f"{title}{words}, 1 × {length} × 4 × 64"] = partial(
                    matrix_state, length, decay, delta
                )
    return made


def main():
    torch.set_grad_enabled(False)
    made = comparisons()
    asked = (line.rstrip("\n") for line in sys.stdin) if "--asked" in sys.argv else made
    written = csv.writer(sys.stdout, lineterminator="\n")
    version = torch.__version__.split("+")[0]
    written.writerow(["comparison", f"PyTorch {version} on the CPU, {torch.get_num_threads()} threads"])
    sys.stdout.flush()
    ready = {}
    for title in asked:
        if title not in ready:
            ready[title] = made[title]()
        written.writerow([title, f"{milliseconds(ready[title]):.4g}"])
        sys.stdout.flush()


main()
