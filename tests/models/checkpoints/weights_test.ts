import { assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { type ByteSource, openFile } from "../../../models/checkpoints/byte_source.ts";
import { readSafetensors, writeSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { openWeights, type Weights } from "../../../models/checkpoints/weights.ts";
import { inFolder, testGpu, testTilings } from "../../testing.ts";

const GOLDEN = fromFileUrl(new URL("../../golden/checkpoints", import.meta.url));
const EXPECTED = readSafetensors(
  await Deno.readFile(`${GOLDEN}/expected.safetensors`),
  "expected.safetensors",
).tensors;

const PLAIN = [..."f32 f16 bf16 f64 i64 i32 i16 i8 u8 bool scalar empty".split(" ")];
const VIEWS = [
  ..."whole tied transposed columns row expanded transposed_f16 transposed_i64 transposed_u8"
    .split(" "),
];

async function copyFolder(from: string, to: string): Promise<void> {
  for await (const { name } of Deno.readDir(from)) {
    await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

async function assertHolds(weights: Weights, names: string[]): Promise<void> {
  assertEquals([...weights.tensors.keys()].sort(), [...names].sort());
  for (const name of names) {
    const { shape, data } = EXPECTED.get(name)!;
    assertEquals(weights.tensors.get(name)!.shape, shape, name);
    assertEquals(await weights.readFloats(name), data, name);
  }
}

Deno.test("openWeights() reads what Python saved, whole and in shards, in every data type", async () => {
  for (const folder of ["safetensors", "safetensors_sharded", "torch_sharded"]) {
    using weights = await openWeights(`${GOLDEN}/${folder}`);
    await assertHolds(weights, PLAIN);
    assertEquals(weights.tensors.get("bf16")!.dtype, "BF16");
    assertEquals(weights.tensors.get("bool")!.dtype, "BOOL");
  }
});

Deno.test("openWeights() reads views of one storage: tied, transposed, sliced, expanded", async () => {
  using weights = await openWeights(`${GOLDEN}/torch`);
  await assertHolds(weights, [...PLAIN, ...VIEWS]);
  const { bytes } = await weights.read("transposed_i64");
  const first = 2n ** 52n;
  assertEquals(
    [...new BigInt64Array(bytes.buffer)],
    [0n, 3n, 1n, 4n, 2n, 5n].map((i) => first + i),
  );
});

Deno.test("openWeights() reads a module's state, parameters, and a file by its path", async () => {
  const tied = ["embed.weight", "inner.weight", "inner.bias", "head.weight"];
  using state = await openWeights(`${GOLDEN}/torch_module/tiny.pth`);
  await assertHolds(state, tied);
  using parameters = await openWeights(`${GOLDEN}/torch_parameters`);
  await assertHolds(parameters, tied.slice(0, 3));
  using index = await openWeights(`${GOLDEN}/torch_sharded/pytorch_model.bin.index.json`);
  await assertHolds(index, PLAIN);
});

Deno.test("load() gives GPU tensors in f32 and f16", async () => {
  const gpu = await testGpu();
  using weights = await openWeights(`${GOLDEN}/torch`);
  for (const name of ["f32", "f16", "bf16", "f64", "i32", "transposed", "row", "scalar", "empty"]) {
    const { shape, data } = EXPECTED.get(name)!;
    using wide = await weights.load(gpu, name);
    assertEquals([wide.dtype, wide.shape], ["f32", shape]);
    using half = await weights.load(gpu, name, { dtype: "f16" });
    assertEquals([half.dtype, half.shape], ["f16", shape]);
    if (data.length === 0) continue;
    const [asWide, asHalf] = await gpu.read([wide, half]);
    assertEquals(asWide, data, name);
    assertEquals(asHalf, Float32Array.from(new Float16Array(data)), name);
  }
  const before = gpu.memory.current;
  await assertRejects(
    () => weights.load(gpu, "i64", { dtype: "f16" }),
    RangeError,
    "as f16 as elements of it are past 65504: load it as f32",
  );
  await assertRejects(() => weights.load(gpu, "other"), Error, "it holds no tensor of that name");
  assertEquals(gpu.memory.current, before);
});

Deno.test("load() writes a tensor of several pieces as a whole", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    const data = Float32Array.from({ length: 2 ** 21 + 3 }, (_, i) => i % 2039);
    const bytes = writeSafetensors(new Map([["large", { shape: [data.length], data }]]));
    await Deno.writeFile(`${folder}/model.safetensors`, bytes);
    using weights = await openWeights(folder);
    for (const dtype of ["f32", "f16"] as const) {
      using large = await weights.load(gpu, "large", { dtype });
      const loaded = await large.read();
      assertEquals(loaded.findIndex((value, i) => value !== data[i]), -1);
    }
  }));

/** A safetensors file of one tensor, stored as `dtype`. */
function fileOf(dtype: string, bytes: Uint8Array, elements: number): Uint8Array {
  const entry = { dtype, shape: [elements], data_offsets: [0, bytes.length] };
  const text = JSON.stringify({ x: entry });
  const header = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const file = new Uint8Array(8 + header.length + bytes.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  file.set(bytes, 8 + header.length);
  return file;
}

Deno.test("every 16-bit float is widened alike by the host and by the GPU, in an odd number too", () =>
  inFolder(async (folder) => {
    const patterns = Uint16Array.from({ length: 2 ** 16 + 3 }, (_, i) => i);
    const bfloats = new Float32Array(Uint32Array.from(patterns, (bits) => bits << 16).buffer);
    const halves = Float32Array.from(new Float16Array(patterns.buffer));
    for (const [dtype, expected] of [["F16", halves], ["BF16", bfloats]] as const) {
      const bytes = new Uint8Array(patterns.buffer);
      await Deno.writeFile(`${folder}/model.safetensors`, fileOf(dtype, bytes, patterns.length));
      using weights = await openWeights(folder);
      assertEquals(await weights.readFloats("x"), expected);
      for (const [tiling, gpu] of await testTilings()) {
        using loaded = await weights.load(gpu, "x");
        const values = await loaded.read();
        const wrong = values.findIndex((value, i) => !Object.is(value, expected[i]));
        assertEquals(wrong, -1, `${dtype}, ${tiling}`);
      }
    }
  }));

/** Opens files that count what is read of them. */
function counting(): { reads: [offset: number, length: number][]; open: typeof openFile } {
  const reads: [offset: number, length: number][] = [];
  const open = async (path: string): Promise<ByteSource> => {
    const source = await openFile(path);
    return {
      name: source.name,
      size: source.size,
      read(offset: number, into: Uint8Array): Promise<void> {
        reads.push([offset, into.length]);
        return source.read(offset, into);
      },
      [Symbol.dispose](): void {
        source[Symbol.dispose]();
      },
    };
  };
  return { reads, open };
}

Deno.test("no tensor is read but the one asked for, in pieces of 2 MiB", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    // Two tensors of 5 MiB and one of 400 MiB that is never read: the file is sparse.
    const extents = { before: 5 * 2 ** 18, between: 100 * 2 ** 20, after: 5 * 2 ** 18 };
    let end = 0;
    const header = JSON.stringify(Object.fromEntries(
      Object.entries(extents).map(([name, count]) => {
        const from = end;
        end += 4 * count;
        return [name, { dtype: "F32", shape: [count], data_offsets: [from, end] }];
      }),
    ));
    const encoded = new TextEncoder().encode(header);
    const start = new Uint8Array(8 + encoded.length);
    new DataView(start.buffer).setBigUint64(0, BigInt(encoded.length), true);
    start.set(encoded, 8);
    await Deno.writeFile(`${folder}/model.safetensors`, start);
    await Deno.truncate(`${folder}/model.safetensors`, start.length + end);

    const { reads, open } = counting();
    using weights = await openWeights(folder, { openFile: open });
    assertEquals(reads, [[0, 8], [8, encoded.length]]);
    reads.length = 0;
    using _after = await weights.load(gpu, "after", { dtype: "f16" });
    const piece = 2 * 2 ** 20;
    const first = start.length + 4 * (extents.before + extents.between);
    assertEquals(reads, [
      [first, piece],
      [first + piece, piece],
      [first + 2 * piece, 4 * extents.after - 2 * piece],
    ]);
  }));

Deno.test("of PyTorch's files the directory and the pickle are read, then the tensor", async () => {
  const { reads, open } = counting();
  using weights = await openWeights(`${GOLDEN}/torch`, { openFile: open });
  // A zip's directory is found from its end, at most 64 KiB before which is all of this small file.
  const { size } = await Deno.stat(`${GOLDEN}/torch/pytorch_model.bin`);
  const large = reads.map(([, length]) => length).filter((length) => length > 64);
  assertEquals(large.length, 2, `reads of ${large} bytes`);
  assertEquals([large[0], large[1] < size / 2], [size, true]);
  reads.length = 0;
  await weights.read("row");
  assertEquals(reads.map(([, length]) => length), [24]);
});

Deno.test("a pickle that asks for more than tensors is refused by name, and not run", async () => {
  const refused: [file: string, message: string][] = [
    ["command.pth", "as its pickle asks for posix.system: only a dictionary of tensors is read"],
    ["module.pth", "as its pickle asks for __main__.Tiny"],
    ["nested.pth", "its pickle holds model, epoch which are not tensors: save model.state_dict()"],
    ["list.pth", "its pickle holds no dictionary of tensors: save model.state_dict()"],
    ["legacy.pth", "the format of before PyTorch 1.6: torch.load() and torch.save() it again"],
  ];
  for (const [file, message] of refused) {
    await assertRejects(() => openWeights(`${GOLDEN}/refused/${file}`), Error, message);
  }
});

Deno.test("openWeights() names the shard that is missing, truncated or lacks a tensor", () =>
  inFolder(async (folder) => {
    for (const kind of ["safetensors_sharded", "torch_sharded"]) {
      await copyFolder(`${GOLDEN}/${kind}`, folder);
      const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
      const index = `${folder}/${names.find((name) => name.endsWith(".json"))}`;
      const shard = `${folder}/${names.find((name) => name.includes("-00002-"))}`;
      const other = `${folder}/${names.find((name) => name.includes("-00001-"))}`;
      const bytes = await Deno.readFile(shard);

      await Deno.writeFile(shard, bytes.subarray(0, bytes.length - 20));
      await assertRejects(() => openWeights(folder), Error, "truncated");
      await Deno.writeFile(shard, new Uint8Array(0));
      await assertRejects(() => openWeights(folder), Error, `Cannot read ${shard}`);
      await Deno.writeTextFile(shard, "<!doctype html><title>Not found</title>");
      await assertRejects(() => openWeights(folder), Error, "another format?");
      await Deno.copyFile(other, shard);
      await assertRejects(() => openWeights(folder), Error, "its shards hold other tensors: ");
      await Deno.remove(shard);
      await assertRejects(
        () => openWeights(folder),
        Error,
        `Cannot open ${shard} as it is not there, though ${index} names it`,
      );

      for (const shard of ["../model.safetensors", "..", "a\0b", "x".repeat(5000), "a\\b"]) {
        await Deno.writeTextFile(index, JSON.stringify({ weight_map: { weight: shard } }));
        await assertRejects(() => openWeights(folder), Error, "the name of a file beside it");
      }
      await Deno.writeTextFile(index, "{}");
      await assertRejects(() => openWeights(folder), Error, 'as its "weight_map" must give');
      for (const name of names) await Deno.remove(`${folder}/${name}`).catch(() => {});
    }
  }));

Deno.test("openWeights() says what it looked for, and asks where there are several", () =>
  inFolder(async (folder) => {
    await assertRejects(() => openWeights(`${folder}/none`), Error, "as it is not there");
    await assertRejects(() => openWeights(folder), Error, "it holds none of model.safetensors");
    for (const name of ["a.pth", "b.pth"]) {
      await Deno.copyFile(`${GOLDEN}/torch_module/tiny.pth`, `${folder}/${name}`);
    }
    await assertRejects(() => openWeights(folder), Error, "give the path of one of a.pth, b.pth");
  }));

/** A tensor's entry of a safetensors header, of 4 bytes per element. */
function entry(from: number, to: number): string {
  return `{"dtype": "F32", "shape": [${(to - from) / 4}], "data_offsets": [${from}, ${to}]}`;
}

Deno.test("a safetensors header that is wrong is refused", () =>
  inFolder(async (folder) => {
    const cases: [header: string, message: string][] = [
      ["{", "its header is not valid JSON"],
      ['{"w": 3}', "its header does not say where w is"],
      ['{"w": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}', "data type F8_E4M3"],
      ['{"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}', "takes 12 bytes, not 8"],
      ['{"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', "does not say where w is"],
      ['{"w": {"dtype": "F32", "shape": [99], "data_offsets": [0, 396]}}', "truncated"],
      // What the format's own reader refuses besides; the file has 16 bytes behind its header.
      ['{"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}', "its tensors end at byte"],
      ['{"w": {"dtype": "F32", "shape": [3], "data_offsets": [4, 16]}}', "there is a hole"],
      [`{"a": ${entry(0, 12)}, "b": ${entry(8, 16)}}`, "tensors overlap"],
      [`{"a": ${entry(0, 4)}, "b": ${entry(8, 16)}}`, "there is a hole"],
      ['{"w": {"dtype": "F32", "shape": [4.0], "data_offsets": [0, 16]}}', "where w is"],
      ['{"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16.0]}}', "where w is"],
      ['{"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 1.6e1]}}', "where w is"],
      ['{"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16, 16]}}', "where w is"],
      ['{"w": {"dtype": "F32", "shape": 4, "data_offsets": [0, 16]}}', "where w is"],
      ['{"w": {"dtype": "F32", "shape": ["4"], "data_offsets": [0, 16]}}', "where w is"],
      ['{"w": {"dtype": 3, "shape": [4], "data_offsets": [0, 16]}}', "where w is"],
      ['{"w": null}', "where w is"],
      [`{"__metadata__": {"note": 3}, "w": ${entry(0, 16)}}`, "its __metadata__ must hold texts"],
      [`{"__metadata__": [], "w": ${entry(0, 16)}}`, "its __metadata__ must hold texts"],
      ["[]", "its header is not an object"],
      ["3", "its header is not an object"],
      [`{"\xff": ${entry(0, 16)}}`, "its header is not valid JSON in UTF-8"],
      [`\xef\xbb\xbf{"w": ${entry(0, 16)}}`, "its header is not valid JSON in UTF-8"],
    ];
    for (const [header, message] of cases) {
      const bytes = new Uint8Array(8 + header.length + 16);
      new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
      bytes.set(Uint8Array.from(header, (character) => character.charCodeAt(0)), 8);
      await Deno.writeFile(`${folder}/model.safetensors`, bytes);
      await assertRejects(() => openWeights(folder), Error, message);
    }
  }));
