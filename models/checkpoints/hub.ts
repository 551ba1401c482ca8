import { dirname, join } from "@std/path";
import {
  CutConnection,
  Download,
  DownloadError,
  type DownloadProgress,
  exists,
  type RemoteFile,
  toSize,
} from "./download.ts";

/** How {@linkcode downloadModel} downloads. */
export interface DownloadOptions {
  /** The hub's address; left out, `HF_ENDPOINT`, else https://huggingface.co. */
  endpoint?: string;
  /** The folder that downloads are kept in; left out, {@linkcode cacheFolder}. */
  cache?: string;
  /** An access token, which gated models need; left out, `HF_TOKEN`. */
  token?: string;
  /** Whether the weights are wanted, or only what describes the model; `true` unless told. */
  weights?: boolean;
  /**
   * Called with the folder once the configuration is there, before weights that are not in the cache
   * are downloaded, where all of them are wanted; what it throws ends the download.
   */
  onDescribed?: (folder: string) => void | Promise<void>;
  /** Called at the begin of each file and as its bytes arrive. */
  onProgress?: (progress: DownloadProgress) => void;
  /** Stops the download; what came is kept for the next try. */
  signal?: AbortSignal;
  /** Milliseconds before a cut connection is tried again, doubled each time; 500 unless told. */
  retryDelay?: number;
}

/** A model on the hub, as `hf:owner/name`, `hf:owner/name@revision` or `hf:owner/name:file` names it. */
export interface HubModel {
  /** `owner/name` */
  readonly repository: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  /** One file of weights, for repositories that hold several models. */
  readonly file?: string;
}

interface Snapshot {
  /** The commit, or the revision where the server knows no commits. */
  readonly commit: string;
  /** What files are asked for by: the commit where the server is sure to know it. */
  readonly revision: string;
  readonly files: readonly RemoteFile[];
  /** Whether files may turn out not to be there: the server did not list them. */
  readonly guessed: boolean;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";
const PREFIX = "hf:";
const TRIES = 5;
const REDIRECTS = 5;
/** Milliseconds that a server has for the first bytes of an answer. */
const PATIENCE = 30_000;
const COMMIT = /^[0-9a-f]{40}$/;

const DESCRIPTIONS = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
];
const RWKV_VOCABULARY = "rwkv_vocab_v20230424.txt";
/** Indices and the files that stand alone, the one to prefer first. */
const WEIGHTS = [
  "model.safetensors.index.json",
  "model.safetensors",
  "pytorch_model.bin.index.json",
  "pytorch_model.bin",
];

/** Whether a model is on the hub (`hf:owner/name`) rather than a folder. */
export function isHubModel(model: string): boolean {
  return model.startsWith(PREFIX);
}

