/**
 * TensorFlow.js: its matrix product, and attention composed of its operations, there being none whole.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import type { Gpu } from "../../kernels/gpu/mod.ts";
import type { Peer, PeerWork, Problem } from "./peer.ts";

/** Opens TensorFlow.js on our device, so that inputs need no copy. */
export async function tensorflow(gpu: Gpu): Promise<Peer> {
  const backend = new WebGPUBackend(gpu.device, gpu.device.adapterInfo);
  tf.registerBackend("lengthwise", () => backend);
  tf.copyRegisteredKernels("webgpu", "lengthwise");
  if (!await tf.setBackend("lengthwise")) throw new Error("its backend does not start");
  return {
    name: `@tensorflow/tfjs ${tf.version_core}`,
    gpu,
    prepare(problem): Promise<PeerWork | undefined> {
      const compute = operation(problem);
      if (compute === undefined) return Promise.resolve(undefined);
      return Promise.resolve({
        run(): void {
          tf.tidy(() => void compute());
          backend.ensureCommandEncoderReady();
          backend.endComputePassEncoder();
          backend.submitQueue(); // it would wait for 15 dispatches
        },
        async output(): Promise<Float32Array> {
          const output = tf.tidy(compute);
          const data = await output.data<"float32">();
          output.dispose();
          return data;
        },
      });
    },
  };
}

function operation({ form, inputs }: Problem): (() => tf.Tensor) | undefined {
  const shared = (name: string): tf.Tensor => {
    const { allocation, shape } = inputs[name];
    return tf.tensor({ buffer: allocation.buffer, zeroCopy: true }, [...shape], "float32");
  };
  if (form === "matmul") {
    const [a, b] = [shared("a"), shared("b")];
    return () => tf.matMul(a, b);
  }
  if (form === "attention") {
    const [query, key, value] = [shared("query"), shared("key"), shared("value")];
    const [, time, , dim] = query.shape;
    const mask = tf.tidy(() => {
      const place = tf.range(0, time);
      const ahead = tf.greater(tf.expandDims(place, 0), tf.expandDims(place, 1));
      return tf.mul(tf.cast(ahead, "float32"), -1e9);
    });
    const byHead = (x: tf.Tensor): tf.Tensor => tf.transpose(x, [0, 2, 1, 3]);
    return () => {
      const logits = tf.matMul(byHead(query), byHead(key), false, true);
      const weights = tf.softmax(tf.add(tf.mul(logits, dim ** -0.5), mask));
      return byHead(tf.matMul(weights, byHead(value)));
    };
  }
}
