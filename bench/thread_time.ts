/**
 * The time that this thread has computed.
 *
 * @module
 */

/** POSIX's clock of the time that a thread has computed, on Linux. */
const CLOCK_THREAD_CPUTIME_ID = 3;
const LIBC = Deno.build.os === "linux"
  ? Deno.dlopen("libc.so.6", { clock_gettime: { parameters: ["i32", "buffer"], result: "i32" } })
  : undefined;
const TIME = new BigInt64Array(2); // seconds, nanoseconds

/** Milliseconds that this thread has computed: what others do on the machine does not count. */
export function threadTime(): number {
  if (LIBC === undefined) return performance.now();
  // What /proc has is brought up to date a few hundred times a second, too seldom for a training step.
  LIBC.symbols.clock_gettime(CLOCK_THREAD_CPUTIME_ID, TIME);
  return Number(TIME[0]) * 1e3 + Number(TIME[1]) / 1e6;
}
