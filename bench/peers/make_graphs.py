"""Makes the ONNX graphs that bench/peers/onnx_runtime.ts runs: one operator each, any length.

Run from the repository root, with the package onnx: python bench/peers/make_graphs.py
"""

from pathlib import Path

from onnx import TensorProto, helper

HEADS = 4
DIM = 64
WIDTH = HEADS * DIM
ROWS = [1, "time", WIDTH]
PER_HEAD = [1, "time", HEADS]


def save(name: str, operator: str, inputs: dict, outputs: dict, domain: str, **attributes) -> None:
    """One operator; an input of shape None is left out."""

    def values(shapes: dict) -> list:
        return [
            helper.make_tensor_value_info(key, TensorProto.FLOAT, shape)
            for key, shape in shapes.items()
            if shape is not None
        ]

    node = helper.make_node(
        operator,
        [key if shape is not None else "" for key, shape in inputs.items()],
        list(outputs),
        domain=domain,
        **attributes,
    )
    graph = helper.make_graph([node], name, values(inputs), values(outputs))
    domains = {"": 17, domain: 17 if domain == "" else 1}
    opsets = [helper.make_opsetid(key, version) for key, version in domains.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    Path(__file__).with_name(f"{name}.onnx").write_bytes(model.SerializeToString())


save(
    "matmul",
    "MatMul",
    {"a": ["rows", "inner"], "b": ["inner", "columns"]},
    {"output": ["rows", "columns"]},
    "",
)
save(
    "attention",
    "MultiHeadAttention",
    {"query": ROWS, "key": ROWS, "value": ROWS},
    {"output": ROWS},
    "com.microsoft",
    num_heads=HEADS,
    unidirectional=1,
)
for name, rule, decay, beta in [
    ("linear", "linear", None, None),
    ("gated", "gated", PER_HEAD, None),
    ("gated_by_key", "gated", ROWS, None),
    ("delta", "delta", None, PER_HEAD),
    ("gated_delta", "gated_delta", PER_HEAD, PER_HEAD),
    ("gated_delta_by_key", "gated_delta", ROWS, PER_HEAD),
]:
    inputs = {
        "query": ROWS,
        "key": ROWS,
        "value": ROWS,
        "past_state": None,
        "decay": decay,
        "beta": beta,
    }
    if beta is None:  # trailing inputs that are left out are not named at all
        del inputs["beta"]
        if decay is None:
            del inputs["decay"], inputs["past_state"]
    save(
        name,
        "LinearAttention",
        inputs,
        {"output": ROWS, "final_state": [1, HEADS, DIM, DIM]},
        "com.microsoft",
        q_num_heads=HEADS,
        kv_num_heads=HEADS,
        update_rule=rule,
        scale=DIM**-0.5,
    )
