import { assert, assertEquals } from "@std/assert";
import type { Gpu, KernelTime } from "../../kernels/gpu/mod.ts";
import {
  type Matrix,
  quantize,
  QuantizedMatrix,
  type QuantizedType,
} from "../../kernels/storage/mod.ts";
import { quantizeReference } from "../../kernels/storage/reference.ts";
import { Model } from "../../models/mod.ts";
import { keptParameters } from "../../models/matrices.ts";
import { assertClose, testGpu } from "../testing.ts";
import { configurations, tokensOf } from "./every_mixer.ts";

/** Rows of a block: as few as a binding may be too small for. */
const BLOCK = 16;
const STEPS = 3;

/** How the weights of a model are stored: in integers, in blocks of rows, or both. */
interface Form {
  readonly dtype: "f32" | QuantizedType;
  readonly cut: boolean;
}

/** A model's weights in a form, and what they stand for. */
async function storedAs(
  exact: Model,
  { dtype, cut }: Form,
): Promise<{ stored: Model; meant: Model }> {
  const { gpu, configuration } = exact;
  const stored = new Map<string, Float32Array | Matrix[]>();
  const meant = new Map<string, Float32Array>();
  for (const { name, shape, dtype: own } of keptParameters(configuration, "int4")) {
    const values = await exact.parameters.get(name)!.tensor.read();
    stored.set(name, values);
    meant.set(name, values);
    if (own === "f32") continue; // no linear map, nor the embedding
    const [rows, columns] = shape;
    const kept = dtype === "int4" ? own as QuantizedType : dtype;
    if (kept !== "f32") {
      const options = { columns, bits: kept === "int8" ? 8 : 4, group: 32 };
      meant.set(name, Float32Array.from(quantizeReference(values, options).values));
    }
    const blocks: Matrix[] = [];
    for (let first = 0; first < rows; first += BLOCK) {
      const count = cut ? Math.min(BLOCK, rows - first) : rows;
      const part = values.slice(first * columns, (first + count) * columns);
      blocks.push(block(gpu, part, [count, columns], kept));
      if (!cut) break;
    }
    stored.set(name, blocks);
  }
  return {
    stored: new Model(gpu, configuration, stored),
    meant: new Model(gpu, configuration, meant),
  };
}

function block(
  gpu: Gpu,
  values: Float32Array,
  shape: readonly number[],
  dtype: Form["dtype"],
): Matrix {
  if (dtype === "f32") return gpu.tensor(shape, values);
  const output = new QuantizedMatrix(gpu, shape, dtype);
  using elements = gpu.tensor([values.length], new Uint32Array(values.buffer), "u32");
  using flags = gpu.tensor([1], undefined, "u32");
  quantize(gpu, { stored: elements, output, flags }, { from: "f32", rows: shape[0] });
  return output;
}

/** The logits of tokens that are read one by one behind a prompt, and the kernels of the last. */
async function decoded(
  model: Model,
): Promise<{ logits: Float32Array[]; kernels: Map<string, number> }> {
  const { gpu } = model;
  let { logits, state } = model.prefill(tokensOf(3, 5));
  const all = [await logits.read()];
  let times: KernelTime[] = [];
  for (const [index, token] of tokensOf(4, STEPS).entries()) {
    logits[Symbol.dispose]();
    if (index === STEPS - 1) gpu.startProfile();
    ({ logits, state } = model.advance([token], state));
    if (index === STEPS - 1) times = await gpu.stopProfile();
    all.push(await logits.read());
  }
  logits[Symbol.dispose]();
  state[Symbol.dispose]();
  const kernels = new Map(
    times.map(({ label, dispatches }) => [label, dispatches] as const).sort(),
  );
  return { logits: all, kernels };
}

const FORMS: readonly Form[] = [
  { dtype: "f32", cut: true },
  { dtype: "int8", cut: false },
  { dtype: "int4", cut: true },
];

for (const configuration of configurations()) {
  for (const form of FORMS) {
    const what = `${form.dtype}${form.cut ? " in blocks of rows" : ""}`;
    Deno.test(`${configuration.family}, ${what}: tokens take the kernels of plain weights, and are theirs`, async () => {
      const gpu = await testGpu();
      using exact = new Model(gpu, configuration, { seed: 11 });
      const { stored, meant } = await storedAs(exact, form);
      using _stored = stored;
      using _meant = meant;
      const ours = await decoded(stored);
      const theirs = await decoded(meant);
      ours.logits.forEach((logits, step) => {
        assertClose(logits, theirs.logits[step], 1e-5, `logits of step ${step}`);
      });
      assert(theirs.kernels.get("project")! > 0);
      // A block of rows is a dispatch of its own; nothing else is.
      const apart = new Set(form.cut ? ["project", "matmul_vector", "embedding"] : []);
      const counted = ({ kernels }: typeof ours): [string, number][] =>
        [...kernels].map(([name, count]) => [name, apart.has(name) ? 0 : count]);
      assertEquals(counted(ours), counted(theirs));
      const prompt = tokensOf(5, 4);
      assertEquals(
        await stored.generate(prompt, { maxTokens: 6 }),
        await stored.generate(prompt, { maxTokens: 6, record: false }),
      );
    });
  }
}
