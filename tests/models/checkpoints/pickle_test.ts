import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { readTensorPickle } from "../../../models/checkpoints/pickle.ts";
import { openWeights } from "../../../models/mod.ts";

/** A pickle of protocol 2 from its opcodes and their arguments, a byte a character. */
const pickle = (parts: string): Uint8Array =>
  Uint8Array.from("\x80\x02" + parts, (character) => character.charCodeAt(0));

const text = (value: string): string => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
const STORAGE = "(" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") +
  "K\x06tQ";
const TENSOR = "ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + "K\x00K\x02K\x03\x86" +
  "K\x03K\x01\x86\x89NtR";

Deno.test("readTensorPickle() builds tensors", () => {
  const tensors = readTensorPickle(pickle("}" + text("weight") + TENSOR + "s."), "a.pth");
  const { shape, strides, offset, storage } = tensors.get("weight")!;
  assertEquals({ shape, strides, offset }, { shape: [2, 3], strides: [3, 1], offset: 0 });
  assertEquals([storage.key, storage.dtype, storage.elements], ["0", "F32", 6]);
});

Deno.test("readTensorPickle() runs nothing that a pickle names", () => {
  const cases: [parts: string, message: string][] = [
    ["cos\nsystem\n(" + text("true") + "tR.", "asks for os.system: "],
    ["c__builtin__\neval\n(" + text("1") + "tR.", "asks for __builtin__.eval: "],
    ["(" + text("true") + "ios\nsystem\n.", "asks for os.system: "],
    [text("os") + text("system") + "\x93.", "asks for os.system: "],
    ["ctorch._utils\n__builtins__\n.", "asks for torch._utils.__builtins__: "],
    ["ctorch\nload\n(" + text("a") + "tR.", "asks for torch.load: "],
    ["cObject\nconstructor\n.", "asks for Object.constructor: "],
    // What may be named can be called, not constructed; a storage's type cannot be called.
    ["ccollections\nOrderedDict\n)\x81.", "is not a constructor"],
    ["ctorch\nFloatStorage\n)R.", "is damaged (func is not a function"],
    // An extension, a function's fields, and a tensor's after it was checked.
    ["\x82\x01.", "is damaged (Unregistered extension code"],
    [
      "ccollections\nOrderedDict\n}" + text("call") + "K\x01sb.",
      "is damaged (Cannot add property call",
    ],
    [
      "}" + text("w") + TENSOR + "}" + text("offset") + "M\xff\x7fsbs.",
      "is damaged (Cannot assign to read only property 'offset'",
    ],
  ];
  for (const [parts, message] of cases) {
    assertThrows(
      () => readTensorPickle(pickle(parts), "a.pth"),
      Error,
      message,
    );
  }
});

Deno.test("readTensorPickle() refuses tensors that reach past their storage, and damage", () => {
  const weight = (tensor: string): string => "}" + text("w") + tensor + "s.";
  const cases: [parts: string, message: string][] = [
    [
      weight(TENSOR.replace("K\x02K\x03\x86", "K\x03K\x03\x86")),
      "reaches element 8 of a storage of 6",
    ],
    [weight(TENSOR.replace("K\x02K\x03\x86", "K\x02\x85")), "a tensor is not described"],
    [weight(TENSOR.replace("K\x00", "J\xff\xff\xff\xff")), "a tensor is not described"],
    [weight(TENSOR.replace(text("storage"), text("folders"))), "a storage is not described"],
    [weight(TENSOR).slice(0, -20), "is damaged (Unexpected end"],
    ["", "is damaged (Unexpected end"],
    ["N.", "holds no dictionary of tensors"],
    ["}" + text("w") + "Ns.", "holds w which are not tensors"],
  ];
  for (const [parts, message] of cases) {
    assertThrows(() => readTensorPickle(pickle(parts), "a.pth"), Error, message);
  }
});

Deno.test("readTensorPickle() is bounded by the pickle's own size, whatever it says", () => {
  const cases: [parts: string, message: string][] = [
    // BUILD sets the length of a list, that of an array here.
    ["](K\x01e}" + text("length") + "\x8a\x05\xff\xff\xff\xff\0sb.", "Cannot add property length"],
    // Numbers and texts that say that they are longer than the pickle, or longer than needed.
    ["\x8b\xff\xff\xff\xff.", "A number has 4294967295 bytes"],
    ["\x8a\x09" + "\xff".repeat(9) + ".", "A number has 9 bytes"],
    ["X\xff\xff\xff\xff.", "A text has 4294967295 bytes"],
    ["X\0\x20\0\0" + "a".repeat(0x2000) + ".", "A text has 8192 bytes, more than 4096"],
    ["X\x05\0\0\0ab.", "Unexpected end"],
    ["X\x02\0\0\0\xff\xfe.", "A text is not UTF-8"],
    // A length below 0 went back to its own opcode.
    ["B\xfa\xff\xff\xff.", "opcode 0x42 is not of those"],
    // Keys that are not texts, and dictionaries that are none.
    ["}]K\x01s.", "A key is a list"],
    ["]" + text("a") + "K\x01s.", "something that is not a dictionary"],
    ["}K\x01" + TENSOR + "s.", "holds 1 which are not tensors"],
    ["}K\x01a.", "something that is not a list"],
    ["t.", "There is no mark"],
    ["h\x07.", "Nothing was put at 7"],
    ["0.", "The stack is empty"],
    [
      "}" + text("w") + TENSOR.replace("K\x02K\x03\x86", "(" + "K\x01".repeat(70) + "t") + "s.",
      "a",
    ],
  ];
  for (const [parts, message] of cases) {
    const error = assertThrows(() => readTensorPickle(pickle(parts), "a.pth"), Error, message);
    assert(error.message.length < 300, error.message);
  }
});

Deno.test("readTensorPickle() reads numbers in two's complement", () => {
  const reads = (number: string, offset: number): void => {
    const parts = "}" + text("w") + TENSOR.replace("K\x00", number) + "s.";
    if (offset === 0) assertEquals(readTensorPickle(pickle(parts), "a").get("w")!.offset, 0);
    else assertThrows(() => readTensorPickle(pickle(parts), "a"), Error, "is not described");
  };
  reads("\x8a\x00", 0);
  reads("\x8b\x02\0\0\0\0\0", 0);
  reads("\x8a\x01\xff", -1);
});

Deno.test("pickles of strangers are refused at once", async () => {
  const folder = new URL("../../golden/checkpoints/strangers/pickles/", import.meta.url);
  const refused: [file: string, message: string][] = [
    ["list_length_4e9.pth", "Cannot add property length to a list"],
    ["args_length_4e9.pth", "Cannot add property length to a list"],
    ["laughs_key_other.pth", "A key is a list, neither a text nor a number"],
    ["expand_2e9.pth", "a tensor of 2000000000 elements shows a storage of 16 elements"],
  ];
  for (const [file, message] of refused) {
    const path = fromFileUrl(new URL(file, folder));
    await assertRejects(
      () => openWeights(path),
      Error,
      `Cannot read ${path} as its pickle is damaged (${message})`,
    );
  }
});
