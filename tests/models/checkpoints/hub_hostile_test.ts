import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { DownloadError, downloadModel } from "../../../models/mod.ts";
import { BadAnswer, request } from "../../../models/checkpoints/http.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const LIST = `/api/models/owner/tiny/revision/main`;
const CONFIG = new TextEncoder().encode('{"model_type": "llama"}');

type Answer = (request: Request, path: string) => Response | Promise<Response> | undefined;

/** A hub that answers as it is told, and with what a good hub answers otherwise. */
class Hub implements AsyncDisposable {
  readonly cache = Deno.makeTempDirSync();
  readonly requests: Request[] = [];
  /** What the list says of each file; those that are served. */
  files: Record<string, { bytes: Uint8Array<ArrayBuffer>; said?: Record<string, unknown> }> = {
    "config.json": { bytes: CONFIG },
  };
  sha: unknown = COMMIT;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(answer: Answer = () => undefined) {
    this.#server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => {}, onError: () => new Response() },
      (request) => {
        this.requests.push(request);
        const path = decodeURIComponent(new URL(request.url).pathname);
        return answer(request, path) ?? this.#answer(path);
      },
    );
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  download(options: { model?: string; weights?: boolean } = {}): Promise<string> {
    const { model = "hf:owner/tiny", weights = false } = options;
    const { endpoint, cache } = this;
    return downloadModel(model, { endpoint, cache, weights, retryDelay: 1, patience: 300 });
  }

  #answer(path: string): Response {
    if (path === LIST) {
      const siblings = Object.entries(this.files).map(([rfilename, { bytes, said }]) => ({
        rfilename,
        ...(said ?? { size: bytes.length }),
      }));
      return Response.json({ sha: this.sha, siblings });
    }
    const file = this.files[path.slice(path.lastIndexOf("/") + 1)];
    return file ? new Response(file.bytes) : new Response("none", { status: 404 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.remove(this.cache, { recursive: true });
  }
}

/** A body whose first bytes come, and nothing behind them; it ends with the connection. */
function silent(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.enqueue(bytes) });
}

const isConfig = (path: string): boolean => path.endsWith("/config.json");

Deno.test("a redirect leads to http and https alone", async () => {
  for (const location of ["file:///etc/passwd", "data:,x", "ftp://127.0.0.1/x", "http://["]) {
    await using hub = new Hub((_, path) =>
      isConfig(path) ? new Response(null, { status: 302, headers: { location } }) : undefined
    );
    const error = await assertRejects(() => hub.download(), DownloadError);
    assert(
      error.message.includes("redirects to something other than a web address"),
      error.message,
    );
  }
  await using hub = new Hub((_, path) =>
    isConfig(path)
      ? new Response(null, { status: 302, headers: { location: "?again" } })
      : undefined
  );
  await assertRejects(() => hub.download(), DownloadError, "redirects without end");
});

Deno.test("a redirect never leads from https down to http", async () => {
  const { fetch } = globalThis;
  const asked: string[] = [];
  globalThis.fetch = (input): Promise<Response> => {
    asked.push(`${input}`);
    return Promise.resolve(
      new Response(null, { status: 302, headers: { location: "http://other.example/x" } }),
    );
  };
  try {
    await assertRejects(
      () => request(new URL("https://hub.example/secret?token=1")),
      BadAnswer,
      "https://hub.example/secret redirects from https down to http",
    );
    assertEquals(asked, ["https://hub.example/secret?token=1"]);
  } finally {
    globalThis.fetch = fetch;
  }
});

