/** A shader that does not compile, or a dispatch that the device refuses. */
export class KernelError extends Error {
  /** The error's name. */
  override readonly name = "KernelError";
}

/** The GPU is gone: a driver reset, a machine that sleeps, a device destroyed. */
export class DeviceLostError extends Error {
  /** The error's name. */
  override readonly name = "DeviceLostError";
}
