import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Chromium, type Tab } from "../tasks/chromium.ts";
import { ending, ROOT } from "../tasks/process.ts";
import { inFolder } from "../testing.ts";

async function bundle(entry: string, folder: string): Promise<string> {
  const path = `${folder}/browser.js`;
  const { code, stderr } = await ending(
    new Deno.Command(Deno.execPath(), {
      args: ["bundle", "--quiet", "--platform", "browser", "-o", path, entry],
      cwd: ROOT,
      stdout: "piped",
      stderr: "piped",
    }),
  );
  assertEquals(code, 0, stderr);
  return await Deno.readTextFile(path);
}

async function answer({ url }: Request, code: string): Promise<Response> {
  const { pathname } = new URL(url);
  if (pathname === "/browser.js") {
    return new Response(code, { headers: { "content-type": "text/javascript" } });
  }
  if (/^\/(models\/zoo|tests\/golden)\/[\w./-]+$/.test(pathname)) {
    return await Deno.open(join(ROOT, pathname)).then(
      ({ readable }) => new Response(readable),
      () => new Response("not there", { status: 404 }),
    );
  }
  return new Response('<!doctype html><script type="module" src="/browser.js"></script>', {
    headers: { "content-type": "text/html" },
  });
}

/**
 * Runs a test in a page of a headless Chromium with WebGPU, which has loaded a module's bundle. Its
 * server has the committed models and `tests/golden/`, at their paths.
 */
export function inPage(entry: string, test: (tab: Tab) => Promise<void>): Promise<void> {
  return inFolder(async (folder) => {
    const code = await bundle(entry, folder);
    const importing = /from\s*"(?:node|jsr|npm):|import\s*"node:|import\("|require\(/.exec(code);
    assert(
      importing === null,
      `the bundle imports nothing: ${code.slice(importing?.index).slice(0, 80)}`,
    );
    await using server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen(): void {} },
      (request) => answer(request, code),
    );
    await using browser = await Chromium.start({ webgpu: true });
    const page = new URL(`http://127.0.0.1:${server.addr.port}/`);
    const tab = await browser.open(page, { width: 800, height: 600 });
    await test(tab);
    assertEquals(tab.complaints, []);
  });
}
