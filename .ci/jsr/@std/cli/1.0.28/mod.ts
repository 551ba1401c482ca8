import "jsr:@std/internal@^1.0.12/os";

export * from "./parse_args.ts";
export * from "./unicode_width.ts";
