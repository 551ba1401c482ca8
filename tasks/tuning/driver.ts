import { join } from "@std/path";

/** Where Linux keeps its Vulkan drivers' manifests. */
const MANIFESTS = ["/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
/** Where it keeps libraries that a manifest names without a folder. */
const LIBRARIES = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/nvidia/lib64",
];

let here: string | undefined;

/**
 * What tells a driver from another version of itself. WebGPU does not say it, so on Linux it is the
 * Vulkan drivers that are installed: the names that their libraries' links lead to, where NVIDIA's has its
 * version, and their sizes. Elsewhere it is the system.
 */
export function driverHere(): string {
  return here ??= Deno.build.os === "linux" ? installedDrivers() : Deno.build.os;
}

function installedDrivers(): string {
  const found = new Set<string>();
  for (const folder of MANIFESTS) {
    for (const name of namesIn(folder)) {
      const library = libraryOf(join(folder, name));
      const path = library?.includes("/")
        ? realPath(library)
        : LIBRARIES.map((folder) => realPath(join(folder, library ?? ""))).find((path) => path);
      if (library && path) found.add(`${path.split("/").at(-1)} ${sizeOf(path)}`);
    }
  }
  return [...found].sort().join(", ");
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name)
      .filter((name) => name.endsWith(".json"));
  } catch {
    return [];
  }
}

function libraryOf(manifest: string): string | undefined {
  try {
    return JSON.parse(Deno.readTextFileSync(manifest)).ICD.library_path;
  } catch {
    return undefined;
  }
}

function realPath(path: string): string | undefined {
  try {
    return Deno.realPathSync(path);
  } catch {
    return undefined;
  }
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}
