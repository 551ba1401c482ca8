/**
 * ONNX Runtime's native WebGPU provider: C++ over a Dawn of its own. That has an adapter of its own and
 * refuses lavapipe, so it is compared where ours runs on the same SwiftShader, through Dawn. What it is
 * given and what it gives lies on the host, and a run brings both over: some MB.
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
      const graph = await Deno.readFile(new URL(`./${form}.onnx`, import.meta.url));
      const session = await withSwiftShader(() =>
        ort.InferenceSession.create(graph, {
          executionProviders: ["webgpu"],
          extra: { session: { disable_cpu_ep_fallback: "1" } }, // or it computes elsewhere unasked
        })
      );
      const feeds: Record<string, Ort.Tensor> = {};
      for (const name of session.inputNames) {
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
