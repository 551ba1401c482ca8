import { assert, assertEquals } from "@std/assert";
import type { BrowserReport } from "./kernels.ts";
import { inPage } from "./page.ts";

/** Cases of each family with a kernel that only a GPU gets, forward, backward and step. */
const CASES: Readonly<Record<string, number>> = {
  matmul: 3,
  rms_norm: 3,
  cross_entropy: 3,
  argmax: 3,
  causal_convolution: 3,
  scan: 3,
  rg_lru: 3,
  selective_scan: 3,
  linear_attention: 3,
  linear_attention_step: 3,
  delta_rule: 3,
  delta_rule_step: 3,
  rwkv7: 3,
  flash_attention_tiles: 1,
  flash_attention_step: 3,
};

Deno.test("kernels/ runs in a browser, from a bundle", () =>
  inPage("tests/browser/kernels.ts", async (tab) => {
    const report = await tab.evaluate(
      (cases): Promise<BrowserReport> =>
        (globalThis as unknown as {
          runCases(cases: Readonly<Record<string, number>>): Promise<BrowserReport>;
        }).runCases(cases),
      CASES,
    );
    assertEquals(report.wrong, []);
    assertEquals(report.right, CASES);
    assert(report.subgroups, `${report.adapter} has no subgroups`);
  }));
