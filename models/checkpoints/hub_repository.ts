import { join } from "@std/path";
import * as v from "valibot";
import { check, integer, listOf, parseJson, type Schema, showNames } from "../schema.ts";
import { readBoundedText } from "../text_file.ts";
import {
  Download,
  DownloadError,
  type DownloadProgress,
  exists,
  type RemoteFile,
  sleep,
  toSize,
} from "./download.ts";
import { BadAnswer, CutConnection, PATIENCE, readAll, request } from "./http.ts";
import { LARGEST_INDEX, parseIndex } from "./index_file.ts";

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
  /** Milliseconds before a cut connection is tried again, doubled each time. @default 500 */
  retryDelay?: number;
  /** Milliseconds without an answer, or with too few bytes of one, before a connection counts as cut. @default 60_000 */
  patience?: number;
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
/** Tries in a row that bring no byte. */
const TRIES = 5;
/** Tries of a file in all, and one more for each so many bytes. */
const ALL_TRIES = 100;
const BYTES_PER_TRY = 64 * 2 ** 20;
/** Bytes of a list of files, and the files that it may hold. */
const LARGEST_LIST = 64 * 2 ** 20;
const MOST_FILES = 100_000;
/** Bytes of what describes a model, and of its weights if nothing says how many there are. */
const LARGEST_DESCRIPTION = 512 * 2 ** 20;
const LARGEST_WEIGHTS = 2 ** 42;

const hexadecimal = (digits: number): Schema<string> =>
  v.pipe(
    v.string("a string"),
    v.regex(new RegExp(`^[0-9a-f]{${digits}}$`), `${digits} hexadecimal digits`),
  );
