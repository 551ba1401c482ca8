/** Workgroups of 64 invocations for so many of them. */
export function workgroups(invocations: number): number {
  return Math.ceil(invocations / 64);
}
