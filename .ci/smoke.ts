/**
 * Imports every entry point of the copy that is published, opens the GPU through its mod.ts, runs
 * one kernel and compares the numbers. The working folder is the copy.
 *
 * @module
 */
const { exports } = JSON.parse(await Deno.readTextFile("deno.json"));
const here = new URL(`file://${Deno.cwd()}/`);
for (const [name, path] of Object.entries<string>(exports)) {
  const names = Object.keys(await import(new URL(path, here).href));
  if (names.length === 0) throw new Error(`"${name}" exports nothing`);
  console.log(`${name}: ${names.length} names`);
}

const { openGpu, rmsNorm }: typeof import("../mod.ts") = await import(new URL("mod.ts", here).href);
await using gpu = await openGpu();
using x = gpu.tensor([2, 4], new Float32Array([1, -2, 3, 4, 0.5, 0, -0.5, 8]));
using weight = gpu.tensor([4], new Float32Array([1, 2, 0.5, -1]));
const { output, inverseRms } = rmsNorm(gpu, { x, weight });
const [values, rows, columns] = [await output.read(), await x.read(), await weight.read()];
for (let row = 0; row < 2; row++) {
  const part = rows.slice(4 * row, 4 * row + 4);
  const scale = 1 / Math.sqrt(part.reduce((sum, value) => sum + value ** 2, 0) / 4 + 1e-5);
  part.forEach((value, column) => {
    const error = Math.abs(values[4 * row + column] - value * scale * columns[column]);
    if (!(error < 1e-5)) throw new Error(`rmsNorm() is off by ${error} at [${row}, ${column}]`);
  });
}
output[Symbol.dispose]();
inverseRms[Symbol.dispose]();
console.log("rmsNorm() gives the right numbers");
