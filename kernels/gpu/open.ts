import { checkOptions, flag, oneOf, type OptionRule } from "./check.ts";
import { type Adapter, adapterIdentity, describeAdapter, requestDevice } from "./device.ts";
import { Gpu } from "./gpu.ts";
import { checkTuning, type Tuning } from "./tuning.ts";

/** Finds the tuning of an adapter, by its {@linkcode adapterIdentity}. */
export type FindTuning = (adapter: Adapter, identity: string) => Tuning | Promise<Tuning>;

/** How {@linkcode openGpu} opens the GPU. */
export interface GpuOptions {
  /** A device to share; left out, the machine's adapter is opened with all the limits it has. */
  device?: GPUDevice;
  /** Which adapter to prefer where there are several. @default "high-performance" */
  powerPreference?: GPUPowerPreference;
  /**
   * Bytes that tensors may take in all; left out, what the machine has free where the adapter computes
   * in its memory (a software adapter), and no limit else, as WebGPU does not tell a GPU's memory.
   */
  memory?: number;
  /**
   * Bytes of a tensor that a kernel may have before it, at most; weights that take more are cut.
   *
   * @default what the adapter allows
   */
  binding?: number;
  /** Fill every output with NaN before its kernel runs, so that a missing write shows. For tests. */
  poison?: boolean;
  /**
   * Which candidates of the kernels' tunables are the fastest on this adapter, or how that is found:
   * `readTuning` of `@lengthwise/lengthwise/tasks` reads what `./run tune` measured. It changes speed, and
   * results by rounding alone.
   *
   * @default each family's defaults
   */
  tuning?: Tuning | FindTuning;
}

/** That a value which is given is an object. */
const object: OptionRule = (value) =>
  typeof value === "object" && value !== null ? undefined : "a GPUDevice";

/** A number of bytes. */
const bytes: OptionRule = (value) =>
  typeof value === "number" && value > 0 ? undefined : "a number of bytes greater than 0";

/** That a value which is given is a record of records, or finds one. */
const tables: OptionRule = (value) =>
  typeof value === "function" || typeof value === "object" && value !== null &&
      Object.values(value).every((table) => typeof table === "object" && table !== null)
    ? undefined
    : "candidates by tunable and class of problems, or a function that finds them";

const RULES = {
  device: object,
  powerPreference: oneOf(["high-performance", "low-power"]),
  memory: bytes,
  binding: bytes,
  poison: flag,
  tuning: tables,
};

/**
 * Opens the machine's GPU, or shares one that is open.
 *
 * ```ts
 * import { openGpu } from "@lengthwise/lengthwise";
 *
 * await using gpu = await openGpu();
 * using ones = gpu.tensor([2, 2], [1, 1, 1, 1]);
 * console.log(await ones.read());
 * ```
 *
 * @throws {RangeError} for an unknown option, or a value that it cannot have.
 * @throws {Error} where there is no adapter, saying how to get one.
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  checkOptions("openGpu", options, RULES);
  const { device, powerPreference = "high-performance", poison = false, binding } = options;
  const owns = device === undefined;
  const opened = device
    ? { device, adapter: describeAdapter(device.adapterInfo) }
    : await requestDevice({ powerPreference });
  const tuning = typeof options.tuning === "function"
    ? await options.tuning(opened.adapter, adapterIdentity(opened.device))
    : options.tuning ?? {};
  checkTuning(opened, tuning);
  const { memory = opened.adapter.software ? freeMemory() : undefined } = options;
  return new Gpu(opened.device, opened.adapter, { poison, owns, memory, binding, tuning });
}

/** What the machine has free, where the program may ask for it (--allow-sys). */
export function freeMemory(): number | undefined {
  if (!("Deno" in globalThis)) return undefined; // a browser does not tell
  // Asked first, as on a terminal the call itself would ask the user.
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  return state === "granted" ? Deno.systemMemoryInfo().available : undefined;
}
