/**
 * ONNX Runtime's native WebGPU provider: C++ over a Dawn of its own. That has an adapter of its own and
 * refuses lavapipe, so it is compared where ours runs on the same SwiftShader, through Dawn. What it is
 * given and what it gives lies on the host, and a run brings both over: some MB.
 *
 * Its attention is composed of its products and its softmax. The operator, of which it has a flash attention,
 * takes subgroups to be of 8 or more (`sg_size > 8`, else 8 keys at a time), and SwiftShader's are of 4: it skips
 * keys, with a mask, without, and with a bias. That may be seen in its `flash_attention.wgsl.template`.
 *
 * @module
 */
import type * as Ort from "onnxruntime-node";
import { elementCount, type Gpu } from "../../kernels/gpu/mod.ts";
import { withSwiftShader } from "../../tests/dawn.ts";
import type { Peer, PeerWork } from "./peer.ts";

/**
 * Opens it, on SwiftShader.
 *
 * @param gpu Ours on the same adapter, whose inputs it is given.
 */
export async function onnxRuntimeNative(gpu: Gpu): Promise<Peer> {
  const ort: typeof Ort = await import("onnxruntime-node"); // 300 MB, which this alone needs
  return {
    name: "onnxruntime-node 1.30.0",
    gpu,
    isNative: true,
    async prepare({ form, inputs }): Promise<PeerWork> {
      const name = form === "attention" ? "attention_composed" : form;
      const graph = await Deno.readFile(new URL(`./${name}.onnx`, import.meta.url));
      const session = await withSwiftShader(() =>
        ort.InferenceSession.create(graph, {
          executionProviders: ["webgpu"],
          extra: { session: { disable_cpu_ep_fallback: "1" } }, // or it computes elsewhere unasked
        })
      );
      const feeds: Record<string, Ort.Tensor> = {};
      for (const name of session.inputNames) {
        if (name === "mask") {
          feeds[name] = causalMask(ort, inputs.query.shape[1]);
          continue;
        }
        const { shape } = inputs[name];
        const [batch, time, ...row] = shape;
        const dims = row.length === 0 ? shape : [batch, time, elementCount(row)];
        feeds[name] = new ort.Tensor(
          "float32",
          Float32Array.from(await inputs[name].read()),
          [...dims],
        );
      }
      return {
        async run(): Promise<void> {
          for (const tensor of Object.values(await session.run(feeds))) tensor.dispose();
        },
        async output(): Promise<Float32Array> {
          return (await session.run(feeds)).output.data as Float32Array;
        },
      };
    },
  };
}

/** What is added to the logits of each query and key: nothing, or for keys after the query so much less that they are 0. */
function causalMask(ort: typeof Ort, time: number): Ort.Tensor {
  const mask = Float32Array.from(
    { length: time ** 2 },
    (_, i) => i % time > Math.floor(i / time) ? -1e9 : 0,
  );
  return new ort.Tensor("float32", mask, [time, time]);
}
