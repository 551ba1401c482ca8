import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  cacheFolder,
  DownloadError,
  downloadModel,
  type DownloadOptions,
  type DownloadProgress,
  isHubModel,
  openWeights,
  parseHubModel,
} from "../../../models/mod.ts";

const GOLDEN = new URL("../../golden/checkpoints/", import.meta.url);
const COMMIT = "0123456789abcdef0123456789abcdef01234567";

interface Request {
  readonly path: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

/** A hub on this machine that serves files as huggingface.co does, and misbehaves when told to. */
class StandIn implements AsyncDisposable {
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly requests: Request[] = [];
  readonly cache: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** Files whose connection is cut after so many bytes, the times that are listed. */
  readonly cuts = new Map<string, number[]>();
  /** Whether the list of files is served, with sizes. */
  api = true;
  /** Whether ranges are honoured. */
  ranges = true;
  /** Answers every request with this status. */
  status: number | undefined;
  /** What the size and the checksum of each file are said to be. */
  said: { size?: number; sha256?: string } = {};

  constructor() {
    this.cache = Deno.makeTempDirSync();
    this.#server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => {}, onError: () => new Response() },
      (request) => this.#answer(request),
    );
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async add(folder: string): Promise<void> {
    for await (const { name } of Deno.readDir(new URL(folder, GOLDEN))) {
      this.files.set(name, await Deno.readFile(new URL(`${folder}/${name}`, GOLDEN)));
    }
  }

  download(options: DownloadOptions & { model?: string } = {}): Promise<string> {
    const { model = "hf:owner/tiny", ...others } = options;
    const { endpoint, cache } = this;
    return downloadModel(model, { endpoint, cache, retryDelay: 1, ...others });
  }

  /** What was asked for since the last call, without the host. */
  take(): Request[] {
    return this.requests.splice(0);
  }

  async #answer(request: globalThis.Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const path = decodeURIComponent(pathname);
    const range = request.headers.get("range");
    const authorization = request.headers.get("authorization");
    this.requests.push({ path, range, authorization });
    if (this.status !== undefined) return new Response("no", { status: this.status });
    if (path.startsWith("/api/models/owner/tiny/revision/") && this.api) {
      return Response.json({ sha: COMMIT, siblings: await this.#siblings() });
    }
    const [, kind, name] = /^\/owner\/tiny\/(resolve)\/(?:main|v1|0123456789abcdef\w*)\/(.+)$/
      .exec(path) ?? /^\/(store)\/(.+)$/.exec(path) ?? [];
    const bytes = this.files.get(name);
    if (!bytes) return new Response("no such file", { status: 404 });
    // Large files lie elsewhere: the first answer redirects, and holds the checksum.
    if (kind === "resolve" && /\.(safetensors|bin)$/.test(name)) {
      return new Response(null, {
        status: 302,
        headers: {
          location: `http://localhost:${this.#server.addr.port}/store/${name}`,
          "x-linked-size": `${this.said.size ?? bytes.length}`,
          "x-linked-etag": `"${this.said.sha256 ?? await sha256(bytes)}"`,
        },
      });
    }
    return this.#serve(name, bytes, range);
  }

  #serve(name: string, bytes: Uint8Array<ArrayBuffer>, range: string | null): Response {
    const from = this.ranges ? Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0) : 0;
    if (from > 0 && from >= bytes.length) return new Response(null, { status: 416 });
    const end = this.cuts.get(name)?.shift() ?? bytes.length;
    const headers = new Headers({ "content-length": `${bytes.length - from}` });
    if (from > 0) headers.set("content-range", `bytes ${from}-${bytes.length - 1}/${bytes.length}`);
    const body = new ReadableStream<Uint8Array>({
      async start(controller): Promise<void> {
        for (let at = from; at < end; at += 200) {
          controller.enqueue(bytes.subarray(at, Math.min(at + 200, end)));
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        if (end < bytes.length) controller.error(new Error("cut"));
        else controller.close();
      },
    });
    return new Response(body, { status: from > 0 ? 206 : 200, headers });
  }

