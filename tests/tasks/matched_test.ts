import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { basename, join } from "@std/path";
import { DownloadError } from "../../models/mod.ts";
import { parseRows, type Row, type SubjectSource, SWEEPS } from "../../tasks/mod.ts";
import { matchedPlace } from "../../tasks/experiments/matched.ts";
import { makePictures } from "../../tasks/report/pictures.ts";
import { joinRuns } from "../../tasks/report/runs.ts";
import { nameOf } from "../../tasks/subjects/description.ts";
import { findModels } from "../../tasks/sweep/models.ts";
import { inFolder } from "../testing.ts";
import { ending, script } from "./process.ts";
import { writeStandIn } from "./stand_ins.ts";
import { windowOracle } from "./window_oracle.ts";

const OFFLINE = { HF_ENDPOINT: "http://127.0.0.1:9" };

function namesOf(sweep: string): string[] {
  return SWEEPS[sweep].models.map((asked) => basename(nameOf(asked)));
}

Deno.test("matched-fla: one size, one set of data, another mixer in each", () => {
  const { differences = [], models, tasks } = SWEEPS["matched-fla"];
  assertEquals(namesOf("matched-fla"), [
    "transformer-1.3B-100B",
    "gla-1.3B-100B",
    "retnet-1.3B-100B",
    "delta_net-1.3B-100B",
    "hgrn2-1.3B-100B",
    "mamba-1.3B-100B",
    "rwkv6-1.3B-100B",
  ]);
  assertEquals(
    models.map((asked) => typeof asked === "object" && asked.optional === true),
    [false, false, false, false, false, false, true],
  );
  assert(differences.some((text) => text.startsWith("Unverified: RWKV-6")));
  assert(tasks.includes("forgetting-curve") && tasks.some((task) => task.startsWith("niah_")));
});

Deno.test("matched-hybrid: six mixers, five shares of attention, two sizes", () => {
  const names = namesOf("matched-hybrid");
  assertEquals([names.length, new Set(names).size], [60, 60]);
  const places = names.map((name) => matchedPlace(name)!);
  assertEquals(new Set(places.map(({ size }) => size)), new Set(["340M", "1.3B"]));
  assertEquals(
    new Set(places.map(({ ratio }) => ratio)),
    new Set(["pure", "24:1", "12:1", "6:1", "3:1"]),
  );
  assertEquals(new Set(places.map(({ mixer }) => mixer)).size, 6);
  assertEquals(new Set(places.map((place) => JSON.stringify(place))).size, 60);
  // As they are on the hub.
  for (
    const name of [
      "340M-20B-DeltaNet-pure",
      "340M-20B-GatedDeltaNet-pure-baseline",
      "340M-20B-HGRN2-hybrid-6-1",
      "1.3B-100B-GatedDeltaNet-pure",
      "1.3B-100B-RetNet-hybrid-3-1",
    ]
  ) assert(names.includes(name), name);
  const told = SWEEPS["matched-hybrid"].differences!.join(" ");
  assert(told.includes("340M-20B-RetNet-pure-baseline"), "what is not verified is named");
  assert(!told.includes("340M-20B-DeltaNet-pure"));
  assertEquals(matchedPlace("/data/340M-20B-GLA-hybrid-12-1"), {
    size: "340M",
    mixer: "GLA",
    ratio: "12:1",
  });
  assertEquals(matchedPlace("hf:fla-hub/gla-1.3B-100B"), undefined);
});

Deno.test("a sweep continues without an optional model that the hub does not have, and no other", async () => {
  const oracle = windowOracle("here", 32, ["passkey"]);
  const source: Pick<SubjectSource, "find"> = {
    find: ([asked]) => {
      const name = nameOf(asked);
      const status = { gone: 404, hidden: 401, away: undefined }[name];
      return name === "here"
        ? Promise.resolve([oracle])
        : Promise.reject(new DownloadError(`no ${name}`, { status }));
    },
  };
  const left: string[] = [];
  const find = (models: readonly { model: string; optional?: boolean }[]) =>
    findModels({ models }, source, {
      folder: "none",
      onLeftOut: (name, reason) => left.push(`${name}: ${reason}`),
    });
  const gone = { model: "gone", optional: true };
  const cards = await find([gone, { model: "here" }, { model: "hidden", optional: true }]);
  assertEquals(cards.map(({ name }) => name), ["here"]);
  assertEquals(left, ["gone: no gone", "hidden: no hidden"]);
  await assertRejects(() => find([{ model: "gone" }, gone]), DownloadError, "no gone");
  await assertRejects(() => find([{ model: "away", optional: true }]), DownloadError, "no away");
  await assertRejects(() => find([gone]), Error, "none of the models can be found");
});

