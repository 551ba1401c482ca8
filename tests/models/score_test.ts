import { assert, assertEquals } from "@std/assert";
import { architecture, Model } from "../../models/mod.ts";
import { assertClose, testGpu } from "../testing.ts";

Deno.test("score() of a large vocabulary holds the logits of some positions at once", async () => {
  const gpu = await testGpu();
  const [vocabulary, time] = [50_000, 200];
  const configuration = architecture("mamba2", { vocabulary, width: 16, layers: 1 });
  using model = new Model(gpu, configuration, { seed: 1 });
  const tokens = Uint32Array.from({ length: time }, (_, t) => (t * 7919) % vocabulary);
  const labels = Uint32Array.from(tokens, (token, t) => t % 2 ? (token * 31) % vocabulary : token);
  gpu.resetPeak();
  const before = gpu.memory.peak;
  const { nll, correct } = await model.score({ batch: 1, time, tokens, labels });
  const logitBytes = 4 * vocabulary * time;
  const held = gpu.memory.peak - before;
  assert(held < 0.9 * logitBytes, `${held} bytes held, all logits take ${logitBytes}`);

  using all = model.forward(tokens);
  const logits = await all.read();
  const expected = Float64Array.from(labels, (label, t) => {
    const row = logits.subarray(t * vocabulary, (t + 1) * vocabulary);
    const most = row.reduce((a, b) => Math.max(a, b));
    const best = row.indexOf(most);
    assertEquals(correct[t], Number(best === label), `position ${t}`);
    return most + Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0)) -
      row[label];
  });
  assertClose(nll, expected, 1e-5, "negative log-likelihood");
  const { predicted } = await model.score(
    { batch: 1, time, tokens, labels },
    { predictions: true },
  );
  const likeliest = Uint32Array.from(labels, (_, t) => {
    const row = logits.subarray(t * vocabulary, (t + 1) * vocabulary);
    return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
  });
  assertEquals(predicted, likeliest);
});