  #siblings(): Promise<unknown[]> {
    return Promise.all([...this.files].map(async ([rfilename, bytes]) => ({
      rfilename,
      size: this.said.size ?? bytes.length,
      lfs: { sha256: this.said.sha256 ?? await sha256(bytes) },
    })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.remove(this.cache, { recursive: true });
  }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function shardedHub(): Promise<StandIn> {
  const hub = new StandIn();
  await hub.add("safetensors_sharded");
  await hub.add("tokenizer_llama");
  hub.files.set("config.json", new TextEncoder().encode('{"model_type": "llama"}'));
  hub.files.set("pytorch_model.bin", new Uint8Array(100));
  hub.files.set("README.md", new Uint8Array(100));
  return hub;
}

const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
const WANTED = [
  "config.json",
  ...SHARDS,
  "model.safetensors.index.json",
  "tokenizer.json",
  "tokenizer_config.json",
];

async function assertSame(hub: StandIn, folder: string, names: string[]): Promise<void> {
  const found = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  assertEquals(found, names);
  for (const name of names) {
    assertEquals(await Deno.readFile(`${folder}/${name}`), hub.files.get(name), name);
  }
}

Deno.test("downloadModel() brings configuration, tokenizer and shards, once", async () => {
  await using hub = await shardedHub();
  const progress: DownloadProgress[] = [];
  const folder = await hub.download({ onProgress: (step) => progress.push(step) });
  await assertSame(hub, folder, WANTED);
  using weights = await openWeights(folder);
  assertEquals((await weights.readFloats("scalar"))[0], 2.5);

  for (const name of WANTED) {
    const steps = progress.filter(({ file }) => file === name);
    const size = hub.files.get(name)!.length;
    assertEquals(steps.at(-1), { file: name, received: size, size });
    assert(steps.every(({ received }, i) => i === 0 || received >= steps[i - 1].received));
  }

  hub.take();
  assertEquals(await hub.download(), folder);
  assertEquals(hub.take().map(({ path }) => path), ["/api/models/owner/tiny/revision/main"]);
  // A commit never changes: nobody need be asked.
  const pinned = await hub.download({ model: `hf:owner/tiny@${COMMIT}` });
  assertEquals(pinned, folder);
  hub.take();
  assertEquals(await hub.download({ model: `hf:owner/tiny@${COMMIT}` }), folder);
  assertEquals(hub.take(), []);
});

Deno.test("downloadModel() takes HF_ENDPOINT, HF_HOME and a mirror that lists no files", async () => {
  await using hub = new StandIn();
  hub.api = false;
  await hub.add("torch");
  hub.files.set("config.json", new TextEncoder().encode("{}"));
  const before = ["HF_ENDPOINT", "HF_HOME"].map((name) => [name, Deno.env.get(name)] as const);
  Deno.env.set("HF_ENDPOINT", `${hub.endpoint}/`);
  Deno.env.set("HF_HOME", hub.cache);
  try {
    const folder = await downloadModel("hf:owner/tiny@v1");
    assert(folder.startsWith(`${hub.cache}/lengthwise/`), folder);
    await assertSame(hub, folder, ["config.json", "pytorch_model.bin"]);
    assert(hub.take().some(({ path }) => path === "/owner/tiny/resolve/v1/pytorch_model.bin"));
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
});

Deno.test("a connection that is cut in the middle is resumed from that byte", async () => {
  await using hub = await shardedHub();
  const [shard] = SHARDS;
  hub.cuts.set(shard, [200]);
  const folder = await hub.download();
  await assertSame(hub, folder, WANTED);
  const stored = hub.take().filter(({ path }) => path === `/store/${shard}`);
  assertEquals(stored.map(({ range }) => range), [null, "bytes=200-"]);
});

Deno.test("what a program that was ended left behind is resumed by the next", async () => {
  for (const api of [true, false]) {
    await using hub = await shardedHub();
    hub.api = api;
    const [, shard] = SHARDS;
    hub.cuts.set(shard, [400, 0, 0, 0, 0, 0]);
    const error = await assertRejects(() => hub.download(), DownloadError);
    assert(error.message.includes("the connection was cut at byte 400 of 641"), error.message);
    assert(error.message.endsWith("try again, what came is kept"), error.message);
    hub.take();
    const progress: DownloadProgress[] = [];
    const folder = await hub.download({ onProgress: (step) => progress.push(step) });
    await assertSame(hub, folder, WANTED);
    const stored = hub.take().filter(({ path }) => path.startsWith("/store/model-"));
    assertEquals(stored.map(({ path, range }) => [path, range]), [[
      `/store/${shard}`,
      "bytes=400-",
    ]]);
    assertEquals(progress.find(({ file }) => file === shard)!.received, 400);
  }
});

Deno.test("a server that knows no ranges, or a wrong beginning, starts the file again", async () => {
  await using hub = await shardedHub();
  const [shard] = SHARDS;
  hub.ranges = false;
  hub.cuts.set(shard, [200]);
  await assertSame(hub, await hub.download(), WANTED);

  hub.ranges = true;
  hub.api = false;
  const folder = await hub.download({ model: "hf:owner/tiny@v1", weights: false });
  // Longer than the file is, as the server answers 416.
  await Deno.writeFile(`${folder}/model.safetensors.index.json.partial`, new Uint8Array(5000));
  await assertSame(hub, await hub.download({ model: "hf:owner/tiny@v1" }), WANTED);
});

Deno.test("bytes that differ from what was promised are removed", async () => {
  await using hub = await shardedHub();
  const sum = "0".repeat(64);
  hub.said = { sha256: sum };
  await assertRejects(
    () => hub.download(),
    DownloadError,
    `not ${sum}: it was removed, try again`,
  );
  hub.said = { size: 5 };
  await assertRejects(() => hub.download(), DownloadError, "bytes, not 5: it was removed");
  hub.said = {};
  await assertSame(hub, await hub.download(), WANTED);

  // The checksum of the redirect counts where the hub lists none.
  hub.api = false;
  hub.said = { sha256: sum };
  const model = "hf:owner/tiny@v1";
  await assertRejects(() => hub.download({ model }), DownloadError, `not ${sum}`);
});

Deno.test("downloadModel() says what is wrong", async () => {
  await using hub = await shardedHub();
  await assertRejects(
    () => hub.download({ model: "hf:owner/other" }),
    DownloadError,
    `Cannot download hf:owner/other as ${hub.endpoint} has no such model or revision`,
  );
  for (const status of [401, 403]) {
    hub.status = status;
    await assertRejects(() => hub.download(), DownloadError, "needs access: ask for it at");
  }
  hub.status = 500;
  await assertRejects(() => hub.download(), DownloadError, "answered 500");
  hub.status = undefined;
  hub.files.delete(SHARDS[1]);
  await assertRejects(
    () => hub.download(),
    DownloadError,
    `Cannot download ${SHARDS[1]} of hf:owner/tiny as ${hub.endpoint} does not have it`,
  );
  for (const name of [...SHARDS, "model.safetensors.index.json", "pytorch_model.bin"]) {
    hub.files.delete(name);
  }
  const model = `hf:owner/tiny@${"b".repeat(3)}`;
  await Deno.remove(`${hub.cache}/models`, { recursive: true });
  await assertRejects(() => hub.download({ model }), DownloadError, "it has none of");
  hub.files.set("a.pth", new Uint8Array(1));
  hub.files.set("b.pth", new Uint8Array(1));
  await assertRejects(
    () => hub.download({ model }),
    DownloadError,
    "one of a.pth, b.pth, as in hf:owner/tiny:a.pth",
  );
});

Deno.test("of several models in a repository the named one is downloaded", async () => {
  for (const api of [true, false]) {
    await using hub = new StandIn();
    hub.api = api;
    await hub.add("tokenizer_world");
    hub.files.delete("expected.json");
    for (const name of ["a.pth", "b.pth"]) hub.files.set(name, new TextEncoder().encode(name));
    const described = await hub.download({ model: "hf:owner/tiny:b.pth", weights: false });
    await assertSame(hub, described, ["rwkv_vocab_v20230424.txt"]);
    const path = await hub.download({ model: "hf:owner/tiny:b.pth" });
    assert(path.endsWith("/b.pth"), path);
    const vocabulary = "rwkv_vocab_v20230424.txt";
    await assertSame(hub, path.slice(0, -"/b.pth".length), ["b.pth", vocabulary]);
    const other = await hub.download({ model: "hf:owner/tiny:a.pth" });
    await assertSame(hub, other.slice(0, -"/a.pth".length), ["a.pth", "b.pth", vocabulary]);
    // Without a network, each that was downloaded is found.
    hub.status = 503;
    assertEquals(await hub.download({ model: "hf:owner/tiny:a.pth" }), other);
    await assertRejects(() => hub.download({ model: "hf:owner/tiny:c.pth" }), DownloadError);
    hub.status = undefined;
    await assertRejects(
      () => hub.download({ model: "hf:owner/tiny:c.pth" }),
      DownloadError,
      api ? `${hub.endpoint} does not have it` : "or no such file in it",
    );
  }
});

Deno.test("without a network, what was downloaded is found, and nothing else", async () => {
  let folder: string;
  const cache = await Deno.makeTempDir();
  let endpoint: string;
  {
    await using hub = await shardedHub();
    endpoint = hub.endpoint;
    folder = await hub.download({ cache });
  }
  try {
    assertEquals(await downloadModel("hf:owner/tiny", { endpoint, cache }), folder);
    await assertRejects(
      () => downloadModel("hf:owner/tiny@v1", { endpoint, cache }),
      DownloadError,
      `as ${endpoint} cannot be reached`,
    );
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

// /dev/full is a disk without room, which Linux alone has.
Deno.test("a full disk is named", { ignore: Deno.build.os !== "linux" }, async () => {
  await using hub = await shardedHub();
  const folder = await hub.download({ weights: false });
  await Deno.symlink("/dev/full", `${folder}/model.safetensors.index.json.partial`);
  await assertRejects(
    () => hub.download(),
    DownloadError,
    `as the disk of ${folder} is full: make room and continue, what came is kept`,
  );
});

Deno.test("an access token goes to the hub and not where it redirects to", async () => {
  await using hub = await shardedHub();
  await hub.download({ token: "hf_test" });
  for (const { path, authorization } of hub.take()) {
    assertEquals(authorization, path.startsWith("/store/") ? null : "Bearer hf_test", path);
  }
});

Deno.test("a download stops when told to, and two at once do not disturb each other", async () => {
  await using hub = await shardedHub();
  const stop = new AbortController();
  const reason = new Error("enough");
  const download = hub.download({
    signal: stop.signal,
    onProgress: ({ file }) => file === SHARDS[1] && stop.abort(reason),
  });
  assertEquals(await download.catch((error) => error), reason);
  const [first, second] = await Promise.all([hub.download(), hub.download()]);
  assertEquals(first, second);
  await assertSame(hub, first, WANTED);
});

Deno.test("hf: names are taken apart, and others refused", () => {
  assertEquals(isHubModel("hf:a/b"), true);
  assertEquals(isHubModel("./hf"), false);
  assertEquals(parseHubModel("hf:a/b"), { repository: "a/b", revision: "main" });
  assertEquals(parseHubModel("hf:a/b:RWKV-x060-1B6-v2.1.pth"), {
    repository: "a/b",
    revision: "main",
    file: "RWKV-x060-1B6-v2.1.pth",
  });
  assertEquals(parseHubModel("hf:a/b@v1:c.pth").revision, "v1");
  for (const name of ["hf:a/b:c", "hf:a/b:../c.pth", "hf:a/b:"]) {
    assertThrows(() => parseHubModel(name), RangeError, "hf:owner/name:file.pth");
  }
  assertEquals(parseHubModel("hf:a/b-1.3@refs/pr/1"), {
    repository: "a/b-1.3",
    revision: "refs/pr/1",
  });
  for (const name of ["hf:a", "hf:a/b/c", "hf:a/..", "hf:../b", "hf:a/b@../c", "hf:a/b@", "a/b"]) {
    assertThrows(() => parseHubModel(name), RangeError, "it must be hf:owner/name");
  }
  assert(cacheFolder().endsWith("lengthwise"));
});
