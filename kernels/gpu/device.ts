/** What of an adapter decides how kernels run on it. */
export interface Adapter {
  /** The adapter's own description, as results name it. */
  readonly name: string;
  /** Whether it runs on the CPU: such adapters are faster from registers than from workgroup memory. */
  readonly software: boolean;
}

const WANTED_FEATURES: readonly GPUFeatureName[] = ["shader-f16", "timestamp-query", "subgroups"];

const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** Describes an adapter. */
export function describeAdapter(info: GPUAdapterInfo | undefined): Adapter {
  const name = info?.description || info?.device || info?.vendor || "unknown adapter";
  const software = info?.isFallbackAdapter === true || /llvmpipe|lavapipe|swiftshader/i.test(name);
  return { name, software };
}

/**
 * What tells an adapter, and as far as WebGPU shows it its driver, from others: its names, and what it can
 * do and how much of it.
 */
export function adapterIdentity({ adapterInfo, features, limits }: GPUDevice): string {
  const { vendor = "", architecture = "", device = "", description = "" } = adapterInfo ?? {};
  const able = WANTED_FEATURES.filter((feature) => features.has(feature)).join(" ");
  const most = WANTED_LIMITS.map((limit) => limits[limit]).join(" ");
  return [vendor, architecture, device, description, able, most].join("; ");
}

/**
 * Opens the machine's adapter with all it allows.
 *
 * @param webgpu Where to look for one; the runtime's own by default.
 * @throws {Error} where there is no adapter, saying how to get one.
 */
export async function requestDevice(
  options: GPURequestAdapterOptions,
  webgpu: GPU | undefined = navigator.gpu,
): Promise<{ device: GPUDevice; adapter: Adapter }> {
  const adapter = await webgpu?.requestAdapter(options);
  if (!adapter) {
    throw new Error(
      "Cannot open a GPU as WebGPU found no adapter: install a Vulkan driver (on Debian: apt-get install libvulkan1 mesa-vulkan-drivers brings a software one), then set DENO_WEBGPU_BACKEND=vulkan; ./run does both",
    );
  }
  const device = await adapter.requestDevice({
    requiredFeatures: WANTED_FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(
      WANTED_LIMITS.map((limit) => [limit, adapter.limits[limit]]),
    ),
  });
  return { device, adapter: describeAdapter(adapter.info) };
}
