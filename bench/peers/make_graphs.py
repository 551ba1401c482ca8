"""Makes the ONNX graphs that bench/peers/onnx_runtime*.ts run: one operator each, any length; and attention composed
of its products, for where the operator's output is wrong.

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
    node = helper.make_node(
        operator,
        [key if shape is not None else "" for key, shape in inputs.items()],
        list(outputs),
        domain=domain,
        **attributes,
    )
    write(name, [node], inputs, outputs, {"": 17, domain: 17 if domain == "" else 1})


def write(name: str, nodes: list, inputs: dict, outputs: dict, domains: dict, constants=()) -> None:
    def values(shapes: dict) -> list:
        return [
            helper.make_tensor_value_info(key, TensorProto.FLOAT, shape)
            for key, shape in shapes.items()
            if shape is not None
        ]

    graph = helper.make_graph(nodes, name, values(inputs), values(outputs), list(constants))
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

def composed_attention() -> None:
    """softmax(scale · q kᵀ + mask) v, of the operators of ONNX itself."""
    node = helper.make_node
    places = {"query": [0, 2, 1, 3], "key": [0, 2, 3, 1], "value": [0, 2, 1, 3]}
    nodes = []
    for key, axes in places.items():
        nodes.append(node("Reshape", [key, "split"], [f"{key}_rows"]))
        nodes.append(node("Transpose", [f"{key}_rows"], [f"{key}_by_head"], perm=axes))
    nodes += [
        node("Mul", ["query_by_head", "scale"], ["scaled"]),
        node("MatMul", ["scaled", "key_by_head"], ["products"]),
        node("Add", ["products", "mask"], ["logits"]),
        node("Softmax", ["logits"], ["weights"], axis=-1),
        node("MatMul", ["weights", "value_by_head"], ["sums"]),
        node("Transpose", ["sums"], ["rows"], perm=[0, 2, 1, 3]),
        node("Reshape", ["rows", "joined"], ["output"]),
    ]
    constants = [
        helper.make_tensor("split", TensorProto.INT64, [4], [1, -1, HEADS, DIM]),
        helper.make_tensor("joined", TensorProto.INT64, [3], [1, -1, WIDTH]),
        helper.make_tensor("scale", TensorProto.FLOAT, [], [DIM**-0.5]),
    ]
    inputs = {**dict.fromkeys(places, ROWS), "mask": ["time", "time"]}
    write("attention_composed", nodes, inputs, {"output": ROWS}, {"": 17}, constants)


composed_attention()
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
