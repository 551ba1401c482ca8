import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type DataType,
  type Dispatch,
  KernelError,
  shaders,
  type Tensor,
} from "../../../kernels/gpu/mod.ts";
import { testGpu } from "../../testing.ts";

const AXPY = shaders("made_up", {
  axpy: `
override WORKGROUP_SIZE: u32 = 4u;
override TIMES: f32 = 1.0;

struct Shape {
  count: u32,
  shift: i32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [count]
@if(HAS_OLD_VALUE)
@group(0) @binding(2) var<storage, read> old_value: array<f32>; // [count]; else 0
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [count]

@compute @workgroup_size(WORKGROUP_SIZE)
fn axpy(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= shape.count) {
    return;
  }
  var value = TIMES * shape.scale * x[id.x] + f32(shape.shift);
  @if(HAS_OLD_VALUE)
  value += old_value[id.x];
  y[id.x] = value;
}
`,
}).kernel("axpy");

Deno.test("uniforms and bindings go by name, floats as floats, optional inputs without a stand-in", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([4], [1, 2, 3, 4]);
  using oldValue = gpu.tensor([4], [100, 200, 300, 400]);
  using y = gpu.tensor([4]);
  const uniform = { count: 3, shift: -1, scale: 0.5 };
  gpu.dispatch(AXPY, { uniform, read: { x }, write: { y }, workgroups: 1 });
  assertEquals([...await y.read()], [-0.5, 0, 0.5, 0]);
  gpu.dispatch(AXPY, {
    constants: { TIMES: 2, WORKGROUP_SIZE: 1 },
    uniform: { scale: 0.25, shift: 1, count: 4 },
    read: { oldValue, x },
    write: { y },
    workgroups: 4,
  });
  assertEquals([...await y.read()], [101.5, 202, 302.5, 403]);
  gpu.dispatch(AXPY, { uniform, read: { x, oldValue: undefined }, write: { y }, workgroups: 1 });
  assertEquals([...await y.read()], [-0.5, 0, 0.5, 403]);
});

Deno.test("what does not match the shader is refused with the kernel and the name", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([4]);
  using y = gpu.tensor([4]);
  using other = gpu.tensor([4]);
  using whole = gpu.tensor([4], [1, 2, 3, 4], "u32");
  using half = gpu.empty([4], "f16");
  const right = {
    uniform: { count: 4, shift: 0, scale: 1 },
    read: { x },
    write: { y },
    workgroups: 1,
  };
  const cases: [wrong: Partial<Dispatch>, message: string][] = [
    [
      { uniform: { count: 4, shift: 0, scales: 1 } },
      "no uniform field scales: there are count, shift, scale",
    ],
    [{ uniform: { count: 4, shift: 0 } }, "uniform has scale too"],
    [{ uniform: { count: -1, shift: 0, scale: 1 } }, "field count must be an integer from 0"],
    [{ uniform: { count: 1.5, shift: 0, scale: 1 } }, "field count must be an integer from 0"],
    [
      { uniform: { count: 4, shift: 2 ** 31, scale: 1 } },
      "field shift must be an integer from -2147483648",
    ],
    [{ uniform: { count: 4, shift: 0, scale: true } }, "field scale must be a finite number"],
    [{ read: { x, z: other } }, "no binding z: there are x, old_value, y"],
    [{ read: { x, oldvalue: undefined } }, "no binding oldvalue: there are x, old_value, y"],
    [{ write: { y, z: undefined } }, "no binding z: there are x, old_value, y"],
    [{ read: { x: undefined } }, "binds x too"],
    [{ read: { x: whole } }, "takes x as f32: current data type is u32"],
    [{ read: { x, oldValue: half } }, "takes oldValue as f32: current data type is f16"],
    [{ write: { y: whole } }, "takes y as f32: current data type is u32"],
    [{ uniform: { count: 4, shift: 0, scale: NaN } }, "field scale must be a finite number"],
    [{ read: {} }, "binds x too"],
    [{ read: { x, y: other }, write: {} }, "writes y: give it in write"],
    [{ read: {}, write: { x, y } }, "only reads x: give it in read"],
    [{ constants: { TIME: 1 } }, "no constant TIME: there are WORKGROUP_SIZE, TIMES"],
    [
      { constants: { TIMES: NaN } },
      "constant TIMES must be a finite number: current value is NaN",
    ],
    [{ constants: { TIMES: 1e39 } }, "constant TIMES must be one that f32 holds"],
    [{ constants: { WORKGROUP_SIZE: true } }, "constant WORKGROUP_SIZE must be an integer"],
    [
      { constants: { HAS_OLD_VALUE: true } },
      "HAS_OLD_VALUE follows from whether old_value is given",
    ],
    [{ read: { x: y } }, "x and y are one tensor, which is written"],
    [{ read: { x, oldValue: y } }, "oldValue and y are one tensor, which is written"],
  ];
  for (const [wrong, message] of cases) {
    const refused = (): void => gpu.dispatch(AXPY, { ...right, ...wrong });
    const error = message.includes("must be") ? RangeError : KernelError;
    assertThrows(refused, error, message);
    assertThrows(refused, error, "Cannot run axpy as");
  }
  gpu.dispatch(AXPY, { ...right, read: { x, oldValue: x } }); // reading twice is not a conflict
  // What a dispatch that is known is looked up by tells a data type and a missing value too.
  for (let time = 0; time < 2; time++) gpu.dispatch(AXPY, right);
  for (const read of [{ x, oldvalue: undefined }, { x: whole }]) {
    assertThrows(() => gpu.dispatch(AXPY, { ...right, read }), KernelError, "Cannot run axpy as");
  }
  // The same memory, which held floats before.
  y[Symbol.dispose]();
  using reused = gpu.empty([4], "u32");
  assertThrows(
    () => gpu.dispatch(AXPY, { ...right, write: { y: reused } }),
    KernelError,
    "takes y as f32: current data type is u32",
  );
  await gpu.sync();
});