const COMMIT = hexadecimal(40);
/** What the hub says of a revision. */
const LIST = v.object({
  sha: v.nullish(COMMIT),
  siblings: v.pipe(
    listOf(v.object({
      rfilename: v.pipe(
        v.string("a string"),
        v.maxLength(1024, "a name of at most 1024 characters"),
      ),
      size: v.nullish(integer(0, Number.MAX_SAFE_INTEGER)),
      blobId: v.nullish(COMMIT),
      lfs: v.nullish(v.object({ sha256: v.nullish(hexadecimal(64)) }, "an object")),
    }, "an object")),
    v.maxLength(MOST_FILES, `a list of at most ${MOST_FILES} files`),
  ),
}, "an object");

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
    const listed = await this.#readList(response);
    const files = listed.siblings.map(({ rfilename, size, lfs, blobId }): RemoteFile => ({
      name: rfilename,
      ...(typeof size === "number" && { size }),
      // The blob of a file that is stored elsewhere is only what points there.
      ...(lfs?.sha256 ? { sha256: lfs.sha256 } : !lfs && blobId ? { blob: blobId } : {}),
    }));
    const commit = listed.sha ?? revision;
    if (v.is(COMMIT, revision) && commit !== revision) {
      throw new DownloadError(
        `Cannot download ${this.#model} as ${this.#endpoint} answers with the commit ${commit}`,
      );
    }
    return { commit, revision: commit, files, guessed: false };
  }

  async #readList(response: Response): Promise<v.InferOutput<typeof LIST>> {
    const source = `the list of files of ${this.#model}`;
    try {
      const bytes = await readAll(response, LARGEST_LIST, this.#options.patience);
      return check(LIST, parseJson(new TextDecoder().decode(bytes), source), source);
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      throw new DownloadError(
        `Cannot download ${this.#model} as its list of files cannot be read (${
          (error as Error).message
        }): is ${this.#endpoint} a hub?`,
        { cause: error },
      );
    }
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
    const stated = v.safeParse(COMMIT, response.headers.get("x-repo-commit"));
    const commit = stated.success ? stated.output : revision;
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
   * @throws {DownloadError} where one fails, and if there are none or several models.
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
    const others = [...listed.keys()].filter((name) =>
      isFileName(name) && /\.(safetensors|pth)$/.test(name)
    );
    if (others.length === 1) {
      await this.#fetch(snapshot, listed.get(others[0])!, folder);
      return;
    }
    throw new DownloadError(
      `Cannot download ${this.#model} as ${
        others.length === 0
          ? `it has none of ${WEIGHTS.join(", ")}`
          : `it has several weights: name one of ${
            showNames(others)
          }, as in hf:${this.#repository}:${others[0]}`
      }`,
    );
  }

  async #shards(folder: string, index: string): Promise<string[]> {
    const source = join(folder, index);
    try {
      const shards = parseIndex(await readBoundedText(source, LARGEST_INDEX), source);
      const names = [...new Set(shards.values())].sort();
      const foreign = names.find((name) => !isFileName(name));
      if (foreign !== undefined) throw new Error(`it names ${showNames([foreign])}`);
      return names;
    } catch (error) {
      throw new DownloadError(
        `Cannot download ${this.#model}: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  /** Downloads a file unless it is there. Returns whether the hub has it. */
  async #fetch(snapshot: Snapshot, file: RemoteFile, folder: string): Promise<boolean> {
    const path = join(folder, file.name);
    if (await exists(path)) return true;
    const { onProgress, patience, signal } = this.#options;
    const download = new Download(path, file, { onProgress, patience, most: largest(file.name) });
    try {
      return await this.#tries(snapshot, file, download);
    } catch (error) {
      if (error instanceof DownloadError || signal?.aborted) throw error;
      if (error instanceof BadAnswer) {
        throw new DownloadError(
          `Cannot download ${file.name} of ${this.#model} as ${error.message}`,
          { cause: error },
        );
      }
      const full = /ENOSPC|os error 28\b|os error 112\b|No space left/.test(`${error}`);
      throw new DownloadError(
        `Cannot download ${file.name} of ${this.#model} as ${
          full
            ? `the disk of ${folder} is full: make room and continue, what came is kept`
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
    await download.open(this.#model, signal);
    let tries = 0;
    for (let left = TRIES; !download.finished;) {
      const before = download.received;
      if (tries++ > ALL_TRIES + before / BYTES_PER_TRY) {
        throw new DownloadError(
          `Cannot download ${file.name} of ${this.#model} as ${tries} tries were not enough: try again, what came is kept`,
        );
      }
      try {
        const path = this.#path(snapshot.revision, file.name);
        const { response, size, sha256 } = await this.#get(path, before, download.version);
        if (response.status === 404 && snapshot.guessed) {
          await response.body?.cancel();
          download.discard();
          return false;
        }
        if (response.status === 416 && before > 0) {
          // What is here is not the beginning of the file.
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
      if (error instanceof BadAnswer) {
        throw new DownloadError(`Cannot download ${this.#model} as ${error.message}`, {
          cause: error,
        });
      }
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
   * Gets a path of the hub from a byte on, where the file is still of that version. The first answer
   * holds a large file's size and checksum, the last one the file.
   */
  async #get(
    path: string,
    from = 0,
    version?: string,
  ): Promise<{ response: Response; size?: number; sha256?: string }> {
    const { token = Deno.env.get("HF_TOKEN"), signal, patience = PATIENCE } = this.#options;
    const address = URL.parse(this.#endpoint + path);
    if (address === null || !/^https?:$/.test(address.protocol)) {
      throw new DownloadError(
        `Cannot download ${this.#model} from ${this.#endpoint} as that is not a web address: set HF_ENDPOINT to one, or unset it`,
      );
    }
    let size: number | undefined;
    let sha256: string | undefined;
    const response = await request(address, {
      patience,
      signal,
      headers: (url) => {
        const headers = new Headers({ "accept-encoding": "identity" });
        if (from > 0) headers.set("range", `bytes=${from}-`);
        if (version !== undefined) headers.set("if-range", version);
        if (token && url.origin === address.origin) headers.set("authorization", `Bearer ${token}`);
        return headers;
      },
      onAnswer: ({ headers }) => {
        size ??= toSize(headers.get("x-linked-size"));
        sha256 ??= /^(?:W\/)?"?([0-9a-f]{64})"?$/.exec(headers.get("x-linked-etag") ?? "")?.[1];
      },
    });
    return { response, size, sha256 };
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
}

/** Whether a name is one that the files of a model have, and leads nowhere. */
function isFileName(name: string): boolean {
  return /^[\w-][\w.-]{0,199}$/.test(name);
}

/** The most bytes that a file may have. */
function largest(name: string): number {
  if (name.endsWith(".index.json")) return LARGEST_INDEX;
  return /\.(json|jinja|txt)$/.test(name) ? LARGEST_DESCRIPTION : LARGEST_WEIGHTS;
}
