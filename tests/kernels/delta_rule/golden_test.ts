import { assertEquals } from "@std/assert";
import { deltaRule, deltaRuleBackward } from "../../../kernels/delta_rule/mod.ts";
import type { Tensor } from "../../../kernels/gpu/mod.ts";
import { readSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { assertClose, testGpu, testKernel } from "../../testing.ts";

const path = new URL("../../golden/delta_rule.safetensors", import.meta.url);

for (
  const [name, what] of [["delta", "delta rule"], ["gated", "gated delta rule"], ["channel", "kda"]]
) {
  testKernel(`deltaRule() and its gradients equal fla's ${what}`, async () => {
    const gpu = await testGpu();
    const { tensors } = readSafetensors(await Deno.readFile(path), "delta_rule.safetensors");
    const optional = (field: string): Tensor | undefined => {
      const golden = tensors.get(`${name}.${field}`);
      return golden && gpu.tensor(golden.shape, golden.data);
    };
    const required = (field: string): Tensor => optional(field)!;
    const inputs = {
      query: required("query"),
      key: required("key"),
      value: required("value"),
      beta: required("beta"),
      logDecay: optional("logDecay"),
      initialState: required("initialState"),
    };
    const results = {
      ...deltaRule(gpu, inputs),
      ...deltaRuleBackward(gpu, {
        ...inputs,
        outputGradient: required("outputGradient"),
        finalStateGradient: required("finalStateGradient"),
      }),
    };
    assertEquals(Object.keys(results).length, name === "delta" ? 7 : 8);
    for (const [field, tensor] of Object.entries(results)) {
      const bound = field.endsWith("Gradient") ? 1e-3 : 5e-4;
      assertClose(await tensor.read(), tensors.get(`${name}.${field}`)!.data, bound, field);
      tensor[Symbol.dispose]();
    }
    for (const tensor of Object.values(inputs)) tensor?.[Symbol.dispose]();
  });
}