Deno.test("the rest of a file is of the version that its beginning is of", async () => {
  const versions = { '"v1"': new Uint8Array(4000).fill(1), '"v2"': new Uint8Array(4000).fill(2) };
  for (const honoursIfRange of [true, false]) {
    let version: keyof typeof versions = '"v1"';
    await using hub = new Hub((request, path) => {
      if (!isConfig(path)) return undefined;
      const bytes = versions[version];
      const headers = { etag: version, "content-length": `${bytes.length}` };
      const isSame = request.headers.get("if-range") === version;
      const from = Number(/\d+/.exec(request.headers.get("range") ?? "")?.[0] ?? 0);
      if (version === '"v1"') {
        version = '"v2"';
        return new Response(cutAfter(bytes, 2000), { headers });
      }
      return from > 0 && (isSame || !honoursIfRange)
        ? new Response(bytes.subarray(from), {
          status: 206,
          headers: {
            etag: version,
            "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
          },
        })
        : new Response(bytes, { headers });
    });
    hub.files["config.json"] = { bytes: versions['"v2"'] };
    const folder = await hub.download();
    assertEquals(await Deno.readFile(`${folder}/config.json`), versions['"v2"']);
    const asked = hub.requests.filter(({ url }) => url.endsWith("/config.json"));
    assertEquals(asked[1].headers.get("if-range"), '"v1"');
    const left = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
    assertEquals(left, ["config.json"]);
  }
});

Deno.test("a 206 with other bytes than were asked for is not part of the file", async () => {
  for (const range of ["bytes 5-22/23", "bytes 0-22/23", "bytes 10-22/99", "nonsense"]) {
    let tries = 0;
    await using hub = new Hub((_, path) => {
      if (!isConfig(path)) return undefined;
      tries++;
      if (tries === 1) return new Response(cutAfter(CONFIG, 10), { headers: { etag: '"a"' } });
      if (tries > 2) return undefined;
      const headers = { etag: '"a"', "content-range": range };
      return new Response(CONFIG.subarray(10).map(() => 0), { status: 206, headers });
    });
    const folder = await hub.download();
    assertEquals(await Deno.readFile(`${folder}/config.json`), CONFIG, range);
  }
});

Deno.test("a file whose SHA-256 nobody says is held to its blob in Git", async () => {
  const id = createHash("sha1").update(`blob ${CONFIG.length}\0`).update(CONFIG).digest("hex");
  await using hub = new Hub();
  const size = CONFIG.length;
  hub.files["config.json"].said = {
    size,
    blobId: id.replace(/^./, (digit) => digit === "0" ? "1" : "0"),
  };
  await assertRejects(() => hub.download(), DownloadError, `its Git blob is ${id}, not `);
  hub.files["config.json"].said = { size, blobId: id };
  const folder = await hub.download();
  assertEquals(await Deno.readFile(`${folder}/config.json`), CONFIG);
});

Deno.test("every wait ends: an answer, a list and a file that fall silent or crawl", async () => {
  const drip = (): ReadableStream<Uint8Array> => {
    let timer: ReturnType<typeof setInterval>;
    return new ReadableStream({
      start: (controller) => {
        timer = setInterval(() => controller.enqueue(CONFIG.subarray(0, 1)), 20);
      },
      cancel: () => clearInterval(timer),
    });
  };
  const cases: [silences: (path: string) => boolean, body: () => BodyInit, message: string][] = [
    [(path) => path === LIST, () => silent(CONFIG), "its list of files cannot be read (fewer than"],
    [(path) => path === LIST, drip, "its list of files cannot be read (fewer than"],
    [isConfig, () => silent(CONFIG.subarray(0, 5)), "the connection was cut at byte 5"],
    [isConfig, drip, "fewer than 1024 bytes came in 0.3 s"],
  ];
  for (const [silences, body, message] of cases) {
    await using hub = new Hub((_, path) => silences(path) ? new Response(body()) : undefined);
    // Its size is known to nobody: silence is not its end.
    hub.files["config.json"].said = {};
    await assertRejects(() => hub.download(), DownloadError, message);
  }
});

Deno.test("another process that holds a file and does not continue is not waited for without end", async () => {
  await using hub = new Hub();
  const folder = await hub.download();
  await Deno.rename(`${folder}/config.json`, `${folder}/config.json.partial`);
  using held = await Deno.open(`${folder}/config.json.partial`, { read: true, write: true });
  await held.lock(true);
  await assertRejects(() => hub.download(), DownloadError, "does not continue: end that one");
  await held.unlock();
  assertEquals(await hub.download(), folder);
  assertEquals(await Deno.readFile(`${folder}/config.json`), CONFIG);
});

