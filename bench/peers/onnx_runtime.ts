/**
 * ONNX Runtime's WebGPU kernels: one graph of one operator a form, made by `make_graphs.py`.
 *
 * @module
 */
import * as ort from "onnxruntime-web/webgpu";
import type { Gpu } from "../../kernels/gpu/mod.ts";
import type { Peer, PeerWork } from "./peer.ts";

/** Opens ONNX Runtime on our device, so that inputs need no copy. */
export function onnxRuntime(gpu: Gpu): Peer {
  ort.env.wasm.numThreads = 1; // it starts its threads as a browser does, which hangs in Deno
  ort.env.logLevel = "error";
  const provider = { name: "webgpu", device: gpu.device };
  return {
    name: `onnxruntime-web ${ort.env.versions.web}`,
    gpu,
    async prepare({ form, inputs }): Promise<PeerWork> {
      const graph = await Deno.readFile(new URL(`./${form}.onnx`, import.meta.url));
      const session = await ort.InferenceSession.create(graph, {
        executionProviders: [provider as ort.InferenceSession.WebGpuExecutionProviderOption],
        preferredOutputLocation: "gpu-buffer",
      });
      const feeds = Object.fromEntries(session.inputNames.map((name) => {
        const { allocation, shape } = inputs[name];
        const [batch, time, ...row] = shape;
        const width = row.reduce((size, extent) => size * extent, 1); // it takes heads side by side
        const dims = row.length === 0 ? shape : [batch, time, width];
        const options = { dataType: "float32", dims } as const;
        return [name, ort.Tensor.fromGpuBuffer(allocation.buffer, options)];
      }));
      return {
        async run(): Promise<void> {
          for (const tensor of Object.values(await session.run(feeds))) tensor.dispose();
        },
        async output(): Promise<Float32Array> {
          const { output, ...others } = await session.run(feeds);
          for (const tensor of Object.values(others)) tensor.dispose();
          return await output.getData(true) as Float32Array;
        },
      };
    },
  };
}