Deno.test("each mixer is drawn by its share of attention, and each share by the mixers", () => {
  const rows = ["GLA", "HGRN2"].flatMap((mixer) =>
    ["pure-baseline", "hybrid-6-1", "hybrid-3-1"].flatMap((ratio) =>
      [1024, 2048].map((length): Row => ({
        ...{ model: `hf:m-a-p/340M-20B-${mixer}-${ratio}`, family: mixer, parameters: 1 },
        ...{ state_bytes: 1, train_length: 2048, task: "forgetting-curve", length, seed: 0 },
        ...{ samples: 4, metric: "forgetting_curve", value: 0.5, ci_low: 0.4, ci_high: 0.6 },
        ...{ adapter: "a", version: "1" },
      }))
    )
  );
  const all = makePictures(joinRuns([{ name: "run", rows }]));
  assert(
    all.some(({ title }) =>
      /^forgetting-curve, at \d+K tokens: memory of text against the size of the state$/.test(title)
    ),
  );
  const pictures = all.filter(({ section }) => section === "matched");
  assertEquals(
    pictures.map(({ group, legend = [] }) => [
      group!.caption,
      legend.map(({ model }) => model),
    ]),
    [
      ["340M, GLA", ["pure", "6:1", "3:1"]],
      ["340M, HGRN2", ["pure", "6:1", "3:1"]],
      ["340M, pure", ["GLA", "HGRN2"]],
      ["340M, 6:1", ["GLA", "HGRN2"]],
      ["340M, 3:1", ["GLA", "HGRN2"]],
    ],
  );
  const [{ legend = [] }] = pictures;
  assertEquals(new Set(legend.map(({ look }) => look!.colour)).size, 3);
});

Deno.test("matched-fla and matched-hybrid run from end to end, of checkpoints in a folder", () =>
  inFolder(async (folder) => {
    const place = (name: string): string => join(folder, "checkpoints", name);
    const fla = [
      "transformer_fla",
      "gla",
      "retnet",
      "delta_net",
      "hgrn2",
      "mamba_fla",
      "rwkv6_fla",
    ];
    for (const [i, name] of namesOf("matched-fla").entries()) {
      await writeStandIn(fla[i], place(name));
    }
    const hybrid: string[] = [];
    for (const [mixer, layout] of [["GLA", "gla"], ["GatedDeltaNet", "gated_deltanet"]]) {
      const pure = `340M-20B-${mixer}-pure-baseline`;
      await writeStandIn(layout, place(pure));
      const mixed = `340M-20B-${mixer}-hybrid-3-1`;
      await writeStandIn(layout, place(mixed), { attention: 1 });
      hybrid.push(pure, mixed);
    }
    const asked = ["--samples", "2", "--seeds", "0", "--lengths", "1k"];
    const where = ["--checkpoints", join(folder, "checkpoints")];
    for (
      const [name, models, more] of [
        ["matched-fla", 7, []],
        ["matched-hybrid", 4, ["--models", hybrid.join()]],
      ] as const
    ) {
      const out = join(folder, name);
      const args = ["sweep", name, ...asked, ...where, ...more, "--out", out];
      const { code, stderr } = await ending(script("tasks/main.ts", args, OFFLINE));
      assertEquals(code, 0, stderr);
      const rows = parseRows(await Deno.readTextFile(join(out, "sweep.csv")), "sweep.csv");
      const main = rows.filter(({ metric }) => ["accuracy", "forgetting_curve"].includes(metric));
      assertEquals(main.length, 3 * models);
      assertEquals(new Set(main.map(({ state_bytes }) => state_bytes)).size > 1, true);
      const page = await Deno.readTextFile(join(out, "report.html"));
      assertMatch(page, /recall against the size of the state/);
      assertMatch(page, /forgetting-curve: copying less language modelling, against length/);
      assertEquals(page.includes("By mixer and by share of attention"), name === "matched-hybrid");
    }
  }));
