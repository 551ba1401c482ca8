import { assertEquals, assertRejects } from "@std/assert";
import { describeModel, loadTokenizer } from "../../models/mod.ts";
import { readBoundedText } from "../../models/text_file.ts";
import { inFolder } from "../testing.ts";

Deno.test("a file that is larger than any of its kind is not read", () =>
  inFolder(async (folder) => {
    const path = `${folder}/config.json`;
    await Deno.writeTextFile(path, "{}");
    assertEquals(await readBoundedText(path), "{}");
    await assertRejects(() => readBoundedText(path, 1), Error, "it has 2 bytes, more than 1");
    // A file with a hole takes no room.
    for (const [name, size] of [["config.json", 2 ** 31], ["tokenizer.json", 2 ** 33]] as const) {
      await Deno.writeTextFile(`${folder}/${name}`, "{}");
      await Deno.truncate(`${folder}/${name}`, size);
    }
    await assertRejects(() => describeModel(folder), Error, "it has 2147483648 bytes, more than");
    await assertRejects(() => loadTokenizer(folder), Error, "it has 8589934592 bytes, more than");
  }));
