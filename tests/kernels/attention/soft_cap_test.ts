import type { Tensor } from "../../../kernels/gpu/mod.ts";
import { flashAttention, flashAttentionBackward } from "../../../kernels/attention/mod.ts";
import {
  attentionBackwardReference,
  attentionReference,
} from "../../../kernels/attention/reference.ts";
import { assertClose, normals, testKernel, testTilings } from "../../testing.ts";

// What tanh is off by is multiplied by the cap: Gemma 2 has 50.
for (const softCap of [5, 50, 1000, 1e6]) {
  testKernel(`attention with a soft cap of ${softCap} is right to the last digits`, async () => {
    const [time, dim] = [64, 16];
    const shape = {
      ...{ batch: 1, queryTime: time, keyTime: time, heads: 1, keyHeads: 1 },
      ...{ dim, valueDim: dim },
    };
    const [query, key, value, outputGradient] = [1, 2, 3, 4].map((seed) =>
      normals(seed, time * dim, 1.5)
    );
    const arrays = { query, key, value };
    const options = { causal: true, softCap };
    const expected = attentionReference(arrays, { ...shape, ...options });
    const gradients = attentionBackwardReference({ ...arrays, outputGradient }, {
      ...shape,
      ...options,
    });
    for (const [tiling, gpu] of await testTilings()) {
      const upload = (data: Float32Array): Tensor => gpu.tensor([1, time, 1, dim], data);
      const inputs = { query: upload(query), key: upload(key), value: upload(value) };
      const forward = flashAttention(gpu, inputs, options);
      const backward = flashAttentionBackward(
        gpu,
        { ...inputs, ...forward, outputGradient: upload(outputGradient) },
        options,
      );
      const actual: Record<string, unknown> = { ...forward, ...backward };
      for (const [name, array] of Object.entries({ ...expected, ...gradients })) {
        const read = await (actual as Record<string, Tensor>)[name].read();
        assertClose(read, array, 1.5e-6, `${name}, ${tiling}`);
      }
    }
  });
}
