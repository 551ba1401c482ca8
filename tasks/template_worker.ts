import { Template } from "@huggingface/jinja";
import { type Methods, serve } from "../models/sandbox/serve.ts";

/** The parts of the date that a template is given, Llama 3's default: a prompt is always the same. */
const DATE: Readonly<Record<string, string>> = {
  "%Y": "2024",
  "%m": "07",
  "%d": "26",
  "%b": "Jul",
  "%B": "July",
  "%y": "24",
  "%A": "Friday",
  "%a": "Fri",
  "%H": "12",
  "%M": "00",
  "%S": "00",
  "%%": "%",
};

serve((source: string): Methods => {
  // The package's own strftime_now() reads the clock; the line's end is trimmed with its block.
  const template = new Template(`{% set strftime_now = same_date %}\n${source}`);
  return {
    render: (names: Readonly<Record<string, unknown>>): string =>
      template.render({
        ...names,
        same_date: (format: string): string => format.replace(/%./g, (part) => DATE[part] ?? part),
      }),
  };
});
