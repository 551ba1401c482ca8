import { assertEquals } from "@std/assert";
import { rwkv7, rwkv7Backward } from "../../../kernels/delta_rule/mod.ts";
import type { Tensor } from "../../../kernels/gpu/mod.ts";
import { readSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { assertClose, testGpu, testKernel } from "../../testing.ts";

const path = new URL("../../golden/rwkv7.safetensors", import.meta.url);

testKernel("rwkv7() and its gradients equal fla's diagonal plus low rank rule", async () => {
  const gpu = await testGpu();
  const { tensors } = readSafetensors(await Deno.readFile(path), "rwkv7.safetensors");
  const upload = (name: string): Tensor => {
    const { shape, data } = tensors.get(name)!;
    return gpu.tensor(shape, data);
  };
  const inputs = {
    receptance: upload("receptance"),
    logDecay: upload("logDecay"),
    key: upload("key"),
    value: upload("value"),
    a: upload("a"),
    b: upload("b"),
    initialState: upload("initialState"),
    outputGradient: upload("outputGradient"),
    finalStateGradient: upload("finalStateGradient"),
  };
  const options = { scale: inputs.key.shape[3] ** -0.5 };
  const results = { ...rwkv7(gpu, inputs, options), ...rwkv7Backward(gpu, inputs, options) };
  assertEquals(Object.keys(results).length, 9);
  for (const [name, tensor] of Object.entries(results)) {
    const bound = name.endsWith("Gradient") ? 1e-3 : 5e-4;
    assertClose(await tensor.read(), tensors.get(name)!.data, bound, name);
    tensor[Symbol.dispose]();
  }
  for (const tensor of Object.values(inputs)) tensor[Symbol.dispose]();
});
