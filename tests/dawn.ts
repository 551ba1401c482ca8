/**
 * Dawn, the WebGPU of Chrome, inside Deno (`npm:webgpu`). On Linux it drives SwiftShader, the software
 * adapter that comes with Chromium, which has real subgroups.
 */
import { dirname, join } from "@std/path";
import { create } from "webgpu";
import { requestDevice } from "../kernels/gpu/device.ts";
import { Gpu } from "../kernels/gpu/mod.ts";

/** The file by which the Vulkan loader finds SwiftShader, beside the browser's program. */
const DRIVER = "vk_swiftshader_icd.json";
const FOLDERS = ["/usr/lib/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome"];

/** What work Dawn may have left at the end of a file of tests takes less than this. */
const MOST_MILLISECONDS = 5000;

/** What must live for as long as a device of Dawn: it dies of a segmentation fault otherwise. */
const kept: unknown[] = [];

/**
 * Opens Dawn's adapter and takes it for a GPU, so that the variants that only a GPU gets run.
 *
 * @throws {Error} where SwiftShader is not installed, saying how to install it.
 */
export async function openDawn(): Promise<Gpu> {
  // Dawn's promises do not keep the event loop alive: a timer does.
  kept.push(setInterval(() => {}, 1000));
  // While it waits, Dawn makes a function for each turn of the event loop. Without a pause that takes a
  // processor from SwiftShader, and Deno needs minutes to free so many functions.
  pause();
  const { device, adapter } = await withSwiftShader(() => {
    const dawn = create([]);
    kept.push(dawn);
    return requestDevice({}, dawn);
  });
  kept.push(device);
  return new Gpu(device, { ...adapter, software: false }, { poison: true, owns: false });
}

/** Has Dawn, where it asks for the next turn of the event loop, wait a millisecond. */
function pause(): void {
  const waiting = new Map<ReturnType<typeof setTimeout>, () => void>();
  Object.assign(globalThis, {
    setImmediate: (next: () => void) => {
      const timer = setTimeout(() => {
        waiting.delete(timer);
        next();
      }, 1);
      waiting.set(timer, next);
    },
  });
  // What still waits when a file of tests ends is done then: thrown away, it aborts the process.
  addEventListener("unload", () => {
    const end = performance.now() + MOST_MILLISECONDS;
    while (waiting.size > 0 && performance.now() < end) {
      for (const [timer, next] of waiting) {
        clearTimeout(timer);
        waiting.delete(timer);
        next();
      }
    }
  });
}

/** Shows the Vulkan loader no driver but SwiftShader while an adapter is opened. */
export async function withSwiftShader<Opened>(open: () => Promise<Opened>): Promise<Opened> {
  if (Deno.build.os !== "linux") return await open();
  const before = Deno.env.get("VK_DRIVER_FILES");
  Deno.env.set("VK_DRIVER_FILES", swiftShader());
  try {
    return await open();
  } finally {
    if (before === undefined) Deno.env.delete("VK_DRIVER_FILES");
    else Deno.env.set("VK_DRIVER_FILES", before);
  }
}

function swiftShader(): string {
  const browser = Deno.env.get("CHROMIUM");
  for (const folder of browser === undefined ? FOLDERS : [dirname(browser), ...FOLDERS]) {
    const path = join(folder, DRIVER);
    try {
      Deno.statSync(path);
      return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(
    `Cannot open Dawn as there is no ${DRIVER} in ${
      FOLDERS.join(", ")
    }: install Chromium (on Debian apt-get install chromium)`,
  );
}
