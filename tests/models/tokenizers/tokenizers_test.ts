import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import {
  BYTE_TOKENIZER,
  JsonTokenizer,
  loadTokenizer,
  StreamingDecoder,
  type Tokenizer,
  WorldTokenizer,
} from "../../../models/mod.ts";
import { inFolder } from "../../testing.ts";

const GOLDEN = fromFileUrl(new URL("../../golden/checkpoints", import.meta.url));

interface Case {
  readonly text: string;
  readonly tokens: number[];
  /** Without special tokens. */
  readonly plain: number[];
  /** Python's text of `tokens`. */
  readonly decoded: string;
}

async function golden(name: string): Promise<{ tokenizer: Tokenizer; cases: Case[] }> {
  const folder = `${GOLDEN}/tokenizer_${name}`;
  const tokenizer = await loadTokenizer(folder);
  const expected = JSON.parse(await Deno.readTextFile(`${folder}/expected.json`));
  assertEquals(tokenizer.vocabulary, expected.vocabulary);
  return { tokenizer, cases: expected.cases };
}

function stream(tokenizer: Tokenizer, tokens: ArrayLike<number>): string[] {
  const decoder = new StreamingDecoder(tokenizer);
  return [...Array.from(tokens, (token) => decoder.push(token)), decoder.finish()];
}

for (const name of ["bytelevel", "llama"]) {
  Deno.test(`tokenizer.json gives the tokens and the text that Python gives: ${name}`, async () => {
    const { tokenizer, cases } = await golden(name);
    for (const { text, tokens, plain, decoded } of cases) {
      assertEquals([...tokenizer.encode(text)], tokens, text);
      assertEquals([...tokenizer.encode(text, { special: false })], plain, text);
      assertEquals(tokenizer.decode(tokens), decoded, text);
      assertEquals(stream(tokenizer, tokens).join(""), decoded, text);
    }
  });
}

Deno.test("tokenizer.json's special tokens are known, and have no text", async () => {
  const { tokenizer: llama } = await golden("llama");
  assertEquals([llama.beginning, llama.end], [1, 2]);
  assertEquals(llama.decode([1, 2]), "");
  assertEquals(llama.decode([]), "");
  assertEquals(llama.decode([llama.vocabulary + 7]), "");
  const { tokenizer: bytelevel } = await golden("bytelevel");
  assertEquals([bytelevel.beginning, bytelevel.end], [undefined, 0]);
});

Deno.test("World's tokens are the longest that match, and give the text back", async () => {
  const { tokenizer, cases } = await golden("world");
  for (const { text, tokens } of cases) {
    assertEquals([...tokenizer.encode(text)], tokens, text);
    assertEquals(tokenizer.decode(tokens), text);
    assertEquals(stream(tokenizer, tokens).join(""), text);
  }
  assertEquals(tokenizer.end, 0);
  assertEquals(tokenizer.decode([0, 99999]), "");
});

Deno.test("a byte is a token, and gives the text back", () => {
  for (const text of ["", "abc", "漢字 🙂\0", "\uFEFFbyte order mark"]) {
    const tokens = BYTE_TOKENIZER.encode(text);
    assertEquals([...tokens], [...new TextEncoder().encode(text)]);
    assertEquals(BYTE_TOKENIZER.decode(tokens), text);
    assertEquals(stream(BYTE_TOKENIZER, tokens).join(""), text);
  }
});

Deno.test("a character in several tokens comes out with its last, half of one at the end", () => {
  const [first, second, third] = BYTE_TOKENIZER.encode("字");
  assertEquals(stream(BYTE_TOKENIZER, [97, first, second, third, 98]), [
    "a",
    "",
    "",
    "字",
    "b",
    "",
  ]);
  assertEquals(stream(BYTE_TOKENIZER, [97, first, second]), ["a", "", "", "\uFFFD"]);
  // A byte that begins nothing comes out once something follows.
  assertEquals(stream(BYTE_TOKENIZER, [0xff, 97]), ["", "\uFFFDa", ""]);
});

Deno.test("streaming decodes spaces as the whole does", async () => {
  const { tokenizer } = await golden("llama");
  const tokens = tokenizer.encode("the cat  sat", { special: false });
  const parts = stream(tokenizer, tokens);
  assertEquals(parts.join(""), "the cat  sat");
  assert(parts.some((part) => part.startsWith(" ")), `${JSON.stringify(parts)}`);
});

Deno.test("a wrong vocabulary is refused with its line", () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => {
    const digits = byte.toString(16).padStart(2, "0");
    return `${byte + 1} ${byte < 128 ? "" : "b"}'\\x${digits}' 1`;
  });
  const tokenizer = new WorldTokenizer([...bytes, `257 "it's" 4`, ""].join("\n"), "v.txt");
  assertEquals([...tokenizer.encode("it's")], [257]);
  assertEquals(tokenizer.vocabulary, 258);
  const wrong = ["257 'ab' 3", "257 ab 2", "'ab' 2", "257 'a'b' 3", "257 '\\q' 1", "257 '' 0"];
  for (const line of wrong) {
    assertThrows(
      () => new WorldTokenizer([...bytes, line].join("\n"), "v.txt"),
      Error,
      "Cannot read v.txt:257 as it must be a number, a literal and its length",
    );
  }
  assertThrows(
    () => new WorldTokenizer(bytes.slice(0, 200).join("\n"), "v.txt"),
    Error,
    "Cannot read v.txt as it has no token for byte 200: truncated?",
  );
});

Deno.test("loadTokenizer() finds the vocabulary beside a .pth, or says where to get it", () =>
  inFolder(async (folder) => {
    const checkpoint = `${folder}/RWKV-x060.pth`;
    await Deno.writeFile(checkpoint, new Uint8Array());
    await assertRejects(
      () => loadTokenizer(checkpoint),
      Error,
      "rwkv_vocab_v20230424.txt, which is at https://",
    );
    const vocabulary = `${folder}/rwkv_vocab_v20230424.txt`;
    await Deno.copyFile(
      new URL("../../golden/checkpoints/tokenizer_world/rwkv_vocab_v20230424.txt", import.meta.url),
      vocabulary,
    );
    for (const path of [checkpoint, vocabulary, folder]) {
      const tokenizer = await loadTokenizer(path);
      assertEquals(tokenizer.decode(tokenizer.encode("naïve 漢字")), "naïve 漢字");
    }
  }));

Deno.test("loadTokenizer() says what it looked for, and what is not a tokenizer", async () => {
  await inFolder(async (folder) => {
    await assertRejects(() => loadTokenizer(folder), Error, "it holds no tokenizer.json and no");
    const path = `${folder}/tokenizer.json`;
    await Deno.writeTextFile(path, "{");
    await assertRejects(
      () => loadTokenizer(folder),
      Error,
      `Cannot read ${path} as it is not valid JSON`,
    );
    await Deno.writeTextFile(path, '{"model": {"type": "Other"}}');
    await assertRejects(() => loadTokenizer(folder), Error, `Cannot read ${path} as a tokenizer: `);
  });
  assertThrows(() => new JsonTokenizer({}, undefined, "t.json"), Error, "Cannot read t.json as a");
});

Deno.test("a vocabulary's numbers are bounded, and so is what an error shows of a line", () => {
  const error = assertThrows(
    () => new WorldTokenizer(`1${"0".repeat(5000)} 'a' 1\n`, "v.txt"),
    Error,
    "its token must be at most 268435455",
  );
  assert(error.message.length < 300, error.message);
  const long = assertThrows(() => new WorldTokenizer("x".repeat(100_000), "v.txt"), Error);
  assert(long.message.length < 300, long.message);
});
