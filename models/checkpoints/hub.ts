import { dirname, join } from "@std/path";
import { requireDeno } from "../platform.ts";
import { DownloadError } from "./download.ts";
import { type HubOptions, HubRepository, type Snapshot } from "./hub_repository.ts";

/** How {@linkcode downloadModel} downloads. */
export interface DownloadOptions extends HubOptions {
  /** The folder that downloads are kept in; left out, {@linkcode cacheFolder}. */
  cache?: string;
  /** Whether the weights are wanted, or only what describes the model. @default `true` */
  weights?: boolean;
  /**
   * Called with the folder once the configuration is there, before weights that are not in the cache
   * are downloaded, where all of them are wanted; what it throws ends the download.
   */
  onDescribed?: (folder: string) => void | Promise<void>;
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

const PREFIX = "hf:";
const COMMIT = /^[0-9a-f]{40}$/;
/** What a file of the cache holds: a commit, or a revision of a server that knows no commits. */
const KEPT = /^[\w-][\w.%-]{0,254}$/;

/** Whether a model is on the hub (`hf:owner/name`) rather than a folder. */
export function isHubModel(model: string): boolean {
  return model.startsWith(PREFIX);
}

/** Takes `hf:owner/name[@revision][:file]` apart. @throws {RangeError} for a name of another form. */
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
  requireDeno("keep downloads", "it has no folders");
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
 * that was ended, left behind is resumed; sizes and, where the hub gives them, SHA-256 sums are
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
  requireDeno(`download ${model}`, "give loadModel() the address or the contents of its files");
  const hub = new HubRepository(model, repository, options);
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
  const kept = await readText(reference);
  const known = kept && KEPT.test(kept) ? kept : undefined;
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

async function readText(path: string): Promise<string | undefined> {
  return await Deno.readTextFile(path).catch(() => undefined);
}
