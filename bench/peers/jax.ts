/**
 * jax-js: kernels that it generates from array operations, compiled by its `jit`.
 *
 * @module
 */
import { type Array, defaultDevice, getWebGPUDevice, init, jit, nn, numpy } from "@jax-js/jax";
import { openGpu, type Tensor } from "../../kernels/gpu/mod.ts";
import type { Peer, PeerWork } from "./peer.ts";

/** Its version, which the package does not tell. */
const VERSION = "0.1.25";

/** Opens jax-js on a device of its own, as it takes no other; inputs are copied once. */
export async function jax(): Promise<Peer> {
  const devices = await init("webgpu");
  if (!devices.includes("webgpu")) throw new Error(`it found only ${devices.join(", ")}`);
  defaultDevice("webgpu");
  return {
    name: `@jax-js/jax ${VERSION}`,
    gpu: await openGpu({ device: getWebGPUDevice() }),
    async prepare({ form, inputs }): Promise<PeerWork | undefined> {
      if (form !== "matmul" && form !== "attention") return undefined;
      const { a, b, query, key, value } = inputs;
      const compute = form === "matmul"
        ? jit((a: Array, b: Array) => numpy.matmul(a, b))
        : jit((query: Array, key: Array, value: Array) =>
          nn.dotProductAttention(query, key, value, { isCausal: true })
        );
      const given = await Promise.all((form === "matmul" ? [a, b] : [query, key, value]).map(copy));
      const once = (): Array =>
        (compute as (...given: Array[]) => Array)(...given.map((x) => x.ref));
      return {
        async run(): Promise<void> {
          await once().gpuBuffer(); // nothing is queued before the result is asked for
        },
        output: async () => await once().data() as Float32Array,
      };
    },
  };
}

async function copy(tensor: Tensor): Promise<Array> {
  const elements = await tensor.read() as Float32Array<ArrayBuffer>;
  return numpy.array(elements, { shape: [...tensor.shape] });
}
