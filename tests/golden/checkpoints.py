"""Makes checkpoints/: the same tensors as safetensors and as PyTorch saves them, whole and in shards,
files that must be refused, and small tokenizers with what Python makes of some texts.

    python checkpoints.py        # torch, safetensors, huggingface_hub, tokenizers
"""
import ast
import collections
import json
import os
import pathlib
import shutil

import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

HERE = pathlib.Path(__file__).parent / "checkpoints"
shutil.rmtree(HERE, ignore_errors=True)
torch.manual_seed(0)


def folder(name):
    made = HERE / name
    made.mkdir(parents=True)
    return made


# The weights.
plain = {
    "f32": torch.randn(3, 5),
    "f16": torch.randn(4, 3).half(),
    "bf16": torch.randn(2, 3, 2).bfloat16(),
    "f64": torch.randn(3).double(),
    "i64": torch.tensor([[1, -2], [3, 2**40]]),
    "i32": torch.tensor([7, -8], dtype=torch.int32),
    "i16": torch.tensor([300, -301], dtype=torch.int16),
    "i8": torch.tensor([5, -6, 7], dtype=torch.int8),
    "u8": torch.tensor([0, 255, 3], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 4),
}
matrix = torch.randn(4, 6)
views = {
    "whole": matrix,
    "tied": matrix,
    "transposed": matrix.T,
    "columns": matrix[:, 2:5],
    "row": matrix[2],
    "expanded": matrix[:, :1].expand(4, 3),
    "transposed_f16": torch.randn(3, 4).half().T,
    "transposed_i64": torch.arange(2**52, 2**52 + 6).reshape(2, 3).T,
    "transposed_u8": torch.arange(6, dtype=torch.uint8).reshape(2, 3).T,
}


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(7, 4)
        self.inner = torch.nn.Linear(4, 3, bias=True)
        self.head = torch.nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight


tiny = Tiny()
whole = folder("safetensors")
save_file(plain, whole / "model.safetensors")
save_torch_state_dict(plain, folder("safetensors_sharded"), max_shard_size=120)

torch.save(collections.OrderedDict(plain | views), folder("torch") / "pytorch_model.bin")
save_torch_state_dict(
    plain, folder("torch_sharded"), max_shard_size=120, safe_serialization=False
)
# A state_dict with its _metadata, and a dictionary of parameters.
torch.save(tiny.state_dict(), folder("torch_module") / "tiny.pth")
torch.save(dict(tiny.named_parameters()), folder("torch_parameters") / "tiny.pth")

save_file(
    {
        name: tensor.detach().float().contiguous().clone()
        for name, tensor in (plain | views | tiny.state_dict()).items()
    },
    HERE / "expected.safetensors",
)

# What must be refused.
refused = folder("refused")


class Command:
    def __reduce__(self):
        return os.system, ("echo this must not run > /tmp/lengthwise_was_here",)


torch.save({"weight": torch.zeros(2), "more": Command()}, refused / "command.pth")
torch.save(tiny, refused / "module.pth")
torch.save({"model": tiny.state_dict(), "epoch": 3}, refused / "nested.pth")
torch.save([torch.zeros(2)], refused / "list.pth")
torch.save(
    {"weight": torch.zeros(2)}, refused / "legacy.pth", _use_new_zipfile_serialization=False
)

# The tokenizers.
TEXTS = [
    "",
    "the cat sat on the mat",
    " The  cat,\n\tthe CAT!\r\n",
    "naïve café, 12345 déjà-vu",
    "漢字かな交じり文 and 🙂👩‍👩‍👧",
    "don't <|endoftext|> stop</s> , I ' m .",
    "e\u0301 \u00a0\u200b x\u0000y",
]
CORPUS = TEXTS * 4 + ["the cat and the hat", "a naïve cat sat", "stop the cats"] * 20


