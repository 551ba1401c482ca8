import { assertEquals, assertThrows } from "@std/assert";
import { readTensorPickle } from "../../../models/checkpoints/pickle.ts";

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
    ["}" + text("w") + "Ns.", "holds w which are no tensors"],
  ];
  for (const [parts, message] of cases) {
    assertThrows(() => readTensorPickle(pickle(parts), "a.pth"), Error, message);
  }
});