Deno.test("an import that leads nowhere is an error with the kernel and the place", async () => {
  const gpu = await testGpu();
  using y = gpu.tensor([4]);
  const lost = `import package::made_up::nowhere::twice;

@group(0) @binding(0) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(1)
fn lost() {
  y[0] = twice(1.0);
}
`;
  const kernel = shaders("made_up", { lost }).kernel("lost");
  assertThrows(
    () => gpu.dispatch(kernel, { write: { y }, workgroups: 1 }),
    KernelError,
    "Cannot link lost: made_up/lost.wgsl:1: there is no shader made_up/nowhere",
  );
});

Deno.test("bits are taken of any type, and vectors, matrices and structs are of their scalar", async () => {
  const gpu = await testGpu();
  const kernel = shaders("made_up", {
    types: `
@link
alias Bits = u32;
alias Pair = array<vec2i, 1>;

struct Term {
  sum: f32,
  end: u32,
}

@group(0) @binding(0) var<storage, read> bits: array<Bits>;
@group(0) @binding(1) var<storage, read> pairs: array<Pair>;
@group(0) @binding(2) var<storage, read> terms: array<Term>;
@group(0) @binding(3) var<storage, read_write> y: array<mat2x2f>;

@compute @workgroup_size(1)
fn types() {
  y[0][0][0] = bitcast<f32>(bits[0]) + f32(pairs[0][0].x) + terms[0].sum;
}
`,
  }).kernel("types");
  using floats = gpu.tensor([4], [1, 2, 3, 4]);
  using others = gpu.tensor([4], [5, 6, 7, 8]);
  using wholes = gpu.tensor([4], [16, 2, 3, 4], "u32");
  using y = gpu.tensor([4]);
  const dispatch = (
    bits: Tensor<DataType>,
    pairs: Tensor<DataType>,
    terms: Tensor<DataType>,
  ): void => gpu.dispatch(kernel, { read: { bits, pairs, terms }, write: { y }, workgroups: 1 });
  dispatch(floats, wholes, others);
  assertEquals((await y.read())[0], 22);
  dispatch(wholes, wholes, others);
  assertThrows(() => dispatch(floats, others, floats), KernelError, "takes pairs as u32: current");
  assertThrows(() => dispatch(floats, wholes, wholes), KernelError, "takes terms as f32: current");
});

Deno.test("an error in the middle of a call leaves no error scope open", async () => {
  const gpu = await testGpu();
  const { device } = gpu;
  const { createComputePipeline } = device;
  using x = gpu.tensor([4]);
  using y = gpu.tensor([4]);
  const dispatch = {
    uniform: { count: 4, shift: 0, scale: 1 },
    read: { x },
    write: { y },
    workgroups: 1,
  };
  device.createComputePipeline = () => {
    throw new TypeError("made up");
  };
  try {
    assertThrows(
      () => gpu.dispatch(AXPY, { ...dispatch, constants: { TIMES: 3 } }),
      TypeError,
      "made up",
    );
  } finally {
    device.createComputePipeline = createComputePipeline;
  }
  await assertRejects(() => device.popErrorScope()); // there is none
  gpu.dispatch(AXPY, { ...dispatch, constants: { TIMES: 3 } });
  await gpu.sync();
});
