import { assertEquals, assertThrows } from "@std/assert";
import {
  add,
  concatenate,
  concatenateTime,
  gatherRows,
  gatherRowsBackward,
  multiply,
  multiplyAdd,
  multiplyBackward,
  scale,
  sliceTime,
  split,
  sumParts,
  sumTo,
} from "../../../kernels/arithmetic/mod.ts";
import {
  combineReference,
  multiplyAddReference,
  sumToReference,
} from "../../../kernels/arithmetic/reference.ts";
import { type AnyTensor, elementCount, type Tensor } from "../../../kernels/gpu/mod.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

const PAIRS: [number[], number[]][] = [
  [[1], [1]],
  [[3, 5], [3, 5]],
  [[7, 5, 3], [1]],
  [[300, 64], [64]],
  [[257, 7], [7]],
  [[2, 65, 3, 8], [3, 1]],
  [[2, 65, 3, 5], [3, 1]],
  [[2, 9, 3, 5], [9, 3, 1]],
  [[5, 130], [5, 1]],
  [[2, 3, 100], [2, 1, 1]],
];

for (const [shape, bShape] of PAIRS) {
  testKernel(
    `add(), multiply() and their gradients equal the reference for [${shape}] and [${bShape}]`,
    async () => {
      const gpu = await testGpu();
      const [aData, bData, gData] = [shape, bShape, shape].map((s, i) =>
        normals(i, elementCount(s))
      );
      using a = gpu.tensor(shape, aData);
      using b = gpu.tensor(bShape, bData);
      using outputGradient = gpu.tensor(shape, gData);
      const gradients = multiplyBackward(gpu, { a, b, outputGradient });
      const [sum, product, total, da, db] = await gpu.read([
        add(gpu, { a, b }).output,
        multiply(gpu, { a, b }).output,
        sumTo(gpu, { x: outputGradient }, { shape: bShape }).output,
        gradients.aGradient,
        gradients.bGradient,
      ]);
      assertClose(sum, combineReference("add", aData, bData, shape, bShape), 1e-6, "sum");
      const expected = combineReference("multiply", aData, bData, shape, bShape);
      assertClose(product, expected, 1e-6, "product");
      assertClose(total, sumToReference(gData, shape, bShape), 1e-5, "sumTo");
      const ga = combineReference("multiply", gData, aData, shape, shape);
      assertClose(da, combineReference("multiply", gData, bData, shape, bShape), 1e-6, "aGradient");
      assertClose(db, sumToReference(ga, shape, bShape), 1e-5, "bGradient");
      assertEquals(gradients.bGradient.shape, bShape);
    },
  );
}

testKernel("scale() reaches every element past 65,535 workgroups", async () => {
  const gpu = await testGpu();
  const size = 65_536 * 256 + 3;
  const data = Float32Array.from({ length: size }, (_, i) => i % 1024);
  using x = gpu.tensor([size], data);
  using output = scale(gpu, { x }, { factor: -0.5 }).output;
  const y = await output.read();
  for (let i = 0; i < size; i++) if (y[i] !== data[i] * -0.5) throw new Error(`element ${i}`);
});

testKernel("sumTo() of a long tensor is exact to the reference and the same twice", async () => {
  const gpu = await testGpu();
  const data = normals(1, 300_001);
  using x = gpu.tensor([300_001], data);
  const [first, second] = await gpu.read([
    sumTo(gpu, { x }, { shape: [1] }).output,
    sumTo(gpu, { x }, { shape: [] }).output,
  ]);
  assertClose(first, sumToReference(data, [300_001], [1]), 1e-5, "sum");
  assertEquals(first, second);
});

for (const [shape, bShape] of PAIRS) {
  testKernel(`multiplyAdd() equals the reference for [${shape}] and [${bShape}]`, async () => {
    const gpu = await testGpu();
    const shapes = [shape, bShape, [1], shape, bShape, shape, bShape, shape]; // factors, and the addend
    const data = shapes.map((shape, i) => normals(i, elementCount(shape)));
    const xData = normals(20, elementCount(shape));
    using scope = new DisposableStack();
    const x = scope.use(gpu.tensor(shape, xData));
    const tensors = shapes.map((shape, i) => scope.use(gpu.tensor(shape, data[i])));
    for (const [at, addend] of [[7, tensors[7]], [1, tensors[1]]] as const) {
      for (const factors of [tensors.slice(0, 7), tensors.slice(1, 2)]) {
        const { outputs } = scope.use(multiplyAdd(gpu, { x, factors, addend }));
        (await gpu.read(outputs)).forEach((values, i) => {
          const of = tensors.indexOf(factors[i]);
          const expected = multiplyAddReference(
            { x: xData, factor: data[of], addend: data[at] },
            shape,
            shapes[of],
            shapes[at],
          );
          assertClose(values, expected, 1e-6, `factor [${shapes[of]}], addend [${shapes[at]}]`);
        });
      }
    }
  });
}