/** Takes `hf:owner/name[@revision][:file]` apart. @throws {RangeError} where it is no such name. */
export function parseHubModel(model: string): HubModel {
  const parsed =
    /^hf:([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?(?::([\w.-]+\.(?:pth|pt|bin|safetensors)))?$/.exec(
      model,
    );
  if (!parsed || /(^|\/)\.+(\/|$)/.test(`${parsed[1]}/${parsed[2] ?? ""}`)) {
    throw new RangeError(
      `Cannot download ${model} as it must be hf:owner/name, hf:owner/name@revision or, for one file of weights of several, hf:owner/name:file.pth`,
    );
  }
  const [, repository, revision = "main", file] = parsed;
  return { repository, revision, ...(file !== undefined && { file }) };
}

/**
 * Where downloads are kept: `lengthwise` in `$HF_HOME`, `$XDG_CACHE_HOME` or the system's folder for
 * caches.
 */
export function cacheFolder(): string {
  const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE") ?? ".";
  const systems: Partial<Record<typeof Deno.build.os, string>> = {
    darwin: join(home, "Library", "Caches"),
    windows: Deno.env.get("LOCALAPPDATA") ?? join(home, "AppData", "Local"),
  };
  const parent = Deno.env.get("HF_HOME") || Deno.env.get("XDG_CACHE_HOME") ||
    (systems[Deno.build.os] ?? join(home, ".cache"));
  return join(parent, "lengthwise");
}

/**
 * Downloads a model from the Hugging Face Hub, or finds it in the cache: its configuration, its
 * weights (safetensors where there are both) and its tokenizer. What a cut connection, or a program
 * that was ended, left behind is gone on with; sizes and, where the hub gives them, SHA-256 sums are
 * checked. Without a network, a model that was downloaded before is found.
 *
 * @param model `hf:owner/name`, or with a branch, tag or commit `hf:owner/name@revision`; with `:file`
 * behind it, only that file of the weights.
 * @returns The folder that holds the files, or the path of the file of weights that was named.
 * @throws {DownloadError} that says what is wrong: no such model, no access, no network, other bytes
 * than promised, a full disk.
 */
export async function downloadModel(model: string, options: DownloadOptions = {}): Promise<string> {
  const { repository, revision, file } = parseHubModel(model);
  const hub = new Hub(model, repository, options);
  const { weights = true, cache = cacheFolder() } = options;
  const home = join(cache, "models", ...repository.split("/"));
  // Which commit a branch was at, and that all of it is here.
  const reference = join(
    home,
    weights ? "complete" : "described",
    encodeURIComponent(file === undefined ? revision : `${revision}:${file}`),
  );
  const placeOf = (commit: string): string =>
    join(home, "snapshots", commit, weights && file || "");
  const known = await readText(reference);
  if (known && COMMIT.test(revision)) return placeOf(known);
  let snapshot: Snapshot;
  try {
    snapshot = await hub.list(revision, file);
  } catch (error) {
    const away = error instanceof DownloadError && (error.status ?? 500) >= 500;
    if (!away || !known) throw error;
    return placeOf(known);
  }
  const folder = join(home, "snapshots", encodeURIComponent(snapshot.commit));
  await Deno.mkdir(folder, { recursive: true });
  await hub.fetchDescriptions(snapshot, folder);
  if (weights) {
    const isCached = known === encodeURIComponent(snapshot.commit);
    if (!isCached && file === undefined) await options.onDescribed?.(folder);
    await hub.fetchWeights(snapshot, folder, file);
  }
  await Deno.mkdir(dirname(reference), { recursive: true });
  await Deno.writeTextFile(reference, encodeURIComponent(snapshot.commit));
  return placeOf(encodeURIComponent(snapshot.commit));
}

/** A repository on a hub. */
class Hub {
  readonly #model: string;
  readonly #repository: string;
  readonly #endpoint: string;
  readonly #options: DownloadOptions;

  constructor(model: string, repository: string, options: DownloadOptions) {
    this.#model = model;
    this.#repository = repository;
    this.#endpoint = (options.endpoint || Deno.env.get("HF_ENDPOINT") || DEFAULT_ENDPOINT)
      .replace(/\/+$/, "");
    this.#options = options;
  }

  /** What files a revision has; where the hub does not list them, those that are usual and the named one. */
  async list(revision: string, named?: string): Promise<Snapshot> {
    const path = `/api/models/${this.#repository}/revision/${encodeURIComponent(revision)}`;
    const response = await this.#reach(`${path}?blobs=true`);
    if (response.status === 404) {
      await response.body?.cancel();
      return await this.#guess(revision, named);
    }
    await this.#check(response, "its list of files");
    const listed: {
      sha?: string;
      siblings?: { rfilename: string; size?: number; lfs?: { sha256?: string } }[];
    } = await this.#json(response, "its list of files");
    const files = (listed.siblings ?? []).map(({ rfilename, size, lfs }) => ({
      name: rfilename,
      size,
      sha256: lfs?.sha256,
    }));
    const commit = listed.sha ?? revision;
    return { commit, revision: commit, files, guessed: false };
  }

  /** A mirror that serves files alone. */
  async #guess(revision: string, named?: string): Promise<Snapshot> {
    const sure = named ?? "config.json";
    const response = await this.#reach(this.#path(revision, sure));
    await response.body?.cancel();
    if (response.status === 404) {
      throw new DownloadError(
        `Cannot download ${this.#model} as ${this.#endpoint} has no such model or revision${
          named === undefined ? "" : ", or no such file in it"
        }`,
        { status: 404 },
      );
    }
    await this.#check(response, sure);
    const files = [...DESCRIPTIONS, RWKV_VOCABULARY, ...WEIGHTS].map((name) => ({ name }));
    const commit = response.headers.get("x-repo-commit") ?? revision;
    return { commit, revision, files, guessed: true };
  }

  /** Downloads the configuration and the tokenizer's files. */
  async fetchDescriptions(snapshot: Snapshot, folder: string): Promise<void> {
    for (const file of snapshot.files) {
      if (DESCRIPTIONS.includes(file.name) || file.name === RWKV_VOCABULARY) {
        await this.#fetch(snapshot, file, folder);
      }
    }
  }

  /** Downloads the weights: the file that is named, the shards of an index, or a file. */
  async fetchWeights(snapshot: Snapshot, folder: string, named?: string): Promise<void> {
    const listed = new Map(snapshot.files.map((file) => [file.name, file]));
    if (named !== undefined) {
      await this.#fetch(
        { ...snapshot, guessed: false },
        listed.get(named) ?? { name: named },
        folder,
      );
      return;
    }
    for (const name of WEIGHTS) {
      const file = listed.get(name);
      if (!file || !await this.#fetch(snapshot, file, folder)) continue;
      for (const shard of name.endsWith(".json") ? await this.#shards(folder, name) : []) {
        const described = listed.get(shard) ?? { name: shard };
        await this.#fetch({ ...snapshot, guessed: false }, described, folder);
      }
      return;
    }
    const others = [...listed.keys()].filter((name) => /^[^/]+\.(safetensors|pth)$/.test(name));
    if (others.length === 1) {
      await this.#fetch(snapshot, listed.get(others[0])!, folder);
      return;
    }
    throw new DownloadError(
      `Cannot download ${this.#model} as ${
        others.length === 0
          ? `it has none of ${WEIGHTS.join(", ")}`
          : `it has several weights: name one of ${
            others.join(", ")
          }, as in hf:${this.#repository}:${others[0]}`
      }`,
    );
  }

  async #shards(folder: string, index: string): Promise<string[]> {
    const source = join(folder, index);
    let map: unknown;
    try {
      map = JSON.parse(await Deno.readTextFile(source)).weight_map;
    } catch (error) {
      throw new DownloadError(`Cannot read ${source}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    const shards = [...new Set(Object.values(map ?? {}))].sort();
    const foreign = shards.find((shard) => typeof shard !== "string" || !/^[\w.-]+$/.test(shard));
    if (foreign !== undefined) {
      throw new DownloadError(`Cannot download ${this.#model} as its ${index} names ${foreign}`);
    }
    return shards as string[];
  }

  /** Downloads a file unless it is there. Returns whether the hub has it. */
  async #fetch(snapshot: Snapshot, file: RemoteFile, folder: string): Promise<boolean> {
    const path = join(folder, file.name);
    if (await exists(path)) return true;
    const download = new Download(path, file, this.#options.onProgress);
    try {
      return await this.#tries(snapshot, file, download);
    } catch (error) {
      if (error instanceof DownloadError || this.#options.signal?.aborted) throw error;
      const full = /ENOSPC|os error 28\b|os error 112\b|No space left/.test(`${error}`);
      throw new DownloadError(
        `Cannot download ${file.name} of ${this.#model} as ${
          full
            ? `the disk of ${folder} is full: make room and go on, what came is kept`
            : `it cannot be written to ${path}: ${(error as Error).message}`
        }`,
        { cause: error },
      );
    } finally {
      download[Symbol.dispose]();
    }
  }

  /** Goes on with a file as often as its connection is cut. */
  async #tries(snapshot: Snapshot, file: RemoteFile, download: Download): Promise<boolean> {
    const { retryDelay = 500, signal } = this.#options;
    await download.open();
    for (let left = TRIES; !download.finished;) {
      const before = download.received;
      try {
        const path = this.#path(snapshot.revision, file.name);
        const { response, size, sha256 } = await this.#get(path, before);
        if (response.status === 404 && snapshot.guessed) {
          await response.body?.cancel();
          download.discard();
          return false;
        }
        if (response.status === 416 && before > 0) {
          // What is here is no beginning of the file.
          await response.body?.cancel();
          download.restart();
          continue;
        }
        if (response.status >= 500) {
          await response.body?.cancel();
          throw new CutConnection(`${this.#endpoint} answered ${response.status}`);
        }
        await this.#check(response, file.name);
        await download.receive(response, { size, sha256 });
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof CutConnection)) throw error;
        left = download.received > before ? TRIES : left - 1;
        if (left === 0) {
          throw new DownloadError(
            `Cannot download ${file.name} of ${this.#model} as the connection was cut at byte ${download.received}${
              download.size === undefined ? "" : ` of ${download.size}`
            } (${error.message}): try again, what came is kept`,
            { cause: error },
          );
        }
        await sleep(retryDelay * 2 ** (TRIES - left), signal);
      }
    }
    await download.finish(this.#model);
    return true;
  }

  /** The first answer of a hub, which may be out of reach. */
  async #reach(path: string): Promise<Response> {
    try {
      return (await this.#get(path)).response;
    } catch (error) {
      if (!(error instanceof CutConnection)) throw error;
      throw new DownloadError(
        `Cannot download ${this.#model} as ${this.#endpoint} cannot be reached (${error.message}): give a folder, or set HF_ENDPOINT to a mirror`,
        { cause: error },
      );
    }
  }

  #path(revision: string, file: string): string {
    const name = file.split("/").map(encodeURIComponent).join("/");
    return `/${this.#repository}/resolve/${encodeURIComponent(revision)}/${name}`;
  }

  /**
   * Gets a path of the hub from a byte on. Redirects are followed here, since it is the first answer
   * that holds a large file's size and checksum.
   */
  async #get(
    path: string,
    from = 0,
  ): Promise<{ response: Response; size?: number; sha256?: string }> {
    const { token = Deno.env.get("HF_TOKEN"), signal } = this.#options;
    let url = new URL(this.#endpoint + path);
    const { origin } = url;
    let size: number | undefined;
    let sha256: string | undefined;
    for (let redirects = 0; redirects <= REDIRECTS; redirects++) {
      const headers = new Headers({ "accept-encoding": "identity" });
      if (from > 0) headers.set("range", `bytes=${from}-`);
      if (token && url.origin === origin) headers.set("authorization", `Bearer ${token}`);
      const response = await request(url, headers, signal);
      size ??= toSize(response.headers.get("x-linked-size"));
      sha256 ??= /^(?:W\/)?"?([0-9a-f]{64})"?$/.exec(response.headers.get("x-linked-etag") ?? "")
        ?.[1];
      const location = response.headers.get("location");
      if (response.status < 300 || response.status >= 400 || !location) {
        return { response, size, sha256 };
      }
      await response.body?.cancel();
      url = new URL(location, url);
    }
    throw new DownloadError(`Cannot download ${this.#model} as ${url} redirects without end`);
  }

  async #check(response: Response, what: string): Promise<void> {
    if (response.ok) return;
    await response.body?.cancel();
    this.#fail(response, what);
  }

  #fail({ status }: Response, what: string): never {
    const reasons: Record<number, string> = {
      401: this.#noAccess(),
      403: this.#noAccess(),
      404: `${this.#endpoint} does not have it`,
      429: `${this.#endpoint} asks to wait: try again in some minutes`,
    };
    throw new DownloadError(
      `Cannot download ${what} of ${this.#model} as ${
        reasons[status] ?? `${this.#endpoint} answered ${status}`
      }`,
      { status },
    );
  }

  #noAccess(): string {
    return `there is no such model or it needs access: ask for it at ${this.#endpoint}/${this.#repository} and set HF_TOKEN`;
  }

  async #json<T>(response: Response, what: string): Promise<T> {
    try {
      return await response.json();
    } catch (error) {
      throw new DownloadError(
        `Cannot download ${this.#model} as ${what} is no JSON: is ${this.#endpoint} a hub?`,
        { cause: error },
      );
    }
  }
}

/** One request. @throws {CutConnection} where the server cannot be reached or does not answer. */
async function request(url: URL, headers: Headers, signal?: AbortSignal): Promise<Response> {
  const patience = new AbortController();
  const timer = setTimeout(
    () => patience.abort(new Error(`no answer in ${PATIENCE / 1000} s`)),
    PATIENCE,
  );
  try {
    const signals = signal ? [signal, patience.signal] : [patience.signal];
    return await fetch(url, { headers, redirect: "manual", signal: AbortSignal.any(signals) });
  } catch (error) {
    signal?.throwIfAborted();
    throw new CutConnection((error as Error).message, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

async function readText(path: string): Promise<string | undefined> {
  return await Deno.readTextFile(path).catch(() => undefined);
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
