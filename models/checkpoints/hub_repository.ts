import { join } from "@std/path";
import {
  CutConnection,
  Download,
  DownloadError,
  type DownloadProgress,
  exists,
  type RemoteFile,
  toSize,
} from "./download.ts";

/** How a hub is reached. */
export interface HubOptions {
  /** The hub's address; left out, `HF_ENDPOINT`, else https://huggingface.co. */
  endpoint?: string;
  /** An access token, which gated models need; left out, `HF_TOKEN`. */
  token?: string;
  /** Called at the begin of each file and as its bytes arrive. */
  onProgress?: (progress: DownloadProgress) => void;
  /** Stops the download; what came is kept for the next try. */
  signal?: AbortSignal;
  /** Milliseconds before a cut connection is tried again, doubled each time; 500 unless told. */
  retryDelay?: number;
}

/** What files a revision of a repository has. */
export interface Snapshot {
  /** The commit, or the revision where the server knows no commits. */
  readonly commit: string;
  /** What files are asked for by: the commit where the server is sure to know it. */
  readonly revision: string;
  /** The files. */
  readonly files: readonly RemoteFile[];
  /** Whether files may turn out not to be there: the server did not list them. */
  readonly guessed: boolean;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";
const TRIES = 5;
const REDIRECTS = 5;
/** Milliseconds that a server has for the first bytes of an answer. */
const PATIENCE = 30_000;

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

/** A repository on a hub. */
export class HubRepository {
  readonly #model: string;
  readonly #repository: string;
  readonly #endpoint: string;
  readonly #options: HubOptions;

  /**
   * A repository that nothing is asked of yet.
   *
   * @param model What it is called in errors.
   * @param repository `owner/name`
   */
  constructor(model: string, repository: string, options: HubOptions) {
    this.#model = model;
    this.#repository = repository;
    this.#endpoint = (options.endpoint || Deno.env.get("HF_ENDPOINT") || DEFAULT_ENDPOINT)
      .replace(/\/+$/, "");
    this.#options = options;
  }

  /**
   * What files a revision has; where the hub does not list them, those that are usual and the named one.
   *
   * @throws {DownloadError} where there is no such model, no access, or no network.
   */
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

  /** Downloads the configuration and the tokenizer's files. @throws {DownloadError} where one fails. */
  async fetchDescriptions(snapshot: Snapshot, folder: string): Promise<void> {
    for (const file of snapshot.files) {
      if (DESCRIPTIONS.includes(file.name) || file.name === RWKV_VOCABULARY) {
        await this.#fetch(snapshot, file, folder);
      }
    }
  }

  /**
   * Downloads the weights: the file that is named, the shards of an index, or a file.
   *
   * @throws {DownloadError} where one fails, and where there are none or several models.
   */
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

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
