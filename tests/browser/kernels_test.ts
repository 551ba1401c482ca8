import { assert, assertEquals } from "@std/assert";
import { Chromium } from "../tasks/chromium.ts";
import { ending, ROOT } from "../tasks/process.ts";
import { inFolder } from "../testing.ts";
import type { BrowserReport } from "./kernels.ts";

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

async function bundle(folder: string): Promise<string> {
  const path = `${folder}/browser.js`;
  const { code, stderr } = await ending(
    new Deno.Command(Deno.execPath(), {
      args: ["bundle", "--quiet", "--platform", "browser", "-o", path, "tests/browser/kernels.ts"],
      cwd: ROOT,
      stdout: "piped",
      stderr: "piped",
    }),
  );
  assertEquals(code, 0, stderr);
  return await Deno.readTextFile(path);
}

Deno.test("kernels/ runs in a browser, from a bundle", () =>
  inFolder(async (folder) => {
    const code = await bundle(folder);
    assert(!/from\s*"node:|import\s*"node:|require\(/.test(code), "it imports nothing of Node's");
    const serve = ({ url }: Request): Response =>
      new URL(url).pathname === "/browser.js"
        ? new Response(code, { headers: { "content-type": "text/javascript" } })
        : new Response('<!doctype html><script type="module" src="/browser.js"></script>', {
          headers: { "content-type": "text/html" },
        });
    await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen(): void {} }, serve);
    await using browser = await Chromium.start({ webgpu: true });
    const page = new URL(`http://127.0.0.1:${server.addr.port}/`);
    const tab = await browser.open(page, { width: 800, height: 600 });
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
    assertEquals(tab.complaints, []);
  }));
