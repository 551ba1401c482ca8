import { assertEquals } from "@std/assert";
import type { Tensor } from "../../../kernels/gpu/mod.ts";
import { linearAttention, linearAttentionBackward } from "../../../kernels/linear_attention/mod.ts";
import { readSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { assertClose, testGpu, testKernel } from "../../testing.ts";

const path = new URL("../../golden/linear_attention.safetensors", import.meta.url);

for (const name of ["linear_attn", "simple_gla", "gla", "rwkv6"]) {
  testKernel(`linearAttention() and its gradients equal fla's naive ${name}`, async () => {
    const gpu = await testGpu();
    const { tensors } = readSafetensors(await Deno.readFile(path), "linear_attention.safetensors");
    const optional = (field: string): Tensor | undefined => {
      const golden = tensors.get(`${name}.${field}`);
      return golden && gpu.tensor(golden.shape, golden.data);
    };
    const required = (field: string): Tensor => optional(field)!;
    const inputs = {
      query: required("query"),
      key: required("key"),
      value: required("value"),
      logDecay: optional("logDecay"),
      bonus: optional("bonus"),
      initialState: required("initialState"),
    };
    const results = {
      ...linearAttention(gpu, inputs),
      ...linearAttentionBackward(gpu, {
        ...inputs,
        outputGradient: required("outputGradient"),
        finalStateGradient: required("finalStateGradient"),
      }),
    };
    const checked = Object.entries(results).filter(([, tensor]) => tensor !== undefined);
    assertEquals(checked.length, { linear_attn: 6, rwkv6: 8 }[name] ?? 7);
    for (const [field, tensor] of checked) {
      const bound = field.endsWith("Gradient") ? 1e-3 : 1e-4;
      assertClose(await tensor!.read(), tensors.get(`${name}.${field}`)!.data, bound, field);
      tensor![Symbol.dispose]();
    }
    for (const tensor of Object.values(inputs)) tensor?.[Symbol.dispose]();
  });
}

testKernel(
  "linearAttention() with a fixed decay per head equals fla's naive retention",
  async () => {
    const gpu = await testGpu();
    const { tensors } = readSafetensors(await Deno.readFile(path), "linear_attention.safetensors");
    const golden = (field: string): Tensor => {
      const { shape, data } = tensors.get(`retention.${field}`)!;
      return gpu.tensor(shape, data);
    };
    const [batch, time, heads] = tensors.get("retention.query")!.shape;
    const decays = Float32Array.from(
      { length: batch * time * heads },
      (_, i) => Math.log1p(-(2 ** (-5 - i % heads))),
    );
    const inputs = {
      query: golden("query"),
      key: golden("key"),
      value: golden("value"),
      logDecay: gpu.tensor([batch, time, heads], decays),
    };
    const { output } = linearAttention(gpu, inputs);
    assertClose(await output.read(), tensors.get("retention.output")!.data, 1e-4, "output");
    const gradients = linearAttentionBackward(gpu, {
      ...inputs,
      outputGradient: golden("outputGradient"),
    });
    for (const field of ["queryGradient", "keyGradient", "valueGradient"] as const) {
      const expected = tensors.get(`retention.${field}`)!.data;
      assertClose(await gradients[field].read(), expected, 1e-3, field);
    }
  },
);
