import { type Methods, serve } from "../../models/sandbox/serve.ts";

const held: unknown[] = [];

serve((name: string): Methods => {
  if (name === "loop") { for (;;); }
  if (name === "throw") throw new TypeError("not made");
  return {
    greet: (text: string) => `${name} ${text}`,
    repeat: (text: string, times: number) => text.repeat(times),
    loop(): never {
      for (;;);
    },
    backtrack: (text: string) => /^(a+)+$/.test(text),
    fill(): never {
      for (;;) held.push(new Array(1000).fill(Math.random()));
    },
    fail(): never {
      throw new RangeError("x".repeat(10_000));
    },
  };
});
