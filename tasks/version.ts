import configuration from "../deno.json" with { type: "json" };

/** The version of Lengthwise, as results name it. */
export const VERSION: string = configuration.version;