def expect(name, tokenizer):
    made = folder(name)
    tokenizer.save(str(made / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": True}
    for role, token in (("bos_token", "<s>"), ("eos_token", "</s>")):
        if tokenizer.token_to_id(token) is not None:
            config[role] = token
    if "eos_token" not in config:
        config["eos_token"] = {"content": "<|endoftext|>", "special": True}
    (made / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    cases = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        plain_ids = tokenizer.encode(text, add_special_tokens=False).ids
        cases.append(
            {
                "text": text,
                "tokens": ids,
                "plain": plain_ids,
                "decoded": tokenizer.decode(ids, skip_special_tokens=True),
            }
        )
    expected = {
        "vocabulary": max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1,
        "cases": cases,
    }
    write_expected(made, expected)


def write_expected(made, expected):
    (made / "expected.json").write_text(json.dumps(expected, ensure_ascii=True) + "\n")


# As GPT-NeoX has it: byte-level BPE.
bytelevel = Tokenizer(models.BPE())
bytelevel.normalizer = normalizers.NFC()
bytelevel.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bytelevel.decoder = decoders.ByteLevel()
bytelevel.post_processor = processors.ByteLevel(trim_offsets=True)
bytelevel.train_from_iterator(
    CORPUS,
    trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    ),
)
expect("tokenizer_bytelevel", bytelevel)

# As Llama has it: BPE over characters with bytes to fall back on, and a token at the beginning.
trained = Tokenizer(models.BPE(unk_token="<unk>"))
trained.normalizer = normalizers.Sequence(
    [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
)
trained.train_from_iterator(
    [text for text in CORPUS if text.isascii()],
    trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>"], show_progress=False),
)
state = json.loads(trained.to_str())
pieces = [piece for piece, _ in sorted(state["model"]["vocab"].items(), key=lambda item: item[1])]
vocabulary = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
vocabulary += [piece for piece in pieces if piece not in vocabulary]
llama = Tokenizer(
    models.BPE(
        vocab={piece: index for index, piece in enumerate(vocabulary)},
        merges=[tuple(merge) for merge in state["model"]["merges"]],
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
)
llama.normalizer = trained.normalizer
llama.decoder = decoders.Sequence(
    [
        decoders.Replace("▁", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(content=" ", left=1, right=0),
    ]
)
llama.add_special_tokens(
    [AddedToken(token, special=True, normalized=False) for token in ("<unk>", "<s>", "</s>")]
)
llama.post_processor = processors.TemplateProcessing(
    single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
)
expect("tokenizer_llama", llama)

# RWKV's World vocabulary in small: all bytes, then some words, with Python's own literals.
world = folder("tokenizer_world")
entries = [bytes([byte]) for byte in range(256)]
words = [" the", "the", " cat", " ca", "naïve", "é", "漢字", "🙂", "\n\n", "'t", '"', "don't \"", "\\x"]
entries += sorted((word.encode() for word in words if len(word.encode()) > 1), key=len)
entries += [b"\xe6\xbc", b"\xf0\x9f", b"\n\t", "\u200b".encode()]
lines = []
for index, entry in enumerate(entries, start=1):
    try:
        literal = repr(entry.decode())
    except UnicodeDecodeError:
        literal = repr(entry)
    lines.append(f"{index} {literal} {len(entry)}\n")
(world / "rwkv_vocab_v20230424.txt").write_text("".join(lines), encoding="utf-8")

table = {}
for line in lines:
    literal = ast.literal_eval(line[line.index(" ") : line.rindex(" ")].strip())
    token = literal.encode() if isinstance(literal, str) else literal
    table[token] = int(line[: line.index(" ")])


def greedy(data):
    tokens = []
    while data:
        length = max(size for size in range(1, len(data) + 1) if data[:size] in table)
        tokens.append(table[data[:length]])
        data = data[length:]
    return tokens


write_expected(
    world,
    {
        "vocabulary": len(lines) + 1,
        "cases": [{"text": text, "tokens": greedy(text.encode())} for text in TEXTS],
    },
)
