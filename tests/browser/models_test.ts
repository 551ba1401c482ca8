import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { openGpu } from "../../kernels/mod.ts";
import { loadModel } from "../../models/mod.ts";
import { ROOT } from "../tasks/process.ts";
import { ADDED, type BrowserModel } from "./models.ts";
import { inPage } from "./page.ts";

const TEXT = [...new TextEncoder().encode("It was the best of ")];
const MODELS: readonly BrowserModel[] = [
  {
    folder: "models/zoo/mamba2-attention-text/",
    weights: "model.safetensors",
    as: "address",
    prompt: TEXT,
  },
  { folder: "models/zoo/gla-text/", weights: "model.safetensors", as: "blob", prompt: TEXT },
  {
    folder: "tests/golden/checkpoints/published/mamba2attn_ssm/",
    weights: "pytorch_model.bin",
    as: "bytes",
    prompt: [3, 1, 4, 1, 5],
  },
];

/** What the page's module puts into its global scope. */
interface Page {
  generate(model: BrowserModel): Promise<readonly number[]>;
  refusals(): Promise<Readonly<Record<string, string>>>;
}

Deno.test("models/ runs in a browser, from a bundle: the same tokens as in Deno", async () => {
  await using gpu = await openGpu();
  await inPage("tests/browser/models.ts", async (tab) => {
    for (const asked of MODELS) {
      using model = await loadModel(gpu, join(ROOT, asked.folder));
      const tokens = await model.generate(asked.prompt, { maxTokens: ADDED });
      assertEquals(tokens.length, ADDED);
      const found = await tab.evaluate(
        (asked) => (globalThis as unknown as Page).generate(asked),
        asked,
      );
      assertEquals(found, tokens, `${asked.folder}, by ${asked.as}`);
    }
  });
});

Deno.test("what a browser lacks is an error that says so, and what to do", () =>
  inPage("tests/browser/models.ts", async (tab) => {
    const { missing, ...refused } = await tab.evaluate(() =>
      (globalThis as unknown as Page).refusals()
    );
    for (const [call, message] of Object.entries(refused)) {
      assertMatch(message, /^Cannot .+ in a browser: \w+/, call);
    }
    assertMatch(missing, /config\.json cannot be read: .*answered 404/);
    tab.complaints.length = 0; // the missing file is in the browser's log
  }));
