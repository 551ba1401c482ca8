/** The machine that this runs on, in words: `linux x86_64, 2 cores, Deno 2.9.6`. */
export function machineHere(): string {
  const { os, arch } = Deno.build;
  return `${os} ${arch}, ${navigator.hardwareConcurrency} cores, Deno ${Deno.version.deno}`;
}