Deno.test("tries are counted, however often a byte more comes", async () => {
  const bytes = new Uint8Array(5000);
  await using hub = new Hub((request, path) => {
    if (!isConfig(path)) return undefined;
    const from = Number(/\d+/.exec(request.headers.get("range") ?? "")?.[0] ?? 0);
    const headers = { etag: '"a"', "content-range": `bytes ${from}-4999/5000` };
    return new Response(cutAfter(bytes.subarray(from), 1), {
      status: from > 0 ? 206 : 200,
      headers,
    });
  });
  hub.files["config.json"] = { bytes };
  await assertRejects(() => hub.download(), DownloadError, "tries were not enough");
  assert(hub.requests.length < 120, `${hub.requests.length}`);
});

Deno.test("a file that is larger than it was said to be is not kept", async () => {
  await using hub = new Hub((_, path) =>
    isConfig(path) ? new Response(new Uint8Array(10_000)) : undefined
  );
  await assertRejects(() => hub.download(), DownloadError, "bytes, not 23: it was removed");
  hub.files["config.json"].said = { size: 2 ** 40 };
  await assertRejects(() => hub.download(), DownloadError, "it has 1099511627776 bytes, more than");
});

Deno.test("a list that is not a list, or names something other than a file, is refused", async () => {
  const cases: [list: unknown, message: string][] = [
    [{ sha: COMMIT }, 'it must give "siblings"'],
    [{ sha: "..", siblings: [] }, '"sha" must be 40 hexadecimal digits'],
    [{ sha: "../../../../etc", siblings: [] }, '"sha" must be 40 hexadecimal digits'],
    [{ sha: COMMIT, siblings: [{ rfilename: 3 }] }, '"rfilename" must be a string'],
    [{ sha: COMMIT, siblings: [{ rfilename: "x".repeat(2000) }] }, "at most 1024 characters"],
    [{ sha: COMMIT, siblings: [{ rfilename: "config.json", size: -1 }] }, '"size" must be'],
    [{ sha: COMMIT, siblings: [{ rfilename: "a", lfs: { sha256: "x" } }] }, '"sha256" must be 64'],
    [{ sha: COMMIT, siblings: Array(100_001).fill({ rfilename: "a" }) }, "at most 100000 files"],
    ["<html>", '"siblings"'],
  ];
  for (const [list, message] of cases) {
    await using hub = new Hub((_, path) => path === LIST ? Response.json(list) : undefined);
    await assertRejects(() => hub.download(), DownloadError, message.replace('"siblings"', ""));
    assertEquals(await namesIn(hub.cache), []);
  }
});

Deno.test("no name and no commit leads out of the cache", async () => {
  const index = (shard: string): Uint8Array<ArrayBuffer> =>
    new TextEncoder().encode(JSON.stringify({ weight_map: { weight: shard } }));
  for (const name of ["..", "../../x.safetensors", "/etc/x.safetensors", "a\\b.safetensors", "."]) {
    await using hub = new Hub();
    hub.files["model.safetensors.index.json"] = { bytes: index(name) };
    const error = await assertRejects(() => hub.download({ weights: true }), DownloadError);
    assert(error.message.includes('its "weight_map" must give the name of a file'), error.message);
  }
  await using hub = new Hub();
  hub.files["../evil.safetensors"] = { bytes: CONFIG };
  hub.files["sub\\evil.pth"] = { bytes: CONFIG };
  await assertRejects(() => hub.download({ weights: true }), DownloadError, "it has none of");
  await using other = new Hub();
  const model = `hf:owner/tiny@${"f".repeat(40)}`;
  await using liar = new Hub((_, path) =>
    path.startsWith("/api/") ? Response.json({ sha: COMMIT, siblings: [] }) : undefined
  );
  await assertRejects(() => liar.download({ model }), DownloadError, `the commit ${COMMIT}`);
  // What a damaged cache says of a commit is not believed.
  const folder = await other.download();
  const kept = `${other.cache}/models/owner/tiny/described/main`;
  await Deno.writeTextFile(kept, "../../..");
  assertEquals(await other.download(), folder);
});

/** The bytes up to one, where the connection is cut. */
function cutAfter(bytes: Uint8Array, end: number): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async start(controller): Promise<void> {
      controller.enqueue(bytes.subarray(0, end));
      await new Promise((resolve) => setTimeout(resolve, 2));
      controller.error(new Error("cut"));
    },
  });
}

async function namesIn(folder: string): Promise<string[]> {
  return await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
}