testKernel("sumParts() of tensors of all kinds equals the reference, in their order", async () => {
  const gpu = await testGpu();
  const shapes = [[3, 8], [1, 5], [16, 2, 6], [200, 12], [7, 1], [2, 64], [5, 4], [9, 3, 4], [
    4,
    0,
  ]];
  const data = shapes.map((shape, i) => normals(i, elementCount(shape)));
  const parts = shapes.map((shape, i) => gpu.tensor(shape, data[i]));
  const { sums } = sumParts(gpu, { parts });
  const values = await gpu.read(sums);
  shapes.forEach(([count, ...shape], i) => {
    assertEquals(sums[i].shape, shape);
    const whole = [count, elementCount(shape)];
    const expected = sumToReference(data[i], whole, whole.slice(1));
    assertClose(values[i], expected, 1e-5, `[${shapes[i]}]`);
  });
});

for (const sizes of [[8, 4, 64], [3, 1, 5, 2], [0, 7]]) {
  testKernel(`split() and concatenate() undo each other for sizes ${sizes}`, async () => {
    const gpu = await testGpu();
    const width = sizes.reduce((sum, size) => sum + size, 0);
    const data = normals(1, 2 * 33 * width);
    using x = gpu.tensor([2, 33, width], data);
    const { outputs } = split(gpu, { x }, { sizes });
    const { output } = concatenate(gpu, { inputs: outputs });
    const [whole, ...parts] = await gpu.read([output, ...outputs]);
    assertEquals(whole, data);
    let start = 0;
    sizes.forEach((size, index) => {
      assertEquals(outputs[index].shape, [2, 33, size]);
      const part = data.filter((_, i) => i % width >= start && i % width < start + size);
      assertEquals(parts[index], part);
      start += size;
    });
  });
}

for (const inner of [[3, 4], [5], []]) {
  testKernel(
    `sliceTime() and concatenateTime() undo each other for inner axes [${inner}]`,
    async () => {
      const gpu = await testGpu();
      const width = elementCount(inner);
      const data = normals(1, 2 * 9 * width);
      using x = gpu.tensor([2, 9, ...inner], data);
      const inputs = [[0, 4], [4, 0], [4, 5]].map(([start, length]) =>
        sliceTime(gpu, { x }, { start, length }).output
      );
      const [whole, tail] = await gpu.read([concatenateTime(gpu, { inputs }).output, inputs[2]]);
      assertEquals(whole, data);
      assertEquals(tail, data.filter((_, i) => i % (9 * width) >= 4 * width));
    },
  );
}

for (const columns of [5, 8]) {
  testKernel(`gatherRows() and its gradient move rows of ${columns}`, async () => {
    const gpu = await testGpu();
    const data = normals(1, 9 * columns);
    using x = gpu.tensor([9, columns], data);
    using indices = gpu.tensor([4], [8, 0, 3, 9], "u32");
    using output = gatherRows(gpu, { x, indices }).output;
    using xGradient =
      gatherRowsBackward(gpu, { outputGradient: output, indices }, { rows: 9 }).xGradient;
    const [rows, back] = await gpu.read([output, xGradient]);
    const row = (i: number): number[] => [...data.slice(i * columns, (i + 1) * columns)];
    assertEquals([...rows], [...row(8), ...row(0), ...row(3), ...Array(columns).fill(0)]);
    const kept = data.map((value, i) => [8, 0, 3].includes(Math.floor(i / columns)) ? value : 0);
    assertEquals(back, kept);
  });
}

testKernel("multiplyAdd() refuses shapes that do not fit", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([2, 3]);
  using other = gpu.tensor([2]);
  const refuse = (factors: Tensor[], addend: Tensor, message: string): void => {
    assertThrows(() => multiplyAdd(gpu, { x, factors, addend }), RangeError, message);
  };
  refuse([], x, "there must be a factor or more: there is none");
  refuse([x, other], x, "factors[1] must have the shape [2,3] or repeat along it");
  refuse([x], other, "addend must have the shape [2,3] or repeat along it");
});

testKernel("arithmetic refuses shapes that do not fit", async () => {
  const gpu = await testGpu();
  using a = gpu.tensor([2, 3, 4]);
  using gap = gpu.tensor([2, 1, 4]);
  using indices = gpu.tensor([2]);
  using matrix = gpu.tensor([2, 3]);
  assertThrows(
    () => add(gpu, { a, b: gap }),
    RangeError,
    "Cannot run add() as b must have the shape [2,3,4] or repeat along it with its extents other than 1 side by side: current shape is [2,1,4]",
  );
  assertThrows(
    () => split(gpu, { x: a }, { sizes: [1, 2] }),
    RangeError,
    "Cannot run split() as the sizes [1,2] must sum to the last axis of x: current shape is [2,3,4]",
  );
  assertThrows(
    () => concatenateTime(gpu, { inputs: [a, matrix] }),
    RangeError,
    "Cannot run concatenateTime() as inputs[1] must have shape [2,3,4]: current shape is [2,3]",
  );
  assertThrows(
    () => sliceTime(gpu, { x: a }, { start: 2, length: 2 }),
    RangeError,
    "time steps 2 to 4",
  );
  assertThrows(
    () => gatherRows(gpu, { x: matrix, indices: indices as AnyTensor as Tensor<"u32"> }),
    RangeError,
    "Cannot run gatherRows() as indices must be u32: current data type is f32",
  );
});
