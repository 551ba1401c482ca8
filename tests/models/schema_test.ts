import { assertEquals, assertThrows } from "@std/assert";
import * as v from "valibot";
import { architecture, ARCHITECTURES, type ModelConfiguration } from "../../models/mod.ts";
import { MODEL } from "../../models/configuration.ts";
import {
  byKind,
  check,
  exactly,
  integer,
  listOf,
  oneOf,
  optional,
  type Schema,
  showValue,
  TEXT,
} from "../../models/schema.ts";
import { RECIPES } from "../../tasks/training/recipe.ts";

Deno.test("an error names the file, the field, what was expected and what was found", () => {
  const schema = v.object({
    name: TEXT,
    count: integer(1, 8),
    inner: optional(v.object({ list: listOf(integer(0, 3)) }, "an object")),
  });
  const fails = (value: unknown, message: string): void => {
    assertThrows(() => check(schema, value, "a.json"), Error, `Cannot read a.json${message}`);
  };
  fails(3, ": it must be ");
  fails({ name: "x" }, ': it must give "count"');
  fails({ name: "x", count: null }, ': it must give "count"');
  fails({ name: "x", count: "1" }, ': "count" must be a number: current value is "1"');
  fails({ name: "x", count: 9 }, ': "count" must be a positive integer, at most 8: current value');
  fails({ name: "x", count: 1.5 }, ': "count" must be a positive integer');
  fails({ name: "x", count: NaN }, ': "count" must be a number');
  fails({ name: "x", count: 1, inner: [] }, ', "inner": it must give "list"');
  fails({ name: "x", count: 1, inner: { list: 1 } }, ', "inner": "list" must be a list');
  fails(
    { name: "x", count: 1, inner: { list: [1, 7] } },
    ', "inner", "list": item 1 must be an integer from 0 to 3: current value is 7',
  );
});

Deno.test("a name that is near is suggested among several, and not where it is the only one", () => {
  const fails = (schema: Schema<unknown>, value: unknown, message: string): void => {
    assertThrows(() => check(schema, value, "a.json"), Error, message);
  };
  fails(oneOf(["silu"]), "gelu", 'it must be one of silu: current value is "gelu"');
  fails(
    oneOf(["silu", "relu"]),
    "sily",
    'it must be one of silu, relu (did you mean "silu"?): current value is "sily"',
  );
  const kind = (name: string) => v.strictObject({ kind: v.literal(name) });
  fails(
    byKind({ swiglu: kind("swiglu") } as never),
    { kind: "geglu" },
    '"kind" must be known: known kinds are swiglu: current value is "geglu"',
  );
  fails(exactly({ length: optional(TEXT) }), { lenght: "" }, '(did you mean "length"?)');
});

Deno.test("what an error shows of a value is bounded", () => {
  assertEquals(showValue("x".repeat(1000)).length, 81);
  assertEquals(showValue(Infinity), "Infinity");
  assertEquals(showValue(undefined), "undefined");
  let nested: unknown[] = [];
  for (let depth = 0; depth < 100_000; depth++) nested = [nested];
  assertEquals(showValue(nested).length, 81);
});

Deno.test("every architecture and every recipe's model is what the schema of models takes", () => {
  const models = new Map<string, ModelConfiguration>([
    ...Object.keys(ARCHITECTURES).map((name) =>
      [name, architecture(name, { vocabulary: 64, width: 32 })] as const
    ),
    ...[...RECIPES].map(([name, { model }]) => [name, model] as const),
  ]);
  for (const [name, model] of models) {
    const written = JSON.parse(JSON.stringify(model));
    assertEquals(check<ModelConfiguration>(MODEL, written, name), written);
  }
});

Deno.test("a model's configuration is refused by what is wrong in it", () => {
  const model = architecture("griffin", { vocabulary: 64, width: 32 });
  const fails = (changes: Record<string, unknown>, message: string): void => {
    const [layer, ...rest] = JSON.parse(JSON.stringify(model)).layers;
    const changed = { ...layer, mixer: { ...layer.mixer, ...changes } };
    assertThrows(
      () => check(MODEL, { ...model, layers: [changed, ...rest] }, "a.json"),
      Error,
      `Cannot read a.json, "layers" item 0, "mixer": ${message}`,
    );
  };
  fails({ recurrentWidth: 1e9 }, '"recurrentWidth" must be a positive integer, at most 16777216');
  fails({ recurrentWidth: 10.5 }, '"recurrentWidth" must be a positive integer');
  fails({ width: 3 }, '"width" is none of its fields');
  fails({ kind: "hyena" }, '"kind" must be known: known kinds are attention, delta_net');
  const many = { ...model, layers: Array(5000).fill(model.layers[0]) };
  assertThrows(
    () => check(MODEL, many, "a.json"),
    Error,
    '"layers" must be a list of at most 4096',
  );
});
